"""States set by hand are noted in the ledger, with who did it; whoever has clicked waits for nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.statements import ObservationStatement
from airflow_mlgov.evidence.verification import Evidence, collect, only
from airflow_mlgov.plugins import listener
from airflow_mlgov.plugins.observer import Limits, Observer, notice
from airflow_mlgov.release.observations import told_observation
from tests.worlds.governed import Governed

RUN = "manual__2026-11-30"
DOWN = "postgresql+psycopg://nobody:nothing@127.0.0.1:1/ledger"


@pytest.fixture
def observed(governed: Governed, airflow_db: None, monkeypatch: pytest.MonkeyPatch) -> Governed:
    """All of it configured."""
    governed.configure(monkeypatch.setenv)
    return governed


@pytest.fixture
def observer(monkeypatch: pytest.MonkeyPatch) -> Observer:
    """The one of the listener, which does not wait long."""
    made = Observer(waits=(0.05, 0.05), limits=Limits(quiet=0.0))
    monkeypatch.setattr("airflow_mlgov.plugins.observer._REQUEST_ENDS", timedelta(seconds=2))
    monkeypatch.setattr(listener, "OBSERVER", made)
    return made


def task(dag: str = "retrain", name: str = "gate", operator: str = "FairnessGateOperator", index: int = -1) -> Any:
    return SimpleNamespace(
        dag_id=dag, run_id=RUN, task_id=name, operator=operator, try_number=1, map_index=index, state="success"
    )


def asked(dag: str, owner: str, task_id: str | None, ago: float = 0.0, run: str = RUN, extra: str = "{}") -> None:
    """A request in Airflow's audit log, as Airflow puts it there before it does what is asked."""
    from airflow.models.log import Log
    from airflow.utils.session import create_session

    row = Log(event="patch_task_instance", owner=owner, dag_id=dag, task_id=task_id, run_id=run, extra=extra)
    row.dttm = datetime.now(UTC) - timedelta(seconds=ago)
    with create_session() as session:
        session.add(row)


def notices(governed: Governed) -> list[Evidence[ObservationStatement]]:
    found, bad = collect(governed.ledger.walk(), governed.trust, kind="observation")
    assert bad == []
    return only(found, ObservationStatement)


def test_a_gate_marked_as_success_is_noted_with_who_did_it(observed: Governed, observer: Observer, caplog) -> None:
    caplog.set_level(logging.INFO)
    asked("retrain", "vic", "gate", ago=300)
    asked("retrain", "alice", "gate")
    listener.on_task_instance_success(None, task())
    observer.settle()
    (noted,) = notices(observed)
    said = noted.statement
    assert [person.name for person in said.people] == ["alice"]
    assert (said.code, said.state, said.operator) == ("task.marked", "success", "FairnessGateOperator")
    assert said.context.run == {
        "dag_id": "retrain", "run_id": RUN, "task_id": "gate", "try_number": 1, "map_index": -1,
    }  # fmt: skip
    assert noted.subject.name == f"airflow:retrain/{RUN}"
    assert f"retrain.gate (run {RUN}) was set to success by hand" in caplog.text
    assert f"noted in the ledger ({noted.reference})" in caplog.text


@pytest.mark.parametrize(
    ("hook", "state"),
    [
        (lambda: listener.on_task_instance_failed(None, task("other")), "failed"),
        (lambda: listener.on_task_instance_skipped(None, task("other")), "skipped"),
    ],
)
def test_nobody_is_named_where_airflow_names_nobody(
    observed: Governed, observer: Observer, hook: Callable[[], None], state: str
) -> None:
    hook()
    observer.settle()
    (noted,) = notices(observed)
    assert (noted.statement.state, noted.statement.people) == (state, ())


def test_who_did_it_is_waited_for_until_the_request_has_ended(observed: Governed, observer: Observer) -> None:
    """Airflow's note of a request is there for others when its transaction has ended."""
    began = datetime.now(UTC)
    listener.on_task_instance_success(None, task(dag="slow"))
    threading.Event().wait(0.7)
    asked("slow", "alice", "gate", ago=(datetime.now(UTC) - began).total_seconds() + 0.01)
    observer.settle()
    assert [person.name for item in notices(observed) for person in item.statement.people] == ["alice"]


