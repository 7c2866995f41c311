"""The shipped DAGs that start by themselves, in a real Airflow over a real MLflow: a new version starts its judgement
once, also one that came while Airflow was down; a promotion starts what waits for a new champion, and what somebody has
made up is refused."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from airflow_mlgov.demo import servers
from airflow_mlgov.demo.airflow_api import Run
from airflow_mlgov.evidence.statements import IncidentStatement
from airflow_mlgov.evidence.verification import collect, only
from airflow_mlgov.registry.protocol import ModelVersion
from tests.fixtures.mlflow_server import MlflowServer
from tests.live.waiting import HANGS, patience, until
from tests.worlds.governed import Governed
from tests.worlds.live import USERS, Attacker
from tests.worlds.release import people

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("airflow-31"), pytest.mark.timeout(HANGS)]

DAGS = Path(__file__).parents[2] / "dags"
SHIPPED = ("new_version", "many_models", "taskflow_gates", "registry_reconciliation", "post_deployment", "monitoring")
POLICY = """\
version: 1
models:
  {model}:
    gates:
      performance: {{label: y, score: score, roc_auc: {{min: 0.75}}}}
      fairness:
        label: y
        prediction: prediction
        sensitive_features: {{sex: [female, male]}}
        demographic_parity_ratio: {{min: 0.8, max: 1.25}}
    targets:
      production:
        alias: champion
        requires: [performance, fairness]
        monitoring: {{gates: [performance, fairness], on_failure: audit, audit_within: 5d}}
"""


@dataclass
class Watched:
    """A governed model, and an Airflow that can be stopped and started."""

    governed: Governed
    start: Callable[[], servers.Airflow]
    airflow: servers.Airflow = field(init=False)

    def up(self) -> None:
        self.airflow = self.start()
        self.otto = Attacker(self.airflow, "otto")

    def down(self) -> None:
        self.airflow.process.stop()

    @property
    def watch(self) -> str:
        return f"mlflow://mlflow_default/{self.governed.model}/versions"

    @property
    def champion(self) -> str:
        return f"mlflow://mlflow_default/{self.governed.model}@champion"

    def version(self, weight: float) -> ModelVersion:
        """A new version, its scored rows where the DAGs look for them."""
        number = len(self.governed.registry.versions(self.governed.model)) + 1
        people(seed=number).to_parquet(self.governed.folder / "scores" / f"{self.governed.model}-{number}.parquet")
        made = self.governed.register(weight)
        assert made.version == str(number)
        return made

    def seen(self) -> Any:
        """What the watcher has noted in Airflow's database."""
        with closing(sqlite3.connect(self.airflow.home / "airflow.db", timeout=60)) as database:
            tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            (table,) = [name for name in tables if name.startswith("asset_state")]
            rows = database.execute(f"SELECT value FROM {table} WHERE key = 'mlgov.seen'").fetchall()
        return json.loads(rows[0][0]) if rows else None

    def asset_id(self, uri: str) -> int:
        found = self.otto.look("assets?limit=100")["assets"]
        return next(item["id"] for item in found if item["uri"] == uri)

    def told(self) -> list[str]:
        """The versions that the watcher has told of, an item for each event."""
        answer = self.otto.send("GET", f"assets/events?asset_id={self.asset_id(self.watch)}&limit=100")
        if not answer.ok:  # Airflow 3.3 answers 500 while a run that an event has started is queued
            return []
        return sorted(item["extra"]["payload"]["version"] for item in answer.json()["asset_events"])

    def runs(self, dag: str) -> list[dict[str, Any]]:
        return list(self.otto.look(f"dags/{dag}/dagRuns?limit=100&order_by=run_after")["dag_runs"])

    def ended(self, dag: str, count: int) -> list[str]:
        """The states of a DAG's runs, once so many have ended."""

        def over() -> bool:
            return sum(run["state"] in ("success", "failed") for run in self.runs(dag)) >= count

        until(over, f"{count} runs of {dag}", lambda: [(run["dag_run_id"], run["state"]) for run in self.runs(dag)])
        return [run["state"] for run in self.runs(dag)]

    def incidents(self) -> set[str]:
        """The codes of what was recorded as wrong."""
        found = collect(self.governed.ledger.walk(), self.governed.trust, kind="incident")[0]
        return {item.statement.code for item in only(found, IncidentStatement)}

    def judged(self) -> list[str]:
        """What gates have judged, by name and version."""
        entries = [entry for entry in self.governed.ledger.entries() if entry.kind == "gate"]
        return sorted(entry.subject_name.rpartition("/")[2] for entry in entries)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, mlflow_server: MlflowServer) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    governed = Governed(folder, mlflow_server)
    governed.policy_file.write_text(POLICY.format(model=governed.model))
    dags = folder / "dags"
    for made in (dags, folder / "scores"):
        made.mkdir()
    for name in SHIPPED:
        text = (DAGS / f"{name}.py").read_text()
        text = text.replace("credit_risk", governed.model).replace("poll_interval=60", "poll_interval=2")
        text = text.replace('"@hourly"', "None").replace('"@daily"', "None").replace('"@weekly"', "None")
        text = text.replace('Path(__file__).parent / "include" / "data" / "scores"', repr(str(folder / "scores")))
        (dags / f"{name}.py").write_text(text)
    shutil.rmtree(folder / "airflow", ignore_errors=True)

    def start() -> servers.Airflow:
        return servers.start_airflow(
            folder,
            dags_folder=dags,
            users=USERS,
            connections={"mlflow_default": json.loads(mlflow_server.connection())},
            mlgov={
                "policy": str(governed.policy_file),
                "ledger": governed.ledger_url,
                "trust_root": str(governed.trust_file),
                "sign": f"local:{folder}/{{duty}}.pem",
                "environment": governed.environment,
            },
            timeout=patience(300),
            sections={
                # what waits is kept under this key over a restart
                "core": {"fernet_key": "6p3tB0m7sVqT1xgR2bqZ8Q0y9J5uU4w1nE7fJkq0r2A="},
                "dag_processor": {"refresh_interval": "5", "min_file_process_interval": "600"},
            },
        )

    world = Watched(governed, start)
    world.version(1.0)
    world.up()
    try:
        yield world
    finally:
        world.down()


