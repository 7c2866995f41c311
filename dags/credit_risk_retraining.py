"""Retrains the credit-risk model every week and lets it into production only through the gates.

Copy this file and `include/`, and put your own training into `include/training.py`. Which bounds hold, who may approve
and what production takes is in `include/mlgov.yaml`.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from airflow.sdk import DAG, Param, task

from airflow_mlgov.hooks.mlflow import MlflowHook
from airflow_mlgov.operators.approval import ApprovalGateOperator
from airflow_mlgov.operators.data_validation import DataValidationGateOperator
from airflow_mlgov.operators.fairness import FairnessGateOperator
from airflow_mlgov.operators.performance import PerformanceGateOperator
from airflow_mlgov.operators.promotion import PromoteModelOperator
from airflow_mlgov.operators.registration import RegisterModelOperator

INCLUDE = Path(__file__).parent / "include"
MODEL = "credit_risk"
PREDICTIONS = "{{ params.predictions }}/{{ run_id }}.parquet"  # scored by `train`, judged by the gates

with DAG(
    dag_id="credit_risk_retraining",
    schedule="@weekly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,  # two promotions at once would race for the alias: MLflow has no compare-and-set
    params={
        "train": Param(str(INCLUDE / "data" / "train.csv"), type="string", description="applications to learn from"),
        "test": Param(str(INCLUDE / "data" / "test.csv"), type="string", description="applications held out"),
        "predictions": Param(str(INCLUDE / "data" / "predictions"), type="string", description="folder for scores"),
        "candidate": Param("healthy", enum=["healthy", "biased"], description="which model to train"),
    },
    doc_md=__doc__,
    tags=["mlgov", "credit"],
) as dag:

    @task
    def train(params: dict[str, str], run_id: str) -> str:
        """Fit the candidate, score the held-out applications, return the MLflow run."""
        from include.training import train_candidate  # your own

        scores = f"{params['predictions']}/{run_id}.parquet"
        with MlflowHook(duty="registration").tracking():
            return train_candidate(
                train=params["train"], test=params["test"], predictions=scores, candidate=params["candidate"]
            )

    @task
    def score_champion(params: dict[str, str], run_id: str) -> str:
        """Score the same applications with the model in production; nothing the first time."""
        scores = f"{params['predictions']}/{run_id}-champion.parquet"
        keep = ["application", "approve"]
        return MlflowHook(duty="performance").score_champion(model=MODEL, data=params["test"], scores=scores, keep=keep)

    validate = DataValidationGateOperator(
        task_id="validate_data", data="{{ params.train }}", suite=str(INCLUDE / "credit_suite.json")
    )
    run, champion = train(), score_champion()
    register = RegisterModelOperator(task_id="register", model=MODEL, run_id=run, datasets=["{{ params.train }}"])
    perform = PerformanceGateOperator(task_id="performance", model=register.output, data=PREDICTIONS, baseline=champion)
    fair = FairnessGateOperator(task_id="fairness", model=register.output, data=PREDICTIONS)
    approve = ApprovalGateOperator(task_id="approve", model=register.output, target="production")
    promote = PromoteModelOperator(task_id="promote", model=register.output, target="production")

    validate >> [run, champion]
    run >> register >> [perform, fair] >> approve >> promote
