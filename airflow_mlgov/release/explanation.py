"""Why may this version serve? Answered from its bytes, the records and the trust root; asks neither Airflow nor Vault,
and for a pack not even MLflow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_mlgov.evidence.chain import Head
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.statements import DecisionStatement, PolicyStatement
from airflow_mlgov.evidence.verification import Evidence, Records, collect, only
from airflow_mlgov.governance.policy import GovernancePolicy
from airflow_mlgov.governance.replay import Replay, reasons_of, replay, replay_under
from airflow_mlgov.release.obligations import VIOLATIONS, owed_by
from airflow_mlgov.release.timeline import Findings, Timeline, evidence_for, version_of
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    from airflow_mlgov.registry.protocol import ModelVersion, Registry


@dataclass(frozen=True)
class Explanation:
    """Why a version may, or may not, serve."""

    model: Subject
    allowed: bool
    facts: tuple[str, ...]
    """What was verified, in order, a sentence each."""
    reasons: tuple[tuple[str, str], ...]
    """``(code, message)`` of each thing that is wrong; empty where allowed."""


def explain(registry: Registry, version: ModelVersion, records: Records, trust: TrustRoot, **given: Any) -> Explanation:
    """:func:`explain_bytes` of what the registry holds now."""
    return explain_bytes(registry.subject(version), records, trust, **given)


def explain_bytes(
    model: Subject,
    records: Records,
    trust: TrustRoot,
    *,
    policy: GovernancePolicy | None = None,
    environment: str | None = None,
    target: str | None = None,
    checkpoints: Iterable[Head] = (),
) -> Explanation:
    """Verify, from the records and the trust root alone, why bytes may serve as a model version.

    :param policy: make the decision of the time again, from its recorded input, under this policy; where None, each
        statement that the signed decision rests on is verified and must still be green
    :param environment: the environment it is to serve in; that of the promotion where None
    :param target: the target it is to serve as; the newest promotion's where None
    :param checkpoints: what the ledger was at some sizes, kept elsewhere
    :raises EvidenceError: the chain is broken, or a checkpoint does not hold
    """
    now = records.verify(checkpoints)
    facts = [
        f"{model.name} version {model.version} hashes to sha256:{model.digest}",
        f"the ledger's chain holds: {now.size} entries, head {now.head[:16]}",
    ]
    facts += [f"it holds what the checkpoint of {item.size} entries says" for item in checkpoints]
    found = evidence_for(records, trust, model)
    promotion = last_promotion(found, model, target)
    if promotion is None:
        where = f" to {target!r}" if target else ""
        reason = ("promotion.missing", f"no verified promotion{where} of these bytes in this registry")
        return Explanation(model, False, tuple(facts), (*_unverified(found), reason))
    facts_of_it, reasons = judge_promotion(promotion, found, policy=policy, environment=environment)
    reasons += _superseded(promotion, found)
    return Explanation(model, not reasons, (*facts, *facts_of_it), tuple(reasons))


def replay_all(
    records: Records,
    trust: TrustRoot,
    *,
    policy: GovernancePolicy | None = None,
    model: str | None = None,
    seq: int | None = None,
) -> list[Replay]:
    """Decisions made again, in ledger order: all of them from their own input, policy and rules; or, under another
    policy, those behind what is promoted now (one of them, or the decision ``seq``).

    :raises EvidenceError: the chain is broken
    """
    records.verify()
    made = only(collect(records, trust, kind="decision", model=model)[0], DecisionStatement)
    decisions = [item for item in made if seq in (None, item.seq)]
    if policy is None:
        bundles = only(collect(records, trust, kind="policy")[0], PolicyStatement)
        return [replay(item, bundles) for item in decisions]
    newest = {
        (ours["subject"]["registry"], ours["subject"]["name"], ours["environment"], item.predicate["target"]): item
        for item in collect(records, trust, kind="promotion", model=model)[0]
        for ours in [item.ours]
    }
    behind = {item.predicate["decision"] for item in newest.values()}
    chosen = [item for item in decisions if item.sha256 in behind or seq is not None]
    return [Replay(item, reasons_of(item), replay_under(item, policy)) for item in chosen]


def last_promotion(found: Findings, model: Subject, target: str | None) -> Evidence | None:
    """The newest promotion of these bytes as this version."""
    moves = [
        item
        for item in found.good
        if item.kind == "promotion"
        and item.digest == model.digest
        and item.ours["subject"]["registry"] == model.registry
        and item.ours["subject"]["name"] == model.name
        and version_of(item) == model.version
        and target in (None, item.predicate["target"])
    ]
    return moves[-1] if moves else None


def judge_promotion(
    promotion: Evidence,
    found: Findings,
    *,
    policy: GovernancePolicy | None = None,
    environment: str | None = None,
    now: datetime | None = None,
) -> tuple[list[str], list[tuple[str, str]]]:
    """What can be said for a promotion, and against it; whether another has come since is not asked."""
    aim, reasons = promotion.predicate["target"], _unverified(found)
    facts: list[str] = []
    made = only(found.good, DecisionStatement)
    decision = next((item for item in made if item.sha256 == promotion.predicate["decision"]), None)
    if decision is None or not decision.statement.allowed or decision.statement.target != aim:
        reasons.append(("decision.missing", f"{promotion.reference} names no verified decision that allowed it"))
        return facts, reasons
    wanted = environment or promotion.ours["environment"]
    reasons += [
        ("environment.differs", f"{item.reference} is of environment {item.ours['environment']!r}, not {wanted!r}")
        for item in (decision, promotion)
        if item.ours["environment"] != wanted
    ]
    relied, missing = _relied_on(decision, found.good)
    facts += [_describe(item) for item in relied]
    again = replay_under(decision, policy) if policy else ()
    how = "made again now from the same evidence" if policy else "signed, and all that it rests on verifies"
    facts.append(f"{decision.reference}: decision to allow {aim!r}, {how}")
    said = "rolled back to" if promotion.predicate["action"] == "rollback" else "promoted to"
    why = f" ({promotion.predicate['reason']})" if promotion.predicate["reason"] else ""
    owed = owed_by(promotion, found.good, now or datetime.now(UTC))
    facts += [f"waived, not passed: {item}" for item in owed]
    reasons += [(f"obligation.{item.state}", str(item)) for item in owed if item.state in VIOLATIONS]
    facts.append(f"{promotion.reference}: {said} {aim!r} at {promotion.issued_at:%Y-%m-%d %H:%M:%S %Z}{why}")
    return facts, [*reasons, *missing, *again, *_failed_since(found.good, decision.seq)]


def _superseded(promotion: Evidence, found: Findings) -> list[tuple[str, str]]:
    """A version that was promoted once is no version to serve after another has taken its place."""
    ours = promotion.ours
    current = Timeline(
        found.history,
        ours["subject"]["name"],
        ours["subject"]["registry"],
        ours["environment"],
        promotion.predicate["target"],
    ).current
    if current is None or current.sha256 == promotion.sha256:
        return []
    how = "rolled back to" if current.predicate["action"] == "rollback" else "replaced by"
    message = f"{promotion.predicate['target']!r} was {how} version {version_of(current)} since ({current.reference})"
    return [("promotion.superseded", message)]


def _unverified(found: Findings) -> list[tuple[str, str]]:
    return [("evidence.unverified", f"ledger:{item.seq} ({item.kind}): {item.problem}") for item in found.bad]


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
    predicate = item.predicate
    if item.kind == "waiver":
        terms = predicate["terms"]
        what = f"{terms['check']} of the gate {terms['gate']} until {terms['expires']}, ticket {terms['ticket']}"
        return f"{item.reference}: waiver of {what}: {predicate['state']} by {predicate['signer']['name']}"
    if item.kind == "emergency":
        return (
            f"{item.reference}: the glass was broken by {predicate['person']['name']} until {predicate['expires']}: "
            f"{predicate['reason']!r}"
        )
    if item.kind == "approval":
        return f"{item.reference}: {predicate['answer']} by {predicate['approver']['name']}: {predicate['reason']!r}"
    checks = item.ours["checks"]
    passed = sum(check["outcome"] == "PASS" for check in checks)
    return f"{item.reference}: gate {item.gate} {item.ours['verdict']}, {passed} of {len(checks)} checks pass{where}"
