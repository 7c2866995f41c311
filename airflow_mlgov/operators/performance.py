"""The performance gate: metrics against bounds, on slices, and against the current champion on the same rows."""

from __future__ import annotations

from airflow_mlgov.gates.performance.spec import GATE
from airflow_mlgov.operators.base import GateOperator


class PerformanceGateOperator(GateOperator, gate=GATE):
    """Judge a model version by its predictions: ``data`` has one row for each, or features with ``score_model``."""
