"""Why may this version serve? Answered from its bytes, the records and the trust root; asks neither Airflow nor Vault,
and for a pack not even MLflow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow_mlgov.addresses import RegistryIdentity
from airflow_mlgov.errors import ConfigurationError, MlgovError
from airflow_mlgov.evidence.chain import Head, Verified
from airflow_mlgov.evidence.scope import Scope
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.statements import DecisionStatement, IntentStatement, PolicyStatement, PromotionStatement
from airflow_mlgov.evidence.verification import Evidence, Records, collect, only
from airflow_mlgov.release.observations import observed_of, told_observation
from airflow_mlgov.release.standing import judge_promotion, overlooked, unverified
from airflow_mlgov.release.timeline import Dossier, Timeline, evidence_for, version_of
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    from airflow_mlgov.governance.policy import GovernancePolicy
    from airflow_mlgov.governance.replay import Replay
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
    return explain_bytes(registry.subject(version), records, trust, **{"identity": registry.identity, **given})


def explain_bytes(
    model: Subject,
    records: Records,
    trust: TrustRoot,
    *,
    policy: GovernancePolicy | None = None,
    environment: str | None = None,
    target: str | None = None,
    place: tuple[str, str] | None = None,
    checkpoints: Iterable[Head] = (),
    identity: RegistryIdentity | None = None,
) -> Explanation:
    """Verify, from the records and the trust root alone, why bytes may serve as a model version.

    :param policy: make the decision of the time again, from its recorded input, under this policy; if omitted, each
        statement that the signed decision rests on is verified and must still be green
    :param environment: the environment it is to serve in; that of the promotion if omitted, where the model was
        promoted in one alone
    :param target: the target it is to serve as; the newest promotion's if omitted
    :param place: ``alias`` or ``stage`` and its name, by which it was asked for: if no target is named, only promotions
        to that place count, for somebody may have put it there by hand
    :param checkpoints: what the ledger was at some sizes, kept elsewhere
    :param identity: the registry whose model it is; if omitted, the policy's, or the one that the subject names
    :raises EvidenceError: the chain is broken, or a checkpoint does not hold
    :raises ConfigurationError: no environment is named, and the model was promoted in several
    """
    identity = identity or (policy.registry if policy else None)
    walked = records.walk(checkpoints)
    now = walked.head
    facts = [
        f"{model.name} version {model.version} hashes to sha256:{model.digest}",
        f"the ledger's chain holds: {now.size} entries, head {now.head[:16]}",
    ]
    facts += [f"it holds what the checkpoint of {item.size} entries says" for item in checkpoints]
    case = _case(walked, trust, model, identity, policy)
    facts += case.facts
    moves = _to_place(case.moves, case.intents, *place) if place and target is None else case.moves
    promotion = last_promotion(moves, case.model, target, environment)
    here = promotion.environment if promotion else environment or ""
    dossier = evidence_for(walked, trust, case.model, here, case.identity)
    if promotion is None:
        where = f" to {target!r}" if target else f" to the {place[0]} {place[1]!r}" if place else ""
        reason = ("promotion.missing", f"no verified promotion{where} of these bytes in this registry")
        instead = last_promotion(case.copied, case.model, target, environment)
        reason = ("promotion.copied", said_of_copy(instead)) if instead else reason
        return Explanation(model, False, tuple(facts), (*unverified(dossier), reason))
    facts_of_it, reasons = judge_now(promotion, dossier, policy=policy, environment=environment)
    noted = [
        f"{told_observation(item.statement)} ({item.reference})" for item in observed_of(walked, trust, dossier.good)
    ]
    return Explanation(model, not reasons, (*facts, *facts_of_it, *noted), tuple(reasons))


@dataclass(frozen=True)
class _Case:
    """Whose evidence a version is judged by: its own, or that of what it was copied from."""

    model: Subject
    identity: RegistryIdentity | None
    moves: list[Evidence[PromotionStatement]]
    """The promotions that have moved the very version that is asked for."""
    intents: list[Evidence]
    copied: list[Evidence[PromotionStatement]] = field(default_factory=list)
    """Those that have moved a copy of it instead."""
    facts: tuple[str, ...] = ()


def _case(
    walked: Verified,
    trust: TrustRoot,
    model: Subject,
    identity: RegistryIdentity | None,
    policy: GovernancePolicy | None,
) -> _Case:
    source = made_of(walked, trust, model, identity)
    made = source.subject if source else model
    if source is not None:
        identity = policy.registry if policy and policy.registry else RegistryIdentity.at(made.registry or "")
    found, intents = (collect(walked, trust, kind=kind, model=made.name)[0] for kind in ("promotion", "intent"))
    about = only(Scope.of(made, None, identity).about_model(found), PromotionStatement)
    if source is None:
        moves = [item for item in about if item.statement.copy is None]
        return _Case(model, identity, moves, intents, [item for item in about if item.statement.copy])
    moves = [item for item in about if item.statement.placed == source.statement.placed]
    fact = f"{source.reference}: it is a copy, made of {made.name} version {made.version} with the same bytes"
    return _Case(made, identity, moves, intents, facts=(fact,))


def said_of_copy(promotion: Evidence[PromotionStatement]) -> str:
    """That a version may not serve itself."""
    placed = promotion.statement.placed
    return (
        f"{promotion.reference} promoted not this version but its copy, models:/{placed.name}/{placed.version} in "
        f"{placed.registry}: serve that one"
    )


def made_of(
    walked: Verified, trust: TrustRoot, model: Subject, identity: RegistryIdentity | None = None
) -> Evidence[PromotionStatement] | None:
    """The newest promotion that has a version as the copy that was moved; None if it is no copy, of these bytes.

    :param identity: the registry that the version is in; if omitted, the one that it names
    """
    registry = identity or RegistryIdentity.at(model.registry or "")
    found = [
        item
        for item in only(collect(walked, trust, [model.digest], kind="promotion")[0], PromotionStatement)
        if (copy := item.statement.copy) is not None
        and (copy.model.name, copy.model.version) == (model.name, model.version)
        and registry.of(copy.model.registry) == registry.of(model.registry)
    ]
    return found[-1] if found else None


def judge_now(
    promotion: Evidence[PromotionStatement],
    dossier: Dossier,
    *,
    policy: GovernancePolicy | None = None,
    environment: str | None = None,
    in_force: GovernancePolicy | None = None,
    now: datetime | None = None,
) -> tuple[list[str], list[tuple[str, str]]]:
    """What can be said for serving what was promoted, and against it; parameters as of
    :func:`~airflow_mlgov.release.standing.judge_promotion`, and another promotion since speaks against it too."""
    facts, reasons = judge_promotion(
        promotion, dossier, policy=policy, environment=environment, in_force=in_force, now=now
    )
    return facts, reasons + _superseded(promotion, dossier)


def _to_place(moves: Iterable[Evidence], intents: Iterable[Evidence], kind: str, name: str) -> list[Evidence]:
    """The promotions that were to give a version an alias or a stage; some of MLflow's databases tell no case apart."""
    meant = {
        item.sha256
        for item in only(intents, IntentStatement)
        if str(item.statement.after.get(kind) or "").casefold() == name.casefold()
    }
    return [item for item in only(moves, PromotionStatement) if item.statement.intent in meant]


