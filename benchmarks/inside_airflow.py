"""Who runs inside Airflow: DAG files parsed by its DAG processor, and a gate as a task beside a Python task
that calls the library. Each has an Airflow home of its own that goes away with it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.contender import Steps
from benchmarks.data import SUITE

_PARSES = 8
_TURNS = 5
"""How often each DAG is judged and serialised; the quickest counts."""


@contextmanager
def _airflow_home() -> Iterator[None]:
    with TemporaryDirectory(prefix="mlgov-bench-") as home:
        os.environ |= {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        }
        yield


def parse(path: str) -> Steps:
    """A DAG file in the care of ``airflow dag-processor``. The seconds are what Airflow itself records as the file's
    last parse duration, after it was parsed some times: the fork, the file, its serialisation, the answer."""
    with TemporaryDirectory(prefix="mlgov-bench-") as home:
        shutil.copy(path, Path(home) / "dag.py")
        environment = os.environ | {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__DAGS_FOLDER": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "0",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        }
        airflow = [sys.executable, "-m", "airflow"]
        subprocess.run([*airflow, "db", "migrate"], env=environment, check=True, capture_output=True)
        yield None
        command = [*airflow, "dag-processor", "--num-runs", str(_PARSES)]
        subprocess.run(command, env=environment, check=True, capture_output=True)
        with closing(sqlite3.connect(f"{home}/airflow.db")) as database:
            ((seconds, dag),) = database.execute(
                "SELECT last_parse_duration, data FROM dag JOIN serialized_dag USING (dag_id)"
            ).fetchall()
        yield seconds
        return {"tasks": len(json.loads(dag)["dag"]["tasks"])}


def gate_task(path: str) -> Steps:
    """The data gate's operator in Airflow's task runner; it also signs its evidence and appends it to a ledger."""
    with _airflow_home():
        from airflow_mlgov.operators.data_validation import DataValidationGateOperator
        from tests.fixtures.airflow_runner import run_one_task

        yield None
        return _ended(run_one_task(DataValidationGateOperator(task_id="gate", data=path, suite=SUITE)))


def python_task(path: str) -> Steps:
    """A Python task that calls Great Expectations, in the same task runner."""
    with _airflow_home():
        from airflow.providers.standard.operators.python import PythonOperator

        from tests.fixtures.airflow_runner import run_one_task

        yield None
        return _ended(run_one_task(PythonOperator(task_id="gate", python_callable=_call, op_args=[path])))


def _call(path: str) -> dict[str, Any]:
    from benchmarks.data_gate import great_expectations

    steps = great_expectations(path)
    next(steps)
    try:
        next(steps)
    except StopIteration as end:
        return {"verdict": end.value["verdict"]}
    raise RuntimeError("no answer")


def _ended(end: Any) -> dict[str, Any]:
    if end.state != "success":
        raise RuntimeError(f"the task ended {end.state}: {end.error}")
    return {"verdict": end.xcom["verdict"]}


def cluster_policy(quantile: str) -> Steps:
    """What Airflow asks of the cluster policy for each of its own example DAGs, none of which promotes a model. The
    seconds are a quantile over the DAGs, of processor time."""
    return (yield from _over_examples(quantile, _asked))


def judged(quantile: str) -> Steps:
    """The same as if each promoted: its steps are read, told and judged."""
    return (yield from _over_examples(quantile, _judged))


def serialisation(quantile: str) -> Steps:
    """Airflow's own serialisation of each of them."""
    return (yield from _over_examples(quantile, _serialised))


def _over_examples(quantile: str, work: Callable[[Any], None]) -> Steps:
    with _airflow_home():
        import airflow.example_dags
        from airflow.dag_processing.dagbag import DagBag

        (folder,) = airflow.example_dags.__path__
        dags = [dag for dag in DagBag(folder).dags.values() if _can_be_serialised(dag)]
        for dag in dags:
            work(dag)  # what it imports and compiles once
        yield None
        seconds = []
        for dag in dags:
            tries = []
            for _ in range(_TURNS):
                began = time.process_time()
                work(dag)
                tries.append(time.process_time() - began)
            seconds.append(min(tries))
        at = {"median": 49, "p95": 94}[quantile]
        yield statistics.quantiles(seconds, n=100)[at]
        return {"dags": len(dags)}


def _can_be_serialised(dag: Any) -> bool:
    """Not where it needs a plugin of the examples, which is not installed."""
    from airflow.exceptions import SerializationError

    try:
        _serialised(dag)
    except SerializationError:
        return False
    return True


def _asked(dag: Any) -> None:
    from airflow_mlgov.cluster_policy import violations

    list(violations(dag))


def _judged(dag: Any) -> None:
    from airflow_mlgov.cluster_policy import judged

    judged(dag)


def _serialised(dag: Any) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    DagSerialization.to_dict(dag)
