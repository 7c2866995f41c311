"""The policy gate's operator: over the DAG that runs, and about a model version that a promotion requires it of."""

import base64
import json
from typing import Any

from airflow.sdk import DAG

from airflow_mlgov.operators.data_validation import DataValidationGateOperator
from airflow_mlgov.operators.policy import PolicyGateOperator
from airflow_mlgov.operators.promotion import PromoteModelOperator
from tests.worlds.pipelines import GUARDED
from tests.worlds.release import Release

MODEL = "models:/credit_risk/1"


def statement(release: Release, xcom: dict[str, Any]) -> dict[str, Any]:
    envelope = json.loads(release.ledger.get(xcom["evidence"]["seq"]).envelope)
    found: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"]))
    return found


def running(rule: str) -> PolicyGateOperator:
    """The gate in a DAG in which another one stands before a promotion."""
    with DAG("credit", schedule=None):
        gate = PolicyGateOperator(task_id="policy")
        data = DataValidationGateOperator(task_id="data", data="a.csv", suite="s.json")
        data >> PromoteModelOperator(task_id="promote", model=MODEL, target="production", trigger_rule=rule)
    return gate


def test_the_running_dag_is_judged(release: Release) -> None:
    end = release.run(running("all_success"))
    assert end.state == "success", end.error
    signed = statement(release, end.xcom)
    assert signed["subject"][0]["name"].endswith("credit")
    end = release.run(running("all_done"))
    assert end.state == "failed"
    assert "gate.weak_edge" in str(end.error)


def test_a_version_carries_the_verdict_about_a_file(release: Release) -> None:
    assert release.register().state == "success"
    path = release.folder / "release.yml"
    path.write_text(GUARDED["github"][1])
    end = release.run(PolicyGateOperator(task_id="policy", model=release.ref("1"), manifest=str(path)))
    assert end.state == "success", end.error
    signed = statement(release, end.xcom)
    assert signed["subject"][0]["digest"]["sha256"] == release.server.registry.subject(release.version).digest
    assert "release.yml" in json.dumps(signed["predicate"])
    path.write_text(path.read_text().replace("--data p.csv", "--data p.csv || true"))
    end = release.run(PolicyGateOperator(task_id="policy", model=release.ref("1"), manifest=str(path)))
    assert end.state == "failed"
    assert "gate.exit_code_lost" in str(end.error)
