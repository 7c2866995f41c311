"""A cluster policy for every team's DAGs, off until ``[mlgov] cluster_policy = enforce``.

It explains mistakes early; what actually protects production is the decision, which needs no DAG to be well-made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.policies import hookimpl

if TYPE_CHECKING:
    from airflow.sdk import DAG


@hookimpl
def dag_policy(dag: DAG) -> None:
    """Refuse a DAG whose promotion task runs under a trigger rule that ignores failed gates.

    :raises AirflowClusterPolicyViolation: with the rule's code, the task and the mend
    """
    from airflow.configuration import conf

    if conf.get("mlgov", "cluster_policy", fallback="") != "enforce":
        return
    from airflow.exceptions import AirflowClusterPolicyViolation

    for task in dag.tasks:
        rule = str(getattr(task.trigger_rule, "value", task.trigger_rule))
        if task.task_type == "PromoteModelOperator" and rule != "all_success":
            raise AirflowClusterPolicyViolation(
                f"[MLGOV-001] the promotion task {task.task_id!r} of the DAG {dag.dag_id!r} has the trigger rule "
                f"{rule!r}, so it would run after a failed gate. Use 'all_success'."
            )
