"""The in-toto Statements that this package signs: gate results, provenance, approvals, decisions, promotions and the
rest of :data:`KINDS`. Their JSON Schemas are in ``evidence/schemas``.

Builds plain JSON values; signs nothing and stores nothing. Aggregates only: no row of data and no secret goes in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_mlgov.evidence.digests import hash_json
from airflow_mlgov.results import Check, GateResult, Outcome, Severity, Subject, json_safe

STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
PROVENANCE = "https://slsa.dev/provenance/v1"
SUMMARY = "https://slsa.dev/verification_summary/v1"
APPROVAL = "urn:airflow-mlgov:predicate:approval:v1"
INTENT = "urn:airflow-mlgov:predicate:intent:v1"
PROMOTION = "urn:airflow-mlgov:predicate:promotion:v1"
POLICY = "urn:airflow-mlgov:predicate:policy:v1"
INCIDENT = "urn:airflow-mlgov:predicate:incident:v1"
CHECKPOINT = "urn:airflow-mlgov:predicate:checkpoint:v1"
WAIVER = "urn:airflow-mlgov:predicate:waiver:v1"
EMERGENCY = "urn:airflow-mlgov:predicate:emergency:v1"
AUDIT = "urn:airflow-mlgov:predicate:audit:v1"

KINDS = {
    TEST_RESULT: "gate",
    PROVENANCE: "provenance",
    SUMMARY: "decision",
    APPROVAL: "approval",
    INTENT: "intent",
    PROMOTION: "promotion",
    POLICY: "policy",
    INCIDENT: "incident",
    CHECKPOINT: "checkpoint",
    WAIVER: "waiver",
    EMERGENCY: "emergency",
    AUDIT: "audit",
}
"""Predicate type -> the short word for it in the ledger, the policy and the messages."""

DEFAULT_LIFETIME = timedelta(days=90)
"""How long evidence says of itself that it is good; the policy's ``evidence_max_age`` is usually far shorter."""


@dataclass(frozen=True)
class Context:
    """Where and under what a statement is made; all of it ends up inside the signed bytes."""

    environment: str
    """``[mlgov] environment``: evidence of one environment is worth nothing in another."""
    policy: Mapping[str, str] = field(default_factory=dict)
    """``uri`` and ``sha256`` of the governance policy; empty where none is configured."""
    run: Mapping[str, Any] = field(default_factory=dict)
    """Airflow's ``dag_id``, ``run_id``, ``task_id``, ``try_number``, ``map_index``; or ``{"cli": "mlgov gate"}``."""
    issued_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    lifetime: timedelta = DEFAULT_LIFETIME


def gate_statement(result: GateResult, context: Context) -> dict[str, Any]:
    """A gate's verdict as an in-toto test-result v0.1."""
    bad = {check.name: check for check in result.checks if check.outcome is not Outcome.PASS}
    failed = [name for name, check in bad.items() if check.severity is Severity.CRITICAL]
    warned = [name for name, check in bad.items() if check.severity is not Severity.CRITICAL]
    passed = [check.name for check in result.checks if check.name not in bad]
    green = "WARNED" if warned else "PASSED"
    predicate = {
        "result": green if result.verdict is Outcome.PASS else "FAILED",
        "configuration": [*_policy_descriptor(context), *(_descriptor(item) for item in result.inputs)],
        "passedTests": passed,
        "warnedTests": warned,
        "failedTests": failed,
        "mlgov": {
            **_common(result.subject, context),
            "gate": result.gate,
            "verdict": str(result.verdict),
            "checks": [check.as_dict() for check in result.checks],
            "details": json_safe(result.all_details),
            "libraries": dict(result.libraries),
            "startedAt": result.started_at.isoformat(),
        },
    }
    return _statement(result.subject, TEST_RESULT, predicate)


