"""Counts the rows of a predictions table by sensitive features, label and prediction, where the data is: one GROUP BY
in DuckDB for files, in the database for a table, in Spark for a DataFrame of its. Refuses to drop a row that lacks a
label or a prediction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from airflow_mlgov.data.database import SqlSource, open_database
from airflow_mlgov.data.file_tables import open_tables
from airflow_mlgov.data.frames import is_spark_frame
from airflow_mlgov.data.labels import canonical
from airflow_mlgov.data.names import require_columns
from airflow_mlgov.data.quoting import identifier
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.fairness.features import group_name
from airflow_mlgov.results import Subject

LIMIT = 200_000
"""More cells than this are no counts any more: a column of scores or of ids was named."""

LARGEST = "1.7976931348623157e308"
"""Infinity is above it. NaN is above it too, or (BigQuery) compares as false with everything."""
_MISSING, _INFINITE = -1, -2
_SCORED = {_MISSING: None, _INFINITE: float("inf")}
_INFINITIES = (float("inf"), float("-inf"))


@dataclass(frozen=True)
class Columns:
    """Which columns of a predictions table mean what."""

    label: str
    prediction: str | None = None
    """The predicted label, or number of a regression; made from score and threshold where None."""
    score: str | None = None
    threshold: float = 0.5
    positive_label: Any = None
    """The favourable one; needed unless labels are 0 and 1."""
    champion_prediction: str | None = None
    """The champion's predicted label on the same row, where the table has one."""
    row_id: str | None = None
    """Names a row in both the candidate's and the champion's table, where they are two."""
    champion_score: str | None = None
    """The champion's score on the same row, where the table has one."""

    @property
    def predictor(self) -> str:
        """The column that predictions come from."""
        found = self.score if self.prediction is None else self.prediction
        if found is None:
            raise ConfigurationError("name a prediction column, or a score column with a threshold")
        return found


@dataclass(frozen=True)
class Cells:
    """The table of counts, one entry for each combination of values that has rows."""

    groups: Mapping[str, tuple[str | None, ...]]
    """Sensitive column -> the group's name."""
    label: tuple[Any, ...]
    """As stored; None where missing."""
    prediction: tuple[Any, ...]
    """As stored, or 0 and 1 where made from the score; None where missing."""
    champion: tuple[Any, ...]
    """The champion's prediction for the same rows; empty without a champion."""
    rows: tuple[int, ...]
    problems: tuple[str, ...] = field(default=())
    """Missing or infinite labels, predictions or scores: nothing is computed then."""

    @property
    def total(self) -> int:
        """All rows."""
        return sum(self.rows)

    @property
    def table(self) -> list[list[Any]]:
        """One row for each cell: the groups by column name, label, prediction, number of rows."""
        names = [self.groups[column] for column in sorted(self.groups)]
        values = [map(canonical, self.label), map(canonical, self.prediction), self.rows]
        return [list(row) for row in zip(*names, *values, strict=True)]

    @property
    def case_digest(self) -> str:
        """What names the rows that a model is judged on, whatever it predicted for them: SHA-256 of the sorted counts
        by label and group."""
        spelt = {label: str(canonical(label)) for label in set(self.label)}
        counts: dict[tuple[str, ...], int] = {}
        for label, n, *names in zip(self.label, self.rows, *(self.groups[c] for c in sorted(self.groups)), strict=True):
            key = (spelt[label], *("" if name is None else name for name in names))
            counts[key] = counts.get(key, 0) + n
        text = json.dumps(["mlgov-cases-v1", sorted(self.groups), sorted(counts.items())])
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Source:
    """Where the rows are, and how to ask for aggregates of them."""

    name: str
    quote: Callable[[str], str]
    """A column's name as SQL."""
    relation: str
    """What stands after FROM."""
    rows: Callable[[str], list[tuple[Any, ...]]]
    """Runs a SELECT."""
    require: Callable[..., None]
    """Refuses columns that are not in both tables."""
    require_here: Callable[..., None]
    """Refuses columns that are not in the candidate's."""
    subjects: Callable[[], tuple[Subject, ...]]
    """The datasets bound to their bytes; of a database or of Spark, empty."""
    arrays: Callable[[str], Mapping[str, Any]] | None = None
    """Runs a SELECT and gives NumPy arrays by column; None where rows should stay where they are."""
    baseline: str = ""
    """The champion's relation, where there is one."""


