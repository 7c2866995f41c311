"""The board where Airflow's users are Flask AppBuilder's: roles, and rights per DAG. Each sees what they may."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
import requests

from airflow_mlgov.airflow_roles import roles_of
from airflow_mlgov.board.app import ROUTES
from airflow_mlgov.demo.airflow_api import Run
from airflow_mlgov.errors import DependencyError
from airflow_mlgov.evidence.statements import Person
from tests.codes import raises_code
from tests.live.waiting import HANGS, patience, until
from tests.worlds.live import ended
from tests.worlds.with_fab import ASKED, RETAIL, SHELL, WHOLESALE, FabWorld

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("airflow-fab"), pytest.mark.timeout(HANGS)]
SEES = {
    "admin": {RETAIL, WHOLESALE, ASKED, SHELL},
    "otto": {RETAIL, WHOLESALE, ASKED},
    "uma": {RETAIL, WHOLESALE},
    "vic": {RETAIL, WHOLESALE},
    "rita": {RETAIL},
    "walt": {WHOLESALE},
    "mira": {RETAIL},
    "olga": {SHELL},
}
"""Who -> the models that they may read: by their DAGs; as an owner or an approver; all, who runs all of Airflow."""


@pytest.fixture(scope="module")
def runs(fab: FabWorld) -> Mapping[str, Run]:
    """A run of each team's DAG, which its own member has started: model -> run."""
    made = {}
    for name, dag_id, model in (("rita", "retail_retraining", RETAIL), ("walt", "wholesale_retraining", WHOLESALE)):
        person = fab.user(name)
        person.wait_for_dag(dag_id, timeout=patience(120))
        made[model] = person.trigger(dag_id, {"model": model})
    for run in made.values():
        ended(run, performance="success", promote="success")
    return made


class Looking:
    """Somebody's token, and the pages."""

    def __init__(self, fab: FabWorld, name: str) -> None:
        self._url = fab.airflow.url
        said = {"username": name, "password": fab.airflow.passwords[name]}
        answer = requests.post(f"{self._url}/auth/token", json=said, timeout=patience(60))
        self._headers = {"Authorization": f"Bearer {answer.json()['access_token']}", "Origin": self._url}

    def ask(self, route: str, **query: str) -> requests.Response:
        ask = requests.post if route == "/verify" else requests.get
        return ask(f"{self._url}/mlgov{route}", params=query, headers=self._headers, timeout=patience(60))

    def page(self, route: str, **query: str) -> str:
        """A page, once every model was judged."""
        said: list[str] = []

        def settled() -> bool:
            answer = self.ask(route, **query)
            assert answer.status_code == 200, answer.text
            said.append(answer.text)
            return 'http-equiv="refresh"' not in answer.text

        until(settled, f"the judgements on {route}", said.pop)
        return said.pop()


@pytest.mark.parametrize("name", SEES)
def test_each_sees_the_models_of_their_dags_and_nothing_else(fab: FabWorld, runs: Mapping[str, Run], name: str) -> None:
    person = Looking(fab, name)
    listed = {
        "board": person.page("/board"),
        "log": person.page("/audit"),
        "csv": person.ask("/audit.csv").text,
        "json": person.ask("/audit.json").text,
        "policy": person.page("/policy"),
    }
    for model in SEES["admin"]:
        for route, text in listed.items():
            assert (model in text) is (model in SEES[name]), f"{model} in {route} of {name}"
        for route in ("/story", "/verify"):
            assert person.ask(route, model=model).status_code == (200 if model in SEES[name] else 403), (route, model)


@pytest.mark.parametrize("name", SEES)
def test_each_sees_the_gates_of_runs_of_their_dags_and_no_other(
    fab: FabWorld, runs: Mapping[str, Run], name: str
) -> None:
    person, dags = Looking(fab, name), {model for model in SEES[name] if model in runs}
    for model, run in runs.items():
        answer = person.ask("/run", dag_id=run.dag_id, run_id=run.run_id)
        assert answer.status_code == (200 if model in dags else 403), model
        assert ("performance" in answer.text and "promote" in answer.text) is (model in dags)
    assert person.ask("/run", dag_id="none_of_mine").status_code == (200 if name == "admin" else 403)
    assert ("version: 1" in person.page("/policy")) is (name == "admin"), "the whole text is of all models"


def test_nobody_is_let_in_without_a_token_of_airflow(fab: FabWorld, runs: Mapping[str, Run]) -> None:
    for route in ROUTES:
        ask = requests.post if route == "/verify" else requests.get
        url, query = f"{fab.airflow.url}/mlgov{route}", {"model": RETAIL, "dag_id": "retail_retraining"}
        assert ask(url, params=query, timeout=patience(60)).status_code == 401, route
        forged = {"Authorization": "Bearer forged.token.of-mine"}
        assert ask(url, params=query, headers=forged, timeout=patience(60)).status_code == 403, route


def test_groups_of_the_policy_go_by_its_roles(fab: FabWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked_as(who: str, password: str, host: str = fab.airflow.url) -> None:
        said = {"conn_type": "http", "host": host, "login": who, "password": password}
        monkeypatch.setenv("AIRFLOW_CONN_MLGOV_AIRFLOW", json.dumps(said))

    monkeypatch.setenv("AIRFLOW__MLGOV__ROLE_SOURCE", "airflow_mlgov.airflow_roles:fab_roles")
    asked_as("admin", fab.airflow.passwords["admin"])
    assert roles_of(Person("2", "otto")) == {"Op"}
    assert roles_of(Person("5", "rita")) == {"Retail"}
    assert roles_of(Person("9", "nobody/../otto")) == frozenset()
    for who, password, host in (
        ("admin", "wrong", fab.airflow.url),
        ("vic", fab.airflow.passwords["vic"], fab.airflow.url),
        ("admin", fab.airflow.passwords["admin"], "http://127.0.0.1:9"),
    ):
        asked_as(who, password, host)
        with raises_code(DependencyError, "roles.down") as refused:
            roles_of(Person("2", "otto"))
        assert password not in str(refused.value)
