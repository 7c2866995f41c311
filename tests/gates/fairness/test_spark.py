"""The fairness gate over predictions in Spark says what it says of the same rows in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from airflow_mlgov.data.spark import SparkEngine, SparkSource, SparkTable
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.fairness import counting, evaluate_fairness
from tests.codes import raises_code
from tests.worlds.counted import MODEL
from tests.worlds.spark import in_both, require_same

COLUMNS: dict[str, Any] = {"label": "y", "sensitive_features": ["sex", "sex*age band", "region"], "score": "s"}
BOUNDS = {
    name: {"min": -1}
    for name in (
        "demographic_parity_ratio",
        "equalized_odds_difference",
        "roc_auc_difference",
        "expected_calibration_error_group_max",
    )
}
CASES: dict[str, dict[str, Any]] = {
    "threshold": {**COLUMNS, "bounds": BOUNDS},
    "interval": {**COLUMNS, "bounds": BOUNDS, "decide": "interval"},
    "champion": {
        **COLUMNS,
        "prediction": "p",
        "champion_prediction": "c",
        "bounds": {**BOUNDS, "accuracy_difference_vs_champion": {"max_change": 1}},
    },
    "bins": {**COLUMNS, "sensitive_features": ["sex", "age"], "bins": {"age": [30, 50]}, "bounds": BOUNDS},
    "three bins": {**COLUMNS, "sensitive_features": ["age"], "bins": {"age": 3}, "bounds": BOUNDS},
    "weights": {
        "label": "y", "prediction": "p", "sensitive_features": ["sex"], "sample_weight": "w",
        "bounds": {"demographic_parity_ratio": {"min": 0}},
    },
    "regression": {
        "label": "age", "prediction": "s", "sensitive_features": ["sex"], "task": "regression",
        "bounds": {"mean_error_difference": {"max": 100}},
    },
}  # fmt: skip


def people(rows: int = 3000) -> pd.DataFrame:
    generator = np.random.default_rng(9)
    frame = pd.DataFrame({"sex": generator.choice(["f", "F", "m"], rows), "id": np.arange(rows)})
    frame["age band"], frame["age"] = generator.choice([30, 40], rows), generator.integers(18, 80, rows)
    frame["region"] = generator.choice(["é", "e\u0301", "no'rd"], rows)
    frame["y"] = generator.integers(0, 2, rows).astype(bool)
    frame["s"] = np.clip(generator.normal(0.4 + 0.2 * frame.y, 0.2), 0, 1).round(2)
    frame["c"], frame["p"] = frame.s >= 0.45, frame.s >= 0.5
    frame["w"] = generator.uniform(0.5, 2, rows).round(1)
    return frame


@pytest.fixture(scope="module")
def rows(spark_server: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, SparkSource]:
    folder = tmp_path_factory.mktemp("people")
    return in_both(pa.Table.from_pandas(people(), preserve_index=False), folder, spark_server)


@pytest.mark.parametrize("case", CASES)
def test_the_same_as_of_a_file(rows: tuple[str, SparkSource], case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SparkTable, "narrowed", None)  # no row comes over
    monkeypatch.setattr(SparkTable, "batches", None)
    here, there = (evaluate_fairness(data, subject=MODEL, **CASES[case]) for data in rows)
    require_same(there, here)
    assert there.inputs[0].name == rows[1].name


def test_no_other_columns_are_frozen_than_those_that_are_named(
    rows: tuple[str, SparkSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen: list[tuple[set[str], bool]] = []
    right = SparkEngine.add

    def add(engine: SparkEngine, view: str, *given: Any, freeze: bool = True) -> dict[str, str]:
        columns = right(engine, view, *given, freeze=freeze)
        frozen.append((set(engine.views[view].columns), freeze))
        return columns

    monkeypatch.setattr(SparkEngine, "add", add)
    names = {"y", "s", "sex", "age band", "region"}
    case = {**COLUMNS, "bounds": {"demographic_parity_ratio": {"min": 0}}}
    assert evaluate_fairness(rows[1], subject=MODEL, **{**case, "bounds": BOUNDS}).checks
    assert frozen == [(names, True)]
    frozen.clear()
    here, there = (evaluate_fairness(data, subject=MODEL, **case) for data in rows)
    require_same(there, here)
    assert frozen == [(names, False)]  # one question alone
    frozen.clear()
    monkeypatch.setattr(counting, "LIMIT", 30)  # and more of them
    here, there = (evaluate_fairness(data, subject=MODEL, **case) for data in rows)
    require_same(there, here)
    assert frozen == [(names, False), (names, True)]
    with raises_code(ConfigurationError, "column.missing", "age band"):
        evaluate_fairness(rows[1], subject=MODEL, **{**case, "sensitive_features": ["age bond"]})


def test_features_that_are_many_together_are_counted_in_sets(
    rows: tuple[str, SparkSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "LIMIT", 30)
    features = ["sex", "region", "sex*age band"]
    case = {**COLUMNS, "sensitive_features": features, "bounds": {"demographic_parity_ratio": {"min": 0}}}
    here, there = (evaluate_fairness(data, subject=MODEL, **case) for data in rows)
    require_same(there, here)


def test_a_champion_in_a_table_of_its_own(rows: tuple[str, SparkSource], spark_server: str, tmp_path: Path) -> None:
    before = people().assign(p=lambda frame: frame.s >= 0.4)
    before["s"] = (before["s"] + np.sin(before["id"]) / 5).clip(0, 1).round(3)
    champion, there_too = in_both(pa.Table.from_pandas(before.iloc[::-1]), tmp_path, spark_server, "before")
    bounds = {name: {"max_change": 1} for name in ("roc_auc_difference_vs_champion", "accuracy_difference_vs_champion")}
    case = {**COLUMNS, "prediction": "p", "row_id": "id", "baseline": champion, "bounds": bounds}
    here, there = (evaluate_fairness(data, subject=MODEL, **case) for data in rows)
    require_same(there, here)
    assert [each.name for each in there.inputs] == [rows[1].name, there_too.name]
    with raises_code(ConfigurationError, "baseline.other_rows"):
        evaluate_fairness(rows[1], subject=MODEL, **{**case, "label": "p"})


def test_what_spark_cannot_have(rows: tuple[str, SparkSource]) -> None:
    with raises_code(ConfigurationError, "column.missing", 'did you mean "sex"'):
        evaluate_fairness(rows[1], subject=MODEL, **{**COLUMNS, "sensitive_features": ["sexx"], "bounds": BOUNDS})
    nan = SparkSource(rows[1].url, query=f"SELECT *, CAST('NaN' AS DOUBLE) AS n FROM parquet.`{rows[0]}`")
    result = evaluate_fairness(
        nan, subject=MODEL, **{**COLUMNS, "score": "n", "bounds": {"demographic_parity_ratio": {"min": 0}}}
    )
    assert "3000 infinite values in 3000 rows" in result.checks[0].detail
