"""What a data set is to a gate: a source that can be opened, and, while it is open, a relation that answers questions
in SQL and is bound to its bytes or rows. Says nothing of where the rows are: each kind has a module of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    import pandas as pd

    from airflow_mlgov.data.duck import Duck, DuckTable

MEMORY_LIMIT = "512MB"
"""What a query may hold in memory before it spills to disk. DuckDB is no slower with it than with 1 GB: 10 million
groups are spilled and merged in the time that a larger hash table takes to grow."""

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT]i?)?B", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


class ColumnKind(StrEnum):
    """What the values of a column are, whichever engine holds them."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    TEXT = "text"
    DATE = "date"
    TIME = "time"
    TIMESTAMP = "timestamp"
    INTERVAL = "interval"
    BINARY = "binary"
    NESTED = "nested"
    UNKNOWN = "unknown"
    """The engine does not say, or has a type that none of the others is."""


class Relation(Protocol):
    """The rows of a data set, open to questions."""

    @property
    def name(self) -> str:
        """As evidence names it; never a credential."""

    @property
    def sql(self) -> str:
        """What stands after FROM, without an alias."""

    @property
    def columns(self) -> Mapping[str, ColumnKind]:
        """As the engine spells them, in their order."""

    @property
    def subject(self) -> Subject:
        """The data set, bound to its bytes or rows. Of what :attr:`is_local` it waits if hashing still runs; of a
        database or Spark it reads every row, unless they have been read already."""

    @property
    def is_local(self) -> bool:
        """Whether the embedded DuckDB answers, and not a database or Spark where the rows are."""

    @property
    def has_grouping_sets(self) -> bool:
        """Whether the engine knows GROUP BY GROUPING SETS."""

    def quote(self, column: str) -> str:
        """A column's name as this engine's SQL."""

    def require(self, *columns: str) -> None:
        """Refuse columns that are not there.

        :raises ConfigurationError: one is missing; the message has the nearest name
        """

    def confine(self, columns: Sequence[str], *, one_question: bool = False) -> None:
        """Say before the first question that no other columns are asked about and that :attr:`subject` is not: Spark
        then freezes these alone. One that is not there is still refused by :meth:`require`.

        :param one_question: whether one answer of :meth:`rows` is all that is wanted; it need not agree with what
            is asked later, and Spark freezes nothing for it
        """

    @property
    def read_as(self) -> Mapping[str, Any]:
        """What was read as what, where a file does not say (csv); nothing of what has types."""

    def remark(self, column: str) -> str:
        """Why a csv's column is text though nearly all its values are numbers, and the declaration that mends it; empty
        if there is nothing to remark."""

    def rows(self, select: str) -> list[tuple[Any, ...]]:
        """What a SELECT gives.

        :raises ConfigurationError: the rows cannot be read
        """

    def arrays(self, select: str) -> Mapping[str, Any] | None:
        """The same as NumPy arrays by column (masked where a value may be missing); None, and nothing is asked, if the
        rows should stay where they are."""

    def frame(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The named columns of every row, in the order that the files or the frame have; all columns if omitted.

        :raises ConfigurationError: a column is missing
        """

    def frame_as_stored(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The same with the types that pandas noted in a file when it wrote it (categories, whole numbers with gaps),
        because a model may have been trained on them."""

    def in_duckdb(self) -> DuckTable:
        """The same rows as the view ``data`` of an embedded DuckDB. A database's or Spark's are copied to a temporary
        file by the first call, and bound meanwhile."""


class DataSource(Protocol):
    """Something that holds rows. Nothing is opened before it is asked."""

    @property
    def name(self) -> str:
        """As evidence names it; never a credential."""

    def open(self, *, memory_limit: str = MEMORY_LIMIT) -> AbstractContextManager[Relation]:
        """The rows, where they are; what is wrong with them may be told by the first question only.

        :param memory_limit: what a query may hold in memory before it spills to disk
        :raises ConfigurationError: there is no such data, or it cannot be read
        :raises AccessError: the file system or the database refuses
        :raises DependencyError: the database is down, or the data changed while it was read
        """

    def open_in(self, duck: Duck, view: str) -> AbstractContextManager[DuckTable]:
        """The rows as a view of an embedded DuckDB, beside others; a database's or Spark's are copied to a temporary
        file first. Errors as of :meth:`open`."""


class RowStream(Protocol):
    """Something whose rows can be had once, in any order."""

    @property
    def name(self) -> str:
        """As evidence names it."""

    def stream(self) -> AbstractContextManager[tuple[tuple[str, ...], Iterator[Sequence[Any]]]]:
        """The columns and, while the context is open, the rows."""


def require_memory_limit(text: str) -> None:
    """Refuse a limit that DuckDB would not understand.

    :raises ConfigurationError: it is not a number with a unit
    """
    if not isinstance(text, str) or not _SIZE.fullmatch(text):
        raise ConfigurationError(
            f"memory_limit must be a size such as 512MB or 2GB, not {text!r}", code="memory_limit.form"
        )


def bytes_of(memory_limit: str) -> int:
    """A memory limit as a number of bytes."""
    found = _SIZE.fullmatch(memory_limit)
    assert found is not None  # noqa: S101 - it was required
    unit = (found[2] or "").upper()
    return int(float(found[1]) * (1024 if unit.endswith("I") else 1000) ** _POWERS[unit[:1]])
