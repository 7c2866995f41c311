"""Measures of scores by group: the exact AUC with DeLong's variance, and calibration. Ranks are taken in memory for
files that fit, and in the database for everything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.fairness.counting import Columns, Source
from airflow_mlgov.gates.fairness.features import Feature, columns_of
from airflow_mlgov.gates.fairness.resampling import resample

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

BINS = 10
"""Of equal width over 0 to 1, for the calibration error."""

IN_MEMORY = 20_000_000
"""Rows up to which ranks are taken with NumPy: four times as fast as a window function, in memory that grows."""


@dataclass(frozen=True)
class Ranking:
    """How well the scores of each group separate its labels; every field of shape (groups,)."""

    auc: Array
    """The area under the ROC curve, ties counted half; NaN where a group lacks one of the labels."""
    error: Array
    """Its standard error. Source: DeLong et al., Biometrics 44 (1988) 837-845."""


@dataclass(frozen=True)
class Calibration:
    """Rows of each group by bin of score; every field of shape (groups, bins)."""

    rows: Array
    scores: Array
    """Sum of scores."""
    positives: Array
    squares: Array
    """Sum over rows of (score - label) squared."""

    @property
    def expected_error(self) -> Array:
        """The expected calibration error, shape (groups,): the mean over rows of |mean score - share of positives| of
        the row's bin. Source: Naeini et al., AAAI 2015."""
        import numpy as np

        with np.errstate(invalid="ignore"):
            return np.asarray(np.abs(self.scores - self.positives).sum(-1) / self.rows.sum(-1))

    @property
    def in_the_large(self) -> tuple[Array, Array]:
        """Mean score less the share of positives, and its standard error, each of shape (groups,)."""
        import numpy as np

        with np.errstate(invalid="ignore", divide="ignore"):
            n = self.rows.sum(-1)
            mean = (self.scores - self.positives).sum(-1) / n
            spread = np.maximum(self.squares.sum(-1) / n - mean**2, 0.0)
            return mean, np.sqrt(spread / np.maximum(n - 1, 1))

    @property
    def total(self) -> Calibration:
        """All groups as one."""
        return Calibration(
            *(part.sum(-2, keepdims=True) for part in (self.rows, self.scores, self.positives, self.squares))
        )

    @property
    def redrawn(self) -> Calibration:
        """Resampled by the row bootstrap, shape (resamples, groups, bins), each bin keeping its mean score."""
        import numpy as np

        cells = np.stack([self.rows - self.positives, self.positives], -1).round().astype(np.int64)
        drawn = resample(cells)
        rows = drawn.sum(-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.where(self.rows > 0, self.scores / self.rows, 0.0)
        return Calibration(rows, rows * mean, drawn[..., 1], np.zeros_like(mean))


def rank_groups(source: Source, columns: Columns, feature: Feature, positive: Mapping[Any, int]) -> Ranking:
    """The AUC of each of the feature's groups.

    :param positive: label as stored -> 1 or 0
    """
    if source.arrays is None or source.rows(f"SELECT COUNT(*) FROM {source.relation}")[0][0] > IN_MEMORY:  # noqa: S608
        return _rank_in_database(source, columns, feature, positive)
    return _rank_in_memory(source, columns, feature, positive)


def ranking(scores: Array, labels: Array, groups: Array, size: int) -> Ranking:
    """The AUC of each group in one sort.

    :param scores: shape (rows,), finite
    :param labels: 0 or 1, shape (rows,)
    :param groups: the group's position, shape (rows,)
    :param size: how many groups there are
    """
    import numpy as np

    small = groups.astype(np.uint16) if size < 2**16 else groups  # of 16 bits, a stable sort is a radix sort
    order = np.argsort(scores)
    order = order[np.argsort(small[order], kind="stable")]  # by group, then by score
    score, group, label = scores[order], small[order], labels[order].astype(np.int64)
    first = np.ones(len(order), dtype=bool)
    first[1:] = (score[1:] != score[:-1]) | (group[1:] != group[:-1])
    starts = np.flatnonzero(first)
    tied = np.diff(np.append(starts, len(order)))
    del order, score, first
    block, positive = group[starts], np.add.reduceat(label, starts)
    negative = tied - positive
    positives = np.bincount(block, positive, size)
    negatives = np.bincount(block, negative, size)
    below = _before(negative, block, negatives) + negative / 2  # negatives below a positive of this score
    above = positives[block] - _before(positive, block, positives) - positive / 2
    return _delong(
        positives,
        negatives,
        (np.bincount(block, positive * below, size), np.bincount(block, positive * below**2, size)),
        np.bincount(block, negative * above**2, size),
    )


def calibrate(source: Source, columns: Columns, feature: Feature, positive: Mapping[Any, int]) -> Calibration:
    """The rows of each of the feature's groups by bin of score.

    :raises ConfigurationError: a score is not within 0 to 1
    """
    import numpy as np

    score = f"c.{source.quote(str(columns.score))}"
    ladder = " ".join(f"WHEN {score} < {(bin + 1) / BINS!r} THEN {bin}" for bin in range(BINS - 1))
    keys = [f"c.{source.quote(name)}" for name in (*columns_of(feature.name), columns.label)]
    bin_of = f"CASE {ladder} ELSE {BINS - 1} END"
    listing = ", ".join([*keys, bin_of])
    found = source.rows(
        f"SELECT {listing}, COUNT(*), SUM(1e0 * {score}), SUM(1e0 * {score} * {score}), MIN({score}), MAX({score}) "  # noqa: S608
        f"FROM {source.relation} c GROUP BY {listing}"
    )
    if any(not (0 <= low <= high <= 1) for *_, low, high in found):
        raise ConfigurationError(
            f'score column "{columns.score}" holds values outside 0 to 1, so they are no probabilities: calibration '
            "cannot be judged"
        )
    *cells, labels, bins, rows, scores, squares, _, _ = zip(*found, strict=True)
    members = np.array(feature.positions(cells))
    truth = np.array([positive[label] for label in labels])
    shape = (len(feature.groups), BINS)
    sums = [np.zeros(shape) for _ in range(4)]
    n, s, q = np.array(rows), np.array(scores, dtype=float), np.array(squares, dtype=float)
    for total, part in zip(sums, (n, s, n * truth, q - 2 * truth * s + truth * n), strict=True):
        np.add.at(total, (members, np.array(bins)), part)
    return Calibration(*sums)


def _rank_in_memory(source: Source, columns: Columns, feature: Feature, positive: Mapping[Any, int]) -> Ranking:
    import numpy as np

    names = [source.quote(name) for name in (*columns_of(feature.name), columns.label)]
    listing = ", ".join(f"{name} AS k{at}" for at, name in enumerate(names))
    source.rows(
        "CREATE OR REPLACE TEMP TABLE ranked AS SELECT *, row_number() OVER () - 1 AS cell FROM "  # noqa: S608
        f"(SELECT DISTINCT {listing} FROM {source.relation})"
    )
    *values, labels, _ = zip(*source.rows("SELECT * FROM ranked ORDER BY cell"), strict=True)
    members = np.array(feature.positions(values))
    truth = np.array([positive[label] for label in labels])
    same = " AND ".join(f"c.{name} IS NOT DISTINCT FROM k.k{at}" for at, name in enumerate(names))
    assert source.arrays is not None  # noqa: S101 - the caller has looked
    columns_read = source.arrays(
        f"SELECT k.cell, CAST(c.{source.quote(str(columns.score))} AS DOUBLE) AS score FROM {source.relation} c "  # noqa: S608
        f"JOIN ranked k ON {same}"
    )
    cell = np.asarray(columns_read["cell"])
    return ranking(np.asarray(columns_read["score"]), truth[cell], members[cell], len(feature.groups))


def _rank_in_database(source: Source, columns: Columns, feature: Feature, positive: Mapping[Any, int]) -> Ranking:
    """A row's placement is its mid-rank among all less its mid-rank among its own label: how many rows of the other
    label are below it. DeLong's variance is that of the placements."""
    import numpy as np

    parts = [source.quote(name) for name in columns_of(feature.name)]
    group, label, score = ", ".join(parts), source.quote(columns.label), source.quote(str(columns.score))

    def mid_rank(among: str) -> str:
        return (
            f"RANK() OVER (PARTITION BY {among} ORDER BY {score}) + "
            f"(COUNT(*) OVER (PARTITION BY {among}, {score}) - 1) / 2e0"
        )

    found = source.rows(
        f"SELECT {group}, {label}, COUNT(*), SUM(placement), SUM(placement * placement) FROM (SELECT {group}, {label}, "  # noqa: S608
        f"({mid_rank(group)}) - ({mid_rank(f'{group}, {label}')}) AS placement FROM {source.relation} c) r "
        f"GROUP BY {group}, {label}"
    )
    *cells, labels, rows, sums, squares = zip(*found, strict=True)
    members = np.array(feature.positions(cells))
    truth = np.array([positive[label] for label in labels], dtype=bool)
    n, s, q = (np.array(column, dtype=float) for column in (rows, sums, squares))
    size = len(feature.groups)

    def total(values: Array, which: Array) -> Array:
        return np.bincount(members[which], values[which], size)

    positives, negatives = total(n, truth), total(n, ~truth)
    # placements of negatives count positives below; above is the rest
    own = positives[members]
    above_squares = q - 2 * own * s + n * own**2
    return _delong(positives, negatives, (total(s, truth), total(q, truth)), total(above_squares, ~truth))


def _delong(positives: Array, negatives: Array, below: tuple[Array, Array], above_squares: Array) -> Ranking:
    """From the placements of the positives (their sum and sum of squares) and of the negatives (sum of squares)."""
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        auc = below[0] / (positives * negatives)
        of_positives = (below[1] / negatives**2 - positives * auc**2) / (positives - 1)
        of_negatives = (above_squares / positives**2 - negatives * auc**2) / (negatives - 1)
        variance = of_positives / positives + of_negatives / negatives
        return Ranking(auc, np.sqrt(np.maximum(variance, 0.0)))


def _before(counts: Array, block: Array, totals: Array) -> Array:
    """Of each block of tied scores, how many of its group's rows come before it."""
    import numpy as np

    offsets = np.cumsum(totals) - totals
    return np.asarray(np.cumsum(counts) - counts - offsets[block])
