"""Counts and sorts the predictions of two classes without reading them as rows: in memory as far as the memory limit
allows, beyond it in files that DuckDB has sorted, and in the database that holds them if its different scores are few.
Says that it cannot where the columns need a closer look."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.cases import digest_of_counts
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
    from airflow_mlgov.data.relation import Relation

    Array = np.ndarray[Any, Any]

_NUMBERS = (ColumnKind.INTEGER, ColumnKind.DECIMAL, ColumnKind.FLOAT)
_MOST_CELLS = 1000
_MOST_SCORES = 200_000
"""Combinations of label, prediction and score up to which a database counts; more are copied."""
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
    codes, counts = _codes_and_counts(columns, found)
    if columns.score is None:
        return TwoClasses(counts)
    positive = list(dict.fromkeys(row[-1] for row in found if codes[row[0]]))
    return TwoClasses(counts, _ranked(table, columns, positive, counts.sum(axis=1)))


@dataclass(frozen=True)
class CountedElsewhere:
    """What a database or Spark has counted."""

    two: TwoClasses
    cells: Sequence[tuple[Any, ...]]
    """Label, prediction and score as stored, and how many rows have them."""

    @property
    def case_digest(self) -> str:
        """See :func:`airflow_mlgov.data.cases.evaluation_digest`, of the label."""
        return digest_of_counts((row[:1], row[-1]) for row in self.cells)


def count_elsewhere(relation: Relation, columns: Columns) -> CountedElsewhere | None:
    """The rows of a database or of Spark as counts, by one GROUP BY where they are; None as of :func:`count_two`, and
    where there are many different scores.

    :raises ConfigurationError: a column is missing, or the labels are not those of two classes
    """
    names = [name for name in (columns.label, columns.prediction, columns.score) if name is not None]
    relation.require(*names)
    listing = ", ".join(f"c.{relation.quote(name)}" for name in names)
    cells = relation.rows(
        f"SELECT {listing}, COUNT(*) FROM {relation.sql} c GROUP BY {listing} LIMIT {_MOST_SCORES + 1}"  # noqa: S608
    )
    at = {name: place for place, name in enumerate(names)}
    scored = columns.score is not None
    if not cells or len(cells) > _MOST_SCORES or (scored and not all(_is_number(row[-2]) for row in cells)):
        return None
    found = []
    for row in cells:
        score = float(row[-2]) if scored and row[-2] is not None else math.nan
        by_score = scored and columns.prediction is None
        predicted = score >= columns.threshold if by_score else row[at[str(columns.prediction)]]
        rows, missing, infinite = row[-1], scored and math.isnan(score), math.isinf(score)
        found.append((row[0], predicted, rows, rows * missing, rows * infinite, score))
    problems = list(_problems(found, columns))
    if problems:
        return CountedElsewhere(TwoClasses(_nothing(), problems=tuple(problems)), cells)
    codes, counts = _codes_and_counts(columns, found)
    sides = [[(row[-1], row[2]) for row in found if codes[row[0]] == code] for code in (1, 0)]
    ranked = Ranked(*map(_repeated, sides)) if scored else None
    return CountedElsewhere(TwoClasses(counts, ranked), cells)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float | Decimal) and not isinstance(value, bool))


def _repeated(counts: Sequence[tuple[float, int]]) -> Array:
    import numpy as np

    ordered = sorted(counts)
    return np.repeat([score for score, _ in ordered], [rows for _, rows in ordered])


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


def _codes_and_counts(columns: Columns, found: Sequence[tuple[Any, ...]]) -> tuple[dict[Any, int], Array]:
    """Label as stored -> 1 or 0, and how many rows have which label and prediction."""
    roles = {"label": (columns.label, 0)} | ({"prediction": (columns.prediction, 1)} if columns.prediction else {})
    codes = binary_codes(
        {role: list(dict.fromkeys(row[at] for row in found)) for role, (_, at) in roles.items()},
        {role: str(name) for role, (name, _) in roles.items()},
        columns.positive_label,
    )
    counts = _nothing()
    for label, predicted, rows, *_ in found:
        predicted_code = codes["prediction"][predicted] if columns.prediction else int(predicted)
        counts[codes["label"][label], predicted_code] += rows
    return codes["label"], counts


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
