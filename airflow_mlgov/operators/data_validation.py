"""The data gate: a Great Expectations suite over a file, a glob, a table or a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from airflow_mlgov.hooks.warehouse import require_one_source, table_source
from airflow_mlgov.operators.base import BaseGateOperator
from airflow_mlgov.results import GateResult

ENGINES = ("auto", "duckdb", "great_expectations")


class DataValidationGateOperator(BaseGateOperator):
    """Validate a dataset against a suite; the evidence counts for every model that was made from these bytes.

    :param data: path or glob of csv or parquet files; leave it out for a table or query
    :param suite: path of a Great Expectations suite (JSON or YAML), or the suite itself
    :param engine: ``auto`` evaluates the common expectations over files in one DuckDB query and the rest in Great
        Expectations; ``duckdb`` refuses what it cannot evaluate; ``great_expectations`` evaluates all there. A table or
        query is Great Expectations' unless ``duckdb`` is asked for, which keeps the rows in a temporary file meanwhile
    :param memory_limit: what the DuckDB query may hold in memory before it spills to disk, such as ``2GB``; 512MB where
        nothing is said
    :param min_rows: fewer rows fail the gate; an empty frame passes most expectations
    :param conn_id: Airflow connection of a database, with ``table`` or ``query``: postgres, sqlite, or any type whose
        hook gives a SQLAlchemy engine. Great Expectations needs a password in it, or ``vault_database_role``
    :param table: name of the table in it
    :param query: a SELECT over it
    :param vault_database_role: role of Vault's database engine; user and password are then made for this task and
        revoked at its end, and the connection needs neither
    :param report_dir: folder for a self-contained HTML report
    :param data_docs_dir: folder for Great Expectations' Data Docs
    :param checks: what is checked beyond the suite, over files or a table (whose rows are kept in a temporary file
        meanwhile): ``{"drift": {"reference": …, "psi": {"max": 0.2}}, "overlap": …, "leakage": …, "freshness": …,
        "volume": …, "schema": …}``; may fill and tighten what the policy says
    :param model: name of the registered model that the data is for: the policy's ``checks`` for it apply, and
        ``reference: champion`` stands for what its champion was trained on
    :param target: whose champion that is
    """

    gate = "data_validation"
    template_fields: Sequence[str] = (
        "data",
        "suite",
        "table",
        "query",
        "report_dir",
        "data_docs_dir",
        "checks",
        "model",
        "target",
    )

    def __init__(
        self,
        *,
        suite: str | Mapping[str, Any],
        data: str | None = None,
        engine: str = "auto",
        memory_limit: str | None = None,
        min_rows: int = 1,
        conn_id: str | None = None,
        table: str | None = None,
        query: str | None = None,
        vault_database_role: str | None = None,
        report_dir: str | None = None,
        data_docs_dir: str | None = None,
        checks: Mapping[str, Any] | None = None,
        model: str | None = None,
        target: str = "production",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_one_source(data, conn_id, table, query)
        if engine not in ENGINES:
            raise ValueError(f"engine must be one of {', '.join(ENGINES)}, not {engine!r}")
        self.data = data
        self.suite = suite
        self.engine = engine
        self.memory_limit = memory_limit
        self.min_rows = min_rows
        self.conn_id = conn_id
        self.table = table
        self.query = query
        self.vault_database_role = vault_database_role
        self.report_dir = report_dir
        self.data_docs_dir = data_docs_dir
        self.checks = checks
        self.model = model
        self.target = target

    def evaluate(self) -> GateResult:
        """Run the suite, with credentials that live no longer than it does."""
        from airflow_mlgov.data.file_tables import MEMORY_LIMIT
        from airflow_mlgov.gates.data_validation import validate_data

        checks = self._checks()
        with ExitStack() as stack:
            source: Any = self.data
            if self.conn_id is not None:
                source = table_source(self.conn_id, self.table, self.query, self.vault_database_role, self.gate, stack)
            return validate_data(
                source,
                self.suite,
                engine=self.engine,
                memory_limit=self.memory_limit or MEMORY_LIMIT,
                min_rows=self.min_rows,
                report_dir=self.report_dir,
                data_docs_dir=self.data_docs_dir,
                checks=checks,
                lookup=self._lookup(checks),
            )

    def _checks(self) -> dict[str, Any] | None:
        """The policy's checks for the model, and the DAG's where the policy is silent."""
        from airflow_mlgov.gates.dataset_checks import merge_checks

        policy = self.governance.policy if self.model else None
        governed = policy.model(str(self.model)).settings(self.gate).get("checks") if policy else None
        return None if governed is None and self.checks is None else merge_checks(governed, self.checks)

    def _lookup(self, checks: Mapping[str, Any] | None) -> Any:
        """The registry and the ledger, where a check needs them and the model is known."""
        from airflow_mlgov.gates.dataset_checks.checks import needs_lookup
        from airflow_mlgov.release.champion_data import RegistryLookup

        if self.model is None or not needs_lookup(checks):
            return None
        governance = self.governance
        return RegistryLookup(
            registry=governance.mlflow.registry(),
            records=governance.ledger,
            trust=governance.trust,
            environment=governance.environment,
            model=self.model,
            goal=governance.required_policy().model(self.model).target(self.target),
        )
