"""Measures of a regression by group: the mean error (bias), the mean absolute error and the mean prediction, from sums
taken where the data is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import settle
from airflow_mlgov.gates.fairness.counting import Columns, Source, aggregate_subject
from airflow_mlgov.gates.fairness.features import group_name


@dataclass(frozen=True)
class ErrorSums:
    """Sums over the rows of each combination of sensitive values."""

    groups: dict[str, tuple[str | None, ...]]
    """Sensitive column -> the group's name."""
    rows: tuple[int, ...]
    sums: dict[str, tuple[tuple[float, ...], tuple[float, ...]]]
    """Measure -> sums and sums of squares of the error, the absolute error or the prediction."""
    problems: tuple[str, ...] = ()

    @property
    def table(self) -> list[list[Any]]:
        """One row for each combination: the groups by column name, number of rows, every sum."""
        sums = [values for pair in self.sums.values() for values in pair]
        names = [self.groups[column] for column in sorted(self.groups)]
        return [list(row) for row in zip(*names, self.rows, *sums, strict=True)]

    @property
    def case_digest(self) -> str:
        """SHA-256 of the number of rows by group and the sum of their labels."""
        errors, predictions = self.sums["mean_error"][0], self.sums["mean_prediction"][0]
        labels = [settle(float(p) - float(e)) for p, e in zip(predictions, errors, strict=True)]
        names = [self.groups[column] for column in sorted(self.groups)]
        rows = [list(row) for row in zip(*names, self.rows, labels, strict=True)]
        return aggregate_subject("", rows).digest


def sum_errors(source: Source, columns: Columns, sensitive: Sequence[str]) -> ErrorSums:
    """Sum the errors by group.

    :raises ConfigurationError: no rows, a missing column, a column that holds no numbers
    """
    if columns.prediction is None:
        raise ConfigurationError("a regression needs the prediction column: name it as prediction")
    source.require_here(*dict.fromkeys([columns.label, columns.prediction, *sensitive]))
    label, prediction = (f"1e0 * c.{source.quote(name)}" for name in (columns.label, columns.prediction))
    error = f"({prediction} - {label})"
    keys = [f"c.{source.quote(name)}" for name in sensitive]
    sums = [f"SUM({value})" for value in (error, f"{error} * {error}", f"ABS({error})")]
    sums += [f"SUM({prediction})", f"SUM({prediction} * {prediction})"]
    counted = [f"COUNT(c.{source.quote(name)})" for name in (columns.label, columns.prediction)]
    found = source.rows(
        f"SELECT {', '.join([*keys, 'COUNT(*)', *counted, *sums])} FROM {source.relation} c GROUP BY {', '.join(keys)}"  # noqa: S608
    )
    if not found:
        raise ConfigurationError(f"the predictions table {source.name} has no rows")
    *cells, rows, labels, predictions, e, ee, absolute, p, pp = zip(*found, strict=True)
    total = sum(rows)
    problems = [
        f'{role} column "{name}" has {total - sum(there)} missing values in {total} rows'
        for role, name, there in (
            ("label", columns.label, labels),
            ("prediction", columns.prediction, predictions),
        )
        if sum(there) < total
    ]
    if not problems and not all(_finite(value) for column in (ee, pp) for value in column):
        problems = [f'"{columns.label}" or "{columns.prediction}" holds values that are not finite numbers']
    groups = {name: tuple(map(group_name, values)) for name, values in zip(sensitive, cells, strict=True)}
    sums_of: dict[str, Any] = {
        "mean_error": (e, ee),
        "mean_absolute_error": (absolute, ee),
        "mean_prediction": (p, pp),
    }
    return ErrorSums(groups, rows, sums_of, tuple(problems))


def _finite(value: Any) -> bool:
    return value is not None and abs(float(value)) < float("inf")
