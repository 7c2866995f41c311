"""Before a rule is merged: what another policy would say of every recorded decision, of what is promoted now, and of
the pipelines that are known; whom it concerns, and which waivers cover it. Changes nothing and signs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
from airflow_mlgov.gates.policy.spec import GATE, PolicySettings
from airflow_mlgov.gates.run import run_gate
from airflow_mlgov.gates.strictness import held_to
from airflow_mlgov.governance.packs import codes_of, load_pack
from airflow_mlgov.governance.policy import GovernancePolicy, ModelPolicy
from airflow_mlgov.governance.replay import Reasons, answer_under, reasons_of
from airflow_mlgov.governance.rulebook import Packs
from airflow_mlgov.results import GateResult, Outcome, Severity

Kind = Literal["production", "decision", "pipeline"]


@dataclass(frozen=True)
class Affected:
    """One decision or pipeline, and what it would be."""

    kind: Kind
    name: str
    """``credit/7 to production``; of a pipeline its model and its file."""
    where: str
    """The ledger's reference of the decision; the pipeline's file."""
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
) -> list[Affected]:
    """What a policy would change: what is promoted now, then the other decisions in ledger order, then pipelines.

    :param model: only this registered model
    :param seq: only the decision of this ledger entry, and no pipelines
    :param pipelines: files and folders, besides the manifests that the policy itself names
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
        found += _pipelines(policy, model, pipelines, walked, trust)
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
    policy: GovernancePolicy, model: str | None, named: Sequence[str], walked: Verified, trust: TrustRoot
) -> Iterator[Affected]:
    """Each pipeline under what the policy says of each model whose gate it is."""
    judged = [item for item in only(collect(walked, trust, kind="gate")[0], GateStatement) if item.gate == GATE.name]
    signed = only(collect(walked, trust, kind="waiver")[0], WaiverStatement)
    for name, governed in policy.models.items():
        if model not in (None, name) or GATE.name not in governed.gates:
            continue
        own = [None] if governed.settings(GATE.name).get("manifest") else []
        for place in (*own, *named):
            yield _pipeline(name, governed, place, judged, signed)
    if named and not any(GATE.name in governed.gates for governed in policy.models.values()):
        raise ConfigurationError(
            f"{policy.path} says nothing of the gate policy for any model, so it judges no pipeline: write gates: "
            "{policy: {…}}",
            code="policy.no_pipelines",
        )


def _pipeline(
    name: str,
    governed: ModelPolicy,
    place: str | None,
    judged: Sequence[Evidence[GateStatement]],
    signed: Sequence[Evidence[WaiverStatement]],
) -> Affected:
    given = {} if place is None else {"manifest": [place]}
    try:
        settings, _ = held_to(GATE, governed, given, {}, "the replay")
        result = run_gate(GATE, None, _of_pipelines_alone(settings), rulebook=Packs())
    except MlgovError as error:
        where = place or str(governed.settings(GATE.name).get("manifest"))
        return Affected("pipeline", f"{name}: {where}", where, governed.owners, None, ((error.code, str(error)),))
    now = tuple((str(check.values.get("code", check.name)), str(check)) for check in result.failed if _fails(check))
    waivers = _waivers(result, name, signed)
    where = result.subject.name
    return Affected("pipeline", f"{name}: {where}", where, governed.owners, _then(result, judged), now, waivers)


def _of_pipelines_alone(settings: PolicySettings) -> PolicySettings:
    """Without packs that read features or a card, which a replay does not have."""
    packs = {word: load_pack(word, Path(settings.folder)) for word in settings.packages}
    kept = {word: pack for word, pack in packs.items() if pack.reads <= {"pipelines"}}
    known = {pack.package for pack in kept.values()} | {rule.code for pack in kept.values() for rule in pack.rules}
    modes = {name: mode for name, mode in settings.modes.items() if name in known | set(codes_of(kept.values()))}
    return settings.model_copy(update={"packages": tuple(kept), "modes": modes})


def _fails(check: Any) -> bool:
    return check.severity is Severity.CRITICAL and check.outcome is not Outcome.PASS


def _then(result: GateResult, judged: Sequence[Evidence[GateStatement]]) -> Reasons | None:
    """What the newest evidence over the same bytes of the pipeline found; None if there is none."""
    same = [item for item in judged if item.statement.result.suite_digest == result.suite_digest is not None]
    if not same:
        return None
    newest = max(same, key=lambda item: item.seq).statement.result
    return tuple((str(one.values.get("code", one.name)), str(one)) for one in newest.failed if _fails(one))


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
