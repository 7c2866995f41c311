"""What the registry says and the ledger does not: what was moved, changed or written by hand.

Looks and changes nothing; the ledger decides what is right, MLflow's tags never do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_mlgov import catalogue
from airflow_mlgov.errors import ConfigurationError, DependencyError, EvidenceError, MlgovError
from airflow_mlgov.evidence.chain import Verified
from airflow_mlgov.evidence.statements import GateStatement, PromotionStatement
from airflow_mlgov.evidence.verification import Evidence, only
from airflow_mlgov.governance.judgement import WHAT_IF
from airflow_mlgov.governance.policy import Target
from airflow_mlgov.release.desk import Desk
from airflow_mlgov.release.monitoring import what_is_wrong
from airflow_mlgov.release.standing import why_unfit
from airflow_mlgov.release.timeline import Timeline, version_of
from airflow_mlgov.results import Subject
from airflow_mlgov.words import line

if TYPE_CHECKING:
    from airflow_mlgov.registry.protocol import ModelVersion, Registry

UNFINISHED_AFTER = timedelta(minutes=15)
"""An intent that is older and still open is an incident: its process was killed and nobody has started it again."""
UNKNOWN_DIGEST = "0" * 64
"""Stands for the bytes of a version that the ledger has never seen and the registry cannot hand over."""
_TAG = "mlgov."
NO_EVIDENCE = "no evidence"
"""What a forged tag is set to if no evidence bears anything out."""
REVERTED = "reverted"
"""The action of an incident that was put right."""


@dataclass(frozen=True)
class Incident:
    """One thing that the registry says and the ledger does not."""

    code: str
    """``alias.moved``, ``stage.moved``, ``artifact.changed``, ``evidence.missing``, ``evidence.broken``,
    ``tags.forged``, ``promotion.unfinished``, ``model.ungoverned``, ``monitoring.failed`` or ``monitoring.missing``;
    ``model.unseen`` or ``version.unseen`` if it could not be looked at."""
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
    def settled(self) -> bool:
        """Whether it was put right."""
        return self.action == REVERTED

    @property
    def key(self) -> tuple[str | None, ...]:
        """What makes two sightings one incident."""
        return (self.code, self.model.name, self.model.version, self.target, self.expected, self.observed)

    def __str__(self) -> str:
        done = "" if self.action == "none" else f" [{self.action}]"
        return line(f"{self.code}: {self.message}{done}")


def look(desk: Desk, records: Verified, name: str, history: Sequence[Evidence]) -> Iterator[Incident]:
    """Everything about one registered model that the registry says and the ledger does not.

    :param history: all that verifies about the model
    """
    versions = desk.registry.versions(name)
    if name not in desk.policy.models:
        yield from _ungoverned(desk, name, versions)
        return
    goals = [(goal, desk.timeline(history, name, goal.name)) for goal in desk.policy.model(name).targets.values()]
    pointed = desk.registry.aliases(name) if any(goal.alias for goal, _ in goals) else {}
    for goal, timeline in goals:  # who is where comes before the bytes, which may be anywhere
        yield from _places(desk.registry, versions, pointed, goal, timeline)
        yield from _unfinished(timeline, desk.now)
        yield from _unmonitored(goal, timeline, desk.now)
    yield from _tags(desk.registry, versions, history)
    hashed: dict[str, Subject] = {}
    for goal, timeline in goals:
        yield from _incumbent(desk, records, versions, goal, timeline, hashed)


def _unmonitored(goal: Target, timeline: Timeline, now: datetime) -> Iterator[Incident]:
    """What live data says against whoever holds the target, or that nobody has looked."""
    current = timeline.current
    if goal.monitoring is None or current is None:
        return
    for code, message in what_is_wrong(goal.monitoring, timeline, current, now):
        yield Incident(code, current.subject, goal.name, message, "PASS on live data", code)


def unseen(desk: Desk, name: str, error: Exception) -> Incident:
    """That a registered model could not be looked at: nobody knows what is wrong with it."""
    subject = Subject("model", name, UNKNOWN_DIGEST, "0", desk.registry.uri)
    return Incident("model.unseen", subject, "", f"{name} could not be looked at: {_said(error)}", None, None)


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, MlgovError) else type(error).__name__


def _ungoverned(desk: Desk, name: str, versions: Sequence[ModelVersion]) -> Iterator[Incident]:
    goals = [goal for model in desk.policy.models.values() for goal in model.targets.values()]
    stages, aliases = {goal.stage for goal in goals if goal.stage}, {goal.alias for goal in goals if goal.alias}
    pointed = desk.registry.aliases(name)
    for version in versions:
        named = [alias for alias, number in pointed.items() if number == version.version and alias in aliases]
        held = [*([version.stage] if version.stage in stages else []), *named]
        if held:
            yield Incident(
                "model.ungoverned",
                _subject(desk.registry, version, ()),
                "",
                f"version {version.version} is at {', '.join(held)}, and the policy does not govern {name}",
                None,
                ", ".join(held),
            )


def _places(
    registry: Registry,
    versions: Sequence[ModelVersion],
    pointed: Mapping[str, str],
    goal: Target,
    timeline: Timeline,
) -> Iterator[Incident]:
    """Alias and stage against the newest promotion."""
    current = timeline.current
    expected = version_of(current) if current else None
    if goal.alias:
        observed = pointed.get(goal.alias)
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


def _incumbent(
    desk: Desk,
    records: Verified,
    versions: Sequence[ModelVersion],
    goal: Target,
    timeline: Timeline,
    hashed: dict[str, Subject],
) -> Iterator[Incident]:
    """The bytes and the evidence of the version that belongs there.

    :param hashed: by number, what was hashed for another target; it is added to
    """
    current = timeline.current
    if current is None:
        return
    number = version_of(current)
    subject = Subject("model", timeline.model, current.digest, number, timeline.registry)
    try:
        if number not in hashed:
            listed = next((item for item in versions if item.version == number), None)
            named = {"name": timeline.model, "version": number}
            hashed[number] = desk.registry.subject(listed or desk.registry.resolve(named))
        digest = hashed[number].digest
    except (ConfigurationError, EvidenceError) as error:
        message = f"the artifact of version {number} cannot be hashed: {error}"
        yield Incident("artifact.changed", subject, goal.name, message, current.digest, None)
        return
    except Exception as error:  # whatever a driver of somebody's store raises
        message = f"version {number} could not be looked at: {_said(error)}"
        yield Incident("version.unseen", subject, goal.name, message, current.digest, None)
        return
    if digest != current.digest:
        message = f"the artifact of version {number} is sha256:{digest[:12]} and was promoted as {current.digest[:12]}"
        yield Incident("artifact.changed", subject, goal.name, message, current.digest, digest)
        return
    try:
        problem = why_unfit(desk, records, current, hashed[number])
    except DependencyError as error:
        yield Incident("version.unseen", subject, goal.name, f"version {number}: {error}", current.digest, None)
        return
    if problem:
        yield Incident("evidence.broken", subject, goal.name, problem, None, None)


def _unfinished(timeline: Timeline, now: datetime) -> Iterator[Incident]:
    for intent in timeline.unfinished:
        if now - intent.issued_at > UNFINISHED_AFTER:
            number = version_of(intent)
            subject = Subject("model", timeline.model, intent.digest, number, timeline.registry)
            message = f"the {intent.statement.action} of version {number} was begun ({intent.reference}), not ended"
            yield Incident("promotion.unfinished", subject, timeline.target, message, intent.reference, None)


def _tags(registry: Registry, versions: Sequence[ModelVersion], history: Sequence[Evidence]) -> Iterator[Incident]:
    """Every tag that claims a verdict, a state or a reference, against the evidence that would bear it out."""
    for version in versions:
        truth = tags_by_evidence(version, history)
        wrong = [key for key in version.tags if key in truth and version.tags[key] not in (*truth[key], NO_EVIDENCE)]
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
                moved = [item.statement for item in only(mine, PromotionStatement)]
                truth[key] = [f"promoted to {move.target}" for move in moved]
        elif word == "digest":
            truth[key] = [f"sha256:{item.digest}" for item in mine if item.kind == "provenance"]
        elif word in ("provenance", "promotion", "decision"):
            truth[key] = [item.reference for item in mine if item.kind == word]
        elif word.partition(".")[0] in catalogue.names():
            gate, _, part = word.partition(".")
            judged = [
                item for item in only(mine, GateStatement) if item.gate == gate and item.statement.purpose != WHAT_IF
            ]
            truth[key] = [item.reference if part == "evidence" else str(item.statement.verdict) for item in judged[-1:]]
    return truth


def _subject(registry: Registry, version: ModelVersion, history: Sequence[Evidence]) -> Subject:
    """A version by its bytes as they are; by what the ledger last knew if they cannot be had, because that a version is
    where it does not belong must be said whatever its source."""
    try:
        return registry.subject(version)
    except Exception:  # whatever a driver of somebody's store raises
        known = [item.digest for item in history if version_of(item) == version.version]
        digest = known[-1] if known else UNKNOWN_DIGEST
        return Subject("model", version.name, digest, version.version, registry.uri)


def _promoted_digest(timeline: Timeline) -> str:
    return timeline.current.digest if timeline.current else UNKNOWN_DIGEST
