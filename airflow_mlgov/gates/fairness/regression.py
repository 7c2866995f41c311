"""Measures of a regression by group: the mean error (bias), the mean absolute error and the mean prediction, from sums
taken where the data is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.fairness.counting import Columns, Source, aggregate_subject, paired_rows, require_same_rows
from airflow_mlgov.gates.fairness.features import group_name

Sums = tuple[float, ...]
"""One number for each combination of sensitive values."""


@dataclass(frozen=True)
class ErrorSums:
    """Sums over the rows of each combination of sensitive values."""

    groups: dict[str, tuple[str | None, ...]]
    """Sensitive column -> the group's name."""
    rows: tuple[int, ...]
    sums: dict[str, tuple[Sums, ...]]
    """Measure -> of the error, the absolute error or the prediction, by model: the candidate's, then the champion's."""
    products: dict[str, dict[tuple[int, int], Sums]]
    """Measure -> one model's value times another's, by the models' positions, the later one first."""
    labels: Sums
    problems: tuple[str, ...] = ()

    @property
    def table(self) -> list[list[Any]]:
        """One row for each combination: the groups by column name, number of rows, every sum."""
        sums = [
            map(_steady, each) for name, found in self.sums.items() for each in (*found, *self.products[name].values())
        ]
        names = [self.groups[column] for column in sorted(self.groups)]
        return [list(row) for row in zip(*names, self.rows, *sums, strict=True)]

    @property
    def case_digest(self) -> str:
        """SHA-256 of the number of rows by group and the sum of their labels."""
        names = [self.groups[column] for column in sorted(self.groups)]
        rows = [list(row) for row in zip(*names, self.rows, map(_steady, self.labels), strict=True)]
        return aggregate_subject("", rows).digest


def sum_errors(source: Source, columns: Columns, sensitive: Sequence[str]) -> ErrorSums:
    """Sum the errors by group.

    :raises ConfigurationError: no rows, a missing column, a column that holds no numbers
    """
    if columns.prediction is None:
        raise ConfigurationError("a regression needs the prediction column: name it as prediction")
    source.require_here(*dict.fromkeys([columns.label, columns.prediction, *sensitive]))
    label = f"1e0 * c.{source.quote(columns.label)}"
    names, predictions, relation = _predicted(source, columns)
    errors = [f"({prediction} - {label})" for prediction in predictions]
    values = {
        "mean_error": errors,
        "mean_absolute_error": [f"ABS({error})" for error in errors],
        "mean_prediction": predictions,
    }
    keys = [f"c.{source.quote(name)}" for name in sensitive]
    pairs = [(one, other) for one in range(len(errors)) for other in range(one + 1)]
    asked = [f"SUM({label})", *(f"COUNT({value})" for value in (label, *predictions))]
    for of_models in values.values():
        asked += [f"SUM({value})" for value in of_models]
        asked += [f"SUM({of_models[one]} * {of_models[other]})" for one, other in pairs]
    found = source.rows(f"SELECT {', '.join([*keys, 'COUNT(*)', *asked])} FROM {relation} GROUP BY {', '.join(keys)}")  # noqa: S608
    if not found:
        raise ConfigurationError(f"the predictions table {source.name} has no rows")
    taken = iter(zip(*found, strict=True))
    groups = {name: tuple(map(group_name, next(taken))) for name in sensitive}
    rows, labels = next(taken), next(taken)
    total = sum(rows)
    problems = [
        f"{role} has {total - there} missing values in {total} rows"
        for role in (f'label column "{columns.label}"', *(f'prediction column "{name}"' for name in names))
        if (there := sum(next(taken))) < total
    ]
    sums, products = {}, {}
    for name in values:
        sums[name] = tuple(next(taken) for _ in errors)
        products[name] = {pair: next(taken) for pair in pairs}
    squares = [each for by_pair in products.values() for each in by_pair.values()]
    if not problems and not all(_finite(value) for column in squares for value in column):
        problems = [f'"{columns.label}" or a prediction holds values that are not finite numbers']
    return ErrorSums(groups, rows, sums, products, labels, tuple(problems))


def _predicted(source: Source, columns: Columns) -> tuple[list[str], list[str], str]:
    """What predicts, as messages and as SQL name it, the candidate's number and then the champion's where it is there;
    and what they stand in."""
    name, theirs = str(columns.prediction), columns.champion_prediction
    mine = f"1e0 * c.{source.quote(name)}"
    if source.baseline:
        source.require(columns.label, name)
        require_same_rows(source, columns)
        return [name, f"{name} of the baseline"], [mine, f"1e0 * b.{source.quote(name)}"], paired_rows(source, columns)
    if theirs:
        source.require_here(theirs)
        return [name, theirs], [mine, f"1e0 * c.{source.quote(theirs)}"], f"{source.relation} c"
    return [name], [mine], f"{source.relation} c"


def _steady(total: Any) -> str | None:
    """A sum of floats as text, without the digits that depend on the order of the rows."""
    return None if total is None else f"{float(total) + 0.0:.9g}"


def _finite(value: Any) -> bool:
    return value is not None and abs(float(value)) < float("inf")
