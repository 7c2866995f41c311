"""Gathers what one aggregate query of DuckDB must answer for a suite, and hands out the answers in the shape of Great
Expectations' results. Refuses an answer that pandas would not give: the expectation is then left to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_mlgov.data.file_tables import FileTable
from airflow_mlgov.gates.data_validation.arguments import EXACT, Uncompiled, bounds
from airflow_mlgov.gates.data_validation.column_kinds import Column, Kind
from airflow_mlgov.gates.data_validation.gx import Result

_NEAR = 1e-9
"""Two libraries that add floats in another order agree to about this, relative to the values."""

_MOST_BITS = 800_000_000
_BITS_A_VALUE = 64


class NoColumn(Uncompiled):
    """A column that the expectation names is not there, so neither engine can evaluate it."""


class Answers:
    """The values of the one query, by the SQL that asked for them; further queries where duplicates must be counted."""

    def __init__(self, table: FileTable, asked: Mapping[str, int], values: Sequence[Any], close_calls: bool) -> None:
        self._table, self._asked, self._values, self._close_calls = table, asked, values, close_calls
        self._groups: dict[str, tuple[int, int]] = {}
        self._distinct: dict[str, int] = {}

    def __getitem__(self, sql: str) -> Any:
        return self._values[self._asked[sql]]

    @property
    def rows(self) -> int:
        """Of the table."""
        return int(self["count(*)"])

    def present(self, column: Column) -> int:
        """How many values are not null.

        :raises Uncompiled: pandas would hold other values than DuckDB
        """
        present = int(self[f"count({column.sql})"])
        if column.kind is Kind.INTEGER and 0 < present < self.rows:
            low, high = self[f"min({column.sql})"], self[f"max({column.sql})"]
            if low < -EXACT or high > EXACT:
                raise Uncompiled("pandas rounds its whole numbers, for there are nulls among them")
        return present

    def one(self, query: str) -> tuple[Any, ...]:
        """The one row of a query beside the one query."""
        return self._table.rows(query)[0]

    def placed(self, column: Column, place: int, count: int = 1) -> tuple[float, float]:
        """The smallest and the largest of ``count`` values from ``place`` on, in the order of size, as floats."""
        middle = (
            f"SELECT {column.sql}::DOUBLE AS v FROM data WHERE {column.sql} IS NOT NULL ORDER BY v "  # noqa: S608
            f"LIMIT {count} OFFSET {place}"
        )
        low, high = self.one(f"SELECT min(v), max(v) FROM ({middle})")  # noqa: S608 - quoted
        if not (math.isfinite(low) and math.isfinite(high)):
            raise Uncompiled("one of its values in the order of size is not finite")
        return low, high

    def misplaced(self, column: Column, in_order: str) -> int:
        """How many values do not follow the value before, in the order of the files' rows.

        :param in_order: SQL that compares a value ``v`` with the one ``before``
        """
        if self._table.types[column.name].startswith("U"):
            raise Uncompiled("its whole numbers have no sign, and pandas subtracts them around zero")
        sources = (self._table.sources[path] for path in self._table.files.partitions)
        values = " UNION ALL ".join(f"SELECT {column.sql} AS v FROM ({source})" for source in sources)  # noqa: S608
        pairs = f"SELECT v, lag(v) OVER () AS before FROM ({values}) WHERE v IS NOT NULL"  # noqa: S608 - quoted
        self._table.connection.execute("SET preserve_insertion_order = true")
        try:
            wrong = f"before IS NOT NULL AND NOT ({in_order})"
            return int(self.one(f"SELECT count(*) FILTER ({wrong}) FROM ({pairs})")[0])  # noqa: S608 - quoted
        finally:
            self._table.connection.execute("SET preserve_insertion_order = false")

    def groups(self, key: str, keep: str) -> tuple[int, int]:
        """How many groups of equal values there are, and how many rows are in groups of more than one."""
        asked = f"{key} {keep}"
        if asked not in self._groups:
            inner = f"SELECT count(*) AS n FROM data WHERE {keep} GROUP BY {key}"  # noqa: S608 - quoted
            found = self.one(f"SELECT count(*), coalesce(sum(n) FILTER (n > 1), 0) FROM ({inner})")  # noqa: S608
            self._groups[asked] = int(found[0]), int(found[1])
        return self._groups[asked]

    def distinct(self, column: Column) -> int:
        """How many different values there are; whole numbers that lie close together need a bit each."""
        if column.sql not in self._distinct:
            self._distinct[column.sql] = self._bits(column) or self.groups(column.sql, f"{column.sql} IS NOT NULL")[0]
        return self._distinct[column.sql]

    def _bits(self, column: Column) -> int:
        present = self.present(column)
        if column.kind is not Kind.INTEGER or not present:
            return 0
        low, high = self[f"min({column.sql})"], self[f"max({column.sql})"]
        if high - low >= min(_MOST_BITS, _BITS_A_VALUE * present):
            return 0
        bits = f"bitstring_agg({column.sql}::BIGINT, {low}::BIGINT, {high}::BIGINT)"
        return int(self.one(f"SELECT bit_count({bits}) FROM data")[0])  # noqa: S608 - quoted

    def repeated(self, column: Column) -> int:
        """How many rows hold a value that another row holds too."""
        if self.present(column) == self.distinct(column):
            return 0
        return self.groups(column.sql, f"{column.sql} IS NOT NULL")[1]

    def require_clear(self, observed: float, arguments: Mapping[str, Any], scale: float) -> None:
        """Leave to Great Expectations what the order of additions would decide."""
        for bound in (arguments.get("min_value"), arguments.get("max_value")):
            near = bound is not None and abs(observed - bound) <= _NEAR * max(scale, abs(observed), abs(bound))
            if near and not self._close_calls:
                raise Uncompiled("the observed value is as good as its bound")


Finish = Callable[[Answers], Result]


@dataclass
class Plan:
    """Compiles expectations, and gathers what the one query must answer for them."""

    columns: Mapping[str, Column]
    names: tuple[str, ...]
    asked: dict[str, int] = field(default_factory=lambda: {"count(*)": 0})

    @property
    def query(self) -> str:
        """The one query."""
        return f"SELECT {', '.join(self.asked)} FROM data"  # noqa: S608 - quoted

    def ask(self, sql: str) -> str:
        """Have an aggregate computed; it is asked for once."""
        self.asked.setdefault(sql, len(self.asked))
        return sql

    def column(self, name: str, kinds: Sequence[Kind]) -> Column:
        """The column, where its values are of one of these kinds or may turn out to be none at all."""
        column = self.columns.get(name)
        if column is None:
            raise NoColumn(f"there is no column {name}")
        if column.kind not in (*kinds, Kind.OPAQUE):
            raise Uncompiled(f"its column is one of {column.kind} values")
        self.ask(f"count({column.sql})")
        if column.kind is Kind.INTEGER:
            self.ask(f"min({column.sql})")
            self.ask(f"max({column.sql})")
        return column

    def unexpected(self, column: Column, condition: str) -> str:
        """Asks for how many values that are not null do not meet ``condition``."""
        if column.kind is Kind.OPAQUE:
            return ""
        return self.ask(f"count(*) FILTER ({column.sql} IS NOT NULL AND NOT ({condition}))")


def map_result(rows: int, kept: int, unexpected: int, mostly: float) -> Result:
    """Of an expectation about values, ``kept`` of which were held against it."""
    some = rows > 0
    counts = {
        "element_count": rows,
        "unexpected_count": unexpected,
        "unexpected_percent": unexpected / kept * 100 if some and kept else None,
        "unexpected_percent_total": unexpected / rows * 100 if some else None,
        "missing_count": rows - kept,
        "missing_percent": (rows - kept) / rows * 100 if some else None,
    }
    return Result(not kept or (float(kept) - float(unexpected)) / float(kept) >= mostly, counts)


def aggregate_result(
    arguments: Mapping[str, Any], observed: Any, nonnull: int | None = None, *, shown: bool = True
) -> Result:
    """Of an expectation about one number of a column or of the table."""
    undefined = isinstance(observed, float) and not math.isfinite(observed)
    nothing = observed is None or (isinstance(observed, float) and math.isnan(observed))
    return Result(
        not nothing and _within(observed, arguments),
        {},
        observed if shown and not undefined else None,
        withheld=not shown,
        undefined=undefined or (shown and observed is None),
        nonnull=nonnull,
    )


def _within(observed: Any, arguments: Mapping[str, Any]) -> bool:
    low, high, above, below = bounds(arguments)
    over = low is None or (observed > low if above == ">" else observed >= low)
    under = high is None or (observed < high if below == "<" else observed <= high)
    return bool(over and under)


def require_known(column: Column) -> None:
    """Refuse a column of which it is not certain what pandas would hold.

    :raises Uncompiled: it is not
    """
    if column.kind is Kind.OPAQUE:
        raise Uncompiled(f"what pandas makes of its column is not certain: {column.why}")
