"""Compares the numbers of two datasets column by column: counts in bins that end at the reference's quantiles, and
Kolmogorov and Smirnov's distance. Columns that fit into memory_limit are sorted, a few at a time; larger ones are
counted in a grid, so that they need not fit. Both are exact and say the same. Refuses to let a number out: only counts
and distances leave."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.aggregates import where
from airflow_mlgov.data.limits import deadline
from airflow_mlgov.data.quoting import identifier
from airflow_mlgov.data.relation import bytes_of
from airflow_mlgov.gates.dataset_checks.workbench import Reference, Workbench, in_range, is_temporal

if TYPE_CHECKING:
    import numpy as np

_SORTING = 4
"""How many times a column's numbers are held while they are fetched, sorted and compared."""
_AT_ONCE = 1 << 20
_SAMPLE = 10_000
_SPAN_ROWS = 1_000_000
_GAP = 3
_BATCH = 50


@dataclass(frozen=True)
class KsTest:
    """A two-sample Kolmogorov-Smirnov test."""

    statistic: float
    """The largest distance of the two distribution functions."""
    p_value: float
    """Two-sided, asymptotic; with millions of rows it is small for a distance that does not matter."""
    n_reference: int
    n: int


@dataclass(frozen=True)
class Counts:
    """One column's rows by bin, the same bins on both sides; the last is for missing values."""

    reference: tuple[int, ...]
    data: tuple[int, ...]
    new: int = 0
    """Rows of categories that the reference does not have."""
    new_categories: int = 0


def kolmogorov_smirnov_p(statistic: float, n: int, m: int) -> float:
    """Two-sided p-value of the two-sample statistic: the one-sample distribution at ``n m / (n + m)`` rows, which
    ``scipy.stats.ks_2samp(method="asymp")`` uses too. NaN where a side has no rows.

    Source: Hodges, Arkiv foer Matematik 3 (1958) 469-486; Simard & L'Ecuyer, J. Stat. Softw. 39 (2011) issue 11.
    """
    from scipy.stats import kstwo

    if not n or not m:
        return math.nan
    return min(1.0, max(0.0, float(kstwo.sf(statistic, max(1, round(n * m / (n + m)))))))


def compare_numbers(
    bench: Workbench, reference: Reference, columns: Sequence[str], sizes: Sequence[int], bins: int, *, ks: bool
) -> tuple[dict[str, Counts], dict[str, KsTest]]:
    """Each column's counts and, if asked for, its test.

    :param sizes: rows of the reference and of the data
    """
    size = 8 * _SORTING * max(1, sum(sizes))
    at_once = bytes_of(bench.table.duck.memory_limit) // size if bench.table.is_local else 0
    if not at_once:
        grid = _Grid(bench, reference, columns)
        return grid.binned(bins), {name: grid.ks(name) for name in columns if ks}
    counts, tests = {}, {}
    for name, mine, other in _sorted(bench, reference, columns, at_once):
        edges = _separated(_quantiles_of(other, bins))
        counts[name] = Counts(_counted(other, edges, sizes[0]), _counted(mine, edges, sizes[1]))
        if ks:
            tests[name] = _ks_of(other, mine)
    return counts, tests


