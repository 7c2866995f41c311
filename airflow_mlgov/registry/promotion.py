"""Promotion: hash the artifact again, verify the evidence, decide, move, read back, sign. And the reverse question:
why may this version serve? Nothing here reads a task state, an XCom value or an MLflow tag to decide.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_mlgov import __version__
from airflow_mlgov.errors import EvidenceError, MlgovError, PromotionRefused
from airflow_mlgov.evidence.ledger import Entry, Ledger
from airflow_mlgov.evidence.signing import TrustRoot, sign_statement
from airflow_mlgov.evidence.statements import Context, decision_statement, promotion_statement
from airflow_mlgov.evidence.verification import Evidence, Unverified, collect
from airflow_mlgov.governance.decision import Decision, Request, decide
from airflow_mlgov.governance.policy import GovernancePolicy, Target
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

    from airflow_mlgov.registry.mlflow_registry import ModelVersion, Registry

log = logging.getLogger(__name__)

VERIFIER = f"airflow-provider-mlgov/{__version__}"


@dataclass(frozen=True)
class Grounds:
    """What a decision rests on: the ledger, whom to trust, and the policy."""

    ledger: Ledger
    trust: TrustRoot
    policy: GovernancePolicy


@dataclass(frozen=True)
class Promotion:
    """What a promotion did."""

    model: Subject
    target: Target
    moved: Mapping[str, Any]
    """``stage`` and ``alias`` each with ``to`` and ``previous``; empty where the version was there already."""
    decision: str
    """Ledger reference of the decision."""
    record: str
    """Ledger reference of the promotion."""


@dataclass(frozen=True)
class Explanation:
    """Why a version may, or may not, serve."""

    model: Subject
    allowed: bool
    facts: tuple[str, ...]
    """What was verified, in order, a sentence each."""
    reasons: tuple[tuple[str, str], ...]
    """``(code, message)`` of each thing that is wrong; empty where allowed."""


def evidence_for(ledger: Ledger, trust: TrustRoot, digest: str) -> tuple[list[Evidence], list[Unverified]]:
    """All evidence about a model and the data it was made from, after the ledger's chain was verified.

    :raises EvidenceError: the chain is broken
    """
    ledger.verify()
    return _about(ledger, trust, digest)


def _about(ledger: Ledger, trust: TrustRoot, digest: str) -> tuple[list[Evidence], list[Unverified]]:
    """The evidence of a ledger whose chain was verified just now."""
    good, bad = collect(ledger, trust, [digest])
    datasets = {
        item["digest"] for evidence in good if evidence.kind == "provenance" for item in evidence.ours["datasets"]
    }
    if datasets:
        more, worse = collect(ledger, trust, datasets - {digest})
        good, bad = sorted([*good, *more], key=lambda item: item.seq), [*bad, *worse]
    return good, bad


def promote(
    registry: Registry,
    version: ModelVersion,
    target: str,
    *,
    grounds: Grounds,
    signer: Signer,
    context: Context,
    requesters: Sequence[str] = (),
) -> Promotion:
    """Move a version to a target, if the evidence says that it may.

    Idempotent: started again after any interruption it ends in the same state with one promotion recorded.

    :raises PromotionRefused: the decision is deny; it is in the ledger and nothing was moved
    :raises ConfigurationError: the policy does not know the model or the target
    :raises EvidenceError: the ledger's chain is broken, or the registry does not read back what was set
    :raises DependencyError: MLflow, Vault or the ledger is down; try again
    """
    goal = grounds.policy.model(version.name).target(target)
    model = registry.subject(version)
    good, bad = evidence_for(grounds.ledger, grounds.trust, model.digest)
    champion = champion_of(registry, version, goal)
    request = Request(
        model,
        target,
        context.environment,
        tuple(requesters),
        champion,
        _rollback_problem(registry, version.name, champion, grounds, context.environment)
        if champion and goal.rollback_required
        else None,
    )
    decision = decide(request, grounds.policy, good, bad, context.issued_at)
    entry = _record_decision(decision, model, target, grounds.ledger, signer, context)
    if not decision.allowed:
        _tag(registry, version, {"mlgov.status": "promotion refused", "mlgov.decision": entry.reference})
        raise PromotionRefused(f"{model} may not go to {target!r} ({entry.reference})", decision.reasons)
    moved = _move(registry, version, goal)
    done = _last_promotion(good, model, target)
    if moved or done is None:
        statement = promotion_statement(
            model, target=target, decision=entry.envelope_sha256, moved=moved, context=context
        )
        record = grounds.ledger.append(sign_statement(statement, signer)).reference
    else:
        record = done.reference
    _tag(registry, version, {"mlgov.status": f"promoted to {target}", "mlgov.promotion": record})
    return Promotion(model, goal, moved, entry.reference, record)


def explain(
    registry: Registry,
    version: ModelVersion,
    ledger: Ledger,
    trust: TrustRoot,
    *,
    policy: GovernancePolicy | None = None,
    environment: str | None = None,
    target: str | None = None,
) -> Explanation:
    """Verify, from the registry's bytes, the ledger and the trust root alone, why a version may serve.

    Neither Airflow nor Vault is asked.

    :param policy: make the decision of the time again, from the same evidence, under this policy; where None, each
        statement that the signed decision rests on is verified and must still be green
    :param environment: the environment it is to serve in; that of the promotion where None
    :param target: the target it is to serve as; the newest promotion's where None
    :raises EvidenceError: the ledger's chain is broken
    """
    model = registry.subject(version)
    size, head = ledger.verify()
    facts = [
        f"the artifact of {version.name} version {version.version} hashes to sha256:{model.digest}",
        f"the ledger's chain holds: {size} entries, head {head[:16]}",
    ]
    good, bad = _about(ledger, trust, model.digest)
    reasons = [("evidence.unverified", f"ledger:{item.seq} ({item.kind}): {item.problem}") for item in bad]
    promotion = _last_promotion(good, model, target)
    if promotion is None:
        where = f" to {target!r}" if target else ""
        reasons.append(("promotion.missing", f"no verified promotion{where} of these bytes in this registry"))
        return Explanation(model, False, tuple(facts), tuple(reasons))
    aim = promotion.predicate["target"]
    decision = next((item for item in good if item.sha256 == promotion.predicate["decision"]), None)
    if decision is None or decision.predicate["verificationResult"] != "PASSED" or decision.ours["target"] != aim:
        reasons.append(("decision.missing", f"{promotion.reference} names no verified decision that allowed it"))
        return Explanation(model, False, tuple(facts), tuple(reasons))
    where = environment or decision.ours["environment"]
    if decision.ours["environment"] != where:
        reasons.append(
            ("environment.differs", f"{decision.reference} is of environment {decision.ours['environment']!r}")
        )
    relied, missing = _relied_on(decision, good)
    facts += [_describe(item) for item in relied]
    again = _decide_again(model, decision, good, policy, where) if policy else ()
    how = "made again now from the same evidence" if policy else "signed, and all that it rests on verifies"
    facts.append(f"{decision.reference}: decision to allow {aim!r}, {how}")
    facts.append(f"{promotion.reference}: promoted to {aim!r} at {promotion.issued_at:%Y-%m-%d %H:%M:%S %Z}")
    reasons += [*missing, *again, *_failed_since(good, decision.seq)]
    return Explanation(model, not reasons, tuple(facts), tuple(reasons))


def champion_of(registry: Registry, version: ModelVersion, goal: Target) -> str | None:
    """The version that holds a target now, None where nobody or this very version does."""
    holders = [registry.holder(version.name, goal.alias)] if goal.alias else []
    if goal.stage and not any(holders):
        holders = list(registry.stage_holders(version.name, goal.stage))
    return next((item.version for item in holders if item and item.version != version.version), None)


def _relied_on(decision: Evidence, good: Sequence[Evidence]) -> tuple[list[Evidence], list[tuple[str, str]]]:
    """What a decision names as its grounds, and what of it is not there any more."""
    held = {item.sha256: item for item in good}
    named = [(item["uri"], item["digest"]["sha256"]) for item in decision.predicate["inputAttestations"]]
    missing = [
        ("evidence.missing", f"{decision.reference} rests on {uri}, which is not there or does not verify")
        for uri, sha in named
        if sha not in held
    ]
    return sorted((held[sha] for _, sha in named if sha in held), key=lambda item: item.seq), missing


def _decide_again(
    model: Subject, decision: Evidence, good: Sequence[Evidence], policy: GovernancePolicy, environment: str
) -> tuple[tuple[str, str], ...]:
    asked = decision.ours["document"]
    target = decision.ours["target"]
    request = Request(model, target, environment, tuple(asked["requesters"]), asked["champion"])
    return decide(request, policy, [item for item in good if item.seq < decision.seq], (), decision.issued_at).reasons


def _rollback_problem(registry: Registry, name: str, champion: str, grounds: Grounds, environment: str) -> str | None:
    """Why the champion's artifact or evidence no longer holds, None where it does."""
    version = registry.resolve({"name": name, "version": champion})
    explanation = explain(registry, version, grounds.ledger, grounds.trust, environment=environment)
    return "; ".join(message for _, message in explanation.reasons) or None


