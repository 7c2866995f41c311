"""The champion: the version that holds a target now, by the ledger, because an alias is moved by hand in a moment; by
the registry only if nothing was ever promoted there by evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_mlgov.governance.policy import Target
from airflow_mlgov.registry.protocol import in_stage
from airflow_mlgov.release.timeline import Timeline, version_of

if TYPE_CHECKING:
    from airflow_mlgov.registry.protocol import Registry


def champion_of(registry: Registry, version: str, goal: Target, timeline: Timeline) -> str | None:
    """The version that this one would replace, None if there is none."""
    if timeline.current is not None:
        current = version_of(timeline.current)
        return current if current != version else None
    return next((number for number in holders_of(registry, timeline.model, goal) if number != version), None)


def holders_of(registry: Registry, name: str, goal: Target) -> list[str]:
    """Who holds a target by the registry alone: the alias's version, or, if nobody has the alias, all in the stage."""
    holder = registry.aliases(name).get(goal.alias) if goal.alias else None
    return [holder] if holder else [item.version for item in in_stage(registry, name, goal.stage)]


def champion_since(timeline: Timeline, champion: str | None) -> int | None:
    """Ledger number of the promotion that made it the champion, None if none did."""
    found = [item.seq for item in timeline.promotions if version_of(item) == champion]
    return found[-1] if found else None
