"""Train/test overlap: the share of rows that stand in another dataset too. Refuses to compare where no column is
shared. Only counts leave the database."""

from __future__ import annotations

from collections.abc import Sequence
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

_ON_BOTH = "mlgov_on_both"
"""Hashes that stand on both sides, kept so that neither side is hashed into a table again."""


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
    rows, others = bench.row(f"SELECT (SELECT count(*) FROM data), (SELECT count(*) FROM {reference.view})")  # noqa: S608
    both = _rows_in_both(bench, reference, keys) if rows and others else 0
    values = {"rows": rows, "reference_rows": others, "rows_in_both": both, "columns": keys}
    if not rows or not others:
        side = bench.table.name if not rows else reference.name
        return Check("overlap", Outcome.INCONCLUSIVE, None, bound, severity, f"{side} has no rows", values)
    share = both / rows
    outcome = bound.judge(share)
    detail = "" if outcome is Outcome.PASS else f"{both} of {rows} rows stand in {reference.name} too: remove them"
    return Check("overlap", outcome, share, bound, severity, detail, values)


def _rows_in_both(bench: Workbench, reference: Reference, keys: Sequence[str]) -> int:
    """Rows whose hash stands on the other side too are compared column by column, and no others: a join of whole rows
    takes many times the memory of one of hashes."""
    pairs = {name: _compared(name, bench.types[name], reference.types[name]) for name in keys}
    same = " AND ".join(f"{mine} IS NOT DISTINCT FROM {other}" for mine, other in pairs.values())
    hashed = [pairs[name] for name in keys if _one_hash(bench.types[name], reference.types[name])]
    mine, theirs = "data", f"{reference.view} AS other"
    if hashed and bench.table.is_local:
        my_hash, other_hash = (f"hash({', '.join(side)})" for side in zip(*hashed, strict=True))
        my_hashes = f"SELECT {my_hash} AS h FROM data"  # noqa: S608 - quoted
        other_hashes = f"SELECT {other_hash} AS h FROM {theirs}"  # noqa: S608 - quoted
        on_both = f"SELECT h FROM ({my_hashes}) SEMI JOIN ({other_hashes}) AS o USING (h)"  # noqa: S608 - quoted
        bench.table.rows(f"CREATE OR REPLACE TEMP TABLE {_ON_BOTH} AS {on_both}")
        if not bench.row(f"SELECT count(*) FROM {_ON_BOTH}")[0]:  # noqa: S608 - ours
            return 0
        mine = f"(SELECT * FROM data WHERE {my_hash} IN (FROM {_ON_BOTH})) AS data"  # noqa: S608 - quoted
        theirs = f"(SELECT * FROM {theirs} WHERE {other_hash} IN (FROM {_ON_BOTH})) AS other"  # noqa: S608 - quoted
    return int(bench.row(f"SELECT count(*) FROM {mine} SEMI JOIN {theirs} ON {same}")[0])  # noqa: S608 - quoted


def _compared(name: str, kind: str, reference: str) -> tuple[str, str]:
    """A column on both sides as SQL; unlike types are compared by one way of writing them down."""
    mine, other = f"data.{identifier(name)}", f"other.{identifier(name)}"
    if _alike(kind, reference):
        return mine, other
    return _written(mine, kind, reference), _written(other, reference, kind)


def _one_hash(kind: str, reference: str) -> bool:
    """Whether what is equal is of one type when it is compared: a number's hash depends on its type."""
    return kind == reference or not _alike(kind, reference)


def _alike(kind: str, reference: str) -> bool:
    """Whether two types are compared by DuckDB's own rules."""
    return kind == reference or any(test(kind) and test(reference) for test in (is_numeric, is_temporal))


def _written(column: str, kind: str, beside: str) -> str:
    """A value as text: a point in time as DuckDB writes it, and a text that holds one the same way."""
    if is_temporal(kind):
        return f"{column}::TIMESTAMPTZ::VARCHAR"
    if is_temporal(beside):
        return f"coalesce(try_cast({column}::VARCHAR AS TIMESTAMPTZ)::VARCHAR, {column}::VARCHAR)"
    return f"{column}::VARCHAR"
