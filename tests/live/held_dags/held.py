"""A gate and a promotion that stop in the midst of their first try, until their worker is killed. Airflow reads a copy
of this folder with ``good.parquet`` beside it."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG

from airflow_mlgov.operators.performance import PerformanceGateOperator
from airflow_mlgov.operators.promotion import PromoteModelOperator

HERE = Path(__file__).parent
MODEL = "models:/{{ params.model }}/1"


def wait(name: str) -> None:
    """Leave word, and stay."""
    (HERE / name).touch()
    time.sleep(3600)


def in_the_gate(context: Any) -> None:
    """The first try stops when its evidence stands in the ledger, and before it knows that."""
    if context["ti"].try_number == 1:
        from psycopg import ClientCursor

        execute: Callable[..., Any] = ClientCursor.execute

        def watched(self: Any, query: Any, *given: Any, **more: Any) -> Any:
            done = execute(self, query, *given, **more)
            if "EXECUTE mlgov_put" in str(query):
                wait("in_the_gate")
            return done

        ClientCursor.execute = watched  # type: ignore[method-assign]


def in_the_promotion(context: Any) -> None:
    """The first try stops once it has set the stage, before it sets the alias: it holds the lock of the target."""
    if context["ti"].try_number == 1:
        from requests.adapters import HTTPAdapter

        send: Callable[..., Any] = HTTPAdapter.send

        def watched(self: HTTPAdapter, request: Any, **given: Any) -> Any:
            answer = send(self, request, **given)
            if request.path_url.endswith("/model-versions/transition-stage"):
                wait("in_the_promotion")
            return answer

        HTTPAdapter.send = watched  # type: ignore[method-assign]


with DAG("held", schedule=None, start_date=datetime(2026, 1, 1), catchup=False, params={"model": ""}):
    again = {"retries": 2, "retry_delay": timedelta(seconds=1)}
    gate = PerformanceGateOperator(
        task_id="gate", model=MODEL, data=str(HERE / "good.parquet"), pre_execute=in_the_gate, **again
    )
    gate >> PromoteModelOperator(
        task_id="promote",
        model=MODEL,
        target="production",
        pre_execute=in_the_promotion,
        **again,
    )
