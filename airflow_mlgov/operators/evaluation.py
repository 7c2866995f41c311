"""The evaluation gate: scores by example against bounds, on slices, and against the champion on the same examples."""

from __future__ import annotations

from airflow_mlgov.gates.evaluation.spec import GATE
from airflow_mlgov.operators.base import GateOperator


class EvaluationGateOperator(GateOperator, gate=GATE):
    """Judge a model version by scores of examples (of GenAI evaluations, judges, red teams): ``data`` has one row for
    each, or ``mlflow_run`` names the run that MLflow evaluated it in."""
