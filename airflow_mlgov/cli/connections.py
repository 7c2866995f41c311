"""Connections of Airflow for commands: what ``conn:ID`` names, and what ``[mlgov]`` does. Besides doctor, the one place
of the commands that imports Airflow."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_mlgov.addresses import RegistryIdentity
    from airflow_mlgov.evidence.ledger import Ledger
    from airflow_mlgov.registry.mlflow_registry import MlflowRegistry


def ledger(conn_id: str, *, create: bool) -> Ledger:
    """The ledger at a connection.

    :raises ConfigurationError: there is no such connection, or no Airflow
    """
    with _looked_up(conn_id):
        from airflow_mlgov.hooks.ledger import LedgerHook

        return LedgerHook(conn_id, create=create).get_conn()


def registry(conn_id: str, identity: RegistryIdentity | None, duty: str | None) -> MlflowRegistry:
    """The model registry at a connection, with the identity that the duty has there.

    :raises ConfigurationError: there is no such connection, or no Airflow
    """
    with _looked_up(conn_id):
        from airflow_mlgov.hooks.mlflow import MlflowHook

        return MlflowHook(conn_id, duty, identity=identity).registry()


def vault(conn_id: str) -> Any:
    """An authenticated ``hvac.Client`` of a connection.

    :raises ConfigurationError: there is no such connection, or no Airflow
    """
    with _looked_up(conn_id):
        from airflow_mlgov.hooks.vault import MlgovVaultHook

        return MlgovVaultHook(vault_conn_id=conn_id).transit_client()


def stored(url: str) -> Any:
    """Data in an object store, by the connection that its URL names.

    :raises ConfigurationError: there is no such connection, or no Airflow
    """
    with _looked_up(url.partition("://")[2].partition("@")[0]):
        from airflow_mlgov.hooks.object_store import stored

        return stored(url)


def password(conn_id: str) -> str:
    """The password of a connection.

    :raises ConfigurationError: there is no such connection, or no Airflow
    """
    with _looked_up(conn_id):
        from airflow_mlgov.hooks.connections import password_of

        return password_of(conn_id)


@contextmanager
def all_connections() -> Iterator[None]:
    """Outside of tasks Airflow looks for connections in its own database only if this says so."""
    name = "_AIRFLOW_PROCESS_CONTEXT"
    before = os.environ.get(name)
    os.environ[name] = "server"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def _looked_up(conn_id: str) -> Iterator[None]:
    """What Airflow says meanwhile goes to stderr: stdout is the command's own."""
    with redirect_stdout(sys.stderr), all_connections():
        try:
            import airflow_mlgov.hooks.connections  # noqa: F401 - it needs Airflow
        except ImportError:
            raise ConfigurationError(
                f"{conn_id} is a connection of Airflow, which is not installed here: name the URL instead",
                code="airflow.missing",
            ) from None
        yield
