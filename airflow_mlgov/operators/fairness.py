"""The fairness gate: disparities by sensitive feature with their intervals, where groups are large enough to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from airflow_mlgov.hooks.warehouse import require_one_source, table_source
from airflow_mlgov.operators.base import ModelGateOperator
from airflow_mlgov.results import GateResult

SETTINGS = (
    "task",
    "method",
    "reference",
    "decide",
    "confidence",
    "min_positives",
    "min_negatives",
    "max_share_left_out",
    "missing_sensitive",
    "suppress_below",
    "on_no_champion",
    "engine",
)


class FairnessGateOperator(ModelGateOperator):
    """Judge a model version by how its predictions fall on groups of people.

    Rows are counted where they are: files in DuckDB, a table in its database. What the governance policy's fairness
    section says needs not be said here.

    :param data: table of predictions: label, prediction and the sensitive features; leave it out for a database
    :param sensitive_features: columns, or column -> the groups that must be there; ``a*b`` judges an intersection
    :param label: column of the truth
    :param prediction: column of the predicted class; made from ``score >= threshold`` where there is none
    :param positive_label: the label that counts as positive, where labels are not 0 and 1
    :param min_group_size: rows below which a group's rates are not estimated
    :param baseline: the champion's predictions on the same rows, for ``*_vs_champion`` bounds, aligned by ``row_id``
    :param champion_prediction: a column of ``data`` with the champion's predictions instead
    :param champion_score: a column of ``data`` with the champion's scores instead, for its AUC and calibration
    :param settings: any of :data:`SETTINGS`; see :func:`airflow_mlgov.gates.fairness.evaluate_fairness`
    :param conn_id: Airflow connection of a database, with ``table`` or ``query``: postgres, sqlite, or any type whose
        hook gives a SQLAlchemy engine (mysql, snowflake, gcpbigquery, databricks, trino and the like)
    :param vault_database_role: role of Vault's database engine, for credentials that end with the task
    :param report_dir: folder for a self-contained HTML report with charts of the rates
    """

    gate = "fairness"
    template_fields: Sequence[str] = (
        *ModelGateOperator.template_fields,
        "sensitive_features",
        "baseline",
        "table",
        "query",
        "report_dir",
    )

    def __init__(
        self,
        *,
        data: str | None = None,
        sensitive_features: Sequence[str] | Mapping[str, Sequence[Any] | None] | None = None,
        label: str | None = None,
        prediction: str | None = None,
        score: str | None = None,
        threshold: float | None = None,
        positive_label: Any = None,
        min_group_size: int | None = None,
        baseline: str | None = None,
        champion_prediction: str | None = None,
        champion_score: str | None = None,
        row_id: str | None = None,
        settings: Mapping[str, Any] | None = None,
        conn_id: str | None = None,
        table: str | None = None,
        query: str | None = None,
        vault_database_role: str | None = None,
        report_dir: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data=data or "", **kwargs)
        require_one_source(data, conn_id, table, query)
        unknown = sorted(set(settings or ()) - set(SETTINGS))
        if unknown:
            raise ValueError(f"settings has no {unknown[0]!r}; known: {', '.join(SETTINGS)}")
        self.sensitive_features = sensitive_features
        self.given = {
            **(settings or {}),
            "label": label,
            "prediction": prediction,
            "score": score,
            "threshold": threshold,
            "positive_label": positive_label,
            "min_group_size": min_group_size,
            "champion_prediction": champion_prediction,
            "champion_score": champion_score,
            "row_id": row_id,
        }
        self.baseline = baseline
        self.conn_id = conn_id
        self.table = table
        self.query = query
        self.vault_database_role = vault_database_role
        self.report_dir = report_dir

    def evaluate(self) -> GateResult:
        """Count the rows and judge the groups, with credentials that live no longer than it takes."""
        from airflow_mlgov.gates.fairness import evaluate_fairness

        settings = self.settings(sensitive_features=self.sensitive_features, **self.given)
        subject = self.registry.subject(self.version)
        with ExitStack() as stack:
            source: Any = self.data
            if self.conn_id is not None:
                source = table_source(self.conn_id, self.table, self.query, self.vault_database_role, self.gate, stack)
            return evaluate_fairness(
                source,
                subject=subject,
                bounds=self.rules[1],
                baseline=self.baseline or None,
                report_dir=self.report_dir,
                **settings,
            )
