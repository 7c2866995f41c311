"""The DAGs that are attacked, and DAGs that are attacks themselves. Airflow reads a copy of this folder that has
``data`` beside it. Nothing is trained here: the models and most of their evidence are there before."""

from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TaskGroup
from killing import after

from airflow_mlgov.operators.approval import ApprovalGateOperator
from airflow_mlgov.operators.fairness import FairnessGateOperator
from airflow_mlgov.operators.promotion import PromoteModelOperator
from airflow_mlgov.operators.registration import RegisterModelOperator

DATA = Path(__file__).parent / "data"
GOOD, BIASED = str(DATA / "good.parquet"), str(DATA / "biased.parquet")
MODEL = "models:/{{ params.model }}/{{ params.version }}"


def dag(dag_id: str, **given) -> DAG:
    """A DAG that only people start."""
    params = {"model": "", "version": "1", "other": "", "training": "", "min": 0.8}
    return DAG(dag_id, schedule=None, start_date=datetime(2026, 1, 1), catchup=False, params=params, **given)


def promotion(**given) -> PromoteModelOperator:
    """The last task."""
    return PromoteModelOperator(**{"task_id": "promote", "model": MODEL, "target": "production", **given})


with dag("well_made"):
    with TaskGroup("gates") as gates:
        FairnessGateOperator(task_id="fairness", model=MODEL, data=BIASED)
    gates >> promotion()

with dag("registers"):
    register = RegisterModelOperator(
        task_id="register", model="{{ params.model }}", run_id="{{ params.training }}", datasets=[GOOD]
    )
    with TaskGroup("gates") as gates:
        FairnessGateOperator(task_id="fairness", model=register.output, data=BIASED)
    register >> gates >> promotion(model=register.output)

with dag("asks"):
    ApprovalGateOperator(task_id="approve", model=MODEL, target="production") >> promotion()

with dag("asks_shortly"):
    hurried = ApprovalGateOperator(
        task_id="approve", model=MODEL, target="production", response_timeout=timedelta(seconds=5)
    )
    hurried >> promotion(trigger_rule="all_done")

with dag("loosens", render_template_as_native_obj=True):
    loose = {"demographic_parity_ratio": {"min": "{{ params.min }}", "max": 1.25}}
    FairnessGateOperator(task_id="fairness", model=MODEL, data=BIASED, bounds=loose) >> promotion(
        trigger_rule="all_done"
    )

with dag("skips"):
    # its upstream succeeds, so the gate is skipped, and none_failed is content with that
    never = FairnessGateOperator(task_id="fairness", model=MODEL, data=BIASED, trigger_rule="all_failed")
    EmptyOperator(task_id="start") >> never >> promotion(trigger_rule="none_failed")

with dag("gateless"):
    promotion()

with dag("judges_another"):
    other = "models:/{{ params.other }}/1"
    FairnessGateOperator(task_id="fairness", model=other, data=GOOD) >> promotion()

AGAIN = {"retries": 1, "retry_delay": timedelta(seconds=1)}
with dag("killed_in_a_gate"):
    FairnessGateOperator(task_id="fairness", model=MODEL, data=GOOD, pre_execute=after(commit=True), **AGAIN)

with dag("killed_in_a_promotion"):
    promotion(pre_execute=after(request="/model-versions/transition-stage"), **AGAIN)
