"""Who runs inside Airflow: DAG files parsed as the DAG processor parses them, and a gate as a task beside a Python task
that calls the library. Each has an Airflow home of its own that goes away with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.contender import Steps
from benchmarks.data import SUITE


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
    """A DAG file, parsed and serialised. The imports are those that the DAG processor has done before it forks the
    child that parses: Airflow's own, and those of ``airflow.*`` modules that the file names."""
    with _airflow_home():
        import structlog
        from airflow.dag_processing.processor import DagFileParseRequest, _parse_file, _pre_import_airflow_modules

        log = structlog.get_logger()
        _pre_import_airflow_modules(path, log)
        yield None
        request = DagFileParseRequest(file=path, bundle_path=Path(path).parent, bundle_name="bench")
        result = _parse_file(request, log)
        if result is None or result.import_errors:
            raise RuntimeError(f"{path} could not be parsed: {result and result.import_errors}")
        return {"tasks": sum(len(dag.data["dag"]["tasks"]) for dag in result.serialized_dags)}


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
