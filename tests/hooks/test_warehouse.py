"""Connections of any type whose hook gives a SQLAlchemy engine: a provider that Airflow finds by its entry point."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from tests.fixtures.postgres import PASSWORD

HOOKS = '''
import sqlalchemy as sa
from airflow.providers.common.sql.hooks.sql import DbApiHook
from airflow.sdk import BaseHook


class WarehouseHook(DbApiHook):
    """The URL is all that it takes, as of MySQL, Trino or Databricks."""

    conn_name_attr = "acme_conn_id"
    conn_type = "acme"
    hook_name = "Acme"

    @property
    def sqlalchemy_url(self):
        to = self.connection
        scheme = to.extra_dejson.get("scheme", "postgresql+psycopg")
        return sa.URL.create(scheme, to.login, to.password, to.host, to.port, to.schema)


class KeyedHook(WarehouseHook):
    """What lets in is not in the URL, as of Snowflake's key pairs or BigQuery's service accounts."""

    conn_type = "acme_keyed"

    def get_sqlalchemy_engine(self, engine_kwargs=None):
        to = self.connection
        if to.extra_dejson["key"] == "torn":
            raise ValueError(f"cannot read {to.extra_dejson['key']}")
        url = sa.URL.create("postgresql+psycopg", to.login, None, to.host, to.port, to.schema)
        url = url.update_query_dict({"sslpassword": "t0ken", "application_name": "acme"})
        return sa.create_engine(url, connect_args={"password": to.extra_dejson["key"]}, **(engine_kwargs or {}))


class FilesHook(BaseHook):
    conn_name_attr = "acme_conn_id"
    conn_type = "acme_files"
    hook_name = "Acme files"

    def __init__(self, acme_conn_id):
        super().__init__()
'''

INFO = """
def info():
    kinds = {"acme": "WarehouseHook", "acme_keyed": "KeyedHook", "acme_files": "FilesHook"}
    return {
        "package-name": "acme-provider",
        "name": "Acme",
        "description": "For a test.",
        "connection-types": [
            {"connection-type": kind, "hook-class-name": f"acme_hooks.{name}"} for kind, name in kinds.items()
        ],
    }
"""

ASK = """
import json, sys
from contextlib import ExitStack
from airflow.sdk._shared.secrets_masker import redact
from airflow_mlgov.errors import MlgovError
from airflow_mlgov.data.database import fingerprint
from airflow_mlgov.hooks.warehouse import table_source

said = {}
for conn_id in sys.argv[1:]:
    role = "reader" if "vault" in conn_id else None
    try:
        with ExitStack() as stack:
            source = table_source(conn_id, "loans", None, role, "fairness", stack)
            said[conn_id] = {"url": source.url, "shown": repr(source), "rows": fingerprint(source).rows}
    except MlgovError as error:
        said.setdefault(conn_id, {}).update(error=type(error).__name__, says=str(error))
said["log"] = redact(sys.stdin.read())
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where a provider package is installed."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "acme_provider.py").write_text(INFO)
    (folder / "acme_hooks.py").write_text(HOOKS)
    installed = folder / "acme_provider-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-provider\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[apache_airflow_provider]\nprovider_info = acme_provider:info\n")
    return folder


def _ask(provider: Path, connections: dict[str, dict[str, Any]], log: str = "", **environment: str) -> dict[str, Any]:
    """What becomes of the table ``loans`` of each connection, in a process that finds the provider."""
    env = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(connection) for name, connection in connections.items()}
    paths = os.pathsep.join([str(provider), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", ASK, *connections],
        env={**os.environ, **env, **environment, "PYTHONPATH": paths},
        input=log,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert PASSWORD not in done.stdout + done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture
def address(postgres: str) -> dict[str, Any]:
    """Where a PostgreSQL with a table ``loans`` of three rows is."""
    with sa.create_engine(sa.make_url(postgres).set(password=PASSWORD)).begin() as connection:
        for statement in (
            "DROP TABLE IF EXISTS loans",
            "CREATE TABLE loans AS SELECT generate_series(1, 3) AS id",
            "GRANT SELECT ON loans TO PUBLIC",
        ):
            connection.execute(sa.text(statement))
    where = urlsplit(postgres)
    return {"host": where.hostname, "port": where.port, "schema": where.path[1:], "login": "postgres"}


def test_a_hook_that_gives_an_engine(provider: Path, address: dict[str, Any]) -> None:
    connections = {
        "plain": {"conn_type": "acme", **address, "password": PASSWORD},
        "keyed": {"conn_type": "acme_keyed", **address, "extra": {"key": PASSWORD}},
        "wrong": {"conn_type": "acme_keyed", **address, "extra": {"key": "wr0ng"}},
        "torn": {"conn_type": "acme_keyed", **address, "extra": {"key": "torn"}},
    }
    said = _ask(provider, connections, log=f"{PASSWORD} mlgov-T%C3%A9st%24pw%2F1 t0ken")
    bare = f"postgresql+psycopg://{address['host']}:{address['port']}/{address['schema']}"
    shown = f"SqlSource('postgresql://{address['host']}:{address['port']}/{address['schema']}#table=loans')"
    assert said["plain"] == {"url": bare, "shown": shown, "rows": 3}
    assert said["keyed"] == {"url": f"{bare}?application_name=acme", "shown": shown, "rows": 3}
    assert said["wrong"]["error"] == "AccessError"
    assert "wr0ng" not in said["wrong"]["says"]
    assert said["torn"]["error"] == "ConfigurationError"
    assert said["torn"]["says"].endswith("and its hook KeyedHook gives no SQLAlchemy engine (ValueError)")
    assert said["log"] == "*** *** ***"


def test_credentials_that_vault_makes_come_first(
    provider: Path,
    address: dict[str, Any],
    server: Any,
    database: str,
) -> None:
    connections = {"vault_keyed": {"conn_type": "acme_keyed", **address, "extra": {"key": "wr0ng"}}}
    environment = {"AIRFLOW_CONN_BAO": server.connection(), "AIRFLOW__MLGOV__VAULT_CONN_ID": "bao"}
    said = _ask(provider, connections, **environment)["vault_keyed"]
    assert (said["rows"], said.get("error")) == (3, None)


@pytest.mark.slow
def test_what_no_hook_gives(provider: Path) -> None:
    connections = {
        "snow": {"conn_type": "snowflake", "host": "h"},
        "big": {"conn_type": "gcpbigquery"},
        "files": {"conn_type": "acme_files"},
        "odd": {"conn_type": "acme", "host": "h", "extra": {"scheme": "nosuchdb"}},
    }
    said = _ask(provider, connections)
    assert {said[name]["error"] for name in connections} == {"ConfigurationError"}
    assert "'snow' is of type 'snowflake'" in said["snow"]["says"]
    assert "pip install apache-airflow-providers-snowflake" in said["snow"]["says"]
    assert "pip install apache-airflow-providers-google" in said["big"]["says"]
    assert "whose hook FilesHook is of no SQL database" in said["files"]["says"]
    assert "its driver is not installed (Can't load plugin: sqlalchemy.dialects:nosuchdb)" in said["odd"]["says"]