def _sorted(
    bench: Workbench, reference: Reference, columns: Sequence[str], at_once: int
) -> Iterator[tuple[str, np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Each column's numbers in the data and in the reference, neither missing nor NaN."""
    until = deadline()
    for start in range(0, len(columns), at_once):
        names = columns[start : start + at_once]
        mine = _fetched(bench, "data", [_as_double(name, bench.types[name]) for name in names])
        other = _fetched(bench, reference.view, [_as_double(name, reference.types[name]) for name in names])
        for name in names:
            until.check(f"sorting the columns of {bench.table.name}")
            yield name, _in_order(mine.pop()), _in_order(other.pop())


def _fetched(bench: Workbench, view: str, values: Sequence[str]) -> list[Any]:
    """The columns as arrays, the first one last."""
    listing = ", ".join(f"{value} AS c{at}" for at, value in enumerate(values))
    found = bench.table.arrays(f"SELECT {listing} FROM {view}")  # noqa: S608 - quoted
    assert found is not None  # noqa: S101 - the rows are here
    return [found[f"c{at}"] for at in reversed(range(len(values)))]


def _in_order(values: Any) -> np.ndarray[Any, Any]:
    import numpy as np

    present = values.compressed() if isinstance(values, np.ma.MaskedArray) else values
    return np.sort(present[~np.isnan(present)])


def _quantiles_of(numbers: np.ndarray[Any, Any], bins: int) -> list[float]:
    """As :meth:`_Grid._quantiles` finds them."""
    count = len(numbers)
    return [float(numbers[-(-part * count // bins) - 1]) for part in range(1, bins)] if count else []


def _counted(numbers: np.ndarray[Any, Any], edges: Sequence[float], rows: int) -> tuple[int, ...]:
    """Rows with ``low < value <= high`` for each bin, those above the last edge, and the missing ones."""
    import numpy as np

    upto = [0, *map(int, np.searchsorted(numbers, edges, side="right")), len(numbers)]
    return (*(high - low for low, high in pairwise(upto)), rows - len(numbers))


def _ks_of(reference: np.ndarray[Any, Any], data: np.ndarray[Any, Any]) -> KsTest:
    import numpy as np

    n, m = len(reference), len(data)
    if not n or not m:
        return KsTest(math.nan, math.nan, n, m)
    distance = 0
    for side in (reference, data):
        for start in range(0, len(side), _AT_ONCE):
            values = side[start : start + _AT_ONCE]
            below = np.searchsorted(reference, values, side="right"), np.searchsorted(data, values, side="right")
            distance = max(distance, int(np.abs(below[0] * m - below[1] * n).max()))
    return _test(distance, n, m)


def _test(distance: int, n: int, m: int) -> KsTest:
    """:param distance: the largest, in units of ``1 / (n m)``"""
    statistic = distance / (n * m)
    return KsTest(statistic, kolmogorov_smirnov_p(statistic, n, m), n, m)


def _as_double(name: str, kind: str) -> str:
    """A column as DOUBLE; NaN, which DuckDB sorts above infinity, is still in it."""
    column = identifier(name)
    return f"epoch({column})" if is_temporal(kind) else column if kind == "DOUBLE" else f"{column}::DOUBLE"


class _Grid:
    """Numeric columns of both sides, counted in a grid that samples of both span.

    The samples decide how fast the answers are found, never what they are: quantiles and the Kolmogorov-Smirnov
    statistic are exact, from a second look at the few cells of the grid that they can lie in. So no more than a cell's
    values is held at a time, however many rows there are.
    """

    def __init__(self, bench: Workbench, reference: Reference, columns: Sequence[str]) -> None:
        self._bench, self._view, self._names = bench, reference.view, list(columns)
        self._kinds = {name: (bench.types[name], reference.types[name]) for name in columns}
        self._grid = self._edges()
        self._reference = self._histograms(self._view, self._grid)
        self._data = self._histograms("data", self._grid)

    def binned(self, bins: int) -> dict[str, Counts]:
        """Counts in bins that end at the reference's quantiles; a value that fills a bin alone has one of its own."""
        edges = {name: _separated(self._quantiles(name, bins)) for name in self._names}
        reference, data = self._histograms(self._view, edges), self._histograms("data", edges)
        return {name: Counts(tuple(reference[name]), tuple(data[name])) for name in self._names}

    def ks(self, name: str) -> KsTest:
        """The test on the values that are not missing, ties and all."""
        reference, data = self._reference[name][:-1], self._data[name][:-1]
        n, m = sum(reference), sum(data)
        if not n or not m:
            return KsTest(math.nan, math.nan, n, m)
        distance, spans = _look_closer(self._grid[name], reference, data)
        for span in spans:
            if span.possible > distance:
                distance = max(distance, self._distance_within(name, (n, m), span))
        return _test(distance, n, m)

    def _distance_within(self, name: str, sizes: tuple[int, int], span: _Span) -> int:
        """The largest distance at a value in the span, in units of ``1 / (n m)``."""
        n, m = sizes
        mine, other = (self._within(name, side, [(span.low, span.high)]) for side in (0, 1))
        (distance,) = self._bench.row(
            f"""
            WITH rows AS (
                SELECT {self._value(name, 1)} AS v, 1 AS r, 0 AS d FROM {self._view} WHERE {other}
                UNION ALL
                SELECT {self._value(name, 0)}, 0, 1 FROM data WHERE {mine}
            ),
            grouped AS (SELECT v, sum(r) AS r, sum(d) AS d FROM rows GROUP BY v),
            running AS (SELECT {span.before[0]} + sum(r) OVER upwards AS r, {span.before[1]} + sum(d) OVER upwards AS d
                        FROM grouped WINDOW upwards AS (ORDER BY v))
            SELECT max(abs(r * {m}::HUGEINT - d * {n}::HUGEINT)) FROM running
            """  # noqa: S608 - quoted
        )
        return int(distance)

    def _value(self, name: str, side: int) -> str:
        return _as_double(name, self._kinds[name][side])

    def _within(self, name: str, side: int, ranges: Sequence[tuple[float | None, float]]) -> str:
        """That a value lies in one of the ranges, so is neither missing nor NaN, as SQL."""
        value = self._value(name, side)
        return " OR ".join(in_range(value, low, high) for low, high in ranges)

    def _edges(self) -> dict[str, list[float]]:
        """For each column some quantiles of a sample of either side; one that comes twice is a cell of its own."""
        quantiles: dict[str, list[float]] = {name: [] for name in self._names}
        for side, view in enumerate(("data", self._view)):
            for start in range(0, len(self._names), _BATCH):
                names = self._names[start : start + _BATCH]
                values = ", ".join(self._value(name, side) for name in names)
                sample = self._bench.rows(f"SELECT {values} FROM {view} USING SAMPLE reservoir({_SAMPLE} ROWS)")  # noqa: S608
                for at, name in enumerate(names):
                    known = sorted(row[at] for row in sample if row[at] is not None and not math.isnan(row[at]))
                    quantiles[name] += known[:: max(1, len(known) // self._bench.table.most_cells)]
        return {name: _separated(sorted(found)) or [0.0] for name, found in quantiles.items()}

    def _histograms(self, view: str, edges: Mapping[str, Sequence[float]]) -> dict[str, list[int]]:
        """Rows with ``low < value <= high`` for each cell, those above the last edge, and the missing ones."""
        if not edges:
            return {}
        side = 0 if view == "data" else 1
        values = {name: self._value(name, side) for name in edges}
        numbers = {name: (where(f"NOT isnan({value})", value), edges[name]) for name, value in values.items()}
        rows, counted = self._bench.table.histograms(view, numbers)  # it would count NaN as the least
        return {name: [*below, known - sum(below), rows - known] for name, (below, known) in counted.items()}

    def _quantiles(self, name: str, bins: int) -> list[float]:
        """The reference's inner quantiles, each a value that occurs: the ``ceil(i n / bins)``-th smallest."""
        counts, grid = self._reference[name][:-1], self._grid[name]
        lows, highs = [None, *grid], [*grid, math.inf]
        total = sum(counts)
        if not total:
            return []
        ranks = [math.ceil(i * total / bins) for i in range(1, bins)]
        below = [0, *accumulate(counts)]
        cells = [bisect_left(below, rank) - 1 for rank in ranks]
        chosen = sorted(set(cells))
        within = dict(zip(chosen, accumulate([0, *(counts[cell] for cell in chosen)]), strict=False))
        targets = [within[cell] + rank - below[cell] for rank, cell in zip(ranks, cells, strict=True)]
        looked_at = self._within(name, 1, [(lows[cell], highs[cell]) for cell in chosen])
        found = self._bench.row(
            f"""
            WITH grouped AS (SELECT {self._value(name, 1)} AS v, count(*) AS n FROM {self._view} WHERE {looked_at}
                             GROUP BY 1),
            running AS (SELECT v, sum(n) OVER (ORDER BY v) AS upto FROM grouped)
            SELECT {", ".join(f"min({where(f'upto >= {target}', 'v')})" for target in targets)} FROM running
            """  # noqa: S608 - quoted
        )
        return [float(value) for value in found]


def _separated(quantiles: Sequence[float]) -> list[float]:
    """Edges in order, each once; before one that comes twice the next smaller number, so that it has its own cell."""
    edges: set[float] = set()
    for position, value in enumerate(quantiles):
        if position and quantiles[position - 1] == value:
            edges.add(math.nextafter(value, -math.inf))
        edges.add(value)
    return sorted(edges)


@dataclass(frozen=True)
class _Span:
    """Neighbouring cells of the grid that are looked into together."""

    low: float | None
    """None: from the smallest value."""
    high: float
    before: tuple[int, int]
    """Rows of the reference and of the data below it."""
    possible: int
    """No value in it can have a larger distance, in units of ``1 / (n m)``."""


def _look_closer(grid: Sequence[float], reference: Sequence[int], data: Sequence[int]) -> tuple[int, list[_Span]]:
    """The largest distance at an edge, and where a larger one can lie, the likeliest first. Distances are in units of
    ``1 / (n m)``, so whole numbers.

    Within a cell neither distribution function leaves the span between its values at the cell's edges. Where that span
    allows no more than the distance at some edge, or the cell is a single value, or only one side has rows in it, the
    largest distance lies elsewhere or at an edge.
    """
    n, m = sum(reference), sum(data)
    f, g = [0, *accumulate(reference)], [0, *accumulate(data)]
    lows, highs = [None, *grid], [*grid, math.inf]
    largest = max(abs(m * one - n * other) for one, other in zip(f, g, strict=True))
    possible = [
        max(m * f[cell + 1] - n * g[cell], n * g[cell + 1] - m * f[cell])
        if reference[cell] and data[cell] and lows[cell] != math.nextafter(highs[cell], -math.inf)
        else 0
        for cell in range(len(highs))
    ]
    runs: list[tuple[int, int]] = []
    for cell in (cell for cell, distance in enumerate(possible) if distance > largest):
        first, last = runs[-1] if runs else (cell, cell)
        rows = f[cell + 1] + g[cell + 1] - f[first] - g[first]
        if runs and rows <= _SPAN_ROWS and cell - last <= _GAP:
            runs[-1] = (first, cell)
        else:
            runs.append((cell, cell))
    spans = [
        _Span(lows[first], highs[last], (f[first], g[first]), max(possible[first : last + 1])) for first, last in runs
    ]
    return largest, sorted(spans, key=lambda span: span.possible, reverse=True)
