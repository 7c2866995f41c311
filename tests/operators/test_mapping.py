"""Dynamic task mapping: every operator and sensor that this provider lists can be mapped, and what a mapped task has
signed is found by its index."""

from __future__ import annotations

import ast
import importlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from airflow.exceptions import AirflowException
from airflow.sdk import DAG, BaseOperator

from airflow_mlgov.board.run import Task, told_run
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.statements import GateStatement
from airflow_mlgov.evidence.verification import collect, only
from airflow_mlgov.operators.approval import ApprovalGateOperator
from airflow_mlgov.operators.performance import PerformanceGateOperator
from airflow_mlgov.provider_info import get_provider_info
from tests.fixtures.airflow_runner import as_the_scheduler_has_it
from tests.worlds.release import Release, form_of, people

MODEL = "models:/credit/1"
EVERY = Path(__file__).parents[2] / "benchmarks" / "dags" / "every_operator.py"
VALUES: dict[str, tuple[str, list[Any]]] = {
    "ReconcileRegistryOperator": ("models", [["a"], ["b"]]),
    "EnforceObligationsOperator": ("demote", [False, True]),
    "DeliverAuditTrailOperator": ("doc", ["a", "b"]),
    "FeatureServiceGateOperator": ("repo", ["features", "others"]),
}
"""What is mapped over where an operator renders no text that it needs: others are mapped over the first of these."""


@cache
def listed() -> dict[str, type[BaseOperator]]:
    """Every class that a DAG author may import, by what Airflow is told of this provider."""
    info = get_provider_info()
    modules = [name for part in ("operators", "sensors") for item in info[part] for name in item["python-modules"]]
    return {
        cls.__name__: cls
        for module in modules
        for cls in vars(importlib.import_module(module)).values()
        if isinstance(cls, type) and issubclass(cls, BaseOperator) and cls.__module__ == module
    }


@cache
def arguments() -> dict[str, dict[str, Any]]:
    """What each is given in the DAG that holds every operator."""
    found = {}
    for call in ast.walk(ast.parse(EVERY.read_text())):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in listed():
            given = {str(item.arg): item.value for item in call.keywords if item.arg != "task_id"}
            found[call.func.id] = {
                name: MODEL if isinstance(value, ast.Name) else ast.literal_eval(value) for name, value in given.items()
            }
    return found


@pytest.mark.parametrize("name", sorted(listed()))
def test_each_is_mapped(name: str, run_task) -> None:
    """The second index runs with the second value: until it misses what nobody has configured here."""
    cls, given = listed()[name], dict(arguments()[name])
    text = next((field for field in cls.template_fields if isinstance(given.get(field), str)), "")
    field, values = VALUES.get(name, (text, [given.get(text), f"{given.get(text)}{{{{ 1 + 1 }}}}"]))
    given.pop(field, None)
    with DAG("mapped", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        mapped = cls.partial(task_id="mapped", **given).expand(**{field: values})
    read = as_the_scheduler_has_it(dag)
    assert (read.get_task("mapped").task_type, read.get_task("mapped").is_mapped) == (name, True)
    end = run_task(mapped, map_index=1)
    assert end.state == "failed", end.error
    assert isinstance(end.error, AirflowException), end.error
    assert type(end.task) is cls
    ran = {**vars(end.task), **getattr(end.task, "settings", {})}[field]
    assert ran == (f"{values[0]}2" if field == text else values[1])


def test_what_mapped_tasks_have_signed_is_found_by_its_index(release: Release) -> None:
    numbers = ["1", "2"]
    for number in numbers:
        release.register(float(number))
    release.validate()
    tables = [release.write(f"{number}.parquet", people(seed=int(number))) for number in numbers]
    pairs = [{"model": release.ref(number), "data": table} for number, table in zip(numbers, tables, strict=True)]

    def run(made: Any, index: int) -> Any:
        end = release.run(made, map_index=index)
        assert end.error is None, end.error
        return end

    for index in (0, 1):
        with DAG("unit", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
            judged = PerformanceGateOperator.partial(task_id="performance").expand_kwargs(pairs)
            asked = ApprovalGateOperator.partial(task_id="approve", target="production").expand(
                model=[pair["model"] for pair in pairs]
            )
        assert release.fairness(number=numbers[index]).state == "success"
        assert run(judged, index).xcom["subject"] == release.ref(numbers[index])
        body = form_of(run(asked, index)).body
        assert f"{numbers[index]}.parquet" in body
        assert f"{numbers[1 - index]}.parquet" not in body
    trust = TrustRoot.load(release.folder / "trust.json")
    found = [
        item for item in only(collect(release.ledger.walk(), trust)[0], GateStatement) if item.gate == "performance"
    ]
    assert [(item.subject.version, item.statement.context.run["map_index"]) for item in found] == [("1", 0), ("2", 1)]
    lines = told_run(found, [Task("performance", "success", True, map_index=index) for index in (0, 1)])
    assert [(line.name, line.newest.subject.version) for line in lines] == [
        ("performance[0]", "1"),
        ("performance[1]", "2"),
    ]
