from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import get_scorer_names

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import VS_CHAMPION, WORST_SLICE, parse_bounds
from airflow_mlgov.gates.performance import scorers
from airflow_mlgov.gates.performance.scorers import KNOWN_METRICS, task_of
from airflow_mlgov.gates.performance.spec import GATE, PerformanceSettings
from airflow_mlgov.gates.strictness import held_to, merge_settings
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.governance.schema import policy_schema
from tests.codes import raises_code


def test_every_scorer_of_scikit_learn_is_known_or_refused_with_a_reason() -> None:
    ours = set(scorers.METRICS) - set(scorers.OWN_METRICS)
    refused = {name for names in scorers.REFUSED.values() for name in names}
    assert ours | refused == set(get_scorer_names())
    assert not ours & refused
    assert len(set(KNOWN_METRICS)) == len(KNOWN_METRICS)


def test_the_policy_knows_exactly_the_metrics() -> None:
    section = policy_schema()["$defs"]["model"]["properties"]["gates"]["properties"]["performance"]
    written = set()
    for pattern in section["patternProperties"]:
        heads, tail = re.fullmatch(r"\^\(([a-z0-9_|]+)\)([a-z_]*)\$", pattern).groups()  # type: ignore[union-attr]
        written |= {head + tail for head in heads.split("|")}
    assert written == set(KNOWN_METRICS)


def test_names_are_known_without_scikit_learn() -> None:
    code = (
        "import sys; from airflow_mlgov import catalogue; "
        "from airflow_mlgov.gates.performance import budgets, gate, scorers, serialization; "
        "catalogue.load('performance').metrics; "
        "print([m for m in ('sklearn', 'pandas', 'numpy', 'mlflow', 'skops', 'airflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["adjusted_rand_score", "v_measure_score", "f1_samples", "model_size_mb_vs_champion"])
def test_what_predictions_do_not_give_is_refused(name: str) -> None:
    with raises_code(ConfigurationError, "bound.unknown", match=f'unknown metric "{name}"'):
        parse_bounds({name: {"min": 0}}, KNOWN_METRICS)


def test_a_misspelt_scorer_has_a_near_one_and_a_list_without_endings() -> None:
    with raises_code(ConfigurationError, "bound.unknown", match='Did you mean "balanced_accuracy"') as caught:
        parse_bounds(["balanced_acuracy>=0.5"], KNOWN_METRICS)
    assert VS_CHAMPION not in str(caught.value).replace("churn_vs_champion", "")
    assert WORST_SLICE not in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "declared", "class_scores", "task"),
    [
        ([], None, False, "binary"),
        (["accuracy"], None, False, "binary"),
        (["accuracy"], "multiclass", False, "multiclass"),
        (["accuracy"], None, True, "multiclass"),
        (["f1_macro"], None, False, "multiclass"),
        (["f1_macro"], "binary", False, "binary"),
        (["f1_macro", "roc_auc"], None, False, "binary"),
        (["roc_auc_ovr", "accuracy"], None, False, "multiclass"),
        (["r2", "churn"], None, False, "regression"),
        (["model_size_mb"], "regression", False, "regression"),
    ],
)
def test_the_task_of_metrics(asked: list[str], declared: Any, class_scores: bool, task: str) -> None:
    assert task_of(asked, declared, class_scores) == task


@pytest.mark.parametrize(
    ("asked", "declared", "code", "words"),
    [
        (["roc_auc", "r2"], None, "bound.other_task", "r2 is of a regression and roc_auc of a classification"),
        (["roc_auc", "roc_auc_ovr"], None, "bound.other_task", ""),
        (
            ["roc_auc"],
            "multiclass",
            "bound.other_task",
            "roc_auc is of a binary task, but task is declared 'multiclass'",
        ),
        (["accuracy"], "regression", "bound.other_task", ""),
        (["accuracy"], "ranking", "setting.wrong", ""),
    ],
)
def test_tasks_that_do_not_agree(asked: list[str], declared: Any, code: str, words: str) -> None:
    with raises_code(ConfigurationError, code, words):
        task_of(asked, declared, False)


def test_a_policy_with_scorers_slices_and_budgets(tmp_path: Path) -> None:
    path = tmp_path / "mlgov.yaml"
    path.write_text(
        """\
version: 1
models:
  iris:
    gates:
      performance:
        label: y
        task: multiclass
        class_scores: {"0": p0, "1": p1, "2": p2}
        decide: interval
        confidence: 0.9
        slices: [region, "sex*age_band"]
        min_slice_size: 50
        max_share_left_out: 0.1
        roc_auc_ovr: {min: 0.9}
        f1_macro_worst_slice: {min: 0.8}
        neg_log_loss_vs_champion: {min_change: -0.01}
        churn_vs_champion: {max_change: 0.1}
        latency_p95_ms: {max: 20}
        model_size_mb: {max: 5, severity: warning}
        loads_in_clean_process: {min: 1}
    targets: {production: {alias: champion, requires: [performance]}}
"""
    )
    model = load_policy(path).model("iris")
    assert set(model.bounds("performance")) == {
        "roc_auc_ovr", "f1_macro_worst_slice", "neg_log_loss_vs_champion", "churn_vs_champion", "latency_p95_ms",
        "model_size_mb", "loads_in_clean_process",
    }  # fmt: skip
    assert model.settings("performance")["slices"] == ["region", "sex*age_band"]
    settings, bounds = held_to(GATE, model, {}, ["roc_auc_ovr>=0.95"], "the DAG")
    assert (settings.confidence, bounds[0].bound.min) == (0.9, 0.95)
    with raises_code(
        ConfigurationError,
        "setting.not_the_policys",
        match="decide is 'point' here, but the governance policy says 'interval'",
    ):
        held_to(GATE, model, {"decide": "point"}, (), "the DAG")
    path.write_text(path.read_text().replace("        confidence: 0.9\n", ""))
    unsaid = load_policy(path).model("iris").settings("performance")
    with raises_code(
        ConfigurationError,
        "setting.looser",
        match=r"confidence is 0\.5 here, which is looser than the default of 0\.95",
    ):
        merge_settings(PerformanceSettings, unsaid, {"confidence": 0.5}, governed=True)
    merged = merge_settings(PerformanceSettings, unsaid, {"confidence": 0.99}, governed=True)
    assert merged["confidence"] == 0.99
    path.write_text(path.read_text().replace("roc_auc_ovr:", "roc_auc_over:"))
    with raises_code(ConfigurationError, "policy.unknown_key", match=r"mlgov.yaml:13: .*did you mean 'roc_auc_ovr'"):
        load_policy(path)
    path.write_text(path.read_text().replace("roc_auc_over:", "roc_auc_ovr:").replace("slices: [region", "# [region"))
    with raises_code(ConfigurationError, "policy.invalid", match=r"mlgov.yaml:5: .*slices is missing"):
        load_policy(path)
