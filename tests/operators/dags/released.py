"""Raw data to a served alias, as one DAG: what `tests/operators/test_lineage.py` draws the lineage of."""

from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import DAG, get_current_context, task

from airflow_mlgov.duty import Duty
from airflow_mlgov.hooks.mlflow import MlflowHook
from airflow_mlgov.operators.approval import ApprovalGateOperator
from airflow_mlgov.operators.data_validation import DataValidationGateOperator
from airflow_mlgov.operators.fairness import FairnessGateOperator
from airflow_mlgov.operators.performance import PerformanceGateOperator
from airflow_mlgov.operators.promotion import PromoteModelOperator
from airflow_mlgov.operators.registration import RegisterModelOperator

WORLD = Path(__file__).parents[1]
MODEL = (WORLD / "model.txt").read_text()


@task
def train() -> str:
    """A rule that was learnt from the data: whoever is at least as old as the median pays."""
    import mlflow
    import pandas as pd

    rule = WORLD / "rule.txt"
    rule.write_text(str(pd.read_csv(WORLD / "train.csv")["age"].median()))
    with MlflowHook(duty="registration").tracking(), mlflow.start_run() as run:
        mlflow.pyfunc.log_model(name="model", loader_module="json", data_path=str(rule))
        return str(run.info.run_id)


@task
def officer(model: dict[str, str]) -> None:
    """Olga answers before the form is shown."""
    from airflow_mlgov.evidence.statements import Person
    from airflow_mlgov.release.approvals import sign_answer
    from airflow_mlgov.release.case import build_case

    desk = Duty("approval").desk(get_current_context())
    case = build_case(desk, desk.registry.resolve(model), "production")
    said = {"approved": True, "reason": "read it", "at": datetime.now(UTC), "roles": frozenset()}
    sign_answer(desk, case, Person("olga", "olga"), **said)


with DAG("released", schedule=None):
    validate = DataValidationGateOperator(
        task_id="validate", data=str(WORLD / "train.csv"), suite=str(WORLD / "suite.json")
    )
    run = train()
    register = RegisterModelOperator(task_id="register", model=MODEL, run_id=run, datasets=[str(WORLD / "train.csv")])
    scored = str(WORLD / "good.parquet")
    perform = PerformanceGateOperator(task_id="performance", model=register.output, data=scored)
    fair = FairnessGateOperator(task_id="fairness", model=register.output, data=scored)
    answered = officer(register.output)
    approve = ApprovalGateOperator(task_id="approve", model=register.output, target="production")
    promote = PromoteModelOperator(task_id="promote", model=register.output, target="production")
    validate >> run >> register >> [perform, fair] >> answered >> approve >> promote
