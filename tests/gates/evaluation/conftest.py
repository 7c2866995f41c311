"""MLflow's tables in a file, and scorers that are code."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
from tests.fixtures.mlflow_server import tracking
from tests.worlds.evaluations import Evaluations


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> MlflowRegistry:
    """MLflow's own tables in a file, without a server."""
    return MlflowRegistry(f"sqlite:///{tmp_path_factory.mktemp('evaluations') / 'mlflow.db'}")


@pytest.fixture
def evaluations(database: MlflowRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluations:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", database.uri)
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
