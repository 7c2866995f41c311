"""Whether predicted probabilities are what happens: expected calibration error, calibration slope and intercept,
Spiegelhalter's z. Refuses to fit where every row agrees with its prediction or a probability is 0 or 1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlgov.gates.statistics.intervals import Interval, z_of

if TYPE_CHECKING:
    import numpy as np

    from airflow_mlgov.gates.performance.predictions import Sample

    Array = np.ndarray[Any, Any]

BINS = 15
_STEPS = 50


@dataclass(frozen=True)
class Fit:
    """The logistic recalibration of a score."""

    slope: float
    """1 where the probabilities are neither too extreme (below 1) nor too timid (above 1)."""
    intercept: float
    """Calibration in the large, with the slope held at 1: 0 where as many are positive as was predicted, above 0 where
    more are."""
    slope_interval: Interval
    intercept_interval: Interval


def expected_calibration_error(sample: Sample) -> float:
    """The mean over rows of ``|share that happened - mean predicted probability|`` of the row's bin, in 15 bins of
    equal width. Of two classes the probability is the positive one's and what happens is a positive label; of more,
    the probability is the largest and what happens is that its class is right. Biased upwards where rows are few.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation 3.
    """
    import numpy as np

    bins, residual = binned_residuals(sample)
    return float(np.abs(np.bincount(bins, residual, BINS)).sum() / len(sample))


def binned_residuals(sample: Sample) -> tuple[Array, Array]:
    """The bin of each row, and what happened less its probability; both of shape (rows,)."""
    import numpy as np

    if sample.score is None:
        raise ValueError("calibration is of scores")
    if sample.task == "multiclass":
        probability = sample.score.max(axis=1)
        happened = (sample.score.argmax(axis=1) == sample.label).astype(float)
    else:
        probability, happened = sample.score, sample.label.astype(float)
    edges = np.linspace(0.0, 1.0, BINS + 1)
    bins = np.searchsorted(edges[1:-1], probability)  # a bin holds its upper edge, as in the paper
    return bins, happened - probability


def recalibration(label: Array, probability: Array, confidence: float) -> Fit | None:
    """Logistic regression of the label on the log odds of its probability, with Wald intervals; None if there is no
    finite fit: a probability of 0 or 1, one class, one probability alone, classes wholly apart.

    Source: Cox, Biometrika 45 (1958) 562-565; Van Calster et al., Journal of Clinical Epidemiology 74 (2016) 167-176.

    :param label: 0 and 1, shape (rows,)
    :param probability: of 1, shape (rows,)
    """
    import numpy as np

    if not ((probability > 0) & (probability < 1)).all() or len(np.unique(label)) < 2:
        return None
    odds = np.log(probability / (1 - probability))
    both = _newton(np.column_stack([np.ones_like(odds), odds]), np.zeros_like(odds), label)
    shift = _newton(np.ones((len(odds), 1)), odds, label)
    if both is None or shift is None:
        return None
    slope, intercept = both[0][1], shift[0][0]
    return Fit(
        float(slope),
        float(intercept),
        _wald(slope, both[1][1], confidence),
        _wald(intercept, shift[1][0], confidence),
    )


def spiegelhalter_z(label: Array, probability: Array) -> float:
    """Standard normal where the probabilities are calibrated; NaN where each is 0, 1/2 or 1.

    Source: Spiegelhalter, Statistics in Medicine 5 (1986) 421-433.
    """
    import numpy as np

    tilt = 1 - 2 * probability
    variance = float(np.sum(tilt**2 * probability * (1 - probability)))
    return float(np.sum((label - probability) * tilt)) / math.sqrt(variance) if variance > 0 else math.nan


def _newton(design: Array, offset: Array, label: Array) -> tuple[Array, Array] | None:
    """Coefficients of a logistic regression and their standard errors; None where it does not converge."""
    import numpy as np

    coefficients = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        fitted = 1 / (1 + np.exp(-np.clip(offset + design @ coefficients, -500, 500)))
        information = design.T @ (design * (fitted * (1 - fitted))[:, None])
        try:
            step = np.linalg.solve(information, design.T @ (label - fitted))
            variances = np.diag(np.linalg.inv(information))
        except np.linalg.LinAlgError:
            return None
        if not (variances > 0).all():  # classes that are nearly apart: rounding is all that is left
            return None
        coefficients = coefficients + step
        if not np.isfinite(coefficients).all() or np.abs(coefficients).max() > 1e3:
            return None
        if np.abs(step).max() < 1e-10:
            errors = np.sqrt(variances)
            return (coefficients, errors) if np.isfinite(errors).all() else None
    return None


def _wald(middle: float, error: float, confidence: float) -> Interval:
    half = z_of(confidence) * error
    return Interval(float(middle - half), float(middle + half), confidence, "wald")
