"""Does a promotion still stand? What can be said for it and against it, from its bytes and the evidence as it is now.

Asks the registry only for the bytes; it moves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import DependencyError, MlgovError
from airflow_mlgov.evidence.chain import Verified
from airflow_mlgov.evidence.statements import (
    PARTS,
    ApprovalStatement,
    DecisionStatement,
    EmergencyStatement,
    GateStatement,
    Person,
    PromotionStatement,
    ProvenanceStatement,
    WaiverStatement,
)
from airflow_mlgov.evidence.verification import Evidence, Unverified, only
from airflow_mlgov.governance.judgement import as_seen, judged, newest_judged
from airflow_mlgov.governance.superseded import superseded, within
from airflow_mlgov.release.champion import is_it
from airflow_mlgov.release.monitoring import MONITORED
from airflow_mlgov.release.obligations import owed_by
from airflow_mlgov.release.timeline import Dossier, Timeline, version_of
from airflow_mlgov.results import Bound, Outcome, Subject

if TYPE_CHECKING:
    from airflow_mlgov.governance.policy import GovernancePolicy
    from airflow_mlgov.governance.replay import Reasons
    from airflow_mlgov.release.desk import Desk


def why_unfit(
    desk: Desk, records: Verified, promotion: Evidence[PromotionStatement], model: Subject | None = None
) -> str | None:
    """Why a version that was promoted before would not do again: its artifact, its evidence, a gate that failed since.

    None if it would.

    :param model: the version with the bytes, of its copy if that was moved, as they were hashed just now; they are
        hashed if omitted
    """
    number, placed = version_of(promotion), promotion.statement.placed
    try:
        if model is None:
            place = desk.place_of(promotion)
            found = place.registry.subject(place.version(str(placed.version)))
            model = replace(promotion.subject, digest=found.digest)
    except MlgovError as error:
        if isinstance(error, DependencyError):
            raise
        return f"version {number}: {error}"
    if model.digest != promotion.digest:
        return f"version {number}: its artifact is sha256:{model.digest[:12]} and was sha256:{promotion.digest[:12]}"
    _, reasons = judge_promotion(promotion, desk.dossier(records, model), in_force=desk.policy, now=desk.now)
    return f"version {number}: {'; '.join(message for _, message in reasons)}" if reasons else None


def judge_promotion(
    promotion: Evidence[PromotionStatement],
    dossier: Dossier,
    *,
    policy: GovernancePolicy | None = None,
    environment: str | None = None,
    in_force: GovernancePolicy | None = None,
    now: datetime | None = None,
) -> tuple[list[str], list[tuple[str, str]]]:
    """What can be said for a promotion, and against it; whether another has come since is not asked.

    :param policy: make the decision of then again under it
    :param in_force: the policy that what gates have found since is held against; ``policy``, or that of the decision,
        if omitted
    """
    moved, reasons = promotion.statement, unverified(dossier)
    facts: list[str] = []
    made = only(dossier.good, DecisionStatement)
    decision = next((item for item in made if item.sha256 == moved.decision), None)
    if decision is None or not decision.statement.allowed or decision.statement.target != moved.target:
        reasons.append(("decision.missing", f"{promotion.reference} names no verified decision that allowed it"))
        return facts, reasons
    wanted = environment or promotion.environment
    reasons += [
        ("environment.differs", f"{item.reference} is of environment {item.environment!r}, not {wanted!r}")
        for item in (decision, promotion)
        if item.environment != wanted
    ]
    relied, missing = _relied_on(decision, dossier.good)
    facts += [_describe(item) for item in relied]
    again: Reasons = ()
    if policy is not None:
        from airflow_mlgov.governance.replay import replay_under

        again = replay_under(decision, policy)
    how = "made again now from the same evidence" if policy else "signed, and all that it rests on verifies"
    facts.append(f"{decision.reference}: decision to allow {moved.target!r}, {how}")
    said = "rolled back to" if moved.action == "rollback" else "promoted to"
    why = f" ({moved.reason})" if moved.reason else ""
    rules = _in_force(decision, policy or in_force)
    owed = owed_by(promotion, dossier.good, now or datetime.now(UTC), rules)
    facts += [f"{item}" if item.kind == MONITORED else f"waived, not passed: {item}" for item in owed]
    reasons += [(f"obligation.{item.state}", str(item)) for item in owed if item.state.violated]
    copy = f" as its copy {moved.placed.name} version {moved.placed.version}" if moved.copy else ""
    when = f"{promotion.issued_at:%Y-%m-%d %H:%M:%S %Z}"
    facts.append(f"{promotion.reference}: {said} {moved.target!r}{copy} at {when}{why}")
    # before decisions were signed over what was walked, the promotion alone said what that was
    seen = min(_seen_by(decision), moved.checkpoint["size"])
    since = _Since(decision, dossier.good, seen, rules, now or datetime.now(UTC))
    return [*facts, *since.shown], [
        *reasons,
        *missing,
        *again,
        *overlooked(decision, dossier, seen),
        *since.failed,
        *since.rejected,
    ]


def unverified(dossier: Dossier) -> list[tuple[str, str]]:
    """What is filed under its bytes and data and does not verify, as reasons."""
    return [("evidence.unverified", _unverified(item)) for item in dossier.bad]


def _unverified(item: Unverified) -> str:
    mend = f"if it never verified, `mlgov ledger quarantine {item.seq}` sets it aside"
    return f"ledger:{item.seq} ({item.kind}): {item.problem}; {mend}"


def overlooked(decision: Evidence[DecisionStatement], dossier: Dossier, seen: int | None = None) -> Reasons:
    """What stood in the ledger when it was decided and the decision does not know of: somebody has hidden it.

    :param dossier: all evidence about the same bytes
    :param seen: how many entries the ledger had then; as the decision has it if omitted
    """
    size = _seen_by(decision) if seen is None else seen
    said = decision.statement.document.input
    shown = said.get("evidence", ())
    known = {item["seq"] for item in (*shown, *said.get("unverified", ()))}
    about = {decision.digest, *(made["digest"] for item in shown for part in PARTS for made in item.get(part, ()))}
    stood = [item for item in dossier.good if item.seq <= size and item.digest in about]
    known |= within(said.get("superseded"), superseded(stood))
    hidden = [item for item in stood if item.seq not in known]
    found = [f"{item.reference} ({item.kind})" for item in hidden]
    found += _past_overlooked(decision, [item for item in dossier.history if item.seq <= size])
    return tuple(
        ("evidence.overlooked", f"{decision.reference} was made without {what}, which stood in the ledger before it")
        for what in found
    )


def _past_overlooked(decision: Evidence[DecisionStatement], history: Sequence[Evidence]) -> list[str]:
    """Whether it knew who held the target, and of the last rollback from its version."""
    subject, request = decision.subject, decision.statement.document.input.get("request", {})
    timeline = Timeline(history, subject.name, subject.registry, decision.environment, decision.statement.target)
    found, number = [], version_of(decision)
    current = timeline.current
    if current is not None and "champion" in request:
        champion = version_of(current)
        if request["champion"] != (None if is_it(current, subject) else champion):
            found.append(f"{current.reference} (the promotion of version {champion})")
    withdrawn = timeline.withdrawn_at(number, decision.digest)
    if withdrawn is not None and request.get("withdrawn_at", withdrawn) != withdrawn:
        found.append(f"ledger:{withdrawn} (the rollback from version {number})")
    return found


def _seen_by(decision: Evidence[DecisionStatement]) -> int:
    """How many entries the ledger had when it was decided: the decision is signed over what was walked."""
    mark = decision.statement.ledger
    return decision.seq - 1 if mark is None else mark.size


def _relied_on(
    decision: Evidence[DecisionStatement], good: Sequence[Evidence]
) -> tuple[list[Evidence], list[tuple[str, str]]]:
    """What a decision names as its grounds, and what of it is not there any more."""
    held = {item.sha256: item for item in good}
    named = sorted(decision.statement.inputs.items())
    missing = [
        ("evidence.missing", f"{decision.reference} rests on {uri}, which is not there or does not verify")
        for uri, sha in named
        if sha not in held
    ]
    return sorted((held[sha] for _, sha in named if sha in held), key=lambda item: item.seq), missing


def _in_force(decision: Evidence[DecisionStatement], policy: GovernancePolicy | None) -> Mapping[str, Any]:
    """What the policy in force says of the model and the target, as the rules see it; what the decision recorded of the
    one of then, if the policy is not there or does not know them any more."""
    name, target = decision.subject.name, decision.statement.target
    if policy is not None and name in policy.models and target in policy.model(name).targets:
        from airflow_mlgov.governance.decision import policy_input

        return policy_input(policy, name, target)
    recorded = decision.statement.document.input.get("policy", {})
    return {"requires": [], "bounds": [], "settings": [], "suites": {}, **recorded}


@dataclass(frozen=True)
class _Since:
    """What gates have found and people have answered since a decision, held against the policy in force."""

    decision: Evidence[DecisionStatement]
    good: Sequence[Evidence]
    seen: int
    """Ledger number of the last entry that was decided on."""
    rules: Mapping[str, Any]
    now: datetime

    @property
    def failed(self) -> list[tuple[str, str]]:
        """The newest result of each required gate on each subject that fails, unless a waiver in force covers it."""
        found = newest_judged(self.good, self.rules, self._champion, self.seen)
        return [
            ("gate.failed_since", f"the gate {gate} is {outcome} since the promotion ({item.reference})")
            for (gate, digest), (item, outcome, bad) in found.items()
            if outcome is not Outcome.PASS and not self._covers(gate, digest, bad)
        ]

    @property
    def rejected(self) -> list[tuple[str, str]]:
        """Each rejection of the same bytes at the target by somebody who may approve, unless that person has approved
        them since."""
        newest = {
            item.statement.approver.identity: item
            for item in only(self.good, ApprovalStatement)
            if item.digest == self.decision.digest
            and item.statement.target == self.decision.statement.target
            and _may_approve(item.statement.approver, self.rules)
        }
        return [
            # without the reason: what is said here is signed in incidents and decisions, and could not be erased there
            ("approval.rejected", f"since the promotion, {item.reference}: rejected by {item.statement.approver.name}")
            for item in newest.values()
            if item.seq > self.seen and item.statement.answer == "rejected"
        ]

    @property
    def shown(self) -> list[str]:
        """What fails a bound of its caller and not the policy's: nobody is taken down for it, and nobody hides it."""
        since = [item for item in only(self.good, GateStatement) if item.seq > self.seen]
        return [
            f"{item.reference}: gate {item.gate} {item.statement.verdict} since, by bounds that are stricter than the "
            "policy's"
            for item in since
            if item.statement.verdict is not Outcome.PASS
            and judged(as_seen(item), self.rules, self._champion) is Outcome.PASS
        ]

    @property
    def _champion(self) -> str | None:
        champion: str | None = self.decision.statement.document.input.get("request", {}).get("champion")
        return champion

    def _covers(self, gate: str, digest: str, bad: Sequence[Mapping[str, Any]]) -> bool:
        """Whether waivers that the decision counted, and that still run, cover all that fails."""
        counted = {use["waiver"] for use in self.decision.statement.waived}
        waivers = [item.statement for item in only(self.good, WaiverStatement)]
        revoked = {item.terms.sha256 for item in waivers if item.state == "revoked"}
        terms = [
            item.terms for item in waivers if item.terms.sha256 in counted - revoked and item.terms.ends > self.now
        ]
        return bool(bad) and all(
            any(
                (said.gate, said.check) == (gate, check["name"])
                and digest == (said.subject or self.decision.digest)
                and isinstance(check["observed"], int | float)
                and Bound(said.min, said.max).judge(check["observed"]) is Outcome.PASS
                for said in terms
            )
            for check in bad
        )


