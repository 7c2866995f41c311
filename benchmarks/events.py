"""How long after a version came into the registry its DAG runs, in polls of the watcher: a whole Airflow over a real
MLflow. Run it: ``python -m benchmarks.events``."""

from __future__ import annotations

import json
import random
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.waiting import serve_mlflow, until

INTERVAL = 20.0
"""Seconds between two looks of the watcher."""
EVENTS = 6
DAG = """\
from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from airflow_mlgov.assets import WatchedModel

with DAG("new_version", schedule=[WatchedModel("model_0", poll_interval={interval})], start_date=datetime(2026, 1, 1)):
    EmptyOperator(task_id="judged")
"""


def measure(folder: Path) -> list[float]:
    """Polls between each version and the start of its run, soonest first."""
    from mlflow import MlflowClient

    from airflow_mlgov.demo import servers

    dags = folder / "dags"
    dags.mkdir()
    (dags / "new_version.py").write_text(DAG.format(interval=INTERVAL))
    with serve_mlflow(models=1) as (url, _):
        airflow = servers.start_airflow(
            folder,
            dags_folder=dags,
            users={"admin": "admin"},
            connections={"mlflow_default": {"conn_type": "mlflow", "host": url}},
            mlgov={},
            sections={"dag_processor": {"min_file_process_interval": "600"}},
            timeout=900.0,
        )
        with airflow:
            database, client, took = airflow.home / "airflow.db", MlflowClient(url, url), list[float]()
            until(lambda: bool(_rows(database, "SELECT 1 FROM asset_state_store")), "the watcher to look")
            for _ in range(EVENTS):
                time.sleep(random.uniform(0, INTERVAL))
                before = len(_starts(database))
                came = datetime.now(UTC)
                client.create_model_version("model_0", "s3://benchmark/artifact", await_creation_for=0)
                until(partial(_has_more, database, before), "a run")
                took.append((_starts(database)[-1] - came).total_seconds() / INTERVAL)
    return sorted(took)


def _has_more(database: Path, than: int) -> bool:
    return len(_starts(database)) > than


def _starts(database: Path) -> list[datetime]:
    rows = _rows(database, "SELECT start_date FROM dag_run WHERE start_date IS NOT NULL ORDER BY start_date")
    return [datetime.fromisoformat(row[0]).replace(tzinfo=UTC) for row in rows]


def _rows(database: Path, query: str) -> list[tuple[str]]:
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise


def main() -> None:
    """Measure, and print the polls between."""
    with TemporaryDirectory(prefix="mlgov-bench-") as folder:
        took = measure(Path(folder))
    polls = [round(item, 2) for item in took]
    print(json.dumps({"interval": INTERVAL, "polls": polls, "median": round(median(took), 2)}))


if __name__ == "__main__":
    main()
