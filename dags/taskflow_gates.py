"""Gates in TaskFlow: a function scores a version, and what it returns is judged and signed.

Copy this file and put your own scoring where `scored` reads a table. What is released is tripped off by the new holder
of the alias: `tell` runs once a promotion has stood up to verification.
"""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow.sdk import dag, task

from airflow_mlgov.assets import ModelAsset
from airflow_mlgov.operators.promotion import PromoteModelOperator

SCORES = Path(__file__).parent / "include" / "data" / "scores"
CHAMPION = ModelAsset("credit_risk", at="champion")


def scored(model: dict[str, str]) -> str:
    """Your own scoring: a frame, the path or URL of a table, or rows."""
    return f"{SCORES}/{model['name']}-{model['version']}.parquet"


@dag(schedule=None, start_date=datetime(2026, 1, 1), catchup=False, doc_md=__doc__, tags=["mlgov"])
def taskflow_gates() -> None:
    """Judge the versions that the run is triggered with, and promote them."""

    @task
    def candidates(**context: Any) -> list[dict[str, Any]]:
        """``{"candidates": [{"name": …, "version": …}]}`` of the run's configuration."""
        return list(context["dag_run"].conf["candidates"])

    @task.gate("performance")
    def performance(model: dict[str, str]) -> str:
        return scored(model)

    @task.gate("fairness")
    def fairness(model: dict[str, str]) -> str:
        return scored(model)

    found = candidates()
    promote = PromoteModelOperator.partial(task_id="promote", target="production").expand(model=found)
    [performance.expand(model=found), fairness.expand(model=found)] >> promote


@dag(schedule=[CHAMPION], start_date=datetime(2026, 1, 1), catchup=False, doc_md=__doc__, tags=["mlgov"])
def new_champion() -> None:
    """What is to happen when another version serves."""

    @task
    def tell(**context: Any) -> list[dict[str, Any]]:
        """Refuses an event without evidence: one that somebody has made by REST starts this DAG too."""
        found = CHAMPION.verified(context)
        logging.getLogger(__name__).info("who serves now: %s", found)
        return found

    tell()


taskflow_gates()
new_champion()
