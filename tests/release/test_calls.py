"""How often the registry is asked: counted on the real server, whichever client asks."""

from collections import Counter
from pathlib import Path

import pytest
import requests

from airflow_mlgov.release.explanation import explain
from airflow_mlgov.release.promotion import promote
from airflow_mlgov.release.reconciliation import reconcile
from tests.fixtures.mlflow_server import MlflowServer
from tests.worlds.governed import Governed

FILES = 4
"""Two folders listed and two files taken: each model here has as many, and they are taken once."""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Every request of this process, by method and path."""
    counted: Counter[str] = Counter()
    right = requests.Session.send

    def send(self: requests.Session, request: requests.PreparedRequest, **given: object) -> requests.Response:
        path = request.path_url.partition("?")[0]
        counted[f"{request.method} {path.partition('/artifacts/')[0]}"] += 1
        return right(self, request, **given)

    monkeypatch.setattr(requests.Session, "send", send)
    return counted


def test_a_promotion(tmp_path: Path, mlflow_server: MlflowServer, calls: Counter[str]) -> None:
    governed = Governed(tmp_path, mlflow_server)
    governed.promote(governed.candidate(1.0))
    second = governed.candidate(2.0)
    calls.clear()
    desk = governed.desk("promotion")
    promote(desk, desk.registry.resolve(second.uri), "production")
    # which it is, where its files are; who is where before and after; two moves; two tags for people
    assert calls.total() <= 1 + 1 + FILES + 2 + 2 + 2 + 2, calls
    calls.clear()
    desk = governed.desk("promotion")
    assert promote(desk, desk.registry.resolve(second.uri), "production").moved == {}
    assert calls.total() <= 1 + 1 + FILES + 2 + 2, calls


@pytest.mark.parametrize(
    ("without", "moved"),
    [
        # who is where: versions and aliases; two moves; the version itself says that it stands there
        (["        archive_previous: true\n"], 2 + 2 + 1),
        # who holds the alias; the move; the version again
        (["        archive_previous: true\n", "        stage: Production\n"], 1 + 1 + 1),
    ],
)
def test_a_promotion_that_archives_nobody(
    tmp_path: Path, mlflow_server: MlflowServer, calls: Counter[str], without: list[str], moved: int
) -> None:
    governed = Governed(tmp_path, mlflow_server)
    for line in without:
        governed.policy_file.write_text(governed.policy_file.read_text().replace(line, ""))
    governed.promote(governed.candidate(1.0))
    second = governed.candidate(2.0)
    calls.clear()
    desk = governed.desk("promotion")
    done = promote(desk, desk.registry.resolve(second.uri), "production")
    assert done.moved["alias"] == {"to": "champion", "previous": "1"}
    assert calls.total() <= 1 + 1 + FILES + moved + 2, calls
    assert "champion" in desk.registry.resolve(second.uri).aliases


def test_a_verification(tmp_path: Path, mlflow_server: MlflowServer, calls: Counter[str]) -> None:
    governed = Governed(tmp_path, mlflow_server)
    version = governed.candidate()
    governed.promote(version)
    calls.clear()
    registry = governed.registry
    assert explain(registry, registry.resolve(version.uri), governed.ledger, governed.trust).allowed
    assert calls.total() <= 1 + 1 + FILES, calls


def test_a_reconciliation_takes_each_champions_files_once(
    tmp_path: Path, mlflow_server: MlflowServer, calls: Counter[str]
) -> None:
    governed = Governed(tmp_path, mlflow_server)
    governed.promote(governed.candidate(1.0))
    governed.promote(governed.candidate(2.0))
    calls.clear()
    assert reconcile(governed.desk("reconcile"), models=[governed.model]).open == ()
    # who is where: versions and aliases; where the champion's files are
    assert calls.total() <= 2 + 1 + FILES, calls
