"""``@task.gate`` through Airflow's real task runner: what a function gives is judged and signed as a file is."""

from datetime import UTC, datetime

import pandas as pd
import pytest
from airflow.sdk import DAG, task

from airflow_mlgov.decorators import gate_task
from airflow_mlgov.errors import ConfigurationError
from tests.worlds.release import Release


def operator_of(decorated, *given):
    with DAG("functions", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        decorated(*given)
    (made,) = dag.tasks
    return made


def test_airflow_offers_it_by_name() -> None:
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    manager.initialize_providers_taskflow_decorator()
    assert dict(manager.taskflow_decorators)["gate"] is not None
    assert task.gate is gate_task


def test_what_a_function_gives_counts_as_a_file_does(release: Release) -> None:
    release.validate()
    release.register()
    path = str(release.folder / "good.parquet")

    @task.gate("performance", model=release.ref("1"))
    def scores():
        return pd.read_parquet(path)

    @task.gate("fairness")
    def predictions(model, params=None):
        assert model == release.ref("1")
        return pd.read_parquet(path).to_dict("records")

    for decorated, given in ((scores, ()), (predictions, (release.ref("1"),))):
        end = release.run(operator_of(decorated, *given))
        assert (end.state, end.xcom["verdict"]) == ("success", "PASS"), end.error
    asked = release.ask()
    assert asked.state == "awaiting_input", asked.error


def test_a_bad_table_fails_the_task_and_the_evidence_says_so(release: Release) -> None:
    release.register()

    @task.gate("fairness", model=release.ref("1"))
    def predictions():
        return str(release.folder / "biased.parquet")

    end = release.run(operator_of(predictions), retries=2)
    assert (end.state, end.xcom["verdict"]) == ("failed", "FAIL")
    assert [entry.kind for entry in release.ledger.entries()][-1] == "gate"


@pytest.mark.parametrize("nothing", [None, [1, 2]])
def test_nothing_to_judge_is_a_mistake(release: Release, nothing) -> None:
    release.register()

    @task.gate("performance", model=release.ref("1"))
    def scores():
        return nothing

    end = release.run(operator_of(scores), retries=2)
    assert end.state == "failed"
    assert "gate.no_table" in str(end.error)


def test_whoever_looks_for_gates_finds_it() -> None:
    from airflow_mlgov.pipelines.readers.airflow import read_dag
    from airflow_mlgov.plugins.governed import is_governed

    @task.gate("performance", model="models:/credit/1")
    def scores():
        return []

    made = operator_of(scores)
    assert is_governed(made.task_type)
    (step,) = read_dag(made.dag, "functions.py").steps
    assert (step.gate, str(step.fails)) == ("performance", "stops")


def test_it_can_be_mapped_over_models() -> None:
    with DAG("mapped", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:

        @task.gate("performance")
        def scores(model):
            return []

        scores.expand(model=["models:/credit/1", "models:/credit/2"])
    (made,) = dag.tasks
    assert made.task_type == "PerformanceGateOperator"


def test_a_mistake_is_told_when_the_dag_is_written() -> None:
    with pytest.raises(TypeError, match="needs the name of a gate"):
        task.gate(lambda: None)
    with pytest.raises(ConfigurationError, match="did you mean 'fairness'"):
        task.gate("fariness")
    with pytest.raises(ConfigurationError) as refused:
        task.gate("policy", model="models:/credit/1")(lambda: [])
    assert refused.value.code == "gate.no_table"
