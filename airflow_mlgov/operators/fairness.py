"""The fairness gate: disparities by sensitive feature with their intervals, where groups are large enough to say."""

from __future__ import annotations

from airflow_mlgov.gates.fairness.spec import GATE
from airflow_mlgov.operators.base import GateOperator


class FairnessGateOperator(GateOperator, gate=GATE):
    """Judge a model version by how its predictions fall on groups of people.

    Rows are counted where they are: files in DuckDB, a table in its database.
    """
