"""Whether a dataset is recent enough and about as large as it should be. Refuses timestamps from the future and text
that is no timestamp because the newest one is then not known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow_mlgov.data.quoting import identifier, literal
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import settle
from airflow_mlgov.gates.dataset_checks.settings import duration_of, number_of, severity_of, text_of
from airflow_mlgov.gates.dataset_checks.workbench import Reference, Workbench, is_temporal
from airflow_mlgov.results import Bound, Check, Outcome, Severity

_SKEW = timedelta(minutes=5)
"""How far another machine's clock may be ahead."""


@dataclass(frozen=True)
class FreshnessSettings:
    """``checks.freshness``."""

    column: str
    """Timestamps or dates, also as ISO 8601 text."""
    max_age: Any
    """``2d``: how old the newest may be."""
    timezone: Any = "UTC"
    """Of timestamps that say none, such as ``Europe/Berlin``."""
    severity: Any = Severity.CRITICAL

    def __post_init__(self) -> None:
        text_of("column", self.column)
        duration_of("max_age", self.max_age)
        severity_of(self.severity)
        try:
            ZoneInfo(text_of("timezone", self.timezone))
        except (KeyError, ValueError, OSError):
            raise ConfigurationError(
                f"timezone {self.timezone!r} is not known: write one such as Europe/Berlin, or UTC",
                code="setting.wrong",
            ) from None


@dataclass(frozen=True)
class VolumeSettings:
    """``checks.volume``."""

    reference: str
    """Path of the data to compare with; ``champion`` for the data that the champion was trained on."""
    min_ratio: Any = None
    max_ratio: Any = None
    severity: Any = Severity.CRITICAL

    def __post_init__(self) -> None:
        text_of("reference", self.reference)
        for name in ("min_ratio", "max_ratio"):
            if getattr(self, name) is not None:
                number_of(name, getattr(self, name), 0)
        severity_of(self.severity)
        if self.min_ratio is None and self.max_ratio is None:
            raise ConfigurationError("give min_ratio or max_ratio, such as 0.5 and 2", code="setting.missing")
        if self.min_ratio is not None and self.max_ratio is not None and self.min_ratio > self.max_ratio:
            raise ConfigurationError(
                f"min_ratio {self.min_ratio:g} is above max_ratio {self.max_ratio:g}", code="setting.contradiction"
            )


def check_freshness(bench: Workbench, settings: FreshnessSettings, now: datetime | None = None) -> Check:
    """One check over the age of the newest timestamp, in days. The age is rounded up to a hundredth of what is allowed,
    for a timestamp may be a person's.

    :param now: what it is held against, with a time zone
    :raises ConfigurationError: the column is not there
    """
    bench.table.require(settings.column)
    label, severity = f"freshness({settings.column})", Severity(settings.severity)
    limit = duration_of("max_age", settings.max_age)
    bound = Bound(max=limit / timedelta(days=1), source="checks.freshness")
    column, kind = identifier(settings.column), bench.types[settings.column]
    if not is_temporal(kind) and kind != "VARCHAR":
        detail = f"the column holds {kind}, not timestamps: convert it first"
        return Check(label, Outcome.ERROR, None, bound, severity, detail)
    moment = now or datetime.now(UTC)
    latest = literal((moment + _SKEW).astimezone(UTC).isoformat(sep=" "))
    with bench.table.in_zone(settings.timezone):
        rows, given, read, future, newest = bench.row(
            f"""
            SELECT count(*), count(given), count(moment), count(*) FILTER (moment > {latest}::TIMESTAMPTZ),
                   epoch(max(moment) FILTER (isfinite(moment)))
            FROM (SELECT {column} AS given, try_cast({column} AS TIMESTAMPTZ) AS moment FROM data)
            """  # noqa: S608 - quoted
        )
    values = {"rows": rows, "missing": rows - given, "not_a_timestamp": given - read, "in_the_future": future}
    if read < given:
        detail = (
            f"{given - read} of {given} values are no timestamps, so the newest is not known: write them as ISO 8601"
        )
        return Check(label, Outcome.ERROR, None, bound, severity, detail, values)
    if future:
        detail = f"{future} of {given} timestamps are in the future: mend the clock, the time zone or the data"
        return Check(label, Outcome.ERROR, None, bound, severity, detail, values)
    if newest is None:
        return Check(label, Outcome.INCONCLUSIVE, None, bound, severity, "there is no timestamp to judge", values)
    age = timedelta(seconds=max(0.0, moment.timestamp() - newest))
    parts = -(-age // (limit / 100))
    observed = settle(parts / 100 * (limit / timedelta(days=1)))
    outcome = bound.judge(observed)
    detail = "" if outcome is Outcome.PASS else f"the newest row is older than {settings.max_age}: has a load failed?"
    return Check(label, outcome, observed, bound, severity, detail, values)


def check_volume(bench: Workbench, settings: VolumeSettings, reference: Reference) -> Check:
    """One check over the number of rows as a multiple of the reference's."""
    rows, before = bench.row(f"SELECT (SELECT count(*) FROM data), (SELECT count(*) FROM {reference.view})")  # noqa: S608
    bound = Bound(settings.min_ratio, settings.max_ratio, source="checks.volume")
    values, severity = {"rows": rows, "reference_rows": before}, Severity(settings.severity)
    if not before:
        detail = f"{reference.name} has no rows to compare with"
        return Check("volume", Outcome.INCONCLUSIVE, None, bound, severity, detail, values)
    outcome = bound.judge(rows / before)
    detail = "" if outcome is Outcome.PASS else f"{rows} rows, where {reference.name} has {before}"
    return Check("volume", outcome, rows / before, bound, severity, detail, values)
