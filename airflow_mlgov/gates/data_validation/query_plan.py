"""Gathers what aggregate queries of DuckDB must answer for a suite, and hands out the answers in the shape of Great
Expectations' results. Refuses an order where the rows have none."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from airflow_mlgov.data.aggregates import count_where, where
from airflow_mlgov.data.csv_files import Extent, begins_as_number
from airflow_mlgov.data.duck import DuckTable, in_order
from airflow_mlgov.data.file_tables import FileTable
from airflow_mlgov.data.names import missing_columns_text
from airflow_mlgov.data.relation import ColumnKind
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.data_validation.columns import Column, UnfitError
from airflow_mlgov.gates.data_validation.gx import Result

_BATCH = 300
"""Aggregates that one query computes: DuckDB's time for a query grows with the square of their number."""
_DISTINCT = "count(DISTINCT "
_AT_ONCE = 8
"""Columns whose different values one query keeps."""
_MOST_BITS = 800_000_000
_BITS_A_VALUE = 64


class UncompiledError(Exception):
    """The expectation is sound and DuckDB cannot answer it: one for Great Expectations; the message says why."""


@dataclass
class Plan:
    """Compiles expectations over the same rows, and gathers the aggregates that are needed for them."""

    columns: Mapping[str, Column]
    source: str = "data"
    """What stands after FROM."""
    ordered: bool = True
    """Whether the rows have an order."""
    is_text: bool = False
    """Whether each query has to parse all columns of all rows, so that one is better than one for each column."""
    _asked: dict[str, str] = field(default_factory=lambda: {"count(*)": ""})
    """Aggregate -> the column that it is about."""
    _later: list[tuple[Column, Callable[[Answers], str]]] = field(default_factory=list)

    def batches(self) -> Iterator[list[str]]:
        """The aggregates of each query; those of one column stand together, so that few queries read it."""
        places = {name: place for place, name in enumerate(self.columns)}
        return in_batches(sorted(self._asked, key=lambda sql: places.get(self._asked[sql], -1)))

    def later(self, answers: Answers) -> Iterator[list[str]]:
        """The same of what is asked for once there are answers."""
        second = Plan(self.columns, self.source, _asked={})
        for column, written in self._later:
            with suppress(ConfigurationError):  # told again by the expectation that needs it
                if sql := written(answers):
                    second.ask(column, sql)
        return second.batches()

    def query(self, aggregates: Sequence[str]) -> str:
        """One of the queries."""
        return f"SELECT {', '.join(aggregates)} FROM {self.source}"  # noqa: S608 - quoted

    def ask(self, column: Column, sql: str) -> str:
        """Have an aggregate of a column computed; it is asked for once."""
        self._asked.setdefault(sql, column.name)
        return sql

    def ask_later(self, column: Column, written: Callable[[Answers], str]) -> None:
        """Have an aggregate computed that is written by what the others say; empty where there is none to compute."""
        self._later.append((column, written))

    def column(self, name: str) -> Column:
        """The column.

        :raises UnfitError: there is none of that name
        """
        column = self.columns.get(name)
        if column is None:
            raise UnfitError(f"there is no column {missing_columns_text(list(self.columns), [name])}")
        self.ask(column, f"count({column.sql})")
        if column.written and column.kind is ColumnKind.TEXT:
            self.ask(column, like_numbers(column))
        if column.stored == "BIGINT":  # to say whether pandas would round its numbers
            self.extent(column)
        return column

    def extent(self, column: Column) -> None:
        """Asks for the least and the greatest value."""
        for sql in extent(column):
            self.ask(column, sql)

    def distinct(self, column: Column) -> None:
        """Asks for what :meth:`Answers.distinct` needs."""
        if column.kind is ColumnKind.INTEGER:
            self.extent(column)
        sql = distinct_sql(column, column.extent)
        if self.is_text and sum(one.startswith(_DISTINCT) for one in self._asked) < _AT_ONCE:
            self.ask(column, sql)

    def unexpected(self, column: Column, condition: str) -> str:
        """Asks for how many values that are not null do not meet ``condition``."""
        return self.ask(column, count_where(f"{column.sql} IS NOT NULL AND NOT coalesce({condition}, false)"))


