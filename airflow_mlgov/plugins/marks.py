"""Who has set a state by hand, by the audit log in Airflow's database. Only Airflow's API server may read that."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_OF_A_TASK = "patch_task_instance"
_OF_A_RUN = ("patch_dag_run", "bulk_dag_runs")
EVENTS = (_OF_A_TASK, "patch_task_group_instances", "bulk_task_instances", *_OF_A_RUN)
"""What Airflow calls it there, if it does: 3.3 keeps no note of several tasks in one request."""
_TO_TASKS = ("include_upstream", "include_downstream")
_TO_RUNS = ("include_past", "include_future")
_LONGEST = timedelta(minutes=1)
"""Between Airflow's note of a request and what the request does."""
_AT_ONCE = timedelta(seconds=5)
"""Two requests that are nearer to each other are not told apart."""


class _Asked(NamedTuple):
    """What a request names; nothing if it is about a group or a run."""

    tasks: set[tuple[str | None, int | None]]
    """Each with its index, or None for all of its indices."""
    runs: set[str | None]
    to_tasks: bool
    """Whether it goes on to other tasks."""
    to_runs: bool
    """Whether it goes on to other runs."""

    def names(self, task_id: str, map_index: int) -> bool:
        return any(task == task_id and index in (None, map_index) for task, index in self.tasks)

    def reaches(self, run_id: str | None, task_id: str, map_index: int) -> bool:
        """Whether it may have set the state of a task."""
        is_task = not self.tasks or self.to_tasks or self.names(task_id, map_index)
        return is_task and (self.to_runs or run_id in self.runs)


def concerns(mark: Any, task_id: str, map_index: int) -> bool:
    """Whether a request may have set the state of a task of its run.

    :param mark: ``event``, ``task_id``, ``run_id`` and ``extra`` of a row of the log
    """
    return _asked(mark).reaches(mark.run_id, task_id, map_index)


def marked_by(
    session: Session, dag_id: str, run_id: str, task_id: str | None, map_index: int | None, seen: datetime
) -> list[str]:
    """Whose request has just set the state of a task, or of a run: those that name it go before those that spread.

    :param seen: when Airflow has told of it
    :return: several if two requests came at once; none if the log has none
    """
    from airflow.models.log import Log
    from sqlalchemy import select

    wanted = (
        select(Log.dttm, Log.owner, Log.event, Log.run_id, Log.task_id, Log.extra)
        .where(Log.event.in_(EVENTS), Log.dag_id == dag_id, Log.dttm.between(seen - _LONGEST, seen))
        .order_by(Log.dttm)
    )
    index = -1 if map_index is None else map_index
    found = [(_nearness(row, run_id, task_id, index), row) for row in session.execute(wanted)]
    nearest = max((near for near, _ in found), default=0)
    rows = [row for near, row in found if near == nearest > 0]
    return list(dict.fromkeys(str(row.owner) for row in rows if row.owner and rows[-1].dttm - row.dttm <= _AT_ONCE))


def _nearness(row: Any, run_id: str, task_id: str | None, map_index: int) -> int:
    asked = _asked(row)
    is_here = run_id in asked.runs
    if task_id is None:
        return 2 if is_here and row.event in _OF_A_RUN else 0
    if is_here and asked.names(task_id, map_index):
        return 2
    return 1 if asked.reaches(run_id, task_id, map_index) else 0


def _asked(mark: Any) -> _Asked:
    try:
        sent = json.loads(mark.extra or "{}")
        said = sent if isinstance(sent, dict) else {}
        spreads = [any(said.get(word) is True for word in words) for words in (_TO_TASKS, _TO_RUNS)]
        if mark.task_id and mark.event == _OF_A_TASK:  # elsewhere it is what somebody has put behind a question mark
            return _Asked({(mark.task_id, _index(said.get("map_index")))}, {mark.run_id}, *spreads)
        entities = [entity for action in said.get("actions", ()) for entity in action.get("entities", ())]
        tasks = {(item["task_id"], _index(item.get("map_index"))) for item in entities if "task_id" in item}
        return _Asked(tasks, {mark.run_id, *(item.get("dag_run_id") for item in entities)}, *spreads)
    except (AttributeError, TypeError, ValueError):  # whatever somebody has sent
        return _Asked(set(), {mark.run_id}, to_tasks=False, to_runs=False)


def _index(said: Any) -> int | None:
    return None if said is None else int(said)
