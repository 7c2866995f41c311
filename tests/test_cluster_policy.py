"""Off until configured; then it names the task and the mend. The listener only warns."""

import logging
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.exceptions import AirflowClusterPolicyViolation
from airflow.sdk import DAG

from airflow_mlgov.cluster_policy import dag_policy
from airflow_mlgov.operators.promotion import PromoteModelOperator
from airflow_mlgov.plugins.listener import on_task_instance_success


def careless(rule: str) -> DAG:
    with DAG("careless", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        PromoteModelOperator(task_id="promote", model="models:/m/1", target="production", trigger_rule=rule)
    return dag


def test_it_does_nothing_until_configured() -> None:
    dag_policy(careless("all_done"))


def test_a_promotion_that_ignores_failed_gates_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__MLGOV__CLUSTER_POLICY", "enforce")
    dag_policy(careless("all_success"))
    with pytest.raises(AirflowClusterPolicyViolation, match=r"MLGOV-001.*'promote'.*'all_done'"):
        dag_policy(careless("all_done"))


@pytest.mark.parametrize(
    ("operator", "before", "warned"),
    [
        ("FairnessGateOperator", None, True),
        ("FairnessGateOperator", "running", False),
        ("BashOperator", None, False),
    ],
)
def test_a_gate_set_to_success_by_hand_is_noticed(
    operator: str, before: str | None, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    instance = SimpleNamespace(operator=operator, dag_id="d", task_id="fairness", run_id="r")
    with caplog.at_level(logging.WARNING):
        on_task_instance_success(before, instance)
    assert ("by hand" in caplog.text) == warned
