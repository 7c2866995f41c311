"""Rows that another engine holds: asked where they are, and copied to a temporary file, once, when DuckDB or pandas is
to read them. Refuses to read them a second time: what is bound is what was copied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from airflow_mlgov.data.duck import Duck, DuckTable
from airflow_mlgov.data.file_tables import Files
from airflow_mlgov.data.fingerprint import TableFingerprint, fingerprint_rows
from airflow_mlgov.data.relation import MEMORY_LIMIT, RowStream, require_memory_limit
from airflow_mlgov.data.snapshot import take_snapshot

if TYPE_CHECKING:
    import pandas as pd

    from airflow_mlgov.data.snapshot import Snapshot
    from airflow_mlgov.results import Subject


@contextmanager
def copied(source: RowStream, duck: Duck, view: str) -> Iterator[DuckTable]:
    """The rows, copied to a temporary file, as a view of DuckDB."""
    with take_snapshot(source) as rows, Files(rows).open_in(duck, view) as table:
        yield table


def fingerprint_of(source: RowStream) -> TableFingerprint:
    """The source bound to its rows, each read once; errors as of its ``stream``."""
    with source.stream() as (columns, rows):
        return fingerprint_rows(columns, rows)


class RemoteRelation:
    """What relations to rows elsewhere share: all but their SQL."""

    is_local = False

    def __init__(self, source: RowStream, memory_limit: str = MEMORY_LIMIT) -> None:
        require_memory_limit(memory_limit)
        self.name = source.name
        self._source = source
        self._memory_limit = memory_limit
        self._stack = ExitStack()
        self._copy: Snapshot | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def has_grouping_sets(self) -> bool:
        """Not known."""
        return False

    @cached_property
    def fingerprint(self) -> TableFingerprint:
        """What was there when the rows were copied, or, if they were not, when this was first asked."""
        return self._copy.fingerprint if self._copy is not None else fingerprint_of(self._source)

    @property
    def subject(self) -> Subject:
        """The data set, bound to its rows, which are read once for it."""
        return self.fingerprint.subject(self.name)

    @property
    def read_as(self) -> dict[str, Any]:
        """Nothing: a database says what its columns are."""
        return {}

    def remark(self, column: str) -> str:  # noqa: ARG002 - a database says what its columns are
        """Nothing."""
        return ""

    def confine(self, columns: Sequence[str], *, one_question: bool = False) -> None:  # noqa: ARG002 - for those that freeze rows
        """Nothing: a database reads what a query names."""
        return

    def arrays(self, select: str) -> None:  # noqa: ARG002 - the rows stay where they are
        """None: the rows stay where they are."""
        return

    def frame(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The named columns of a copy; see :meth:`in_duckdb`."""
        return self.in_duckdb().frame(columns)

    def frame_as_stored(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The same: a database notes no other types."""
        return self.frame(columns)

    def in_duckdb(self) -> DuckTable:
        """A copy of the rows in a temporary file, made by the first call."""
        return self._in_duckdb

    @cached_property
    def _in_duckdb(self) -> DuckTable:
        self._copy = self._stack.enter_context(take_snapshot(self._source))
        table = self._stack.enter_context(Files(self._copy).open(memory_limit=self._memory_limit))
        table.prepare()
        return table
