"""Notices manual state changes of gates, and the start of the DAG processor. It warns; it forbids nothing, for
promotion reads no task state anyway."""

from __future__ import annotations

import importlib
import logging
import sys
from functools import cache
from typing import Any

from airflow.listeners import hookimpl

from airflow_mlgov.words import line

log = logging.getLogger(__name__)

_GOVERNED = {
    "ApprovalGateOperator",
    "PromoteModelOperator",
    "RequestWaiverOperator",
    "RollbackModelOperator",
    "ReconcileRegistryOperator",
}


@cache
def _governed() -> set[str]:
    """The operators whose success by hand is told of: those above, and each gate's, which is called after it."""
    from airflow_mlgov import catalogue

    gates = ("".join(word.capitalize() for word in name.split("_")) for name in catalogue.names())
    return _GOVERNED | {f"{name}GateOperator" for name in gates}


def is_governed(operator: str | None) -> bool:
    """Whether an operator, by its class's name, leaves evidence."""
    return operator in _governed()


@hookimpl
def on_starting() -> None:
    """Import the operators once where the DAG processor starts, before it forks a child for every parse of every file:
    what Airflow does for the operators under ``airflow.*``, and for nobody else's."""
    if "airflow.dag_processing.manager" not in sys.modules:
        return
    from airflow_mlgov.provider_info import get_provider_info

    info = get_provider_info()
    for part in (*info["operators"], *info["sensors"]):
        for module in part["python-modules"]:
            importlib.import_module(module)


@hookimpl
def on_task_instance_success(previous_state: Any, task_instance: Any) -> None:
    """Warn where a gate became green without running: the API server fires this with no previous state."""
    if previous_state is None and is_governed(getattr(task_instance, "operator", None)):
        log.warning(
            "%s was set to success by hand: it has no evidence from this, and promotion will not count it",
            line(f"{task_instance.dag_id}.{task_instance.task_id} (run {task_instance.run_id})"),
        )
