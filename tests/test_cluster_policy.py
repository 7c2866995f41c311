"""Every team's DAGs, judged as Airflow parses them; off until configured. The listener only warns."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow import settings
from airflow.policies import hookimpl

from airflow_mlgov import cluster_policy
from airflow_mlgov.gates.children.scripts.dags_parse import dag_bag
from airflow_mlgov.plugins.listener import on_task_instance_success

HEAD = """\
from datetime import datetime
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from functools import partial
from airflow.providers.standard.operators.python import BranchPythonOperator, PythonOperator, ShortCircuitOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Asset, TaskGroup, task_group
from airflow_mlgov.operators.fairness import FairnessGateOperator
from airflow_mlgov.operators.performance import PerformanceGateOperator
from airflow_mlgov.operators.promotion import PromoteModelOperator

class Ship(PromoteModelOperator):
    pass

class Exits(BashOperator):
    @property
    def arguments(self):
        raise SystemExit(3)

def by_hand():
    import mlflow
    mlflow.MlflowClient().set_registered_model_alias("m", "champion", "1")

def wrapped(**context):
    def inner():
        PromoteModelOperator(task_id="p", model="models:/m/1", target="production").execute(context)
    inner()

def gate(name="gate", kind=FairnessGateOperator, **given):
    return kind(task_id=name, model="models:/m/1", data="/d.csv", **given)

def promote(kind=PromoteModelOperator, **given):
    return kind(task_id="promote", model="models:/m/1", target="production", **given)

def empty(name, **given):
    return EmptyOperator(task_id=name, **given)
"""
DAG = """
with DAG("{name}", schedule=None, start_date=datetime(2026, 1, 1)):
    {body}
