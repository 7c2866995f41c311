"""The audits that are owed: each waived check and each break-glass behind a promotion, with a date, and what has become
of them. Reads the ledger only; it neither audits nor enforces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow_mlgov.evidence.digests import hash_json
from airflow_mlgov.evidence.verification import Evidence, Records, collect
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
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
        return f"{where}: {what} until {until}, audit due {due}: {self.state}"

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


def incurred(decision: Decision, evidence: Sequence[Evidence], now: datetime) -> list[dict[str, Any]]:
    """The obligations that promoting on a decision brings, as the promotion's statement carries them.

    :param evidence: what the decision rests on
    """
    policy = decision.input["policy"]
    found = []
    for use in decision.waived:
        terms = next(
            item.predicate["terms"]
            for item in evidence
            if item.kind == "waiver" and item.predicate["terms_sha256"] == use["waiver"]
        )
        limits, expires = policy["waivers"], terms["expires"]
        found.append(_owed("waiver", use["waiver"], use["gate"], use["check"], expires, limits, now))
    if decision.excused:
        newest = [item for item in evidence if item.sha256 in decision.broken_by][-1]
        expires = newest.predicate["expires"]
        found.append(_owed("emergency", newest.sha256, None, None, expires, policy["break_glass"], now))
    return sorted(found, key=lambda item: str(item["id"]))


def _owed(
    kind: str,
    exception: str,
    gate: str | None,
    check: str | None,
    expires: str,
    limits: Mapping[str, Any],
    now: datetime,
) -> dict[str, Any]:
    return {
        "id": hash_json([kind, exception, gate, check])[:16],
        "kind": kind,
        "grounds": exception,
        "gate": gate,
        "check": check,
        "due": (now + timedelta(microseconds=limits["audit_within_ns"] / 1000)).isoformat(),
        "expires": expires,
    }


def owed_by(promotion: Evidence, evidence: Sequence[Evidence], now: datetime) -> list[Obligation]:
    """What a promotion has brought, and how it stands.

    :param evidence: all that verifies about its bytes
    """
    return [
        Obligation(
            id=item["id"],
            kind=item["kind"],
            model=Subject(**promotion.ours["subject"]),
            target=promotion.predicate["target"],
            exception=item["grounds"],
            gate=item["gate"],
            check=item["check"],
            due=datetime.fromisoformat(item["due"]),
            expires=datetime.fromisoformat(item["expires"]),
            state=_state(item, promotion, evidence, now),
            promotion=promotion.reference,
        )
        for item in promotion.predicate.get("obligations", ())
    ]


def _state(
    item: Mapping[str, Any], promotion: Evidence, evidence: Sequence[Evidence], now: datetime
) -> ObligationState:
    about = [other for other in evidence if other.digest == promotion.digest]
    audits = [
        other
        for other in about
        if other.kind == "audit" and other.predicate["obligation"] == item["id"] and other.seq > promotion.seq
    ]
    if audits and audits[-1].predicate["verdict"] != "PASS":
        return ObligationState.FAILED
    if any(
        other.kind == "waiver"
        and other.predicate["state"] == "revoked"
        and other.predicate["terms_sha256"] == item["grounds"]
        for other in about
    ):
        return ObligationState.REVOKED
    if datetime.fromisoformat(item["expires"]) <= now and not _passes_now(item["gate"], about):
        return ObligationState.EXPIRED
    if audits:
        return ObligationState.MET
    return ObligationState.OVERDUE if datetime.fromisoformat(item["due"]) <= now else ObligationState.OPEN


def _passes_now(gate: str | None, about: Sequence[Evidence]) -> bool:
    judged = [other for other in about if gate is not None and other.kind == "gate" and other.gate == gate]
    return bool(judged) and judged[-1].ours["verdict"] == "PASS"


def list_obligations(
    records: Records, trust: TrustRoot, now: datetime, model: str | None = None, environment: str | None = None
) -> list[Obligation]:
    """Every obligation behind what is promoted now, soonest first.

    :param model: only of this registered model
    :param environment: only of promotions in this environment
    :raises EvidenceError: the chain is broken
    """
    records.verify()
    current: dict[tuple[Any, ...], Evidence] = {}
    for item in collect(records, trust, kind="promotion", model=model)[0]:
        subject = item.ours["subject"]
        current[subject["registry"], subject["name"], item.ours["environment"], item.predicate["target"]] = item
    found = [
        obligation
        for promotion in current.values()
        if promotion.predicate.get("obligations") and environment in (None, promotion.ours["environment"])
        for obligation in owed_by(promotion, collect(records, trust, [promotion.digest])[0], now)
    ]
    return sorted(found, key=lambda item: (item.due, item.id))
