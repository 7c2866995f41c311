"""``docker-compose.yaml`` comes up by itself, as plain processes, and takes a model to production: the retraining DAG's
weekly run through Celery and PostgreSQL, with a person's approval. Twelve servers: `make soak` runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import requests

from airflow_mlgov.demo.airflow_api import Run
from airflow_mlgov.demo.servers import Airflow
from airflow_mlgov.evidence.ledger import open_ledger
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.verification import collect
from tests.fixtures.postgres import postgres_bindir
from tests.fixtures.versitygw import versitygw
from tests.gates.environments import interpreter
from tests.live.waiting import HANGS, answered, asks, patience, until
from tests.worlds.compose import ROOT, Compose, services
from tests.worlds.live import Attacker

DAG = "credit_risk_retraining"
SIGNED = {"validate_data", "register", "performance", "fairness", "approve", "promote"}
pytestmark = [
    pytest.mark.live,
    pytest.mark.soak,
    pytest.mark.timeout(HANGS),
    pytest.mark.skipif(int(os.environ.get("MLGOV_SOAK", "1")) < 2, reason="twelve servers at once: make soak runs it"),
]


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    """All of it, up and healthy by its own health checks."""
    for program in ("redis-server", "opa", "openssl", "wget"):
        if shutil.which(program) is None:
            pytest.skip(f"no program {program} on the PATH")
    if postgres_bindir() is None:
        pytest.skip("no PostgreSQL binaries on this machine")
    python = interpreter("celery", beside=True, lock=ROOT / "deploy" / "image" / "celery.lock")
    s3 = versitygw(services()["s3"]["image"].partition(":")[2])
    folder = Path(tempfile.mkdtemp(prefix="mlgov-compose-"))
    folder.chmod(0o755)  # PostgreSQL is another user
    made = Compose(folder, python, {"versitygw": s3})
    try:
        made.up()
        yield made
    finally:
        made.down()
        os.environ.get("KEEP") or shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def run(compose: Compose) -> Run:
    """The weekly run, begun because the DAG is not paused any more, approved by the risk officer, and ended."""
    passwords = json.loads((compose.folder / "secrets" / "airflow_passwords.json").read_text())
    server = compose.processes["airflow-apiserver"]
    airflow = Airflow(compose.url("airflow-apiserver"), server, compose.folder, passwords)
    admin, olga = Attacker(airflow, "admin"), Attacker(airflow, "olga")
    admin.wait_for_dag(DAG, timeout=patience(240))
    admin.may("PATCH", f"dags/{DAG}", {"is_paused": False})

    def begun() -> list[dict[str, Any]]:
        return list(admin.look(f"dags/{DAG}/dagRuns")["dag_runs"])

    until(lambda: bool(begun()), "the weekly run", begun)
    weekly = Run(olga, DAG, begun()[0]["dag_run_id"])
    until(lambda: weekly.tasks().get("approve") not in (None, "scheduled", "queued"), "the gates", weekly.tasks, 600)
    asks(olga, weekly, "approve")
    answered(
        lambda: olga.answer_approval(weekly, "approve", approve=True, reason="reviewed"),
        lambda: weekly.tasks()["approve"] == "success",
        olga,
        weekly,
        "approve",
    )
    weekly.wait(timeout=patience(300))
    return weekly


def test_the_weekly_run_ends_in_a_promotion(compose: Compose, run: Run) -> None:
    assert set(run.tasks().values()) == {"success"}, run.tasks()
    found = run._user.look(f"{run.path}/taskInstances")["task_instances"]
    queues = {item["task_id"]: item["queue"] for item in found}
    assert {task for task, queue in queues.items() if queue == "governance"} == SIGNED
    assert {queue for task, queue in queues.items() if task not in SIGNED} == {"default"}

    reader = connections(compose, "reader")["mlflow_default"]
    asked = requests.get(
        f"{compose.url('mlflow')}/api/2.0/mlflow/registered-models/alias",
        params={"name": "credit_risk", "alias": "champion"},
        auth=(reader["login"], reader["password"]),
        timeout=60,
    )
    assert asked.json()["model_version"]["version"] == "1"
    assert list((compose.folder / "volumes" / "s3" / "mlflow").rglob("MLmodel")), "its files are in the object store"

    ledger = open_ledger(ledger_url(compose, "ledger_reader"), create=False)
    trust = TrustRoot.load(compose.folder / "volumes" / "trust" / "trust.json")
    assert len(collect(ledger.walk(), trust, kind="promotion", model="credit_risk")[0]) == 1


def test_the_ledger_is_added_to_and_never_changed(compose: Compose, run: Run) -> None:
    refused = {
        "ledger": ("UPDATE mlgov_ledger SET kind = 'x'", "DELETE FROM mlgov_ledger", "DROP TABLE mlgov_ledger"),
        "ledger_reader": ("INSERT INTO mlgov_ledger SELECT * FROM mlgov_ledger",),
    }
    for role, statements in refused.items():
        for statement in statements:
            with (
                psycopg.connect(ledger_url(compose, role).replace("+psycopg", "")) as database,
                pytest.raises(psycopg.errors.InsufficientPrivilege),
            ):
                database.execute(statement)


def test_each_knows_what_it_needs_and_no_more(compose: Compose, run: Run) -> None:
    assert set(connections(compose, "worker")) == {"mlflow_default"}
    assert not [name for name in connections(compose, "reader") if "vault" in name]
    governance = connections(compose, "governance")
    assert {"mlgov_vault_promotion", "mlgov_vault_approval", "mlgov_ledger"} <= set(governance)
    assert sorted(path.name for path in (compose.folder / "volumes" / "state").iterdir()) == [
        "accounts.json", "done", "recovery_key",
    ], "the root token of OpenBao is gone"  # fmt: skip

    secrets = [path.read_text().strip() for path in (compose.folder / "secrets").iterdir()]
    secrets += [item["password"] for item in governance.values() if item.get("password")]
    said = [" ".join(line) for process in compose.processes.values() for line in commands(process.pid)]
    assert said
    assert not [secret for secret in secrets if any(secret in line for line in said)], "on a command line"


def test_a_second_start_changes_nothing(compose: Compose, run: Run) -> None:
    before = connections(compose, "governance")
    for job in ("databases", "furnish"):
        compose.begin(job)
    assert "furnished already" in (compose.folder / "logs" / "furnish.log").read_text()
    assert connections(compose, "governance") == before


def test_a_queue_takes_nothing_from_a_worker_of_another(compose: Compose) -> None:
    url = compose.mapped("redis", (compose.folder / "secrets" / "redis_default").read_text())
    port = str(compose.ports["redis", 6379])
    user, _, password = url.removeprefix("redis://").partition("@")[0].partition(":")
    ask = ["redis-cli", "-p", port, "--user", user, "--no-auth-warning"]
    env = {**os.environ, "REDISCLI_AUTH": password}
    for key, refused in (("default", False), ("governance", True), ("governance.unacked", True)):
        done = subprocess.run([*ask, "type", key], env=env, capture_output=True, text=True, check=True)
        assert ("NOPERM" in done.stdout) == refused, done.stdout


def connections(compose: Compose, whose: str) -> dict[str, dict[str, Any]]:
    path = compose.folder / "volumes" / f"connections-{whose}" / "connections.json"
    assert path.stat().st_mode & 0o777 == 0o600
    found: dict[str, dict[str, Any]] = json.loads(path.read_text())
    return found


def ledger_url(compose: Compose, role: str) -> str:
    roles = json.loads((compose.folder / "secrets" / "postgres_roles.json").read_text())
    return f"postgresql+psycopg://{role}:{roles[role]}@127.0.0.1:{compose.ports['postgres', 5432]}/ledger"


def commands(pid: int) -> Iterator[list[str]]:
    """The command lines of a process and of all below it."""
    process = psutil.Process(pid)
    for one in (process, *process.children(recursive=True)):
        try:
            yield one.cmdline()
        except psutil.Error:
            continue
