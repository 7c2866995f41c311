"""Counts and sorts the predictions of two classes without reading them as rows: in memory as far as the memory limit
allows, beyond it in files that DuckDB has sorted. Says that it cannot where the columns need a closer look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.labels import binary_codes
from airflow_mlgov.data.quoting import literal
from airflow_mlgov.data.relation import ColumnKind, bytes_of
from airflow_mlgov.gates.performance.predictions import Columns
from airflow_mlgov.gates.performance.two_classes import TwoClasses
from airflow_mlgov.gates.statistics.ranked import Ranked
from airflow_mlgov.gates.statistics.sorting import sorted_in_file, sorted_in_memory

if TYPE_CHECKING:
    import numpy as np

    from airflow_mlgov.data.duck import DuckTable

    Array = np.ndarray[Any, Any]

_NUMBERS = (ColumnKind.INTEGER, ColumnKind.DECIMAL, ColumnKind.FLOAT)
_MOST_CELLS = 1000
_BYTES = 8
"""Of a score; half of the memory limit may be taken by them."""


def count_two(table: DuckTable, columns: Columns) -> TwoClasses | None:
    """The rows of a table as counts and sorted scores; None if there are no rows, too many different labels, or scores
    that are no numbers: whoever reads them as rows says what is wrong.

    :raises ConfigurationError: the labels are not those of two classes
    """
    if columns.score is not None and table.columns[columns.score] not in _NUMBERS:
        return None
    label = table.quote(columns.label)
    score = "NULL::DOUBLE" if columns.score is None else _double(table, columns.score)
    predicted = f"{score} >= {columns.threshold!r}" if columns.prediction is None else table.quote(columns.prediction)
    found = table.rows(
        f"SELECT {label}, {predicted}, count(*), count(*) FILTER (WHERE {score} IS NULL OR isnan({score})), "  # noqa: S608
        f"count(*) FILTER (WHERE isinf({score})), CAST({label} AS VARCHAR) FROM {table.sql} "
        f"GROUP BY ALL LIMIT {_MOST_CELLS + 1}"
    )
    if not found or len(found) > _MOST_CELLS:
        return None
    problems = list(_problems(found, columns))
    if problems:
        return TwoClasses(_nothing(), problems=tuple(problems))
    return _coded(table, columns, found)


def _nothing() -> Array:
    import numpy as np

    return np.zeros((2, 2), dtype=np.int64)


def _problems(found: Sequence[tuple[Any, ...]], columns: Columns) -> Iterator[str]:
    """Missing and infinite values, as :func:`airflow_mlgov.data.labels.missing_problem` says them of rows."""
    total = sum(row[2] for row in found)
    counts = {
        "label": (columns.label, *_unusable([(row[0], row[2]) for row in found])),
        "score": (columns.score, sum(row[3] for row in found), sum(row[4] for row in found)),
        "prediction": (columns.prediction, *_unusable([(row[1], row[2]) for row in found])),
    }
    for role, (name, missing, infinite) in counts.items():
        said = [
            f"{count} {word} value{'s' if count > 1 else ''}"
            for count, word in ((missing, "missing"), (infinite, "infinite"))
            if count
        ]
        if said and name is not None:
            yield f'candidate\'s {role} column "{name}" has {" and ".join(said)} in {total} rows'


def _unusable(counts: Sequence[tuple[Any, int]]) -> tuple[int, int]:
    infinities = (float("inf"), float("-inf"))
    missing = sum(count for value, count in counts if value is None or value != value)
    return missing, sum(count for value, count in counts if isinstance(value, float) and value in infinities)


def _coded(table: DuckTable, columns: Columns, found: Sequence[tuple[Any, ...]]) -> TwoClasses:
    roles = {"label": (columns.label, 0)} | ({"prediction": (columns.prediction, 1)} if columns.prediction else {})
    codes = binary_codes(
        {role: list(dict.fromkeys(row[at] for row in found)) for role, (_, at) in roles.items()},
        {role: str(name) for role, (name, _) in roles.items()},
        columns.positive_label,
    )
    counts, positive = _nothing(), dict.fromkeys(row[-1] for row in found if codes["label"][row[0]])
    for label, predicted, rows, *_ in found:
        code = codes["label"][label]
        counts[code, codes["prediction"][predicted] if columns.prediction else int(predicted)] += rows
    return TwoClasses(counts, _ranked(table, columns, list(positive), counts.sum(axis=1)) if columns.score else None)


def _ranked(table: DuckTable, columns: Columns, positive: Sequence[str], sizes: Array) -> Ranked:
    """The scores of either label, sorted.

    :param positive: how the positive labels are written
    :param sizes: rows that have the other label, and the positive one
    """
    stored = table.types[columns.label]
    texts = ", ".join(f"CAST({literal(text)} AS {stored})" for text in positive)
    label = f"{table.quote(columns.label)} IN ({texts})" if positive else "false"
    score = _double(table, str(columns.score))
    query = f"SELECT {score} AS score, CAST({label} AS TINYINT) AS side FROM {table.sql}"  # noqa: S608 - quoted
    fits = int(sizes.sum()) * _BYTES <= bytes_of(table.duck.memory_limit) / 2
    negatives, positives = (sorted_in_memory if fits else sorted_in_file)(table, query, sizes)
    return Ranked(positives, negatives)


def _double(table: DuckTable, name: str) -> str:
    """A column of numbers as floats, decimals to the nearest one."""
    column = table.quote(name)
    exact = table.types[name].startswith("DECIMAL") or table.types[name].endswith("HUGEINT")
    return f"CAST(CAST({column} AS VARCHAR) AS DOUBLE)" if exact else f"CAST({column} AS DOUBLE)"