@contextmanager
def open_source(data: Any, baseline: str | None, memory_limit: str) -> Iterator[Source]:
    """The rows of ``data``, with the champion's beside them.

    :param data: path or glob, SqlSource or DataFrame of Spark
    :raises ConfigurationError: no such file, table or column
    :raises AccessError: the file system or the database refuses
    :raises DependencyError: the database is down, or a file changed while it was being read
    """
    if isinstance(data, SqlSource) or is_spark_frame(data):
        if baseline is not None:
            raise ConfigurationError(
                "a baseline is a file beside a file: of a database table or a DataFrame name champion_prediction, a "
                "column of the same rows (join the two)"
            )
        with _open_database(data) if isinstance(data, SqlSource) else _open_spark(data) as source:
            yield source
        return
    files = {"data": data} if baseline is None else {"data": data, "baseline": baseline}
    with open_tables(files, memory_limit=memory_limit) as tables:

        def require(*columns: str) -> None:
            for table in tables.values():
                table.require(*columns)

        def subjects() -> tuple[Subject, ...]:
            return tuple(table.subject for table in tables.values())

        table = tables["data"]
        beside = "" if baseline is None else "baseline"
        yield Source(table.name, identifier, "data", table.rows, require, table.require, subjects, table.arrays, beside)


@contextmanager
def _open_database(data: SqlSource) -> Iterator[Source]:
    with open_database(data) as database:
        yield Source(
            data.name, database.quote, database.relation, database.rows, database.require, database.require, tuple
        )


@contextmanager
def _open_spark(frame: Any) -> Iterator[Source]:
    """The frame as a view of its own session. Every question is a job, so its rows must be the same each time."""
    name = "Spark DataFrame"

    def quote(column: str) -> str:
        return f"`{column.replace('`', '``')}`"

    def rows(query: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in frame.sparkSession.sql(query).collect()]

    def require(*columns: str) -> None:
        require_columns(tuple(frame.columns), columns, name)

    view = f"mlgov_{uuid4().hex}"
    frame.createTempView(view)
    try:
        yield Source(name, quote, view, rows, require, require, tuple)
    finally:
        frame.sparkSession.catalog.dropTempView(view)


def count_cells(source: Source, columns: Columns, sensitive: Sequence[str]) -> Cells:
    """Every combination of group, label and prediction with its number of rows.

    :param sensitive: the columns of all sensitive features
    :raises ConfigurationError: no rows, a missing column, or so many combinations that a column holds scores or ids
    """
    wanted = list(dict.fromkeys([columns.label, columns.predictor]))
    source.require(*wanted)
    wanted += [name for name in dict.fromkeys([*sensitive, columns.champion_prediction]) if name]
    source.require_here(*wanted)
    expressions = [f"c.{source.quote(name)}" for name in (*sensitive, columns.label)]
    expressions.append(_predicted(source, columns, "c"))
    relation = f"{source.relation} c"
    if source.baseline:
        require_same_rows(source, columns)
        relation = paired_rows(source, columns)
        expressions.append(_predicted(source, columns, "b"))
    elif columns.champion_prediction:
        expressions.append(f"c.{source.quote(columns.champion_prediction)}")
    listing = ", ".join(expressions)
    found = source.rows(f"SELECT {listing}, COUNT(*) FROM {relation} GROUP BY {listing} LIMIT {LIMIT + 1}")  # noqa: S608
    if len(found) > LIMIT:
        raise ConfigurationError(
            f"{source.name} has more than {LIMIT} combinations of {', '.join(wanted)}: one of them holds scores, ages "
            "or ids; name a column of groups (bins), and a score as the score"
        )
    if not found:
        raise ConfigurationError(f"the predictions table {source.name} has no rows")
    return _cells(found, columns, sensitive)


def aggregate_subject(name: str, table: Sequence[Sequence[Any]]) -> Subject:
    """A database table as far as it was judged: the SHA-256 of the aggregates that were asked of it, sorted."""
    lines = sorted(json.dumps([None if value is None else str(value) for value in row]) for row in table)
    text = json.dumps(["mlgov-aggregates-v1", *lines])
    return Subject("dataset", name, hashlib.sha256(text.encode()).hexdigest())


