"""How the version that serves does on live data, every day: the gates and bounds of the policy's `monitoring`.

Copy this file and write the day's predictions on live data to `live`, with the columns that the policy names. What a
FAIL does is in the policy: `on_failure: alert`, `audit` or `rollback`.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from airflow.sdk import DAG, Param

from airflow_mlgov.operators.monitoring import MonitorModelOperator

MODEL, TARGET = "credit_risk", "production"
LIVE = str(Path(__file__).parent / "include" / "data" / "live.parquet")

with DAG(
    dag_id="monitoring",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={"live": Param(LIVE, type="string", description="predictions on live data")},
    doc_md=__doc__,
    tags=["mlgov"],
) as dag:
    MonitorModelOperator(
        task_id="monitor",
        model=MODEL,
        target=TARGET,
        data={"performance": "{{ params.live }}", "fairness": "{{ params.live }}"},
        retries=2,
    )
