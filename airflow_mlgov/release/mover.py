"""Moves one version to one target in steps that can be taken twice: copy, intent, stage, alias, read back, record.

Killed between any two steps and started again, it ends in the same state with one promotion recorded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError, DependencyError, EvidenceError, MlgovError
from airflow_mlgov.evidence.chain import Head
from airflow_mlgov.evidence.statements import Copy, IntentStatement, OwedAudit, PromotionStatement
from airflow_mlgov.evidence.verification import Evidence
from airflow_mlgov.governance.policy import Target
from airflow_mlgov.registry.protocol import in_stage
from airflow_mlgov.release.desk import Desk
from airflow_mlgov.release.places import Place, put_there
from airflow_mlgov.release.timeline import Timeline, version_of
from airflow_mlgov.results import Subject
from airflow_mlgov.words import line

if TYPE_CHECKING:
    from airflow_mlgov.registry.protocol import ModelVersion


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Moved:
    """What was moved."""

    placed: ModelVersion
    """The version, or its copy."""
    copy: Copy | None
    moved: Mapping[str, Any]
    """Stage and alias, with who held them before; empty if it was there already."""
    record: str
    """Reference of the promotion."""


@dataclass(frozen=True)
class Mover:
    """Moves one version, or its copy, to one target in steps that can be taken twice."""

    desk: Desk
    version: ModelVersion
    """Of the model that is governed, also where a copy is moved."""
    place: Place
    goal: Target
    timeline: Timeline
    confirm: Callable[[], None]
    """Raises if this process no longer has the model to itself."""
    still_stands: Callable[[], None] = lambda: None
    """Asked right before anything is moved: raises if what the decision rests on has changed since."""

    def complete(
        self,
        model: Subject,
        decision: str,
        *,
        action: str,
        reason: str,
        mark: Head,
        obligations: Sequence[OwedAudit],
    ) -> Moved:
        """Go on where an interrupted process stopped, or begin.

        Whatever goes wrong for good after a first move, what was moved is put back. What may be mended by trying again
        stays as it is, for the next try goes on from there.

        :param decision: SHA-256 of the envelope of the decision that allows it
        :param obligations: the audits that are owed for it; others than before make a new record
        """
        place, history = self.place, self.timeline.history
        placed, copy = put_there(place, self.desk.registry, self.version, model, history, self.confirm)
        current = self.timeline.current
        there = (
            current is not None
            and version_of(current) == self.version.version
            and place.number(current) == placed.version
            and current.digest == model.digest
            and _ids(current.statement.obligations) == _ids(obligations)
        )
        opened = self._opened(action, placed)
        now = self._present()
        if current is not None and there and opened is None and self._is_there(now, placed):
            return Moved(placed, copy, {}, current.reference)
        if opened is None:
            before = now
            said, intent = self._announce(model, copy, action, before, decision)
        else:
            before, said, intent = dict(opened.statement.before), opened.statement, opened.sha256
        archive = self.goal.archive_previous or action == "rollback"
        try:
            self.still_stands()
            self._move(now, placed, archive)
            self._read_back(placed, archive)
        except DependencyError:
            raise
        except Exception:
            self._take_back(said, intent)
            raise
        for other in self.timeline.unfinished:
            if other.sha256 != intent:
                self._abandon(other.statement, other.sha256)
        moved = self._moved(before, placed)
        statement = PromotionStatement(
            model,
            self.desk.context,
            target=self.goal.name,
            action=action,
            decision=decision,
            intent=intent,
            moved=moved,
            replaces=self._replaced(before, placed),
            reason=reason,
            checkpoint=mark.mark,
            obligations=tuple(obligations),
            copy=copy,
        )
        return Moved(placed, copy, moved, self.desk.attest(statement).reference)

    def give_up(self) -> None:
        """Put back what an interrupted process had moved for this version, and record that it was given up."""
        for intent in self.timeline.unfinished:
            if version_of(intent) == self.version.version:
                self._put_back(intent.statement.before, self.place.number(intent))
                self._abandon(intent.statement, intent.sha256)

    def _take_back(self, said: IntentStatement, sha256: str) -> None:
        """As :meth:`give_up`, of one intent; what cannot be put back is left to the reconciler, which finds it open."""
        try:
            self._put_back(said.before, said.placed.version)
            self._abandon(said, sha256)
        except MlgovError as error:
            log.error("what was moved of %s could not be put back: %s", line(self.version), line(error))

    def _opened(self, action: str, placed: ModelVersion) -> Evidence[IntentStatement] | None:
        found = [
            item
            for item in self.timeline.unfinished
            if version_of(item) == self.version.version
            and item.statement.action == action
            and self.place.number(item) == placed.version
        ]
        return found[-1] if found else None

    def _present(self) -> dict[str, Any]:
        """Who is in the stage, and who holds the alias."""
        registry, name, goal = self.place.registry, self.place.model, self.goal
        return {
            "stage": [item.version for item in in_stage(registry, name, goal.stage)],
            "alias": registry.aliases(name).get(goal.alias) if goal.alias else None,
        }

    def _is_there(self, now: Mapping[str, Any], placed: ModelVersion) -> bool:
        number = placed.version
        return (not self.goal.stage or number in now["stage"]) and (not self.goal.alias or now["alias"] == number)

    def _announce(
        self, model: Subject, copy: Copy | None, action: str, before: Mapping[str, Any], decision: str
    ) -> tuple[IntentStatement, str]:
        """The intent, and the SHA-256 of its envelope."""
        statement = IntentStatement(
            model,
            self.desk.context,
            target=self.goal.name,
            action=action,
            state="opened",
            before=before,
            after={"stage": self.goal.stage, "alias": self.goal.alias},
            grounds=decision,
            copy=copy,
        )
        return statement, self.desk.attest(statement).envelope_sha256

    def _move(self, now: Mapping[str, Any], placed: ModelVersion, archive: bool) -> None:
        """Stage, then alias, each only where it was not there yet. What somebody else has moved since is found when
        all is read back."""
        registry, number = self.place.registry, placed.version
        if self.goal.stage and (number not in now["stage"] or (archive and self._others(now, placed))):
            self.confirm()
            registry.transition_stage(placed, self.goal.stage, archive_existing=archive, read_back=False)
        if self.goal.alias and now["alias"] != number:
            self.confirm()
            registry.set_alias(placed, self.goal.alias, read_back=False)

    @staticmethod
    def _others(now: Mapping[str, Any], placed: ModelVersion) -> list[str]:
        return [item for item in now["stage"] if item != placed.version]

    def _read_back(self, placed: ModelVersion, archive: bool) -> None:
        """Both at once, after both were moved: nobody has moved the first while the second was."""
        if not archive and self._says_so_itself(placed):
            return
        now = self._present()
        if not self._is_there(now, placed) or (archive and self._others(now, placed)):
            raise EvidenceError(
                f"the registry does not read back what was set: stage {self.goal.stage} holds {now['stage']}, alias "
                f"{self.goal.alias} is version {now['alias'] or 'nobody'}, not {placed.version}",
                code="registry.not_read_back",
            )

    def _says_so_itself(self, placed: ModelVersion) -> bool:
        """Whether the version, asked by one call, stands where it was moved; no if it is gone or names no alias."""
        try:
            now = self.place.version(placed.version)
        except ConfigurationError:
            return False
        goal = self.goal
        return (not goal.stage or now.stage == goal.stage) and (not goal.alias or goal.alias in now.aliases)

    def _moved(self, before: Mapping[str, Any], placed: ModelVersion) -> dict[str, Any]:
        moved: dict[str, Any] = {}
        number, others = placed.version, self._others(before, placed)
        if self.goal.stage and (number not in before["stage"] or others):
            moved["stage"] = {"to": self.goal.stage, "previous": others, "archived": self.goal.archive_previous}
        if self.goal.alias and before["alias"] != number:
            moved["alias"] = {"to": self.goal.alias, "previous": before["alias"]}
        return moved

    def _replaced(self, before: Mapping[str, Any], placed: ModelVersion) -> str | None:
        """Who held the target: by the ledger, and by the registry where the ledger knows nobody else."""
        current = self.timeline.current
        if current is not None and version_of(current) != self.version.version:
            return version_of(current)
        others = [item for item in (before["alias"], *before["stage"]) if item and item != placed.version]
        return self.place.said(next(iter(others), None), self.version.name)

    def _put_back(self, before: Mapping[str, Any], number: str | None) -> None:
        """Take from a version of the place what it was given; None: it was given nothing here."""
        now, registry, goal = self._present(), self.place.registry, self.goal
        rightful = self.place.number(self.timeline.current) if self.timeline.current else before["alias"]
        if number is not None and goal.alias and now["alias"] == number != rightful:
            self.confirm()
            if rightful:
                registry.set_alias(self.place.version(rightful), goal.alias)
            else:
                registry.delete_alias(self.place.model, goal.alias)
        if number is not None and goal.stage and number in now["stage"] and number not in before["stage"]:
            self.confirm()
            own = self.place.model == self.version.name  # a copy stood nowhere
            stood = self.version.stage if own and self.version.stage != goal.stage else None
            registry.transition_stage(self.place.version(number), stood or "None")
            for other in before["stage"]:
                self.confirm()
                registry.transition_stage(self.place.version(other), goal.stage)

    def _abandon(self, said: IntentStatement, sha256: str) -> None:
        """Record that an intent was given up."""
        self.desk.attest(
            IntentStatement(
                said.subject,
                self.desk.context,
                target=self.goal.name,
                action=said.action,
                state="abandoned",
                before=said.before,
                after=said.after,
                grounds=sha256,
                copy=said.copy,
            )
        )


def _ids(obligations: Sequence[OwedAudit]) -> set[str]:
    return {item.id for item in obligations}