def in_batches(aggregates: Sequence[str]) -> Iterator[list[str]]:
    """As many as one query computes."""
    return (list(aggregates[at : at + _BATCH]) for at in range(0, len(aggregates), _BATCH))


def extent(column: Column) -> tuple[str, str]:
    """The least and the greatest value."""
    return f"min({column.sql})", f"max({column.sql})"


def like_numbers(column: Column) -> str:
    """How many texts may be numbers."""
    return count_where(begins_as_number(column.sql))


def without_distinct(aggregates: Sequence[str]) -> list[str]:
    """Those that keep no different values."""
    return [sql for sql in aggregates if not sql.startswith(_DISTINCT)]


def distinct_sql(column: Column, known: Extent | None) -> str:
    """Counts the different values; whole numbers that lie close together need a bit each.

    :param known: of whole numbers; what lies beyond it is not counted
    """
    if known is None:
        return f"{_DISTINCT}{column.sql})"
    present, low, high = known
    wide = high - low >= min(_MOST_BITS, _BITS_A_VALUE * present)
    if wide or not -(2**63) <= low <= high < 2**63:
        return f"{_DISTINCT}{column.sql})"
    return f"bit_count(bitstring_agg({column.sql}::BIGINT, {low}::BIGINT, {high}::BIGINT))"


