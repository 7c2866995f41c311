"""What was let go by an exception comes back: audits on live data when due, and demotion where they were missed.

Copy this file. `live` is the table of predictions on live data, with the columns that the policy names.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, Param

from airflow_mlgov.operators.audit import EnforceObligationsOperator, PostDeploymentAuditOperator
from airflow_mlgov.sensors.audit_due import AuditDueSensor

MODEL, TARGET = "credit_risk", "production"
LIVE = str(Path(__file__).parent / "include" / "data" / "live.parquet")

with DAG(
    dag_id="post_deployment_audit",
    schedule="@weekly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={"live": Param(LIVE, type="string", description="predictions on live data")},
    doc_md=__doc__,
    tags=["mlgov"],
) as audits:
    due = AuditDueSensor(
        task_id="due", model=MODEL, target=TARGET, within=timedelta(days=7), deferrable=True, timeout=6 * 86400
    )
    audit = PostDeploymentAuditOperator(
        task_id="audit",
        model=MODEL,
        target=TARGET,
        data={"performance": "{{ params.live }}", "fairness": "{{ params.live }}"},
    )
    due >> audit

with DAG(
    dag_id="enforce_obligations",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["mlgov"],
) as obligations:
    EnforceObligationsOperator(task_id="enforce", retries=2)
