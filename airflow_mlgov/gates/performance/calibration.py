"""Whether predicted probabilities are what happens: expected calibration error, calibration slope and intercept,
Spiegelhalter's z. Refuses to fit where every row agrees with its prediction or a probability is 0 or 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlgov.gates.statistics.intervals import Interval, z_of
from airflow_mlgov.gates.statistics.ranked import Ranked, parts, rank

if TYPE_CHECKING:
    import numpy as np

    from airflow_mlgov.gates.performance.predictions import Sample

    Array = np.ndarray[Any, Any]

BINS = 15
_STEPS = 50
_CONVERGED = 1e-9
"""Of a step; the next one would be of the order of its square."""
_CELLS = 1 << 15
"""Rows of a label up to which a fit is of the rows; of more it starts from the means of so many runs of them, and ends
on the rows."""


@dataclass(frozen=True)
class Fit:
    """The logistic recalibration of a score."""

    slope: float
    """1 where the probabilities are neither too extreme (below 1) nor too timid (above 1)."""
    intercept: float
    """Calibration in the large, with the slope held at 1: 0 where as many are positive as was predicted, above 0 where
    more are."""
    slope_error: float
    intercept_error: float
    """Standard errors."""
    confidence: float

    @property
    def slope_interval(self) -> Interval:
        """Wald's."""
        return _wald(self.slope, self.slope_error, self.confidence)

    @property
    def intercept_interval(self) -> Interval:
        """Wald's."""
        return _wald(self.intercept, self.intercept_error, self.confidence)


def expected_calibration_error(sample: Sample) -> float:
    """The mean over rows of ``|share that happened - mean predicted probability|`` of the row's bin, in 15 bins of
    equal width. Of two classes the probability is the positive one's and what happens is a positive label; of more,
    the probability is the largest and what happens is that its class is right. Biased upwards where rows are few.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation 3.
    """
    import numpy as np

    bins, residual = binned_residuals(sample)
    return float(np.abs(np.bincount(bins, residual, BINS)).sum() / len(sample))


def calibration_error(ranked: Ranked) -> float:
    """See :func:`expected_calibration_error`."""
    import numpy as np

    edges, residuals = np.linspace(0.0, 1.0, BINS + 1)[1:-1], np.zeros(BINS)
    for side, happened in ((ranked.negatives, 0.0), (ranked.positives, 1.0)):
        ends = [0, *np.searchsorted(side, edges, "right"), len(side)]
        for at in range(BINS):
            sums = [float((happened - part).sum()) for _, part in parts(side[ends[at] : ends[at + 1]])]
            residuals[at] += math.fsum(sums)
    return math.fsum(np.abs(residuals)) / len(ranked)


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
    return recalibrated(rank(label, probability), confidence)


def recalibrated(ranked: Ranked, confidence: float = 0.95) -> Fit | None:
    """See :func:`recalibration`."""
    import numpy as np

    sides = (ranked.negatives, ranked.positives)
    if not all(len(side) and side[0] > 0 and side[-1] < 1 for side in sides):
        return None
    runs = [_runs(side) for side in sides]
    fits = []
    for free, start in ((2, np.zeros(2)), (1, np.array([0.0, 1.0]))):
        found = _newton(lambda: enumerate(runs), start, free)
        if any((counts > 1).any() for _, counts in runs):
            begun = start if found is None else found[0]
            found = _newton(lambda: _rows(sides), begun, free)
        fits.append(found)
    both, shift = fits
    if both is None or shift is None:
        return None
    return Fit(float(both[0][1]), float(shift[0][0]), float(both[1][1]), float(shift[1][0]), confidence)


def spiegelhalter_z(label: Array, probability: Array) -> float:
    """Standard normal where the probabilities are calibrated; NaN where each is 0, 1/2 or 1.

    Source: Spiegelhalter, Statistics in Medicine 5 (1986) 421-433.
    """
    return spiegelhalter(rank(label, probability))


def spiegelhalter(ranked: Ranked) -> float:
    """See :func:`spiegelhalter_z`."""
    variance = ranked.total(*[lambda p: (1 - 2 * p) ** 2 * p * (1 - p)] * 2)
    residual = ranked.total(lambda p: (1 - p) * (1 - 2 * p), lambda p: -p * (1 - 2 * p))
    return residual / math.sqrt(variance) if variance > 0 else math.nan


def _odds(probability: Array) -> Array:
    import numpy as np

    result: Array = np.log(probability / (1 - probability))
    return result


def _runs(side: Array) -> tuple[Array, Array]:
    """The mean log odds of runs of sorted probabilities, and how many each run has."""
    import numpy as np

    length = 1 + len(side) // _CELLS
    means, counts = [], []
    for _, part in parts(side):
        starts = np.arange(0, len(part), length)
        counts.append(np.diff(np.append(starts, len(part))))
        means.append(np.add.reduceat(_odds(part), starts) / counts[-1])
    return np.concatenate(means), np.concatenate(counts)


def _rows(sides: Iterable[Array]) -> Iterator[tuple[int, tuple[Array, int]]]:
    for label, side in enumerate(sides):
        for _, part in parts(side):
            yield label, (_odds(part), 1)


def _newton(
    cells: Callable[[], Iterable[tuple[int, tuple[Array, Any]]]], start: Array, free: int
) -> tuple[Array, Array] | None:
    """Intercept and slope of a logistic regression on the log odds and their standard errors; None where it does not
    converge.

    :param cells: gives the label, the log odds, and how many rows have them
    :param free: how many of the two are fitted
    """
    import numpy as np

    coefficients = start.astype(float)
    for _ in range(_STEPS):
        gradient, information = _moments(cells(), coefficients)
        try:
            step = np.linalg.solve(information[:free, :free], gradient[:free])
            variances = np.diag(np.linalg.inv(information[:free, :free]))
        except np.linalg.LinAlgError:
            return None
        if not (variances > 0).all():  # classes that are nearly apart: rounding is all that is left
            return None
        coefficients[:free] += step
        if not np.isfinite(coefficients).all() or np.abs(coefficients).max() > 1e3:
            return None
        if np.abs(step).max() < _CONVERGED:
            errors = np.sqrt(variances)
            return (coefficients, errors) if np.isfinite(errors).all() else None
    return None


def _moments(cells: Iterable[tuple[int, tuple[Array, Any]]], coefficients: Array) -> tuple[Array, Array]:
    """The gradient of the likelihood, and its information."""
    import numpy as np

    intercept, slope = coefficients
    sums = []
    for label, (odds, rows) in cells:
        fitted = 1 / (1 + np.exp(np.clip(-intercept - slope * odds, -500, 500)))
        residual, weight = rows * (label - fitted), rows * (fitted * (1 - fitted))
        moved = weight * odds
        sums.append([residual.sum(), (residual * odds).sum(), weight.sum(), moved.sum(), (moved * odds).sum()])
    first, second, *information = (math.fsum(column) for column in zip(*sums, strict=True))
    return np.array([first, second]), np.array([information[:2], information[1:]])


def _wald(middle: float, error: float, confidence: float) -> Interval:
    half = z_of(confidence) * error
    return Interval(float(middle - half), float(middle + half), confidence, "wald")
