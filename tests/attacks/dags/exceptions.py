"""A DAG that asks for a waiver first. Airflow reads a copy of it beside the DAGs that are attacked."""

from datetime import datetime

from airflow.sdk import DAG

from airflow_mlgov.operators.approval import ApprovalGateOperator
from airflow_mlgov.operators.promotion import PromoteModelOperator
from airflow_mlgov.operators.waiver import RequestWaiverOperator

SUBJECT = {"model": "models:/{{ params.model }}/1", "target": "production"}

with DAG(
    "asks_for_a_waiver",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={"model": "", "reason": "none"},
):
    waiver = RequestWaiverOperator(
        task_id="waiver",
        gate="fairness",
        check="demographic_parity_ratio[sex]",
        stretch={"min": 0.55},
        reason="{{ params.reason }}",
        ticket="RISK-12",
        risk_owner="head of retail",
        retries=3,
        **SUBJECT,
    )
    approve = ApprovalGateOperator(task_id="approve", retries=3, **SUBJECT)
    waiver >> approve >> PromoteModelOperator(task_id="promote", **SUBJECT)
