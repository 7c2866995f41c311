"""Who has set a state by hand, by the audit log in Airflow's database. Only Airflow's API server may read that."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

EVENTS = ("patch_task_instance", "patch_task_group_instances", "bulk_task_instances", "patch_dag_run", "bulk_dag_runs")
"""What Airflow calls it there."""
_ANY = "~"
"""Stands in an address for every DAG or run."""
_SLOWEST = timedelta(minutes=10)
"""Between Airflow's note of a request and its end."""
_AT_ONCE = timedelta(seconds=5)
"""Two requests that are nearer to each other are not told apart."""


def concerns(mark: Any, task_id: str, map_index: int) -> bool:
    """Whether a request in the log may have set the state of a task: it names the task, a group, or the run.

    :param mark: ``task_id`` and ``extra`` of its row
    """
    named = _named(mark)
    return not named or (task_id, map_index) in named or (task_id, None) in named


def marked_by(
    session: Session, dag_id: str, run_id: str, task_id: str | None, map_index: int | None, seen: datetime
) -> list[str]:
    """Whose request has just set the state of a task, or of a run.

    A request may name another task, of which this one is upstream, or another run, of which this one is in the past:
    those that name this very one go before.

    :param seen: when Airflow has told of it
    :return: several if two requests came at once; none if the log has none
    """
    from airflow.models.log import Log
    from sqlalchemy import select

    asked = (
        select(Log.dttm, Log.owner, Log.run_id, Log.task_id, Log.extra)
        .where(Log.event.in_(EVENTS), Log.dag_id.in_((dag_id, _ANY)), Log.dttm.between(seen - _SLOWEST, seen))
        .order_by(Log.dttm)
    )
    index = -1 if map_index is None else map_index
    found = [(_nearness(row, run_id, task_id, index), row) for row in session.execute(asked)]
    nearest = max((near for near, _ in found), default=0)
    rows = [row for near, row in found if near == nearest]
    return list(dict.fromkeys(str(row.owner) for row in rows if row.owner and rows[-1].dttm - row.dttm <= _AT_ONCE))


def _nearness(row: Any, run_id: str, task_id: str | None, map_index: int) -> int:
    if row.run_id not in (run_id, _ANY):
        return 0
    named = _named(row)
    is_it = not named if task_id is None else bool(named) and concerns(row, task_id, map_index)
    return 2 if is_it else 1


def _named(mark: Any) -> set[tuple[Any, int | None]]:
    """The tasks that a request names, each with its index, or None for all of its indices."""
    try:
        said = json.loads(mark.extra or "{}")
        if mark.task_id:
            return {(mark.task_id, _index(said.get("map_index")))}
        entities = [entity for action in said.get("actions", ()) for entity in action.get("entities", ())]
        return {(entity.get("task_id"), _index(entity.get("map_index"))) for entity in entities}
    except (AttributeError, TypeError, ValueError):  # whatever somebody has sent
        return set()


def _index(said: Any) -> int | None:
    return None if said is None else int(said)
