"""Which ledger the hook opens."""

import json
import os
from urllib.parse import urlsplit

import pytest

from airflow_mlgov.hooks.ledger import LedgerHook
from tests.fixtures.postgres import PASSWORD


def test_the_embedded_default(monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    ok, message = LedgerHook().test_connection()
    assert ok
    assert "there is no ledger" in message
    assert not (tmp_path / "mlgov" / "ledger.db").exists()
    LedgerHook().get_conn()
    assert LedgerHook().test_connection() == (True, "the ledger opens and its chain of 0 entries holds")


def test_the_url_in_the_configuration(monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW__MLGOV__LEDGER", f"sqlite:///{tmp_path}/mine.db")
    assert LedgerHook().test_connection()[0]
    assert os.listdir(tmp_path) == []
    LedgerHook().get_conn()
    assert (tmp_path / "mine.db").exists()


def test_a_connection_wins(monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW__MLGOV__LEDGER", f"sqlite:///{tmp_path}/other.db")
    monkeypatch.setenv("AIRFLOW__MLGOV__LEDGER_CONN_ID", "ledger")
    monkeypatch.setenv(
        "AIRFLOW_CONN_LEDGER", json.dumps({"conn_type": "mlgov_ledger", "schema": f"{tmp_path}/mine.db"})
    )
    LedgerHook().get_conn()
    assert (tmp_path / "mine.db").exists()
    assert not (tmp_path / "other.db").exists()


@pytest.mark.parametrize(("password", "opens"), [(PASSWORD, True), ("wrong-password", False)])
def test_postgres(monkeypatch, postgres, password, opens):
    where = urlsplit(postgres)
    connection = {"conn_type": "mlgov_ledger", "host": where.hostname, "port": where.port, "login": "postgres"}
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps({**connection, "password": password}))
    ok, message = LedgerHook("ledger").test_connection()
    assert ok is opens, message
    assert "wrong-password" not in message
