"""The data gate: a Great Expectations suite over a file, a glob, a table or a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from airflow_mlgov.hooks.warehouse import require_one_source, table_source
from airflow_mlgov.operators.base import BaseGateOperator
from airflow_mlgov.results import GateResult


class DataValidationGateOperator(BaseGateOperator):
    """Validate a dataset against a suite; the evidence counts for every model that was made from these bytes.

    :param data: path or glob of csv or parquet files; leave it out for a table or query
    :param suite: path of a Great Expectations suite (JSON or YAML), or the suite itself
    :param min_rows: fewer rows fail the gate; an empty frame passes most expectations
    :param conn_id: Airflow connection of a database, with ``table`` or ``query``
    :param table: name of the table in it
    :param query: a SELECT over it
    :param vault_database_role: role of Vault's database engine; user and password are then made for this task and
        revoked at its end, and the connection needs neither
    :param report_dir: folder for a self-contained HTML report
    :param data_docs_dir: folder for Great Expectations' Data Docs
    """

    gate = "data_validation"
    template_fields: Sequence[str] = ("data", "suite", "table", "query", "report_dir", "data_docs_dir")

    def __init__(
        self,
        *,
        suite: str | Mapping[str, Any],
        data: str | None = None,
        min_rows: int = 1,
        conn_id: str | None = None,
        table: str | None = None,
        query: str | None = None,
        vault_database_role: str | None = None,
        report_dir: str | None = None,
        data_docs_dir: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_one_source(data, conn_id, table, query)
        self.data = data
        self.suite = suite
        self.min_rows = min_rows
        self.conn_id = conn_id
        self.table = table
        self.query = query
        self.vault_database_role = vault_database_role
        self.report_dir = report_dir
        self.data_docs_dir = data_docs_dir

    def evaluate(self) -> GateResult:
        """Run the suite, with credentials that live no longer than it does."""
        from airflow_mlgov.gates.data_validation import validate_data

        with ExitStack() as stack:
            source: Any = self.data
            if self.conn_id is not None:
                source = table_source(self.conn_id, self.table, self.query, self.vault_database_role, self.gate, stack)
            return validate_data(
                source,
                self.suite,
                min_rows=self.min_rows,
                report_dir=self.report_dir,
                data_docs_dir=self.data_docs_dir,
            )
