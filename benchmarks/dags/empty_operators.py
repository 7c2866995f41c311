"""A DAG with as many tasks as ``every_operator``, all of them empty."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("empty_operators", schedule=None, start_date=datetime(2026, 1, 1)):
    for number in range(20):
        EmptyOperator(task_id=f"task_{number}")
