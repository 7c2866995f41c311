"""Notices manual state changes of gates. It warns; it forbids nothing, for promotion reads no task state anyway."""

from __future__ import annotations

import logging
from typing import Any

from airflow.listeners import hookimpl

log = logging.getLogger(__name__)

_GOVERNED = {
    "DataValidationGateOperator",
    "PerformanceGateOperator",
    "FairnessGateOperator",
    "ApprovalGateOperator",
    "PromoteModelOperator",
    "RequestWaiverOperator",
    "RollbackModelOperator",
    "ReconcileRegistryOperator",
}


@hookimpl
def on_task_instance_success(previous_state: Any, task_instance: Any) -> None:
    """Warn where a gate became green without running: the API server fires this with no previous state."""
    if previous_state is None and getattr(task_instance, "operator", None) in _GOVERNED:
        log.warning(
            "%s.%s (run %s) was set to success by hand: it has no evidence from this, and promotion will not count it",
            task_instance.dag_id,
            task_instance.task_id,
            task_instance.run_id,
        )
