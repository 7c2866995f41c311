"""A dataset and what it is compared with, side by side in one embedded DuckDB. Refuses to compare a dataset with
itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_mlgov.data.duck import DuckTable
from airflow_mlgov.data.names import require_columns
from airflow_mlgov.data.source import open_beside, source_beside
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.results import Subject

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
NUMERIC = frozenset([*_INTEGERS, *(f"U{name}" for name in _INTEGERS), "FLOAT", "DOUBLE"])


@dataclass(frozen=True)
class Reference:
    """Another dataset, as a view beside ``data``."""

    view: str
    """Its name as SQL."""
    table: DuckTable

    @property
    def types(self) -> dict[str, str]:
        """Column -> DuckDB's type."""
        return self.table.types

    @property
    def name(self) -> str:
        """As evidence names it."""
        return self.table.name


@dataclass(frozen=True)
class Workbench:
    """The dataset that is judged, as the view ``data``, and the datasets it is compared with. Make it with
    :func:`open_workbench`."""

    table: DuckTable
    references: Mapping[str, Reference]
    """By path, as it was asked for."""

    @property
    def types(self) -> dict[str, str]:
        """Column -> DuckDB's type."""
        return self.table.types

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a SELECT gives."""
        return self.table.rows(query, parameters)

    def row(self, query: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...]:
        """The one row of an aggregate."""
        (row,) = self.rows(query, parameters)
        return row

    @property
    def inputs(self) -> tuple[Subject, ...]:
        """Every reference, bound to its bytes."""
        return tuple(reference.table.subject for reference in self.references.values())

    @property
    def is_text(self) -> bool:
        """Whether a file holds text (csv), so that a column's type is no more than what all its values look like."""
        files = self.table.as_files()
        return files is not None and files.is_text


@contextmanager
def open_workbench(table: DuckTable, references: Iterable[str] = ()) -> Iterator[Workbench]:
    """The dataset, ready to be compared; errors as of :func:`airflow_mlgov.data.source.open_beside`.

    :param table: the view ``data``
    :param references: paths of what it is compared with; one that comes twice is opened once
    :raises ConfigurationError: one is the dataset itself
    """
    by_path = {path: f"reference_{number}" for number, path in enumerate(dict.fromkeys(references), start=1)}
    for path in by_path:
        if is_same_path(path, table.name):
            raise ConfigurationError(
                f"{path} would be compared with itself: name another dataset as the reference", code="reference.same"
            )
    table.prepare()
    with open_beside(
        table, {view: source_beside(table, path, table.reading) for path, view in by_path.items()}
    ) as tables:
        yield Workbench(table, {path: Reference(view, tables[view]) for path, view in by_path.items()})


def is_same_path(one: str, other: str) -> bool:
    """Whether two names stand for the same files."""
    return one == other or ("://" not in one and Path(one).absolute() == Path(other).absolute())


def choose_columns(
    available: Sequence[str], columns: Sequence[str] | None, exclude: Sequence[str], where: str
) -> list[str]:
    """The columns that are to be judged.

    :param available: what there is
    :param columns: what was asked for; None asks for all
    :raises ConfigurationError: a name that is not there, or nothing is left
    """
    require_columns(available, [*(columns or ()), *exclude], where)
    chosen = [name for name in (available if columns is None else columns) if name not in exclude]
    if not chosen:
        raise ConfigurationError(
            f"{where} has no column left to judge: name some, or exclude fewer", code="checks.no_column"
        )
    return chosen


def in_range(value: str, low: float | None, high: float) -> str:
    """That ``low < value <= high`` as SQL; None is below every number. Neither NULL nor NaN, which DuckDB sorts above
    infinity, is in any range.

    :param value: a DOUBLE as SQL
    """
    below_high = f"{value} <= '{high!r}'::DOUBLE"
    return f"({below_high})" if low is None else f"({value} > '{low!r}'::DOUBLE AND {below_high})"


def is_numeric(kind: str) -> bool:
    """Whether a DuckDB type holds numbers."""
    return kind in NUMERIC or kind.startswith("DECIMAL")


def is_temporal(kind: str) -> bool:
    """Whether a DuckDB type holds points in time."""
    return kind == "DATE" or kind.startswith("TIMESTAMP")


def is_category(kind: str) -> bool:
    """Whether a DuckDB type holds words that can be counted by value."""
    return kind in ("VARCHAR", "BOOLEAN", "UUID") or kind.startswith("ENUM")
