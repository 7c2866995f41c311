"""How a model does in production: what gates have said of live data about whoever held a target, and what is missing.

A live result is an audit statement that closes no obligation; only the key of the duty ``audit`` signs one, and it
counts for bytes that were promoted to the target before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_mlgov.evidence.digests import hash_json
from airflow_mlgov.evidence.statements import Audited, AuditStatement, OwedAudit, rfc3339
from airflow_mlgov.evidence.statements.common import nanoseconds
from airflow_mlgov.evidence.verification import Evidence, only
from airflow_mlgov.results import GateResult, Outcome, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_mlgov.evidence.chain import Entry
    from airflow_mlgov.evidence.statements import PromotionStatement
    from airflow_mlgov.governance.policy import Monitoring
    from airflow_mlgov.release.desk import Desk
    from airflow_mlgov.release.timeline import Timeline

MONITORED = "monitoring"
"""Stands in place of an obligation's id, and is the kind of what a FAIL brings."""


@dataclass(frozen=True)
class Live:
    """The newest live result of one gate."""

    gate: str
    outcome: Outcome
    evidence: Evidence[AuditStatement]
    failed: tuple[str, ...]
    """Its checks that are not green."""

    def as_input(self) -> dict[str, Any]:
        """As the rules see it."""
        item = self.evidence
        return {
            "gate": self.gate,
            "verdict": str(self.outcome),
            "version": item.subject.version,
            "issued_at_ns": nanoseconds(item.issued_at),
            "seq": item.seq,
        }


def live_results(timeline: Timeline, version: tuple[str, str] | None = None) -> dict[str, Live]:
    """Gate -> the newest live result at a target.

    :param version: number and digest; if omitted, of whichever version held the target
    """
    found: dict[str, Live] = {}
    for item in only(timeline.history, AuditStatement):
        said = item.statement
        about = (str(item.subject.version), item.digest)
        if said.obligation != MONITORED or said.target != timeline.target or version not in (None, about):
            continue
        if item.environment != timeline.environment or not _was_promoted(timeline, item):
            continue
        for result in said.results:
            failed = tuple(str(check) for check in result.checks if check.outcome is not Outcome.PASS)
            found[result.gate] = Live(result.gate, result.verdict, item, failed)
    return found


def _was_promoted(timeline: Timeline, item: Evidence) -> bool:
    return any(
        (promotion.digest, promotion.subject.version) == (item.digest, item.subject.version)
        and promotion.seq < item.seq
        for promotion in timeline.promotions
    )


def record_live(
    desk: Desk, model: Subject, target: str, results: Sequence[GateResult], watch: Monitoring | None = None
) -> tuple[Entry, OwedAudit | None]:
    """Sign what gates say of live data, and the audit that is owed from then on if they fail.

    :param watch: what the policy says of it
    :raises ConfigurationError: the trust root does not have who signs
    """
    verdict = Outcome.PASS if all(item.verdict is Outcome.PASS for item in results) else Outcome.FAIL
    audited = tuple(Audited.of(result) for result in results)
    owed = None
    if watch is not None and watch.on_failure == "audit" and verdict is not Outcome.PASS:
        due = desk.now + watch.audit_within
        owed = OwedAudit.of(MONITORED, hash_json([model.digest, target, rfc3339(desk.now)]), due, due)
    brought = (owed,) if owed else ()
    said = AuditStatement(model, desk.context, target, MONITORED, verdict, audited, obligations=brought)
    return desk.attest(said), owed


def what_is_wrong(
    watch: Monitoring, timeline: Timeline, current: Evidence[PromotionStatement], now: datetime
) -> Iterator[tuple[str, str]]:
    """``(code, message)`` of each gate that fails on live data of who holds the target, or has not looked in time."""
    number = str(current.subject.version)
    seen = live_results(timeline, (number, current.digest))
    by_any = live_results(timeline)
    begun = timeline.promotions[0].issued_at
    for gate in watch.gates:
        mine, newest = seen.get(gate), by_any.get(gate)
        if mine is not None and mine.outcome is not Outcome.PASS:
            said = f"the gate {gate} is {mine.outcome} on live data of version {number} ({mine.evidence.reference})"
            yield "monitoring.failed", f"{said}: {'; '.join(mine.failed)}"
        if now - begun > watch.grace and (newest is None or now - newest.evidence.issued_at > watch.within):
            last = f"the last is {newest.evidence.reference}" if newest else "there is none"
            days = f"{watch.within.total_seconds() / 86400:g} days"
            yield "monitoring.missing", f"no result of the gate {gate} on live data within {days}; {last}"
