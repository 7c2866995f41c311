"""Train/test overlap: the share of rows that stand in another dataset too. Refuses to compare where no column is
shared. Only counts leave the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_mlgov.data.names import require_columns
from airflow_mlgov.data.quoting import identifier
from airflow_mlgov.data.source import compared_together
from airflow_mlgov.data.values import require_comparable
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.dataset_checks.settings import names_of, number_of, severity_of, text_of
from airflow_mlgov.gates.dataset_checks.workbench import Reference, Workbench, choose_columns, is_numeric, is_temporal
from airflow_mlgov.results import Bound, Check, Outcome, Severity


@dataclass(frozen=True)
class OverlapSettings:
    """``checks.overlap``."""

    with_: str
    """Path of the other dataset, such as the training data of the test data that is judged; ``champion`` for the data
    that the champion was trained on."""
    keys: Any = None
    """Columns that name a row; None: all that both have."""
    exclude: Any = ()
    """Columns that do not, such as the name of the split."""
    max: Any = 0.0
    """The share of rows that may stand in both."""
    severity: Any = Severity.CRITICAL

    def __post_init__(self) -> None:
        text_of("with", self.with_)
        object.__setattr__(self, "keys", None if self.keys is None else names_of("keys", self.keys))
        object.__setattr__(self, "exclude", names_of("exclude", self.exclude))
        if self.keys == ():
            raise ConfigurationError(
                "keys must name a column; leave it out to compare all columns", code="setting.wrong"
            )
        number_of("max", self.max, 0, 1)
        severity_of(self.severity)


def check_overlap(bench: Workbench, settings: OverlapSettings, reference: Reference) -> Check:
    """One check over the share of rows whose values all stand together in a row of the reference; a missing value is
    like a missing value.

    :raises ConfigurationError: a key is not there, or no column is shared
    """
    if settings.keys is not None:
        keys = choose_columns(list(bench.types), settings.keys, settings.exclude, bench.table.name)
        require_columns(reference.types, keys, reference.name)
    else:
        shared = [name for name in bench.types if name in reference.types]
        if not shared:
            raise ConfigurationError(
                f"{bench.table.name} and {reference.name} share no column", code="checks.no_column"
            )
        keys = choose_columns(shared, None, [name for name in settings.exclude if name in shared], bench.table.name)
        require_columns({**bench.types, **reference.types}, settings.exclude, bench.table.name)
    bound = Bound(max=settings.max, source="checks.overlap")
    severity = Severity(settings.severity)
    for name in keys:
        compared_together([(bench.table, name), (reference.table, name)])
        try:
            require_comparable(bench.table, reference.table, name, "key")
        except ConfigurationError as error:
            return Check("overlap", Outcome.ERROR, None, bound, severity, str(error))
    same = " AND ".join(_same(name, bench.types[name], reference.types[name]) for name in keys)
    rows, others, both = bench.row(
        f"SELECT (SELECT count(*) FROM data), (SELECT count(*) FROM {reference.view}), "  # noqa: S608 - quoted
        f"(SELECT count(*) FROM data SEMI JOIN {reference.view} AS other ON {same})"
    )
    values = {"rows": rows, "reference_rows": others, "rows_in_both": both, "columns": keys}
    if not rows or not others:
        side = bench.table.name if not rows else reference.name
        return Check("overlap", Outcome.INCONCLUSIVE, None, bound, severity, f"{side} has no rows", values)
    share = both / rows
    outcome = bound.judge(share)
    detail = "" if outcome is Outcome.PASS else f"{both} of {rows} rows stand in {reference.name} too: remove them"
    return Check("overlap", outcome, share, bound, severity, detail, values)


def _same(name: str, kind: str, reference: str) -> str:
    """That a column says the same on both sides; unlike types are compared by one way of writing them down."""
    mine, other = f"data.{identifier(name)}", f"other.{identifier(name)}"
    alike = kind == reference or any(test(kind) and test(reference) for test in (is_numeric, is_temporal))
    if not alike:
        mine, other = _written(mine, kind, reference), _written(other, reference, kind)
    return f"{mine} IS NOT DISTINCT FROM {other}"


def _written(column: str, kind: str, beside: str) -> str:
    """A value as text: a point in time as DuckDB writes it, and a text that holds one the same way."""
    if is_temporal(kind):
        return f"{column}::TIMESTAMPTZ::VARCHAR"
    if is_temporal(beside):
        return f"coalesce(try_cast({column}::VARCHAR AS TIMESTAMPTZ)::VARCHAR, {column}::VARCHAR)"
    return f"{column}::VARCHAR"
