"""The gate by TensorFlow Data Validation's files: a schema for the data, or what a pipeline found in it."""

from __future__ import annotations

from airflow_mlgov.gates.tfdv.spec import GATE
from airflow_mlgov.operators.base import GateOperator


class TfdvGateOperator(GateOperator, gate=GATE):
    """Hold data against a ``schema.pbtxt``, or judge the ``anomalies.pbtxt`` that a TFX pipeline wrote of it."""
