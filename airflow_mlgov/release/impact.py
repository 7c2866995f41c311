"""Before a rule is merged: what another policy would say of every recorded decision, of what is promoted now, and of
the pipelines that are known; whom it concerns, and which waivers cover it. Changes nothing and signs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from airflow_mlgov.errors import ConfigurationError, MlgovError
from airflow_mlgov.evidence.chain import Verified
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.statements import (
    DecisionStatement,
    GateStatement,
    PromotionStatement,
    WaiverStatement,
)
from airflow_mlgov.evidence.verification import Evidence, Records, collect, only
from airflow_mlgov.gates.policy.gate import UNREADABLE, known_pipelines
from airflow_mlgov.gates.policy.spec import GATE, PolicyGate, PolicySettings
from airflow_mlgov.gates.run import run_gate
from airflow_mlgov.gates.strictness import held_to
from airflow_mlgov.governance.packs import codes_of, load_pack
from airflow_mlgov.governance.policy import GovernancePolicy, ModelPolicy
from airflow_mlgov.governance.replay import Reasons, answer_under, reasons_of
from airflow_mlgov.governance.rulebook import Packs
from airflow_mlgov.pipelines.manifest import SENSITIVE, Manifest
from airflow_mlgov.pipelines.reading import Read
from airflow_mlgov.results import GateResult, Outcome, Severity

Kind = Literal["production", "decision", "pipeline", "dag"]


@dataclass(frozen=True)
class Affected:
    """One decision or pipeline, and what it would be."""

    kind: Kind
    name: str
    """``credit/7 to production``; of a pipeline its model and its file; of a DAG its model and its id."""
    where: str
    """The ledger's reference of the decision; the pipeline's or the DAG's file."""
    owners: tuple[str, ...]
    then: Reasons | None
    """The reasons to deny of then; None if it was never judged."""
    now: Reasons
    waivers: tuple[str, ...] = ()
    """SHA-256 of the terms of waivers that cover what fails."""
    warned: Reasons = ()
    """What would deny, and only warns."""

    @property
    def denied(self) -> bool:
        """Whether it would be denied."""
        return bool(self.now)

    @property
    def changes(self) -> bool:
        """Whether the answer would be another: allowed or denied, or denied for another reason."""
        return self.then is None or {code for code, _ in self.then} != {code for code, _ in self.now}

    @property
    def newly_denied(self) -> bool:
        """Whether it was allowed, or never judged, and would be denied."""
        return self.denied and not self.then

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "kind": self.kind,
            "name": self.name,
            "where": self.where,
            "owners": list(self.owners),
            "then": None if self.then is None else [list(reason) for reason in self.then],
            "now": [list(reason) for reason in self.now],
            "changes": self.changes,
            "denied": self.denied,
            "waivers": list(self.waivers),
            "warned": [list(reason) for reason in self.warned],
        }


def impact(
    records: Records,
    trust: TrustRoot,
    policy: GovernancePolicy,
    *,
    model: str | None = None,
    seq: int | None = None,
    pipelines: Sequence[str] = (),
    dags: Read | None = None,
) -> list[Affected]:
    """What a policy would change: what is promoted now, then the other decisions in ledger order, then pipelines, then
    DAGs.

    :param model: only this registered model
    :param seq: only the decision of this ledger entry, and no pipelines
    :param pipelines: files and folders, besides the manifests that the policy itself names
    :param dags: DAGs that Airflow has parsed; those without a step that registers, promotes or deploys are left out
    :raises EvidenceError: the chain is broken
    :raises ConfigurationError: the policy governs nothing of what was recorded
    """
    walked = records.walk()
    made = only(collect(walked, trust, kind="decision", model=model)[0], DecisionStatement)
    decisions = [item for item in made if seq in (None, item.seq)]
    behind = _behind_production(walked, trust, model)
    found = [_decision(item, policy, "production" if item.sha256 in behind else "decision") for item in decisions]
    found.sort(key=lambda one: one.kind != "production")
    if found and not any(item.subject.name in policy.models for item in decisions):
        policy.model(decisions[0].subject.name)  # says which models it governs
    if seq is None:
        found += _pipelines(policy, model, pipelines, dags, walked, trust)
    return found


def denies(found: Iterable[Affected]) -> bool:
    """Whether anything would be denied: what is promoted now, a pipeline, or a decision that was made the other way."""
    return any(one.denied if one.kind != "decision" else one.newly_denied for one in found)


def _behind_production(walked: Verified, trust: TrustRoot, model: str | None) -> set[str]:
    """The decisions behind what is promoted now."""
    moves = only(collect(walked, trust, kind="promotion", model=model)[0], PromotionStatement)
    newest = {
        (item.subject.registry, item.subject.name, item.environment, item.statement.target): item for item in moves
    }
    return {item.statement.decision for item in newest.values()}


def _decision(item: Evidence[DecisionStatement], policy: GovernancePolicy, kind: Kind) -> Affected:
    subject, target = item.subject, item.statement.target
    owners = policy.models[subject.name].owners if subject.name in policy.models else ()
    waivers: tuple[str, ...] = ()
    warned: Reasons = ()
    try:
        answer = answer_under(item, policy)
        warned = answer.warned
        now, waivers = answer.reasons, tuple(sorted({str(one["waiver"]) for one in answer.waived}))
    except MlgovError as error:
        now = (("engine.error", f"it cannot be made again: {error}"),)
    except Exception as error:  # whatever somebody's recorded input makes of the rules
        now = (("engine.error", f"it cannot be made again: {type(error).__name__}"),)
    name = f"{subject.name}/{subject.version} to {target}"
    return Affected(kind, name, item.reference, owners, reasons_of(item), now, waivers, warned)


