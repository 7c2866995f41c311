from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from airflow_mlgov.gates.fairness import evaluate_fairness
from airflow_mlgov.results import GateResult
from tests.worlds.counted import MODEL, Judge


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """The gate over a frame, written as parquet; label y, prediction p, sensitive feature sex."""

    def run(frame: pd.DataFrame, bounds: Any, **kwargs: Any) -> GateResult:
        path = tmp_path / "test.parquet"
        frame.to_parquet(path, index=False)
        options = {"label": "y", "prediction": "p", "sensitive_features": ["sex"], **kwargs}
        return evaluate_fairness(str(path), subject=MODEL, bounds=bounds, **options)

    return run
