"""Promotion: hash the artifact again, verify the evidence, decide, announce, move, read back, sign.

Nothing here reads a task state, an XCom value or an MLflow tag to decide. Killed between any two steps and started
again, it ends in the same state with one promotion recorded.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlgov import __version__
from airflow_mlgov.errors import MlgovError, PromotionRefused
from airflow_mlgov.evidence.chain import Entry
from airflow_mlgov.evidence.statements import DecisionStatement, EmergencyStatement, PolicyStatement, PromotionStatement
from airflow_mlgov.evidence.verification import collect, only
from airflow_mlgov.governance.policy import Target
from airflow_mlgov.release.case import Case, build_case
from airflow_mlgov.release.desk import Desk
from airflow_mlgov.release.mover import Mover
from airflow_mlgov.release.obligations import incurred
from airflow_mlgov.release.promises import taken_over
from airflow_mlgov.release.timeline import Dossier
from airflow_mlgov.results import Subject
from airflow_mlgov.words import line

if TYPE_CHECKING:
    from airflow_mlgov.registry.protocol import ModelVersion, Registry

log = logging.getLogger(__name__)

VERIFIER = f"airflow-provider-mlgov/{__version__}"


@dataclass(frozen=True)
class Promotion:
    """What a promotion or a rollback did."""

    model: Subject
    """The version that was decided on, also where its copy was moved."""
    target: Target
    moved: Mapping[str, Any]
    """``stage`` and ``alias`` each with ``to`` and ``previous``; empty where the version was there already."""
    decision: str
    """Ledger reference of the decision."""
    record: str
    """Ledger reference of the promotion."""
    waived: tuple[Mapping[str, Any], ...] = ()
    """Each failed check that a waiver covers, see :attr:`~airflow_mlgov.governance.decision.Decision.waived`."""
    excused: tuple[tuple[str, str], ...] = ()
    """What a break-glass has overridden."""
    emergency: EmergencyStatement | None = None
    """The break-glass; None if there was none."""
    warned: tuple[tuple[str, str], ...] = ()
    """What would deny, and only warns."""
    copy: Subject | None = None
    """What was moved instead of it; None if it was itself."""

    @property
    def placed(self) -> Subject:
        """What was moved: the copy, or the version itself."""
        return self.copy or self.model

    def as_dict(self) -> dict[str, Any]:
        """As JSON: ``model``, ``copy`` if there is one, ``target``, ``moved``, ``decision``, ``promotion``."""
        return {
            "model": f"models:/{self.model.name}/{self.model.version}",
            **({"copy": f"models:/{self.copy.name}/{self.copy.version}"} if self.copy else {}),
            "target": self.target.name,
            "moved": dict(self.moved),
            "decision": self.decision,
            "promotion": self.record,
            "waived": [dict(item) for item in self.waived],
            "excused": [{"code": code, "message": message} for code, message in self.excused],
            "warned": [{"code": code, "message": message} for code, message in self.warned],
        }


def promote(desk: Desk, version: ModelVersion, target: str, *, requesters: Sequence[str] = ()) -> Promotion:
    """Move a version to a target, or a copy of it where the policy says ``copy_to``, if the evidence says that it may.

    One promotion of a model runs at a time; whoever comes second decides anew, on what the first has left.

    :raises PromotionRefused: the decision is deny; it is in the ledger, and nothing was moved, or what an interrupted
        promotion had moved was put back
    :raises ConfigurationError: the policy does not know the model or the target, or the trust root not who signs
    :raises EvidenceError: the ledger's chain is broken, or the registry does not read back what was set
    :raises DependencyError: MLflow, Vault or the ledger is down, or another promotion takes long; try again
    """
    desk.require_signer(PromotionStatement.duty)
    with desk.one_at_a_time(version.name) as confirm:
        case = build_case(desk, version, target, requesters)
        mover = Mover(
            desk,
            version,
            desk.place(version.name, case.goal),
            case.goal,
            case.timeline,
            confirm,
            lambda: _decide_again(desk, case, version, requesters),
        )
        entry = _record_decision(desk, case)
        if not case.decision.allowed:
            mover.give_up()
            _tag(desk.registry, version, {"mlgov.status": "promotion refused", "mlgov.decision": entry.reference})
            raise PromotionRefused(f"{case.model} may not go to {target!r} ({entry.reference})", case.decision.reasons)
        done = mover.complete(
            case.model,
            entry.envelope_sha256,
            action="promote",
            reason="",
            mark=desk.ledger.keep_index(case.records),
            obligations=taken_over(
                incurred(case.decision, case.dossier.good, desk.now),
                case.decision.input.get("promises", ()),
            ),
        )
    tags = {"mlgov.status": f"promoted to {target}", "mlgov.promotion": done.record}
    _tag(desk.registry, version, tags)
    if done.copy:
        _tag(mover.place.registry, done.placed, tags)
    decision = case.decision
    emergencies = only(case.dossier.good, EmergencyStatement) if decision.excused else []
    broken = [item.statement for item in emergencies if item.sha256 in decision.broken_by]
    return Promotion(
        case.model,
        case.goal,
        done.moved,
        entry.reference,
        done.record,
        decision.waived,
        decision.excused,
        broken[-1] if broken else None,
        decision.warned,
        done.copy.model if done.copy else None,
    )


def _decide_again(desk: Desk, case: Case, version: ModelVersion, requesters: Sequence[str]) -> None:
    """Evidence may have come in while the decision was made: right before the move it is decided on too.

    :raises PromotionRefused: what has come in denies
    """
    now = desk.dossier(desk.walk(case.records), case.model)
    if _grounds(now) == _grounds(case.dossier):
        return
    again = build_case(desk, version, case.goal.name, requesters)
    if not again.decision.allowed:
        entry = _record_decision(desk, again)
        raise PromotionRefused(
            f"{case.model} may not go to {case.goal.name!r} any more ({entry.reference})", again.decision.reasons
        )


def _grounds(dossier: Dossier) -> list[int]:
    """What a decision may rest on, by its ledger numbers, also of other versions, for one may have to be there to go
    back to; not what a promotion itself writes."""
    own = ("decision", "intent", "promotion", "incident")
    good = {item.seq for item in (*dossier.good, *dossier.history) if item.kind not in own}
    return [*sorted(good), *(item.seq for item in dossier.bad)]


def _record_decision(desk: Desk, case: Case) -> Entry:
    """The policy and rules, unless the ledger has them already, then the decision."""
    decision = case.decision
    if not collect(case.records, desk.trust, [decision.bundle_digest], kind="policy")[0]:
        desk.attest(PolicyStatement.of(decision.bundle_digest, decision.bundle, desk.context))
    statement = DecisionStatement(
        case.model,
        desk.context,
        target=case.goal.name,
        allowed=decision.allowed,
        reasons=decision.reasons,
        inputs={f"ledger:{item.seq}": item.sha256 for item in decision.relied_on},
        document=decision.document,
        verifier=VERIFIER,
        waived=decision.waived,
        excused=decision.excused,
        warned=decision.warned,
    )
    return desk.attest(statement, case.records.head)


def _tag(registry: Registry, version: ModelVersion, tags: Mapping[str, str]) -> None:
    """Tags are for people: a registry that will not take them changes nothing of what was decided and recorded."""
    try:
        registry.set_tags(version, tags)
    except MlgovError as error:
        log.warning("the tags of %s were not written: %s", line(version), line(error))
