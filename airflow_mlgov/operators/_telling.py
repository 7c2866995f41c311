"""What a gate's task tells besides its verdict: every check in its log, its values in XCom, metrics to StatsD or
OpenTelemetry, and reports that are signed for and kept beside the model's run. It decides nothing, and what goes wrong
in it is logged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import Stats

from airflow_mlgov.errors import MlgovError
from airflow_mlgov.gates.shown import in_order
from airflow_mlgov.measured import detail, interval, sentence
from airflow_mlgov.progress import following
from airflow_mlgov.results import GateResult, Outcome, Severity, is_finite
from airflow_mlgov.words import line

if TYPE_CHECKING:
    from airflow_mlgov.duty import Duty
    from airflow_mlgov.evidence.chain import Entry
    from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
    from airflow_mlgov.registry.protocol import ModelVersion, Registry

_MOST_LINES = 500
_MOST_VALUES = 50
_LINES = 10.0
"""Seconds between two lines on how far a task has come."""
_LOG = logging.getLogger("airflow.task")


def log_checks(result: GateResult) -> None:
    """Every check with its value, its interval and its bound; what is not green as a warning."""
    bounded, recorded = in_order(result.checks)
    checks = [*bounded, *recorded]
    for check in checks[:_MOST_LINES]:
        between, why = interval(check), detail(check)
        weight = "" if check.severity is Severity.CRITICAL else f" ({check.severity})"
        said = f"{check.outcome}{weight} {check.name} = {sentence(check)}"
        said += f"{f', interval {between}' if between else ''}{f': {why}' if why else ''}"
        if check.outcome is Outcome.PASS:
            _LOG.info("%s", line(said))
        else:
            _LOG.warning("%s", line(said))
    if len(checks) > _MOST_LINES:
        _LOG.info("%s more checks are in the evidence", line(len(checks) - _MOST_LINES))


def values_of(result: GateResult) -> dict[str, float]:
    """The measured numbers by check, those that were held to a bound first; as many as XCom is for."""
    bounded, recorded = in_order(result.checks)
    numbers = [check for check in (*bounded, *recorded) if is_finite(check.observed)]
    return {check.name: check.observed for check in numbers[:_MOST_VALUES]}  # type: ignore[misc]


def count(metric: str, **tags: str) -> None:
    """Add one to a metric of Airflow's, where that sends any."""
    try:
        Stats.incr(metric, tags=tags)
    except Exception:
        _LOG.debug("the metric %s was not sent", line(metric), exc_info=True)


@contextmanager
def timed(metric: str, **tags: str) -> Iterator[None]:
    """Send how long the block took, however it ends."""
    began = monotonic()
    try:
        yield
    finally:
        try:
            Stats.timing(metric, (monotonic() - began) * 1000, tags=tags)
        except Exception:
            _LOG.debug("the metric %s was not sent", line(metric), exc_info=True)


@contextmanager
def told_how_far(what: str) -> Iterator[None]:
    """Log how far the block has come, in a line every ten seconds.

    :param what: what it does
    """

    def tell(told: str, seconds: float) -> None:
        _LOG.info("%s", line(f"{what}{f': {told}' if told else ''} … {seconds:.0f} s"))

    with following(tell, _LINES, _LINES):
        yield


def seal_reports(result: GateResult, entry: Entry, duty: Duty) -> None:
    """Write into each report of ours where its evidence is and how that is signed."""
    from airflow_mlgov.evidence.verification import verify_entry
    from airflow_mlgov.gates.report import seal

    files = [path for path in map(Path, result.reports.values()) if path.suffix == ".html" and path.is_file()]
    if not files:
        return
    try:
        verify_entry(entry, duty.trust)
        signed = "verifies"
    except MlgovError as error:
        signed = f"does not verify: {error}"
    policy = duty.policy
    facts = {
        "Evidence": entry.reference,
        "Signature": f"{signed}; key {duty.signer.public_key.keyid[:16]}… for {duty.name}",
        "Policy": f"{policy.path.name}, sha256:{policy.digest}" if policy else "none is configured",
        "Environment": duty.environment,
    }
    for file in files:
        try:
            seal(file, facts)
        except MlgovError as error:
            _LOG.warning("%s", line(error))


def keep_reports(result: GateResult, version: ModelVersion, registry: MlflowRegistry) -> str:
    """Log the reports to the run that made the version, because a worker's folder goes with the worker; where the last
    one is to be read, empty if it is nowhere."""
    where = ""
    for title, path in result.reports.items():
        if not Path(path).is_file():
            continue
        try:
            where = registry.keep_report(version, Path(path)) or where
        except MlgovError as error:
            _LOG.warning("%s was not kept beside the run: %s", line(title), line(error))
    return where


def pages_of(version: ModelVersion, registry: Registry) -> dict[str, str]:
    """The links of a task that is about a version of a model."""
    from airflow_mlgov.registry.protocol import page_of_version

    page = page_of_version(registry.uri, version.name, version.version)
    return {"model": page} if page else {}
