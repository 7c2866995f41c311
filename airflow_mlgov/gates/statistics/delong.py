"""The variance of areas under ROC curves, and of the difference of two on the same rows, without resampling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_mlgov.gates.statistics.intervals import Interval, wilson, z_of
from airflow_mlgov.gates.statistics.ranked import Ranked, rank

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


def delong(label: Array, scores: Sequence[Array]) -> tuple[Array, Array]:
    """The areas of several models on the same rows, shape (models,), and their covariance, shape (models, models);
    the covariance is NaN where a class has fewer than two rows.

    Source: DeLong, DeLong & Clarke-Pearson, Biometrics 44 (1988) 837-845; by midranks as in Sun & Xu, IEEE Signal
    Processing Letters 21 (2014) 1389-1393, so in n log n.

    :param label: 0 and 1, shape (rows,)
    :param scores: of class 1, each of shape (rows,)
    """
    import numpy as np

    of_positives, of_negatives = placements(label, scores)
    m, n = of_positives.shape[1], of_negatives.shape[1]
    areas = of_positives.mean(axis=1)
    if min(m, n) < 2:
        return areas, np.full((len(scores), len(scores)), math.nan)
    covariance = np.atleast_2d(np.cov(of_positives)) / m + np.atleast_2d(np.cov(of_negatives)) / n
    return areas, covariance


def placements(label: Array, scores: Sequence[Array]) -> tuple[Array, Array]:
    """DeLong's structural components: of each positive row the share of negatives that score less, shape (models,
    positives), and of each negative the share of positives that score more, shape (models, negatives); ties count half.
    """
    import numpy as np

    positive = label.astype(bool)
    m, n = int(positive.sum()), int((~positive).sum())
    of_positives, of_negatives = np.empty((len(scores), m)), np.empty((len(scores), n))
    with np.errstate(divide="ignore", invalid="ignore"):
        for at, score in enumerate(scores):
            ranks = midranks(score)
            of_positives[at] = (ranks[positive] - midranks(score[positive])) / n
            of_negatives[at] = 1 - (ranks[~positive] - midranks(score[~positive])) / m
    return of_positives, of_negatives


def area_interval(label: Array, score: Array, confidence: float) -> Interval:
    """The interval of one area. Where the classes are wholly apart, the variance is 0 and says nothing; then it is
    Wilson's of as many disjoint pairs of a positive and a negative row as there are because those are independent and
    each is in order with the area's probability. Not defined where all scores tie."""
    return interval_of(rank(label, score), confidence)


def interval_of(ranked: Ranked, confidence: float) -> Interval:
    """See :func:`area_interval`."""
    area = ranked.area
    if area.value in (0.0, 1.0):
        pairs = min(len(ranked.positives), len(ranked.negatives))
        return replace(wilson(int(area.value) * pairs, pairs, confidence), method="wilson of disjoint pairs")
    return _interval(area.value, area.variance, confidence, (0.0, 1.0))


def difference_interval(label: Array, candidate: Array, champion: Array, confidence: float) -> Interval:
    """The interval of the candidate's area less the champion's; not defined where its variance is 0."""
    areas, covariance = delong(label, [candidate, champion])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    return _interval(float(areas[0] - areas[1]), variance, confidence, (-1.0, 1.0))


def midranks(values: Array) -> Array:
    """Ranks from 1, the mean rank where values tie."""
    import numpy as np

    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    middle: Array = (last - (counts - 1) / 2)[inverse]
    return middle


def _interval(middle: float, variance: float, confidence: float, ends: tuple[float, float]) -> Interval:
    if not variance > 1e-15:
        return Interval(math.nan, math.nan, confidence, "delong")
    half = z_of(confidence) * math.sqrt(variance)
    return Interval(max(ends[0], middle - half), min(ends[1], middle + half), confidence, "delong")
