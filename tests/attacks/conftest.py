"""The world without Airflow, as a fixture; the one with Airflow is ``live`` of all tests."""

from pathlib import Path

import pytest

from tests.fixtures.mlflow_server import MlflowServer
from tests.worlds.guarded import KEY_FILES, Guarded, GuardedByVault


@pytest.fixture
def guarded(request: pytest.FixtureRequest, tmp_path: Path, mlflow_server: MlflowServer) -> Guarded:
    """A governed model on a real MLflow server, without Airflow; its keys are files, or in OpenBao if the test's
    parameter says so."""
    if getattr(request, "param", KEY_FILES) == KEY_FILES:
        return Guarded(tmp_path, mlflow_server)
    return GuardedByVault(tmp_path, mlflow_server, openbao=request.getfixturevalue("openbao"))