"""
KEPT = {
    "plain": "gate() >> promote()",
    "between": "gate() >> empty('join') >> promote()",
    "grouped": "with TaskGroup('g') as gates: gate(); gate('other', PerformanceGateOperator)\n    gates >> promote()",
    "two_models": "gate() >> promote(); gate('other') >> empty('elsewhere')",
    "watched": "gate() >> promote() >> gate('live')",
    "recorded_beside": "[gate(), gate('noted', on_fail='record')] >> promote()",
    "no_promotion": "gate() >> empty('end', trigger_rule='all_done')",
    "gates_elsewhere": "promote()",
    "by_python": "gate() >> PythonOperator(task_id='promote', python_callable=by_hand)",
    "setup": "gate().as_setup() >> promote()",
    "mapped_group": "@task_group\n    def g(x):\n        gate() >> promote()\n    g.expand(x=[1, 2])",
    "short_circuit": "ShortCircuitOperator(task_id='s', python_callable=lambda: False) >> gate() >> promote()",
    "starts_another": "gate() >> TriggerDagRunOperator(task_id='t', trigger_dag_id='x') >> promote()",
    "assets": "gate(outlets=[Asset('a')]) >> promote(inlets=[Asset('a')])",
    "odd_arguments": "gate() >> PythonOperator(task_id='p', python_callable=print, op_kwargs={'a': {1: 2, 'b': {3}}})"
    " >> promote()",
    "many": "[gate(f'g{at}') for at in range(300)] >> promote()",
    "mapped": "gate() >> PromoteModelOperator.partial(task_id='promote', target='prod').expand(model=['models:/m/1'])",
}
BROKEN = {
    "ignores": ("gate() >> promote(trigger_rule='all_done')", "MLGOV-001", "'all_done'"),
    "alone": ("promote(trigger_rule='none_failed')", "MLGOV-001", "'none_failed'"),
    "subclass": ("gate() >> promote(Ship, trigger_rule='all_done')", "MLGOV-001", "'all_done'"),
    "mapped_done": (
        "gate() >> PromoteModelOperator.partial(task_id='promote', target='production', trigger_rule='all_done')"
        ".expand(model=['models:/m/1'])",
        "MLGOV-001", "'all_done'",
    ),
    "teardown": ("gate() >> promote().as_teardown()", "MLGOV-001", "'all_done_setup_success'"),
    "subclass_of_subclass": (
        "gate() >> promote(type('Ship2', (Ship,), {}), trigger_rule='all_done')", "MLGOV-001", "'all_done'",
    ),
    "loosened_later": ("g, p = gate(), promote(); g >> p; p.trigger_rule = 'all_done'", "MLGOV-001", "'all_done'"),
    "gate_torn_down": ("gate().as_teardown() >> promote()", "MLGOV-002", "gate.failure_ignored"),
    "torn_down_between": ("gate() >> empty('t').as_teardown() >> promote()", "MLGOV-002", "gate.weak_edge"),
    "gate_replaced": ("g = gate(); g.execute = print; g >> promote()", "MLGOV-002", "gate.failure_unknown"),
    "python_by_hand": (
        "gate() >> empty('join', trigger_rule='all_done') >> PythonOperator(task_id='p', python_callable=by_hand)",
        "MLGOV-002", "gate.weak_edge",
    ),
    "python_wrapped": (
        "gate() >> empty('join', trigger_rule='all_done') >> "
        "PythonOperator(task_id='p', python_callable=partial(wrapped))",
        "MLGOV-002", "gate.weak_edge",
    ),
    "mapped_over_failures": (
        "FairnessGateOperator.partial(task_id='gate', model='models:/m/1', data='/d.csv').expand(on_fail=['record'])"
        " >> promote()",
        "MLGOV-002", "gate.failure_unknown",
    ),
    "mapped_over_commands": (
        "gate() >> empty('join', trigger_rule='all_done') >> BashOperator.partial(task_id='b')"
        ".expand(bash_command=['true', 'mlgov promote models:/m/1 --target production'])",
        "MLGOV-002", "gate.weak_edge",
    ),
    "mapped_over_arguments": (
        "gate() >> empty('join', trigger_rule='all_done') >> BashOperator.partial(task_id='b')"
        ".expand_kwargs([{'bash_command': 'mlgov promote models:/m/1 --target production'}])",
        "MLGOV-002", "gate.weak_edge",
    ),
    "bridge": ("gate() >> empty('join', trigger_rule='all_done') >> promote()", "MLGOV-002", "gate.weak_edge"),
    "branch": (
        "branch = BranchPythonOperator(task_id='branch', python_callable=lambda: 'skip')\n"
        "    branch >> gate() >> empty('join', trigger_rule='none_failed') >> promote()\n"
        "    branch >> empty('skip') >> empty('join2')",
        "MLGOV-002", "gate.",
    ),
    "beside": ("gate(); promote()", "MLGOV-002", "gate.beside"),
    "recorded": ("gate(on_fail='record') >> promote()", "MLGOV-002", "gate.failure_ignored"),
    "one_of_two": (
        "[gate(), empty('other')] >> empty('join', trigger_rule='one_success') >> promote()",
        "MLGOV-002", "gate.another_path",
    ),
    "by_mapped_command": (
        "gate() >> empty('join', trigger_rule='all_done') >> BashOperator.partial(task_id='ship', "
        "bash_command='mlgov promote models:/m/1 --target production').expand(env=[{'A': 'b'}])",
        "MLGOV-002", "gate.weak_edge",
    ),
    "by_command": (
        "gate() >> empty('join', trigger_rule='all_done') >> "
        "BashOperator(task_id='ship', bash_command='mlgov promote models:/m/1 --target production')",
        "MLGOV-002", "gate.weak_edge",
    ),
}  # fmt: skip


def policy_plugins() -> Any:
    """Whom Airflow asks about tasks and DAGs: a function since 3.2."""
    found = getattr(settings, "get_policy_plugin_manager", None)
    return found() if found else settings.POLICY_PLUGIN_MANAGER


def errors(folder: Path, **bodies: str) -> str:
    """What Airflow says of a file with these DAGs, by its own loader; empty if it takes them all."""
    file = folder / "dags.py"
    file.write_text(HEAD + "".join(DAG.format(name=name, body=body) for name, body in bodies.items()))
    cluster_policy._broken.clear()
    bag = dag_bag()(str(file))
    said = "\n".join(bag.import_errors.values())
    assert said or set(bag.dags) == set(bodies)
    return said


@pytest.fixture
def enforced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__MLGOV__CLUSTER_POLICY", "enforce")


@pytest.mark.parametrize("name", BROKEN)
def test_it_does_nothing_until_configured(name: str, tmp_path: Path) -> None:
    assert errors(tmp_path, **{name: BROKEN[name][0]}) == ""


def test_tasks_of_this_package_go_to_their_queue_and_no_other_may(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    body = "gate() >> promote(Ship, queue='fast') >> empty('end', queue='fast'); PromoteModelOperator.partial("
    body += "task_id='several', target='prod').expand(model=['models:/m/1'])"
    file = tmp_path / "dags.py"
    file.write_text(HEAD + DAG.format(name="queued", body=body))

    def queues() -> dict[str, str]:
        return {task.task_id: task.queue for task in dag_bag()(str(file)).dags["queued"].tasks}

    assert queues() == {"gate": "default", "promote": "fast", "end": "fast", "several": "default"}
    monkeypatch.setenv("AIRFLOW__MLGOV__QUEUE", "governance")
    assert queues() == {"gate": "governance", "promote": "governance", "end": "fast", "several": "governance"}
    said = errors(tmp_path, intruder="gate(); empty('reads_secrets', queue='governance')")
    assert "[MLGOV-004] the task 'reads_secrets' names the queue 'governance'" in said


@pytest.mark.parametrize("name", KEPT)
def test_a_dag_that_keeps_the_rules(name: str, enforced: None, tmp_path: Path) -> None:
    assert errors(tmp_path, **{name: KEPT[name]}) == ""


@pytest.mark.parametrize("name", BROKEN)
def test_a_promotion_that_ignores_failed_gates_is_refused(name: str, enforced: None, tmp_path: Path) -> None:
    body, rule, why = BROKEN[name]
    said = errors(tmp_path, **{name: body})
    assert said.startswith(f"AirflowClusterPolicyViolation: [{rule}] the promotion task ")
    assert f"of the DAG '{name}'" in said
    assert why in said


def test_one_message_says_all_of_a_file(enforced: None, tmp_path: Path) -> None:
    said = errors(tmp_path, a=BROKEN["bridge"][0], fine=KEPT["plain"], b=BROKEN["ignores"][0])
    assert "[MLGOV-002] the promotion task 'promote' of the DAG 'a'" in said
    assert "[MLGOV-001] the promotion task 'promote' of the DAG 'b'" in said
    assert "'fine'" not in said
    assert said.endswith("Airflow hides every DAG of this file until that is mended.")


def test_a_policy_of_others_that_loosens_afterwards(enforced: None, tmp_path: Path) -> None:
    """Airflow asks ``dag_policy`` before any ``task_policy``, and this one is asked last."""

    class Loosening:
        @hookimpl
        def task_policy(self, task: object) -> None:
            if task.task_id == "promote":  # type: ignore[attr-defined]
                task.trigger_rule = "all_done"  # type: ignore[attr-defined]

    manager, plugin = policy_plugins(), Loosening()
    manager.register(plugin)
    try:
        assert "[MLGOV-001]" in errors(tmp_path, loosened=KEPT["plain"])
    finally:
        manager.unregister(plugin)


def test_a_policy_of_others_that_adds_a_task(enforced: None, tmp_path: Path) -> None:
    """Airflow does not ask about it, so the DAG is judged at the last that it asks about."""

    class Adding:
        @hookimpl
        def task_policy(self, task: object) -> None:
            from airflow.providers.standard.operators.empty import EmptyOperator

            if task.task_id == "promote":  # type: ignore[attr-defined]
                EmptyOperator(task_id="added", dag=task.dag)  # type: ignore[attr-defined]

    manager, plugin = policy_plugins(), Adding()
    manager.register(plugin)
    try:
        assert "[MLGOV-002]" in errors(tmp_path, added=BROKEN["bridge"][0])
    finally:
        manager.unregister(plugin)


def test_a_task_that_would_end_the_process(enforced: None, tmp_path: Path) -> None:
    said = errors(tmp_path, exits="gate() >> Exits(task_id='e', bash_command='true') >> promote()")
    assert "[MLGOV-000] the DAG 'exits' could not be judged (SystemExit)" in said


def test_gates_that_every_promotion_needs(enforced: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__MLGOV__CLUSTER_POLICY_REQUIRE", "fairness, performance")
    assert "[MLGOV-003] the promotion task 'promote' of the DAG 'plain' is not guarded by performance" in errors(
        tmp_path, plain=KEPT["plain"]
    )
    assert errors(tmp_path, grouped=KEPT["grouped"], no_promotion=KEPT["no_promotion"]) == ""


def test_warn_says_so_and_lets_it_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW__MLGOV__CLUSTER_POLICY", "warn")
    assert errors(tmp_path, ignores=BROKEN["ignores"][0]) == ""
    assert "MLGOV-001" in caplog.text


def test_what_nobody_could_judge_is_refused(enforced: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(cluster_policy, "violations", fails)
    assert "[MLGOV-000] the DAG 'plain' could not be judged (KeyError)" in errors(tmp_path, plain=KEPT["plain"])


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
