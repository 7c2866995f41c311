"""The performance gate: metrics of a predictions table, and of the model itself, against bounds. Begin with
:func:`evaluate_performance`."""

from __future__ import annotations

from typing import Any

from airflow_mlgov.results import GateResult


def evaluate_performance(*args: Any, **kwargs: Any) -> GateResult:
    """See :func:`airflow_mlgov.gates.performance.gate.evaluate_performance`, which is imported when it is called."""
    from airflow_mlgov.gates.performance import gate

    return gate.evaluate_performance(*args, **kwargs)
