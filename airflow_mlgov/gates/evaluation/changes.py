"""The candidate against the champion on the same examples: which rows pair, and the change of a statistic with a paired
interval. Refuses to pair rows by their order, and rows whose name is missing or stands twice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.labels import distinct
from airflow_mlgov.data.values import Key, keys_of, require_one_sort
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.evaluation.estimates import Estimate, Range, quantile, resample, spread_interval
from airflow_mlgov.gates.evaluation.grammar import Statistic
from airflow_mlgov.gates.statistics.intervals import Interval, wilson

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Pairs:
    """Which examples both tables have."""

    candidate: Array
    """Positions of the matched examples in the candidate's table."""
    champion: Array
    """Of the same examples, in the same order, in the champion's."""
    candidate_only: int
    champion_only: int

    @property
    def unmatched(self) -> float:
        """The share of all examples that only one table has."""
        alone = self.candidate_only + self.champion_only
        return alone / max(1, alone + len(self.candidate))

    def as_dict(self) -> dict[str, int]:
        """JSON form."""
        return {
            "matched": len(self.candidate),
            "candidate_only": self.candidate_only,
            "champion_only": self.champion_only,
        }


@dataclass(frozen=True)
class Change:
    """The candidate's statistic less the champion's."""

    estimate: Estimate
    candidate: float | None = None
    champion: float | None = None
    left_out: int = 0
    """Matched examples that one of the two has no score of."""


def pair(candidate: pd.Series, champion: pd.Series) -> Pairs:
    """Match examples by their names: text as text, numbers by value.

    :raises ConfigurationError: a name is missing or stands twice
    """
    import numpy as np

    mine, theirs = (_names(column, whose) for column, whose in ((candidate, "candidate"), (champion, "champion")))
    require_one_sort({"the candidate's row_id": set(mine), "the champion's": set(theirs)}, "names of examples")
    position = {key: number for number, key in enumerate(theirs)}
    at = np.array([position.get(key, -1) for key in mine], dtype=np.int64)
    matched = np.flatnonzero(at >= 0)
    return Pairs(matched, at[matched], len(mine) - len(matched), len(theirs) - len(matched))


def change(
    mine: Array, theirs: Array, wanted: Statistic, confidence: float, at_least: int, of: Range | None = None
) -> Change:
    """The change of a statistic on the pairs that have both scores.

    :param mine: the candidate's numbers of the matched examples, as ``scores.measured`` gives them
    :param theirs: the champion's, in the same order
    :param of: the lowest and the highest possible score, if they are known
    """
    import numpy as np

    both = ~(np.isnan(mine) | np.isnan(theirs))
    left_out, rows = int((~both).sum()), int(both.sum())
    if rows < max(1, at_least):
        reason = f"fewer than {max(1, at_least)} examples have a score of both the candidate and the champion"
        return Change(Estimate(None, rows=rows, reason=reason), left_out=left_out)
    mine, theirs = mine[both], theirs[both]
    if wanted.quantile is not None:
        ends = quantile(mine, wanted.quantile), quantile(theirs, wanted.quantile)
    else:
        ends = float(mine.mean()), float(theirs.mean())
    interval = _interval(mine, theirs, wanted, confidence, of)
    return Change(Estimate(ends[0] - ends[1], interval, rows), *ends, left_out)


def newcombe(both: int, mine: int, theirs: int, neither: int, confidence: float) -> Interval:
    """The interval of the difference of two proportions of the same rows: Wilson's intervals of the two, squared and
    added, less what the pairing makes them share.

    Source: Newcombe, Statistics in Medicine 17 (1998) 2635-2650, method 10.

    :param both: rows where both are true; ``mine``, ``theirs``: where the candidate or the champion alone is
    """
    rows = both + mine + theirs + neither
    first, second = (both + mine) / rows, (both + theirs) / rows
    one, two = wilson(both + mine, rows, confidence), wilson(both + theirs, rows, confidence)
    margins = (both + mine) * (theirs + neither) * (both + theirs) * (mine + neither)
    product = float(both * neither - mine * theirs)
    product = max(product - rows / 2, 0.0) if product > 0 else product
    shared = product / math.sqrt(margins) if margins else 0.0

    def reach(of_first: float, of_second: float) -> float:
        return math.sqrt(max(0.0, of_first**2 - 2 * shared * of_first * of_second + of_second**2))

    low = first - second - reach(first - one.low, two.high - second)
    high = first - second + reach(one.high - first, second - two.low)
    return Interval(max(-1.0, low), min(1.0, high), confidence, "newcombe")


def _interval(mine: Array, theirs: Array, wanted: Statistic, confidence: float, of: Range | None) -> Interval:
    import numpy as np

    if np.array_equal(mine, theirs):
        return Interval(0.0, 0.0, confidence, "identical scores")
    if np.isin([mine, theirs], (0.0, 1.0)).all() and wanted.quantile is None:
        first, second = mine == 1, theirs == 1
        both, neither = int((first & second).sum()), int((~first & ~second).sum())
        return newcombe(both, int(first.sum()) - both, int(second.sum()) - both, neither, confidence)
    apart = mine - theirs
    if wanted.quantile is not None:
        return _quantile_interval(mine, theirs, wanted.quantile, confidence)
    return spread_interval(apart, confidence, None if of is None else (of[0] - of[1], of[1] - of[0]))


def _quantile_interval(mine: Array, theirs: Array, share: float, confidence: float) -> Interval:
    """The percentile interval of resampled pairs; of discrete scores its ends may well be one number.

    Source: Efron & Tibshirani (1993), section 13.3.
    """
    import numpy as np

    if len(np.unique(mine - theirs)) == 1:
        return Interval(math.nan, math.nan, confidence, "bootstrap")
    pairs = np.stack([mine, theirs])[:, np.lexsort([theirs, mine])]

    def of(rows: Array) -> Array:
        first, second = np.quantile(rows, share, axis=2, method="inverted_cdf")
        return np.asarray(first - second)

    draws = resample(pairs, of, quantile(mine, share) - quantile(theirs, share))
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high), confidence, "bootstrap")


def _names(column: pd.Series, whose: str) -> list[Key]:
    missing = int(column.isna().sum())
    if missing:
        raise ConfigurationError(
            f'the {whose}\'s row_id column "{column.name}" has {missing} missing values in {len(column)} rows',
            code="row_id.missing",
        )
    keys = keys_of(distinct(column, "row_id"))
    names = [keys[value] for value in column]
    twice = len(names) - len(set(names))
    if twice:
        raise ConfigurationError(
            f'the {whose}\'s row_id column "{column.name}" names {twice} rows that another row is named by too: each '
            "example needs a name of its own",
            code="row_id.twice",
        )
    return names
