"""Which tasks leave evidence, by the class of their operator: all that Airflow's own database knows of them."""

from __future__ import annotations

from functools import cache

_GOVERNED = {
    "ApprovalGateOperator",
    "MonitorModelOperator",
    "PromoteModelOperator",
    "RegisterModelOperator",
    "RequestWaiverOperator",
    "RollbackModelOperator",
    "ReconcileRegistryOperator",
}
_SILENT = {"EnforceObligationsOperator", "PostDeploymentAuditOperator"}
"""Leave evidence only where there is something to do."""


@cache
def _governed() -> set[str]:
    """The operators that leave evidence: those above, and each gate's, which is called after it."""
    from airflow_mlgov import catalogue

    gates = ("".join(word.capitalize() for word in name.split("_")) for name in catalogue.names())
    return _GOVERNED | {f"{name}GateOperator" for name in gates}


def is_governed(operator: str | None) -> bool:
    """Whether an operator, by its class's name, leaves evidence."""
    return operator in _governed()


def is_watched(operator: str | None) -> bool:
    """Whether it is noted if somebody sets the state of a task of an operator by hand."""
    return is_governed(operator) or operator in _SILENT
