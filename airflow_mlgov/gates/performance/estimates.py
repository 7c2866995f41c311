"""One metric of one table: scikit-learn's number with an interval, or the reason why there is none. Refuses the answers
(often 0.0 with a warning) that scikit-learn gives where a metric is undefined."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_mlgov.gates.performance.formulas import by_formula
from airflow_mlgov.gates.performance.predictions import Sample
from airflow_mlgov.gates.performance.resampling import ROW_METRICS, Draws, resample_labels, resample_rows, weighted
from airflow_mlgov.gates.performance.scorers import (
    BINARY_LABEL_METRICS,
    LABEL_METRICS,
    MULTICLASS_SCORE_METRICS,
    OF_TWO_OR_MORE,
    SCORE_METRICS,
    needs_score,
)
from airflow_mlgov.gates.performance.two_classes import TwoClasses
from airflow_mlgov.gates.statistics.delong import interval_of
from airflow_mlgov.gates.statistics.intervals import Interval, percentile, wilson
from airflow_mlgov.results import Outcome

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

OF_LABELS = (*LABEL_METRICS, *BINARY_LABEL_METRICS)
CALIBRATION_FITS = ("calibration_slope", "calibration_intercept")

_PROBABILITIES = (*SCORE_METRICS, *CALIBRATION_FITS)
_PROPORTIONS = ("accuracy", "precision", "recall")
_TWO_CLASSES = ("roc_auc", "d2_log_loss_score", "d2_brier_score", "balanced_accuracy", "matthews_corrcoef")
_LIKELIHOODS = {"positive_likelihood_ratio": (0, 1), "neg_negative_likelihood_ratio": (1, -1)}
"""Whose scorers take no weights, though their function does: which of its two numbers they are, and their sign."""
_VARYING = ("r2", "explained_variance", "d2_absolute_error_score")


@dataclass(frozen=True)
class Estimate:
    """One metric of one table: a number, or the reason why there is none."""

    value: float | None
    reason: str = ""
    outcome: Outcome = Outcome.INCONCLUSIVE
    """How a check on it ends when there is no number."""
    interval: Interval | None = None
    """None if there is no number, or no method for its spread."""
    rows: int = 0
    asked: bool = False
    """Whether scikit-learn was asked; otherwise the number is a formula's."""


def estimate_all(
    sample: Sample | TwoClasses, metrics: Collection[str], confidence: float, draws: Mapping[str, Draws] | None = None
) -> dict[str, Estimate]:
    """Each metric with its interval: DeLong's for ``roc_auc``, Wilson's for proportions of rows, Wald's for the
    calibration's fit, the bootstrap's for the others and for all metrics of rows with weights.

    :param metrics: names of ``scorers.METRICS`` that are of the sample's task
    :param draws: of this sample first and another, where they were drawn already
    """
    given = _counted(sample)
    points = {metric: point(metric, given) for metric in metrics}
    drawn = dict(draws or {})
    wanted = [name for name, found in points.items() if found.value is not None and name not in drawn]
    drawn |= draw(given if isinstance(given, TwoClasses) else [given], wanted, by_formulas([points]))
    return {
        metric: Estimate(
            found.value,
            found.reason,
            found.outcome,
            None if found.value is None else _interval(metric, given, found.value, drawn.get(metric), confidence),
            len(sample),
            found.asked,
        )
        for metric, found in points.items()
    }


def _counted(sample: Sample | TwoClasses) -> Sample | TwoClasses:
    """Without its rows, where none is needed."""
    if isinstance(sample, TwoClasses) or sample.task != "binary" or sample.weight is not None or sample.problems:
        return sample
    return sample.two


def by_formulas(points: Sequence[Mapping[str, Estimate]]) -> dict[str, list[float]]:
    """The numbers of the metrics that scikit-learn was not asked for, of each table."""
    found: dict[str, list[float]] = {}
    for metric in points[0]:
        values = [each[metric].value for each in points if metric in each and not each[metric].asked]
        numbers = [value for value in values if value is not None]
        if len(numbers) == len(points):
            found[metric] = numbers
    return found


def point(metric: str, sample: Sample | TwoClasses) -> Estimate:
    """One metric without its interval."""
    if sample.problems:
        return Estimate(None, "; ".join(sample.problems), Outcome.ERROR)
    sample = _counted(sample)
    problem = _score_problem(metric, sample)
    if problem:
        return Estimate(None, problem, Outcome.ERROR)
    if isinstance(sample, Sample) and sample.weight is not None:
        return _weighted_point(metric, sample.take(sample.weight > 0))
    reason = _undefined(metric, sample)
    if reason:
        return Estimate(None, reason)
    value = by_formula(metric, sample)
    return asked_of_scikit_learn(metric, sample) if value is None else Estimate(value)


