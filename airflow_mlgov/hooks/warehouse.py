"""A database connection of Airflow's as a SQLAlchemy URL without credentials, and the credentials beside it; or a table
of it as a source for a gate, with credentials that Vault makes for the task."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import BaseHook
from airflow.sdk.log import mask_secret

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.settings import option

if TYPE_CHECKING:
    from airflow_mlgov.gates.sql_source import SqlSource

_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg", "sqlite": "sqlite"}


def database_url(conn_id: str) -> tuple[str, str | None, str | None]:
    """``(url without credentials, user, password)`` of a connection; the password is masked in logs from here on.

    :raises ConfigurationError: a connection type that the gates do not read
    """
    from sqlalchemy.engine import URL

    connection = BaseHook.get_connection(conn_id)
    driver = _DRIVERS.get(connection.conn_type or "")
    if driver is None:
        known = ", ".join(_DRIVERS)
        raise ConfigurationError(f"the connection {conn_id!r} is of type {connection.conn_type!r}; known: {known}")
    if connection.password:
        mask_secret(connection.password)
    if driver == "sqlite":
        return URL.create("sqlite", database=connection.host).render_as_string(), None, None
    url = URL.create(driver, host=connection.host, port=connection.port, database=connection.schema)
    return url.render_as_string(), connection.login, connection.password


def require_one_source(data: str | None, conn_id: str | None, table: str | None, query: str | None) -> None:
    """Refuse arguments of an operator that name no data, or two.

    :raises ValueError: not exactly one of a path and a connection, or a connection without exactly one of table and
        query
    """
    if (data is None) == (conn_id is None):
        raise ValueError("give either data= (a path) or conn_id= (a database) with table= or query=")
    if conn_id is not None and (table is None) == (query is None):
        raise ValueError("with conn_id= give either table= or query=")


def table_source(
    conn_id: str, table: str | None, query: str | None, vault_database_role: str | None, duty: str, stack: ExitStack
) -> SqlSource:
    """A table or query of a connection.

    :param vault_database_role: role of Vault's database engine; user and password are then made for this task and
        revoked when ``stack`` ends, and the connection needs neither
    :param duty: whose identity at Vault is used
    """
    from airflow_mlgov.gates.sql_source import SqlSource
    from airflow_mlgov.hooks.vault import MlgovVaultHook

    url, username, password = database_url(conn_id)
    if vault_database_role:
        vault = MlgovVaultHook(vault_conn_id=option("vault_conn_id", "vault_default").format(duty=duty))
        username, password = stack.enter_context(vault.database_credentials(vault_database_role))
    return SqlSource(url, table=table, query=query, username=username, password=password)
