"""A metric's number by arithmetic alone: scikit-learn's, without the second that its import takes. Refuses whatever
scikit-learn treats as a special case: that is asked of scikit-learn itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from airflow_mlgov.gates.performance.calibration import expected_calibration_error, recalibration
from airflow_mlgov.gates.performance.predictions import Sample
from airflow_mlgov.gates.performance.resampling import ROW_METRICS, label_metric
from airflow_mlgov.gates.statistics.delong import placements

if TYPE_CHECKING:
    import numpy as np

_OF_COUNTS = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "jaccard", "matthews_corrcoef")
_OF_ROWS = (
    "average_precision", "log_loss", "neg_log_loss", "brier_score", "neg_brier_score", "d2_log_loss_score",
    "d2_brier_score", "rmse", "neg_root_mean_squared_error", "neg_mean_squared_error", "mae",
    "neg_mean_absolute_error", "neg_median_absolute_error", "r2",
)  # fmt: skip
_OF_FITS = ("calibration_slope", "calibration_intercept")
FORMULAS = (*_OF_COUNTS, *_OF_ROWS, *_OF_FITS, "roc_auc", "expected_calibration_error")
"""Not among them: deviances, logarithms and percentages of quantities, and likelihood ratios, some numbers of which
scikit-learn refuses; the explained variance, which cancels to less than nine digits here."""


def by_formula(metric: str, sample: Sample) -> float | None:
    """The metric of a sample without problems; None where scikit-learn must be asked, as it is about more than two
    classes and wherever a denominator is 0.

    The formulas are the ones that are resampled for intervals; equal to scikit-learn's answers to 1e-9 in the tests.
    """
    found = _compute(metric, sample)
    return found if found is not None and math.isfinite(found) else None


def _compute(metric: str, sample: Sample) -> float | None:
    import numpy as np

    if metric == "expected_calibration_error":
        return expected_calibration_error(sample)
    if sample.task == "multiclass":
        return None
    if metric in _OF_COUNTS:
        return float(label_metric(metric, _confusion(sample))[0])
    if metric in _OF_ROWS:
        return float(ROW_METRICS[metric](sample)(np.ones((1, len(sample))))[0])
    score = np.asarray(sample.score, dtype=float)
    if metric == "roc_auc":
        of_positives, _ = placements(sample.label, [score])
        return float(of_positives.mean())
    if metric in _OF_FITS:
        fit = recalibration(sample.label, score, 0.95)
        if fit is not None:
            return fit.slope if metric == "calibration_slope" else fit.intercept
    return None


def _confusion(sample: Sample) -> np.ndarray[Any, Any]:
    import numpy as np

    return np.bincount(2 * sample.label + sample.prediction, minlength=4).reshape(1, 2, 2)
