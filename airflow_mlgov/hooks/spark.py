"""An Airflow connection of the type ``spark_connect`` as a source for a gate. Its fields are those of Airflow's own
apache-spark provider, which need not be installed. Refuses a connection of another type, and to log the token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_mlgov.data.spark import SparkSource

CONN_TYPE = "spark_connect"
_PORT = 15002
_YES = ("true", "1", "yes")


def spark_source(connection: Any, table: str | None, query: str | None, path: str | None) -> SparkSource:
    """A table, a query or a path of a Spark Connect server.

    :param connection: host (also ``sc://host``), port, login (Spark's ``user_id``), password (the bearer token) and in
        the extra ``use_ssl``
    :raises ConfigurationError: no host, or other extras than Spark Connect has
    """
    from airflow_mlgov.data.spark import SCHEME, SparkSource

    host = str(connection.host or "").removeprefix(SCHEME).rstrip("/")
    if not host:
        raise ConfigurationError(
            f"the connection {connection.conn_id!r} has no host: name the Spark Connect server", code="spark.no_host"
        )
    secure = str(connection.extra_dejson.get("use_ssl", "")).lower() in _YES
    address = f"{SCHEME}{host}:{connection.port or _PORT}/{';use_ssl=true' if secure else ''}"
    return SparkSource(
        address, table=table, query=query, path=path, token=connection.password or None, user=connection.login or None
    )