def _weighted_point(metric: str, sample: Sample) -> Estimate:
    """A metric of rows with weights, by the formula that is resampled: scikit-learn's with ``sample_weight``, to 1e-9
    in the tests."""
    import numpy as np

    reason = _undefined(metric, sample)
    if reason:
        return Estimate(None, reason)
    value = float(weighted(metric, sample)(np.ones((1, len(sample))))[0])
    return Estimate(value) if math.isfinite(value) else Estimate(None, f"{metric} has no value: a denominator is 0")


def asked_of_scikit_learn(metric: str, sample: Sample | TwoClasses) -> Estimate:
    """What scikit-learn says, its warnings and refusals as reasons."""
    from sklearn.exceptions import UndefinedMetricWarning

    if isinstance(sample, TwoClasses) and metric not in OF_LABELS:
        sample = _rows_of(sample)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", UndefinedMetricWarning)
            value = float(_compute(metric, sample))
    except UndefinedMetricWarning as undefined:
        return Estimate(None, str(undefined).splitlines()[0], asked=True)
    except ValueError as error:
        return Estimate(None, f"scikit-learn refuses: {str(error).splitlines()[0][:200]}", Outcome.ERROR, asked=True)
    if not math.isfinite(value):
        return Estimate(None, f"{metric} came out as {value}", asked=True)
    return Estimate(value, asked=True)


def draw(
    samples: Sequence[Sample] | TwoClasses,
    metrics: Collection[str],
    points: Mapping[str, Sequence[float]] | None = None,
) -> dict[str, Draws]:
    """The resampled values of the metrics that a bootstrap is for, on tables of the same rows.

    :param metrics: those that every table has a number of
    :param points: the numbers that are known by the formulas that are resampled
    """
    alone = isinstance(samples, TwoClasses) or len(samples) == 1
    if not isinstance(samples, TwoClasses) and samples[0].weight is not None:
        return resample_rows(samples, metrics, points) if metrics else {}
    labels = [metric for metric in metrics if metric in OF_LABELS and not (alone and _is_share(metric))]
    rows = [metric for metric in metrics if metric in ROW_METRICS]
    found = resample_labels(samples, labels) if labels else {}
    return {**found, **(resample_rows(samples, rows, points) if rows else {})}


def _rows_of(two: TwoClasses) -> Sample:
    """Rows that have these labels and scores, whatever was predicted."""
    import numpy as np

    sides = (two.scores.negatives, two.scores.positives)
    label = np.repeat([0, 1], [len(side) for side in sides])
    return Sample("binary", label, label, np.concatenate(sides), two.classes)


def bootstrap_interval(values: Array, confidence: float) -> Interval:
    """The percentile interval; not defined where every resample gives the same because then nothing is known of the
    spread: ten rows without an error would otherwise have the interval 1 to 1."""
    interval = percentile(values, confidence)
    if interval.low == interval.high:
        return Interval(math.nan, math.nan, confidence, interval.method)
    return interval


def covered(rows: int, confidence: float) -> float:
    """The share of all such rows that, with this confidence, lie no further out than the furthest of so many: exact
    whatever the distribution. Source: Wilks, Annals of Mathematical Statistics 12 (1941) 91-96."""
    return float((1 - confidence) ** (1 / rows))


def agrees(whole: float, value: float) -> bool:
    """Whether what is resampled is the metric itself."""
    return math.isclose(whole, value, rel_tol=1e-7, abs_tol=1e-9)


def _interval(
    metric: str, sample: Sample | TwoClasses, value: float, draws: Draws | None, confidence: float
) -> Interval | None:
    if isinstance(sample, Sample) and sample.weight is None and metric == "accuracy":
        return wilson(int((sample.label == sample.prediction).sum()), len(sample), confidence)
    if isinstance(sample, TwoClasses) and (metric == "roc_auc" or metric in CALIBRATION_FITS or _is_share(metric)):
        return _closed(metric, sample, confidence)
    if draws is None or not agrees(float(draws.whole[0]), value):
        return None
    return bootstrap_interval(draws.values[0], confidence)


def _is_share(metric: str) -> bool:
    return metric in _PROPORTIONS


def _closed(metric: str, two: TwoClasses, confidence: float) -> Interval | None:
    """An interval that needs no resampling."""
    if metric == "roc_auc":
        return interval_of(two.scores, confidence)
    if metric in CALIBRATION_FITS:
        if two.fit is None:
            return None
        fit = replace(two.fit, confidence=confidence)
        return fit.slope_interval if metric == "calibration_slope" else fit.intercept_interval
    right = int(two.counts[1, 1])
    if metric == "accuracy":
        return wilson(right + int(two.counts[0, 0]), len(two), confidence)
    return wilson(right, two.predicted if metric == "precision" else two.positives, confidence)


def _score_problem(metric: str, sample: Sample | TwoClasses) -> str:
    """Why the scores are no probabilities, where the metric takes them for such."""
    import numpy as np

    if not needs_score(metric):
        return ""
    if isinstance(sample, TwoClasses):
        outside = sample.scores.outside(0, 1) if metric in _PROBABILITIES else 0
        return f"{outside} scores are not within 0 to 1, so not probabilities" if outside else ""
    if sample.score is None:
        return ""
    if metric in _PROBABILITIES or metric.startswith("roc_auc_ov"):
        outside = int((~((sample.score >= 0) & (sample.score <= 1))).sum())
        if outside:
            return f"{outside} scores are not within 0 to 1, so not probabilities"
        if sample.score.ndim == 2:
            off = int((np.abs(sample.score.sum(1) - 1) > 1e-5).sum())
            return f"the probabilities of the classes do not sum to 1 in {off} rows" if off else ""
    return ""


