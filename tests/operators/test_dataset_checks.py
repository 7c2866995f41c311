"""The data gate's checks beyond its suite, as a DAG asks for them."""

import json
from pathlib import Path

import pytest

from airflow_mlgov.data.files import dataset_subject
from airflow_mlgov.operators.data_validation import DataValidationGateOperator
from tests.worlds.release import Release, evidence, people

PSI = {"max": 0.2}


def test_drift_against_a_path_is_in_the_evidence(release: Release) -> None:
    reference = release.write("before.csv", people(seed=2))
    checks = {"drift": {"reference": reference, "psi": PSI}, "leakage": {"label": "y", "exclude": ["prediction"]}}
    assert release.validate(checks=checks).xcom["verdict"] == "PASS"
    signed = evidence(release)
    names = {item["name"] for item in signed["mlgov"]["checks"]}
    assert {"drift_psi(age)", "drift_psi(sex)", "label_leakage(age)"} <= names
    inputs = {item["name"]: item["digest"]["sha256"] for item in signed["configuration"]}
    assert inputs[reference] == dataset_subject(reference).digest

    older = people(seed=3).assign(age=lambda table: table["age"] + 9)
    end = release.validate(release.write("older.csv", older[older["age"] <= 100]), checks=checks)
    assert "drift_psi(age)" in str(end.error)


def test_the_policys_checks_apply_to_the_model_that_is_named(release: Release) -> None:
    policy = release.folder / "mlgov.yaml"
    rule = "data_validation: {suite: suite.json, checks: {drift: {reference: champion, psi: {max: 0.2}}}}"
    policy.write_text(policy.read_text().replace("data_validation: {suite: suite.json}", rule))
    assert release.validate().xcom["verdict"] == "PASS"
    assert "dataset_checks" not in evidence(release)["mlgov"]["details"]

    assert release.validate(model=release.model).xcom["verdict"] == "PASS"
    signed = evidence(release)["mlgov"]
    assert signed["details"]["dataset_checks"] == {"drift": {"reference": "champion", "psi": PSI}}
    (drift,) = [item for item in signed["checks"] if item["name"] == "drift"]
    assert (drift["severity"], "no champion yet" in drift["detail"]) == ("info", True)

    version = release.register(datasets=[release.write("before.csv", people(seed=2))]).xcom
    release.server.registry.set_alias(release.server.registry.resolve(version), "champion")
    assert release.validate(model=release.model).xcom["verdict"] == "PASS"
    assert "drift_psi(age)" in {item["name"] for item in evidence(release)["mlgov"]["checks"]}

    end = release.validate(model=release.model, checks={"drift": {"psi": {"max": 0.9}}})
    assert "never loosen" in str(end.error)
    release.write("before.csv", people(seed=9))
    assert "keep each training set under a name of its own" in str(release.validate(model=release.model).error)


def test_a_champion_of_no_model_is_a_configuration_error(release: Release) -> None:
    end = release.validate(checks={"drift": {"reference": "champion", "psi": PSI}})
    assert "name the model that the data is for" in str(end.error)
    assert "checks is empty" in str(release.validate(checks={}).error)


def test_checks_may_be_templated() -> None:
    assert {"settings", "model", "target"} <= set(DataValidationGateOperator.template_fields)
    operator = DataValidationGateOperator(task_id="v", data="d.csv", suite="s.json", checks={"volume": "{{ x }}"})
    assert operator.settings["checks"] == {"volume": "{{ x }}"}


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_draft_is_a_suite_of_the_operator(kind: str, release: Release) -> None:
    from airflow_mlgov.gates.data_validation.propose import propose_suite

    data = release.write(f"p.{kind}", people(seed=5))
    Path(release.folder / "draft.json").write_text(json.dumps(propose_suite(data)))
    assert release.validate(data, suite=str(release.folder / "draft.json")).xcom["verdict"] == "PASS"
