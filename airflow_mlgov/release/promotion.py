"""Promotion: hash the artifact again, verify the evidence, decide, announce, move, read back, sign.

Nothing here reads a task state, an XCom value or an MLflow tag to decide. Killed between any two steps and started
again, it ends in the same state with one promotion recorded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_mlgov import __version__
from airflow_mlgov.errors import EvidenceError, MlgovError, PromotionRefused
from airflow_mlgov.evidence.chain import Entry, Head
from airflow_mlgov.evidence.ledger import Ledger
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.statements import (
    Context,
    decision_statement,
    intent_statement,
    policy_statement,
    promotion_statement,
)
from airflow_mlgov.evidence.verification import Evidence, collect
from airflow_mlgov.governance.decision import Decision, Request, decide
from airflow_mlgov.governance.policy import GovernancePolicy, Target
from airflow_mlgov.registry.protocol import in_stage
from airflow_mlgov.release.explanation import judge_promotion
from airflow_mlgov.release.obligations import incurred
from airflow_mlgov.release.timeline import Findings, Timeline, evidence_for, version_of
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

    from airflow_mlgov.registry.protocol import ModelVersion, Registry

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
    """What a promotion or a rollback did."""

    model: Subject
    target: Target
    moved: Mapping[str, Any]
    """``stage`` and ``alias`` each with ``to`` and ``previous``; empty where the version was there already."""
    decision: str
    """Ledger reference of the decision."""
    record: str
    """Ledger reference of the promotion."""
    waived: tuple[Mapping[str, Any], ...] = ()
    """Each failed check that a waiver covers, see :attr:`Decision.waived`."""
    excused: tuple[tuple[str, str], ...] = ()
    """What a break-glass has overridden."""
    emergency: Mapping[str, Any] | None = None
    """The break-glass: ``person``, ``reason``, ``expires``; None where there was none."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON: ``model``, ``target``, ``moved``, ``decision``, ``promotion``."""
        return {
            "model": f"models:/{self.model.name}/{self.model.version}",
            "target": self.target.name,
            "moved": dict(self.moved),
            "decision": self.decision,
            "promotion": self.record,
            "waived": [dict(item) for item in self.waived],
            "excused": [{"code": code, "message": message} for code, message in self.excused],
        }


