"""Airflow with the auth manager of Flask AppBuilder: people with its roles, two teams with rights per DAG, a model of
each team, one that only an approval holds up, and one that no DAG has made evidence of."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_mlgov.demo import servers
from tests.fixtures.mlflow_server import MlflowServer
from tests.live.waiting import patience
from tests.worlds.governed import Governed
from tests.worlds.live import Attacker, metadata_database
from tests.worlds.release import people

USERS = {
    "admin": "Admin",
    "otto": "Op",
    "uma": "User",
    "vic": "Viewer",
    "rita": "Retail",
    "walt": "Wholesale",
    "mira": "Inspector",
    "olga": "Public",
}
"""Name -> role. Those of a team see its DAGs; mira as Retail does, and besides connections and audit logs; olga has no
right in Airflow, and owns a model by the policy."""
POLICY = "version: 1\ngroups: {risk-officers: [otto]}\nmodels:\n"
SECTION = """\
  {model}:
    owners: [{owner}]
    gates:
      performance: {{label: y, score: score, roc_auc: {{min: 0.75}}}}
    targets:
      production:
        stage: Production
        alias: champion
        requires: [performance]
"""
APPROVED_BY = "        approvals: {count: 1, from: [risk-officers], not: [requester]}\n"
RETAIL, WHOLESALE, ASKED, SHELL = "fab_cards", "fab_loans", "fab_asked", "fab_of_a_shell"


class Model(Governed):
    """One model; the policy, the keys and the ledger are everybody's."""

    def __post_init__(self) -> None:
        self.ledger_url = f"sqlite:///{self.folder / 'ledger.db'}"


@dataclass(frozen=True)
class FabWorld:
    """What runs."""

    folder: Path
    server: MlflowServer
    airflow: servers.Airflow

    def user(self, name: str) -> Attacker:
        """Sign in."""
        return Attacker(self.airflow, name)

    def model(self, name: str) -> Model:
        """A model of the world."""
        return Model(self.folder, self.server, name)


@contextmanager
def fab_world(folder: Path, python: Path, server: MlflowServer, postgres: str | None) -> Iterator[FabWorld]:
    """Start Airflow beside a running MLflow.

    :param python: of an environment with Flask AppBuilder's auth manager
    :param postgres: where there is a server for Airflow's database, its URL
    """
    Governed(folder, server)  # makes the keys and pins them
    sections = [
        SECTION.format(model=name, owner="olga" if name == SHELL else "nobody") for name in (RETAIL, WHOLESALE, SHELL)
    ]
    (folder / "mlgov.yaml").write_text(
        POLICY + "".join(sections) + SECTION.format(model=ASKED, owner="nobody") + APPROVED_BY
    )
    for weight, name in enumerate((RETAIL, WHOLESALE, ASKED, SHELL)):
        model = Model(folder, server, name)
        version = model.register(weight)
        if name in (ASKED, SHELL):
            model.judge(version)
    dags = folder / "dags"
    shutil.copytree(Path(__file__).parents[1] / "live" / "team_dags", dags)
    people().to_parquet(dags / "good.parquet")
    program = Path(__file__).parents[1] / "live" / "fab_standalone.py"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(python))  # the servers' scripts are those beside it
        airflow = servers.start_airflow(
            folder,
            dags_folder=dags,
            users=USERS,
            connections={"mlflow_default": json.loads(server.connection())},
            mlgov={
                "policy": str(folder / "mlgov.yaml"),
                "ledger": f"sqlite:///{folder / 'ledger.db'}",
                "trust_root": str(folder / "trust.json"),
                "sign": f"local:{folder / '{duty}.pem'}",
                "mlflow_conn_id": "mlflow_default",
                "environment": "test",
            },
            sections={
                "core": {"auth_manager": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"},
                "database": metadata_database(postgres),
            },
            command=[str(python), str(program)],
            timeout=patience(300),
        )
    with airflow:
        yield FabWorld(folder, server, airflow)
