"""The gates on live data as a task: what passes is signed, what fails opens an incident, tells and goes back."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_mlgov.operators.audit import PostDeploymentAuditOperator
from airflow_mlgov.operators.monitoring import MonitorModelOperator
from tests.fixtures.airflow_runner import TaskEnd
from tests.worlds.governed import PASSED, Governed
from tests.worlds.lineage import drawn
from tests.worlds.release import people

WATCH = "        monitoring: {{gates: [performance], on_failure: {does}}}\n"


@pytest.fixture
def serving(governed: Governed, monkeypatch: pytest.MonkeyPatch, run_task):
    """Two versions promoted one after the other; gives what runs the operator over live data."""
    governed.configure(monkeypatch.setenv)
    plain = governed.policy_file.read_text()
    good = people().rename(columns={"score": "s"})
    good.to_parquet(governed.folder / "good.parquet")
    good.assign(s=1 - good["s"]).to_parquet(governed.folder / "bad.parquet")

    def run(table: str | None, does: str = "alert", **given: Any) -> TaskEnd:
        governed.policy_file.write_text(plain + WATCH.format(does=does))
        data = {"performance": str(governed.folder / f"{table}.parquet")} if table else {}
        given = {"model": governed.model, "target": "production", "data": data, **given}
        return run_task(MonitorModelOperator(task_id="monitor", **given), retries=2)

    return run


def promoted(governed: Governed) -> None:
    for weight in (1.0, 2.0):
        governed.promote(governed.candidate(weight))


def test_what_passes_is_signed_and_lets_the_next_version_in(governed: Governed, serving) -> None:
    promoted(governed)
    end = serving("good")
    assert end.state == "success", end.error
    assert (end.xcom["model"], end.xcom["verdict"]) == (f"models:/{governed.model}/2", "PASS")
    assert governed.ledger.entries()[-1].kind == "audit"
    assert governed.reconcile().open == ()


def test_what_fails_opens_an_incident_and_fails_the_task_for_good(governed: Governed, serving, caplog) -> None:
    promoted(governed)
    end = serving("bad")
    assert (end.state, end.xcom["verdict"], end.xcom["action"]) == ("failed", "FAIL", "none")
    assert "fails on live data" in str(end.error)
    (incident,) = governed.reconcile().open
    assert (incident.code, incident.new) == ("monitoring.failed", False)
    assert governed.places()["2"] == PASSED


def test_what_fails_goes_back_if_the_policy_says_so(governed: Governed, serving) -> None:
    promoted(governed)
    end = serving("bad", does="rollback")
    assert end.state == "failed"
    assert end.xcom["action"].startswith("rolled back to version 1")
    lineage = drawn(end)
    assert lineage.inputs[0] == governed.model
    assert lineage.inputs[1].endswith("/bad.parquet")
    assert lineage.inputs[2:] == lineage.outputs == [f"{governed.model}@champion", f"{governed.model}/Production"]
    assert (lineage.evidence.verdict, len(lineage.evidence.evidence)) == ("FAIL", 2)
    assert lineage.tests["roc_auc"] == "fail"
    assert governed.places()["1"] == PASSED
    assert governed.reconcile().open == ()  # of version 1 nothing bad is known


def test_what_fails_has_an_audit_owed_if_the_policy_says_so(governed: Governed, serving, run_task) -> None:
    promoted(governed)
    end = serving("bad", does="audit")
    assert end.state == "failed"
    assert end.xcom["action"].startswith("an audit is owed until ")
    assert governed.places()["2"] == PASSED
    live = {"performance": str(governed.folder / "good.parquet")}
    audit = run_task(PostDeploymentAuditOperator(task_id="audit", model=governed.model, target="production", data=live))
    assert [(item["id"] in end.xcom["action"], item["verdict"]) for item in audit.xcom["audits"]] == [(True, "PASS")]


def test_nothing_to_go_back_to_is_said(governed: Governed, serving) -> None:
    governed.promote(governed.candidate())
    end = serving("bad", does="rollback")
    assert end.state == "failed"
    assert "cannot be rolled back from version 1" in str(end.error)
    assert [item.code for item in governed.reconcile().open] == ["monitoring.failed"]


@pytest.mark.parametrize(("table", "code"), [(None, "monitoring.no_data"), ("good", "monitoring.nobody_serves")])
def test_a_mistake_is_told(governed: Governed, serving, table: str | None, code: str) -> None:
    end = serving(table)
    assert end.state == "failed"
    assert code in str(end.error)
