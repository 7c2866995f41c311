"""Statements made by function calls, for the rooms that do not yet use the classes."""
# ruff: noqa: D103

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from airflow_mlgov.evidence.statements.common import Context, Person
from airflow_mlgov.evidence.statements.gates import Audited, AuditStatement, GateStatement
from airflow_mlgov.evidence.statements.people import ApprovalStatement, EmergencyStatement, Terms, WaiverStatement
from airflow_mlgov.evidence.statements.releases import (
    DecisionDocument,
    DecisionStatement,
    IntentStatement,
    OwedAudit,
    PolicyStatement,
    PromotionStatement,
    ProvenanceStatement,
)
from airflow_mlgov.evidence.statements.watch import CheckpointStatement, IncidentStatement
from airflow_mlgov.results import Check, GateResult, Outcome, Severity, Subject


def gate_statement(result: GateResult, context: Context) -> GateStatement:
    return GateStatement.of(result, context)


def provenance_statement(
    model: Subject, datasets: Sequence[Subject], trainers: Sequence[str], source: Mapping[str, Any], context: Context
) -> ProvenanceStatement:
    return ProvenanceStatement(model, context, tuple(datasets), tuple(trainers), source)


def approval_statement(
    model: Subject, *, approver: Mapping[str, str], shown: Sequence[str], context: Context,
    earlier: Sequence[str] = (), requesters: Sequence[str] = (), target: str, approved: bool, reason: str,
    answered_at: datetime,
) -> ApprovalStatement:  # fmt: skip
    person = Person.read(approver)
    return ApprovalStatement(
        model, context, target, person, approved, reason, tuple(shown), answered_at, tuple(earlier), tuple(requesters)
    )


def decision_statement(
    model: Subject, *, target: str, allowed: bool, reasons: Sequence[tuple[str, str]], inputs: Mapping[str, str],
    document: DecisionDocument, verifier: str, context: Context, waived: Sequence[Mapping[str, Any]] = (),
    excused: Sequence[tuple[str, str]] = (),
) -> DecisionStatement:  # fmt: skip
    return DecisionStatement(
        model, context, target, allowed, tuple(reasons), inputs, document, verifier, tuple(waived), tuple(excused)
    )


def intent_statement(model: Subject, *, context: Context, **said: Any) -> IntentStatement:
    return IntentStatement(model, context, **said)


def promotion_statement(
    model: Subject, *, context: Context, obligations: Sequence[Mapping[str, Any]] = (), **said: Any
) -> PromotionStatement:
    return PromotionStatement(model, context, obligations=tuple(OwedAudit.read(item) for item in obligations), **said)


def waiver_statement(
    model: Subject, *, terms: Mapping[str, Any], state: str, signer: Mapping[str, str], reason: str, context: Context
) -> WaiverStatement:
    return WaiverStatement(model, context, Terms.read(terms), state, Person.read(signer), reason)


def emergency_statement(
    model: Subject, *, target: str, person: Mapping[str, str], reason: str, expires: datetime, context: Context
) -> EmergencyStatement:
    return EmergencyStatement(model, context, target, Person.read(person), reason, expires)


def audit_statement(
    model: Subject, *, target: str, obligation: str, verdict: str, results: Sequence[GateResult],
    within_waiver: Sequence[str], context: Context,
) -> AuditStatement:  # fmt: skip
    audited = tuple(Audited.of(result) for result in results)
    return AuditStatement(model, context, target, obligation, Outcome(verdict), audited, tuple(within_waiver))


def policy_statement(digest: str, files: Mapping[str, str], context: Context) -> PolicyStatement:
    return PolicyStatement.of(digest, files, context)


def incident_statement(model: Subject, *, context: Context, **said: Any) -> IncidentStatement:
    return IncidentStatement(model, context, **said)


def checkpoint_statement(origin: str, size: int, head: str, root: str, context: Context) -> CheckpointStatement:
    return CheckpointStatement.of(origin, size, head, root, context)


def check_from(data: Mapping[str, Any]) -> Check:
    bound = data.get("bound")
    if isinstance(bound, Mapping):
        ends = [f"{sign} {bound[end]:g}" for end, sign in (("min", ">="), ("max", "<=")) if bound.get(end) is not None]
        bound = " and ".join(ends)
    return Check(
        name=data["name"],
        outcome=Outcome(data["outcome"]),
        observed=data.get("observed"),
        bound=bound,
        severity=Severity(data["severity"]),
        detail=data.get("detail", ""),
        values=data.get("values", {}),
    )
