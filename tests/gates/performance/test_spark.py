"""The performance gate over predictions in Spark says what it says of the same rows in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from airflow_mlgov.data.spark import SparkSource, SparkTable
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.performance import counting, evaluate_performance
from airflow_mlgov.results import GateResult, Subject
from tests.codes import raises_code
from tests.worlds.spark import in_both, require_same

MODEL = Subject("model", "credit", "0" * 64, "1")
TWO = {name: {"min": -9.0} for name in ("roc_auc", "average_precision", "brier_score", "log_loss", "f1", "accuracy")}
THREE = {name: {"min": 0.0} for name in ("accuracy", "f1_macro", "balanced_accuracy", "log_loss")}
DECIDED = {name: {"min": 0.0} for name in ("accuracy", "f1_macro")}
ERRORS = {name: {"max": 9.0} for name in ("rmse", "mae", "r2", "explained_variance")}
CASES: dict[str, dict[str, Any]] = {
    "scores": {"score": "s", "bounds": TWO},
    "decisions": {"score": "s", "prediction": "p", "bounds": TWO, "decide": "interval"},
    "slices": {"score": "s", "slices": ["sex", "sex*band"], "bounds": {**TWO, "roc_auc_worst_slice": {"min": 0.1}}},
    "weights": {"score": "s", "sample_weight": "w", "bounds": {"roc_auc": {"min": 0}, "accuracy": {"min": 0}}},
    "three classes": {"label": "k", "prediction": "kp", "task": "multiclass", "bounds": DECIDED},
    "three scores": {"label": "k", "class_scores": {"a": "sa", "b": "sb", "c": "sc"}, "bounds": THREE},
    "regression": {"label": "q", "prediction": "qp", "task": "regression", "bounds": ERRORS},
}  # fmt: skip


def frame(rows: int = 1500, seed: int = 8) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    score = random.uniform(0.01, 0.99, rows).round(3)
    made = pd.DataFrame({"id": np.arange(rows), "y": np.where(random.uniform(size=rows) < score, "bad", "good")})
    made["s"], made["p"] = score, np.where(score > 0.6, "bad", "good")
    made["sex"], made["band"] = random.choice(["f", "m", "F"], rows), random.choice([30, 40], rows)
    made["w"] = random.uniform(0.5, 2, rows).round(2)
    made["k"], made["kp"] = random.choice(list("abc"), rows), random.choice(list("abc"), rows)
    shares = random.dirichlet([1, 1, 1], rows)
    made["sa"], made["sb"], made["sc"] = shares.T
    made["q"] = random.normal(size=rows)
    made["qp"] = made["q"] + random.normal(0, 0.1, rows)
    return made


def judged(data: Any, **options: Any) -> GateResult:
    label = {"label": "y", "positive_label": "bad"} if "label" not in options else {}
    return evaluate_performance(data, subject=MODEL, **label, **options)


@pytest.fixture(scope="module")
def rows(spark_server: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, SparkSource]:
    folder = tmp_path_factory.mktemp("predictions")
    return in_both(pa.Table.from_pandas(frame(), preserve_index=False), folder, spark_server)


@pytest.mark.parametrize("case", CASES)
def test_the_same_as_of_a_file(rows: tuple[str, SparkSource], case: str) -> None:
    here, there = (judged(data, **CASES[case]) for data in rows)
    require_same(there, here)
    assert {**there.details, "read_as": None} == {**here.details, "read_as": None}
    assert there.inputs[0].name == rows[1].name


def test_two_classes_are_counted_there(rows: tuple[str, SparkSource], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SparkTable, "narrowed", None)
    monkeypatch.setattr(SparkTable, "batches", None)
    result = judged(rows[1], **CASES["scores"])
    assert len(result.inputs[0].digest) == 64


def test_many_different_scores_come_over_without_the_rows(
    rows: tuple[str, SparkSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "_MOST_SCORES", 100)
    monkeypatch.setattr(SparkTable, "narrowed", None)
    there, here = (judged(data, **CASES["scores"]) for data in (rows[1], rows[0]))
    require_same(there, here)
    monkeypatch.setattr(counting, "_BYTES", 10**9)  # and do not fit into memory
    assert judged(rows[1], **CASES["scores"]).checks == there.checks


def test_a_champion_in_the_same_spark(rows: tuple[str, SparkSource], spark_server: str, tmp_path: Path) -> None:
    before = frame()
    before["s"] = (before["s"] + np.sin(before["id"]) / 5).clip(0, 1).round(3)
    champion, _ = in_both(pa.Table.from_pandas(before.sample(frac=1, random_state=1)), tmp_path, spark_server, "before")
    bounds = {"roc_auc_vs_champion": {"min_change": -1}, "churn_vs_champion": {"max_change": 1}}
    options = {"score": "s", "row_id": "id", "baseline": champion, "bounds": bounds}
    here, there = (judged(data, **options) for data in rows)
    require_same(there, here)
    assert [each.name for each in there.inputs] == [rows[1].name, f"{spark_server}#path={champion}"]
    with raises_code(ConfigurationError, "setting.missing", "have no order"):
        judged(rows[1], **{**options, "row_id": None})


def test_what_is_missing_is_told_as_of_a_file(spark_server: str, tmp_path: Path) -> None:
    made = frame(50)
    made.loc[3, "s"] = None
    made.loc[[5, 6], "y"] = None
    both = in_both(pa.Table.from_pandas(made), tmp_path, spark_server)
    here, there = (judged(data, **CASES["scores"]) for data in both)
    assert "2 missing values in 50 rows" in there.checks[0].detail
    require_same(there, here)