def provenance_statement(
    model: Subject, datasets: Sequence[Subject], trainers: Sequence[str], source: Mapping[str, Any], context: Context
) -> dict[str, Any]:
    """What a model was made from, as SLSA provenance v1: its digest linked to the digests of its datasets.

    :param trainers: who trained it: the registry's user, and who triggered the run in Airflow
    :param source: the run's id and whatever names it for people
    """
    predicate = {
        "buildDefinition": {
            "buildType": "urn:airflow-mlgov:build:training:v1",
            "externalParameters": {"model": model.name, "version": model.version, **json_safe(source)},
            "resolvedDependencies": [_descriptor(item) for item in datasets],
        },
        "runDetails": {
            "builder": {"id": f"airflow:{context.environment}"},
            "metadata": {"invocationId": str(context.run.get("run_id") or source.get("run_id") or "")},
        },
        "mlgov": {
            **_common(model, context),
            "trainers": sorted(set(trainers)),
            "datasets": [{"name": item.name, "digest": item.digest} for item in datasets],
        },
    }
    return _statement(model, PROVENANCE, predicate)


def approval_statement(
    model: Subject,
    *,
    target: str,
    approver: Mapping[str, str],
    approved: bool,
    reason: str,
    shown: Sequence[str],
    answered_at: datetime,
    context: Context,
    earlier: Sequence[str] = (),
    requesters: Sequence[str] = (),
) -> dict[str, Any]:
    """One person's answer, bound to what that person was shown.

    :param approver: ``id`` and ``name`` as Airflow knows the person
    :param shown: SHA-256 of each evidence envelope whose content was in the form
    :param earlier: SHA-256 of each answer that was given before, by anybody, also before a task was cleared
    :param requesters: who had asked for what was answered: their own answers may not count
    """
    predicate = {
        "target": target,
        "approver": dict(approver),
        "answer": "approved" if approved else "rejected",
        "reason": reason,
        "shown": sorted(shown),
        "answeredAt": answered_at.isoformat(),
        "earlier": list(earlier),
        "requesters": sorted(set(requesters)),
        "mlgov": _common(model, context),
    }
    return _statement(model, APPROVAL, predicate)


