"""Holds the model registry against the ledger every hour: what was changed by hand becomes a signed incident.

The task fails while something is unsettled, and its log says what. Set `revert` to put alias, stage and tags back.
"""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import DAG

from airflow_mlgov.operators.reconcile import ReconcileRegistryOperator

with DAG(
    dag_id="registry_reconciliation",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["mlgov"],
) as dag:
    ReconcileRegistryOperator(task_id="reconcile", retries=2)