class Answers:
    """What the plan's queries said, by the SQL that asked for it; further queries where they are not enough.

    :param values: what is not in it is asked for by a query of its own
    """

    def __init__(self, table: DuckTable, plan: Plan, values: dict[str, Any]) -> None:
        self._table, self._plan, self._values = table, plan, values
        self._groups: dict[str, tuple[int, int]] = {}
        self._distinct: dict[str, int] = {}
        self._ones: dict[str, tuple[Any, ...]] = {}

    def __getitem__(self, sql: str) -> Any:
        return self._values[sql] if sql in self._values else self.one(self._plan.query([sql]))[0]

    def add(self, values: Mapping[str, Any]) -> None:
        """What later queries said."""
        self._values.update(values)

    def tell(self, files: FileTable) -> None:
        """Files of text, what the answers say of them that they would ask for themselves."""
        for column in self._plan.columns.values():
            most = self._values.get(like_numbers(column)) if column.written else None
            if most is not None:
                files.may_be_numbers(column.name, most, self.present(column))

    @property
    def rows(self) -> int:
        """That are judged."""
        return int(self["count(*)"])

    @property
    def source(self) -> str:
        """What stands after FROM."""
        return self._plan.source

    def present(self, column: Column) -> int:
        """How many values are not null."""
        return int(self[f"count({column.sql})"])

    def remarked(self, column: Column) -> bool:
        """Whether the relation says itself what stands among a column's numbers."""
        return bool(self._table.remark(column.name))

    def one(self, query: str) -> tuple[Any, ...]:
        """The one row of a query beside those of the plan, which is asked once."""
        if query not in self._ones:
            self._ones[query] = self._table.rows(query)[0]
        return self._ones[query]

    def all(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query beside those of the plan."""
        return self._table.rows(query)

    def placed(self, column: Column, place: int, count: int = 1) -> tuple[Any, Any]:
        """The smallest and the largest of ``count`` values from ``place`` on, in the order of size."""
        middle = (
            f"SELECT {column.sql} AS v FROM {self.source} WHERE {column.sql} IS NOT NULL ORDER BY v "  # noqa: S608
            f"LIMIT {count} OFFSET {place}"
        )
        low, high = self.one(f"SELECT min(v), max(v) FROM ({middle})")  # noqa: S608 - quoted
        return low, high

    def misplaced(self, column: Column, follows: str) -> int:
        """How many values do not follow the value before, in the order of the files' or the frame's rows.

        :param follows: SQL that compares a value ``v`` with the one ``before``
        :raises UnfitError: the rows have no order
        """
        if not self._plan.ordered:
            raise UnfitError("the rows of a table have no order")
        files = self._table.as_files()
        parts = [self.source]
        if files is not None and self.source == "data":
            parts = [f"({files.sources[path]})" for path in files.files.partitions]
        values = " UNION ALL ".join(f"SELECT {column.sql} AS v FROM {part}" for part in parts)  # noqa: S608 - quoted
        pairs = f"SELECT v, lag(v) OVER () AS before FROM ({values}) WHERE v IS NOT NULL"  # noqa: S608 - quoted
        wrong = f"before IS NOT NULL AND NOT ({follows})"
        with in_order(self._table.connection):
            return int(self.one(f"SELECT {count_where(wrong)} FROM ({pairs})")[0])  # noqa: S608 - quoted

    def groups(self, key: str, keep: str) -> tuple[int, int]:
        """How many groups of equal values there are, and how many rows are in groups of more than one."""
        asked = f"{key} {keep}"
        if asked not in self._groups:
            inner = f"SELECT count(*) AS n FROM {self.source} WHERE {keep} GROUP BY {key}"  # noqa: S608 - quoted
            found = self.one(f"SELECT count(*), coalesce(sum({where('n > 1', 'n')}), 0) FROM ({inner})")  # noqa: S608
            self._groups[asked] = int(found[0]), int(found[1])
        return self._groups[asked]

    def distinct(self, column: Column) -> int:
        """How many different values there are; whole numbers that lie close together need a bit each."""
        if column.sql not in self._distinct:
            sql = distinct_sql(column, column.extent or self.extent(column))
            found = self._values[sql] if sql in self._values else self._counted(column, sql)
            self._distinct[column.sql] = int(found or 0)
        return self._distinct[column.sql]

    def _counted(self, column: Column, sql: str) -> int:
        """By a query of its own, which keeps the groups on disk where they are many."""
        if sql.startswith(_DISTINCT):
            return self.groups(column.sql, f"{column.sql} IS NOT NULL")[0]
        return int(self[sql] or 0)

    def extent(self, column: Column) -> Extent | None:
        """Of a column of whole numbers how many there are, the least and the greatest; None if there is none."""
        present = self.present(column)
        if column.kind is not ColumnKind.INTEGER or not present:
            return None
        return Extent(present, *(self[sql] for sql in extent(column)))

    def repeated(self, column: Column) -> int:
        """How many rows hold a value that another row holds too."""
        if self.present(column) == self.distinct(column):
            return 0
        return self.groups(column.sql, f"{column.sql} IS NOT NULL")[1]


Finish = Callable[[Answers], Result]


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
    return Result(not kept or Fraction(kept - unexpected, kept) >= exact(mostly), counts)


def aggregate_result(
    arguments: Mapping[str, Any], observed: Any, nonnull: int | None = None, *, shown: bool = True
) -> Result:
    """Of an expectation about one number of a column or of the table.

    :param observed: a float, or a Fraction or whole number that is exact
    """
    undefined = isinstance(observed, float) and not math.isfinite(observed)
    nothing = observed is None or (isinstance(observed, float) and math.isnan(observed))
    shows = float(observed) if isinstance(observed, Fraction) and observed.denominator > 1 else observed
    shows = int(shows) if isinstance(shows, Fraction) else shows
    return Result(
        not nothing and within(observed, arguments),
        {},
        shows if shown and not undefined else None,
        withheld=not shown,
        undefined=undefined or (shown and observed is None),
        nonnull=nonnull,
    )


def within(observed: Any, arguments: Mapping[str, Any]) -> bool:
    """Whether a number is between the bounds: a float is compared as it is, anything else exactly with the number that
    is written in the suite."""
    low, high = arguments.get("min_value"), arguments.get("max_value")
    if not isinstance(observed, float):
        low, high = (None if bound is None else exact(bound) for bound in (low, high))
    over = low is None or (observed > low if arguments.get("strict_min") else observed >= low)
    under = high is None or (observed < high if arguments.get("strict_max") else observed <= high)
    return bool(over and under)


def exact(value: Any) -> Fraction:
    """The number as it is written: 0.1 is a tenth."""
    return Fraction(Decimal(repr(value)) if isinstance(value, float) else value)
