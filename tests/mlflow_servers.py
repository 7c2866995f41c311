"""The way to production on servers of other MLflow versions: ``python -m tests.mlflow_servers``, or only on those that
are named behind it. Each runs in an environment of its own, whose client logs the models; what came of all of them is a
table of docs/mlflow.md."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from airflow_mlgov.demo.servers import LOOPBACK, ManagedProcess, free_port, http_session
from airflow_mlgov.errors import PromotionRefused
from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
from airflow_mlgov.words import line
from tests.fixtures.mlflow_server import MlflowServer
from tests.gates.environments import CACHE
from tests.worlds.governed import PASSED, Governed

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "mlflow.md"
BEGIN, END = "<!-- mlflow servers -->", "<!-- end of mlflow servers -->"
SERVERS = ("2.20.4", "2.22.1", "3.1.4", "3.4.0", "3.10.1")
_LOG = """
import mlflow, pathlib, sys, tempfile
with tempfile.TemporaryDirectory() as folder, mlflow.start_run() as run:
    pathlib.Path(folder, "MLmodel").write_text("flavors: {}\\n")
    pathlib.Path(folder, "weight.txt").write_text(sys.argv[1])
    mlflow.log_artifacts(folder, "model")
print("run:", run.info.run_id)
"""
_BY_HAND = """
import mlflow, sys
mlflow.MlflowClient().set_registered_model_alias(sys.argv[1], "champion", sys.argv[2])
"""


@dataclass(frozen=True)
class OlderServer(MlflowServer):
    """A server of another version without log-in, and the client of that version."""

    python: Path = Path(sys.executable)

    @property
    def registry(self) -> MlflowRegistry:
        return MlflowRegistry(self.url)

    def log_model(self, weight: float = 1.0, name: str = "model", experiment: str = "0") -> str:
        return self.client(_LOG, str(weight)).rpartition("run: ")[2].strip()

    def client(self, script: str, *words: str) -> str:
        """What a script prints in which ``mlflow`` is of the server's version."""
        variables = {"MLFLOW_TRACKING_URI": self.url, "PATH": "/usr/bin:/bin", "HOME": self.folder}
        command = [str(self.python), "-c", script, *words]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr[-600:]
        return done.stdout


def environment(version: str) -> Path:
    """The Python of an environment with one version of MLflow."""
    folder = CACHE / f"mlflow-server-{version}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        packages = (f"mlflow=={version}", "setuptools<80", "sqlalchemy<2.1")
        _uv("pip", "install", "--quiet", "--python", str(python), *packages)
        (folder / "complete").touch()
    return python


def _uv(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "uv", *words], check=True)


def tell(governed: Governed) -> None:
    """From the registered version to production, past a refusal, back again, and a move by hand that is found."""
    first = governed.candidate(1.0)
    governed.promote(first)
    assert governed.places() == {"1": PASSED}
    assert governed.explain(governed.now(first)).allowed
    second = governed.register(2.0)
    before = governed.places()
    with pytest.raises(PromotionRefused, match=r"evidence\.missing"):
        governed.promote(second)
    assert governed.places() == before
    governed.judge(second)
    governed.promote(second)
    assert governed.places() == {"1": ("Archived", ()), "2": PASSED}
    governed.roll_back()
    assert governed.places()["1"] == PASSED
    assert not governed.reconcile().open
    server = governed.server
    assert isinstance(server, OlderServer)
    server.client(_BY_HAND, governed.model, second.version)
    assert governed.reconcile().open


def attempt(version: str, told: Callable[[Governed], None] = tell) -> str:
    """What comes of it on one version: ``holds``, or why not."""
    python = environment(version)
    with TemporaryDirectory(prefix="mlgov-mlflow-") as name:
        folder, port = Path(name), free_port()
        url = f"http://{LOOPBACK}:{port}"
        words = ["server", "--host", LOOPBACK, "--port", str(port), "--workers", "1"]
        stores = ["--backend-store-uri", f"sqlite:///{folder}/m.db", "--artifacts-destination", f"{folder}/artifacts"]
        path = {"PATH": f"{python.parent}:{os.environ['PATH']}"}  # it starts others by their names
        command = [str(python), "-m", "mlflow", *words, *stores]
        server = ManagedProcess("MLflow", command, folder / "log", env=path, cwd=folder)
        try:
            http = http_session()
            server.wait_until(lambda: http.get(f"{url}/health", timeout=2).status_code == 200, timeout=180)
            said = http.get(f"{url}/version", timeout=10).text
            assert said == version, f"the server says that it is {said}"
            told(Governed(folder, OlderServer(url, "", "", str(folder), python=python)))
        except Exception as error:  # whatever it is, it is the row
            return f"fails: {type(error).__name__}: {line(str(error))[:200]}"
        finally:
            server.stop()
    return "holds"


def main(versions: tuple[str, ...]) -> int:
    """Tell it on each, and fill the page's table where it was told on all; the number of versions on which it does not
    hold."""
    today, rows = datetime.now(UTC).date().isoformat(), []
    for version in versions or SERVERS:
        found = attempt(version)
        print(f"MLflow {version}: {found}", flush=True)
        rows.append(f"| {version} | {found} | {today} |")
    if not versions:
        head, _, rest = PAGE.read_text().partition(BEGIN)
        table = "\n".join(["| MLflow server | | run on |", "|---|---|---|", *rows])
        PAGE.write_text(f"{head}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}")
    return sum("| holds |" not in row for row in rows)


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:])))