@dataclass(frozen=True)
class Case:
    """A model version and a target, with all that is known about them now."""

    model: Subject
    goal: Target
    found: Findings
    timeline: Timeline
    decision: Decision
    ledger_head: Head


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

    One promotion of a model runs at a time; whoever comes second decides anew, on what the first has left.

    :raises PromotionRefused: the decision is deny; it is in the ledger, and nothing was moved, or what an interrupted
        promotion had moved was put back
    :raises ConfigurationError: the policy does not know the model or the target
    :raises EvidenceError: the ledger's chain is broken, or the registry does not read back what was set
    :raises DependencyError: MLflow, Vault or the ledger is down, or another promotion takes long; try again
    """
    with one_at_a_time(grounds.ledger, registry, version.name) as confirm:
        case = build_case(registry, version, target, grounds, context.environment, requesters, context.issued_at)
        mover = Mover(registry, version, case.goal, case.timeline, grounds.ledger, signer, context, confirm)
        entry = _record_decision(case, grounds, signer, context)
        if not case.decision.allowed:
            mover.give_up()
            _tag(registry, version, {"mlgov.status": "promotion refused", "mlgov.decision": entry.reference})
            raise PromotionRefused(f"{case.model} may not go to {target!r} ({entry.reference})", case.decision.reasons)
        moved, record = mover.complete(
            case.model,
            entry.envelope_sha256,
            action="promote",
            reason="",
            mark=case.ledger_head,
            obligations=incurred(case.decision, case.found.good, context.issued_at),
        )
    _tag(registry, version, {"mlgov.status": f"promoted to {target}", "mlgov.promotion": record})
    decision = case.decision
    broken = [item.predicate for item in case.found.good if decision.excused and item.sha256 in decision.broken_by]
    return Promotion(
        case.model,
        case.goal,
        moved,
        entry.reference,
        record,
        decision.waived,
        decision.excused,
        broken[-1] if broken else None,
    )


def build_case(
    registry: Registry,
    version: ModelVersion,
    target: str,
    grounds: Grounds,
    environment: str,
    requesters: Sequence[str] = (),
    now: datetime | None = None,
) -> Case:
    """Hash the version's bytes, read what the ledger says about them, and decide; changes nothing.

    :raises EvidenceError: the ledger's chain is broken
    """
    goal = grounds.policy.model(version.name).target(target)
    model = registry.subject(version)
    head = grounds.ledger.verify()
    found = evidence_for(grounds.ledger, grounds.trust, model)
    timeline = Timeline(found.history, model.name, model.registry, environment, target)
    champion = champion_of(registry, version, goal, timeline)
    request = Request(
        model,
        target,
        environment,
        tuple(requesters),
        champion=champion,
        champion_since=_since(timeline, champion),
        withdrawn_at=timeline.withdrawn_at(version.version),
        rollback_problem=_rollback_problem(registry, grounds, timeline, version, champion)
        if goal.rollback_required
        else None,
    )
    decision = decide(request, grounds.policy, found.good, found.bad, now or datetime.now(UTC), found.history)
    return Case(model, goal, found, timeline, decision, head)


def champion_of(registry: Registry, version: ModelVersion, goal: Target, timeline: Timeline) -> str | None:
    """The version that this one would replace, None where there is none: by the ledger, for an alias is moved by hand
    in a moment; by the registry where nothing was ever promoted by evidence."""
    if timeline.current is not None:
        current = version_of(timeline.current)
        return current if current != version.version else None
    holder = registry.aliases(version.name).get(goal.alias) if goal.alias else None
    holders = [holder] if holder else [item.version for item in in_stage(registry, version.name, goal.stage)]
    return next((number for number in holders if number != version.version), None)


def holds(registry: Registry, promotion: Evidence, grounds: Grounds) -> str | None:
    """Why a version that was promoted before would not do again (its artifact, its evidence, a gate that failed since);
    None where it would."""
    name, number = promotion.ours["subject"]["name"], version_of(promotion)
    try:
        model = registry.subject(registry.resolve({"name": name, "version": number}))
    except MlgovError as error:
        if not isinstance(error, EvidenceError | ValueError):
            raise
        return f"version {number}: {error}"
    if model.digest != promotion.digest:
        return f"version {number}: its artifact is sha256:{model.digest[:12]} and was sha256:{promotion.digest[:12]}"
    _, reasons = judge_promotion(promotion, evidence_for(grounds.ledger, grounds.trust, model))
    return f"version {number}: {'; '.join(message for _, message in reasons)}" if reasons else None


@contextmanager
def one_at_a_time(ledger: Ledger, registry: Registry, name: str) -> Iterator[Callable[[], None]]:
    """Nobody else promotes, rolls back or reconciles the model in this block; see :meth:`Ledger.exclusive`."""
    with ledger.exclusive(f"the model {name} in {registry.uri}") as confirm:
        yield confirm


@dataclass(frozen=True)
class Mover:
    """Moves one version to one target in steps that can be taken twice: intent, stage, alias, read back, record."""

    registry: Registry
    version: ModelVersion
    goal: Target
    timeline: Timeline
    ledger: Ledger
    signer: Signer
    context: Context
    confirm: Callable[[], None]

    def complete(
        self,
        model: Subject,
        decision: str,
        *,
        action: str,
        reason: str,
        mark: Head,
        obligations: Sequence[Mapping[str, Any]],
    ) -> tuple[dict[str, Any], str]:
        """Go on where an interrupted process stopped, or begin; what was moved, and the reference of the record.

        :param decision: SHA-256 of the envelope of the decision that allows it
        :param obligations: the audits that are owed for it; others than before make a new record
        """
        current = self.timeline.current
        there = (
            current is not None
            and version_of(current) == self.version.version
            and current.digest == model.digest
            and _ids(current.predicate.get("obligations", ())) == _ids(obligations)
        )
        opened = self._opened(action)
        if current is not None and there and opened is None and self._is_there():
            return {}, current.reference
        if opened is None:
            before = self._present()
            intent = self._announce(model, action, before, decision).envelope_sha256
        else:
            before, intent = opened.predicate["before"], opened.sha256
        self._move(archive=self.goal.archive_previous or action == "rollback")
        self._read_back()
        for other in self.timeline.unfinished:
            if other.sha256 != intent:
                self._abandon(other)
        moved = self._moved(before)
        statement = promotion_statement(
            model,
            target=self.goal.name,
            action=action,
            decision=decision,
            intent=intent,
            moved=moved,
            replaces=self._replaced(before),
            reason=reason,
            checkpoint=mark.mark,
            context=self.context,
            obligations=obligations,
        )
        return moved, self.ledger.attest(statement, self.signer).reference

    def give_up(self) -> None:
        """Put back what an interrupted process had moved for this version, and record that it was given up."""
        for intent in self.timeline.unfinished:
            if version_of(intent) == self.version.version:
                self._put_back(intent.predicate["before"])
                self._abandon(intent)

    def _opened(self, action: str) -> Evidence | None:
        found = [
            item
            for item in self.timeline.unfinished
            if version_of(item) == self.version.version and item.predicate["action"] == action
        ]
        return found[-1] if found else None

    def _present(self) -> dict[str, Any]:
        """Who is in the stage, and who holds the alias."""
        name, goal = self.version.name, self.goal
        return {
            "stage": [item.version for item in in_stage(self.registry, name, goal.stage)],
            "alias": self.registry.aliases(name).get(goal.alias) if goal.alias else None,
        }

    def _is_there(self) -> bool:
        now, number = self._present(), self.version.version
        return (not self.goal.stage or number in now["stage"]) and (not self.goal.alias or now["alias"] == number)

    def _announce(self, model: Subject, action: str, before: Mapping[str, Any], decision: str) -> Entry:
        statement = intent_statement(
            model,
            target=self.goal.name,
            action=action,
            state="opened",
            before=before,
            after={"stage": self.goal.stage, "alias": self.goal.alias},
            grounds=decision,
            context=self.context,
        )
        return self.ledger.attest(statement, self.signer)

    def _move(self, archive: bool) -> None:
        """Stage, then alias, each only where it is not there yet."""
        now, number = self._present(), self.version.version
        others = [item for item in now["stage"] if item != number]
        if self.goal.stage and (number not in now["stage"] or (archive and others)):
            self.confirm()
            self.registry.transition_stage(self.version, self.goal.stage, archive_existing=archive)
        if self.goal.alias and now["alias"] != number:
            self.confirm()
            self.registry.set_alias(self.version, self.goal.alias)

    def _read_back(self) -> None:
        if not self._is_there():
            now = self._present()
            raise EvidenceError(
                f"the registry does not read back what was set: stage {self.goal.stage} holds {now['stage']}, alias "
                f"{self.goal.alias} is version {now['alias'] or 'nobody'}, not {self.version.version}"
            )

    def _moved(self, before: Mapping[str, Any]) -> dict[str, Any]:
        moved: dict[str, Any] = {}
        number = self.version.version
        others = [item for item in before["stage"] if item != number]
        if self.goal.stage and (number not in before["stage"] or others):
            moved["stage"] = {"to": self.goal.stage, "previous": others, "archived": self.goal.archive_previous}
        if self.goal.alias and before["alias"] != number:
            moved["alias"] = {"to": self.goal.alias, "previous": before["alias"]}
        return moved

    def _replaced(self, before: Mapping[str, Any]) -> str | None:
        """Who held the target: by the ledger, and by the registry where the ledger knows nobody else."""
        current = self.timeline.current
        others = [version_of(current) if current else None, before["alias"], *before["stage"]]
        return next((item for item in others if item and item != self.version.version), None)

    def _put_back(self, before: Mapping[str, Any]) -> None:
        now, number, goal = self._present(), self.version.version, self.goal
        rightful = version_of(self.timeline.current) if self.timeline.current else before["alias"]
        if goal.alias and now["alias"] == number != rightful:
            self.confirm()
            if rightful:
                self.registry.set_alias(self._other(rightful), goal.alias)
            else:
                self.registry.delete_alias(self.version.name, goal.alias)
        if goal.stage and number in now["stage"] and number not in before["stage"]:
            self.confirm()
            self.registry.transition_stage(self.version, "None")
            for other in before["stage"]:
                self.registry.transition_stage(self._other(other), goal.stage)

    def _abandon(self, intent: Evidence) -> None:
        subject = intent.ours["subject"]
        statement = intent_statement(
            Subject("model", subject["name"], subject["digest"], subject["version"], subject["registry"]),
            target=self.goal.name,
            action=intent.predicate["action"],
            state="abandoned",
            before=intent.predicate["before"],
            after=intent.predicate["after"],
            grounds=intent.sha256,
            context=self.context,
        )
        self.ledger.attest(statement, self.signer)

    def _other(self, number: str) -> ModelVersion:
        return self.registry.resolve({"name": self.version.name, "version": number})


def _ids(obligations: Sequence[Mapping[str, Any]]) -> set[str]:
    return {item["id"] for item in obligations}


def _since(timeline: Timeline, champion: str | None) -> int | None:
    found = [item.seq for item in timeline.promotions if version_of(item) == champion]
    return found[-1] if found else None


def _rollback_problem(
    registry: Registry, grounds: Grounds, timeline: Timeline, version: ModelVersion, champion: str | None
) -> str | None:
    """Why none of the versions promoted before would do to go back to; None where one would, or where there is none."""
    problems = []
    for promotion in timeline.earlier(version.version):
        problem = holds(registry, promotion, grounds)
        if problem is None:
            return None
        problems.append(problem)
    if not problems and champion:
        problems.append(f"version {champion} holds it, and was never promoted by evidence")
    return "; ".join(problems) or None


def _record_decision(case: Case, grounds: Grounds, signer: Signer, context: Context) -> Entry:
    """The policy and rules, where the ledger does not have them yet, then the decision."""
    decision, ledger = case.decision, grounds.ledger
    if not collect(ledger, grounds.trust, [decision.bundle_digest], kind="policy")[0]:
        ledger.attest(policy_statement(decision.bundle_digest, decision.bundle, context), signer)
    statement = decision_statement(
        case.model,
        target=case.goal.name,
        allowed=decision.allowed,
        reasons=decision.reasons,
        inputs={f"ledger:{item.seq}": item.sha256 for item in decision.relied_on},
        document=decision.document,
        verifier=VERIFIER,
        context=context,
        waived=decision.waived,
        excused=decision.excused,
    )
    return ledger.attest(statement, signer)


def _tag(registry: Registry, version: ModelVersion, tags: Mapping[str, str]) -> None:
    """Tags are for people: a registry that will not take them changes nothing of what was decided and recorded."""
    try:
        registry.set_tags(version, {**tags, "mlgov.updated": datetime.now(UTC).isoformat(timespec="seconds")})
    except MlgovError as error:
        log.warning("the tags of %s version %s were not written: %s", version.name, version.version, error)
