"""Asking and answering on a real Airflow, in spite of its race: an answer that comes before the scheduler has heard of
the parked task fails the try, and the next try asks again."""

import time
from collections.abc import Callable

from airflow_mlgov.demo.airflow_api import HITL_SETTLE_SECONDS, AirflowUser, Run

WAITING = {"awaiting_input", "deferred"}
"""The state of a task that asks: since Airflow 3.3, and before it."""


def asks(person: AirflowUser, run: Run, task: str) -> None:
    """Until a form asks (again) and the scheduler has had time to hear of it."""
    path = f"{run.path}/taskInstances/{task}"

    def asking() -> bool:
        if person.look(path)["state"] not in WAITING:
            return False
        return not person.look(f"{path}/-1/hitlDetails")["response_received"]

    for pause in (HITL_SETTLE_SECONDS, 0):
        until(asking, f"{task} of {run.run_id}", run.tasks, timeout=180)
        time.sleep(pause)


def answered(give: Callable[[], int], taken: Callable[[], bool], person: AirflowUser, run: Run, task: str) -> None:
    """Give an answer until it is taken: again, where Airflow has lost it and the next try asks.

    :param give: answers the form; returns the HTTP status
    """
    for _ in range(3):
        asked = run.tries(task)
        assert give() == 200
        until(lambda asked=asked: taken() or run.tries(task) > asked, f"the answer to {task}", run.tasks, timeout=180)
        if taken():
            return
        asks(person, run, task)
    raise AssertionError(f"Airflow lost every answer: {run.tasks()}")


def until(done: Callable[[], bool], what: str, seen: Callable[[], object], timeout: float = 300.0) -> None:
    """Poll until it is so."""
    deadline = time.monotonic() + timeout
    while not done():
        assert time.monotonic() < deadline, f"waited {timeout:.0f} s for {what}; last seen: {seen()}"
        time.sleep(1.0)
