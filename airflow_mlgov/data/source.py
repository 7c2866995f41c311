"""Tells what kind of data a caller gave, and opens it. Nothing else in the package asks: a gate gets a relation."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.cases import evaluation_digest
from airflow_mlgov.data.reading import PLAIN, Reading, word_of
from airflow_mlgov.data.relation import (
    MEMORY_LIMIT,
    ColumnKind,
    DataSource,
    Relation,
    require_memory_limit,
)
from airflow_mlgov.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_mlgov.data.duck import Duck, DuckTable
    from airflow_mlgov.results import Subject

_NUMBERS = {ColumnKind.INTEGER, ColumnKind.DECIMAL, ColumnKind.FLOAT}

__all__ = [
    "MEMORY_LIMIT",
    "ColumnKind",
    "DataSource",
    "Reading",
    "Relation",
    "compared_together",
    "evaluation_digest",
    "open_beside",
    "open_together",
    "require_declared",
    "require_memory_limit",
    "source_beside",
    "source_of",
    "subject_of",
]


def source_of(data: Any, reading: Reading = PLAIN) -> DataSource:
    """Whatever a caller names or holds, as a source.

    :param data: a path of files that :mod:`airflow_mlgov.data.file_kinds` knows (a file, a glob, a folder, also of
        ``key=value`` folders), one at a URL that fsspec knows, ``delta:PLACE@VERSION`` or ``iceberg:PLACE@SNAPSHOT``,
        a :class:`~airflow_mlgov.data.database.SqlSource` or :class:`~airflow_mlgov.data.spark.SparkSource`, a
        DataFrame of pandas or Spark, any frame with Arrow's interface (Polars, PyArrow, DuckDB), or a source already
    :param reading: how csv is read
    :raises ConfigurationError: it is of another type
    """
    if isinstance(data, str | Path):
        if str(data).startswith(("delta:", "iceberg:")):
            from airflow_mlgov.data.stored_tables import StoredTable, names_stored_table

            if names_stored_table(str(data)):
                return StoredTable(str(data))
        from airflow_mlgov.data.file_tables import Files

        return Files(str(data), reading=reading)
    if _is_pandas_frame(data):
        from airflow_mlgov.data.frames import PandasFrame

        return PandasFrame(data)
    if _is_spark_frame(data):
        from airflow_mlgov.data.spark import SparkFrame

        return SparkFrame(data)
    if hasattr(data, "open_in") and hasattr(data, "open"):
        source: DataSource = data
        if reading.said and hasattr(data, "reading"):
            source = replace(data, reading=reading)
        return source
    if hasattr(data, "__arrow_c_stream__"):
        from airflow_mlgov.data.frames import ArrowFrame

        return ArrowFrame(data)
    raise ConfigurationError(
        f"data must be a path, a URL, a SqlSource or a DataFrame, not {type(data)}", code="data.kind"
    )


def source_beside(one: DataSource | DuckTable, place: Any, reading: Reading = PLAIN) -> DataSource:
    """What is compared with a data set: a name means what it means where the rows are, so for Spark a table or a path
    that Spark reads."""
    named_there = getattr(one, "place", None)
    if named_there is not None and isinstance(place, str | Path):
        found: DataSource = named_there(str(place))
        return found
    return source_of(place, reading)


def subject_of(data: Any) -> Subject:
    """Whatever :func:`source_of` takes, bound to its bytes or rows; errors as of opening it."""
    with source_of(data).open() as relation:
        return relation.subject


@contextmanager
def open_together(
    sources: Mapping[str, DataSource], *, memory_limit: str = MEMORY_LIMIT
) -> Iterator[dict[str, DuckTable]]:
    """Several sources as views of one embedded DuckDB, so that a query can join them; of Spark as views of one session.

    :param sources: name of the view -> source; what is not a file or a frame is copied to a temporary file
    :param memory_limit: of them together
    :raises ConfigurationError: one is not what it should be
    :raises AccessError: the file system or a database refuses
    :raises DependencyError: a database is down, or data changed while it was read
    """
    from airflow_mlgov.data.duck import Duck

    own = next((source.together for source in sources.values() if hasattr(source, "together")), Duck)
    with own(memory_limit) as duck, _opened_in(duck, sources) as tables:
        yield tables


@contextmanager
def open_beside(table: DuckTable, sources: Mapping[str, DataSource]) -> Iterator[dict[str, DuckTable]]:
    """Further sources in the DuckDB, or the session of Spark, of a table that is open; otherwise as
    :func:`open_together`."""
    with _opened_in(table.duck, sources) as tables:
        yield tables


def require_declared(relation: Relation, reading: Reading) -> None:
    """Refuse declared types of columns that are not there, or that hold something else because the data has types of
    its own.

    :raises ConfigurationError: so it is
    """
    from airflow_mlgov.data.duck import kind_of

    relation.require(*reading.types)
    for name, stored in reading.stored_types.items():
        kinds = {relation.columns[name], kind_of(stored)}
        if len(kinds) > 1 and ColumnKind.UNKNOWN not in kinds and not kinds <= _NUMBERS:
            raise ConfigurationError(
                f'the column "{name}" of {relation.name} holds {relation.columns[name]}, and is declared as '
                f"{reading.types[name]}: cast it where the data is made, or leave the declaration out",
                code="column.not_declared_type",
            )


def compared_together(columns: Sequence[tuple[Relation, str]], what: str = "") -> None:
    """Columns whose values are compared with each other, or name something: in csv the text as written counts, wherever
    it tells more apart than the type that its values look like, and where one of them is text already. A declared type
    counts as it is.

    :param what: ``labels`` of several columns, where one number written in two ways is refused, not told apart
    :raises ConfigurationError: such numbers among labels
    """
    files = [(relation.in_duckdb().as_files(), name) for relation, name in columns if relation.is_local]
    in_text = [(table, name) for table, name in files if table is not None and table.is_text]
    guessed = [(table, name) for table, name in in_text if name in table.types and table.guessed(name)]
    if not guessed:
        return
    varied = [(table, name) for table, name in guessed if table.writes_one_value_in_two_ways(name)]
    if varied and what and len(columns) > 1:
        table, name = varied[0]
        raise ConfigurationError(
            f'the column "{name}" of {table.name} writes one value ({word_of(table.types[name])}) '
            f"in several ways (as 1 and 1.0), and {what} are compared with another column: declare what it holds, by "
            f"types: {{{name}: text}} or {{{name}: {word_of(table.types[name])}}}",
            code="value.spellings",
        )
    if varied or any(relation.columns.get(name) is ColumnKind.TEXT for relation, name in columns):
        for table, name in guessed:
            table.read_as_written(name)


@contextmanager
def _opened_in(duck: Duck, sources: Mapping[str, DataSource]) -> Iterator[dict[str, DuckTable]]:
    with ExitStack() as stack:
        tables = {view: stack.enter_context(source.open_in(duck, view)) for view, source in sources.items()}
        for table in tables.values():
            table.prepare()
        yield tables


def _is_pandas_frame(data: Any) -> bool:
    """Told without importing pandas."""
    pandas: Any = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, pandas.DataFrame)


def _is_spark_frame(data: Any) -> bool:
    """Of Spark or Spark Connect; told without importing PySpark."""
    return any(
        part.__name__ == "DataFrame" and part.__module__.startswith("pyspark.sql") for part in type(data).__mro__
    )
