"""Connections of Airflow by their id; one that is missing is told with what to type."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_mlgov.errors import ConfigurationError


def named(conn_id: str, conn_type: str, options: str = "") -> Any:
    """An Airflow connection.

    :param conn_type: of the one that is wanted, for the message
    :param options: what `airflow connections add` needs besides id and type
    :raises ConfigurationError: there is none of this id
    """
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise missing(conn_id, conn_type, options) from None


def password_of(conn_id: str) -> str:
    """The password of a connection of type ``http``; empty if it has none.

    :raises ConfigurationError: there is no such connection
    """
    return str(named(conn_id, "http").password or "")


def missing(conn_id: str, conn_type: str, options: str = "") -> ConfigurationError:
    """That Airflow has no connection of this id, and what to type."""
    words = " ".join(filter(None, (f"airflow connections add {conn_id} --conn-type {conn_type}", options)))
    return ConfigurationError(f"Airflow has no connection {conn_id!r}: `{words}` adds it", code="connection.missing")
