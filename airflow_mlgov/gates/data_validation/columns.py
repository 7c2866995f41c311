"""A column of the relation, and its values compared with those of a suite: exactly, whichever types the two have.
Refuses to compare what is of two kinds."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import Any

from airflow_mlgov.data.csv_files import Extent
from airflow_mlgov.data.duck import DuckTable
from airflow_mlgov.data.quoting import identifier, literal
from airflow_mlgov.data.relation import ColumnKind
from airflow_mlgov.gates.data_validation.dates import ISO, has_zone, is_iso

NUMERIC = (ColumnKind.INTEGER, ColumnKind.DECIMAL, ColumnKind.FLOAT)
MOMENTS = (ColumnKind.DATE, ColumnKind.TIMESTAMP)

_NUMBER = "[ ]*[-+]?(?:[0-9]+(?:[.][0-9]*)?|[.][0-9]+)(?:[eE][-+]?[0-9]{1,3})?[ ]*"
_BITS = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64, "HUGEINT": 128}
_DECIMAL = re.compile(r"DECIMAL\(([0-9]+),([0-9]+)\)")


class UnfitError(Exception):
    """The expectation cannot be held against its column; the message says why.

    :param column: whose kind is the reason; where it has no value at all, there is nothing that could be of another
    """

    def __init__(self, message: str, column: Column | None = None) -> None:
        super().__init__(message)
        self.column = column


@dataclass(frozen=True)
class Column:
    """One column of the view ``data``."""

    name: str
    kind: ColumnKind
    stored: str
    """DuckDB's type."""
    written: bool = False
    """Whether its type is no more than what the texts of a csv look like."""
    extent: Extent | None = None
    """Of all its values in the file, where that is known already."""

    @property
    def sql(self) -> str:
        """The column, with NaN as NULL."""
        quoted = identifier(self.name)
        return f"nullif({quoted}, 'nan'::{self.stored})" if self.kind is ColumnKind.FLOAT else quoted

    @property
    def text(self) -> str:
        """Its values as text; whole numbers are their digits.

        :raises UnfitError: they are none, and could be written in more ways than one
        """
        if self.kind is ColumnKind.TEXT:
            return f"{self.sql}::VARCHAR" if self.stored != "VARCHAR" else self.sql
        if self.kind is ColumnKind.INTEGER or (self.written and self.kind is ColumnKind.BOOLEAN):
            return f"{identifier(self.name)}::VARCHAR"
        declare = "; declare its type text, so that it is judged as written" if self.written else ""
        why = f'the column "{self.name}" is {self.stored}, and the expectation is about texts{declare}'
        raise UnfitError(why, self)

    @property
    def number(self) -> str:
        """SQL for what its texts are as numbers, NULL for those that are none."""
        return f"CASE WHEN regexp_full_match({self.text}, {literal(_NUMBER)}) THEN TRY_CAST({self.text} AS DOUBLE) END"

    @property
    def moment(self) -> str:
        """SQL for what its texts are as time stamps, NULL for those that are no ISO date."""
        return f"CASE WHEN regexp_full_match({self.text}, {literal(ISO)}) THEN TRY_CAST({self.text} AS TIMESTAMP) END"


def columns_of(table: DuckTable) -> dict[str, Column]:
    """Every column by its name."""
    files = table.as_files()
    if files is None or not files.is_text:
        return {name: Column(name, kind, table.types[name]) for name, kind in table.columns.items()}
    return {
        name: Column(name, kind, table.types[name], files.guessed(name), files.extent_of(name))
        for name, kind in table.columns.items()
    }


def as_written(columns: Mapping[str, Column]) -> dict[str, Column]:
    """The columns of :attr:`airflow_mlgov.data.file_tables.FileTable.written`, each of which is text."""
    return {name: Column(name, ColumnKind.TEXT, "VARCHAR") for name, column in columns.items() if column.written}


def require_kind(column: Column, kinds: Iterable[ColumnKind], what: str) -> None:
    """Refuse a column of another kind.

    :raises UnfitError: it is
    """
    if column.kind not in kinds:
        raise UnfitError(f'the column "{column.name}" is {column.stored}, and the expectation is about {what}', column)


def compared(column: Column, sign: str, value: Any) -> str:
    """SQL that is true where a value of the column stands so to ``value``, else false; NULL stays NULL.

    :param sign: ``<``, ``<=``, ``>``, ``>=`` or ``=``
    :raises UnfitError: the two are of two kinds
    """
    if isinstance(value, bool):
        return _compared_truth(column, sign, value)
    if isinstance(value, int | float):
        return _compared_number(column, sign, value)
    return _compared_text(column, sign, str(value))


def member(column: Column, items: Sequence[Any]) -> str:
    """SQL that is true of a value which is among ``items``.

    :raises UnfitError: an item is of another kind than the column
    """
    literals = [found for item in items if item is not None and (found := _literal(column, item)) is not None]
    return f"({column.sql} IN ({', '.join(literals)}))" if literals else f"({column.sql} IS NULL)"


def fitting(column: Column, items: Sequence[Any]) -> list[Any]:
    """Those of ``items`` that the column's values can be compared with, each once."""
    kept: dict[Any, Any] = {}
    for item in items:
        try:
            found = None if item is None else _literal(column, item)
        except UnfitError:
            continue
        if item is not None:
            kept.setdefault(found or ("", repr(item)), item)
    return list(kept.values())


