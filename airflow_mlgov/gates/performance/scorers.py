"""The names of what the performance gate measures: scikit-learn's scorers that predictions suffice for, and its own.
Constants alone, so that a policy or a DAG file is read without scikit-learn; clustering and multilabel are refused."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, get_args

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import VS_CHAMPION, WORST_SLICE

Task = Literal["binary", "multiclass", "regression"]
TASKS: tuple[Task, ...] = get_args(Task)

BINARY_SCORE_METRICS = ("roc_auc", "average_precision", "calibration_slope", "calibration_intercept")
"""Of two classes, from the score of the positive one."""
OF_TWO_OR_MORE = ("average_precision",)
"""Those of them that more classes have as well, as the mean of each class against the rest."""
SCORE_METRICS = (
    "log_loss", "brier_score", "neg_log_loss", "neg_brier_score", "d2_log_loss_score", "d2_brier_score",
    "expected_calibration_error",
)  # fmt: skip
"""From probabilities, of two classes or of more."""
MULTICLASS_SCORE_METRICS = (
    "roc_auc_ovr", "roc_auc_ovr_weighted", "roc_auc_ovo", "roc_auc_ovo_weighted", "top_k_accuracy",
)  # fmt: skip
"""Of more than two classes, from a score of each. ``top_k_accuracy`` has scikit-learn's k, which is 2."""
BINARY_LABEL_METRICS = (
    "precision", "recall", "f1", "jaccard", "positive_likelihood_ratio", "neg_negative_likelihood_ratio",
)  # fmt: skip
"""Of two classes, from the predicted one."""
AVERAGED_METRICS = tuple(
    f"{name}_{average}"
    for name in ("precision", "recall", "f1", "jaccard")
    for average in ("macro", "micro", "weighted")
)
LABEL_METRICS = ("accuracy", "balanced_accuracy", "matthews_corrcoef", *AVERAGED_METRICS)
"""From the predicted class, of two classes or of more."""
REGRESSION_METRICS = (
    "rmse", "mae", "r2", "explained_variance", "d2_absolute_error_score", "neg_max_error", "neg_mean_absolute_error",
    "neg_mean_absolute_percentage_error", "neg_mean_gamma_deviance", "neg_mean_poisson_deviance",
    "neg_mean_squared_error", "neg_mean_squared_log_error", "neg_median_absolute_error", "neg_root_mean_squared_error",
    "neg_root_mean_squared_log_error",
)  # fmt: skip

METRICS = (
    *BINARY_SCORE_METRICS, *SCORE_METRICS, *MULTICLASS_SCORE_METRICS, *BINARY_LABEL_METRICS, *LABEL_METRICS,
    *REGRESSION_METRICS,
)  # fmt: skip
"""Everything that one table of predictions gives."""
EXTREMES = ("neg_max_error",)
"""Of the one row that is furthest off. They have no interval because the bootstrap of an extreme is not consistent
(Bickel & Freedman, Annals of Statistics 9 (1981) 1196-1217), so a bound is held against the estimate, whatever
``decide`` says.
"""
UNWEIGHTED = (*EXTREMES, "calibration_slope", "calibration_intercept", "roc_auc_ovo", "roc_auc_ovo_weighted")
"""Metrics that take no sample weights, here or in scikit-learn."""
OWN_METRICS = (
    "log_loss", "brier_score", "rmse", "mae", "expected_calibration_error", "calibration_slope",
    "calibration_intercept",
)  # fmt: skip
"""Those that are no scorer of scikit-learn's. Losses keep their sign: 0 is best, as in its functions."""
CLEAN_PROCESS = "loads_in_clean_process"
"""1 where the model does, 0 where it does not."""
BUDGETS = ("latency_p95_ms", "batch_latency_p95_ms", "model_size_mb", CLEAN_PROCESS)
"""What is measured of the model itself."""
CHURN = "churn"
"""The share of rows whose decision differs from the champion's; bounded as ``churn_vs_champion``."""

