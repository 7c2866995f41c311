"""The reconciler over a registry of many versions, 10,000 in ``make soak``: it misses none that was moved, and asks
MLflow no more than the calls that it makes cost by themselves."""

from __future__ import annotations

import os
import sqlite3
import time
from collections import Counter
from contextlib import closing
from copy import copy
from typing import Any

import pytest
import requests

from airflow_mlgov.release.reconciliation import Reconciliation, reconcile
from tests.fixtures.mlflow_server import MlflowServer
from tests.worlds.governed import POLICY, Governed

SOAK = int(os.environ.get("MLGOV_SOAK", "1")) > 1
MODELS, EACH = (100, 100) if SOAK else (5, 40)


class Fleet(Governed):
    """Many models under one policy, each with many versions; by evidence the first of each is in production."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.names = [f"{self.model}_{number}" for number in range(MODELS)]
        _, _, section = POLICY.format(model=self.model).partition("models:\n")
        added = "".join(section.replace(self.model, name) for name in self.names)
        self.policy_file.write_text(self.policy_file.read_text() + added)

    def furnish(self) -> None:
        """Promote a version of each model, and put many more beside it, as if they had been registered."""
        for name in self.names:
            of_it = copy(self)
            of_it.model = name
            of_it.promote(of_it.candidate())
        with closing(sqlite3.connect(self.server.directory / "mlflow.db", timeout=60)) as database, database:
            named = [row[1] for row in database.execute("PRAGMA table_info(model_versions)")]
            values = {"version": "n.i", "current_stage": "'None'"}
            taken = ", ".join(values.get(column, f"v.{column}") for column in named)
            for name in self.names:
                database.execute(
                    f"WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {EACH}) "
                    f"INSERT INTO model_versions ({', '.join(named)}) SELECT {taken} FROM model_versions v, n "
                    "WHERE v.name = ? AND v.version = 1",
                    (name,),
                )

    def look(self) -> Reconciliation:
        """All models of the fleet."""
        return reconcile(self.desk("reconcile"), models=self.names)


@pytest.fixture(scope="module")
def fleet(mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    made = Fleet(tmp_path_factory.mktemp("fleet"), mlflow_server)
    made.furnish()
    return made


@pytest.mark.slow
@pytest.mark.soak
def test_it_costs_little_more_than_its_calls(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[requests.PreparedRequest] = []
    send = requests.Session.send

    def noted(session: requests.Session, request: requests.PreparedRequest, **given: Any) -> requests.Response:
        asked.append(request)
        return send(session, request, **given)

    with monkeypatch.context() as patch:
        patch.setattr(requests.Session, "send", noted)
        began = time.process_time(), time.monotonic()
        result = fleet.look()
        own = time.process_time() - began[0], time.monotonic() - began[1]
    assert (result.open, result.models) == ((), MODELS)
    assert {request.method for request in asked} <= {"GET", "POST"}
    with requests.Session() as http:
        began = time.process_time(), time.monotonic()
        for request in asked:
            assert http.send(request, timeout=300).ok
        bare = time.process_time() - began[0], time.monotonic() - began[1]
    calls = Counter(str(request.path_url).partition("?")[0].rpartition("/mlflow/")[2] for request in asked)
    print(
        f"{MODELS * EACH:,} versions of {MODELS} models: {own[1]:.1f} s, {own[1] / bare[1]:.2f} times its {len(asked)} "
        f"calls alone ({bare[1]:.1f} s); of this process {own[0]:.1f} s and {bare[0]:.1f} s of processor time; "
        f"{dict(calls)}"
    )
    assert len(asked) <= 20 * MODELS, "by model, and not by version"


@pytest.mark.slow
@pytest.mark.soak
def test_it_misses_none_of_what_was_moved(fleet: Fleet) -> None:
    last = fleet.registry.resolve({"name": fleet.names[-1], "version": str(EACH)})
    fleet.registry.set_alias(last, "champion")
    incidents = fleet.look().open
    assert [(item.code, item.model.name, item.model.version) for item in incidents] == [
        ("alias.moved", fleet.names[-1], str(EACH))
    ]