def test_two_requests_at_once_are_not_told_apart_and_one_that_names_the_task_goes_before(
    observed: Governed, observer: Observer
) -> None:
    asked("at_once", "alice", "gate", ago=1)
    asked("at_once", "omar", "gate")
    asked("upstream", "omar", "another", ago=1)
    asked("upstream", "alice", "promote", ago=2, extra='{"include_upstream": true}')
    asked("named", "olga", "gate", ago=2, extra='{"map_index": "1"}')
    asked("named", "omar", "gate", ago=1, extra='{"map_index": "0"}')
    asked("named", "alice", None)
    for dag in ("at_once", "upstream", "named"):
        listener.on_task_instance_success(None, task(dag, index=1 if dag == "named" else -1))
    observer.settle()
    who = [[person.name for person in noted.statement.people] for noted in notices(observed)]
    assert who == [["alice", "omar"], ["alice"], ["olga"]]


def test_what_ran_by_itself_and_what_signs_nothing_is_not_noted(observed: Governed, observer: Observer) -> None:
    listener.on_task_instance_success("running", task())
    listener.on_task_instance_failed("running", task())
    listener.on_task_instance_success(None, task(operator="BashOperator"))
    for hook, reason in ((listener.on_dag_run_success, "success"), (listener.on_dag_run_failed, "task_failure")):
        hook(SimpleNamespace(dag_id="retrain", run_id=RUN), reason)
    listener.on_dag_run_success(SimpleNamespace(dag_id="of_bash_alone", run_id=RUN), "manually set")
    observer.settle()
    assert notices(observed) == []


def test_without_its_key_nothing_is_noted_and_no_key_is_made(observed: Governed, observer: Observer, caplog) -> None:
    (observed.folder / "observation.pem").unlink()
    listener.on_task_instance_success(None, task())
    observer.settle()
    assert not (observed.folder / "observation.pem").exists()
    TrustRoot(tuple(key for key in observed.trust.keys if "observation" not in key.duties)).save(observed.trust_file)
    listener.on_task_instance_success(None, task())
    observer.settle()
    observed.trust_file.unlink()
    listener.on_task_instance_success(None, task())
    observer.settle()
    assert observed.kinds() == []
    assert {record.levelname for record in caplog.records if record.name.startswith("airflow_mlgov")} == {"WARNING"}


