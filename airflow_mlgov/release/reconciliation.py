"""Holds the registry against the ledger: each incident is signed once, put back if that is asked for, and signed again
as resolved when it is gone. The ledger decides what is right; MLflow's tags never do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from airflow_mlgov.errors import ConfigurationError, DependencyError, EvidenceError, MlgovError
from airflow_mlgov.evidence.chain import Verified
from airflow_mlgov.evidence.scope import Scope
from airflow_mlgov.evidence.statements import Context, IncidentStatement
from airflow_mlgov.evidence.verification import Evidence, only
from airflow_mlgov.release.desk import Desk
from airflow_mlgov.release.incidents import NO_EVIDENCE, REVERTED, Incident, look, tags_by_evidence, unseen
from airflow_mlgov.release.places import Place
from airflow_mlgov.release.standing import why_unfit
from airflow_mlgov.release.timeline import Timeline, history_of
from airflow_mlgov.words import lines


@dataclass(frozen=True)
class Reconciliation:
    """What one run found."""

    open: tuple[Incident, ...]
    resolved: tuple[str, ...]
    """Ledger references of incidents that were open before and are gone."""
    models: int
    """How many registered models were looked at."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "models": self.models,
            "resolved": list(self.resolved),
            "incidents": [
                {
                    "code": item.code,
                    "model": item.model.name,
                    "version": item.model.version,
                    "target": item.target,
                    "message": item.message,
                    "action": item.action,
                    "new": item.new,
                    "evidence": item.reference,
                }
                for item in self.open
            ],
        }

    @property
    def unsettled(self) -> tuple[Incident, ...]:
        """Those that nothing has put right."""
        return tuple(item for item in self.open if not item.settled)


def reconcile(desk: Desk, *, revert: bool = False, models: Sequence[str] | None = None) -> Reconciliation:
    """Compare every model that the policy governs, and every other one that sits where a governed one would.

    An incident is recorded once, and again as resolved when it is gone. That a model could not be looked at is one of
    its own; the others are looked at all the same.

    :param revert: put alias, stage and tags back to what the ledger says, if the version that belongs there still
        verifies
    :param models: only these registered models
    :raises ConfigurationError: the trust root does not know who signs; nobody knows a model that is named
    :raises EvidenceError: the ledger's chain is broken: there is nothing to compare with
    :raises DependencyError: MLflow, Vault or the ledger is down; try again
    """
    desk.require_signer(IncidentStatement.duty)
    records = desk.walk()
    names = _names(desk, records, models)
    found: list[Incident] = []
    resolved: list[str] = []
    for name in names:
        with desk.one_at_a_time(name) as confirm:
            records = desk.walk(records)
            history = desk.history(records, name)
            seen, whole = _seen(desk, records, name, history)
            if revert:
                seen = [_reverted(desk, name, item, records, history, confirm) for item in seen]
            noted, gone = _record(desk, seen, [*history, *_of_copies(desk, records, name)], whole)
            found += noted
            resolved += gone
    return Reconciliation(tuple(found), tuple(resolved), len(names))


def _names(desk: Desk, records: Verified, models: Sequence[str] | None) -> list[str]:
    """Those that are named, or all; the registry is asked only for what the policy does not know."""
    # copies are looked at with what they are made of
    models = models and [made_of for name in models for made_of in _made_of(desk, name)]
    if models and set(models) <= set(desk.policy.models):
        return sorted(set(models))
    known = {*desk.registry.names(), *desk.policy.models}
    for name in models or ():
        if name not in known and not desk.history(records, name):
            near = get_close_matches(name, known, n=1)
            raise ConfigurationError(
                f"neither the registry nor the policy nor the ledger knows a model {name!r}"
                f"{f'; did you mean {near[0]!r}?' if near else ''}",
                code="model.unknown",
            )
    return sorted(set(models) if models else known)


def _made_of(desk: Desk, name: str) -> list[str]:
    """The models whose copies a registered model holds; itself, if it holds none."""
    return [name] if name in desk.policy.models else [made_of for made_of, _ in desk.copied_into(name)] or [name]


def _of_copies(desk: Desk, records: Verified, name: str) -> list[Evidence]:
    """The evidence that is about a model's copies themselves: incidents."""
    goals = desk.policy.models[name].targets.values() if name in desk.policy.models else ()
    places = {place.model: place for goal in goals if goal.copy_to for place in (desk.place(name, goal),)}
    found = [history_of(records, desk.trust, Scope(at.model, at.registry.identity, None)) for at in places.values()]
    return [item for items in found for item in only(items, IncidentStatement)]


def _seen(desk: Desk, records: Verified, name: str, history: Sequence[Evidence]) -> tuple[list[Incident], bool]:
    """What is wrong with a model, and whether all of it was looked at."""
    found: list[Incident] = []
    try:
        for incident in look(desk, records, name, history):
            found.append(incident)
    except Exception as error:  # of this model: one hostile item blinds nobody for the others
        if isinstance(error, DependencyError):
            desk.registry.names()  # raises if the registry itself is down
        return [*found, unseen(desk, name, error)], False
    return found, not any(item.code == "version.unseen" for item in found)