# -- pipelines --------------------------------------------------------------------------------------------------------


def _pipelines(
    policy: GovernancePolicy,
    model: str | None,
    named: Sequence[str],
    dags: Read | None,
    walked: Verified,
    trust: TrustRoot,
) -> Iterator[Affected]:
    """Each pipeline under what the policy says of each model whose gate it is."""
    gates = [item for item in only(collect(walked, trust, kind="gate")[0], GateStatement) if item.gate == GATE.name]
    past = _Past(gates, only(collect(walked, trust, kind="waiver")[0], WaiverStatement))
    models = [one for one in policy.models.values() if GATE.name in one.gates]
    if (named or dags) and not models:
        raise ConfigurationError(
            f"{policy.path} says nothing of the gate policy for any model, so it judges no pipeline: write gates: "
            "{policy: {…}}",
            code="policy.no_pipelines",
        )
    models = [one for one in models if model in (None, one.name)]
    for governed in models:
        own = [None] if governed.settings(GATE.name).get("manifest") else []
        for place in (*own, *named):
            yield _pipeline(governed, place, past)
    for file, why in dags.unreadable if dags else ():
        yield Affected("dag", file, file, (), None, ((UNREADABLE, f"Airflow cannot parse it here: {why}"),))
    for manifest in dags.manifests if dags else ():
        for governed in models:
            if (found := _dag(governed, manifest, past)) is not None:
                yield found


@dataclass(frozen=True)
class _Past:
    """What the ledger has of pipelines."""

    judged: Sequence[Evidence[GateStatement]]
    signed: Sequence[Evidence[WaiverStatement]]

    def then(self, is_same: Callable[[GateResult], bool]) -> Reasons | None:
        """What the newest evidence over the same pipeline found; None if there is none."""
        same = [item for item in self.judged if is_same(item.statement.result)]
        return _reasons(max(same, key=lambda item: item.seq).statement.result) if same else None


def _pipeline(governed: ModelPolicy, place: str | None, past: _Past) -> Affected:
    given = {} if place is None else {"manifest": [place]}
    try:
        settings, _ = held_to(GATE, governed, given, {}, "the replay")
        result = run_gate(GATE, None, _of_pipelines_alone(settings), rulebook=Packs())
    except MlgovError as error:
        where = place or str(governed.settings(GATE.name).get("manifest"))
        why = ((error.code, str(error)),)
        return Affected("pipeline", f"{governed.name}: {where}", where, governed.owners, None, why)
    where = result.subject.name
    then = past.then(lambda other: other.suite_digest == result.suite_digest is not None)
    waivers = _waivers(result, governed.name, past.signed)
    return Affected(
        "pipeline", f"{governed.name}: {where}", where, governed.owners, then, _reasons(result), waivers
    )  # fmt: skip


def _dag(governed: ModelPolicy, manifest: Manifest, past: _Past) -> Affected | None:
    """One DAG; None if it could be read whole, and nothing in it is sensitive."""
    name = f"{governed.name}: {manifest.name}"
    try:
        settings, _ = held_to(GATE, governed, {}, {}, "the replay")
        settings = _of_pipelines_alone(settings).model_copy(update={"manifest": ()})
        [known] = known_pipelines(settings, [manifest]).manifests
        if known.complete and not any(step.role in SENSITIVE for step in known.steps):
            return None
        result = run_gate(PolicyGate(lambda: [manifest]), None, settings, rulebook=Packs())
    except MlgovError as error:
        return Affected("dag", name, manifest.source, governed.owners, None, ((error.code, str(error)),))
    then = past.then(lambda other: any(one["sha256"] == manifest.sha256 for one in _told_of(other)))
    waivers = _waivers(result, governed.name, past.signed)
    return Affected("dag", name, manifest.source, governed.owners, then, _reasons(result), waivers)


def _told_of(result: GateResult) -> Sequence[Any]:
    found = result.details.get("pipelines")
    return [one for one in found if isinstance(one, Mapping) and "sha256" in one] if isinstance(found, list) else []


def _reasons(result: GateResult) -> Reasons:
    return tuple((str(check.values.get("code", check.name)), str(check)) for check in result.failed if _fails(check))


def _of_pipelines_alone(settings: PolicySettings) -> PolicySettings:
    """Without packs that read features or a card, which a replay does not have."""
    packs = {word: load_pack(word, Path(settings.folder)) for word in settings.packages}
    kept = {word: pack for word, pack in packs.items() if pack.reads <= {"pipelines"}}
    known = {pack.package for pack in kept.values()} | {rule.code for pack in kept.values() for rule in pack.rules}
    modes = {name: mode for name, mode in settings.modes.items() if name in known | set(codes_of(kept.values()))}
    return settings.model_copy(update={"packages": tuple(kept), "modes": modes})


def _fails(check: Any) -> bool:
    return check.severity is Severity.CRITICAL and check.outcome is not Outcome.PASS


def _waivers(result: GateResult, model: str, signed: Sequence[Evidence[WaiverStatement]]) -> tuple[str, ...]:
    """Waivers in force that name a check of the pipeline that fails."""
    failing = {check.name for check in result.failed if _fails(check)}
    revoked = {item.statement.terms.sha256 for item in signed if item.statement.state == "revoked"}
    now = datetime.now(UTC)
    found = {
        item.statement.terms.sha256
        for item in signed
        if item.subject.name == model
        and item.statement.terms.gate == GATE.name
        and item.statement.terms.check in failing
        and item.statement.terms.sha256 not in revoked
        and item.statement.terms.ends > now
    }
    return tuple(sorted(found))
