"""A Spark DataFrame is counted by Spark: PySpark and Java are not installed with the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.fairness import evaluate_fairness
from tests.worlds.counted import MODEL

COLUMNS: dict[str, Any] = {"label": "y", "sensitive_features": ["sex", "sex*age band"], "score": "s"}
BOUNDS = {
    name: {"min": -1}
    for name in (
        "demographic_parity_ratio",
        "equalized_odds_difference",
        "roc_auc_difference",
        "expected_calibration_error_group_max",
    )
}


@pytest.fixture
def frame() -> pd.DataFrame:
    generator = np.random.default_rng(9)
    frame = pd.DataFrame({"sex": generator.choice(["f", "F", "m"], 3000)})
    frame["age band"] = generator.choice([30, 40], 3000)
    frame["y"] = generator.integers(0, 2, 3000).astype(bool)
    frame["s"] = np.clip(generator.normal(0.4 + 0.2 * frame.y, 0.2), 0, 1).round(2)
    frame["c"] = frame.s >= 0.45
    return frame


@pytest.mark.parametrize(
    "case",
    [
        {**COLUMNS, "bounds": BOUNDS},
        {
            **COLUMNS,
            "prediction": "p",
            "champion_prediction": "c",
            "bounds": {**BOUNDS, "accuracy_difference_vs_champion": {"max_change": 1}},
        },
        {
            "label": "age band",
            "prediction": "s",
            "sensitive_features": ["sex"],
            "task": "regression",
            "bounds": {"mean_error_difference": {"max": 100}},
        },
    ],
    ids=["threshold", "champion", "regression"],
)
def test_the_same_as_of_a_file(spark: Any, frame: pd.DataFrame, tmp_path: Path, case: dict[str, Any]) -> None:
    frame["p"] = frame.s >= 0.5
    frame.to_parquet(tmp_path / "a.parquet")
    expected = evaluate_fairness(str(tmp_path / "a.parquet"), subject=MODEL, **case)
    spark.conf.set("spark.sql.shuffle.partitions", 2)
    there = spark.read.parquet(str(tmp_path / "a.parquet"))
    first, again = (evaluate_fairness(rows, subject=MODEL, **case) for rows in (there, there.repartition(3)))
    for mine, theirs in zip(first.checks, expected.checks, strict=True):
        assert (mine.name, mine.outcome) == (theirs.name, theirs.outcome)
        assert mine.observed == pytest.approx(theirs.observed, rel=1e-9, abs=1e-9)
    if "task" not in case:  # sums of floats differ by their order, counts do not
        assert first.evaluation_digest == expected.evaluation_digest
        assert again.inputs == first.inputs
    assert first.inputs[0].name == "Spark DataFrame"
    assert not spark.catalog.listTables()


def test_what_spark_cannot_have(spark: Any, frame: pd.DataFrame) -> None:
    there = spark.createDataFrame(frame)
    with pytest.raises(ConfigurationError, match=r'no column "sexx".*did you mean "sex"'):
        evaluate_fairness(there, subject=MODEL, **{**COLUMNS, "sensitive_features": ["sexx"], "bounds": BOUNDS})
    with pytest.raises(ConfigurationError, match="no such file"):
        evaluate_fairness(there, subject=MODEL, baseline="a.csv", bounds=BOUNDS, **COLUMNS)
    no_numbers = there.withColumn("s", there.s * float("nan"))
    result = evaluate_fairness(no_numbers, subject=MODEL, bounds={"demographic_parity_ratio": {"min": 0}}, **COLUMNS)
    assert result.checks[0].detail == 'score column "s" has 3000 infinite values in 3000 rows; the gate drops no rows'
