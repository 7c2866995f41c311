"""Data whose values look like others: read by how they look, the wrong predictions would be right, and groups that are
treated unlike would be one."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from airflow_mlgov import catalogue
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.fairness import evaluate_fairness
from airflow_mlgov.gates.performance import evaluate_performance
from airflow_mlgov.gates.strictness import held_to
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.results import Outcome
from tests.codes import raises_code
from tests.worlds.counted import MODEL
from tests.worlds.guarded import Guarded


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_labels_that_are_one_number_and_two_texts(tmp_path: Path, kind: str) -> None:
    rows = pd.DataFrame({"y": ["0E1", "0E2", "01", "1"] * 20, "p": ["0E2", "0E1", "1", "01"] * 20})
    path = tmp_path / f"a.{kind}"
    rows.to_csv(path, index=False) if kind == "csv" else rows.to_parquet(path)
    result = evaluate_performance(
        str(path), subject=MODEL, bounds=["accuracy>=0.01"], label="y", prediction="p", task="multiclass"
    )
    assert result.verdict is Outcome.FAIL


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_groups_of_opposite_treatment_that_look_alike(tmp_path: Path, kind: str) -> None:
    rows = pd.DataFrame(
        {
            "g": ["01"] * 100 + ["1"] * 100 + ["2"] * 100,
            "y": 1,
            "p": [1] * 10 + [0] * 90 + [1] * 90 + [0] * 10 + [1, 0] * 50,
        }
    )
    path = tmp_path / f"a.{kind}"
    rows.to_csv(path, index=False) if kind == "csv" else rows.to_parquet(path)
    result = evaluate_fairness(
        str(path),
        subject=MODEL,
        bounds=["demographic_parity_ratio>=0.8"],
        label="y",
        prediction="p",
        sensitive_features=["g"],
        decide="point",
    )
    assert result.verdict is Outcome.FAIL


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_decoy_column_beside_the_sensitive_one(tmp_path: Path, kind: str) -> None:
    rows = pd.DataFrame({"Sex": ["a", "b"] * 50, "sex": ["f"] * 50 + ["m"] * 50, "y": 1, "p": [1] * 50 + [0] * 50})
    path = tmp_path / f"a.{kind}"
    rows.to_csv(path, index=False) if kind == "csv" else rows.to_parquet(path)
    with raises_code(ConfigurationError, "column.twice", "Sex, sex"):
        evaluate_fairness(
            str(path),
            subject=MODEL,
            bounds=["demographic_parity_ratio>=0.8"],
            label="y",
            prediction="p",
            sensitive_features=["sex"],
        )


def test_bins_that_hide_a_disparity_are_not_the_callers_to_choose(guarded: Guarded) -> None:
    model = load_policy(guarded.policy_file).model(guarded.model)
    feature = next(iter(model.settings("fairness")["sensitive_features"]))
    with raises_code(ConfigurationError, "setting.not_the_policys", "is the governance policy's to say"):
        held_to(catalogue.load("fairness"), model, {"bins": {feature: [40]}}, {}, "the DAG")
