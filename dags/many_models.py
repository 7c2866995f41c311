"""One DAG for many models: each is waited for, judged and promoted by its own mapped task, and one that fails holds up
no other.

Copy this file and name your models and their tables of scored rows. What each must show is in the policy.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, task, task_group

from airflow_mlgov.operators.fairness import FairnessGateOperator
from airflow_mlgov.operators.performance import PerformanceGateOperator
from airflow_mlgov.operators.promotion import PromoteModelOperator
from airflow_mlgov.sensors.evidence import EvidenceSensor

SCORES = Path(__file__).parent / "include" / "data" / "scores"
CANDIDATES = [{"name": "credit_risk", "version": "1"}]

with DAG(
    dag_id="many_models",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={"candidates": CANDIDATES},
    doc_md=__doc__,
    tags=["mlgov"],
) as dag:

    @task
    def candidates(params: dict[str, Any]) -> list[dict[str, Any]]:
        """The versions to release; here, those that the run was triggered with."""
        return list(params["candidates"])

    @task
    def table(model: dict[str, str]) -> str:
        """Where a version's scored rows are."""
        return f"{SCORES}/{model['name']}-{model['version']}.parquet"

    @task_group
    def release(model: dict[str, str]) -> None:
        """One model."""
        rows = table(model)
        perform = PerformanceGateOperator(task_id="performance", model=model, data=rows)
        fair = FairnessGateOperator(task_id="fairness", model=model, data=rows)
        ready = EvidenceSensor(
            task_id="ready", model=model, target="production", deferrable=True, timeout=timedelta(days=7)
        )
        promote = PromoteModelOperator(task_id="promote", model=model, target="production")
        [perform, fair] >> ready >> promote

    release.expand(model=candidates())