def _undefined(metric: str, sample: Sample | TwoClasses) -> str:
    """Why scikit-learn's answer (often 0.0 with a warning, or an exception) would mean nothing."""
    import numpy as np

    if isinstance(sample, TwoClasses):
        return _undefined_of_two(metric, sample)
    if sample.task == "regression":
        if metric in _VARYING and len(np.unique(sample.label)) < 2:
            return "needs two different values among the labels"
        zeros = int((sample.label == 0).sum()) if metric == "neg_mean_absolute_percentage_error" else 0
        return f"{zeros} labels are 0, of which nothing is a percentage" if zeros else ""
    seen = len(np.unique(sample.label))
    if metric in _TWO_CLASSES and seen < 2:
        return f"only one class among {len(sample)} labels: there is nothing to rank"
    of_each = metric in MULTICLASS_SCORE_METRICS or (sample.task == "multiclass" and metric in OF_TWO_OR_MORE)
    if of_each and (seen < len(sample.classes) or seen < 3):
        return f"needs rows of three classes or more and of each: the labels hold {seen} of {len(sample.classes)}"
    return _undefined_of_two(metric, sample.two) if sample.task == "binary" else ""


def _undefined_of_two(metric: str, two: TwoClasses) -> str:
    positives, predicted = two.positives, two.predicted
    if metric in _TWO_CLASSES and positives in (0, len(two)):
        return f"only one class among {len(two)} labels: there is nothing to rank"
    if metric in ("average_precision", "recall") and not positives:
        return "no label is positive"
    if metric == "precision" and not predicted:
        return "nothing is predicted positive"
    if metric in ("f1", "jaccard") and not positives and not predicted:
        return "no label is positive and nothing is predicted positive"
    if metric in CALIBRATION_FITS and two.fit is None:
        return "no finite fit: a score is exactly 0 or 1, there is only one class, or the classes are wholly apart"
    return ""


def _compute(metric: str, sample: Sample | TwoClasses) -> float:
    from sklearn.metrics import class_likelihood_ratios, get_scorer

    if isinstance(sample, TwoClasses) or metric in OF_LABELS:
        truth, prediction, counts = _counts(sample)
        if metric in _LIKELIHOODS:
            at, sign = _LIKELIHOODS[metric]
            found = class_likelihood_ratios(truth, prediction, sample_weight=counts, replace_undefined_by=1.0)
            return sign * float(found[at])
        given = _given(prediction, None, len(sample.classes))
        return float(get_scorer(metric)(given, truth, truth, sample_weight=counts))
    own = _own_functions().get(metric)
    if own is not None:
        return own(sample)
    scorer = get_scorer(metric)
    given = _given(sample.prediction, sample.score, len(sample.classes))
    return float(scorer(given, sample.label, sample.label))


def _own_functions() -> dict[str, Callable[[Sample], float]]:
    """Metrics that are no scorer, and those whose scorer cannot be told of a class that no row has."""
    from sklearn import metrics

    def of_classes(function: Callable[..., float], sign: int) -> Callable[[Sample], float]:
        return lambda sample: (
            sign * function(sample.label, sample.score, labels=list(range(max(2, len(sample.classes)))))
        )

    return {
        "log_loss": of_classes(metrics.log_loss, 1),
        "neg_log_loss": of_classes(metrics.log_loss, -1),
        "brier_score": of_classes(metrics.brier_score_loss, 1),
        "neg_brier_score": of_classes(metrics.brier_score_loss, -1),
    }


def _given(prediction: Array, score: Array | None, classes: int) -> Any:
    """An estimator that answers what the table says, for a scorer to ask."""
    import numpy as np
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

    probabilities = score
    if score is not None and score.ndim == 1:
        probabilities = np.column_stack([1 - score, score])

    class Given(ClassifierMixin if classes else RegressorMixin, BaseEstimator):  # type: ignore[misc]
        classes_ = np.arange(classes)

        def __sklearn_is_fitted__(self) -> bool:
            return True

        def predict(self, _: Array) -> Array:
            return prediction

        def predict_proba(self, _: Array) -> Array | None:
            return probabilities

    return Given()


def _counts(sample: Sample | TwoClasses) -> tuple[Array, Array, Array]:
    """Truth, prediction and how many rows have both."""
    import numpy as np

    if isinstance(sample, TwoClasses):
        cells, counts = sample.cells
        return cells // 2, cells % 2, counts
    size = max(2, len(sample.classes))
    cells, counts = np.unique(sample.label * size + sample.prediction, return_counts=True)
    return cells // size, cells % size, counts
