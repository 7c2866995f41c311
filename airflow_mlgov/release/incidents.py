"""What the registry says and the ledger does not: what was moved, changed or written by hand.

Looks and changes nothing; the ledger decides what is right, MLflow's tags never do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
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
from airflow_mlgov.release.places import Place, still_held
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
        yield from _ungoverned(desk, name, versions, history)
        return
    targets = desk.policy.model(name).targets.values()
    goals = [_Goal(goal, desk.timeline(history, name, goal.name), desk.place(name, goal)) for goal in targets]
    own = Place(desk.registry, name)
    seen = {own: _Seen(own, versions)}
    for place in (one.place for one in goals if one.place not in seen):
        seen[place] = _Seen(place, place.registry.versions(place.model))
    for one in goals:  # who is where comes before the bytes, which may be anywhere
        yield from _places(one, seen[one.place])
        yield from _unfinished(one.timeline, desk.now)
        yield from _unmonitored(one.goal, one.timeline, desk.now)
    for place, there in seen.items():
        yield from _tags(place.registry, there.versions, history, None if place == own else place)
    for one in goals:
        yield from _incumbent(desk, records, one, seen)


@dataclass(frozen=True)
class _Goal:
    """A target of a model: what has happened there, and where it is."""

    goal: Target
    timeline: Timeline
    place: Place


@dataclass
class _Seen:
    """What is at a place, each part looked at once."""

    place: Place
    versions: Sequence[ModelVersion]
    hashed: dict[str, Subject] = field(default_factory=dict)
    """By number."""

    @cached_property
    def pointed(self) -> Mapping[str, str]:
        """Every alias, and where it points."""
        return self.place.registry.aliases(self.place.model)


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


def _ungoverned(
    desk: Desk, name: str, versions: Sequence[ModelVersion], history: Sequence[Evidence]
) -> Iterator[Incident]:
    mine = [goal for _, goal in desk.copied_into(name)]  # which are looked at with what is copied
    goals = [goal for model in desk.policy.models.values() for goal in model.targets.values() if goal.copy_to is None]
    stages, aliases = {goal.stage for goal in goals if goal.stage}, {goal.alias for goal in goals if goal.alias}
    stages -= {goal.stage for goal in mine}
    aliases -= {goal.alias for goal in mine}
    for target in sorted({item.statement.target for item in only(history, PromotionStatement)}):  # of a policy before
        current = desk.timeline(history, name, target).current
        if current is not None and current.statement.copy is None:
            left = {*still_held(desk.registry, current, history)}
            stages, aliases = stages | left, aliases | left
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


def _places(one: _Goal, seen: _Seen) -> Iterator[Incident]:
    """Alias and stage against the newest promotion."""
    goal, timeline, place = one.goal, one.timeline, one.place
    expected = place.number(timeline.current) if timeline.current else None
    if goal.alias:
        observed = seen.pointed.get(goal.alias)
        if observed != expected:
            yield _misplaced(one, seen, "alias", goal.alias, expected, observed)
    if goal.stage:
        allowed = {expected} if goal.archive_previous else {place.number(item) for item in timeline.promotions}
        inside = [item.version for item in seen.versions if item.stage == goal.stage]
        for number in inside:
            if number not in allowed:
                yield _misplaced(one, seen, "stage", goal.stage, expected, number)
        if expected and expected not in inside and not set(inside) - allowed:
            yield _misplaced(one, seen, "stage", goal.stage, expected, None)


def _misplaced(one: _Goal, seen: _Seen, kind: str, held: str, expected: str | None, observed: str | None) -> Incident:
    place, timeline = one.place, one.timeline
    version = next((item for item in seen.versions if item.version == (observed or expected)), None)
    if version is None:
        subject = Subject("model", place.model, _promoted_digest(timeline), expected, place.registry.uri)
    else:
        subject = _subject(place.registry, version, timeline.history if place.model == timeline.model else ())
    code = "evidence.missing" if expected is None else f"{kind}.moved"
    said = f"by evidence it is version {expected}" if expected else "nothing was ever promoted there by evidence"
    is_at = f"is at version {observed}" if observed else "is at nobody"
    whose = "" if place.model == timeline.model else f" of {place.model}"
    message = f"{kind} {held}{whose} {is_at}; {said}"
    return Incident(code, subject, one.goal.name, message, expected, f"{held}={observed}")


def _incumbent(desk: Desk, records: Verified, one: _Goal, seen: Mapping[Place, _Seen]) -> Iterator[Incident]:
    """The bytes and the evidence of what belongs there, the version or its copy.

    :param seen: keeps what was hashed for another target
    """
    goal, current = one.goal, one.timeline.current
    if current is None:
        return
    number, subject = str(current.statement.placed.version), current.statement.placed
    try:
        place = desk.place_of(current)
        there = seen.get(place) or _Seen(place, ())
        if number not in there.hashed:
            listed = next((item for item in there.versions if item.version == number), None)
            there.hashed[number] = place.registry.subject(listed or place.version(number))
        digest = there.hashed[number].digest
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
        problem = why_unfit(desk, records, current, replace(current.subject, digest=digest))
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


def _tags(
    registry: Registry, versions: Sequence[ModelVersion], history: Sequence[Evidence], copies: Place | None
) -> Iterator[Incident]:
    """Every tag that claims a verdict, a state or a reference, against the evidence that would bear it out."""
    for version in versions:
        truth = tags_by_evidence(version, history, copies)
        wrong = [key for key in version.tags if key in truth and version.tags[key] not in (*truth[key], NO_EVIDENCE)]
        for key in wrong:
            message = f"version {version.version} is tagged {key}={version.tags[key][:80]!r}, and no evidence says so"
            subject = _subject(registry, version, () if copies else history)
            yield Incident("tags.forged", subject, "", message, "", f"{key}={version.tags[key][:200]}")


def tags_by_evidence(
    version: ModelVersion, history: Sequence[Evidence], copies: Place | None = None
) -> dict[str, list[str]]:
    """Tag -> the values that evidence about the version bears out, newest last; only for tags that make a claim.

    :param copies: where the version is, if it is no version of the model but a copy of one, or pretends to be
    """
    mine = _of_copy(version, history, copies) if copies else [i for i in history if version_of(i) == version.version]
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


def _of_copy(version: ModelVersion, history: Sequence[Evidence], copies: Place) -> list[Evidence]:
    """The evidence about what a copy was made of, of promotions its own alone."""
    moves = only(history, PromotionStatement)
    own = [item for item in moves if copies.number(item) == version.version]
    made_of = {(version_of(item), item.digest) for item in own}
    others = {item.seq for item in moves} - {item.seq for item in own}
    return [item for item in history if (version_of(item), item.digest) in made_of and item.seq not in others]


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
