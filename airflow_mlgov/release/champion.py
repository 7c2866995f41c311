"""The champion: the version that holds a target now, by the ledger, because an alias is moved by hand in a moment; by
the registry only if nothing was ever promoted there by evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_mlgov.registry.protocol import in_stage
from airflow_mlgov.release.places import Place
from airflow_mlgov.release.timeline import Timeline, version_of

if TYPE_CHECKING:
    from airflow_mlgov.evidence.verification import Evidence
    from airflow_mlgov.governance.policy import Target
    from airflow_mlgov.results import Subject


def champion_of(place: Place, model: Subject, goal: Target, timeline: Timeline) -> str | None:
    """The version that this one would replace, None if there is none; ``MODEL/NUMBER`` if it is in the model that
    copies are put into and is not known to be one.

    Other bytes under the number of the one that holds the target are another version: the model was deleted and
    registered again.
    """
    if timeline.current is not None:
        return None if is_it(timeline.current, model) else version_of(timeline.current)
    return next((number for number in holders_of(place, model.name, goal) if number != model.version), None)


def is_it(promotion: Evidence, model: Subject) -> bool:
    """Whether a promotion is of this very version: its number, and its bytes."""
    return (version_of(promotion), promotion.digest) == (model.version, model.digest)


def holders_of(place: Place, name: str, goal: Target) -> list[str]:
    """Who holds a target of a model by the registry alone: the alias's version, or, if nobody has the alias, all in the
    stage."""
    holder = place.registry.aliases(place.model).get(goal.alias) if goal.alias else None
    found = [holder] if holder else [item.version for item in in_stage(place.registry, place.model, goal.stage)]
    return [str(place.said(number, name)) for number in found]


def champion_since(timeline: Timeline, champion: str | None) -> int | None:
    """Ledger number of the promotion that made it the champion, None if none did."""
    found = [item.seq for item in timeline.promotions if version_of(item) == champion]
    return found[-1] if found else None