def _literal(column: Column, value: Any) -> str | None:
    """The value as SQL of the column's type; None where the column cannot hold it."""
    if isinstance(value, bool):
        if column.kind is not ColumnKind.BOOLEAN:
            raise _unlike(column, "a truth value")
        return str(value).upper()
    if isinstance(value, int | float):
        if column.kind not in NUMERIC:
            raise _unlike(column, "a number")
        return _number_literal(column, value)
    if column.kind is ColumnKind.TEXT:
        return literal(value)
    if column.kind in MOMENTS:
        return _moment_literal(column, value)
    raise _unlike(column, "a text")


def _number_literal(column: Column, value: float) -> str | None:
    if column.kind is ColumnKind.FLOAT:
        return _float_literal(column, float(value)) if float(value) == value else None
    low, high = _on_grid(column, value)
    return _grid_literal(column, low) if low == high and _fits(column, low) else None


def _compared_truth(column: Column, sign: str, value: bool) -> str:
    if column.kind is not ColumnKind.BOOLEAN or sign != "=":
        raise _unlike(column, "a truth value")
    return f"{column.sql} = {str(value).upper()}"


def _compared_text(column: Column, sign: str, value: str) -> str:
    if column.kind in MOMENTS:
        return f"{_as_moment(column)} {sign} {_moment_literal(column, value)}"
    if column.kind is not ColumnKind.TEXT:
        raise _unlike(column, "a text")
    return f"{column.sql} {sign} {literal(value)}"


def _compared_number(column: Column, sign: str, value: float) -> str:
    if column.kind is ColumnKind.FLOAT:
        return f"{column.sql} {sign} {_float_bound(column, sign, value)}"
    if column.kind not in (ColumnKind.INTEGER, ColumnKind.DECIMAL):
        raise _unlike(column, "a number")
    low, high = _on_grid(column, value)
    if sign == "=" and low != high:
        return f"({column.sql} IS NULL)"
    bound = high if sign in (">=", "<") else low
    if not _fits(column, bound):
        holds = (bound > 0) == (sign in ("<", "<=")) and sign != "="
        return f"({column.sql} IS {'NOT ' if holds else ''}NULL)"
    return f"{column.sql} {sign} {_grid_literal(column, bound)}"


def _on_grid(column: Column, value: float) -> tuple[Decimal, Decimal]:
    """The nearest values at or below, and at or above, that the column can hold."""
    step = Decimal(1).scaleb(-_scale(column))
    with localcontext() as context:
        context.prec = 400
        exact = Decimal(value) if isinstance(value, int) else Decimal(repr(value))
        return exact.quantize(step, ROUND_FLOOR), exact.quantize(step, ROUND_CEILING)


def _scale(column: Column) -> int:
    found = _DECIMAL.fullmatch(column.stored)
    return int(found[2]) if found else 0


def _fits(column: Column, value: Decimal) -> bool:
    found = _DECIMAL.fullmatch(column.stored)
    if found:
        return abs(value) < Decimal(10) ** (int(found[1]) - int(found[2]))
    bits = _BITS[column.stored.removeprefix("U")]
    if column.stored.startswith("U"):
        return 0 <= value < Decimal(2) ** bits
    return -(Decimal(2) ** (bits - 1)) <= value < Decimal(2) ** (bits - 1)


def _grid_literal(column: Column, value: Decimal) -> str:
    return f"'{value:f}'::{column.stored}"


def _float_bound(column: Column, sign: str, value: float) -> str:
    try:
        near = float(value)
    except OverflowError:
        near = math.inf if value > 0 else -math.inf
    if isinstance(value, int) and math.isfinite(near) and int(near) != value:
        up = sign in (">=", "<")
        if (int(near) < value) == up:
            near = math.nextafter(near, math.inf if up else -math.inf)
    return _float_literal(column, near)


def _float_literal(column: Column, value: float) -> str:
    """A float32 column is compared with the float32 that the number is written as."""
    kind = "DOUBLE"
    if column.stored == "FLOAT":
        with suppress(OverflowError):
            value, kind = struct.unpack("f", struct.pack("f", value))[0], "FLOAT"
    return f"'{value!r}'::{kind}"


def _as_moment(column: Column) -> str:
    return (
        f"{column.sql}::TIMESTAMP" if column.stored in ("TIMESTAMP_NS", "TIMESTAMP_S", "TIMESTAMP_MS") else column.sql
    )


def _moment_literal(column: Column, value: str) -> str:
    if not is_iso(value):
        raise UnfitError(f'the column "{column.name}" is {column.stored}, and "{value[:40]}" is no ISO date')
    zoned = "WITH TIME ZONE" in column.stored
    if has_zone(value) and not zoned:
        raise UnfitError(f'the column "{column.name}" is {column.stored}, without a time zone, and "{value}" has one')
    if zoned:
        text = value if has_zone(value) else f"{value}{'' if len(value) > 10 else ' 00:00:00'}+00:00"
        return f"{literal(text)}::TIMESTAMPTZ"
    return f"{literal(value)}::TIMESTAMP"


def _unlike(column: Column, what: str) -> UnfitError:
    return UnfitError(f'the column "{column.name}" is {column.stored}, and is held against {what}', column)
