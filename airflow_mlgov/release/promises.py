"""Audits that were promised for an exception and never made, whatever bytes it was for.

A version that is trained anew, or written out once more, takes the exception of the one before over, with the date of
its audit: else whoever has an exception renewed often enough is never looked at. Reads the ledger only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from airflow_mlgov.evidence.statements import AuditStatement, OwedAudit, PromotionStatement
from airflow_mlgov.evidence.verification import Evidence, only
from airflow_mlgov.release.timeline import Timeline, version_of

Kind = tuple[str, str | None, str | None]
"""Of an exception: ``waiver`` or ``emergency``, and the gate and check that are waived."""


@dataclass(frozen=True)
class Promise:
    """The audit of an exception at a target, since the first promotion that brought it."""

    kind: Kind
    due: datetime
    promotion: Evidence[PromotionStatement]
    """The newest that rests on the exception: its bytes are to be audited."""
    ids: frozenset[str]
    """What the audit of these bytes is called."""
    left: bool = False
    """Whether a version that needs no such exception took the target before the date."""

    def counts(self, now: datetime) -> bool:
        """Whether the exception of another version takes it over; not if the target was free of it at the date."""
        return not self.left or now < self.due

    def is_kept_by(self, digest: str, obligation: str) -> bool:
        """Whether an audit since is the one that was promised, whatever it has found: that stays with the bytes."""
        return digest == self.promotion.digest and obligation in self.ids

    def as_input(self, now: datetime) -> dict[str, Any]:
        """As the rules see it."""
        kind, gate, check = self.kind
        return {
            "kind": kind,
            "gate": gate,
            "check": check,
            "version": version_of(self.promotion),
            "promotion": self.promotion.reference,
            "due": self.due.isoformat(),
            "late": self.due <= now,
        }


def promised_before(timeline: Timeline, now: datetime, digest: str) -> list[Promise]:
    """The promises at a target that other bytes than these have made and not kept."""
    audits = [
        item
        for item in only(timeline.history, AuditStatement)
        if (item.environment, item.statement.target) == (timeline.environment, timeline.target)
    ]
    made: dict[Kind, Promise] = {}
    kept: set[tuple[str, str]] = set()
    seen: list[Evidence] = [*timeline.promotions, *audits]
    seen.sort(key=lambda item: item.seq)
    for item in seen:
        for audit in only([item], AuditStatement):
            audited = audit.digest, audit.statement.obligation
            open_still = {kind: one for kind, one in made.items() if not one.is_kept_by(*audited)}
            if len(open_still) < len(made):  # an audit of before is of nothing that was promised
                kept.add(audited)
            made = open_still
        for moved in only([item], PromotionStatement):
            made = _after(made, moved, kept)
    return [one for one in made.values() if one.promotion.digest != digest and one.counts(now)]


def taken_over(owed: Iterable[OwedAudit], promises: Iterable[Mapping[str, Any]]) -> list[OwedAudit]:
    """Audits that are owed, each with the date of the promise that it takes over.

    :param promises: as the rules have seen them, see :meth:`Promise.as_input`
    """
    dates = {(one["kind"], one["gate"], one["check"]): datetime.fromisoformat(one["due"]) for one in promises}
    return [replace(item, due=min(item.due, dates.get(_kind(item), item.due))) for item in owed]


def _after(
    made: Mapping[Kind, Promise], item: Evidence[PromotionStatement], kept: Collection[tuple[str, str]]
) -> dict[Kind, Promise]:
    """The promises after a move to the target.

    :param kept: digest and id of each audit that was made
    """
    now, stands_alone = item.issued_at, item.statement.action == "promote"
    after = {
        kind: one if one.due <= now else replace(one, left=True)
        for kind, one in made.items()
        if one.counts(now) and not (one.due <= now and stands_alone)  # a version that passes is the better one
    }
    for owed in item.statement.obligations:
        if (item.digest, owed.id) in kept:
            continue
        kind = _kind(owed)
        before = made.get(kind)
        before = before if before is not None and before.counts(now) else None
        same = before is not None and before.promotion.digest == item.digest
        after[kind] = Promise(
            kind,
            min(owed.due, before.due) if before else owed.due,
            item,
            frozenset({owed.id}) | (before.ids if before and same else frozenset()),
        )
    return after


def _kind(owed: OwedAudit) -> Kind:
    return owed.kind, owed.gate, owed.check
