"""Does a promotion still stand? What can be said for it and against it, from its bytes and the evidence as it is now.

Asks the registry only for the bytes; it moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from airflow_mlgov.errors import EvidenceError, MlgovError
from airflow_mlgov.evidence.chain import Verified
from airflow_mlgov.evidence.statements import (
    ApprovalStatement,
    DecisionStatement,
    EmergencyStatement,
    GateStatement,
    PromotionStatement,
    ProvenanceStatement,
    WaiverStatement,
)
from airflow_mlgov.evidence.verification import Evidence, only
from airflow_mlgov.governance.policy import GovernancePolicy
from airflow_mlgov.governance.replay import Reasons, replay_under
from airflow_mlgov.release.desk import Desk
from airflow_mlgov.release.obligations import owed_by
from airflow_mlgov.release.timeline import Dossier, Timeline, version_of
from airflow_mlgov.results import Outcome


def why_unfit(desk: Desk, records: Verified, promotion: Evidence[PromotionStatement]) -> str | None:
    """Why a version that was promoted before would not do again: its artifact, its evidence, a gate that failed since.

    None if it would.
    """
    name, number = promotion.subject.name, version_of(promotion)
    try:
        model = desk.registry.subject(desk.registry.resolve({"name": name, "version": number}))
    except MlgovError as error:
        if not isinstance(error, EvidenceError | ValueError):
            raise
        return f"version {number}: {error}"
    if model.digest != promotion.digest:
        return f"version {number}: its artifact is sha256:{model.digest[:12]} and was sha256:{promotion.digest[:12]}"
    _, reasons = judge_promotion(promotion, desk.dossier(records, model))
    return f"version {number}: {'; '.join(message for _, message in reasons)}" if reasons else None


def judge_promotion(
    promotion: Evidence[PromotionStatement],
    dossier: Dossier,
    *,
    policy: GovernancePolicy | None = None,
    environment: str | None = None,
) -> tuple[list[str], list[tuple[str, str]]]:
    """What can be said for a promotion, and against it; whether another has come since is not asked."""
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
    again = replay_under(decision, policy) if policy else ()
    how = "made again now from the same evidence" if policy else "signed, and all that it rests on verifies"
    facts.append(f"{decision.reference}: decision to allow {moved.target!r}, {how}")
    said = "rolled back to" if moved.action == "rollback" else "promoted to"
    why = f" ({moved.reason})" if moved.reason else ""
    owed = owed_by(promotion, dossier.good, datetime.now(UTC))
    facts += [f"waived, not passed: {item}" for item in owed]
    reasons += [(f"obligation.{item.state}", str(item)) for item in owed if item.state.violated]
    facts.append(f"{promotion.reference}: {said} {moved.target!r} at {promotion.issued_at:%Y-%m-%d %H:%M:%S %Z}{why}")
    # before decisions were signed over what was walked, the promotion alone said what that was
    seen = min(_seen_by(decision), moved.checkpoint["size"])
    hidden, failed = overlooked(decision, dossier, seen), _failed_since(dossier.good, seen)
    return facts, [*reasons, *missing, *again, *hidden, *failed]


def unverified(dossier: Dossier) -> list[tuple[str, str]]:
    """What is filed under its bytes and data and does not verify, as reasons."""
    return [("evidence.unverified", f"ledger:{item.seq} ({item.kind}): {item.problem}") for item in dossier.bad]


def overlooked(decision: Evidence[DecisionStatement], dossier: Dossier, seen: int | None = None) -> Reasons:
    """What stood in the ledger when it was decided and the decision does not know of: somebody has hidden it.

    :param dossier: all evidence about the same bytes
    :param seen: how many entries the ledger had then; as the decision has it if omitted
    """
    size = _seen_by(decision) if seen is None else seen
    said = decision.statement.document.input
    shown = said.get("evidence", ())
    known = {item["seq"] for item in (*shown, *said.get("unverified", ()))}
    about = {decision.digest, *(data["digest"] for item in shown for data in item.get("datasets", ()))}
    hidden = [item for item in dossier.good if item.seq <= size and item.digest in about and item.seq not in known]
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
        if request["champion"] != (None if champion == number else champion):
            found.append(f"{current.reference} (the promotion of version {champion})")
    withdrawn = timeline.withdrawn_at(number)
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


def _failed_since(good: Iterable[Evidence], seq: int) -> list[tuple[str, str]]:
    later = {item.statement.gate: item for item in only(good, GateStatement) if item.seq > seq}
    return [
        ("gate.failed_since", f"the gate {gate} is {item.statement.verdict} since the promotion ({item.reference})")
        for gate, item in later.items()
        if item.statement.verdict is not Outcome.PASS
    ]


def _describe(item: Evidence) -> str:
    run = item.statement.context.run
    where = f" in {run['dag_id']} / {run['run_id']}" if run.get("dag_id") else ""
    return f"{item.reference}: {_said(item)}{where if item.kind in ('provenance', 'gate') else ''}"


def _said(item: Evidence) -> str:
    match item.statement:
        case ProvenanceStatement() as made:
            names = ", ".join(dataset.name for dataset in made.datasets)
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