def _record_decision(
    decision: Decision, model: Subject, target: str, ledger: Ledger, signer: Signer, context: Context
) -> Entry:
    statement = decision_statement(
        model,
        target=target,
        allowed=decision.allowed,
        reasons=decision.reasons,
        inputs={f"ledger:{item.seq}": item.sha256 for item in decision.relied_on},
        document=decision.document,
        verifier=VERIFIER,
        context=context,
    )
    return ledger.append(sign_statement(statement, signer))


def _move(registry: Registry, version: ModelVersion, goal: Target) -> dict[str, Any]:
    """Move stage, then alias, each only where it is not there yet, and read both back."""
    moved: dict[str, Any] = {}
    if goal.stage:
        holders = [item.version for item in registry.stage_holders(version.name, goal.stage)]
        others = [number for number in holders if number != version.version]
        if version.version not in holders or (goal.archive_previous and others):
            registry.transition_stage(version, goal.stage, archive_existing=goal.archive_previous)
            moved["stage"] = {"to": goal.stage, "previous": others, "archived": goal.archive_previous}
    if goal.alias:
        holder = registry.holder(version.name, goal.alias)
        previous = holder.version if holder else None
        if previous != version.version:
            registry.set_alias(version, goal.alias)
            moved["alias"] = {"to": goal.alias, "previous": previous}
    _read_back(registry, version, goal)
    return moved


