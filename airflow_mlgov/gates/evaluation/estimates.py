"""One statistic of some examples with its interval: rates by Wilson, means by the bootstrap, quantiles by order
statistics. Refuses to claim a spread where all scores are the same and nobody said what else they could be."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.limits import deadline
from airflow_mlgov.gates.bounds import settle
from airflow_mlgov.gates.evaluation.grammar import Statistic
from airflow_mlgov.gates.slices import Estimated
from airflow_mlgov.gates.statistics.intervals import Decide, Interval, percentile, wilson
from airflow_mlgov.gates.statistics.weights import effective_size
from airflow_mlgov.results import Bound, Outcome

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

SEED = 11
RESAMPLES = 2000
MOST_ROWS = 10_000
"""Of more examples this many are drawn at random and resampled, and the spread is narrowed by sqrt(drawn / examples)
(the m out of n bootstrap: Bickel, Goetze & van Zwet, Statistica Sinica 7 (1997) 1-31)."""

_AT_ONCE = 2_000_000
"""Numbers held at a time."""
Range = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """A number with its interval, or the reason why there is none."""

    value: float | None
    interval: Interval | None = None
    """An end is infinite if so few examples say nothing about it, NaN if nothing is known of the spread."""
    rows: int = 0
    """The examples that it is made of: those that have a score."""
    reason: str = ""
    outcome: Outcome = Outcome.INCONCLUSIVE
    """How a check on it ends when there is no number."""


def estimate(
    values: Array,
    wanted: Statistic,
    confidence: float,
    at_least: int,
    of: Range | None = None,
    weights: Array | None = None,
) -> Estimate:
    """A statistic of examples.

    :param values: what :func:`airflow_mlgov.gates.evaluation.scores.measured` gives, shape (examples,)
    :param at_least: scores below which nothing is estimated; abstentions are counted however few there are
    :param of: the lowest and the highest possible score, if they are known
    :param weights: how much each example counts, shape (examples,); None: once
    """
    import numpy as np

    known = values[~np.isnan(values)]
    rows = len(known)
    least = 1 if wanted.how == "abstention" else max(1, at_least)
    if rows < least:
        return Estimate(None, rows=rows, reason=f"fewer than {least} examples have a score")
    if weights is not None:
        return _weighted(known, weights[~np.isnan(values)], wanted, confidence, least, of)
    if wanted.how in ("rate", "abstention"):
        return Estimate(float(known.mean()), wilson(int(known.sum()), rows, confidence), rows)
    known = np.sort(known)  # so that the order of the examples changes no digit
    if wanted.quantile is not None:
        low, high = order_statistics(rows, wanted.quantile, confidence)
        interval = Interval(
            -math.inf if low is None else float(known[low - 1]),
            math.inf if high is None else float(known[high - 1]),
            confidence,
            "order statistics",
        )
        return Estimate(quantile(known, wanted.quantile), interval, rows)
    return Estimate(float(known.mean()), mean_interval(known, confidence, of), rows)


def _weighted(
    values: Array, weights: Array, wanted: Statistic, confidence: float, least: int, of: Range | None
) -> Estimate:
    """A statistic of weighted scores, by :func:`resample` of scores with their weights; of scores that are all the same
    what Kish's effective number of them says."""
    import numpy as np

    rows, worth = len(values), effective_size(weights)
    if worth < least:
        reason = f"the {rows} scores are worth fewer than {least} by their weights"
        return Estimate(None, rows=rows, reason=reason)
    values, weights = values[weights > 0], weights[weights > 0]
    order = np.lexsort((weights, values))  # so that the order of the examples changes no digit
    values, weights = values[order], weights[order]
    statistic = _weighted_mean if wanted.quantile is None else partial(_weighted_quantile, share=wanted.quantile)
    whole = float(statistic(np.stack([values, weights])[:, None, :])[0])
    if wanted.how in ("rate", "abstention") and values.min() == values.max():
        number = int(worth)
        return Estimate(whole, wilson(number if whole else 0, number, confidence), rows)
    if values.min() == values.max():
        return Estimate(whole, _of_the_range(whole, int(worth), confidence, of), rows)
    draws = resample(np.stack([values, weights]), statistic, whole)
    return Estimate(whole, percentile(draws, confidence), rows)


def _weighted_mean(columns: Array) -> Array:
    values, weights = columns
    result: Array = (values * weights).sum(-1) / weights.sum(-1)
    return result


def _weighted_quantile(columns: Array, share: float) -> Array:
    """As :func:`quantile`: the smallest score whose weight, with that of all smaller ones, reaches the share."""
    import numpy as np

    values, weights = columns
    order = np.argsort(values, axis=-1, kind="stable")
    values, weights = np.take_along_axis(values, order, -1), np.take_along_axis(weights, order, -1)
    reached = np.cumsum(weights, axis=-1)
    place = (reached < share * reached[:, -1:] * (1 - 1e-12)).sum(-1)
    result: Array = np.take_along_axis(values, place[:, None], -1)[:, 0]
    return result


