"""Judges each version that comes into the registry, from whomever: a notebook, a CI job, another DAG.

Copy this file. The table of scored rows is found by model and version in `SCORES`; whoever registers a version puts it
there. Needs Airflow 3.3.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, task

from airflow_mlgov.assets import WatchedModel
from airflow_mlgov.operators.fairness import FairnessGateOperator
from airflow_mlgov.operators.performance import PerformanceGateOperator

SCORES = Path(__file__).parent / "include" / "data" / "scores"
NEW = WatchedModel("credit_risk", poll_interval=60)

with DAG(
    dag_id="new_version",
    schedule=[NEW],
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    doc_md=__doc__,
    tags=["mlgov"],
) as dag:

    @task(inlets=[NEW])
    def versions(**context: Any) -> list[dict[str, Any]]:
        """What to judge, each version once, in the words of the gates."""
        found = NEW.versions(context)
        return [{"model": item, "data": f"{SCORES}/{item['name']}-{item['version']}.parquet"} for item in found]

    judged = versions()
    PerformanceGateOperator.partial(task_id="performance").expand_kwargs(judged)
    FairnessGateOperator.partial(task_id="fairness").expand_kwargs(judged)