def _read_back(registry: Registry, version: ModelVersion, goal: Target) -> None:
    if goal.stage and version.version not in [
        item.version for item in registry.stage_holders(version.name, goal.stage)
    ]:
        raise EvidenceError(f"the registry does not read back stage {goal.stage} for version {version.version}")
    if goal.alias:
        holder = registry.holder(version.name, goal.alias)
        if holder is None or holder.version != version.version:
            seen = holder.version if holder else "nobody"
            raise EvidenceError(f"alias {goal.alias} reads back as {seen}, not version {version.version}")


def _last_promotion(good: Iterable[Evidence], model: Subject, target: str | None) -> Evidence | None:
    found = [
        item
        for item in good
        if item.kind == "promotion"
        and item.digest == model.digest
        and item.ours["subject"]["registry"] == model.registry
        and item.ours["subject"]["name"] == model.name
        and target in (None, item.predicate["target"])
    ]
    return found[-1] if found else None


def _failed_since(good: Iterable[Evidence], seq: int) -> list[tuple[str, str]]:
    later = {item.gate: item for item in good if item.kind == "gate" and item.seq > seq}
    return [
        ("gate.failed_since", f"the gate {gate} is {item.ours['verdict']} since the promotion ({item.reference})")
        for gate, item in later.items()
        if item.ours["verdict"] != "PASS"
    ]


def _describe(item: Evidence) -> str:
    run = item.ours.get("run") or {}
    where = f" in {run['dag_id']} / {run['run_id']}" if run.get("dag_id") else ""
    if item.kind == "provenance":
        names = ", ".join(dataset["name"] for dataset in item.ours["datasets"])
        return f"{item.reference}: made from {names}, trained by {', '.join(item.ours['trainers'])}{where}"
    if item.kind == "approval":
        predicate = item.predicate
        return f"{item.reference}: {predicate['answer']} by {predicate['approver']['name']}: {predicate['reason']!r}"
    checks = item.ours["checks"]
    passed = sum(check["outcome"] == "PASS" for check in checks)
    return f"{item.reference}: gate {item.gate} {item.ours['verdict']}, {passed} of {len(checks)} checks pass{where}"


def _tag(registry: Registry, version: ModelVersion, tags: Mapping[str, str]) -> None:
    """Tags are for people: a registry that will not take them changes nothing of what was decided and recorded."""
    try:
        registry.set_tags(version, {**tags, "mlgov.updated": datetime.now(UTC).isoformat(timespec="seconds")})
    except MlgovError as error:
        log.warning("the tags of %s version %s were not written: %s", version.name, version.version, error)
