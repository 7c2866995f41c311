"""DataFrames as sources: of pandas and of others with Arrow's interface, read by DuckDB where they lie in memory; of
Spark, asked in Spark. Refuses values that no column of one type holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow_mlgov.data.duck import Duck, DuckTable
from airflow_mlgov.data.fingerprint import (
    TableFingerprint,
    fingerprint_frame,
    require_single,
)
from airflow_mlgov.data.names import require_apart, require_columns
from airflow_mlgov.data.relation import MEMORY_LIMIT, ColumnKind
from airflow_mlgov.data.remote import RemoteRelation, copied
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


_SPARK_KINDS = {
    "boolean": ColumnKind.BOOLEAN,
    "tinyint": ColumnKind.INTEGER,
    "smallint": ColumnKind.INTEGER,
    "int": ColumnKind.INTEGER,
    "bigint": ColumnKind.INTEGER,
    "decimal": ColumnKind.DECIMAL,
    "float": ColumnKind.FLOAT,
    "double": ColumnKind.FLOAT,
    "string": ColumnKind.TEXT,
    "char": ColumnKind.TEXT,
    "varchar": ColumnKind.TEXT,
    "date": ColumnKind.DATE,
    "timestamp": ColumnKind.TIMESTAMP,
    "timestamp_ntz": ColumnKind.TIMESTAMP,
    "interval": ColumnKind.INTERVAL,
    "binary": ColumnKind.BINARY,
    "array": ColumnKind.NESTED,
    "map": ColumnKind.NESTED,
    "struct": ColumnKind.NESTED,
}


@dataclass(frozen=True, eq=False)
class PandasFrame:
    """A pandas DataFrame as a source. Its index is no column."""

    data: pd.DataFrame
    name: str = "pandas DataFrame"

    @contextmanager
    def open(self, *, memory_limit: str = MEMORY_LIMIT) -> Iterator[FrameTable]:
        """The frame as the view ``data``."""
        with Duck(memory_limit) as duck, self.open_in(duck, "data") as table:
            yield table

    @contextmanager
    def open_in(self, duck: Duck, view: str) -> Iterator[FrameTable]:
        """The frame as a view beside others."""
        yield FrameTable(duck, view, self.name, self.data)


@dataclass(frozen=True, eq=False)
class ArrowFrame:
    """A frame that hands out its rows by Arrow's interface (``__arrow_c_stream__``): of Polars, PyArrow, DuckDB."""

    data: Any

    @property
    def name(self) -> str:
        """``polars DataFrame``, ``pyarrow Table``."""
        kind = type(self.data)
        return f"{kind.__module__.partition('.')[0].lstrip('_')} {kind.__name__}"

    @contextmanager
    def open(self, *, memory_limit: str = MEMORY_LIMIT) -> Iterator[FrameTable]:
        """The frame as the view ``data``."""
        with self._as_pandas().open(memory_limit=memory_limit) as table:
            yield table

    @contextmanager
    def open_in(self, duck: Duck, view: str) -> Iterator[FrameTable]:
        """The frame as a view beside others."""
        with self._as_pandas().open_in(duck, view) as table:
            yield table

    def _as_pandas(self) -> PandasFrame:
        """The same values in pandas with Arrow's own types: whole numbers with gaps stay whole."""
        import pandas as pd
        import pyarrow as pa

        return PandasFrame(pa.table(self.data).to_pandas(types_mapper=pd.ArrowDtype), self.name)


