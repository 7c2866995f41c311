"""The world without Airflow, as a fixture; the one with Airflow is ``live`` of all tests."""

from pathlib import Path

import pytest

from tests.fixtures.mlflow_server import MlflowServer
from tests.worlds.guarded import Guarded


@pytest.fixture
def guarded(tmp_path: Path, mlflow_server: MlflowServer) -> Guarded:
    """A governed model on a real MLflow server, without Airflow."""
    return Guarded(tmp_path, mlflow_server)
