from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from airflow_mlgov.gates.fairness import evaluate_fairness
from airflow_mlgov.results import Check, GateResult, Subject

MODEL = Subject("model", "credit_risk", "ab" * 32, version="7", registry="http://mlflow")

Cells = Mapping[tuple[str, ...], tuple[int, int, int, int]]
Judge = Callable[..., GateResult]


def rows_of(cells: Cells, *names: str) -> pd.DataFrame:
    """Rows from confusion counts: group(s) -> TN, FP, FN, TP."""
    outcomes = ((0, 0), (0, 1), (1, 0), (1, 1))
    rows = [(*g, *o) for g, counts in cells.items() for o, n in zip(outcomes, counts, strict=True) for _ in range(n)]
    return pd.DataFrame(rows, columns=[*names, "y", "p"])


def by_name(result: GateResult) -> dict[str, Check]:
    return {check.name: check for check in result.checks}


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """The gate over a frame, written as parquet; label y, prediction p, sensitive feature sex."""

    def run(frame: pd.DataFrame, bounds: Any, **kwargs: Any) -> GateResult:
        path = tmp_path / "test.parquet"
        frame.to_parquet(path, index=False)
        options = {"label": "y", "prediction": "p", "sensitive_features": ["sex"], **kwargs}
        return evaluate_fairness(str(path), subject=MODEL, bounds=bounds, **options)

    return run
