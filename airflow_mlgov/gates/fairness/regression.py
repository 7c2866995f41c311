"""Measures of a regression by group: the mean error (bias), the mean absolute error and the mean prediction, from sums
taken where the data is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_mlgov.data.cases import digest_of_counts
from airflow_mlgov.data.steady_sums import SteadySums
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.fairness.counting import Columns, Pair, group_sql, paired_rows, require_same_rows
from airflow_mlgov.gates.fairness.features import group_names

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
        """See :func:`airflow_mlgov.data.cases.digest_of_counts`, of each group's names and the sum of its labels: the
        labels themselves are as many as the rows."""
        names = [self.groups[column] for column in sorted(self.groups)]
        return digest_of_counts(zip(zip(map(_steady, self.labels), *names, strict=True), self.rows, strict=True))


def sum_errors(pair: Pair, columns: Columns, sensitive: Sequence[str]) -> ErrorSums:
    """Sum the errors by group.

    :raises ConfigurationError: no rows, a missing column, a column that holds no numbers
    """
    if columns.prediction is None:
        raise ConfigurationError(
            "a regression needs the prediction column: name it as prediction", code="setting.missing"
        )
    pair.data.require(*dict.fromkeys([columns.label, columns.prediction, *sensitive]))
    label = f"1e0 * c.{pair.data.quote(columns.label)}"
    names, predictions, relation = _predicted(pair, columns)
    errors = [f"({prediction} - {label})" for prediction in predictions]
    values = {
        "mean_error": errors,
        "mean_absolute_error": [f"ABS({error})" for error in errors],
        "mean_prediction": predictions,
    }
    keys = [group_sql(pair, columns, name) for name in sensitive]
    pairs = [(one, other) for one in range(len(errors)) for other in range(one + 1)]
    added = [label]
    for of_models in values.values():
        added += [*of_models, *(f"{of_models[one]} * {of_models[other]}" for one, other in pairs)]
    steady = SteadySums(pair.data, relation, added)
    asked = [*(f"COUNT({value})" for value in (label, *predictions)), *steady.sql]
    listing = ", ".join([*keys, "COUNT(*)", *asked])
    found = pair.data.rows(f"SELECT {listing} FROM {relation} GROUP BY {', '.join(keys)}")  # noqa: S608
    if not found:
        raise ConfigurationError(f"the predictions table {pair.data.name} has no rows", code="data.empty")
    taken = iter(zip(*sorted(found, key=lambda row: repr(row[: len(keys)])), strict=True))
    groups = {name: group_names(next(taken)) for name in sensitive}
    rows = next(taken)
    total = sum(rows)
    problems = [
        f"{role} has {total - there} missing values in {total} rows"
        for role in (f'label column "{columns.label}"', *(f'prediction column "{name}"' for name in names))
        if (there := sum(next(taken))) < total
    ]
    labels, *sums_found = (steady.read(at, column) for at, column in enumerate(taken))
    read = iter(sums_found)
    sums, products = {}, {}
    for name in values:
        sums[name] = tuple(next(read) for _ in errors)
        products[name] = {pair: next(read) for pair in pairs}
    squares = [each for by_pair in products.values() for each in by_pair.values()]
    if not problems and not all(_finite(value) for column in squares for value in column):
        problems = [f'"{columns.label}" or a prediction holds values that are not finite numbers']
    return ErrorSums(groups, rows, sums, products, labels, tuple(problems))


def _predicted(pair: Pair, columns: Columns) -> tuple[list[str], list[str], str]:
    """What predicts, as messages and as SQL name it, the candidate's number and then the champion's where it is there;
    and what they stand in."""
    name, theirs = str(columns.prediction), columns.champion_prediction
    mine = f"1e0 * c.{pair.data.quote(name)}"
    if pair.baseline is not None:
        pair.require(columns.label, name)
        require_same_rows(pair, columns)
        return [name, f"{name} of the baseline"], [mine, f"1e0 * b.{pair.data.quote(name)}"], paired_rows(pair, columns)
    if theirs:
        pair.data.require(theirs)
        return [name, theirs], [mine, f"1e0 * c.{pair.data.quote(theirs)}"], f"{pair.data.sql} c"
    return [name], [mine], f"{pair.data.sql} c"


def _steady(total: Any) -> str | None:
    """A sum of floats as text, without the digits that depend on the order of the rows."""
    return None if total is None else f"{float(total) + 0.0:.9g}"


def _finite(value: Any) -> bool:
    return value is not None and abs(float(value)) < float("inf")
