"""Approval, then promotion, on an Airflow that parks no task: it defers to a trigger. The evidence is there before."""

from datetime import datetime, timedelta

from airflow.sdk import DAG

from airflow_mlgov.operators.approval import ApprovalGateOperator
from airflow_mlgov.operators.promotion import PromoteModelOperator

SUBJECT = {"model": "models:/{{ params.model }}/1", "target": "production"}

for dag_id, response_timeout in (("asks", None), ("asks_shortly", timedelta(seconds=5))):
    with DAG(dag_id, schedule=None, start_date=datetime(2026, 1, 1), catchup=False, params={"model": ""}) as dag:
        approve = ApprovalGateOperator(task_id="approve", response_timeout=response_timeout, **SUBJECT)
        approve >> PromoteModelOperator(task_id="promote", **SUBJECT)
    globals()[dag_id] = dag
