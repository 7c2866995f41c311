"""The performance gate: metrics of a predictions table, and of the model itself, against bounds. Begin with
:func:`evaluate_performance`."""

from airflow_mlgov.gates.performance.gate import evaluate_performance

__all__ = ["evaluate_performance"]