def _predicted(source: Source, columns: Columns, table: str) -> str:
    """The prediction as SQL: the column, or the score held against the threshold."""
    column = f"{table}.{source.quote(columns.predictor)}"
    if columns.prediction is not None:
        return column
    bar = repr(columns.threshold)
    return (
        f"CASE WHEN {column} IS NULL THEN {_MISSING} WHEN {column} >= {bar} AND {column} <= {LARGEST} THEN 1 "
        f"WHEN {column} < {bar} AND {column} >= -{LARGEST} THEN 0 ELSE {_INFINITE} END"
    )


def paired_rows(source: Source, columns: Columns) -> str:
    """Candidate and champion joined by row.

    :raises ConfigurationError: no row_id, or it is not in both tables
    """
    if columns.row_id is None:
        raise ConfigurationError("a baseline needs row_id, the column that names a row in both tables")
    key = source.quote(columns.row_id)
    source.require(columns.row_id)
    return f"{source.relation} c JOIN {source.baseline} b ON c.{key} = b.{key}"


def require_same_rows(source: Source, columns: Columns) -> None:
    """Refuse a baseline of other rows. It reads both tables whole, so it is asked once, when the rows are counted.

    :raises ConfigurationError: the row_id does not name rows, or ids or labels differ
    """
    joined = paired_rows(source, columns)
    key, label = source.quote(str(columns.row_id)), source.quote(columns.label)
    sizes = source.rows(
        f"SELECT (SELECT COUNT(*) FROM {source.relation}), (SELECT COUNT(DISTINCT {key}) FROM {source.relation}), "  # noqa: S608
        f"(SELECT COUNT(*) FROM {source.baseline}), (SELECT COUNT(DISTINCT {key}) FROM {source.baseline}), "
        f"(SELECT COUNT(*) FROM {joined}), "
        f"(SELECT COUNT(*) FROM {joined} WHERE c.{label} IS DISTINCT FROM b.{label})"
    )[0]
    rows, ids, others, other_ids, both, unlike = sizes
    if ids < rows or other_ids < others:
        raise ConfigurationError(
            f'row_id column "{columns.row_id}" does not name rows: the candidate has {rows} rows and {ids} ids, the '
            f"baseline {others} rows and {other_ids} ids"
        )
    if both != rows or both != others:
        raise ConfigurationError(
            f'by row_id "{columns.row_id}" {both} rows are in both tables, but the candidate has {rows} and the '
            f"baseline {others}: both must predict the same rows"
        )
    if unlike:
        raise ConfigurationError(
            f'the label column "{columns.label}" of the baseline differs from the candidate\'s in {unlike} of {rows} '
            "rows: they are not the same rows"
        )


def _cells(found: Sequence[tuple[Any, ...]], columns: Columns, sensitive: Sequence[str]) -> Cells:
    *values, rows = zip(*found, strict=True)
    names = {value: group_name(value) for column in values[: len(sensitive)] for value in column}
    groups = {name: tuple(names[value] for value in values[at]) for at, name in enumerate(sensitive)}
    label, prediction, *rest = values[len(sensitive) :]
    if columns.prediction is None:
        role, prediction = "score", tuple(_SCORED.get(value, value) for value in prediction)
        rest = [tuple(_SCORED.get(value, value) for value in champion) for champion in rest]
    else:
        role = "prediction"
    of_champion = columns.champion_prediction or f"{columns.predictor} of the baseline"
    problems = [_problem(label, rows, f'label column "{columns.label}"')]
    problems.append(_problem(prediction, rows, f'{role} column "{columns.predictor}"'))
    problems += [_problem(champion, rows, f'{role} column "{of_champion}"') for champion in rest]
    found_problems = tuple(problem for problem in problems if problem)
    return Cells(groups, label, prediction, rest[0] if rest else (), rows, found_problems)


def _problem(values: Sequence[Any], rows: Sequence[int], what: str) -> str:
    missing = sum(n for value, n in zip(values, rows, strict=True) if value is None or value != value)
    infinite = sum(n for value, n in zip(values, rows, strict=True) if value in _INFINITIES)
    found = [
        f"{count} {word} value{'s' if count > 1 else ''}"
        for count, word in ((missing, "missing"), (infinite, "infinite"))
        if count
    ]
    return f"{what} has {' and '.join(found)} in {sum(rows)} rows" if found else ""
