"""The fairness gate: counts rows by group where the data is, estimates rates with intervals, and judges the disparities
between groups. Begin with :func:`evaluate_fairness`."""

from __future__ import annotations

from typing import Any

from airflow_mlgov.results import GateResult


def evaluate_fairness(*args: Any, **kwargs: Any) -> GateResult:
    """See :func:`airflow_mlgov.gates.fairness.gate.evaluate_fairness`, which is imported when it is called."""
    from airflow_mlgov.gates.fairness import gate

    return gate.evaluate_fairness(*args, **kwargs)
