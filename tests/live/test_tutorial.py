"""``docs/tutorial.md``: every command, in order, with what it asks people to do in Airflow done over its API."""

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from airflow_mlgov.demo.airflow_api import AirflowUser, Run
from airflow_mlgov.demo.servers import free_port
from airflow_mlgov.errors import DependencyError
from tests.live.waiting import HANGS, answered, asks, patience, until
from tests.worlds.pages import ROOT, Playing

pytestmark = [pytest.mark.live, pytest.mark.timeout(HANGS), pytest.mark.xdist_group("tutorial")]


class Reader:
    """Does what the page says in words: signs in, triggers, approves, marks."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url, self.log = folder, url, folder / "airflow.log"

    @property
    def passwords(self) -> dict[str, str]:
        return json.loads((self.folder / "airflow" / "simple_auth_manager_passwords.json.generated").read_text())

    def person(self, name: str) -> AirflowUser:
        return AirflowUser(self, name)

    def train(self) -> tuple[AirflowUser, Run]:
        alice = self.person("alice")
        alice.wait_for_dag("loans_training", timeout=patience(180))
        return alice, alice.trigger("loans_training", {})

    def can_sign_in(self) -> bool:
        with suppress(OSError, ValueError, DependencyError, requests.RequestException):
            return bool(self.person("olga"))
        return False


def test_a_reader_governs_a_model_of_their_own(tmp_path: Path) -> None:
    mlflow, airflow = free_port(), free_port()
    url = f"http://127.0.0.1:{airflow}"
    variables = {
        "AIRFLOW__API__PORT": str(airflow),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"),
    }
    reader = Reader(tmp_path, url)
    with Playing(ROOT / "docs" / "tutorial.md", tmp_path, variables, {"5000": str(mlflow)}) as page:
        page.play(until="## Train")
        until(reader.can_sign_in, "Airflow", lambda: page.log("airflow.log"))
        alice, run = reader.train()
        asks(alice, run, "approve")
        olga = reader.person("olga")
        assert alice.answer_approval(run, "approve", approve=True, reason="mine") == 403
        answered(
            lambda: olga.answer_approval(run, "approve", approve=True, reason="read every check"),
            lambda: run.tasks()["promote"] == "success",
            olga,
            run,
            "approve",
        )
        said = page.play(until="## Try to get past it")
        assert "approval" in said
        page.play(until="Trigger again")
        alice, run = reader.train()
        run.wait(patience(300))
        assert run.tasks()["performance"] == "failed", run.log("performance")
        alice.mark_success(run, "performance")
        run.wait_for_task("approve", {"failed"}, timeout=patience(300), until_run_ends=False)
        alice.mark_success(run, "approve")
        run.wait_for_task("promote", {"failed"}, timeout=patience(300), until_run_ends=False)
        assert "gate.not_passed" in run.log("promote")
        page.play()
        until(lambda: not running_in(tmp_path), "the end of what was started", lambda: str(running_in(tmp_path)))


def running_in(folder: Path) -> list[str]:
    """The commands of the processes that have this home."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another's
            if f"HOME={folder}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found
