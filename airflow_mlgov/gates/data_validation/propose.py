"""Drafts a Great Expectations suite from data that a person trusts, for that person to edit. Refuses to publish a
person's value: ranges are widened and rounded, and only values that many rows share are listed.

Everything it proposes can be evaluated in one query; a range holds numbers to be numbers, a length text to be text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_mlgov.data.duck import DuckTable
from airflow_mlgov.data.quoting import identifier
from airflow_mlgov.data.reading import PLAIN, Reading
from airflow_mlgov.data.source import MEMORY_LIMIT, require_declared, source_of
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.dataset_checks.workbench import is_numeric

_MARGIN = 0.2
"""Of the span of a column's numbers, on either side."""
_NEARLY = 0.1
"""A larger share of missing values is no slip."""
_SET_SIZE = 20
_FLAG = 2
"""Whole numbers with no more values are words, such as 0 and 1."""
_SET_ROWS = 10
"""Rows that must share a value before it is listed."""
_SET_SHARE = 0.9
_ID_ROWS = 100
"""In fewer rows, numbers differ by chance."""

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")


@dataclass(frozen=True)
class _Profile:
    """Aggregates of one column."""

    name: str
    kind: str
    rows: int
    given: int
    """Values that are not missing; NaN is missing."""
    distinct: int
    """Exact where it is near ``given`` or small, else an estimate."""
    low: float | None
    """The smallest number, or the smallest length of a text."""
    high: float | None

    @property
    def is_id(self) -> bool:
        """Whether every row has a value of its own, and the kind of value that names rows."""
        names = self.kind in ("VARCHAR", "UUID", *_INTEGERS)
        return names and self.rows >= _ID_ROWS and self.distinct == self.given == self.rows


def propose_suite(
    data: str,
    *,
    name: str | None = None,
    types: bool = False,
    reading: Reading = PLAIN,
    memory_limit: str = MEMORY_LIMIT,
) -> dict[str, Any]:
    """A suite that the data passes, as JSON values.

    :param data: as :func:`airflow_mlgov.data.source.source_of` takes it
    :param name: of the suite; the data's file name if omitted
    :param types: also pin pandas' types of numbers and truth values, which takes Great Expectations itself to evaluate
    :param reading: how csv is read; what is declared stands in the suite's meta, so that the gate reads it so too
    :raises ConfigurationError: no such data, an unreadable one, or no rows in it
    :raises AccessError: the file system refuses to read it
    :raises DependencyError: a file changed while it was being read
    """
    with source_of(data, reading).open(memory_limit=memory_limit) as relation:
        table = relation.in_duckdb()
        if reading.types:
            require_declared(table, reading)
        profiles = _profiles(table)
        rows = profiles[0].rows
        expectations = [_expectation("table_row_count_to_be_between", "warning", **_around(rows))]
        for profile in profiles:
            expectations += _for_column(table, profile, types)
        draft = {
            "status": "draft",
            "note": "Drafted from data that was trusted, for a person to edit: what the data happens to be is not yet "
            "what it must be. Ranges are widened and rounded. Take this entry out when somebody has read every line.",
            "data": table.name,
            "data_sha256": table.subject.digest,
            "rows": rows,
        }
    return {
        "name": name or f"{Path(data).stem or 'data'} (draft)",
        "expectations": expectations,
        "meta": {"mlgov": draft, **reading.said},
    }


def _profiles(table: DuckTable) -> list[_Profile]:
    """Every column's aggregates, from one query and one more for each column whose values may all differ."""
    parts = [part for name, kind in table.types.items() for part in _aggregates(name, kind)]
    ((rows, *found),) = table.rows(f"SELECT count(*), {', '.join(parts)} FROM data")  # noqa: S608 - quoted
    if not rows:
        raise ConfigurationError(
            f"{table.name} has no rows: propose a suite from data that is as it should be", code="data.empty"
        )
    profiles = []
    for position, (name, kind) in enumerate(table.types.items()):
        given, distinct, low, high = found[4 * position : 4 * position + 4]
        if given and (distinct > 0.8 * given or distinct <= 2 * _SET_SIZE) and kind in ("VARCHAR", "UUID", *_INTEGERS):
            ((distinct,),) = table.rows(f"SELECT count(DISTINCT {identifier(name)}) FROM data")  # noqa: S608 - quoted
        profiles.append(_Profile(name, kind, rows, given, distinct, low, high))
    return profiles


def _aggregates(name: str, kind: str) -> tuple[str, str, str, str]:
    column = identifier(name)
    if kind in ("FLOAT", "DOUBLE"):
        column = f"nullif({column}, 'nan'::{kind})"
    measured = f"{column}::DOUBLE" if is_numeric(kind) else f"length({column})" if kind == "VARCHAR" else "NULL"
    return f"count({column})", f"approx_count_distinct({column})", f"min({measured})", f"max({measured})"


