"""Holds the registry against the ledger: what was moved, changed or written by hand becomes an incident, and is put
back where that is asked for. The ledger decides what is right; MLflow's tags never do.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError, EvidenceError, MlgovError
from airflow_mlgov.evidence.signing import GATES
from airflow_mlgov.evidence.statements import Context, IncidentStatement, incident_statement
from airflow_mlgov.evidence.verification import Evidence, collect
from airflow_mlgov.governance.policy import Target
from airflow_mlgov.release.promotion import Grounds, holds, one_at_a_time
from airflow_mlgov.release.timeline import Timeline, version_of
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

    from airflow_mlgov.registry.protocol import ModelVersion, Registry

log = logging.getLogger(__name__)

UNFINISHED_AFTER = timedelta(minutes=15)
"""An intent that is older and still open is an incident: its process was killed and nobody has started it again."""
UNKNOWN_DIGEST = "0" * 64
"""Stands for the bytes of a version that the ledger has never seen and the registry cannot hand over."""
_TAG = "mlgov."
_NO_EVIDENCE = "no evidence"
"""What a forged tag is set to where no evidence bears anything out."""


@dataclass(frozen=True)
class Incident:
    """One thing that the registry says and the ledger does not."""

    code: str
    """``alias.moved``, ``stage.moved``, ``artifact.changed``, ``evidence.missing``, ``evidence.broken``,
    ``tags.forged``, ``promotion.unfinished`` or ``model.ungoverned``."""
    model: Subject
    target: str
    message: str
    expected: str | None
    """What the ledger says."""
    observed: str | None
    """What the registry says."""
    action: str = "none"
    """What was done: ``none``, ``reverted``, or ``not reverted: why``."""
    reference: str = ""
    """Where it stands in the ledger."""
    new: bool = True
    """False where an earlier run has recorded it already."""

    @property
    def key(self) -> tuple[str | None, ...]:
        """What makes two sightings one incident."""
        return (self.code, self.model.name, self.model.version, self.target, self.expected, self.observed)

    def __str__(self) -> str:
        done = "" if self.action == "none" else f" [{self.action}]"
        return f"{self.code}: {self.message}{done}"


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
        return tuple(item for item in self.open if item.action != "reverted")


def reconcile(
    registry: Registry,
    *,
    grounds: Grounds,
    signer: Signer,
    context: Context,
    revert: bool = False,
    models: Sequence[str] | None = None,
) -> Reconciliation:
    """Compare every model that the policy governs, and every other one that sits where a governed one would.

    An incident is recorded once, and again as resolved when it is gone.

    :param revert: put alias, stage and tags back to what the ledger says, where the version that belongs there still
        verifies
    :param models: only these registered models
    :raises EvidenceError: the ledger's chain is broken: there is nothing to compare with
    :raises DependencyError: MLflow, Vault or the ledger is down; try again
    """
    grounds.ledger.verify()
    names = sorted(set(models) if models else {*registry.names(), *grounds.policy.models})
    found: list[Incident] = []
    resolved: list[str] = []
    for name in names:
        with one_at_a_time(grounds.ledger, registry, name):
            history = collect(grounds.ledger, grounds.trust, model=name)[0]
            seen = list(_look(registry, name, grounds, history, context))
            if revert:
                seen = [_reverted(item, registry, grounds, history, context) for item in seen]
            noted, gone = _record(seen, history, grounds, signer, context)
            found += noted
            resolved += gone
    return Reconciliation(tuple(found), tuple(resolved), len(names))


def render_incidents(result: Reconciliation) -> str:
    """The words that go to a log and to the owners."""
    if not result.open and not result.resolved:
        return f"the registry agrees with the ledger: {result.models} models"
    lines = [f"{len(result.open)} incident(s) in {result.models} models"]
    lines += [f"  - {item.model.name} {item.target or ''}: {item} ({item.reference})" for item in result.open]
    lines += [f"  - resolved: {reference}" for reference in result.resolved]
    return "\n".join(lines)


# -- looking ----------------------------------------------------------------------------------------------------------


def _look(
    registry: Registry, name: str, grounds: Grounds, history: Sequence[Evidence], context: Context
) -> Iterator[Incident]:
    versions = registry.versions(name)
    if name not in grounds.policy.models:
        yield from _ungoverned(registry, name, versions, grounds)
        return
    for goal in grounds.policy.model(name).targets.values():
        timeline = Timeline(history, name, registry.uri, context.environment, goal.name)
        yield from _places(registry, versions, goal, timeline)
        yield from _incumbent(registry, goal, timeline, grounds)
        yield from _unfinished(timeline, context)
    yield from _tags(registry, versions, history)


def _ungoverned(
    registry: Registry, name: str, versions: Sequence[ModelVersion], grounds: Grounds
) -> Iterator[Incident]:
    goals = [goal for model in grounds.policy.models.values() for goal in model.targets.values()]
    stages, aliases = {goal.stage for goal in goals if goal.stage}, {goal.alias for goal in goals if goal.alias}
    pointed = registry.aliases(name)
    for version in versions:
        named = [alias for alias, number in pointed.items() if number == version.version and alias in aliases]
        held = [*([version.stage] if version.stage in stages else []), *named]
        if held:
            yield Incident(
                "model.ungoverned",
                _subject(registry, version, ()),
                "",
                f"version {version.version} is at {', '.join(held)}, and the policy does not govern {name}",
                None,
                ", ".join(held),
            )


def _places(
    registry: Registry, versions: Sequence[ModelVersion], goal: Target, timeline: Timeline
) -> Iterator[Incident]:
    """Alias and stage against the newest promotion."""
    current = timeline.current
    expected = version_of(current) if current else None
    if goal.alias:
        observed = registry.aliases(timeline.model).get(goal.alias)
        if observed != expected:
            yield _misplaced(registry, "alias", goal.alias, goal, timeline, versions, expected, observed)
    if goal.stage:
        allowed = {expected} if goal.archive_previous else {version_of(item) for item in timeline.promotions}
        inside = [item.version for item in versions if item.stage == goal.stage]
        for number in inside:
            if number not in allowed:
                yield _misplaced(registry, "stage", goal.stage, goal, timeline, versions, expected, number)
        if expected and expected not in inside and not set(inside) - allowed:
            yield _misplaced(registry, "stage", goal.stage, goal, timeline, versions, expected, None)


def _misplaced(
    registry: Registry,
    kind: str,
    place: str,
    goal: Target,
    timeline: Timeline,
    versions: Sequence[ModelVersion],
    expected: str | None,
    observed: str | None,
) -> Incident:
    version = next((item for item in versions if item.version == (observed or expected)), None)
    if version is None:
        subject = Subject("model", timeline.model, _promoted_digest(timeline), expected, registry.uri)
    else:
        subject = _subject(registry, version, timeline.history)
    code = "evidence.missing" if expected is None else f"{kind}.moved"
    said = f"by evidence it is version {expected}" if expected else "nothing was ever promoted there by evidence"
    is_at = f"is at version {observed}" if observed else "is at nobody"
    return Incident(code, subject, goal.name, f"{kind} {place} {is_at}; {said}", expected, f"{place}={observed}")


def _incumbent(registry: Registry, goal: Target, timeline: Timeline, grounds: Grounds) -> Iterator[Incident]:
    """The bytes and the evidence of the version that belongs there."""
    current = timeline.current
    if current is None:
        return
    number = version_of(current)
    subject = Subject("model", timeline.model, current.digest, number, timeline.registry)
    try:
        digest = registry.subject(registry.resolve({"name": timeline.model, "version": number})).digest
    except (ConfigurationError, EvidenceError) as error:
        message = f"the artifact of version {number} cannot be hashed: {error}"
        yield Incident("artifact.changed", subject, goal.name, message, current.digest, None)
        return
    if digest != current.digest:
        message = f"the artifact of version {number} is sha256:{digest[:12]} and was promoted as {current.digest[:12]}"
        yield Incident("artifact.changed", subject, goal.name, message, current.digest, digest)
        return
    problem = holds(registry, current, grounds)
    if problem:
        yield Incident("evidence.broken", subject, goal.name, problem, None, None)


def _unfinished(timeline: Timeline, context: Context) -> Iterator[Incident]:
    for intent in timeline.unfinished:
        if context.issued_at - intent.issued_at > UNFINISHED_AFTER:
            number = version_of(intent)
            subject = Subject("model", timeline.model, intent.digest, number, timeline.registry)
            message = f"the {intent.predicate['action']} of version {number} was begun ({intent.reference}), not ended"
            yield Incident("promotion.unfinished", subject, timeline.target, message, intent.reference, None)


def _tags(registry: Registry, versions: Sequence[ModelVersion], history: Sequence[Evidence]) -> Iterator[Incident]:
    """Every tag that claims a verdict, a state or a reference, against the evidence that would bear it out."""
    for version in versions:
        truth = tags_by_evidence(version, history)
        wrong = [key for key in version.tags if key in truth and version.tags[key] not in (*truth[key], _NO_EVIDENCE)]
        for key in wrong:
            message = f"version {version.version} is tagged {key}={version.tags[key][:80]!r}, and no evidence says so"
            yield Incident(
                "tags.forged", _subject(registry, version, history), "", message, "", f"{key}={version.tags[key][:200]}"
            )


def tags_by_evidence(version: ModelVersion, history: Sequence[Evidence]) -> dict[str, list[str]]:
    """Tag -> the values that evidence about the version bears out, newest last; only for tags that make a claim."""
    mine = [item for item in history if version_of(item) == version.version]
    truth: dict[str, list[str]] = {}
    for key in version.tags:
        word = key.removeprefix(_TAG)
        if not key.startswith(_TAG) or word == "updated" or word.endswith(".failed"):
            continue
        if word == "status":
            if version.tags[key].startswith("promoted to "):
                moved = [item.predicate["target"] for item in mine if item.kind == "promotion"]
                truth[key] = [f"promoted to {target}" for target in moved]
        elif word == "digest":
            truth[key] = [f"sha256:{item.digest}" for item in mine if item.kind == "provenance"]
        elif word in ("provenance", "promotion", "decision"):
            truth[key] = [item.reference for item in mine if item.kind == word]
        elif word.partition(".")[0] in GATES:
            gate, _, part = word.partition(".")
            judged = [item for item in mine if item.kind == "gate" and item.gate == gate]
            truth[key] = [item.reference if part == "evidence" else item.ours["verdict"] for item in judged[-1:]]
    return truth


# -- acting -----------------------------------------------------------------------------------------------------------


def _reverted(
    incident: Incident, registry: Registry, grounds: Grounds, history: Sequence[Evidence], context: Context
) -> Incident:
    """The incident with what was done about it."""
    try:
        if incident.code == "tags.forged":
            _write_true_tags(incident, registry, history)
        elif incident.code in ("alias.moved", "stage.moved", "evidence.missing") and incident.target:
            timeline = Timeline(history, incident.model.name, registry.uri, context.environment, incident.target)
            _put_back(incident, registry, grounds, timeline)
        else:
            return replace(incident, action="not reverted: roll back, or promote a version that holds")
    except MlgovError as error:
        return replace(incident, action=f"not reverted: {error}")
    return replace(incident, action="reverted")


def _put_back(incident: Incident, registry: Registry, grounds: Grounds, timeline: Timeline) -> None:
    goal = grounds.policy.model(timeline.model).target(timeline.target)
    place, _, observed = str(incident.observed).partition("=")
    intruder = None if observed == "None" else registry.resolve({"name": timeline.model, "version": observed})
    current = timeline.current
    if current is None:
        if place == goal.alias:
            registry.delete_alias(timeline.model, place)
        elif intruder:
            registry.transition_stage(intruder, "None")
        return
    problem = holds(registry, current, grounds)
    if problem:
        raise EvidenceError(f"the version that belongs there does not hold: {problem}")
    rightful = registry.resolve({"name": timeline.model, "version": version_of(current)})
    if place == goal.alias:
        registry.set_alias(rightful, place)
        return
    if intruder:
        registry.transition_stage(intruder, "None")
    if rightful.stage != goal.stage and goal.stage:
        registry.transition_stage(rightful, goal.stage)


def _write_true_tags(incident: Incident, registry: Registry, history: Sequence[Evidence]) -> None:
    version = registry.resolve({"name": incident.model.name, "version": incident.model.version})
    key = str(incident.observed).partition("=")[0]
    borne_out = tags_by_evidence(version, history).get(key) or [_NO_EVIDENCE]
    registry.set_tags(version, {key: borne_out[-1]})


def _record(
    seen: Iterable[Incident], history: Sequence[Evidence], grounds: Grounds, signer: Signer, context: Context
) -> tuple[list[Incident], list[str]]:
    """Sign what is new, and what is gone."""
    known = {_key(item): item for item in history if item.kind == "incident"}
    open_before = {key: item for key, item in known.items() if item.predicate["state"] == "open"}
    noted: list[Incident] = []
    for incident in seen:
        before = open_before.pop(incident.key, None)
        if before is not None and before.predicate["action"] == incident.action:
            noted.append(replace(incident, reference=before.reference, new=False))
            continue
        state = "resolved" if incident.action == "reverted" else "open"
        entry = grounds.ledger.attest(_statement(incident, state, context), signer)
        noted.append(replace(incident, reference=entry.reference, new=before is None))
    gone = []
    for before in open_before.values():
        subject = Subject(**before.ours["subject"])
        said = before.predicate
        incident = Incident(
            said["code"], subject, said["target"], said["message"], said["expected"], said["observed"], "none"
        )
        gone.append(grounds.ledger.attest(_statement(incident, "resolved", context), signer).reference)
    return noted, gone


def _statement(incident: Incident, state: str, context: Context) -> IncidentStatement:
    return incident_statement(
        incident.model,
        code=incident.code,
        target=incident.target,
        state=state,
        message=incident.message,
        expected=incident.expected,
        observed=incident.observed,
        action=incident.action,
        context=context,
    )


def _key(item: Evidence) -> tuple[str | None, ...]:
    subject, said = item.ours["subject"], item.predicate
    return (said["code"], subject["name"], subject["version"], said["target"], said["expected"], said["observed"])


def _subject(registry: Registry, version: ModelVersion, history: Sequence[Evidence]) -> Subject:
    """A version by its bytes as they are; by what the ledger last knew where it has none."""
    try:
        return registry.subject(version)
    except (ConfigurationError, EvidenceError):
        known = [item.digest for item in history if version_of(item) == version.version]
        digest = known[-1] if known else UNKNOWN_DIGEST
        return Subject("model", version.name, digest, version.version, registry.uri)


def _promoted_digest(timeline: Timeline) -> str:
    return timeline.current.digest if timeline.current else UNKNOWN_DIGEST
