"""The fairness gate: counts rows by group where the data is, estimates rates with intervals, and judges the disparities
between groups. Begin with :func:`evaluate_fairness`."""

from airflow_mlgov.gates.fairness.gate import evaluate_fairness
from airflow_mlgov.gates.fairness.metrics import METRICS

__all__ = ["METRICS", "evaluate_fairness"]
