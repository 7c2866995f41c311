"""The case of a model version and a target: its bytes, the evidence about them, and the decision that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_mlgov.errors import DependencyError
from airflow_mlgov.evidence.chain import Verified
from airflow_mlgov.governance.decision import Decision, Request, decide
from airflow_mlgov.governance.policy import Target
from airflow_mlgov.release.champion import champion_of, champion_since
from airflow_mlgov.release.desk import Desk
from airflow_mlgov.release.monitoring import live_results
from airflow_mlgov.release.obligations import owed_for
from airflow_mlgov.release.promises import promised_before
from airflow_mlgov.release.standing import why_unfit
from airflow_mlgov.release.timeline import Dossier, Timeline, version_of
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    from airflow_mlgov.registry.protocol import ModelVersion


@dataclass(frozen=True)
class Case:
    """A model version and a target, with all that is known about them now."""

    model: Subject
    goal: Target
    dossier: Dossier
    timeline: Timeline
    decision: Decision
    records: Verified
    """The ledger that was decided on."""


def build_case(desk: Desk, version: ModelVersion, target: str, requesters: Sequence[str] = ()) -> Case:
    """Hash the version's bytes, read what the ledger says about them, and decide; changes nothing.

    :param requesters: who asks for the promotion
    :raises ConfigurationError: the policy does not know the model or the target
    :raises EvidenceError: the ledger's chain is broken
    """
    goal = desk.policy.model(version.name).target(target)
    model = desk.registry.subject(version)
    records = desk.walk()
    dossier = desk.dossier(records, model)
    timeline = desk.timeline(dossier.history, model.name, target)
    champion = champion_of(desk.place(model.name, goal), model, goal, timeline)
    request = request_for(
        model,
        target,
        desk.environment,
        dossier,
        timeline,
        desk.now,
        requesters=requesters,
        champion=champion,
        rollback_problem=_rollback_problem(desk, records, timeline, model, champion)
        if goal.rollback_required
        else None,
    )
    decision = decide(request, desk.policy, dossier.good, dossier.bad, desk.now, dossier.history, desk.engine)
    return Case(model, goal, dossier, timeline, decision, records)


def request_for(
    model: Subject,
    target: str,
    environment: str,
    dossier: Dossier,
    timeline: Timeline,
    now: datetime,
    *,
    requesters: Sequence[str] = (),
    champion: str | None = None,
    rollback_problem: str | None = None,
) -> Request:
    """What is asked about a version and a target, as far as the ledger tells it.

    :param champion: who holds the target now, if it is another version
    """
    return Request(
        model,
        target,
        environment,
        tuple(requesters),
        champion=champion,
        champion_since=champion_since(timeline, champion),
        live=tuple(item.as_input() for _, item in sorted(live_results(timeline).items())),
        serving_since=timeline.promotions[0].issued_at if timeline.promotions else None,
        withdrawn_at=timeline.withdrawn_at(str(model.version), model.digest),
        obligations=tuple(
            {
                "id": item.id,
                "kind": item.kind,
                "gate": item.gate,
                "check": item.check,
                "state": str(item.state),
                "target": item.target,
                "promotion": item.promotion,
                "audited": item.audited,
                "broken": item.is_broken(now),
                "late": item.is_late(now),
            }
            for item in owed_for(model, dossier.good, now)
        ),
        promises=tuple(item.as_input(now) for item in promised_before(timeline, now, model.digest)),
        rollback_problem=rollback_problem,
    )


def _rollback_problem(
    desk: Desk, records: Verified, timeline: Timeline, model: Subject, champion: str | None
) -> str | None:
    """Why none of the versions promoted before would do to go back to; None if one would, or if there is none."""
    problems = []
    outage: DependencyError | None = None
    for promotion in timeline.earlier(str(model.version), model.digest):
        try:
            problem = why_unfit(desk, records, promotion)
        except DependencyError as error:  # perhaps of this version alone, whose files may be anywhere
            outage, problem = error, ""
        if problem is None:
            return None
        problems.append(problem)
    if outage is not None:
        raise outage
    if not problems and champion:
        same = any(version_of(item) == champion and item.digest == model.digest for item in timeline.promotions)
        why = "has the same bytes" if same else "was never promoted by evidence"
        problems.append(f"version {champion} holds it, and {why}")
    return "; ".join(problems) or None
