"""Something that a release needs fails for real: each ends in a refusal or in an error after which the same step, tried
again, gets there; and no error, no ledger and no traceback tells a credential."""

import sqlite3
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hvac
import pytest
import sqlalchemy as sa

from airflow_mlgov.errors import AccessError, DependencyError, MlgovError
from airflow_mlgov.evidence import ledger as ledger_module
from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
from airflow_mlgov.vault.policy import key_name
from airflow_mlgov.vault.transit import TransitSigner
from tests.codes import refuses
from tests.fixtures.mlflow_server import MlflowServer
from tests.fixtures.openbao import OpenBaoServer
from tests.fixtures.postgres import PASSWORD
from tests.worlds.governed import PASSED, Governed
from tests.worlds.guarded import GuardedByVault


@contextmanager
def fails(governed: Governed, error: type[MlgovError], code: str, *credentials: str) -> Iterator[None]:
    """The block ends in an error of ours; neither it, its traceback nor the ledger has a credential."""
    with pytest.raises(error) as caught:
        yield
    assert caught.value.code == code
    said = "".join(traceback.format_exception(caught.value))
    kept = "".join(entry.envelope for entry in governed.ledger.entries())
    assert [word for word in (governed.server.password, *credentials) if word in said or word in kept] == []


def ended(governed: Governed, version: Any) -> None:
    """It was promoted, once."""
    assert governed.places()[version.version] == PASSED
    assert len(governed.ledger.entries(kind="promotion")) == 1
    assert governed.reconcile().open == ()


def test_a_token_of_vault_that_runs_out_in_the_middle(
    tmp_path: Path, mlflow_server: MlflowServer, openbao: OpenBaoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    governed = GuardedByVault(tmp_path, mlflow_server, openbao=openbao)
    version = governed.green()
    token = openbao.client.auth.token.create(ttl="1h")["auth"]["client_token"]
    key = f"{governed.model}-{key_name('promotion')}"
    move = MlflowRegistry.transition_stage

    def then_revoked(*given: Any, **more: Any) -> None:
        move(*given, **more)
        openbao.client.auth.token.revoke(token)

    monkeypatch.setattr(MlflowRegistry, "transition_stage", then_revoked)
    signer = TransitSigner(hvac.Client(url=openbao.addr, token=token), key)
    with fails(governed, AccessError, "vault.refused", token):
        governed.promote(version, signer=signer)
    monkeypatch.undo()
    assert governed.ledger.entries(kind="promotion") == []
    governed.promote(version)
    ended(governed, version)


def test_mlflow_is_gone_between_two_calls(governed: Governed, monkeypatch: pytest.MonkeyPatch) -> None:
    version, move = governed.candidate(), MlflowRegistry.transition_stage

    def then_gone(registry: MlflowRegistry, *given: Any, **more: Any) -> None:
        move(registry, *given, **more)
        assert registry._rest is not None
        registry._rest.uri = "http://127.0.0.1:9"

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setattr(MlflowRegistry, "transition_stage", then_gone)
    with fails(governed, DependencyError, "registry.down"):
        governed.promote(version)
    monkeypatch.undo()
    assert governed.places()[version.version] == ("Production", ())
    governed.promote(version)
    ended(governed, version)


def test_the_disk_under_the_ledger_is_full(governed: Governed) -> None:
    version, full = governed.candidate(), governed.ledger

    def limited(connection: sqlite3.Connection, _: Any) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")

    full.close()
    sa.event.listen(full._engine, "connect", limited)
    with fails(governed, DependencyError, "ledger.down"):
        governed.promote(version, ledger=full)
    assert governed.places()[version.version] == (None, ())
    governed.promote(version)
    ended(governed, version)


def test_the_sessions_of_postgresql_end(governed: Governed, postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = sa.make_url(postgres).set(password=PASSWORD)
    governed.ledger_url = url.render_as_string(hide_password=False)
    version, put = governed.candidate(), ledger_module.put
    size, ledger = governed.ledger.last()[0], governed.ledger

    def once_ended(*given: Any, **more: Any) -> Any:
        with sa.create_engine(url).begin() as other:
            mine = "datname = current_database() AND pid <> pg_backend_pid()"
            other.execute(sa.text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}"))
        return put(*given, **more)

    monkeypatch.setattr(ledger_module, "put", once_ended)
    with fails(governed, DependencyError, "ledger.down", PASSWORD):
        governed.promote(version, ledger=ledger)
    monkeypatch.undo()
    assert ledger.last()[0] == size
    governed.promote(version, ledger=ledger)
    ended(governed, version)


def test_a_clock_that_is_ahead_or_behind(governed: Governed) -> None:
    version, now = governed.register(), datetime.now(UTC)
    governed.judge(version, issued_at=now + timedelta(minutes=10))
    with refuses("evidence.stale"):
        governed.promote(version)
    assert governed.places()[version.version] == (None, ())
    governed.judge(version, issued_at=now + timedelta(minutes=2))
    governed.promote(version)
    ended(governed, version)