def _may_approve(person: Person, rules: Mapping[str, Any]) -> bool:
    """Whether a policy names this very account, as the rules see it."""
    approvals, accounts = rules.get("approvals", {}), rules.get("accounts", {})
    return person.name in approvals.get("from", ()) and accounts.get(person.name, person.id) == person.id


def _describe(item: Evidence) -> str:
    run = item.statement.context.run
    where = f" in {run['dag_id']} / {run['run_id']}" if run.get("dag_id") else ""
    return f"{item.reference}: {_said(item)}{where if item.kind in ('provenance', 'gate') else ''}"


def _said(item: Evidence) -> str:
    match item.statement:
        case ProvenanceStatement() as made:
            names = ", ".join(part.name for part in made.parts)
            return f"made from {names}, trained by {', '.join(made.trainers)}"
        case WaiverStatement(terms=terms) as waiver:
            what = f"{terms.check} of the gate {terms.gate} until {terms.expires}, ticket {terms.ticket}"
            return f"waiver of {what}: {waiver.state} by {waiver.signer.name}"
        case EmergencyStatement() as emergency:
            until = f"{emergency.expires.isoformat()}: {emergency.reason!r}"
            return f"the glass was broken by {emergency.person.name} until {until}"
        case ApprovalStatement() as approval:
            return f"{approval.answer} by {approval.approver.name}: {approval.reason!r}"
        case GateStatement(result=result) as gate:
            passed = sum(check.outcome is Outcome.PASS for check in result.checks)
            return f"gate {gate.gate} {gate.verdict}, {passed} of {len(result.checks)} checks pass"
    return item.kind
