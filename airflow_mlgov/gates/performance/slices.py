"""A model's metrics on slices of the rows. Refuses to rank or to rate the few rows of a class that a slice may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_mlgov.gates.bounds import settle
from airflow_mlgov.gates.performance.estimates import Estimate, estimate_all, point
from airflow_mlgov.gates.performance.scorers import OF_TWO_OR_MORE
from airflow_mlgov.gates.slices import Estimated, Sliced, SliceRules, cut_by
from airflow_mlgov.gates.statistics.intervals import Decide, Interval, judge
from airflow_mlgov.gates.statistics.weights import effective_size
from airflow_mlgov.results import Bound, Outcome

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from airflow_mlgov.gates.performance.predictions import Sample

    Array = np.ndarray[Any, Any]

LEAST_OF_A_CLASS = 10
"""Rows of a class that a slice needs before a rate over them, or a ranking of them, counts as an estimate."""
_OF_BOTH = (
    "roc_auc", "calibration_slope", "calibration_intercept", "balanced_accuracy", "matthews_corrcoef",
    "positive_likelihood_ratio", "neg_negative_likelihood_ratio", "d2_log_loss_score", "d2_brier_score",
)  # fmt: skip
_OF_POSITIVES = ("average_precision", "recall", "f1", "jaccard")


@dataclass(frozen=True)
class OfSlice:
    """A metric of one slice. Its interval is estimated once somebody asks: of a thousand slices few are listed."""

    sample: Sample
    rows: Array
    metric: str
    confidence: float
    point: Estimate

    @property
    def value(self) -> float | None:
        """The number."""
        return self.point.value

    @property
    def reason(self) -> str:
        """Why there is no number."""
        return self.point.reason

    @property
    def outcome(self) -> Outcome:
        """How a check on it ends when there is no number."""
        return self.point.outcome

    @cached_property
    def interval(self) -> Interval | None:
        """How sure it is."""
        if self.value is None:
            return None
        return estimate_all(self.sample.take(self.rows), [self.metric], self.confidence)[self.metric].interval


def cut(
    table: pd.DataFrame, sample: Sample, metrics: Sequence[str], rules: SliceRules, confidence: float
) -> list[Sliced]:
    """Estimate the metrics on every slice that has enough rows.

    :param table: the rows of ``sample``, in its order
    """

    def estimates(rows: Array) -> Mapping[str, Estimated]:
        part = sample.take(rows)
        if part.weight is not None and effective_size(part.weight) < rules.min_size:
            reason = f"an effective sample size below {rules.min_size} by its weights"
            return {metric: Estimate(None, reason) for metric in metrics}
        return {metric: OfSlice(sample, rows, metric, confidence, _point(metric, part)) for metric in metrics}

    return [cut_by(table, by, rules, estimates) for by in rules.columns]


def held(bound: Bound, estimate: Estimated, decide: Decide) -> Outcome:
    """How a bound ends on a slice's estimate."""
    interval = estimate.interval if decide == "interval" else None
    return judge(bound, estimate.value and settle(estimate.value), interval, decide)


def _point(metric: str, part: Sample) -> Estimate:
    reason = _too_few(metric, part)
    return Estimate(None, reason) if reason else point(metric, part)


def _too_few(metric: str, part: Sample) -> str:
    """Why so few rows of a class say nothing; how many there are is not said because they are few."""
    import numpy as np

    counts = _of_classes(part) if part.task != "regression" else np.array([])
    of_each = metric.startswith("roc_auc_ov") or metric in OF_TWO_OR_MORE
    if part.task == "multiclass" and of_each and counts.min() < LEAST_OF_A_CLASS:
        return f"fewer than {LEAST_OF_A_CLASS} rows of a class"
    if part.task != "binary":
        return ""
    if metric in (*_OF_BOTH, *_OF_POSITIVES) and counts[1] < LEAST_OF_A_CLASS:
        return f"fewer than {LEAST_OF_A_CLASS} rows with a positive label"
    if metric in _OF_BOTH and counts[0] < LEAST_OF_A_CLASS:
        return f"fewer than {LEAST_OF_A_CLASS} rows with a negative label"
    if metric == "precision" and _worth(part, part.prediction == 1) < LEAST_OF_A_CLASS:
        return f"fewer than {LEAST_OF_A_CLASS} rows predicted positive"
    return ""


def _of_classes(part: Sample) -> Array:
    import numpy as np

    return np.array([_worth(part, part.label == one) for one in range(len(part.classes))])


def _worth(part: Sample, rows: Array) -> float:
    """How many rows there are; by their weights, how many equally weighted ones they are worth."""
    return float(rows.sum()) if part.weight is None else effective_size(part.weight[rows])
