"""Rollback: back to the newest earlier version whose artifact still hashes and whose evidence still verifies.

Asks for no new approval, because that version had one; refuses if no version holds.
"""

from __future__ import annotations

from collections.abc import Callable

from airflow_mlgov.errors import ConfigurationError, DependencyError, PromotionRefused
from airflow_mlgov.evidence.chain import Verified
from airflow_mlgov.evidence.statements import IntentStatement, PromotionStatement
from airflow_mlgov.evidence.verification import Evidence
from airflow_mlgov.governance.policy import Target
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.release.desk import Desk
from airflow_mlgov.release.mover import Mover
from airflow_mlgov.release.promotion import Promotion
from airflow_mlgov.release.standing import why_unfit
from airflow_mlgov.release.timeline import Timeline, version_of
from airflow_mlgov.results import Subject


def roll_back(desk: Desk, name: str, target: str, *, reason: str, to: str | None = None) -> Promotion:
    """Move the target back to an earlier version, and take the stage from the one that it is rolled back from.

    What that one was measured with before counts no more: it needs its gates again to come back. Idempotent, as
    ``promote`` is.

    :param reason: why; it is signed
    :param to: the version to go back to; the newest one that holds if omitted
    :raises PromotionRefused: nothing was promoted before, or no earlier version (or not the wanted one) holds
    :raises ConfigurationError: no reason is given, the policy does not know the model or the target, or the trust root
        does not know who signs
    :raises EvidenceError: the ledger's chain is broken
    :raises DependencyError: MLflow, Vault or the ledger is down; try again
    """
    if not reason.strip():
        raise ConfigurationError("a rollback needs a reason", code="rollback.reason_missing")
    desk.require_signer(PromotionStatement.duty)
    goal = desk.policy.model(name).target(target)
    with desk.one_at_a_time(name) as confirm:
        records = desk.walk()
        history = desk.history(records, name)
        timeline = desk.timeline(history, name, target)
        try:
            chosen = _choose(desk, records, timeline, to)
        except PromotionRefused:
            _give_up(desk, goal, timeline, confirm)
            raise
        version = _version(desk, chosen)
        model = Subject("model", name, chosen.digest, version.version, desk.registry.uri)
        place = desk.place(name, goal)
        mover = Mover(desk, version, place, goal, timeline, confirm, lambda: _look_again(desk, records, chosen))
        decision = chosen.statement.decision
        done = mover.complete(
            model,
            decision,
            action="rollback",
            reason=reason.strip(),
            mark=desk.ledger.keep_index(records),
            obligations=chosen.statement.obligations,
        )
    allowed_by = next((item.reference for item in history if item.sha256 == decision), "")
    copy = done.copy.model if done.copy else None
    return Promotion(model, goal, done.moved, allowed_by, done.record, copy=copy)


def _version(desk: Desk, moved: Evidence[PromotionStatement] | Evidence[IntentStatement]) -> ModelVersion:
    """The version that was moved; what was copied may be gone from where it came from."""
    if moved.statement.copy is not None:
        return ModelVersion(moved.subject.name, version_of(moved))
    return desk.registry.resolve({"name": moved.subject.name, "version": version_of(moved)})


def _give_up(desk: Desk, goal: Target, timeline: Timeline, confirm: Callable[[], None]) -> None:
    """Put back what an interrupted rollback had moved: nobody will end it, for its version does not hold any more."""
    begun = {version_of(item): item for item in timeline.unfinished if item.statement.action == "rollback"}
    place = desk.place(timeline.model, goal)
    for _, intent in sorted(begun.items()):
        Mover(desk, _version(desk, intent), place, goal, timeline, confirm).give_up()


def _look_again(desk: Desk, records: Verified, chosen: Evidence[PromotionStatement]) -> None:
    """Evidence may have come in since the version was chosen.

    :raises PromotionRefused: it does not hold any more
    """
    now = desk.walk(records)
    news = {entry.kind for entry in now.newer(records.head.size)} - {"intent"}
    problem = why_unfit(desk, now, chosen) if news else None
    if problem:
        raise PromotionRefused("the version that was chosen does not hold any more", [("rollback.unfit", problem)])


def _choose(desk: Desk, records: Verified, timeline: Timeline, to: str | None) -> Evidence[PromotionStatement]:
    current = timeline.current
    if current is None:
        raise PromotionRefused(
            f"nothing of {timeline.model} was promoted to {timeline.target!r} by evidence, so there is nothing to go "
            "back to"
        )
    candidates = [
        item for item in timeline.earlier(version_of(current), current.digest) if to in (None, version_of(item))
    ]
    problems: list[tuple[str, str]] = []
    outage: DependencyError | None = None
    for promotion in candidates:
        try:
            problem = why_unfit(desk, records, promotion)
        except DependencyError as error:  # perhaps of this version alone, whose files may be anywhere
            outage, problem = error, f"version {version_of(promotion)}: {error}"
        if problem is None:
            return promotion
        problems.append(("rollback.unfit", problem))
    if outage is not None:
        raise outage
    if not problems:
        which = f"version {to}" if to else "any earlier version"
        problems.append(("rollback.missing", f"the ledger has no promotion of {which} that was not taken back"))
    raise PromotionRefused(
        f"{timeline.model} cannot be rolled back from version {version_of(current)} at {timeline.target!r}", problems
    )