def test_a_new_version_starts_its_judgement_once_also_if_airflow_was_down(watched: Watched) -> None:
    until(lambda: watched.seen() is not None, "the watcher to have looked", watched.seen)
    assert watched.seen()["version"] == 1
    watched.version(2.0)
    assert watched.ended("new_version", 1) == ["success"]
    until(lambda: watched.told() == ["2"], "the one event", watched.told)
    assert watched.judged() == ["2", "2"]
    until(lambda: watched.seen()["version"] == 2, "the event to be noted", watched.seen)
    watched.down()
    watched.version(3.0)
    watched.version(4.0)
    watched.up()
    until(lambda: len(watched.told()) == 3, "what came meanwhile", watched.told)
    until(lambda: watched.judged() == ["2", "2", "3", "3", "4", "4"], "each to be judged", watched.judged)
    until(lambda: watched.seen()["version"] == 4, "the events to be noted", watched.seen)
    until(lambda: watched.told() == ["2", "3", "4"], "the same events still", watched.told)
    assert set(watched.ended("new_version", 2)) == {"success"}


def test_a_new_champion_starts_what_waits_for_it_and_nobody_makes_one_up(watched: Watched) -> None:
    model = watched.governed.model
    run = watched.otto.trigger("taskflow_gates", {"candidates": [{"name": model, "version": "2"}]})
    run.wait(patience(300))
    assert run.state() == "success", run.tasks()
    assert watched.ended("new_champion", 1) == ["success"]
    (first,) = watched.runs("new_champion")
    found = watched.otto.look(
        f"dags/new_champion/dagRuns/{first['dag_run_id']}/taskInstances/tell/xcomEntries/return_value"
    )
    said = found["value"] if isinstance(found["value"], list) else json.loads(found["value"].replace("'", '"'))
    assert [(item["name"], item["version"], item["target"]) for item in said] == [(model, "2", "production")]
    admin = Attacker(watched.airflow, "admin")
    for extra in (
        {},
        {"name": model, "version": "3", "evidence": said[0]["evidence"]},
        {"evidence": "ledger:1@000000000000"},
    ):
        admin.may("POST", "assets/events", {"asset_id": watched.asset_id(watched.champion), "extra": extra})
    until(
        lambda: (
            [run["state"] for run in watched.runs("new_champion")][1:].count("failed") >= 1
            and all(run["state"] in ("success", "failed") for run in watched.runs("new_champion"))
        ),
        "made-up events to be refused",
        lambda: watched.runs("new_champion"),
    )
    assert [item["state"] for item in watched.runs("new_champion")][1:].count("success") == 0


def test_many_models_are_released_by_mapping(watched: Watched) -> None:
    model = watched.governed.model
    candidates = [{"name": model, "version": number} for number in ("3", "4")]
    answer = watched.otto.send(
        "POST", "dags/many_models/dagRuns", {"logical_date": None, "conf": {"candidates": candidates}}
    )
    assert answer.ok, answer.text
    assert watched.ended("many_models", 1) == ["success"]
    holder = watched.governed.registry.holder(model, "champion")
    assert holder is not None
    assert holder.version in ("3", "4")


def test_what_serves_is_looked_after_and_what_fails_is_audited(watched: Watched) -> None:
    """A FAIL on live data owes an audit, and the next run of the audits settles it."""
    live = {name: str(watched.governed.folder / f"{name}.parquet") for name in ("well", "badly")}
    people(seed=9).to_parquet(live["well"])
    people(bias=0.12, seed=9).to_parquet(live["badly"])

    def run(dag: str, table: str) -> tuple[Run, Mapping[str, str]]:
        made = watched.otto.trigger(dag, {"live": live[table]})
        return made, made.wait(patience(300))

    failed, states = run("monitoring", "badly")
    assert states == {"monitor": "failed"}
    found = watched.otto.look(f"{failed.path}/taskInstances/monitor/xcomEntries/return_value")["value"]
    assert found["action"].startswith("an audit is owed until ")
    assert "monitoring.failed" in watched.incidents()
    assert run("post_deployment_audit", "well")[1] == {"due": "success", "audit": "success"}
    assert run("monitoring", "well")[1] == {"monitor": "success"}


def test_the_scheduled_ones_run(watched: Watched) -> None:
    run = watched.otto.trigger("registry_reconciliation", {})
    run.wait(patience(300))
    found = watched.otto.look(f"{run.path}/taskInstances/reconcile/xcomEntries/return_value")["value"]
    ours = [item for item in found["incidents"] if item["model"] == watched.governed.model]
    assert ours == [], "the server holds the models of other tests too"
    run = watched.otto.trigger("enforce_obligations", {})
    run.wait(patience(300))
    assert run.state() == "success", run.tasks()
    audit = watched.otto.trigger("post_deployment_audit", {})
    assert audit.wait_for_task("due", ["deferred"], timeout=patience(300)) == "deferred"  # nothing is owed