def _for_column(table: DuckTable, profile: _Profile, types: bool) -> Iterator[dict[str, Any]]:
    column = {"column": profile.name}
    yield _expectation("column_to_exist", "critical", **column)
    missing = 1 - profile.given / profile.rows
    if not missing:
        yield _expectation("column_values_to_not_be_null", "critical", **column)
    elif missing <= _NEARLY:
        mostly = math.floor(100 * (1 - 1.5 * missing)) / 100
        yield _expectation("column_values_to_not_be_null", "warning", **column, mostly=mostly)
    if not profile.given:
        return
    if types and (names := _pandas_types(profile)):
        yield _expectation("column_values_to_be_in_type_list", "critical", **column, type_list=names)
    if profile.is_id:
        yield _expectation("column_values_to_be_unique", "critical", **column)
    if profile.kind == "BOOLEAN":
        yield _expectation("column_values_to_be_in_set", "critical", **column, value_set=[True, False])
    elif profile.kind == "VARCHAR":
        yield _shared_values(table, profile) or _lengths(profile)
    elif profile.kind in _INTEGERS and profile.distinct <= _FLAG and (flag := _shared_values(table, profile)):
        yield flag
    elif is_numeric(profile.kind) and not profile.is_id and (span := _range(profile)):
        yield _expectation("column_values_to_be_between", "warning", **column, **span)


def _shared_values(table: DuckTable, profile: _Profile) -> dict[str, Any] | None:
    """A set of the values that many rows share; None where they are too many, or too few rows share them."""
    column = identifier(profile.name)
    if profile.distinct > 2 * _SET_SIZE:
        return None
    shared = table.rows(
        f"SELECT {column}, count(*) FROM data WHERE {column} IS NOT NULL GROUP BY 1 "  # noqa: S608 - quoted
        f"HAVING count(*) >= {_SET_ROWS} ORDER BY 1"
    )
    covered = sum(count for _, count in shared) / profile.given
    if not shared or len(shared) > _SET_SIZE or covered < _SET_SHARE:
        return None
    mostly = {} if covered == 1 else {"mostly": math.floor(100 * covered) / 100}
    given = {"column": profile.name, "value_set": [value for value, _ in shared], **mostly}
    return _expectation("column_values_to_be_in_set", "critical", **given)


def _lengths(profile: _Profile) -> dict[str, Any]:
    """Half the shortest text to half as long again as the longest; the length, where many have the same."""
    low, high = int(profile.low or 0), int(profile.high or 0)
    if low != high or profile.given < _ID_ROWS:
        low, high = low // 2, 10 * math.ceil(high * 1.5 / 10)
    given = {"column": profile.name, "min_value": low, "max_value": high}
    return _expectation("column_value_lengths_to_be_between", "warning", **given)


def _range(profile: _Profile) -> dict[str, float]:
    """Widened, then rounded outwards to half of the span's power of ten; it does not cross zero, and what looks like a
    share stays one. Empty where a number is infinite."""
    low, high = profile.low, profile.high
    if low is None or high is None or not math.isfinite(high - low):
        return {}
    if low >= 0 and 0.5 < high <= 1 and profile.kind not in _INTEGERS:
        return {"min_value": 0, "max_value": 1}
    span = (high - low) or abs(high) or 1.0
    power = math.floor(math.log10(span))
    step = 10.0**power / 2
    widened = math.floor((low - _MARGIN * span) / step) * step, math.ceil((high + _MARGIN * span) / step) * step
    bottom, top = max(widened[0], 0.0) if low >= 0 else widened[0], min(widened[1], 0.0) if high <= 0 else widened[1]
    if profile.kind in _INTEGERS:
        return {"min_value": math.floor(bottom), "max_value": math.ceil(top)}
    return {"min_value": round(bottom, 1 - power), "max_value": round(top, 1 - power)}


def _around(rows: int) -> dict[str, int]:
    """Half to twice the rows, rounded to one digit."""
    low, high = max(1, rows // 2), 2 * rows
    return {"min_value": _one_digit(low, math.floor), "max_value": _one_digit(high, math.ceil)}


def _one_digit(number: int, rounded: Callable[[float], int]) -> int:
    power = int(f"1{'0' * (len(str(number)) - 1)}")
    return rounded(number / power) * power


def _pandas_types(profile: _Profile) -> list[str]:
    """What pandas may call the column; empty where it has many names for it."""
    if profile.kind in _INTEGERS:
        floats = ["float64"] if profile.given < profile.rows else []
        return ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", *floats]
    if profile.kind in ("FLOAT", "DOUBLE"):
        return ["float32", "float64"]
    return ["bool"] if profile.kind == "BOOLEAN" and profile.given == profile.rows else []


def _expectation(kind: str, severity: str, **arguments: Any) -> dict[str, Any]:
    return {"type": f"expect_{kind}", "kwargs": arguments, "severity": severity}
