"""The performance gate: metrics of a predictions table against bounds, and against the champion on the same rows.
Refuses to drop rows, to guess the positive label, to compare unlike rows, and to pass where no champion was there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import VS_CHAMPION, BoundsLike, MetricBound, parse_bounds, settle
from airflow_mlgov.gates.columns import binary_columns, missing_problem, numeric_column
from airflow_mlgov.results import Check, GateResult, Outcome, Severity, Subject

if TYPE_CHECKING:
    import pandas as pd

SCORE_METRICS = ("roc_auc", "average_precision", "log_loss", "brier_score")
LABEL_METRICS = ("accuracy", "precision", "recall", "f1")
REGRESSION_METRICS = ("rmse", "mae", "r2")
METRICS = (*SCORE_METRICS, *LABEL_METRICS, *REGRESSION_METRICS)
KNOWN_METRICS = (*METRICS, *(metric + VS_CHAMPION for metric in METRICS))

_PROBABILITY_METRICS = ("log_loss", "brier_score")


@dataclass(frozen=True)
class Columns:
    """Which columns of a predictions table mean what."""

    label: str
    """The truth."""
    score: str | None = None
    """The probability (or any ranking score) of the positive label."""
    prediction: str | None = None
    """The predicted label, or the predicted number of a regression."""
    positive_label: Any = None
    """Needed unless labels are 0 and 1."""
    threshold: float = 0.5
    """Without a prediction column a row is predicted positive where its score reaches this."""
    row_id: str | None = None
    """Names a row in both the candidate's and the champion's table."""

    @property
    def needed(self) -> list[str]:
        """The columns to read."""
        return [name for name in (self.row_id, self.label, self.score, self.prediction) if name is not None]


@dataclass(frozen=True)
class Estimate:
    """One metric of one table: a number, or the reason why there is none."""

    value: float | None
    reason: str = ""
    outcome: Outcome = Outcome.INCONCLUSIVE
    """How a check on it ends when there is no number."""


@dataclass(frozen=True)
class _Prepared:
    label: pd.Series
    score: pd.Series | None
    prediction: pd.Series | None
    problems: tuple[str, ...] = field(default=())
    """Missing or infinite values: nothing is computed then."""


def evaluate_performance(
    data: str,
    *,
    subject: Subject,
    label: str,
    bounds: BoundsLike,
    score: str | None = None,
    prediction: str | None = None,
    positive_label: Any = None,
    threshold: float = 0.5,
    baseline: str | None = None,
    row_id: str | None = None,
    on_no_champion: Literal["record", "fail"] = "record",
) -> GateResult:
    """Judge a model's predictions on held-out rows.

    :param data: csv or parquet file(s) with one row per prediction
    :param subject: the model version that made the predictions
    :param bounds: metric -> bound; ``roc_auc_vs_champion`` bounds candidate minus champion
    :param score: column with the score of the positive label; wanted by roc_auc, average_precision, log_loss,
        brier_score
    :param prediction: column with the predicted label (or number); made from score and threshold where None
    :param baseline: the champion's predictions on the same rows, in columns of the same names; None: no champion yet
    :param row_id: column that aligns the two tables; without it they must have identical labels in identical order
    :param on_no_champion: what a ``_vs_champion`` bound says without a baseline: an info check, or FAIL
    :raises ConfigurationError: a bound, a column, the labels or the baseline are not what the gate can judge
    """
    from airflow_mlgov.gates.inputs import evaluation_digest, read_dataset

    started_at = datetime.now(UTC)
    columns = Columns(label, score, prediction, positive_label, threshold, row_id)
    parsed = parse_bounds(bounds, KNOWN_METRICS)
    _require_columns_for(parsed, columns)
    if on_no_champion not in ("record", "fail"):
        raise ConfigurationError(f'on_no_champion must be "record" or "fail", not {on_no_champion!r}')
    table, dataset = read_dataset(data, columns.needed)
    inputs = [dataset]
    champion = None
    if baseline is not None:
        champion, champion_dataset = read_dataset(baseline, columns.needed)
        inputs.append(champion_dataset)
    checks, details = judge_predictions(table, champion, columns, parsed, on_no_champion=on_no_champion)
    case = [label, row_id] if row_id else [label]
    return GateResult(
        gate="performance",
        subject=subject,
        checks=checks,
        inputs=tuple(inputs),
        details={**details, "evaluation_sha256": evaluation_digest(table, case)},
        libraries=_libraries(),
        started_at=started_at,
    )


def judge_predictions(
    table: pd.DataFrame,
    champion: pd.DataFrame | None,
    columns: Columns,
    bounds: Sequence[MetricBound],
    *,
    on_no_champion: Literal["record", "fail"] = "record",
) -> tuple[tuple[Check, ...], dict[str, Any]]:
    """The gate without its files: predictions in, checks and details out.

    :raises ConfigurationError: a column, the labels or the champion's rows are not what the gate can judge
    """
    _require_columns_for(bounds, columns)
    regression = _is_regression(bounds)
    candidate = _prepare(table, columns, regression, "candidate")
    details: dict[str, Any] = {"rows": len(table), "task": "regression" if regression else "binary classification"}
    if not regression and columns.prediction is None:
        details["prediction"] = f"{columns.score} >= {columns.threshold:g}"
    checks = [_data_check("data", problem) for problem in candidate.problems]
    estimates = _estimates(candidate, regression)
    if not candidate.problems and not regression:
        details["positives"] = int(candidate.label.sum())

    baseline: Mapping[str, Estimate] | None = None
    if champion is not None:
        aligned = _align(table, champion, columns)
        prepared = _prepare(aligned, columns, regression, "champion")
        checks += [_data_check("baseline", problem) for problem in prepared.problems]
        baseline = _estimates(prepared, regression)

    for item in bounds:
        estimate = estimates[item.base_metric]
        if not item.relative_to_champion:
            checks.append(_absolute_check(item, estimate))
        elif baseline is None:
            checks.append(_no_champion_check(item, estimate, on_no_champion))
        else:
            checks.append(_change_check(item, estimate, baseline[item.base_metric]))
    bounded = {item.metric for item in bounds}
    checks += [_info_check(name, estimate) for name, estimate in estimates.items() if name not in bounded]
    return tuple(checks), details


def _require_columns_for(bounds: Sequence[MetricBound], columns: Columns) -> None:
    asked = [item.base_metric for item in bounds]
    regression = [metric for metric in asked if metric in REGRESSION_METRICS]
    classification = [metric for metric in asked if metric not in REGRESSION_METRICS]
    if regression and classification:
        raise ConfigurationError(
            f"{regression[0]} is of a regression and {classification[0]} of a classification: bound only one kind"
        )
    if regression and columns.prediction is None:
        raise ConfigurationError(f"{regression[0]} needs the prediction column: name it as prediction")
    for metric in classification:
        if metric in SCORE_METRICS and columns.score is None:
            raise ConfigurationError(f"{metric} needs scores, not predicted labels: name the column as score")
    if columns.score is None and columns.prediction is None:
        raise ConfigurationError("name a score column, a prediction column, or both")
    if columns.label in (columns.score, columns.prediction):
        raise ConfigurationError(f'column "{columns.label}" is named as the label and as what predicts it')
    if isinstance(columns.threshold, bool) or not math.isfinite(columns.threshold):
        raise ConfigurationError(f"the threshold must be a number, not {columns.threshold!r}")


def _is_regression(bounds: Sequence[MetricBound]) -> bool:
    return any(item.base_metric in REGRESSION_METRICS for item in bounds)


def _prepare(table: pd.DataFrame, columns: Columns, regression: bool, whose: str) -> _Prepared:
    if table.empty:
        raise ConfigurationError(f"the {whose}'s predictions table has no rows")
    roles = {"label": columns.label, "score": None if regression else columns.score, "prediction": columns.prediction}
    present = {role: table[name] for role, name in roles.items() if name is not None}
    problems = [missing_problem(column, f"{whose}'s {role}") for role, column in present.items()]
    if any(problems):
        found = tuple(problem for problem in problems if problem)
        return _Prepared(present["label"], present.get("score"), present.get("prediction"), found)
    score = numeric_column(present["score"], "score") if "score" in present else None
    if regression:
        label, prediction = (numeric_column(present[role], role) for role in ("label", "prediction"))
        return _Prepared(label, None, prediction)
    binary = binary_columns({r: present[r] for r in ("label", "prediction") if r in present}, columns.positive_label)
    if "prediction" not in binary and score is not None:
        binary["prediction"] = (score >= columns.threshold).astype("int64")
    return _Prepared(binary["label"], score, binary["prediction"])


def _align(table: pd.DataFrame, champion: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """The champion's rows in the candidate's order."""
    if columns.row_id is None:
        if len(table) != len(champion):
            raise ConfigurationError(
                f"the baseline has {len(champion)} rows and the candidate {len(table)}: both must predict the same "
                f"rows; name a row_id column, or score the champion on the candidate's rows"
            )
        aligned = champion.reset_index(drop=True)
    else:
        aligned = _align_by_id(table, champion, columns.row_id)
    mine, theirs = table[columns.label].reset_index(drop=True).astype(object), aligned[columns.label].astype(object)
    unlike = int(((mine != theirs) & ~(mine.isna() & theirs.isna())).sum())
    if unlike:
        hint = "" if columns.row_id else "; if the order differs, name a row_id column"
        raise ConfigurationError(
            f'the label column "{columns.label}" of the baseline differs from the candidate\'s in {unlike} of '
            f"{len(mine)} rows: they are not the same rows{hint}"
        )
    return aligned


def _align_by_id(table: pd.DataFrame, champion: pd.DataFrame, row_id: str) -> pd.DataFrame:
    for whose, frame in (("candidate", table), ("baseline", champion)):
        missing, twice = int(frame[row_id].isna().sum()), int(frame[row_id].duplicated().sum())
        if missing or twice:
            raise ConfigurationError(
                f'row_id column "{row_id}" does not name rows: the {whose} has {missing} without and {twice} repeated'
            )
    mine, theirs = set(table[row_id]), set(champion[row_id])
    if mine != theirs:
        raise ConfigurationError(
            f'by row_id "{row_id}" {len(mine - theirs)} of the candidate\'s rows are not in the baseline and '
            f"{len(theirs - mine)} of the baseline's not in the candidate: both must predict the same rows"
        )
    return champion.set_index(row_id, drop=False).loc[list(table[row_id])].reset_index(drop=True)


def _estimates(prepared: _Prepared, regression: bool) -> dict[str, Estimate]:
    """Every metric that the columns allow."""
    names: tuple[str, ...] = REGRESSION_METRICS
    if not regression:
        names = LABEL_METRICS if prepared.score is None else SCORE_METRICS + LABEL_METRICS
    if prepared.problems:
        return dict.fromkeys(names, Estimate(None, "; ".join(prepared.problems), Outcome.ERROR))
    return {name: _estimate(name, prepared) for name in names}


def _estimate(name: str, prepared: _Prepared) -> Estimate:
    outside = 0
    if name in _PROBABILITY_METRICS and prepared.score is not None:
        outside = int((~prepared.score.between(0, 1)).sum())
    if outside:
        return Estimate(None, f"{outside} scores are not within 0 to 1, so not probabilities", Outcome.ERROR)
    reason = _undefined(name, prepared)
    if reason:
        return Estimate(None, reason)
    scores = prepared.score if name in SCORE_METRICS else prepared.prediction
    value = float(_functions()[name](prepared.label, scores))
    return Estimate(value) if math.isfinite(value) else Estimate(None, f"{name} came out as {value}")


def _undefined(name: str, prepared: _Prepared) -> str:
    """Why scikit-learn's answer (often 0.0 with a warning, or an exception) would mean nothing."""
    label = prepared.label
    if name == "r2":
        return "needs two different values among the labels" if label.nunique() < 2 else ""
    if name == "roc_auc" and label.nunique() < 2:
        return f"only one class among {len(label)} labels: there is nothing to rank"
    if name in ("average_precision", "recall") and not label.any():
        return "no label is positive"
    if prepared.prediction is not None and not prepared.prediction.any():
        if name == "precision":
            return "nothing is predicted positive"
        if name == "f1" and not label.any():
            return "no label is positive and nothing is predicted positive"
    return ""