class FrameTable(DuckTable):
    """A pandas DataFrame as a view of DuckDB."""

    def __init__(self, duck: Duck, view: str, name: str, frame: pd.DataFrame) -> None:
        super().__init__(duck, view, name)
        self._frame = frame

    @cached_property
    def fingerprint(self) -> TableFingerprint:
        """Of its rows, in their order."""
        return fingerprint_frame(self._frame)

    @property
    def subject(self) -> Subject:
        """The frame, bound to its rows."""
        return self.fingerprint.subject(self.name)

    def prepare(self) -> None:
        """Register the frame.

        :raises ConfigurationError: two columns of one name, or a column whose values have no one type
        """
        self._registered  # noqa: B018 - once

    def frame(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The named columns; all if omitted."""
        require_columns(self._frame.columns, columns or (), self.name)
        return self._frame.copy(deep=False) if columns is None else self._frame[list(columns)]

    @cached_property
    def _registered(self) -> pa.Table:
        table = _arrow(self._frame, self.name)
        require_apart(table.column_names, f"the {self.name}")
        self.connection.register(self._view, table)
        return table


def _arrow(frame: pd.DataFrame, name: str) -> pa.Table:
    """The columns as Arrow has them, categories as their values."""
    import pyarrow as pa

    names = [str(column) for column in frame.columns]
    require_single(names)
    arrays = []
    for at, column in enumerate(names):
        try:
            array = pa.Array.from_pandas(frame.iloc[:, at])
        except MemoryError:  # Arrow's own is one of its other errors too
            raise
        except (pa.ArrowException, TypeError, ValueError):  # their words quote values
            raise ConfigurationError(
                f'the column "{column}" of the {name} holds values that no one type has: cast it to one',
                code="column.mixed",
            ) from None
        if pa.types.is_dictionary(array.type):
            array = array.cast(array.type.value_type)
        arrays.append(array)
    return pa.table(arrays, names=names)


@dataclass(frozen=True, eq=False)
class SparkFrame:
    """A DataFrame of Spark, or of Spark Connect, as a source."""

    data: Any
    name: str = "Spark DataFrame"

    @contextmanager
    def open(self, *, memory_limit: str = MEMORY_LIMIT) -> Iterator[SparkRelation]:
        """The frame, asked in Spark."""
        with SparkRelation(self, memory_limit) as relation:
            yield relation

    @contextmanager
    def open_in(self, duck: Duck, view: str) -> Iterator[DuckTable]:
        """Its rows, copied to a temporary file, as a view of DuckDB."""
        with copied(self, duck, view) as table:
            yield table

    @contextmanager
    def stream(self) -> Iterator[tuple[tuple[str, ...], Iterator[Sequence[Any]]]]:
        """The columns and the rows, one partition at a time."""
        names = tuple(map(str, self.data.columns))
        require_single(names)
        yield names, self.data.toLocalIterator()


class SparkRelation(RemoteRelation):
    """The frame as a view of its own session. Every question is a job, so its rows must be the same each time."""

    def __init__(self, source: SparkFrame, memory_limit: str = MEMORY_LIMIT) -> None:
        super().__init__(source, memory_limit)
        self.source = source

    @cached_property
    def sql(self) -> str:
        """A temporary view's name."""
        frame, view = self.source.data, f"mlgov_{uuid4().hex}"
        frame.createTempView(view)
        self._stack.callback(frame.sparkSession.catalog.dropTempView, view)
        return view

    @cached_property
    def columns(self) -> dict[str, ColumnKind]:
        """Column -> what its values are."""
        return {name: _spark_kind(stored) for name, stored in self.source.data.dtypes}

    def quote(self, column: str) -> str:
        """A column's name as Spark's SQL."""
        return f"`{column.replace('`', '``')}`"

    def require(self, *columns: str) -> None:
        """Refuse columns that are not there.

        :raises ConfigurationError: one is missing; the message has the nearest name
        """
        require_apart(self.source.data.columns, f"the {self.name}")
        require_columns(self.columns, columns, self.name)

    def rows(self, select: str) -> list[tuple[Any, ...]]:
        """What a SELECT gives."""
        return [tuple(row) for row in self.source.data.sparkSession.sql(select).collect()]


def _spark_kind(stored: str) -> ColumnKind:
    return _SPARK_KINDS.get(stored.partition("(")[0].partition("<")[0].partition(" ")[0], ColumnKind.UNKNOWN)
