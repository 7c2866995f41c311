"""The audits that are owed: each waived check and each break-glass behind a promotion, with a date, and what has become
of them. Reads the ledger only; it neither audits nor enforces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow_mlgov.evidence.digests import hash_json
from airflow_mlgov.evidence.statements import (
    AuditStatement,
    EmergencyStatement,
    GateStatement,
    OwedAudit,
    PromotionStatement,
    WaiverStatement,
)
from airflow_mlgov.evidence.verification import Evidence, collect, only
from airflow_mlgov.results import Outcome, Subject
from airflow_mlgov.words import line

if TYPE_CHECKING:
    from airflow_mlgov.evidence.chain import Verified
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.governance.decision import Decision


class ObligationState(StrEnum):
    """How an audit that is owed stands."""

    OPEN = "open"
    MET = "met"
    FAILED = "failed"
    """The audit failed."""
    OVERDUE = "overdue"
    """It was not done in time."""
    EXPIRED = "expired"
    """The waiver has run out, and the check still fails."""
    REVOKED = "revoked"
    """The waiver was taken back."""

    @property
    def violated(self) -> bool:
        """Whether the version should not serve any more."""
        return self not in (ObligationState.OPEN, ObligationState.MET)


@dataclass(frozen=True)
class Obligation:
    """One audit that is owed."""

    id: str
    kind: str
    """``waiver`` or ``emergency``."""
    model: Subject
    target: str
    exception: str
    """What it is owed for: SHA-256 of the waiver's terms, or of the break-glass's envelope."""
    gate: str | None
    check: str | None
    due: datetime
    expires: datetime
    state: ObligationState
    promotion: str
    """Ledger reference of the promotion that it came with."""

    def __str__(self) -> str:
        what = f"{self.check} of the gate {self.gate} is waived" if self.kind == "waiver" else "the glass was broken"
        until, due = (f"{moment:%Y-%m-%d %H:%M %Z}" for moment in (self.expires, self.due))
        where = f"{self.model.name} version {self.model.version} at {self.target!r}"
        return line(f"{where}: {what} until {until}, audit due {due}: {self.state}")

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "id": self.id,
            "kind": self.kind,
            "model": self.model.name,
            "version": self.model.version,
            "target": self.target,
            "gate": self.gate,
            "check": self.check,
            "due": self.due.isoformat(),
            "expires": self.expires.isoformat(),
            "state": str(self.state),
            "promotion": self.promotion,
        }


def incurred(decision: Decision, evidence: Sequence[Evidence], now: datetime) -> list[OwedAudit]:
    """The obligations that promoting on a decision brings, as the promotion's statement carries them.

    :param evidence: what the decision rests on
    """
    policy = decision.input["policy"]
    terms = {item.statement.terms.sha256: item.statement.terms for item in only(evidence, WaiverStatement)}
    found = []
    for use in decision.waived:
        due = now + _time_for("waivers", policy)
        ends = terms[use["waiver"]].ends
        found.append(_owed("waiver", use["waiver"], use["gate"], use["check"], due, ends))
    if decision.excused:
        broken = [item for item in only(evidence, EmergencyStatement) if item.sha256 in decision.broken_by][-1]
        due = now + _time_for("break_glass", policy)
        found.append(_owed("emergency", broken.sha256, None, None, due, broken.statement.expires))
    return sorted(found, key=lambda item: item.id)


def _time_for(kind: str, policy: Mapping[str, Any]) -> timedelta:
    """How long the policy gives for the audit of an exception."""
    return timedelta(microseconds=policy[kind]["audit_within_ns"] / 1000)


def _owed(
    kind: str, exception: str, gate: str | None, check: str | None, due: datetime, expires: datetime
) -> OwedAudit:
    name = hash_json([kind, exception, gate, check])[:16]
    return OwedAudit(name, kind, exception, gate, check, due, expires)


def owed_by(promotion: Evidence[PromotionStatement], evidence: Sequence[Evidence], now: datetime) -> list[Obligation]:
    """What a promotion has brought, and how it stands.

    :param evidence: all that verifies about its bytes
    """
    return [
        Obligation(
            id=item.id,
            kind=item.kind,
            model=promotion.subject,
            target=promotion.statement.target,
            exception=item.grounds,
            gate=item.gate,
            check=item.check,
            due=item.due,
            expires=item.expires,
            state=_state(item, promotion, evidence, now),
            promotion=promotion.reference,
        )
        for item in promotion.statement.obligations
    ]


def _state(owed: OwedAudit, promotion: Evidence, evidence: Sequence[Evidence], now: datetime) -> ObligationState:
    about = [item for item in evidence if item.digest == promotion.digest]
    audits = [
        item
        for item in only(about, AuditStatement)
        if item.statement.obligation == owed.id and item.seq > promotion.seq
    ]
    if audits and audits[-1].statement.verdict is not Outcome.PASS:
        return ObligationState.FAILED
    waivers = [item.statement for item in only(about, WaiverStatement)]
    if any(item.state == "revoked" and item.terms.sha256 == owed.grounds for item in waivers):
        return ObligationState.REVOKED
    if owed.expires <= now and not _passes_now(owed.gate, about):
        return ObligationState.EXPIRED
    if audits:
        return ObligationState.MET
    return ObligationState.OVERDUE if owed.due <= now else ObligationState.OPEN


def _passes_now(gate: str | None, about: Sequence[Evidence]) -> bool:
    judged = [item.statement for item in only(about, GateStatement) if item.statement.gate == gate]
    return bool(judged) and judged[-1].verdict is Outcome.PASS


def list_obligations(
    records: Verified, trust: TrustRoot, now: datetime, model: str | None = None, environment: str | None = None
) -> list[Obligation]:
    """Every obligation behind what is promoted now, soonest first.

    :param model: only of this registered model
    :param environment: only of promotions in this environment
    """
    current: dict[tuple[Any, ...], Evidence[PromotionStatement]] = {}
    for item in only(collect(records, trust, kind="promotion", model=model)[0], PromotionStatement):
        current[item.subject.registry, item.subject.name, item.environment, item.statement.target] = item
    found = [
        obligation
        for promotion in current.values()
        if promotion.statement.obligations and environment in (None, promotion.environment)
        for obligation in owed_by(promotion, collect(records, trust, [promotion.digest])[0], now)
    ]
    return sorted(found, key=lambda item: (item.due, item.id))
