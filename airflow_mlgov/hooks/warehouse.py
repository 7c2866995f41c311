"""A database connection of Airflow's as a SQLAlchemy URL without credentials, and the credentials beside it."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import BaseHook
from airflow.sdk.log import mask_secret

from airflow_mlgov.errors import ConfigurationError

_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg", "sqlite": "sqlite"}


def database_url(conn_id: str) -> tuple[str, str | None, str | None]:
    """``(url without credentials, user, password)`` of a connection; the password is masked in logs from here on.

    :raises ConfigurationError: a connection type that the data gate does not read
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
