"""The worked projects: from a data set with errors to a model that answers, and an MLflow project that a gate fails."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airflow_mlgov.registry.protocol import ModelVersion
from tests.fixtures.mlflow_server import MlflowServer
from tests.worlds.ci import EXAMPLES, PATH, POLICY, run, settings, workflow_at, write_rows
from tests.worlds.governed import Governed, spoil

pytestmark = pytest.mark.slow
QUESTION = {"dataframe_split": {"columns": ["age", "income", "debt"], "data": [[40, 52000.0, 0.2]]}}


@pytest.fixture
def bank(tmp_path: Path, mlflow_server: MlflowServer) -> Governed:
    """The project of the data gate in a folder, under a model's name of its own."""
    name, folder = f"credit_risk_{uuid.uuid4().hex[:8]}", tmp_path / "data-gate"
    shutil.copytree(EXAMPLES / "data-gate", folder)
    for file in (folder / "mlgov.yaml", folder / "serve.sh", folder / ".github/workflows/train.yml"):
        file.write_text(file.read_text().replace("credit_risk", name))
    (tmp_path / "keys").mkdir()
    governed = Governed(tmp_path / "keys", mlflow_server, name)
    shutil.copy(folder / "mlgov.yaml", governed.policy_file)
    shutil.copy(folder / "suite.json", governed.folder)
    return governed


def in_the_project(bank: Governed, *words: str) -> int:
    """Run a command in its folder; the exit code."""
    done = subprocess.run(words, cwd=bank.folder.parent / "data-gate", env=environment(bank), check=False)
    return done.returncode


def environment(bank: Governed, **more: str) -> dict[str, str]:
    return {"PATH": PATH, "HOME": str(bank.folder), **settings(bank), **more}


def start_workflow(bank: Governed) -> tuple[list[str], int]:
    folder = bank.folder.parent / "data-gate"
    (folder / "github.env").unlink(missing_ok=True)
    return run(workflow_at(folder / ".github/workflows/train.yml"), folder, settings(bank), PATH)


@contextmanager
def served(bank: Governed) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """``serve.sh`` under way, and the port that it has been told."""
    folder = bank.folder.parent / "data-gate"
    shutil.rmtree(folder / "served", ignore_errors=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen(
        ["./serve.sh"], cwd=folder, env=environment(bank, PORT=str(port)), start_new_session=True
    ) as server:
        try:
            yield server, port
        finally:
            if server.poll() is None:
                os.killpg(server.pid, 9)


def ask(server: subprocess.Popen[bytes], port: int) -> list[int]:
    """What the model says, as soon as it is there."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", json.dumps(QUESTION).encode(), {"Content-Type": "application/json"}
    )
    while True:
        assert server.poll() is None, "it has ended"
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                found: list[int] = json.load(answer)["predictions"]
                return found
        except OSError:
            time.sleep(0.2)


def test_from_data_with_errors_to_a_model_that_answers(bank: Governed) -> None:
    folder = bank.folder.parent / "data-gate"
    assert in_the_project(bank, "python", "make_data.py", "--broken") == 0
    started, code = start_workflow(bank)
    assert (started, code) == (["Data"], 1)
    assert not (folder / "run_id").exists(), "something was trained on it"
    with served(bank) as (server, _):
        assert server.wait(120) != 0
    assert not any((folder / "served").glob("*"))

    assert in_the_project(bank, "python", "make_data.py") == 0
    started, code = start_workflow(bank)
    assert (started, code) == (["Data", "Train", "Register", "Performance", "Promote"], 0)
    with served(bank) as (server, port):
        assert ask(server, port) == [1]

    champion = bank.registry.resolve(f"models:/{bank.model}@champion")
    spoil(bank.artifact(champion))
    with served(bank) as (server, _):
        assert server.wait(120) != 0
    assert not any((folder / "served").glob("*"))


@pytest.fixture
def candidate(tmp_path: Path, mlflow_server: MlflowServer) -> tuple[Governed, ModelVersion]:
    shutil.copytree(EXAMPLES / "mlflow-project", tmp_path / "project")
    governed = Governed(tmp_path, mlflow_server)
    governed.policy_file.write_text(POLICY.format(model=governed.model))
    return governed, governed.register()


@pytest.mark.parametrize(("bias", "code"), [(0.0, 0), (0.3, 1)])
def test_a_failed_gate_fails_the_run_of_an_mlflow_project(
    candidate: tuple[Governed, ModelVersion], tmp_path: Path, bias: float, code: int
) -> None:
    governed, version = candidate
    write_rows(tmp_path / "project", bias=bias)
    done = subprocess.run(
        ["mlflow", "run", ".", "-e", "release", "--env-manager", "local", "-P", f"model={version.uri}"],
        cwd=tmp_path / "project", env=environment(governed), check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert governed.registry.aliases(governed.model) == ({} if code else {"champion": version.version})