def test_a_ledger_that_is_down_is_waited_for(
    observed: Governed, observer: Observer, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    there, seen = observed.ledger_url, threading.Event()
    monkeypatch.setenv("AIRFLOW__MLGOV__LEDGER", DOWN)

    class Comes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "not noted in the ledger yet" in record.getMessage():
                monkeypatch.setenv("AIRFLOW__MLGOV__LEDGER", there)
                seen.set()

    logging.getLogger("airflow_mlgov.plugins.observer").addHandler(handler := Comes())
    try:
        listener.on_task_instance_success(None, task())
        observer.settle()
    finally:
        logging.getLogger("airflow_mlgov.plugins.observer").removeHandler(handler)
    assert seen.is_set()
    assert len(notices(observed)) == 1


def test_one_that_stays_down_is_said_and_the_thread_lives_on(
    observed: Governed, observer: Observer, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    there = observed.ledger_url
    monkeypatch.setenv("AIRFLOW__MLGOV__LEDGER", DOWN)
    listener.on_task_instance_success(None, task("lost"))
    observer.settle()
    assert f"lost.gate (run {RUN}): not noted in the ledger: the ledger" in caplog.text
    monkeypatch.setenv("AIRFLOW__MLGOV__LEDGER", there)
    listener.on_task_instance_success(None, task("kept"))
    observer.settle()
    assert [noted.statement.context.run["dag_id"] for noted in notices(observed)] == ["kept"]


def test_whoever_has_clicked_waits_for_nothing_and_what_does_not_fit_is_said(
    observed: Governed, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    """The hook is through while the ledger holds the thread up."""
    reached, goes_on = threading.Event(), threading.Event()

    def held_up(noticed: Any) -> None:
        reached.set()
        goes_on.wait()

    monkeypatch.setattr("airflow_mlgov.plugins.observer._attempt", held_up)
    small = Observer(limits=Limits(waiting=1))
    small.take(notice("task.marked", "success", task("first")))
    reached.wait()
    small.take(notice("task.marked", "success", task("second")))
    small.take(notice("task.marked", "success", task("third")))
    assert f"third.gate (run {RUN}): not noted in the ledger: too many wait already, 1 by now" in caplog.text
    goes_on.set()
    small.settle()


# -- whoever clicks in a loop -----------------------------------------------------------------------------------------

ALL = {"success": listener.on_task_instance_success, "failed": listener.on_task_instance_failed}


@pytest.fixture
def strict(observer: Observer, monkeypatch: pytest.MonkeyPatch) -> Observer:
    """Takes three of a DAG in an hour, and notes what repeats itself after a second."""
    made = Observer(waits=(0.05,), limits=Limits(waiting=50, quiet=1.0, of_a_dag=3))
    monkeypatch.setattr("airflow_mlgov.plugins.observer._REQUEST_ENDS", timedelta(0))
    monkeypatch.setattr(listener, "OBSERVER", made)
    return made


def test_a_gate_that_is_marked_in_a_loop_leaves_few_notices(
    observed: Governed, observer: Observer, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    observer._limits = Limits(quiet=5.0)
    monkeypatch.setattr("airflow_mlgov.plugins.observer._REQUEST_ENDS", timedelta(0))
    caplog.set_level(logging.ERROR)
    asked("retrain", "alice", "gate")
    for _ in range(2_000):
        for hook in ALL.values():
            hook(None, task())
    observer.settle()
    said = [noted.statement for noted in notices(observed)]
    assert [(item.code, item.state) for item in said[:2]] == [("task.marked", "success"), ("task.marked", "failed")]
    assert len(said) < 20  # each state at once, and once in five seconds
    assert sum(item.times for item in said) == 4_000
    assert caplog.text == ""
    told = told_observation(said[-1])
    assert f"was set to {said[-1].state} by hand {said[-1].times} times more, the last time by alice" in told


def test_what_goes_beyond_what_is_noted_of_a_dag_is_counted_and_hides_no_other_dag(
    observed: Governed, strict: Observer
) -> None:
    for number in range(500):
        listener.on_task_instance_success(None, task(name=f"gate_{number}"))
    listener.on_task_instance_success(None, task("another"))
    strict.settle()
    said = [noted.statement for noted in notices(observed)]
    assert [item.context.run["task_id"] for item in said if item.code == "task.marked"] == [
        "gate_0", "gate_1", "gate_2", "gate",
    ]  # fmt: skip
    (more,) = [item for item in said if item.code == "more.marked"]
    assert (more.times, more.context.run) == (497, {"dag_id": "retrain", "run_id": RUN})
    assert told_observation(more).startswith("497 more states were set by hand in retrain than are noted singly")


def test_what_waits_is_bounded_whatever_dags_there_are(observed: Governed, strict: Observer, caplog) -> None:
    with monkeypatched_attempt() as goes_on:
        for number in range(1_000):
            listener.on_task_instance_success(None, task(f"dag_{number}"))
        assert len(strict._waiting) == 50
        assert "too many wait already, 512 by now" in caplog.text
        assert caplog.text.count("too many wait already") == 10
        goes_on.set()
        strict.settle()


@contextmanager
def monkeypatched_attempt() -> Iterator[threading.Event]:
    """The ledger takes nothing until the event is set."""
    goes_on = threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airflow_mlgov.plugins.observer._attempt", lambda _: goes_on.wait() and None)
        yield goes_on


@pytest.mark.parametrize(
    ("extra", "task_id", "run"),
    [
        ('{"include_upstream": true}', "another", "another_run"),
        ('{"include_future": true}', "another", RUN),
        ('{"include_future": true}', "another", "another_run"),
        ("[1]", "another", RUN),
    ],
)
def test_nobody_is_named_for_a_request_that_does_not_reach_there(
    observed: Governed, observer: Observer, extra: str, task_id: str, run: str
) -> None:
    """Airflow says of some requests not who sent them: whoever has clicked elsewhere in the DAG did not do it."""
    asked("unsaid", "omar", task_id, run=run, extra=extra)
    listener.on_task_instance_success(None, task("unsaid"))
    observer.settle()
    assert [noted.statement.people for noted in notices(observed)] == [()]


def test_a_listener_that_cannot_tell_hides_no_other_listener(monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    def broken(_: Any) -> bool:
        raise ValueError("secret")

    monkeypatch.setattr(listener, "is_watched", broken)
    listener.on_task_instance_success(None, task())
    listener.on_dag_run_success(object(), "manually set")
    assert caplog.text.count("was not noticed: ") == 2
    assert "secret" not in caplog.text
