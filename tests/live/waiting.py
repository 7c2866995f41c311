"""Waiting for a real Airflow: how long follows the machine, and a form is answered in spite of Airflow's race.
An answer that comes before the scheduler has heard of the parked task fails the try, and the next try asks again."""

import functools
import os
import time
from collections.abc import Callable

from airflow_mlgov.demo.airflow_api import HITL_SETTLE_SECONDS, AirflowUser, Run

WAITING = {"awaiting_input", "deferred"}
"""The state of a task that asks: since Airflow 3.3, and before it."""
QUICK = 0.15
"""Seconds of processor time that :func:`_work` takes on the machine on which time-outs were chosen."""
AT_MOST = 4.0
HANGS = 2400
"""Seconds after which pytest ends a live test: on the slowest machine it has hung by then."""


def slowness() -> float:
    """How many times slower than an idle machine this one is now: by its processor, and by how many want it.

    :returns: 1 to :data:`AT_MOST`
    """
    crowd = os.getloadavg()[0] / (os.cpu_count() or 1)
    return min(AT_MOST, max(1.0, crowd) * max(1.0, _work() / QUICK))


def patience(seconds: float) -> float:
    """What an idle machine would need, for this one."""
    return seconds * slowness()


@functools.cache
def _work() -> float:
    began = time.process_time()
    sum(number * number for number in range(2_000_000))
    return time.process_time() - began


def until(done: Callable[[], bool], what: str, seen: Callable[[], object], timeout: float = 300.0) -> None:
    """Poll until it is so: often at first, and once a second in the end.

    :param timeout: seconds on an idle machine; a second of a machine that is busy meanwhile counts for less
    """
    spent, last, pause = 0.0, time.monotonic(), 0.1
    while not done():
        now = time.monotonic()
        spent, last = spent + (now - last) / slowness(), now
        assert spent < timeout, f"waited {timeout:.0f} s of an idle machine for {what}; last seen: {seen()}"
        time.sleep(pause)
        pause = min(1.0, 1.3 * pause)


def asks(person: AirflowUser, run: Run, task: str) -> None:
    """Until a form asks (again) and the scheduler has had time to hear of it."""
    path = f"{run.path}/taskInstances/{task}"

    def asking() -> bool:
        if person.look(path)["state"] not in WAITING:
            return False
        return not person.look(f"{path}/-1/hitlDetails")["response_received"]

    until(asking, f"{task} of {run.run_id}", run.tasks, timeout=180)
    time.sleep(HITL_SETTLE_SECONDS)
    until(lambda: asking() and run.heard(task), f"{task} of {run.run_id}", run.tasks, timeout=180)


def answered(give: Callable[[], int], taken: Callable[[], bool], person: AirflowUser, run: Run, task: str) -> None:
    """Give an answer until it is taken: again, where Airflow has lost it and the next try asks.

    :param give: answers the form; returns the HTTP status
    """
    for _ in range(3):
        asked = run.tries(task)
        assert give() == 200
        until(
            lambda asked=asked: taken() or run.tries(task) > asked or run.tasks()[task] == "failed",
            f"the answer to {task}",
            run.tasks,
            timeout=180,
        )
        if taken():
            return
        assert run.tasks()[task] != "failed", run.log(task)
        asks(person, run, task)
    raise AssertionError(f"Airflow lost every answer: {run.tasks()}")
