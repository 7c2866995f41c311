"""A DAG of each of two teams, which its team may see and start (and an inspector, of one); and one that asks for an
approval, which both teams may."""

from datetime import datetime
from pathlib import Path

from airflow.sdk import DAG

from airflow_mlgov.operators.approval import ApprovalGateOperator
from airflow_mlgov.operators.performance import PerformanceGateOperator
from airflow_mlgov.operators.promotion import PromoteModelOperator

GOOD = str(Path(__file__).parent / "good.parquet")
RIGHTS = {"DAGs": {"can_read", "can_edit"}, "DAG Runs": {"can_create", "can_read"}}
SUBJECT = {"model": "models:/{{ params.model }}/1"}


def dag(dag_id, *teams):
    """A DAG that only people start."""
    given = {"params": {"model": ""}, "access_control": dict.fromkeys(teams, RIGHTS)}
    return DAG(dag_id, schedule=None, start_date=datetime(2026, 1, 1), catchup=False, **given)


for teams in (("Retail", "Inspector"), ("Wholesale",)):
    with dag(f"{teams[0].lower()}_retraining", *teams) as made:
        gate = PerformanceGateOperator(task_id="performance", data=GOOD, **SUBJECT)
        gate >> PromoteModelOperator(task_id="promote", target="production", **SUBJECT)
    globals()[made.dag_id] = made

with dag("asks", "Retail", "Wholesale"):
    approve = ApprovalGateOperator(task_id="approve", target="production", **SUBJECT)
    approve >> PromoteModelOperator(task_id="promote", target="production", **SUBJECT)
