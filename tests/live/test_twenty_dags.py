"""A scheduler with twenty teams' DAGs, five of which break a rule each in a way of its own: exactly these five are
import errors, with what to mend, in Airflow's own page too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_mlgov.demo import servers
from tests.live.browser import CHROMIUM, Person, chromium
from tests.live.waiting import HANGS, patience, until
from tests.worlds.live import USERS, Attacker

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("airflow-31"), pytest.mark.timeout(HANGS)]

HEAD = """\
from datetime import datetime
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import BranchPythonOperator
from airflow.sdk import DAG, Asset, TaskGroup
from airflow_mlgov.operators.fairness import FairnessGateOperator
from airflow_mlgov.operators.performance import PerformanceGateOperator
from airflow_mlgov.operators.promotion import PromoteModelOperator

def gate(name="fairness", kind=FairnessGateOperator, **given):
    return kind(task_id=name, model="models:/credit/7", data="/data/predictions.csv", **given)

def promote(**given):
    return PromoteModelOperator(task_id="promote", model="models:/credit/7", target="production", **given)

def step(name, **given):
    return EmptyOperator(task_id=name, **given)

with DAG("{name}", schedule={schedule}, start_date=datetime(2026, 1, 1), tags=["{team}"]):
    {body}
"""
KEPT = {
    "credit_risk": "step('train') >> gate() >> promote()",
    "card_limits": "step('train') >> gate() >> step('report') >> promote()",
    "churn": "step('train') >> [gate(), gate('performance', PerformanceGateOperator)] >> promote()",
    "claims": "with TaskGroup('gates') as gates: gate(); gate('performance', PerformanceGateOperator)\n"
    "    gates >> promote()",
    "collections": "gate() >> PromoteModelOperator.partial(task_id='promote', target='production')"
    ".expand(model=['models:/a/1'])",
    "fraud": "gate() >> BashOperator(task_id='ship', bash_command='mlgov promote models:/f/1 --target production')",
    "income": "gate() >> promote() >> gate('live') >> step('tell', trigger_rule='all_done')",
    "leads": "[gate(), gate('noted', PerformanceGateOperator, on_fail='record')] >> promote()",
    "marketing": "step('extract') >> step('load')",
    "mortgages": "step('train') >> step('evaluate') >> gate() >> promote()",
    "nightly_backup": "BashOperator(task_id='backup', bash_command='true') >> step('tell', trigger_rule='all_done')",
    "pricing": "gate() >> promote() >> step('announce', outlets=[Asset('pricing')])",
    "reserving": "step('train') >> gate() >> promote() >> step('clean', trigger_rule='all_done').as_teardown()",
    "savings": "gate('performance', PerformanceGateOperator) >> gate() >> promote()",
    "underwriting": "step('setup').as_setup() >> gate() >> promote()",
}
BROKEN = {
    "auto_loans": ("gate() >> promote(trigger_rule='all_done')", "MLGOV-001", "'all_done'"),
    "deposits": ("gate() >> step('join', trigger_rule='all_done') >> promote()", "MLGOV-002", "gate.weak_edge"),
    "mobile": (
        "branch = BranchPythonOperator(task_id='in_a_hurry', python_callable=lambda: 'skip')\n"
        "    branch >> gate() >> step('join', trigger_rule='none_failed') >> promote()\n"
        "    branch >> step('skip')",
        "MLGOV-002", "none_failed",
    ),
    "overdrafts": ("gate(on_fail='record') >> promote()", "MLGOV-002", "gate.failure_ignored"),
    "transfers": ("gate('performance', PerformanceGateOperator) >> promote()", "MLGOV-003", "not guarded by fairness"),
}  # fmt: skip
"""DAG -> what it holds, the rule that it breaks, and what the message says besides."""


@dataclass(frozen=True)
class Bank:
    """The scheduler, and somebody who looks."""

    airflow: servers.Airflow
    alice: Attacker

    def errors(self) -> dict[str, str]:
        """File, without its ending, -> what Airflow says of it."""
        found = self.alice.look("importErrors?limit=100")["import_errors"]
        return {Path(item["filename"]).stem: item["stack_trace"] for item in found}

    def dags(self) -> set[str]:
        return {item["dag_id"] for item in self.alice.look("dags?limit=100")["dags"]}


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    folder = tmp_path_factory.mktemp("bank")
    dags = folder / "dags"
    dags.mkdir()
    bodies = KEPT | {name: body for name, (body, _, _) in BROKEN.items()}
    assert len(bodies) == 20
    for name, body in bodies.items():
        text = HEAD.format(name=name, body=body, schedule="'@weekly'", team=f"team-{name}")
        (dags / f"{name}.py").write_text(text)
    mlgov = {"cluster_policy": "enforce", "cluster_policy_require": "fairness"}
    with servers.start_airflow(
        folder,
        dags_folder=dags,
        users=USERS,
        connections={},
        mlgov=mlgov,
        timeout=patience(300),
        sections={"core": {"dags_are_paused_at_creation": "True"}},
    ) as airflow:
        found = Bank(airflow, Attacker(airflow, "alice"))
        until(
            lambda: len(found.dags()) + len(found.errors()) >= len(bodies),
            "twenty files to be parsed",
            lambda: (sorted(found.dags()), sorted(found.errors())),
        )
        yield found


def test_exactly_the_five_that_break_a_rule_are_import_errors(bank: Bank) -> None:
    errors = bank.errors()
    assert set(errors) == set(BROKEN)
    assert bank.dags() == set(KEPT)
    for name, (_, rule, why) in BROKEN.items():
        said = errors[name]
        assert f"[{rule}] the promotion task 'promote' of the DAG '{name}'" in said, said
        assert why in said
        assert "Traceback" not in said.rpartition("AirflowClusterPolicyViolation")[2]
        assert bank.alice.send("POST", f"dags/{name}/dagRuns", {"logical_date": None}).status_code == 404
    assert bank.airflow.process.running


@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM}: apt-get install chromium fonts-dejavu-core")
def test_airflows_own_page_shows_them(bank: Bank, tmp_path: Path) -> None:
    pytest.importorskip("playwright", reason="the browser needs playwright, of the 'test' extra")
    with chromium() as browser:
        person = Person(browser, bank.airflow, "admin", tmp_path)
        shown = person.import_errors()
        assert len(shown) == len(BROKEN)
        text = json.dumps(shown)
        for name in BROKEN:
            assert f"{name}.py" in text
        said = person.open_import_error("deposits.py", shot="import-errors")
        assert "MLGOV-002" in said
        assert "gate.weak_edge" in said