def decision_statement(
    model: Subject,
    *,
    target: str,
    allowed: bool,
    reasons: Sequence[tuple[str, str]],
    inputs: Mapping[str, str],
    document: Mapping[str, Any],
    verifier: str,
    context: Context,
    waived: Sequence[Mapping[str, Any]] = (),
    excused: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:
    """The decision as a SLSA verification summary.

    :param inputs: uri -> SHA-256 of the evidence envelopes that it rests on
    :param document: the decision's input and the digests of policy and rules, for a replay
    :param waived: each check that failed and is covered by a waiver
    :param excused: ``(code, message)`` of each thing that a break-glass has overridden
    """
    policy = context.policy or {"uri": "none", "sha256": ""}
    predicate = {
        "verifier": {"id": verifier},
        "timeVerified": context.issued_at.isoformat(),
        "resourceUri": resource_uri(model),
        "policy": {"uri": policy["uri"], "digest": {"sha256": policy["sha256"]}},
        "inputAttestations": [{"uri": uri, "digest": {"sha256": sha}} for uri, sha in sorted(inputs.items())],
        "verificationResult": "PASSED" if allowed else "FAILED",
        "verifiedLevels": [f"MLGOV_TARGET_{target.upper()}"] if allowed else [],
        "mlgov": {
            **_common(model, context),
            "target": target,
            "reasons": [{"code": code, "message": message} for code, message in reasons],
            "waived": json_safe(waived),
            "excused": [{"code": code, "message": message} for code, message in excused],
            "document": json_safe(document),
        },
    }
    return _statement(model, SUMMARY, predicate)


def intent_statement(
    model: Subject,
    *,
    target: str,
    action: str,
    state: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    grounds: str,
    context: Context,
) -> dict[str, Any]:
    """What is about to be moved in the registry, or (``abandoned``) that it was given up and put back.

    :param action: ``promote`` or ``rollback``
    :param state: ``opened`` or ``abandoned``
    :param before: ``stage`` (the versions in it) and ``alias`` (the version that holds it) as they were
    :param after: ``stage`` and ``alias``: the names that this version is to have
    :param grounds: SHA-256 of the decision's envelope; of the opened intent's, where it is abandoned
    """
    predicate = {
        "target": target,
        "action": action,
        "state": state,
        "before": json_safe(before),
        "after": json_safe(after),
        "grounds": grounds,
        "mlgov": _common(model, context),
    }
    return _statement(model, INTENT, predicate)


def promotion_statement(
    model: Subject,
    *,
    target: str,
    action: str,
    decision: str,
    intent: str,
    moved: Mapping[str, Any],
    replaces: str | None,
    reason: str,
    checkpoint: Mapping[str, Any],
    context: Context,
    obligations: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """What was moved in the registry and read back.

    :param action: ``promote``, or ``rollback`` to a version that was promoted before
    :param decision: SHA-256 of the envelope of the decision that allowed this version
    :param intent: SHA-256 of the envelope of the intent that this completes
    :param moved: stage and alias, with who held them before
    :param replaces: the version that held the target before, None where nobody did
    :param reason: why, for a rollback
    :param checkpoint: origin, size and root of the ledger before this entry
    :param obligations: the audits that are owed because of waivers or a break-glass, see ``release.obligations``
    """
    predicate = {
        "target": target,
        "action": action,
        "decision": decision,
        "intent": intent,
        "moved": json_safe(moved),
        "replaces": replaces,
        "reason": reason,
        "checkpoint": dict(checkpoint),
        "obligations": json_safe(obligations),
        "mlgov": _common(model, context),
    }
    return _statement(model, PROMOTION, predicate)


def waiver_statement(
    model: Subject, *, terms: Mapping[str, Any], state: str, signer: Mapping[str, str], reason: str, context: Context
) -> dict[str, Any]:
    """One person's signature under the terms of a waiver, or its revocation.

    :param terms: see ``governance.waivers.Terms``
    :param state: ``signed`` or ``revoked``
    :param signer: ``id`` and ``name`` of the person
    :param reason: why this person signs, or revokes
    """
    predicate = {
        "terms": json_safe(terms),
        "terms_sha256": hash_json(json_safe(terms)),
        "state": state,
        "signer": dict(signer),
        "reason": reason,
        "mlgov": _common(model, context),
    }
    return _statement(model, WAIVER, predicate)


def emergency_statement(
    model: Subject, *, target: str, person: Mapping[str, str], reason: str, expires: datetime, context: Context
) -> dict[str, Any]:
    """A break-glass: one person lets a model go to a target in an emergency, for a time.

    :param person: ``id`` and ``name``
    """
    predicate = {
        "target": target,
        "person": dict(person),
        "reason": reason,
        "expires": expires.isoformat(),
        "mlgov": _common(model, context),
    }
    return _statement(model, EMERGENCY, predicate)


def audit_statement(
    model: Subject,
    *,
    target: str,
    obligation: str,
    verdict: str,
    results: Sequence[GateResult],
    within_waiver: Sequence[str],
    context: Context,
) -> dict[str, Any]:
    """The audit that was owed after a promotion, on live data.

    :param obligation: id of what it closes
    :param verdict: ``PASS`` or ``FAIL``
    :param results: what each gate says on live data
    :param within_waiver: names of the checks that fail and stay within the waived bound
    """
    predicate = {
        "target": target,
        "obligation": obligation,
        "verdict": verdict,
        "withinWaiver": list(within_waiver),
        "results": [
            {
                "gate": result.gate,
                "verdict": str(result.verdict),
                "checks": [check.as_dict() for check in result.checks],
                "inputs": [_descriptor(item) for item in result.inputs],
            }
            for result in results
        ],
        "mlgov": _common(model, context),
    }
    return _statement(model, AUDIT, predicate)


def policy_statement(digest: str, files: Mapping[str, str], context: Context) -> dict[str, Any]:
    """The governance policy and every rule, word for word, so that a decision can be replayed when they have changed.

    :param digest: SHA-256 over the names and digests of the files, see ``GovernancePolicy.bundle``
    :param files: name -> text
    """
    subject = Subject("policy", "governance policy", digest)
    return _statement(subject, POLICY, {"files": dict(files), "mlgov": _common(subject, context)})


def incident_statement(
    model: Subject,
    *,
    code: str,
    target: str,
    state: str,
    message: str,
    expected: str | None,
    observed: str | None,
    action: str,
    context: Context,
) -> dict[str, Any]:
    """The registry says something that the ledger does not; or it no longer does.

    :param code: ``alias.moved``, ``artifact.changed`` …, see ``release.reconciliation``
    :param state: ``open`` or ``resolved``
    :param expected: what the ledger says
    :param observed: what the registry says
    :param action: what was done about it: ``none``, ``reverted``, or why it was not
    """
    predicate = {
        "code": code,
        "target": target,
        "state": state,
        "message": message,
        "expected": expected,
        "observed": observed,
        "action": action,
        "mlgov": _common(model, context),
    }
    return _statement(model, INCIDENT, predicate)


def checkpoint_statement(origin: str, size: int, head: str, root: str, context: Context) -> dict[str, Any]:
    """How long the ledger was and what it held, to be kept where its owner cannot rewrite it.

    :param origin: which ledger, see ``evidence.ledger.Head.origin``
    :param head: ``hash`` of its last entry
    :param root: RFC 6962 Merkle tree hash over the entries' hashes; also the subject's digest
    """
    subject = Subject("ledger", origin, root)
    predicate = {"origin": origin, "size": size, "head": head, "root": root, "mlgov": _common(subject, context)}
    return _statement(subject, CHECKPOINT, predicate)


def resource_uri(model: Subject) -> str:
    """The URI of a model version that a verification summary names: registry and version, no credentials."""
    return f"{model.registry}#models:/{model.name}/{model.version}"


def check_from(data: Mapping[str, Any]) -> Check:
    """A check as it stands in a gate statement, back as an object for tables (its bound as a sentence)."""
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


def _statement(subject: Subject, predicate_type: str, predicate: dict[str, Any]) -> dict[str, Any]:
    return {
        "_type": STATEMENT,
        "subject": [{"name": _subject_name(subject), "digest": _digest(subject)}],
        "predicateType": predicate_type,
        "predicate": predicate,
    }


def _subject_name(subject: Subject) -> str:
    return f"models:/{subject.name}/{subject.version}" if subject.kind == "model" else subject.name


def _digest(subject: Subject) -> dict[str, str]:
    if subject.kind == "model":
        return {"sha256": subject.digest, "dirHash": subject.digest}
    return {"sha256": subject.digest}


def _descriptor(subject: Subject) -> dict[str, Any]:
    return {"name": subject.name, "digest": _digest(subject), "annotations": {"kind": subject.kind}}


def _policy_descriptor(context: Context) -> list[dict[str, Any]]:
    if not context.policy:
        return []
    digest = {"sha256": context.policy["sha256"]}
    return [{"name": "governance policy", "uri": context.policy["uri"], "digest": digest}]


def _common(subject: Subject, context: Context) -> dict[str, Any]:
    return {
        "subject": {
            "kind": subject.kind,
            "name": subject.name,
            "version": subject.version,
            "digest": subject.digest,
            "registry": subject.registry,
        },
        "environment": context.environment,
        "policy": dict(context.policy) or None,
        "run": json_safe(context.run),
        "issuedAt": context.issued_at.isoformat(),
        "expiresAt": (context.issued_at + context.lifetime).isoformat(),
    }
