"""How sure a comparison of groups is: the row bootstrap, drawn from the counts instead of from the rows, and a closed
form for two groups."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.limits import deadline
from airflow_mlgov.gates.fairness.metrics import How
from airflow_mlgov.gates.statistics.intervals import Interval, z_of

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

RESAMPLES = 2_000
_DRAWS = 640_000
"""Cells times resamples: with hundreds of groups the resamples become fewer, never fewer than 400."""
_FEWEST = 400
FEW = _DRAWS // _FEWEST
"""Cells up to which there are more resamples than the fewest."""
SEED = 20_160_523
"""Fixed, so that the same counts always give the same interval."""


def resample(counts: Array) -> Array:
    """Tables of counts as they would come from drawing as many rows again, with replacement.

    Drawing rows is drawing from the multinomial distribution of the counts: the same distribution, whatever the number
    of rows. Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 6.

    :param counts: any shape
    :returns: shape (resamples, *counts.shape)
    """
    import numpy as np

    return np.concatenate(list(resample_in_parts(counts)))


def resample_in_parts(counts: Array) -> Iterator[Array]:
    """The same, some resamples after another: of thousands of groups all together are large."""
    import numpy as np

    total, random, left = int(counts.sum()), np.random.default_rng(SEED), resamples_of(counts.size)
    step, until = max(1, _DRAWS // max(counts.size, 1)), deadline()
    while left > 0:
        until.check("resampling")
        drawn = random.multinomial(total, counts.ravel() / total, size=min(step, left))
        yield drawn.reshape(-1, *counts.shape)
        left -= step


def resample_weights(place: Array, rows: Array, weights: Array, shape: tuple[int, ...]) -> Array:
    """Sums of weights by cell, as they would come from drawing as many rows again with replacement, each with its
    weight.

    Source: as :func:`resample`; for weights Rao & Wu, JASA 83 (1988) 231-241, of one stratum.

    :param place: of each set of rows with one weight, the position of its cell in the flat table
    :param rows: how many rows it has
    :param weights: their sum of weights
    :returns: shape (resamples, *shape)
    """
    import numpy as np

    order = np.argsort(place, kind="stable")
    places, starts = np.unique(place[order], return_index=True)
    total, mean = int(rows.sum()), (weights / rows)[order]
    random, count = np.random.default_rng(SEED), resamples_of(len(rows))
    drawn = np.zeros((count, math.prod(shape)))
    step, until = max(1, _DRAWS // len(rows)), deadline()
    for start in range(0, count, step):
        until.check("resampling")
        taken = random.multinomial(total, rows[order] / total, size=min(step, count - start)) * mean
        drawn[start : start + step, places] = np.add.reduceat(taken, starts, axis=1)
    return drawn.reshape(-1, *shape)


def resamples_of(cells: int) -> int:
    """How often a table of so many cells is drawn."""
    return min(RESAMPLES, max(_FEWEST, _DRAWS // max(cells, 1)))


def widened(plain: Interval, bias: float, how: How) -> Interval:
    """A percentile interval, reaching further on the side that the bias of the estimate hides.

    The spread between many small groups looks larger than it is, and larger again when it is resampled: the mean of the
    resamples less the observed value estimates by how much. Source: Efron & Tibshirani (1993), section 10.3.
    """
    low, high = plain.low - max(bias, 0.0), plain.high - min(bias, 0.0)
    if how == "difference":
        low = max(low, 0.0)
    if how == "ratio":
        high = min(high, 1.0)
    return replace(plain, low=low, high=high)


def chance_allows(values: Array, samples: Array, how: How, confidence: float) -> float:
    """The smallest difference, or the largest ratio, between more than two groups that is compatible with the data.

    The groups' intervals are made wide enough to hold all at once (the largest deviation of a resample, in standard
    errors), and the group that is surely high is held against the one that is surely low. Without this a perfect model
    fails on many small groups because the extremes of many estimates lie far apart by chance alone. Source: Hochberg &
    Tamhane, Multiple Comparison Procedures (1987), chapter 3.

    :param values: shape (groups,); NaN where a group has no estimate
    :param samples: shape (resamples, groups)
    """
    import numpy as np

    known = np.isfinite(values)
    if not known.all():
        values, samples = values[known], samples[:, known]
    spread, highest = (np.nanstd, np.nanmax) if np.isnan(samples).any() else (np.std, np.max)
    errors = spread(samples, 0)
    moved = errors > 0
    deviations = samples - values
    np.abs(deviations, out=deviations)
    deviations = deviations[:, moved] if not moved.all() else deviations
    deviations /= errors[moved]
    reach = np.quantile(highest(deviations, 1), confidence) if moved.any() else 0.0
    surely_high, surely_low = float((values - reach * errors).max()), float((values + reach * errors).min())
    if how == "difference":
        return max(0.0, surely_high - surely_low)
    return min(1.0, surely_low / surely_high) if surely_high > 0 else 1.0


def closed_form(one: tuple[int, int], other: tuple[int, int], how: How, confidence: float = 0.95) -> Interval:
    """The interval of the difference or ratio of two shares, by the delta method.

    :param one: successes and trials of the group with the smaller share
    :param other: the same of the other
    :param how: ``difference``: Wald; ``ratio`` (smaller by larger): Katz et al., Biometrics 34 (1978) 469-474
    """
    (a, n), (b, m) = one, other
    if not n or not m or (how == "ratio" and (not a or not b)):
        return Interval(math.nan, math.nan, confidence, "closed form")
    p, q, z = a / n, b / m, z_of(confidence)
    if how == "difference":
        half = z * math.sqrt(p * (1 - p) / n + q * (1 - q) / m)
        return Interval(q - p - half, q - p + half, confidence, "closed form")
    half = z * math.sqrt((1 - p) / a + (1 - q) / b)
    return Interval(p / q * math.exp(-half), p / q * math.exp(half), confidence, "closed form")