def render_incidents(result: Reconciliation) -> str:
    """The words that go to a log and to the owners."""
    if not result.open and not result.resolved:
        return f"the registry agrees with the ledger: {result.models} models"
    found = [f"{len(result.open)} incident(s) in {result.models} models"]
    found += [f"  - {item.model.name} {item.target or ''}: {item} ({item.reference})" for item in result.open]
    found += [f"  - resolved: {reference}" for reference in result.resolved]
    return lines(found)


def _reverted(
    desk: Desk,
    name: str,
    incident: Incident,
    records: Verified,
    history: Sequence[Evidence],
    confirm: Callable[[], None],
) -> Incident:
    """The incident with what was done about it.

    :param name: the model that is governed, also where a copy of it is elsewhere than it belongs
    """
    try:
        if incident.code == "tags.forged":
            confirm()
            _write_true_tags(desk, name, incident, history)
        elif incident.code in ("alias.moved", "stage.moved", "evidence.missing") and incident.target:
            _put_back(desk, incident, records, desk.timeline(history, name, incident.target), confirm)
        else:
            return replace(incident, action="not reverted: roll back, or promote a version that holds")
    except Exception as error:  # of this incident: the others are put right all the same
        said = error if isinstance(error, MlgovError) else type(error).__name__
        return replace(incident, action=f"not reverted: {said}")
    return replace(incident, action=REVERTED)


def _put_back(
    desk: Desk, incident: Incident, records: Verified, timeline: Timeline, confirm: Callable[[], None]
) -> None:
    goal = desk.policy.model(timeline.model).target(timeline.target)
    there = desk.place(timeline.model, goal)
    registry = there.registry
    place, _, observed = str(incident.observed).partition("=")
    intruder = None if observed == "None" else there.version(observed)
    current = timeline.current
    number = there.number(current) if current else None
    if current is None or number is None:
        confirm()
        if place == goal.alias:
            registry.delete_alias(there.model, place)
        elif intruder:
            registry.transition_stage(intruder, "None")
        return
    problem = why_unfit(desk, records, current)
    if problem:
        raise EvidenceError(f"the version that belongs there does not hold: {problem}", code="incident.rightful_unfit")
    rightful = there.version(number)
    confirm()
    if place == goal.alias:
        registry.set_alias(rightful, place)
        return
    if intruder:
        registry.transition_stage(intruder, "None")
    confirm()
    if rightful.stage != goal.stage and goal.stage:
        registry.transition_stage(rightful, goal.stage)


def _write_true_tags(desk: Desk, name: str, incident: Incident, history: Sequence[Evidence]) -> None:
    at = incident.model
    goals = desk.policy.models[name].targets.values() if name in desk.policy.models else ()
    places = [Place(desk.registry, name), *(desk.place(name, goal) for goal in goals if goal.copy_to)]
    place = next(item for item in places if (item.model, item.registry.uri) == (at.name, at.registry))
    version = place.version(str(at.version))
    key = str(incident.observed).partition("=")[0]
    borne_out = tags_by_evidence(version, history, place if place != places[0] else None).get(key) or [NO_EVIDENCE]
    place.registry.set_tags(version, {key: borne_out[-1]})


def _record(
    desk: Desk, seen: Iterable[Incident], history: Sequence[Evidence], whole: bool
) -> tuple[list[Incident], list[str]]:
    """Sign what is new, and what is gone.

    :param whole: whether all was looked at: what was not seen may be there still
    """
    here = [item for item in only(history, IncidentStatement) if item.environment == desk.environment]
    known = {_key(item.statement): item for item in here}
    open_before = {key: item for key, item in known.items() if item.statement.state == "open"}
    noted: list[Incident] = []
    for incident in seen:
        before = open_before.pop(incident.key, None)
        if before is not None and before.statement.action == incident.action:
            noted.append(replace(incident, reference=before.reference, new=False))
            continue
        state = "resolved" if incident.settled else "open"
        entry = desk.attest(_statement(incident, state, desk.context))
        noted.append(replace(incident, reference=entry.reference, new=before is None))
    gone: list[str] = []
    for before in open_before.values() if whole else ():
        said = before.statement
        incident = Incident(said.code, said.subject, said.target, said.message, said.expected, said.observed)
        gone.append(desk.attest(_statement(incident, "resolved", desk.context)).reference)
    return noted, gone


def _statement(incident: Incident, state: str, context: Context) -> IncidentStatement:
    return IncidentStatement(
        incident.model,
        context,
        code=incident.code,
        target=incident.target,
        state=state,
        message=incident.message,
        expected=incident.expected,
        observed=incident.observed,
        action=incident.action,
    )


def _key(said: IncidentStatement) -> tuple[str | None, ...]:
    return (said.code, said.subject.name, said.subject.version, said.target, said.expected, said.observed)
