"""The data gate's checks over a table behind an Airflow connection."""

import json
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from airflow_mlgov.data.files import dataset_subject
from airflow_mlgov.operators.data_validation import DataValidationGateOperator
from tests.fixtures.airflow_runner import TaskEnd, TaskRun
from tests.fixtures.postgres import PASSWORD
from tests.worlds.release import Release, evidence, people

PSI = {"max": 0.2}


@pytest.fixture
def warehouse(postgres: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Airflow's connection to a PostgreSQL with a table of people."""
    engine = sa.create_engine(sa.make_url(postgres).set(password=PASSWORD))
    people(seed=3).to_sql("applicants", engine, if_exists="replace", index=False)
    engine.dispose()
    where = urlsplit(postgres)
    given = {"conn_type": "postgres", "host": where.hostname, "port": where.port, "schema": where.path[1:]}
    monkeypatch.setenv("AIRFLOW_CONN_PEOPLE", json.dumps({**given, "login": "postgres", "password": PASSWORD}))
    return "people"


def run(run_task: TaskRun, release: Release, conn_id: str, **given: Any) -> TaskEnd:
    given = {"suite": str(release.folder / "suite.json"), **given}
    if "query" not in given:
        given["table"] = "applicants"
    return run_task(DataValidationGateOperator(task_id="validate_table", conn_id=conn_id, **given))


@pytest.mark.parametrize("engine", ["auto", "duckdb"])
def test_checks_over_a_table_are_in_the_evidence(
    engine: str, release: Release, warehouse: str, run_task: TaskRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    reference = release.write("before.csv", people(seed=2))
    checks = {"drift": {"reference": reference, "psi": PSI}, "leakage": {"label": "y", "exclude": ["prediction"]}}
    end = run(run_task, release, warehouse, engine=engine, checks=checks)
    assert end.state == "success", end.error
    assert end.xcom["subject"].endswith("#table=applicants")
    signed = evidence(release)
    names = {item["name"] for item in signed["mlgov"]["checks"]}
    assert {"drift_psi(age)", "drift_psi(sex)", "label_leakage(age)"} <= names
    assert signed["mlgov"]["details"]["dataset_checks"] == checks
    inputs = {item["name"]: item["digest"]["sha256"] for item in signed["configuration"]}
    assert inputs[reference] == dataset_subject(reference).digest
    assert not any(secret in json.dumps(signed) for secret in (PASSWORD, "scratch", "mlgov-work-"))
    assert not list((tmp_path / "scratch").iterdir())

    older = "SELECT age + 9 AS age, y FROM applicants WHERE age < 90"
    drift = {"drift": {"reference": reference, "psi": PSI, "columns": ["age"]}}
    end = run(run_task, release, warehouse, engine=engine, query=older, checks=drift)
    assert (end.state, "drift_psi(age)" in str(end.error)) == ("failed", True)


def test_the_policys_checks_apply_to_a_table(release: Release, warehouse: str, run_task: TaskRun) -> None:
    policy = release.folder / "mlgov.yaml"
    rule = "data_validation: {suite: suite.json, checks: {drift: {reference: champion, psi: {max: 0.2}}}}"
    policy.write_text(policy.read_text().replace("data_validation: {suite: suite.json}", rule))
    version = release.register(datasets=[release.write("before.csv", people(seed=2))]).xcom
    release.server.registry.set_alias(release.server.registry.resolve(version), "champion")
    end = run(run_task, release, warehouse, model=release.model)
    assert end.state == "success", end.error
    signed = evidence(release)["mlgov"]
    assert signed["details"]["dataset_checks"] == {"drift": {"reference": "champion", "psi": PSI}}
    assert "drift_psi(age)" in {item["name"] for item in signed["checks"]}
