"""A Celery worker that is killed with all its processes in the midst of a gate and of a promotion: the next worker ends
either, the model is promoted once, and nothing is locked any more."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from airflow_mlgov.demo import servers
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.verification import collect
from tests.fixtures.mlflow_server import MlflowServer
from tests.fixtures.postgres import PASSWORD, new_database, postgres_bindir
from tests.gates.environments import interpreter
from tests.live.waiting import HANGS, patience, until
from tests.worlds.compose import ROOT
from tests.worlds.governed import PASSED, Governed
from tests.worlds.live import USERS, Attacker, ended, metadata_database
from tests.worlds.release import people

HERE = Path(__file__).parent
pytestmark = [
    pytest.mark.live,
    pytest.mark.soak,
    pytest.mark.timeout(HANGS),
    pytest.mark.skipif(int(os.environ.get("MLGOV_SOAK", "1")) < 2, reason="five servers at once: make soak runs it"),
]

HELD = """
SELECT locktype FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
WHERE locktype = 'advisory' AND datname = current_database()
"""


@dataclass
class WithCelery:
    """Airflow with Celery over Redis, the ledger in PostgreSQL, and workers that are started and killed one by one."""

    folder: Path
    programs: Path
    airflow: servers.Airflow
    governed: Governed
    workers: list[servers.ManagedProcess] = field(default_factory=list)

    def hire(self) -> None:
        """Start a worker."""
        name, home = f"worker{len(self.workers)}", self.airflow.home
        command = [str(self.programs / "airflow"), "celery", "worker", "--concurrency", "1"]
        command += ["--celery-hostname", name, "--skip-serve-logs"]
        paths = os.pathsep.join([str(self.programs), os.environ.get("PATH", os.defpath)])
        environment = {"AIRFLOW_HOME": str(home), "AIRFLOW_CONFIG": str(home / "airflow.cfg"), "PATH": paths}
        log = self.folder / f"{name}.log"
        self.workers.append(servers.ManagedProcess(name, command, log, env=environment, cwd=self.folder))

    def kill(self) -> None:
        """SIGKILL to every process of the newest worker at once."""
        worker = psutil.Process(self.workers[-1].pid)
        for process in [worker, *worker.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def locked(self) -> list[str]:
        """What somebody still holds in the ledger's database."""
        engine = sa.create_engine(self.governed.ledger_url)
        with engine.connect() as database:
            found = list(database.exec_driver_sql(HELD).scalars())
        engine.dispose()
        return found


def programs_in(folder: Path) -> Path:
    """``python`` and ``airflow`` of an environment that has Celery too."""
    python = interpreter("celery", beside=True, lock=ROOT / "deploy" / "image" / "celery.lock")
    folder.mkdir()
    for name, words in {"python": "", "airflow": "-m airflow"}.items():
        (folder / name).write_text(f'#!/bin/sh\nexec {python} {words} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def celery(
    mlflow_server: MlflowServer, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[WithCelery]:
    if shutil.which("redis-server") is None or postgres_bindir() is None:
        pytest.skip("no redis-server, or no PostgreSQL, on this machine")
    postgres, port = request.getfixturevalue("postgres_server"), servers.free_port()
    programs = programs_in(tmp_path / "bin")
    governed = Governed(tmp_path, mlflow_server, ledger_url=new_database(postgres).replace("@", f":{PASSWORD}@"))
    governed.register()
    shutil.copytree(HERE / "held_dags", tmp_path / "dags")
    people().rename(columns={"score": "s"}).to_parquet(tmp_path / "dags" / "good.parquet")
    words = ["redis-server", "--port", str(port), "--bind", servers.LOOPBACK, "--save", ""]
    database = metadata_database(postgres)
    with ExitStack() as stack:
        redis = servers.ManagedProcess("Redis", words, tmp_path / "redis.log", cwd=tmp_path)
        stack.callback(redis.stop)
        monkeypatch.setattr(sys, "executable", str(programs / "python"))
        airflow = stack.enter_context(
            servers.start_airflow(
                tmp_path,
                dags_folder=tmp_path / "dags",
                users=USERS,
                connections={"mlflow_default": json.loads(mlflow_server.connection())},
                mlgov={key.lower(): value for key, value in governed.settings.items()},
                sections={
                    "core": {"executor": "CeleryExecutor"},
                    "celery": {
                        "broker_url": f"redis://{servers.LOOPBACK}:{port}/0",
                        "result_backend": f"db+{database['sql_alchemy_conn']}",
                    },
                    "database": database,
                    "scheduler": {
                        "task_instance_heartbeat_timeout": "20",
                        "task_instance_heartbeat_timeout_detection_interval": "2",
                    },
                },
                command=[str(programs / "python"), str(HERE / "with_celery.py")],
                timeout=patience(300),
            )
        )
        made = WithCelery(tmp_path, programs, airflow, governed)
        stack.callback(lambda: [worker.stop() for worker in made.workers])
        yield made


def test_a_worker_that_is_killed_in_a_gate_and_in_a_promotion(celery: WithCelery) -> None:
    governed, alice = celery.governed, Attacker(celery.airflow, "alice")
    alice.wait_for_dag("held", timeout=patience(240))
    run = alice.trigger("held", {"model": governed.model})
    for step in ("in_the_gate", "in_the_promotion"):
        celery.hire()
        until((celery.folder / "dags" / step).exists, step, run.tasks)
        assert bool(celery.locked()) == (step == "in_the_promotion"), "what holds the target is killed"
        celery.kill()
    assert governed.places() == {"1": ("Production", ())}, "it was killed after the stage and before the alias"
    celery.hire()
    ended(run, gate="success", promote="success")
    assert (run.tries("gate"), run.tries("promote")) == (2, 2)
    assert governed.places() == {"1": PASSED}
    trust = TrustRoot.load(governed.trust_file)
    # each try of the gate has measured, as it was killed once its evidence stood there; what is moved is moved once
    for kind, number in (("gate", 2), ("intent", 1), ("promotion", 1)):
        found, wrong = collect(governed.ledger.walk(), trust, kind=kind)
        assert len(found) == number, kind
        assert not wrong
    assert celery.locked() == []
    assert governed.reconcile().open == ()
