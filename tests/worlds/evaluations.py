"""Evaluations by MLflow itself, scored by code: in a database file, or on a real server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
from tests.fixtures.mlflow_server import tracking

ROWS = 8


@dataclass(frozen=True)
class Evaluations:
    """Runs ``mlflow.genai.evaluate`` and names what it left."""

    registry: MlflowRegistry
    experiment: str

    def run(self, scorers: list[Any], answers: list[str] | None = None, **how: Any) -> str:
        """Evaluate a few answers; returns the run's id."""
        import mlflow

        data = [
            {
                "inputs": {"question": f"question {at}", "id": at},
                "outputs": answer,
                "expectations": {"topic": "loans" if at % 2 else "cards"},
                "tags": {"language": "de" if at % 4 == 0 else "en"},
            }
            for at, answer in enumerate(answers or answers_of())
        ]
        again = how.pop("in_run", None)
        with self.signed_in(), mlflow.start_run(run_id=again) if again else nullcontext():
            return mlflow.genai.evaluate(data=how.pop("data", data), scorers=scorers, **how).run_id

    @contextmanager
    def signed_in(self) -> Iterator[None]:
        """MLflow's own functions write into this experiment."""
        import mlflow

        before = patch("mlflow.tracking.fluent._active_experiment_id", None)  # of this process, whatever the server
        with tracking(self.registry), before, patch.dict(os.environ, {"MLFLOW_GENAI_EVAL_MAX_WORKERS": "4"}):
            mlflow.set_experiment(self.experiment)
            yield
            mlflow.flush_trace_async_logging()


def answers_of(bad: int = 1) -> list[str]:
    """Answers, some of them bad."""
    return [f"bad answer {at}" if at < bad else f"good answer {at}" for at in range(ROWS)]
