"""What the fairness gate can measure: the rates of a group and the ways to compare groups by them. Imports nothing
heavy because policies and DAG files are checked against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from airflow_mlgov.gates.bounds import VS_CHAMPION

How = Literal["difference", "ratio", "group_min", "group_max", "disparity"]
Task = Literal["binary", "multiclass", "regression"]
TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")

DENOMINATORS = {
    "selection_rate": "rows",
    "true_positive_rate": "positives",
    "false_positive_rate": "negatives",
    "false_negative_rate": "positives",
    "accuracy": "rows",
    "precision": "selected",
    "true_negative_rate": "negatives",
    "false_omission_rate": "unselected",
    "false_discovery_rate": "selected",
    "negative_predictive_value": "unselected",
    "predicted_positive_rate": "selected",
}
"""Rates of a confusion matrix -> what they are a share of, which must be numerous enough. ``predicted_positive_rate``
is a group's share of all who are predicted positive."""

NEEDS: Mapping[str, tuple[str, ...]] = {
    **{rate: (counted,) for rate, counted in DENOMINATORS.items()},
    "roc_auc": ("positives", "negatives"),
}
"""What a group needs enough of, beside rows."""

RATES = tuple(DENOMINATORS)[:6]
"""The rates that are recorded whatever is bounded."""

SCORE_MEASURES = ("roc_auc", "expected_calibration_error", "calibration_in_the_large")
"""Of a group's scores. Calibration in the large is the mean score less the share of positives."""

ERROR_MEASURES = ("mean_error", "mean_absolute_error", "mean_prediction")
"""Of a regression. An error is the prediction less the truth, in the label's unit."""

AEQUITAS = {
    "tpr": "true_positive_rate",
    "tnr": "true_negative_rate",
    "fpr": "false_positive_rate",
    "fnr": "false_negative_rate",
    "for": "false_omission_rate",
    "fdr": "false_discovery_rate",
    "npv": "negative_predictive_value",
    "precision": "precision",
    "pprev": "selection_rate",
    "ppr": "predicted_positive_rate",
}
"""Aequitas' abbreviation -> rate. ``fpr_disparity`` is a group's rate divided by the reference group's, for every
group; Aequitas calls 0.8 to 1.25 fair (tau = 0.8). Source: Saleiro et al., arXiv:1811.05577."""

_FAMILIES: Mapping[str, tuple[str, ...]] = {
    "demographic_parity": ("selection_rate",),
    "equalized_odds": ("true_positive_rate", "false_positive_rate"),
    "equal_opportunity": ("true_positive_rate",),
}
_SPREADS: tuple[How, ...] = ("difference", "ratio")
_HOWS: tuple[How, ...] = ("difference", "ratio", "group_min", "group_max")
_SIGNED = ("mean_error", "calibration_in_the_large")
"""Measures around zero, of which no ratio means anything."""


@dataclass(frozen=True)
class FairnessMetric:
    """One comparison of groups."""

    name: str
    measures: tuple[str, ...]
    """What is computed for each group; of two, the worse comparison counts."""
    how: How


def _all() -> dict[str, FairnessMetric]:
    found: list[FairnessMetric] = []
    for family, rates in _FAMILIES.items():
        found += [FairnessMetric(f"{family}_{how}", rates, how) for how in _SPREADS]
    for measure in (*tuple(DENOMINATORS)[:7], *SCORE_MEASURES, *ERROR_MEASURES):
        hows = [how for how in _HOWS if how != "ratio" or measure not in _SIGNED]
        found += [FairnessMetric(f"{measure}_{how}", (measure,), how) for how in hows]
    found += [FairnessMetric(f"{short}_disparity", (rate,), "disparity") for short, rate in AEQUITAS.items()]
    return {metric.name: metric for metric in found}


FAIRNESS_METRICS = _all()
"""Name -> metric. Differences are the largest value less the smallest, ratios the smallest by the largest (with a
reference, or ``method: to_overall``: each group against that); equalized odds takes the worse of its two rates. The
names and formulas are Fairlearn's (``fairlearn.metrics``), ``*_disparity`` are Aequitas'."""


def is_binary(measure: str) -> bool:
    """Whether it is a rate of a confusion matrix."""
    return measure in DENOMINATORS


METRICS = (
    *FAIRNESS_METRICS,
    *(name + VS_CHAMPION for name, metric in FAIRNESS_METRICS.items() if metric.how != "disparity"),
)
"""What can be bounded; ``_vs_champion`` bounds the change of a comparison against the champion's, on the same
rows."""
