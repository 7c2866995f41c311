"""The ledger of evidence for tasks: opens the database that a connection, or ``[mlgov] ledger``, names."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import BaseHook
from airflow.sdk.log import mask_secret

from airflow_mlgov.configuration import home, option
from airflow_mlgov.errors import MlgovError
from airflow_mlgov.hooks.connections import named

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from airflow_mlgov.evidence.ledger import Ledger


class LedgerHook(BaseHook):  # type: ignore[misc]  # Airflow's compat module is untyped to mypy here
    """The ledger: PostgreSQL if the connection has a host, else SQLite at the path in its schema.

    :param ledger_conn_id: if omitted, ``[mlgov] ledger_conn_id``; if that is empty too, the URL in
        ``[mlgov] ledger``, and last ``$AIRFLOW_HOME/mlgov/ledger.db``
    :param create: False for whoever only reads: a ledger that is not there is not made
    """

    conn_name_attr = "ledger_conn_id"
    conn_type = "mlgov_ledger"
    hook_name = "ML governance ledger"

    def __init__(self, ledger_conn_id: str | None = None, *, create: bool = True) -> None:
        super().__init__()
        self.ledger_conn_id = ledger_conn_id
        self.create = create

    def get_conn(self) -> Ledger:
        """The open ledger.

        :raises DependencyError: the database is down
        :raises ConfigurationError: there is none, and ``create`` is False (``ledger.missing``)
        """
        return self._ledger

    def test_connection(self) -> tuple[bool, str]:
        """Whether the ledger opens and its chain holds, or may be made; makes none."""
        try:
            size = LedgerHook(self.ledger_conn_id, create=False).get_conn().verify().size
        except MlgovError as error:
            return error.code == "ledger.missing", str(error)
        return True, f"the ledger opens and its chain of {size} entries holds"

    @cached_property
    def _ledger(self) -> Ledger:
        from airflow_mlgov.evidence.ledger import open_ledger

        conn_id = self.ledger_conn_id or option("ledger_conn_id")
        if conn_id:
            return open_ledger(self._connection_url(conn_id), create=self.create)
        if self.create and not option("ledger"):
            home().mkdir(parents=True, exist_ok=True)
        return open_ledger(option("ledger") or f"sqlite:///{home() / 'ledger.db'}", create=self.create)

    def _connection_url(self, conn_id: str) -> URL:
        from sqlalchemy.engine import URL

        found = named(conn_id, self.conn_type, "--conn-host HOST --conn-schema DATABASE --conn-login USER")
        if not found.host:
            return URL.create("sqlite", database=found.schema)
        if found.password:
            mask_secret(found.password)
        return URL.create(
            "postgresql+psycopg", found.login, found.password, found.host, found.port, found.schema or "postgres"
        )