def replay_all(records: Records, trust: TrustRoot, *, model: str | None = None, seq: int | None = None) -> list[Replay]:
    """Decisions made again, in ledger order, from their own input, policy and rules.

    :raises EvidenceError: the chain is broken
    """
    from airflow_mlgov.governance.replay import replay

    walked = records.walk()
    made = only(collect(walked, trust, kind="decision", model=model)[0], DecisionStatement)
    bundles = only(collect(walked, trust, kind="policy")[0], PolicyStatement)
    dossier_of = cache(lambda subject, environment: evidence_for(walked, trust, subject, environment))

    def again(item: Evidence[DecisionStatement]) -> Replay:
        return replay(item, bundles, overlooked(item, dossier_of(item.subject, item.environment)))

    return [_guarded(item, again) for item in made if seq in (None, item.seq)]


def _guarded(decision: Evidence[DecisionStatement], again: Callable[[Evidence[DecisionStatement]], Replay]) -> Replay:
    """One decision that cannot be made again blinds nobody for the others."""
    from airflow_mlgov.governance.replay import Replay, reasons_of

    try:
        return again(decision)
    except Exception as error:  # whatever somebody's recorded input makes of the rules
        said = str(error) if isinstance(error, MlgovError) else type(error).__name__
        return Replay(decision, reasons_of(decision), (("engine.error", f"it cannot be made again: {said}"),))


def last_promotion(
    moves: Iterable[Evidence], model: Subject, target: str | None, environment: str | None = None
) -> Evidence[PromotionStatement] | None:
    """The newest promotion of these bytes as this version; one of the environment before one of any other.

    :param moves: of this model in this registry
    :raises ConfigurationError: no environment is named, and they are of several
    """
    fit = [item for item in only(moves, PromotionStatement) if target in (None, item.statement.target)]
    mine = [item for item in fit if item.digest == model.digest and version_of(item) == model.version]
    environments = sorted({item.environment for item in fit})
    if environment is None and mine and len(environments) > 1:
        raise ConfigurationError(
            f"{model.name} was promoted in the environments {', '.join(environments)}: name the one that version "
            f"{model.version} is to serve in (--environment)",
            code="environment.not_named",
        )
    here = [item for item in mine if item.environment == environment]
    fitting = here or mine
    return fitting[-1] if fitting else None


def _superseded(promotion: Evidence[PromotionStatement], dossier: Dossier) -> list[tuple[str, str]]:
    """A version that was promoted once is no version to serve after another has taken its place."""
    subject, target = promotion.subject, promotion.statement.target
    current = Timeline(dossier.history, subject.name, subject.registry, promotion.environment, target).current
    if current is None or current.sha256 == promotion.sha256:
        return []
    how = "rolled back to" if current.statement.action == "rollback" else "replaced by"
    return [("promotion.superseded", f"{target!r} was {how} version {version_of(current)} since ({current.reference})")]
