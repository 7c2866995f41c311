"""A cluster policy for every team's DAGs, off until ``[mlgov] cluster_policy`` or ``[mlgov] queue`` is set.

It explains mistakes early; what actually protects production is the decision, which needs no DAG to be well-made.
Airflow asks in the processor, on each parse, and in each worker.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from airflow.policies import hookimpl

from airflow_mlgov.words import line, lines

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_mlgov.pipelines.guards import Judged

_LOG = logging.getLogger(__name__)
_PROMOTION = "airflow_mlgov.operators.promotion.PromoteModelOperator"
_OURS = "airflow_mlgov.operators."
_BY_EDGES = frozenset({"gate.weak_edge", "gate.skippable", "gate.another_path"})
"""Why a gate upstream does not guard, if it is for how the tasks are joined."""
_ELSEWHERE = frozenset({"gate.beside", "gate.after"})
"""Why a gate does not guard that may be another promotion's, or watches what is promoted."""
_MOST_SHOWN = 20

_broken: dict[str, dict[str, list[str]]] = {}
"""File -> DAG -> what breaks a rule: Airflow keeps the last message of a file alone, so that has to say all."""


_last: dict[tuple[str, str], str] = {}
"""File and DAG -> its last task when Airflow begins to ask about each: others' policies may add some, of which it does
not ask."""


@hookimpl(trylast=True)
def dag_policy(dag: Any) -> None:
    """Note at which task a DAG is to be judged."""
    last = next(reversed(dag.task_dict), None)
    if last is not None:
        _last[dag.fileloc, dag.dag_id] = last


@hookimpl(trylast=True)
def task_policy(task: Any) -> None:
    """Put this package's tasks on their queue, and refuse a DAG whose promotion may start although a gate before it did
    not succeed.

    It judges at a DAG's last task, after all other policies, each of which may change a task: Airflow asks
    ``dag_policy`` before them.

    :raises AirflowClusterPolicyViolation: with all that breaks a rule in the DAG's file
    """
    _put_on_its_queue(task)
    dag = getattr(task, "dag", None)
    if dag is None or task.task_id != _last.get((dag.fileloc, dag.dag_id), next(reversed(dag.task_dict), None)):
        return
    from airflow.configuration import conf

    mode = conf.get("mlgov", "cluster_policy", fallback="")
    if mode not in ("enforce", "warn"):
        return
    from airflow.exceptions import AirflowClusterPolicyViolation

    required = [name.strip() for name in conf.get("mlgov", "cluster_policy_require", fallback="").split(",")]
    try:
        found = list(violations(dag, [name for name in required if name]))
    except BaseException as error:  # a DAG that nobody could judge must not look like one that keeps the rules
        _LOG.exception("the DAG %s could not be judged", line(dag.dag_id))
        found = [f"[MLGOV-000] the DAG {dag.dag_id!r} could not be judged ({type(error).__name__}): please report it"]
    said = _told(dag, found)
    if said and mode == "warn":
        _LOG.warning("%s", lines(said))
    elif said:
        raise AirflowClusterPolicyViolation(lines(said))


def _put_on_its_queue(task: Any) -> None:
    """Tasks of this package go to ``[mlgov] queue``, and no others may.

    :raises AirflowClusterPolicyViolation: another task names it
    """
    from airflow.configuration import conf

    queue = conf.get("mlgov", "queue", fallback="")
    if not queue:
        return
    from airflow.exceptions import AirflowClusterPolicyViolation

    from airflow_mlgov.pipelines.readers.airflow import classes_of

    if any(name.startswith(_OURS) for name in classes_of(task)):
        task.queue = queue
    elif task.queue == queue:
        raise AirflowClusterPolicyViolation(
            line(
                f"[MLGOV-004] the task {task.task_id!r} names the queue {queue!r}, whose workers have the identities "
                "of gates, approval and promotion and run nothing else. Name another queue."
            )
        )


def violations(dag: DAG, required: Sequence[str] = ()) -> Iterator[str]:
    """What breaks a rule, each with the rule, the DAG, the task and the mend; nothing of a DAG that promotes nothing.

    :param required: gates that must each guard every promotion
    """
    promotions = {name: task for name, task in dag.task_dict.items() if _promotes(task)}
    if not promotions:
        return
    from airflow_mlgov.pipelines.readers.airflow import rule_of

    for one in judged(dag):
        task = promotions.get(one.step.id)
        if task is None:
            continue
        said = f"the promotion task {one.step.id!r} of the DAG {dag.dag_id!r}"
        rule = rule_of(task)
        if rule != "all_success":
            yield (
                f"[MLGOV-001] {said} has the trigger rule {rule!r}, so it would run after a failed gate. "
                "Use 'all_success'."
            )
        else:
            yield from _unguarded(one, said)
        missing = [name for name in required if name not in one.guarded_by]
        if missing:
            yield (
                f"[MLGOV-003] {said} is not guarded by {', '.join(missing)}. Put that before it, with 'all_success' "
                "all the way."
            )


def judged(dag: DAG) -> list[Judged]:
    """The sensitive steps of a DAG, and what guards them. Scripts that do not speak of mlgov are not looked into."""
    from airflow_mlgov.pipelines.guards import judge
    from airflow_mlgov.pipelines.readers.airflow import read_steps
    from airflow_mlgov.pipelines.roles import Lists, told

    return judge(told(read_steps(dag, dag.fileloc, "mlgov"), Lists(), by_name=False))


def _unguarded(one: Judged, said: str) -> Iterator[str]:
    weak = [item for item in one.weak if item.code in _BY_EDGES]
    if not weak and not one.guards:
        weak = [item for item in one.weak if item.code not in _ELSEWHERE] or list(one.weak)
    for item in weak:
        yield (
            f"[MLGOV-002] {said} does not wait for the success of the gate {item.gate.step!r}: {item.why} "
            f"[{item.code}]. Let each task between them start by 'all_success' only, and nothing skip the gate."
        )


def _promotes(task: Any) -> bool:
    """By class, a subclass's too, by a command, or by what a Python function names; of a mapped task as well."""
    from airflow_mlgov.pipelines.readers.airflow import classes_of, promotes_by_code, scripts_of

    by_command = any("mlgov" in script and "promote" in script for script in scripts_of(task))
    return by_command or _PROMOTION in classes_of(task) or promotes_by_code(task)


def _told(dag: DAG, found: list[str]) -> list[str]:
    """What to say of a DAG's file, line by line; nothing if the DAG keeps the rules."""
    here = _broken.setdefault(dag.fileloc, {})
    if not found:
        here.pop(dag.dag_id, None)
        return []
    here[dag.dag_id] = found
    said = [one for dag_id in sorted(here) for one in here[dag_id]]
    more = [f"and {len(said) - _MOST_SHOWN} more"] if len(said) > _MOST_SHOWN else []
    return [*said[:_MOST_SHOWN], *more, "Airflow hides every DAG of this file until that is mended."]
