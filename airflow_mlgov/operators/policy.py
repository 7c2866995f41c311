"""The gate over pipelines: the running DAG, or the files of another platform."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_mlgov.gates.policy.spec import GATE, PolicyGate
from airflow_mlgov.operators.base import GateOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class PolicyGateOperator(GateOperator, gate=GATE):
    """Hold the sensitive steps of a pipeline against the gates that must guard them. With ``model`` the evidence is
    about that version, so that a promotion can require it."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Judge the manifest that is named, or else the DAG that runs."""
        dag = context["dag"]

        def running() -> list[Any]:
            from airflow_mlgov.pipelines.readers.airflow import read_dag

            return [read_dag(dag, str(getattr(dag, "relative_fileloc", None) or dag.dag_id))]

        self.spec = PolicyGate(running)  # type: ignore[misc]  # of this run alone
        return super().execute(context)
