"""DataFrames as sources: of pandas and of others with Arrow's interface, read by DuckDB where they lie in memory.
Refuses values that no column of one type holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.duck import Duck, DuckTable
from airflow_mlgov.data.fingerprint import (
    TableFingerprint,
    fingerprint_frame,
    require_single,
)
from airflow_mlgov.data.names import require_apart, require_columns
from airflow_mlgov.data.relation import MEMORY_LIMIT
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


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
