"""The audits that are owed: each waived check and each break-glass behind a promotion, with a date, and what has become
of them. Reads the ledger only; it neither audits nor enforces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow_mlgov import catalogue
from airflow_mlgov.evidence.statements import (
    AuditStatement,
    DecisionStatement,
    EmergencyStatement,
    OwedAudit,
    PromotionStatement,
    WaiverStatement,
)
from airflow_mlgov.evidence.verification import Evidence, collect, only
from airflow_mlgov.governance.judgement import newest_judged
from airflow_mlgov.release.timeline import evidence_for, history_of, version_of
from airflow_mlgov.results import Outcome, Subject
from airflow_mlgov.words import line

if TYPE_CHECKING:
    from airflow_mlgov.addresses import RegistryIdentity
    from airflow_mlgov.evidence.chain import Verified
    from airflow_mlgov.evidence.scope import Scope
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
    """``waiver``, ``emergency``, or ``monitoring`` for a FAIL on live data."""
    model: Subject
    target: str
    exception: str
    """What it is owed for: SHA-256 of the waiver's terms, of the break-glass's envelope, or of what has failed when."""
    gate: str | None
    check: str | None
    due: datetime
    expires: datetime
    state: ObligationState
    promotion: str
    """Ledger reference of the promotion, or of the result on live data, that it came with."""
    audited: bool = False
    """Whether the newest audit for it has passed."""
    gates: frozenset[str] = frozenset()
    """Those that its audit has to run: of the waived check, of what has failed on live data, or, after a break-glass,
    all that the target requires and that can judge live data."""

    def is_late(self, now: datetime) -> bool:
        """Whether its audit has not passed by its date."""
        return self.due <= now and not self.audited

    def is_broken(self, now: datetime) -> bool:
        """Whether its audit has failed, or was not done in time while the exception was there. Nothing but a passed
        audit makes that good."""
        late = self.is_late(now) and self.state is not ObligationState.REVOKED
        return self.state is ObligationState.FAILED or late

    def __str__(self) -> str:
        until, due = (f"{moment:%Y-%m-%d %H:%M %Z}" for moment in (self.expires, self.due))
        what = {
            "waiver": f"{self.check} of the gate {self.gate} is waived until {until}",
            "emergency": f"the glass was broken until {until}",
        }.get(self.kind, f"it fails on live data ({self.promotion})")
        where = f"{self.model.name} version {self.model.version} at {self.target!r}"
        return line(f"{where}: {what}, audit due {due}: {self.state}")

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
        found.append(OwedAudit.of("waiver", use["waiver"], due, ends, use["gate"], use["check"]))
    if decision.excused:
        broken = [item for item in only(evidence, EmergencyStatement) if item.sha256 in decision.broken_by][-1]
        due = now + _time_for("break_glass", policy)
        found.append(OwedAudit.of("emergency", broken.sha256, due, broken.statement.expires))
    return sorted(found, key=lambda item: item.id)


def _time_for(kind: str, policy: Mapping[str, Any]) -> timedelta:
    """How long the policy gives for the audit of an exception."""
    return timedelta(microseconds=policy[kind]["audit_within_ns"] / 1000)


def owed_by(
    promotion: Evidence[PromotionStatement],
    evidence: Sequence[Evidence],
    now: datetime,
    policy: Mapping[str, Any] | None = None,
) -> list[Obligation]:
    """What a promotion has brought, and how it stands. Its date is that of the first promotion of the same bytes to the
    target that brought it: breaking the glass again moves no date, and makes no failed audit undone. That a glass was
    broken is audited whatever comes after it, also a promotion that needed no exception.

    :param evidence: all that verifies about its bytes and their data, here
    :param policy: the policy in force, as the rules see it, for whether a check passes now
    """
    same = [
        item
        for item in only(evidence, PromotionStatement)
        if item.digest == promotion.digest
        and item.statement.target == promotion.statement.target
        and item.seq <= promotion.seq
    ]
    debts: list[_Debt] = []
    known: list[_Debt] = []  # a promotion in between that needed no exception makes no debt of before forgotten
    for item in same:
        debts = [_incurred_by(item, owed, known, evidence) for owed in item.statement.obligations]
        known = [*(old for old in known if not any(old.ids <= debt.ids for debt in debts)), *debts]
    broken = [debt for debt in known if debt.owed.kind == "emergency" and debt not in debts]
    debts += [replace(debt, is_relied_on=False) for debt in broken if not _passed(_audits(debt, promotion, evidence))]
    debts += _incurred_live(promotion, evidence)
    return [
        Obligation(
            id=debt.owed.id,
            kind=debt.owed.kind,
            model=promotion.subject,
            target=promotion.statement.target,
            exception=debt.owed.grounds,
            gate=debt.owed.gate,
            check=debt.owed.check,
            due=debt.due,
            expires=debt.owed.expires,
            state=_state(debt, promotion, evidence, now, policy),
            promotion=debt.came_with or promotion.reference,
            audited=_passed(_audits(debt, promotion, evidence)),
            gates=debt.gates,
        )
        for debt in debts
    ]


def owed_for(model: Subject, evidence: Sequence[Evidence], now: datetime) -> list[Obligation]:
    """What the newest promotion of some bytes to each target has brought, whether or not they hold it now.

    :param evidence: all that verifies about the bytes and their data, here
    """
    made = [item for item in only(evidence, PromotionStatement) if item.digest == model.digest]
    newest: dict[str, Evidence[PromotionStatement]] = {}
    for promotion in made:
        newest[promotion.statement.target] = promotion
    return [obligation for made_last in newest.values() for obligation in owed_by(made_last, evidence, now)]


def promoted_as(records: Verified, trust: TrustRoot, scope: Scope, number: str, target: str) -> list[Subject]:
    """What was ever promoted to a target under a version's number, by its bytes, whether or not the registry still has
    it."""
    moved = only(history_of(records, trust, scope), PromotionStatement)
    mine = [item for item in moved if version_of(item) == number and item.statement.target == target]
    here = [item for item in mine if scope.environment in (None, item.environment)]
    return list({item.digest: item.subject for item in here}.values())


@dataclass(frozen=True)
class _Debt:
    """What one exception owes, since the first promotion that brought it."""

    owed: OwedAudit
    since: int
    """Ledger number of that promotion."""
    due: datetime
    ids: frozenset[str]
    """What it was called in each promotion since."""
    subject: str | None
    """SHA-256 of what the waived check has judged; None for a break-glass."""
    is_relied_on: bool = True
    """Whether the newest promotion needed the exception; if not, its end ends nothing."""
    came_with: str = ""
    """Ledger reference of the result on live data, for what one has brought."""
    gates: frozenset[str] = frozenset()

    def is_of(self, owed: OwedAudit, subject: str | None) -> bool:
        """Whether an exception is for what this one is for."""
        return (self.owed.kind, self.owed.gate, self.owed.check, self.subject) == (
            owed.kind,
            owed.gate,
            owed.check,
            subject,
        )


def _incurred_live(promotion: Evidence[PromotionStatement], evidence: Sequence[Evidence]) -> list[_Debt]:
    """What results on live data of the same bytes at the target have brought: the newest, and each that was not made
    good. One that fails again moves no date."""
    known: list[_Debt] = []
    for item in only(evidence, AuditStatement):
        if (item.digest, item.statement.target) == (promotion.digest, promotion.statement.target):
            brought = [_incurred_by(item, owed, known, evidence) for owed in item.statement.obligations]
            known = [*(old for old in known if not any(old.ids <= debt.ids for debt in brought)), *brought]
    unpaid = [debt for debt in known[:-1] if not _passed(_audits(debt, promotion, evidence))]
    return [*unpaid, *known[-1:]]


def _incurred_by(
    promotion: Evidence[PromotionStatement | AuditStatement],
    owed: OwedAudit,
    before: Sequence[_Debt],
    evidence: Sequence[Evidence],
) -> _Debt:
    """An obligation with the date and the audits of those before it that it stands in the place of."""
    terms = [item.statement.terms for item in only(evidence, WaiverStatement)]
    subject = next((said.subject for said in terms if said.sha256 == owed.grounds), None)
    subject = subject or (promotion.digest if owed.kind == "waiver" else None)
    old = [
        debt
        for debt in before
        if debt.is_of(owed, subject)
        and (
            debt.owed.grounds == owed.grounds
            or not _passed([item for item in _audits(debt, promotion, evidence) if item.seq < promotion.seq])
        )
    ]
    is_live = isinstance(promotion.statement, AuditStatement)
    return _Debt(
        owed,
        min([promotion.seq, *(debt.since for debt in old)]),
        min([owed.due, *(debt.due for debt in old)]),
        frozenset({owed.id}).union(*(debt.ids for debt in old)),
        subject,
        is_relied_on=not is_live,
        came_with=promotion.reference if is_live else "",
        gates=frozenset(_to_be_run(promotion, owed, evidence)).union(*(debt.gates for debt in old)),
    )


def _to_be_run(
    promotion: Evidence[PromotionStatement | AuditStatement], owed: OwedAudit, evidence: Sequence[Evidence]
) -> Iterable[str]:
    """The gates that the audit has to run: one that was not asked what has failed would settle it by another."""
    made = promotion.statement
    if owed.gate is not None:
        return [owed.gate]
    if isinstance(made, AuditStatement):
        return [result.gate for result in made.results if result.verdict is not Outcome.PASS]
    decisions = [item.statement for item in only(evidence, DecisionStatement) if item.sha256 == made.decision]
    policy = decisions[0].document.input.get("policy", {}) if decisions else {}
    bounds = {(bound["gate"], str(bound["check"]).partition("[")[0]) for bound in policy.get("bounds", ())}
    return [
        gate.name
        for gate in catalogue.load_all()
        if gate.about == "model"
        and gate.name in policy.get("requires", ())
        and any(name == gate.name and metric not in gate.of_artifact for name, metric in bounds)
    ]


def _audits(
    debt: _Debt, promotion: Evidence[PromotionStatement | AuditStatement], evidence: Sequence[Evidence]
) -> list[Evidence[AuditStatement]]:
    return [
        item
        for item in only(evidence, AuditStatement)
        if item.digest == promotion.digest
        and item.statement.target == promotion.statement.target
        and item.statement.obligation in debt.ids
        and item.seq > debt.since
    ]


def _passed(audits: Sequence[Evidence[AuditStatement]]) -> bool:
    return bool(audits) and audits[-1].statement.verdict is Outcome.PASS


def _state(
    debt: _Debt,
    promotion: Evidence[PromotionStatement],
    evidence: Sequence[Evidence],
    now: datetime,
    policy: Mapping[str, Any] | None,
) -> ObligationState:
    owed, audits = debt.owed, _audits(debt, promotion, evidence)
    if audits and not _passed(audits):
        return ObligationState.FAILED
    waivers = [item.statement for item in only(evidence, WaiverStatement) if item.digest == promotion.digest]
    if any(item.state == "revoked" and item.terms.sha256 == owed.grounds for item in waivers):
        return ObligationState.REVOKED
    if debt.is_relied_on and owed.expires <= now and not _passes_now(debt, promotion, evidence, policy):
        return ObligationState.EXPIRED
    if audits:
        return ObligationState.MET
    return ObligationState.OVERDUE if debt.due <= now else ObligationState.OPEN


def _passes_now(
    debt: _Debt,
    promotion: Evidence[PromotionStatement],
    evidence: Sequence[Evidence],
    policy: Mapping[str, Any] | None,
) -> bool:
    """Whether the gate whose check was waived passes what it had judged, under the policy in force."""
    decisions = only(evidence, DecisionStatement)
    made = next((item.statement for item in decisions if item.sha256 == promotion.statement.decision), None)
    if debt.owed.gate is None or debt.subject is None or made is None:
        return False
    then = made.document.input
    newest = newest_judged(evidence, policy or then["policy"], then["request"].get("champion"))
    found = newest.get((debt.owed.gate, debt.subject))
    return found is not None and found[1] is Outcome.PASS


def list_obligations(
    records: Verified,
    trust: TrustRoot,
    now: datetime,
    model: str | None = None,
    environment: str | None = None,
    registry: RegistryIdentity | None = None,
) -> list[Obligation]:
    """Every obligation behind what is promoted now, soonest first.

    :param model: only of this registered model
    :param environment: only of promotions in this environment
    :param registry: only of this registry
    """
    current: dict[tuple[Any, ...], Evidence[PromotionStatement]] = {}
    owing: set[tuple[Any, ...]] = set()
    moved = only(collect(records, trust, kind="promotion", model=model)[0], PromotionStatement)
    looked = only(collect(records, trust, kind="audit", model=model)[0], AuditStatement)
    bringing: list[Evidence[PromotionStatement | AuditStatement]] = [*moved, *looked]
    for item in bringing:
        name = registry.of(item.subject.registry) if registry else item.subject.registry
        if environment in (None, item.environment) and (registry is None or name == registry.name):
            place = name, item.subject.name, item.environment, item.statement.target
            for promotion in only([item], PromotionStatement):
                current[place] = promotion
            if item.statement.obligations:
                owing.add((place, item.digest))
    found = [
        obligation
        for place, promotion in current.items()
        if (place, promotion.digest) in owing
        for obligation in owed_by(
            promotion, evidence_for(records, trust, promotion.subject, promotion.environment, registry).good, now
        )
    ]
    return sorted(found, key=lambda item: (item.due, item.id))
