"""DAGs: which gates guard along every path, told from the parsed DAG."""

from __future__ import annotations

import pytest

pytest.importorskip("airflow")

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

from airflow_mlgov.operators.data_validation import DataValidationGateOperator
from airflow_mlgov.operators.promotion import PromoteModelOperator
from airflow_mlgov.pipelines.guards import Judged, judge
from airflow_mlgov.pipelines.readers.airflow import read_dag
from airflow_mlgov.pipelines.roles import Lists, told

MODEL = "models:/credit/1"


class Ship(PromoteModelOperator):
    """A promotion under another name."""


def gate(name: str = "gate", **more: object) -> DataValidationGateOperator:
    return DataValidationGateOperator(task_id=name, data="a.csv", suite="s.json", **more)


def promote(**more: object) -> PromoteModelOperator:
    return PromoteModelOperator(task_id="promote", model=MODEL, target="production", **more)


def judged(dag: DAG) -> Judged:
    (found,) = judge(told(read_dag(dag, "dags/credit.py"), Lists()))
    return found


def reasons(found: Judged) -> list[str]:
    return [weak.code for weak in found.weak]


def test_a_gate_before_a_promotion_guards_it():
    with DAG("d") as dag:
        gate() >> EmptyOperator(task_id="between") >> promote()
    assert judged(dag).guarded_by == {"data_validation"}


def test_a_subclass_of_the_promotion_is_one():
    with DAG("d") as dag:
        gate() >> Ship(task_id="ship", model=MODEL, target="production", trigger_rule="all_done")
    found = judged(dag)
    assert (found.step.id, found.guarded_by, reasons(found)) == ("ship", frozenset(), ["gate.weak_edge"])


@pytest.mark.parametrize("rule", ["all_done", "always", "one_done", "none_skipped", "all_done_min_one_success"])
def test_a_bridge_that_goes_on_after_a_failure(rule):
    with DAG("d") as dag:
        gate() >> EmptyOperator(task_id="join", trigger_rule=rule) >> promote()
    found = judged(dag)
    assert reasons(found) == ["gate.weak_edge"]
    assert "join starts whatever became of gate" in found.weak[0].why


def test_one_of_several_guards_only_what_all_of_them_prove():
    with DAG("d") as dag:
        gate() >> [EmptyOperator(task_id="a"), EmptyOperator(task_id="b")] >> promote(trigger_rule="one_success")
    assert judged(dag).guarded_by == {"data_validation"}
    with DAG("d") as dag:
        end = promote(trigger_rule="one_success")
        gate() >> end
        EmptyOperator(task_id="b") >> end
    assert reasons(judged(dag)) == ["gate.another_path"]


def test_none_failed_counts_only_behind_what_nothing_can_skip():
    with DAG("d") as dag:
        gate() >> promote(trigger_rule="none_failed")
    assert judged(dag).guarded_by == {"data_validation"}
    with DAG("d") as dag:
        PythonOperator(task_id="train", python_callable=print) >> gate() >> promote(trigger_rule="none_failed")
    assert reasons(judged(dag)) == ["gate.weak_edge"]


def test_a_gate_beside_behind_recording_or_torn_down():
    with DAG("d") as dag:
        gate(), promote()
    assert reasons(judged(dag)) == ["gate.beside"]
    with DAG("d") as dag:
        promote() >> gate()
    assert reasons(judged(dag)) == ["gate.after"]
    with DAG("d") as dag:
        gate(on_fail="record") >> promote()
    assert reasons(judged(dag)) == ["gate.failure_ignored"]
    with DAG("d") as dag:
        gate().as_teardown() >> promote()
    assert judged(dag).guarded_by == frozenset()


def test_a_mapped_gate_that_is_skipped_skips_the_promotion():
    with DAG("d") as dag:
        DataValidationGateOperator.partial(task_id="gate", suite="s.json").expand(data=["a.csv"]) >> promote()
    assert judged(dag).guarded_by == {"data_validation"}
    with DAG("d") as dag:
        mapped = DataValidationGateOperator.partial(task_id="gate", suite="s.json").expand(data=[])
        mapped >> promote(trigger_rule="none_failed")
    assert reasons(judged(dag)) == ["gate.weak_edge"]


def test_a_mapped_promotion_is_one():
    with DAG("d") as dag:
        gate() >> PromoteModelOperator.partial(task_id="promote", target="production").expand(model=[MODEL])
    assert judged(dag).guarded_by == {"data_validation"}


@pytest.mark.parametrize(
    ("command", "guards"),
    [("mlgov gate fairness --data p.csv", {"fairness"}), ("mlgov gate fairness; echo", set())],
)
def test_a_gate_in_a_bash_task(command, guards):
    with DAG("d") as dag:
        BashOperator(task_id="check", bash_command=command) >> promote()
    assert judged(dag).guarded_by == guards


def test_the_digest_is_of_the_dag_as_parsed():
    def made(rule: str) -> str:
        with DAG("d") as dag:
            gate() >> promote(trigger_rule=rule)
        return read_dag(dag, "dags/credit.py").sha256

    assert made("all_success") == made("all_success") != made("all_done")


class Waved(DataValidationGateOperator):
    """A gate by its class that judges nothing."""

    def execute(self, context: object) -> None:
        """Nothing."""


class Named(DataValidationGateOperator):
    """A gate with defaults of a team's own."""

    def __init__(self, **more: object) -> None:
        super().__init__(data="a.csv", suite="s.json", **more)


def test_a_subclass_that_judges_nothing_is_told():
    with DAG("d") as dag:
        Waved(task_id="gate", data="a.csv", suite="s.json") >> promote()
    found = judged(dag)
    assert (found.guarded_by, reasons(found)) == (frozenset(), ["gate.failure_unknown"])
    assert "Waved replaces execute" in found.weak[0].why
    with DAG("e") as dag:
        Named(task_id="gate") >> promote()
    assert judged(dag).guarded_by == {"data_validation"}


def test_a_gate_whose_method_is_replaced_or_that_was_given_code_to_run_around_it():
    with DAG("d") as dag:
        one = gate()
        one.execute = lambda context: None  # type: ignore[method-assign]
        one >> promote()
    assert reasons(judged(dag)) == ["gate.failure_unknown"]
    with DAG("e") as dag:
        gate(pre_execute=lambda context: None) >> promote(trigger_rule="none_failed")
    assert reasons(judged(dag)) == ["gate.failure_unknown"]


def test_a_gate_that_its_own_trigger_rule_skips():
    with DAG("d") as dag:
        gate("first") >> gate("second", trigger_rule="all_failed") >> promote(trigger_rule="none_failed")
    assert judged(dag).guarded_by == frozenset()


def test_jinja_decides_which_lines_of_a_command_run():
    for text in ("{% if params.check %}\nmlgov gate fairness\n{% endif %}", "{#\nmlgov gate fairness\n#}\ntrue"):
        with DAG("d") as dag:
            BashOperator(task_id="check", bash_command=text) >> promote()
        assert judged(dag).guarded_by == frozenset()
    with DAG("e") as dag:
        BashOperator(task_id="check", bash_command="mlgov gate fairness --data {{ params.data }}") >> promote()
    assert judged(dag).guarded_by == {"fairness"}
