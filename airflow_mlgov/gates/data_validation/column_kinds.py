"""What a column of the files becomes when pandas reads it, found without pandas. Refuses to guess: a column whose
pandas type is not certain is ``opaque``, and only its nulls are counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from airflow_mlgov.data.csv_files import is_text
from airflow_mlgov.data.file_tables import FileTable
from airflow_mlgov.data.files import is_csv
from airflow_mlgov.data.quoting import identifier


class Kind(StrEnum):
    """What the values of a column are, in pandas and in DuckDB alike."""

    INTEGER = "integer"
    """int8 to int64, uint8 to uint32; a column with a null among them is float64 in pandas."""
    FLOAT = "float"
    """float64; NaN is a null."""
    TEXT = "text"
    BOOLEAN = "boolean"
    """bool; object where there are nulls."""
    MOMENT = "moment"
    """A date, or a timestamp without a zone."""
    OPAQUE = "opaque"


@dataclass(frozen=True)
class Column:
    """One column of the view ``data``."""

    name: str
    kind: Kind
    sql: str
    """The column, with what pandas takes for a null as NULL."""
    why: str = ""
    """Why it is opaque."""


class NotAFrame(Exception):
    """pandas would give the files other columns or rows than DuckDB; the message says why."""


_DUCKDB = {
    Kind.INTEGER: ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"),
    Kind.FLOAT: ("DOUBLE",),
    Kind.TEXT: ("VARCHAR",),
    Kind.BOOLEAN: ("BOOLEAN",),
    Kind.MOMENT: ("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"),
}

_PLAIN_NUMPY = frozenset(
    {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "float64", "object", "bool", "str"}
)
"""Types that pandas notes in a parquet file and restores as they are; of others (``Int64``, ``category``) the values
behave in ways of their own."""


def columns_of(table: FileTable, names: Iterable[str]) -> dict[str, Column]:
    """The columns of ``names`` that are there.

    :raises NotAFrame: pandas would turn columns into an index, or leave out rows
    """
    wanted = [name for name in dict.fromkeys(names) if name in table.types]
    csv_files = [path for path in table.files.files if is_csv(path)]
    parquet = [path for path in table.files.files if not is_csv(path)]
    keys = _key_kinds(table)
    stored = [name for name in wanted if name not in keys]
    if csv_files and len(table.types.keys() - keys.keys()) == 1:
        raise NotAFrame("the csv has one column, of which pandas leaves out the empty lines")
    if csv_files and parquet:
        kinds = dict.fromkeys(stored, (Kind.OPAQUE, "the files are csv and parquet"))
    elif csv_files:
        kinds = _csv_kinds(table, csv_files, stored)
    else:
        kinds = _parquet_kinds(parquet, stored)
    return {name: _column(table, name, *{**kinds, **keys}[name]) for name in wanted}


def _column(table: FileTable, name: str, kind: Kind, why: str) -> Column:
    stored = table.types[name]
    sql = identifier(name)
    if stored in ("DOUBLE", "FLOAT"):
        sql = f"nullif({sql}, 'nan'::{stored})"
    if kind is not Kind.OPAQUE and stored not in _DUCKDB[kind]:
        return Column(name, Kind.OPAQUE, sql, f"DuckDB reads it as {stored}")
    return Column(name, kind, sql, why)


def _key_kinds(table: FileTable) -> dict[str, tuple[Kind, str]]:
    values: dict[str, list[Any]] = {}
    for pairs in table.files.partitions.values():
        for key, value in pairs.items():
            values.setdefault(key, []).append(value)
    kinds = {}
    for key, found in values.items():
        if None in found:
            kinds[key] = (Kind.OPAQUE, "a partition has no value for it")
        else:
            kinds[key] = (Kind.INTEGER if all(isinstance(value, int) for value in found) else Kind.TEXT, "")
    return kinds


def _csv_kinds(table: FileTable, files: list[Path], names: list[str]) -> dict[str, tuple[Kind, str]]:
    """By DuckDB's types, which are those of every value, provided that pandas finds the same in each file alone."""
    types = {"BIGINT": Kind.INTEGER, "DOUBLE": Kind.FLOAT, "BOOLEAN": Kind.BOOLEAN, "VARCHAR": Kind.TEXT}
    kinds = {
        name: (types[stored], "")
        if (stored := table.types[name]) in types
        else (Kind.OPAQUE, f"it is read as {stored}")
        for name in names
    }
    asked = [name for name in names if kinds[name][0] is not Kind.OPAQUE]
    asked = [name for name in asked if len(files) > 1 or kinds[name][0] is Kind.TEXT]
    for path in files if asked else ():
        witnesses = ", ".join(_witness(table.sources[path], name, kinds[name][0]) for name in asked)
        for name, found in zip(asked, table.rows(f"SELECT {witnesses}")[0], strict=True):
            if not found:
                kinds[name] = (Kind.OPAQUE, "pandas may read its texts as numbers or truth values, or there are none")
    return kinds


def _witness(source: str, name: str, kind: Kind) -> str:
    column = identifier(name)
    condition = f"{column} IS NOT NULL AND {is_text(column)}" if kind is Kind.TEXT else f"{column} IS NOT NULL"
    return f"EXISTS (SELECT 1 FROM ({source}) WHERE {condition})"  # noqa: S608 - quoted


def _parquet_kinds(files: list[Path], names: list[str]) -> dict[str, tuple[Kind, str]]:
    import pyarrow.parquet as pq

    kinds: dict[str, tuple[Kind, str]] = {}
    types: dict[str, Any] = {}
    for path in files:
        schema = pq.read_schema(path)
        noted = _noted_by_pandas(schema.pandas_metadata or {})
        for name in names:
            arrow = schema.field(name).type
            if name not in types:
                types[name], kinds[name] = arrow, _arrow_kind(arrow)
            if arrow != types[name]:
                kinds[name] = (Kind.OPAQUE, f"it is {types[name]} in one file and {arrow} in another")
            elif noted.get(name, "object") not in _PLAIN_NUMPY and not noted[name].startswith("datetime64"):
                kinds[name] = (Kind.OPAQUE, f"pandas wrote it as {noted[name]}")
    return kinds


def _noted_by_pandas(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Column -> the type that pandas noted.

    :raises NotAFrame: pandas would make an index of columns
    """
    for index in metadata.get("index_columns", ()):
        if isinstance(index, str) or index.get("name") is not None:
            raise NotAFrame("the parquet file holds an index of pandas")
    for part in metadata.get("column_indexes", ()):
        if part.get("pandas_type") not in ("unicode", "string", "empty"):
            raise NotAFrame("the parquet file's columns are not named by text in pandas")
    return {str(part.get("field_name")): str(part.get("numpy_type")) for part in metadata.get("columns", ())}


def _arrow_kind(arrow: Any) -> tuple[Kind, str]:
    import pyarrow as pa

    if pa.types.is_integer(arrow) and not pa.types.is_uint64(arrow):
        return Kind.INTEGER, ""
    if pa.types.is_float64(arrow):
        return Kind.FLOAT, ""
    if pa.types.is_string(arrow) or pa.types.is_large_string(arrow):
        return Kind.TEXT, ""
    if pa.types.is_boolean(arrow):
        return Kind.BOOLEAN, ""
    if pa.types.is_date32(arrow) or (pa.types.is_timestamp(arrow) and arrow.tz is None):
        return Kind.MOMENT, ""
    return Kind.OPAQUE, f"it is stored as {arrow}"
