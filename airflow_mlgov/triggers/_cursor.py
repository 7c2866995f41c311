"""What a watcher of a registry has told of, kept beside its asset in Airflow's own database, and what is new since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_mlgov.evidence.digests import hash_json

if TYPE_CHECKING:
    from airflow_mlgov.registry.protocol import ModelNow

KEY = "mlgov.seen"
"""Under which it stands in the asset's state store."""


@dataclass(frozen=True)
class Cursor:
    """What has been told of.

    ``told`` counts the events: a watcher that was killed before it could note an event gives it the same number again,
    so that whoever has it already knows it by that.
    """

    told: int = 0
    version: int = 0
    """The highest version."""
    held: str | None = None
    """The version that the alias points to."""
    tagged: Mapping[str, str] = field(default_factory=dict)
    """Version -> the value of the tag."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"told": self.told, "version": self.version, "held": self.held, "tagged": dict(self.tagged)}

    @classmethod
    def of(cls, kept: Any) -> Cursor | None:
        """What was kept; None if there is nothing, or nothing of ours."""
        if not isinstance(kept, Mapping) or not isinstance(kept.get("told"), int):
            return None
        return cls(kept["told"], int(kept.get("version") or 0), kept.get("held"), dict(kept.get("tagged") or {}))


def new_versions(cursor: Cursor, numbers: Mapping[int, str | None]) -> Iterator[tuple[dict[str, Any], Cursor]]:
    """An event for each version above the cursor, in order, and the cursor after it.

    :param numbers: version -> its run
    """
    for number in sorted(item for item in numbers if item > cursor.version):
        cursor = Cursor(cursor.told + 1, number)
        yield {"event": "version", "version": str(number), "run_id": numbers[number]}, cursor


def moved_alias(cursor: Cursor, alias: str, now: ModelNow | None) -> Iterator[tuple[dict[str, Any], Cursor]]:
    """An event if the alias points elsewhere than the cursor says; what it pointed to between two looks is unknown."""
    held = now.aliases.get(alias) if now else None
    if held == cursor.held:
        return
    after = Cursor(cursor.told + (held is not None), held=held)
    if held is not None:
        yield {"event": "alias", "alias": alias, "version": held, "previous": cursor.held}, after
    else:
        yield {}, after


def new_tags(cursor: Cursor, tag: str, tagged: Mapping[str, str]) -> Iterator[tuple[dict[str, Any], Cursor]]:
    """An event for each version whose tag is new or has another value, in order of the versions."""
    known = {version: value for version, value in cursor.tagged.items() if version in tagged}
    for version in sorted(tagged, key=int):
        if known.get(version) != tagged[version]:
            known = {**known, version: tagged[version]}
            cursor = Cursor(cursor.told + 1, tagged=known)
            yield {"event": "tag", "tag": tag, "value": tagged[version], "version": version}, cursor
    if cursor.tagged != known:
        yield {}, Cursor(cursor.told, tagged=known)


def identified(event: Mapping[str, Any], registry: str, model: str, number: int) -> dict[str, Any]:
    """An event as Airflow is handed it: what, of which model where, and an ``id``, the same if it is told twice."""
    said = {**event, "registry": registry, "name": model, "number": number}
    return {**said, "id": hash_json(said)[:32]}
