"""Rows from confusion counts, and what the fairness gate says about them."""

from collections.abc import Callable, Mapping

import pandas as pd

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
