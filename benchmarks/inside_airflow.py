"""Who runs inside Airflow: DAG files parsed by its DAG processor, and a gate as a task beside a Python task
that calls the library. Each has an Airflow home of its own that goes away with it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.contender import Steps
from benchmarks.data import SUITE

_PARSES = 8


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