def hold(bound: Bound, estimate: Estimated, decide: Decide) -> Outcome:
    """How a bound ends on an estimate that has a number. An end of the interval that the bound does not look at may be
    open: many more examples are needed for both ends of a quantile near 0 or 1 than for one."""
    observed = None if estimate.value is None else settle(estimate.value)
    if decide == "point" or observed is None:
        return bound.judge(observed)
    if estimate.interval is None or math.isnan(estimate.interval.low) or math.isnan(estimate.interval.high):
        return Outcome.INCONCLUSIVE
    lower, upper = settle(estimate.interval.low), settle(estimate.interval.high)
    low = -math.inf if bound.min is None else bound.min
    high = math.inf if bound.max is None else bound.max
    if low <= lower and upper <= high:
        return bound.judge(observed)
    return Outcome.FAIL if upper < low or lower > high else Outcome.INCONCLUSIVE


def quantile(values: Array, share: float) -> float:
    """The smallest score that at least this share of the scores does not exceed: one that was given, never one between
    two. Source: definition 1 of Hyndman & Fan, The American Statistician 50 (1996) 361-365."""
    import numpy as np

    return float(np.quantile(values, share, method="inverted_cdf"))


def order_statistics(rows: int, share: float, confidence: float) -> tuple[int | None, int | None]:
    """Which of the sorted scores (counted from 1) bound a quantile, whatever the scores' distribution: how many scores
    lie below the quantile is binomial. None where even the lowest, or the highest, would claim too much. With ties the
    interval covers more than it says.

    Source: David & Nagaraja, Order Statistics (2003), section 7.1; Hahn & Meeker, Statistical Intervals (1991), 5.2.
    """
    from scipy.stats import binom

    tail = (1 - confidence) / 2
    low = int(binom.ppf(tail, rows, share))
    if binom.cdf(low, rows, share) <= tail:
        low += 1
    high = int(binom.ppf(1 - tail, rows, share)) + 1
    return (low if low >= 1 else None), (high if high <= rows else None)


def examples_for(share: float, confidence: float) -> int:
    """How many scores both ends of a quantile's interval take."""
    rarer = min(share, 1 - share)
    return math.ceil(math.log((1 - confidence) / 2) / math.log(1 - rarer))


def mean_interval(values: Array, confidence: float, of: Range | None = None) -> Interval:
    """The interval of a mean of scores: of zeros and ones that of a proportion, by Wilson; of others see
    :func:`spread_interval`.

    :param values: shape (rows,), none missing
    """
    import numpy as np

    found = np.unique(values)
    if np.array_equal(found, (0.0, 1.0)) or (of == (0.0, 1.0) and np.isin(found, of).all()):
        return wilson(int(values.sum()), len(values), confidence)
    return spread_interval(values, confidence, of)


def spread_interval(values: Array, confidence: float, of: Range | None = None) -> Interval:
    """The interval of a mean by the bootstrap. Of numbers that are all the same: what so many say about the share of
    others (none of n, by Wilson), wherever in their range these may lie; not defined if the range is not known.

    :param values: shape (rows,), none missing
    """
    if values.min() != values.max():
        return bias_corrected(values, confidence)
    return _of_the_range(float(values[0]), len(values), confidence, of)


def _of_the_range(value: float, rows: int, confidence: float, of: Range | None) -> Interval:
    if of is None:
        return Interval(math.nan, math.nan, confidence, "bootstrap BCa")
    others = wilson(0, rows, confidence).high
    low, high = value - others * (value - of[0]), value + others * (of[1] - value)
    return Interval(low, high, confidence, "wilson, of the range")


def bias_corrected(values: Array, confidence: float) -> Interval:
    """The BCa bootstrap interval of a mean, seeded and whatever the order of the rows.

    Source: Efron, J. Am. Stat. Assoc. 82 (1987) 171-185; the acceleration of a mean is its skewness by 6 sqrt(n).
    """
    import numpy as np

    normal, mean = NormalDist(), float(values.mean())
    draws = resample(np.sort(values)[None, :], lambda rows: rows[0].mean(axis=1), mean)
    below = float((draws < mean).mean() + (draws == mean).mean() / 2)
    bias = normal.inv_cdf(min(max(below, 1 / (2 * RESAMPLES)), 1 - 1 / (2 * RESAMPLES)))
    apart = values - mean
    acceleration = float((apart**3).sum() / (6 * (apart**2).sum() ** 1.5))
    ends = []
    for level in ((1 - confidence) / 2, (1 + confidence) / 2):
        shifted = bias + normal.inv_cdf(level)
        ends.append(normal.cdf(bias + shifted / (1 - acceleration * shifted)))
    low, high = np.quantile(draws, ends)
    return Interval(float(low), float(high), confidence, "bootstrap BCa")


def resample(columns: Array, statistic: Callable[[Array], Array], whole: float) -> Array:
    """A statistic of rows drawn with replacement, shape (resamples,).

    Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 6.

    :param columns: shape (columns, rows); columns are drawn by the same rows
    :param statistic: shape (columns, resamples, rows) -> (resamples,)
    :param whole: the statistic of all rows
    """
    import numpy as np

    random, rows = np.random.default_rng(SEED), columns.shape[1]
    drawn, narrower, centre = columns, 1.0, whole
    if rows > MOST_ROWS:
        drawn = columns[:, np.sort(random.choice(rows, MOST_ROWS, replace=False))]
        narrower, centre = math.sqrt(MOST_ROWS / rows), float(statistic(drawn[:, None, :])[0])
    count = drawn.shape[1]
    step = max(1, _AT_ONCE // count)
    found, until = [], deadline()
    for start in range(0, RESAMPLES, step):
        until.check("resampling")
        chosen = random.integers(0, count, (min(step, RESAMPLES - start), count))
        found.append(statistic(drawn[:, chosen]))
    return whole + (np.concatenate(found) - centre) * narrower
