"""The data gate: a Great Expectations suite over a file, a glob, a table or a query."""

from __future__ import annotations

from airflow_mlgov.gates.data_validation.spec import GATE
from airflow_mlgov.operators.base import GateOperator


class DataValidationGateOperator(GateOperator, gate=GATE):
    """Validate a dataset against a suite; the evidence counts for every model that was made from these bytes."""
