"""Evaluations by MLflow itself, scored by code: in a database file, and on a real server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest

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

        with tracking(self.registry), patch.dict(os.environ, {"MLFLOW_GENAI_EVAL_MAX_WORKERS": "4"}):
            mlflow.set_experiment(self.experiment)
            yield


def answers_of(bad: int = 1) -> list[str]:
    """Answers, some of them bad."""
    return [f"bad answer {at}" if at < bad else f"good answer {at}" for at in range(ROWS)]


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> MlflowRegistry:
    """MLflow's own tables in a file, without a server."""
    return MlflowRegistry(f"sqlite:///{tmp_path_factory.mktemp('evaluations') / 'mlflow.db'}")


@pytest.fixture
def evaluations(database: MlflowRegistry, tmp_path: Path) -> Evaluations:
    import mlflow

    found = Evaluations(database, f"judged-{uuid4().hex[:8]}")
    with tracking(database):
        mlflow.create_experiment(found.experiment, artifact_location=tmp_path.as_uri())
    return found


@pytest.fixture(scope="session")
def scorers() -> dict[str, Any]:
    """Scorers that are code: a truth value, a number, yes or no with a rationale, one that fails on bad answers …"""
    from mlflow.entities import Feedback
    from mlflow.genai.scorers import scorer

    @scorer
    def toxic(outputs: str) -> bool:
        return "bad" in outputs

    @scorer
    def relevance(outputs: str) -> float:
        return 0.5 + int(outputs.split()[-1]) / 100

    @scorer
    def polite(outputs: str) -> Feedback:
        return Feedback(name="polite", value="yes" if "good" in outputs else "no", rationale="a secret rationale")

    @scorer
    def brittle(outputs: str) -> int:
        if "bad" in outputs:
            raise ValueError("this answer cannot be scored")
        return 5

    @scorer
    def silent(outputs: str) -> int | None:
        return None if "bad" in outputs else 3

    @scorer
    def twice() -> list[Feedback]:
        return [Feedback(name="twice", value=1), Feedback(name="twice", value=2)]

    return {one.name: one for one in (toxic, relevance, polite, brittle, silent, twice)}
