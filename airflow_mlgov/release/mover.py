"""Moves one version to one target in steps that can be taken twice: intent, stage, alias, read back, record.

Killed between any two steps and started again, it ends in the same state with one promotion recorded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import DependencyError, EvidenceError, MlgovError
from airflow_mlgov.evidence.chain import Head
from airflow_mlgov.evidence.statements import IntentStatement, OwedAudit, PromotionStatement
from airflow_mlgov.evidence.verification import Evidence
from airflow_mlgov.governance.policy import Target
from airflow_mlgov.registry.protocol import in_stage
from airflow_mlgov.release.desk import Desk
from airflow_mlgov.release.timeline import Timeline, version_of
from airflow_mlgov.results import Subject
from airflow_mlgov.words import line

if TYPE_CHECKING:
    from airflow_mlgov.registry.protocol import ModelVersion


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mover:
    """Moves one version to one target in steps that can be taken twice: intent, stage, alias, read back, record."""

    desk: Desk
    version: ModelVersion
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
    ) -> tuple[dict[str, Any], str]:
        """Go on where an interrupted process stopped, or begin; what was moved, and the reference of the record.

        Whatever goes wrong for good after a first move, what was moved is put back. What may be mended by trying again
        stays as it is, for the next try goes on from there.

        :param decision: SHA-256 of the envelope of the decision that allows it
        :param obligations: the audits that are owed for it; others than before make a new record
        """
        current = self.timeline.current
        there = (
            current is not None
            and version_of(current) == self.version.version
            and current.digest == model.digest
            and _ids(current.statement.obligations) == _ids(obligations)
        )
        opened = self._opened(action)
        now = self._present()
        if current is not None and there and opened is None and self._is_there(now):
            return {}, current.reference
        if opened is None:
            before = now
            said, intent = self._announce(model, action, before, decision)
        else:
            before, said, intent = dict(opened.statement.before), opened.statement, opened.sha256
        archive = self.goal.archive_previous or action == "rollback"
        try:
            self.still_stands()
            self._move(now, archive)
            self._read_back(archive)
        except DependencyError:
            raise
        except Exception:
            self._take_back(said, intent)
            raise
        for other in self.timeline.unfinished:
            if other.sha256 != intent:
                self._abandon(other.statement, other.sha256)
        moved = self._moved(before)
        statement = PromotionStatement(
            model,
            self.desk.context,
            target=self.goal.name,
            action=action,
            decision=decision,
            intent=intent,
            moved=moved,
            replaces=self._replaced(before),
            reason=reason,
            checkpoint=mark.mark,
            obligations=tuple(obligations),
        )
        return moved, self.desk.attest(statement).reference

    def give_up(self) -> None:
        """Put back what an interrupted process had moved for this version, and record that it was given up."""
        for intent in self.timeline.unfinished:
            if version_of(intent) == self.version.version:
                self._put_back(intent.statement.before)
                self._abandon(intent.statement, intent.sha256)

    def _take_back(self, said: IntentStatement, sha256: str) -> None:
        """As :meth:`give_up`, of one intent; what cannot be put back is left to the reconciler, which finds it open."""
        try:
            self._put_back(said.before)
            self._abandon(said, sha256)
        except MlgovError as error:
            log.error("what was moved of %s could not be put back: %s", line(self.version), line(error))

    def _opened(self, action: str) -> Evidence[IntentStatement] | None:
        found = [
            item
            for item in self.timeline.unfinished
            if version_of(item) == self.version.version and item.statement.action == action
        ]
        return found[-1] if found else None

    def _present(self) -> dict[str, Any]:
        """Who is in the stage, and who holds the alias."""
        name, goal = self.version.name, self.goal
        return {
            "stage": [item.version for item in in_stage(self.desk.registry, name, goal.stage)],
            "alias": self.desk.registry.aliases(name).get(goal.alias) if goal.alias else None,
        }

    def _is_there(self, now: Mapping[str, Any]) -> bool:
        number = self.version.version
        return (not self.goal.stage or number in now["stage"]) and (not self.goal.alias or now["alias"] == number)

    def _announce(
        self, model: Subject, action: str, before: Mapping[str, Any], decision: str
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
        )
        return statement, self.desk.attest(statement).envelope_sha256

    def _move(self, now: Mapping[str, Any], archive: bool) -> None:
        """Stage, then alias, each only where it was not there yet. What somebody else has moved since is found when
        all is read back."""
        registry, number = self.desk.registry, self.version.version
        if self.goal.stage and (number not in now["stage"] or (archive and self._others(now))):
            self.confirm()
            registry.transition_stage(self.version, self.goal.stage, archive_existing=archive, read_back=False)
        if self.goal.alias and now["alias"] != number:
            self.confirm()
            registry.set_alias(self.version, self.goal.alias, read_back=False)

    def _others(self, now: Mapping[str, Any]) -> list[str]:
        return [item for item in now["stage"] if item != self.version.version]

    def _read_back(self, archive: bool) -> None:
        """Both at once, after both were moved: nobody has moved the first while the second was."""
        now = self._present()
        if not self._is_there(now) or (archive and self._others(now)):
            raise EvidenceError(
                f"the registry does not read back what was set: stage {self.goal.stage} holds {now['stage']}, alias "
                f"{self.goal.alias} is version {now['alias'] or 'nobody'}, not {self.version.version}",
                code="registry.not_read_back",
            )

    def _moved(self, before: Mapping[str, Any]) -> dict[str, Any]:
        moved: dict[str, Any] = {}
        number, others = self.version.version, self._others(before)
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
                self.desk.registry.set_alias(self._other(rightful), goal.alias)
            else:
                self.desk.registry.delete_alias(self.version.name, goal.alias)
        if goal.stage and number in now["stage"] and number not in before["stage"]:
            self.confirm()
            stood = self.version.stage if self.version.stage != goal.stage else None
            self.desk.registry.transition_stage(self.version, stood or "None")
            for other in before["stage"]:
                self.confirm()
                self.desk.registry.transition_stage(self._other(other), goal.stage)

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
            )
        )

    def _other(self, number: str) -> ModelVersion:
        return self.desk.registry.resolve({"name": self.version.name, "version": number})


def _ids(obligations: Sequence[OwedAudit]) -> set[str]:
    return {item.id for item in obligations}
