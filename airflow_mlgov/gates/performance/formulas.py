"""A metric's number by arithmetic alone: scikit-learn's, without the second that its import takes. Refuses whatever
scikit-learn treats as a special case: that is asked of scikit-learn itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from airflow_mlgov.gates.performance.calibration import calibration_error, expected_calibration_error
from airflow_mlgov.gates.performance.predictions import Sample
from airflow_mlgov.gates.performance.resampling import ROW_METRICS, label_metric
from airflow_mlgov.gates.performance.two_classes import TwoClasses
from airflow_mlgov.gates.statistics.ranked import Ranked

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_OF_COUNTS = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "jaccard", "matthews_corrcoef")
_OF_SCORES = (
    "roc_auc", "average_precision", "log_loss", "neg_log_loss", "brier_score", "neg_brier_score", "d2_log_loss_score",
    "d2_brier_score", "expected_calibration_error",
)  # fmt: skip
_OF_ROWS = (
    "rmse", "neg_root_mean_squared_error", "neg_mean_squared_error", "mae", "neg_mean_absolute_error",
    "neg_median_absolute_error", "r2",
)  # fmt: skip
_OF_FITS = ("calibration_slope", "calibration_intercept")
FORMULAS = (*_OF_COUNTS, *_OF_SCORES, *_OF_ROWS, *_OF_FITS)
"""Not among them: deviances, logarithms and percentages of quantities, and likelihood ratios, some numbers of which
scikit-learn refuses; the explained variance, which cancels to less than nine digits here."""


def by_formula(metric: str, sample: Sample | TwoClasses) -> float | None:
    """The metric of a sample without problems; None where scikit-learn must be asked, as it is about more than two
    classes and wherever a denominator is 0.

    The formulas are the ones that are resampled for intervals; equal to scikit-learn's answers to 1e-9 in the tests.
    """
    if isinstance(sample, TwoClasses):
        found = _of_two(metric, sample)
    elif sample.task == "binary":
        found = _of_two(metric, sample.two)
    else:
        found = _of_rows(metric, sample)
    return found if found is not None and math.isfinite(found) else None


def _of_rows(metric: str, sample: Sample) -> float | None:
    import numpy as np

    if sample.task == "multiclass":
        return expected_calibration_error(sample) if metric == "expected_calibration_error" else None
    return float(ROW_METRICS[metric](sample)(np.ones((1, len(sample))))[0]) if metric in _OF_ROWS else None


def _of_two(metric: str, two: TwoClasses) -> float | None:
    if metric in _OF_COUNTS:
        return float(label_metric(metric, two.counts[None])[0])
    if metric in _OF_FITS:
        if two.fit is None:
            return None
        return two.fit.slope if metric == "calibration_slope" else two.fit.intercept
    return _of_scores(metric, two.scores) if metric in _OF_SCORES else None


def _of_scores(metric: str, ranked: Ranked) -> float:
    if metric == "roc_auc":
        return ranked.area.value
    if metric == "average_precision":
        return ranked.average_precision
    if metric == "expected_calibration_error":
        return calibration_error(ranked)
    share = len(ranked.positives) / len(ranked)
    if metric in ("brier_score", "neg_brier_score", "d2_brier_score"):
        loss = ranked.total(lambda p: (1 - p) ** 2, lambda p: p**2) / len(ranked)
        of_nobody = share * (1 - share)
    else:
        loss = ranked.total(_lost, lambda p: _lost(1 - p)) / len(ranked)
        of_nobody = -sum(part * math.log(part) for part in (share, 1 - share) if part)
    if metric.startswith("d2_"):
        return 1 - loss / of_nobody if of_nobody else math.nan
    return -loss if metric.startswith("neg_") else loss


def _lost(given: Array) -> Array:
    """What is lost where this probability was given to what happened."""
    import numpy as np

    smallest = np.finfo(float).eps
    losses: Array = -np.log(np.clip(given, smallest, 1 - smallest))
    return losses