def _functions() -> dict[str, Callable[[Any, Any], float]]:
    from sklearn import metrics

    return {
        "roc_auc": metrics.roc_auc_score,
        "average_precision": metrics.average_precision_score,
        "log_loss": lambda label, score: metrics.log_loss(label, score, labels=[0, 1]),
        "brier_score": lambda label, score: metrics.brier_score_loss(label, score, pos_label=1),
        "accuracy": metrics.accuracy_score,
        "precision": metrics.precision_score,
        "recall": metrics.recall_score,
        "f1": metrics.f1_score,
        "rmse": metrics.root_mean_squared_error,
        "mae": metrics.mean_absolute_error,
        "r2": metrics.r2_score,
    }


def _data_check(name: str, problem: str) -> Check:
    mend = "remove or repair those rows before predictions are judged; the gate drops none"
    return Check(name, Outcome.ERROR, detail=f"{problem}: {mend}")


def _absolute_check(item: MetricBound, estimate: Estimate) -> Check:
    if estimate.value is None:
        return Check(item.metric, estimate.outcome, None, item.bound, item.severity, estimate.reason)
    observed = settle(estimate.value)
    return Check(item.metric, item.bound.judge(observed), observed, item.bound, item.severity)


def _change_check(item: MetricBound, candidate: Estimate, champion: Estimate) -> Check:
    values = {"candidate": candidate.value, "champion": champion.value}
    if candidate.value is None or champion.value is None:
        blame = candidate if candidate.value is None else champion
        return Check(item.metric, blame.outcome, None, item.bound, item.severity, blame.reason, values)
    change = settle(candidate.value - champion.value)
    detail = f"candidate {candidate.value:.4g}, champion {champion.value:.4g} on the same rows"
    return Check(item.metric, item.bound.judge(change), change, item.bound, item.severity, detail, values)


def _no_champion_check(item: MetricBound, candidate: Estimate, on_no_champion: str) -> Check:
    values = {"candidate": candidate.value, "champion": None}
    detail = "no champion yet: nothing to compare with"
    if on_no_champion == "fail":
        detail += '; give the champion\'s predictions as baseline, or set on_no_champion to "record"'
        return Check(item.metric, Outcome.FAIL, None, item.bound, item.severity, detail, values)
    return Check(item.metric, Outcome.INCONCLUSIVE, None, item.bound, Severity.INFO, detail, values)


def _info_check(name: str, estimate: Estimate) -> Check:
    if estimate.value is None:
        return Check(name, estimate.outcome, severity=Severity.INFO, detail=estimate.reason)
    return Check(name, Outcome.PASS, settle(estimate.value), severity=Severity.INFO, detail="recorded, no bound")


def _libraries() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("scikit-learn", "pandas", "numpy")}
