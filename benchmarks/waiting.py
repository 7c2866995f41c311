"""What waiting costs: Airflow's own triggerer with one and with a thousand deferred ``ModelVersionSensor`` over a real
MLflow, beside a thousand of Airflow's ``DateTimeSensorAsync``. Run it: ``python -m benchmarks.waiting``."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

INTERVAL = 10.0
"""Seconds between two looks."""
WATCHED_FOR = 60.0
"""Seconds that are measured, once the triggerer has taken over what waits."""
_MOST_WAIT = 600.0


@dataclass(frozen=True)
class Waiting:
    """What a triggerer's process that runs the triggers has used."""

    what: str
    triggers: int
    memory_mb: float
    cpu_percent: float
    """Of one core."""
    queries: int
    """That MLflow has answered meanwhile."""
    intervals: float


def measure(what: str, count: int, mlflow_url: str, accesses: Path) -> Waiting:
    """One triggerer with so many triggers."""
    import psutil  # type: ignore[import-untyped]

    with _airflow(mlflow_url) as home:
        _defer(what, count)
        log = (home / "triggerer.log").open("w")
        command = [sys.executable, "-m", "airflow", "triggerer", "--skip-serve-logs"]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            runner = _runner(psutil.Process(process.pid), home / "triggerer.log", count)
            time.sleep(3 * INTERVAL)  # the first looks and their imports
            before, answered, began = sum(runner.cpu_times()[:2]), _answered(accesses), time.monotonic()
            time.sleep(WATCHED_FOR)
            took = time.monotonic() - began
            used = sum(runner.cpu_times()[:2]) - before
            memory = runner.memory_info().rss / 1e6
            queries = _answered(accesses) - answered
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return Waiting(what, count, round(memory, 1), round(100 * used / took, 2), queries, round(took / INTERVAL, 1))


@contextmanager
def serve_mlflow(models: int) -> Iterator[tuple[str, Path]]:
    """A server that holds so many models with a version each, and the file of its access log."""
    import socket

    import requests
    from mlflow import MlflowClient

    with TemporaryDirectory(prefix="mlgov-bench-mlflow-") as folder:
        store = f"sqlite:///{folder}/mlflow.db"
        client = MlflowClient(store, store)
        for number in range(models):
            client.create_registered_model(f"model_{number}")
            client.create_model_version(f"model_{number}", f"{folder}/artifact", await_creation_for=0)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        accesses = Path(folder, "access.log")
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--workers",
            "1",
        ]
        command += ["--backend-store-uri", store, "--artifacts-destination", f"{folder}/artifacts"]
        settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with accesses.open("w") as log:
            server = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **settings}, start_new_session=True
            )
        url = f"http://127.0.0.1:{port}"
        try:
            until(lambda: requests.get(f"{url}/health", timeout=2).ok, "MLflow")
            yield url, accesses
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def until(done: Callable[[], bool], what: str) -> None:
    """Ask every second, for ten minutes."""
    began = time.monotonic()
    while time.monotonic() - began < _MOST_WAIT:
        with suppress(OSError):
            if done():
                return
        time.sleep(1)
    raise RuntimeError(f"{what} did not come up")


def _answered(accesses: Path) -> int:
    return len(re.findall(r"registered-models/search", accesses.read_text(errors="replace")))


@contextmanager
def _airflow(mlflow_url: str) -> Iterator[Path]:
    with TemporaryDirectory(prefix="mlgov-bench-") as home:
        os.environ |= {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": f"{home}/dags",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "AIRFLOW__TRIGGERER__CAPACITY": "2000",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
            "AIRFLOW_CONN_MLFLOW_DEFAULT": json.dumps({"conn_type": "mlflow", "host": mlflow_url}),
        }
        Path(home, "dags").mkdir()
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
        yield Path(home)


def _defer(what: str, count: int) -> None:
    """A run of a DAG whose tasks all wait, as the scheduler and the workers would have left it."""
    script = f"from benchmarks.waiting import defer_now; defer_now({what!r}, {count})"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)


def trigger_of(what: str, number: int) -> Any:
    """What one task waits with."""
    if what == "DateTimeSensorAsync":
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        return DateTimeTrigger(datetime.now(UTC) + timedelta(days=1))
    from airflow_mlgov.triggers.model_version import VersionTrigger

    return VersionTrigger(
        model=f"model_{number}",
        mlflow_conn_id="mlflow_default",
        newer_than=1,
        duty="registration",
        poll_interval=INTERVAL,
    )


def defer_now(what: str, count: int) -> None:
    """In a process of its own, with Airflow's database at hand."""
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import Trigger
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState, TaskInstanceState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    with DAG("waits", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        EmptyOperator(task_id="wait")
    with create_session() as session:
        session.add(DagBundleModel(name="bench"))
        session.flush()
        from airflow.serialization.definitions.dag import SerializedDAG

        SerializedDAG.bulk_write_to_db("bench", None, [LazyDeserializedDAG.from_dag(dag)], session=session)
        SerializedDagModel.write_dag(LazyDeserializedDAG.from_dag(dag), bundle_name="bench", session=session)
        session.flush()
        read = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        run = read.create_dagrun(
            run_id="bench",
            logical_date=None,
            run_after=datetime.now(UTC),
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.RUNNING,
            session=session,
        )
        (first,) = run.get_task_instances(session=session)
        task, version = read.get_task("wait"), first.dag_version_id
        for number in range(count):  # as if it were mapped
            instance = TaskInstance(task, run_id="bench", map_index=number, dag_version_id=version)
            session.add(instance)
            waiting = Trigger.from_object(trigger_of(what, number))
            session.add(waiting)
            session.flush()
            instance.state = TaskInstanceState.DEFERRED
            instance.trigger_id = waiting.id
            instance.next_method = "execute_complete"


def _runner(parent: Any, log: Path, count: int) -> Any:
    """The process in which the triggers run, once all of them do."""
    began = time.monotonic()
    while time.monotonic() - began < _MOST_WAIT:
        children = parent.children()
        if children and f"{count} triggers currently running" in log.read_text(errors="replace"):
            return children[-1]
        time.sleep(1)
    raise RuntimeError(f"the triggerer did not take over {count} triggers: {log.read_text(errors='replace')[-2000:]}")


def main() -> None:
    """Measure, and print each, and the ratios."""
    with serve_mlflow(models=1000) as (url, accesses):
        found = [
            measure("ModelVersionSensor", 1, url, accesses),
            measure("ModelVersionSensor", 1000, url, accesses),
            measure("DateTimeSensorAsync", 1000, url, accesses),
        ]
    for item in found:
        print(json.dumps(asdict(item)))


if __name__ == "__main__":
    main()