KNOWN_METRICS = (
    *METRICS,
    *(metric + VS_CHAMPION for metric in (*METRICS, CHURN)),
    *(metric + WORST_SLICE for metric in METRICS),
    *BUDGETS,
)
"""Every name that a bound may have."""

REFUSED = {
    "clustering": (
        "adjusted_mutual_info_score", "adjusted_rand_score", "completeness_score", "fowlkes_mallows_score",
        "homogeneity_score", "mutual_info_score", "normalized_mutual_info_score", "rand_score", "v_measure_score",
    ),
    "multilabel data": ("f1_samples", "jaccard_samples", "precision_samples", "recall_samples"),
}  # fmt: skip
"""scikit-learn's other scorers, by what they are for."""

_DEFAULTS: dict[Task, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "binary": (
        ("roc_auc", "average_precision", "log_loss", "brier_score"),
        ("accuracy", "precision", "recall", "f1"),
    ),
    "multiclass": (("roc_auc_ovr", "log_loss"), ("accuracy", "balanced_accuracy", "f1_macro", "matthews_corrcoef")),
    "regression": ((), ("rmse", "mae", "r2")),
}


def needs_score(metric: str) -> bool:
    """Whether predicted labels do not suffice."""
    return metric in BINARY_SCORE_METRICS or metric in SCORE_METRICS or metric in MULTICLASS_SCORE_METRICS


def recorded(task: Task, has_scores: bool) -> tuple[str, ...]:
    """What is recorded of a task whether it is bounded or not."""
    of_scores, of_labels = _DEFAULTS[task]
    return (*of_scores, *of_labels) if has_scores else of_labels


def task_of(asked: Collection[str], declared: Task | None, has_class_scores: bool) -> Task:
    """The task that the bounded metrics and the columns are of.

    :param asked: metrics without ``_vs_champion`` and the like
    :param declared: what the caller says; needed where labels of more than two classes are judged by metrics that two
        classes have as well, such as accuracy
    :raises ConfigurationError: metrics of two tasks, or of another than the declared one
    """
    if declared is not None and declared not in TASKS:
        raise ConfigurationError(f"task must be one of {', '.join(TASKS)}, not {declared!r}", code="setting.wrong")
    regression = [metric for metric in asked if metric in REGRESSION_METRICS]
    classification = [metric for metric in asked if metric in METRICS and metric not in REGRESSION_METRICS]
    if regression and classification:
        raise ConfigurationError(
            f"{regression[0]} is of a regression and {classification[0]} of a classification: bound only one kind",
            code="bound.other_task",
        )
    if regression:
        return _agreed("regression", declared, regression[0])
    of_two = set(BINARY_SCORE_METRICS + BINARY_LABEL_METRICS) - set(OF_TWO_OR_MORE)
    two = [metric for metric in asked if metric in of_two]
    many = [metric for metric in asked if metric in MULTICLASS_SCORE_METRICS]
    if two and many:
        raise ConfigurationError(
            f"{two[0]} is of two classes and {many[0]} of more: bound only one kind", code="bound.other_task"
        )
    if two:
        return _agreed("binary", declared, two[0])
    if many:
        return _agreed("multiclass", declared, many[0])
    if declared == "regression" and classification:
        raise ConfigurationError(
            f"{classification[0]} is of a classification, but task is declared 'regression'", code="bound.other_task"
        )
    if declared is not None:
        return declared
    averaged = any(metric in AVERAGED_METRICS for metric in asked)
    return "multiclass" if has_class_scores or averaged else "binary"


def without_ending(metric: str) -> str:
    """The metric itself: without ``_vs_champion`` and ``_worst_slice``."""
    return metric.removesuffix(VS_CHAMPION).removesuffix(WORST_SLICE)


def _agreed(task: Task, declared: Task | None, metric: str = "") -> Task:
    if declared is not None and declared != task:
        raise ConfigurationError(
            f"{metric} is of a {task} task, but task is declared {declared!r}", code="bound.other_task"
        )
    return task
