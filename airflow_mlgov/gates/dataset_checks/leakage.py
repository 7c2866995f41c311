"""Label leakage: a feature that alone tells the label too well to have been known beforehand. Refuses to judge from a
handful of rows. Only counts leave the database.

Numbers are judged by the area under the ROC curve of their ranks, categories by that of each category's label rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_mlgov.data.aggregates import count_where
from airflow_mlgov.data.quoting import identifier, literal
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.dataset_checks.settings import names_of, number_of, severity_of, text_of
from airflow_mlgov.gates.dataset_checks.workbench import (
    Workbench,
    choose_columns,
    in_range,
    is_category,
    is_numeric,
    is_temporal,
)
from airflow_mlgov.results import Bound, Check, Outcome, Severity

_CLASSES = 20
"""A label with more values is no class."""
_CLASS_ROWS = 30
"""A class with fewer rows is told apart by chance."""
_CATEGORY_ROWS = 10
"""Categories with fewer rows are taken together: the label rate of a few rows tells those rows themselves."""
_CATEGORIES = 1_000
_CHUNK_ROWS = 1_000_000
_SAMPLE = 10_000
_FEW_VALUES = 50
"""A number with no more values is judged as a category too, where the order of its values tells nothing."""


@dataclass(frozen=True)
class LeakageSettings:
    """``checks.leakage``."""

    label: str
    max_auc: Any = 0.99
    columns: Any = None
    """The features; None: every column but the label."""
    exclude: Any = ()
    severity: Any = Severity.CRITICAL

    def __post_init__(self) -> None:
        text_of("label", self.label)
        number_of("max_auc", self.max_auc, 0.5, 1)
        object.__setattr__(self, "columns", None if self.columns is None else names_of("columns", self.columns))
        object.__setattr__(self, "exclude", names_of("exclude", self.exclude))
        severity_of(self.severity)


@dataclass(frozen=True)
class _Label:
    known: str
    """Whether a row has a label, as SQL."""
    rows: int
    sizes: tuple[int, ...]
    """Rows of each class, in the order of :attr:`tests`."""
    tests: tuple[str, ...]
    """For each class whether a row is of it, as SQL."""

    @property
    def judged(self) -> list[int]:
        """The classes to tell from the rest; of two, one."""
        sound = [number for number, size in enumerate(self.sizes) if min(size, sum(self.sizes) - size) >= _CLASS_ROWS]
        return sound[:1] if len(self.sizes) == 2 else sound


def check_leakage(bench: Workbench, settings: LeakageSettings) -> list[Check]:
    """A check for each feature over its area under the ROC curve (against the class it tells best, and whichever way
    round). Rows without a label are left out and counted.

    :raises ConfigurationError: a column is not there, or the label has too many values to be one
    """
    bench.table.require(settings.label)
    features = choose_columns(
        list(bench.types), settings.columns, [settings.label, *settings.exclude], bench.table.name
    )
    label = _label(bench, settings.label)
    bound = Bound(max=settings.max_auc, source="checks.leakage")
    return [_judge(bench, name, label, bound, Severity(settings.severity)) for name in features]


def _label(bench: Workbench, name: str) -> _Label:
    column = identifier(name)
    known = f"{column} IS NOT NULL" + (f" AND NOT isnan({column})" if _is_float(bench.types[name]) else "")
    (rows,) = bench.row("SELECT count(*) FROM data")
    found = bench.rows(
        f"SELECT {column}::VARCHAR, count(*) FROM data WHERE {known} GROUP BY 1 ORDER BY 2, 1 LIMIT {_CLASSES + 1}"  # noqa: S608
    )
    if len(found) > _CLASSES:
        raise ConfigurationError(
            f'the label column "{name}" has more than {_CLASSES} values, so it holds no classes: leakage is judged '
            f"for classes only",
            code="label.too_many_classes",
        )
    tests = tuple(f"{column}::VARCHAR = {literal(value)}" for value, _ in found)
    return _Label(known, rows, tuple(count for _, count in found), tests)


def _judge(bench: Workbench, name: str, label: _Label, bound: Bound, severity: Severity) -> Check:
    title, kind = f"label_leakage({name})", bench.types[name]
    unlabelled = label.rows - sum(label.sizes)
    values: dict[str, Any] = {"rows": label.rows, "unlabelled": unlabelled, "class_rows": list(label.sizes)}
    if not label.judged:
        detail = f"at least two classes of {_CLASS_ROWS} rows are needed to tell leakage from chance"
        return Check(title, Outcome.INCONCLUSIVE, None, bound, severity, detail, values)
    if not (is_numeric(kind) or is_temporal(kind) or is_category(kind)):
        detail = f"a column of type {kind} cannot be judged: exclude it"
        return Check(title, Outcome.ERROR, None, bound, severity, detail, values)
    found: dict[str, float] = {}
    if is_category(kind) or _has_few_values(bench, name):
        found["by_category"] = _auc_by_category(bench, name, label)
    if not is_category(kind):
        found |= _auc_by_rank(bench, name, label)
    observed = max(found.values())
    outcome = bound.judge(observed)
    detail = ""
    if outcome is not Outcome.PASS:
        how = " by its missing values" if observed == found.get("by_missing") else ""
        detail = f"it tells the label{how} as if it had been made from it: drop the column, or exclude it with a reason"
    return Check(title, outcome, observed, bound, severity, detail, {**values, **found})


def _has_few_values(bench: Workbench, name: str) -> bool:
    query = f"SELECT count(*) FROM (SELECT DISTINCT {identifier(name)} FROM data LIMIT {_FEW_VALUES + 1})"  # noqa: S608
    return bool(bench.row(query)[0] <= _FEW_VALUES)


def _auc_by_rank(bench: Workbench, name: str, label: _Label) -> dict[str, float]:
    """Mann and Whitney's U over the product of the class sizes, ties as half, of the rows that have a value; and that
    of whether they have one.

    Source: Hanley & McNeil, Radiology 143 (1982) 29-36.
    """
    column, kind = identifier(name), bench.types[name]
    number = f"epoch({column})" if is_temporal(kind) else f"{column}::DOUBLE"
    edges = _chunks(bench, number, sum(label.sizes))
    wins, positives, negatives = ([0.0] * len(label.judged) for _ in range(3))
    for low, high in zip([None, *edges], [*edges, math.inf], strict=True):
        found = _wins_in_chunk(bench, number, label, in_range(number, low, high))
        for at, (u, p, n) in enumerate(found):
            wins[at] += u + p * negatives[at]
            positives[at], negatives[at] = positives[at] + p, negatives[at] + n
    best, missing = 0.5, 0.5
    for at, i in enumerate(label.judged):
        if min(positives[at], negatives[at]) >= _CLASS_ROWS:
            best = max(best, _either_way(wins[at] / (positives[at] * negatives[at])))
        size, rest = label.sizes[i], sum(label.sizes) - label.sizes[i]
        missing = max(missing, _either_way(0.5 + ((size - positives[at]) / size - (rest - negatives[at]) / rest) / 2))
    return {"by_rank": best, "by_missing": missing}


def _chunks(bench: Workbench, number: str, rows: int) -> list[float]:
    """Edges between which about a million rows lie, from a sample, so that no more need be held at a time; where they
    are changes nothing in the result."""
    count = math.ceil(rows / _CHUNK_ROWS)
    if count < 2:
        return []
    sample = bench.rows(f"SELECT {number} FROM data USING SAMPLE reservoir({_SAMPLE} ROWS)")  # noqa: S608 - quoted
    known = sorted(value for (value,) in sample if value is not None and not math.isnan(value))
    return sorted({known[len(known) * part // count] for part in range(1, count)}) if known else []


def _wins_in_chunk(bench: Workbench, number: str, label: _Label, where: str) -> list[tuple[float, float, float]]:
    """For each class: how many pairs with a row that is not of it its rows win (ties as half), its rows, the others."""
    classes = ", ".join(f"{label.tests[i]} AS c{i}" for i in label.judged)
    counts = ", ".join(f"{count_where(f'c{i}')} AS p{i}" for i in label.judged)
    running = ", ".join(f"sum(t - p{i}) OVER upwards AS b{i}" for i in label.judged)
    sums = ", ".join(
        f"coalesce(sum(p{i} * (b{i} - (t - p{i}) / 2.0)), 0)::DOUBLE, coalesce(sum(p{i}), 0), "
        f"coalesce(sum(t - p{i}), 0)"
        for i in label.judged
    )
    found = bench.row(
        f"""
        WITH valued AS (SELECT {number} AS v, {classes} FROM data WHERE {label.known} AND {where}),
        grouped AS (SELECT v, count(*) AS t, {counts} FROM valued GROUP BY v),
        running AS (SELECT *, {running} FROM grouped WINDOW upwards AS (ORDER BY v))
        SELECT {sums} FROM running
        """  # noqa: S608 - quoted
    )
    numbers = [float(value) for value in found]
    return [(numbers[at], numbers[at + 1], numbers[at + 2]) for at in range(0, len(numbers), 3)]


def _auc_by_category(bench: Workbench, name: str, label: _Label) -> float:
    """The same with each category in the place of its label rate; a missing value is a category."""
    classes = ", ".join(f"{label.tests[i]} AS c{i}" for i in label.judged)
    counts = ", ".join(f"{count_where(f'c{i}')} AS p{i}" for i in label.judged)
    sums = ", ".join(f"sum(p{i})::BIGINT" for i in label.judged)
    rows = bench.rows(
        f"""
        WITH valued AS (SELECT {identifier(name)}::VARCHAR AS v, {classes} FROM data WHERE {label.known}),
        grouped AS (SELECT v, count(*) AS t, {counts} FROM valued GROUP BY v),
        ranked AS (SELECT *, row_number() OVER (ORDER BY t DESC, v) AS place FROM grouped)
        SELECT CASE WHEN t >= {_CATEGORY_ROWS} AND place <= {_CATEGORIES} THEN place ELSE 0 END AS bin,
               sum(t)::BIGINT, {sums}
        FROM ranked GROUP BY 1
        """  # noqa: S608 - quoted
    )
    found = [_auc_of_groups([(row[2 + at], row[1] - row[2 + at]) for row in rows]) for at in range(len(label.judged))]
    return max(found)


def _auc_of_groups(groups: Sequence[tuple[int, int]]) -> float:
    """The area under the curve of ``(positives, negatives)`` groups, ordered by their share of positives."""
    positives, negatives = sum(p for p, _ in groups), sum(n for _, n in groups)
    by_share: dict[float, list[int]] = {}
    for p, n in groups:
        counts = by_share.setdefault(p / (p + n), [0, 0])
        counts[0], counts[1] = counts[0] + p, counts[1] + n
    below, wins = 0, 0.0
    for _, (p, n) in sorted(by_share.items()):
        wins += p * (below + n / 2)
        below += n
    return _either_way(wins / (float(positives) * float(negatives)))


def _either_way(auc: float) -> float:
    return max(auc, 1 - auc)


def _is_float(kind: str) -> bool:
    return kind in ("FLOAT", "DOUBLE")
