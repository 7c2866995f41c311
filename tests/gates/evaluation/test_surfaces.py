"""The gate as people call it: the command line, the policy, and MLflow's runs in place of files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from airflow_mlgov import catalogue
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.protocol import Elsewhere
from airflow_mlgov.gates.run import run_gate
from airflow_mlgov.gates.strictness import held_to
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.results import Outcome, Subject
from tests.codes import raises_code
from tests.worlds.evaluations import Evaluations, answers_of
from tests.worlds.keys import key_file

GATE = catalogue.load("evaluation")
MODEL = Subject("model", "assistant", "ab" * 32, version="7", registry="http://mlflow")
POLICY = """
version: 1
models:
  assistant:
    gates:
      evaluation:
        row_id: id
        confidence: 0.9
        toxic_rate: {max: 0.05}
        "verdict_rate[not safe]": {max: 0.1}
        relevance_mean_vs_champion: {min_change: -0.05}
    targets:
      production: {alias: champion, requires: [evaluation]}
"""


def scores(rows: int = 200, bad: int = 2) -> pd.DataFrame:
    random = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "id": range(rows),
            "toxic": np.arange(rows) < bad,
            "relevance": random.beta(9, 1, rows),
            "verdict": np.where(np.arange(rows) < bad, "not safe", "safe"),
        }
    )


def policy_file(folder: Path, text: str = POLICY) -> Path:
    path = folder / "mlgov.yaml"
    path.write_text(text)
    return path


def test_verdicts_are_exit_codes(run: Any, tmp_path: Path) -> None:
    scores().to_csv(tmp_path / "scores.csv", index=False)
    words = ["gate", "evaluation", "--data", tmp_path / "scores.csv", "--json", "--bound"]
    code, out, _ = run(*words, "toxic_rate<=0.05", "--bound", "verdict_rate[not safe]<=0.05")
    assert (code, json.loads(out)["verdict"]) == (0, "PASS")
    assert run(*words, "relevance_mean>=0.99")[0] == 1
    assert run(*words, "toxic_rate<=0.01")[0] == 3
    for bound, words_of_it in (
        ("toxicc_rate<=0.1", 'did you mean "toxic"'),
        ("toxic_p5<=0.1", "Known metrics"),
        ("verdict_rate<=0.1", "holds not safe, safe"),
        ("toxic_rate_worst_slice<=0.1", "name the columns to cut the examples by"),
    ):
        code, _, err = run(*words, bound)
        assert (code, words_of_it in err) == (2, True), err
    code, _, err = run("gate", "evaluation", "--bound", "toxic_rate<=0.1")
    assert (code, "name data, or have mlflow_run or mlflow_model name it" in err) == (2, True)


@pytest.mark.parametrize("kind", ["csv", "parquet", "frame"])
def test_any_data_and_the_champions(kind: str, tmp_path: Path) -> None:
    mine, theirs = scores(), scores(bad=3).sample(frac=1, random_state=2)
    data: Any = (mine, theirs)
    if kind != "frame":
        data = (str(tmp_path / f"mine.{kind}"), str(tmp_path / f"theirs.{kind}"))
        for frame, path in zip((mine, theirs), data, strict=True):
            frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path, index=False)
    bounds = ["toxic_rate<=0.05", "toxic_rate_vs_champion<=0.05", "relevance_mean_vs_champion>=-0.01"]
    settings, held = held_to(GATE, None, {"row_id": "id"}, bounds, "test")
    result = run_gate(GATE, data[0], settings, held, subject=MODEL, baseline=data[1], report_dir=tmp_path / "reports")
    assert result.verdict is Outcome.PASS, result.summary()
    assert len(result.inputs) == 2
    assert result.settings["max_share_unmatched"] == 0
    assert result.evaluation_digest == _digest(theirs)
    assert Path(result.reports["Evaluation report"]).read_text().count("toxic_rate")


def _digest(frame: pd.DataFrame) -> str | None:
    settings, held = held_to(GATE, None, {"row_id": "id"}, ["toxic_rate<=0.5"], "test")
    return run_gate(GATE, frame, settings, held).evaluation_digest


def test_a_database_table(tmp_path: Path) -> None:
    import sqlite3

    from airflow_mlgov.data.database import SqlSource

    with sqlite3.connect(tmp_path / "scores.db") as raw:
        scores().to_sql("scores", raw, index=False)
    settings, held = held_to(GATE, None, {}, ["relevance_mean>=0.8", "verdict_rate[not safe]<=0.1"], "test")
    result = run_gate(GATE, SqlSource(f"sqlite:///{tmp_path / 'scores.db'}", table="scores"), settings, held)
    assert result.verdict is Outcome.PASS, result.summary()


def test_the_policy_knows_its_bounds_and_settings(tmp_path: Path) -> None:
    policy = load_policy(policy_file(tmp_path)).model("assistant")
    settings, bounds = held_to(GATE, policy, {}, {"toxic_rate": {"max": 0.04}}, "the DAG")
    assert (settings.row_id, settings.confidence) == ("id", 0.9)
    assert [str(item.bound) for item in bounds] == ["<= 0.04", "<= 0.1", ">= -0.05", "<= 0.05"]
    with raises_code(ConfigurationError, "policy.unknown_key"):
        load_policy(policy_file(tmp_path, POLICY.replace("toxic_rate", "toxic_rat")))
    with raises_code(ConfigurationError, "policy.unknown_key"):
        load_policy(policy_file(tmp_path, POLICY.replace("row_id: id", "mlflow_run: ab12")))


@pytest.mark.parametrize(
    ("given", "bounds"),
    [
        ({}, {"toxic_rate": {"max": 0.5}}),
        ({}, {"abstention_rate": {"max": 0.5}}),
        ({"max_share_unmatched": 0.5}, {}),
        ({"min_examples": 2}, {}),
        ({"decide": "point"}, {}),
        ({"overridden": "use"}, {}),
        ({"row_id": "other"}, {}),
    ],
)
def test_a_dag_may_loosen_nothing(given: dict[str, Any], bounds: dict[str, Any], tmp_path: Path) -> None:
    policy = load_policy(policy_file(tmp_path)).model("assistant")
    with pytest.raises(ConfigurationError):
        held_to(GATE, policy, given, bounds, "the DAG")


@pytest.mark.slow
def test_an_evaluation_in_mlflow_and_the_champions(evaluations: Evaluations, scorers: Any, run: Any, tmp_path) -> None:
    mine = evaluations.run([scorers["toxic"], scorers["polite"], scorers["relevance"]])
    theirs = evaluations.run([scorers["toxic"], scorers["relevance"]], answers_of(bad=2))
    words = ["gate", "evaluation", "--mlflow-run", mine, "--registry", evaluations.registry.uri, "--json"]
    words += ["--min-examples", "4", "--decide", "point", "--bound", "toxic_rate<=0.2", "--bound", "polite_rate>=0.8"]
    words += ["--ledger", f"sqlite:///{tmp_path}/ledger.db", "--sign", key_file(tmp_path / "key.pem")]
    compared = ["--mlflow-champion-run", theirs, "--row-id", "inputs", "--bound", "toxic_rate_vs_champion<=0"]
    code, out, err = run(*words, *compared)
    assert code == 0, err or out
    checks = {check["name"]: check for check in json.loads(out)["checks"]}
    assert checks["toxic_rate_vs_champion"]["observed"] == -1 / 8
    _, shown, _ = run("ledger", "show", "1", "--ledger", f"sqlite:///{tmp_path}/ledger.db")
    assert f"#run={mine}" in shown
    assert f"#run={theirs}" in shown
    assert "secret" not in shown
    assert '"corrected_by_hand": 0' in shown
    code, _, err = run(*words, "--data", "scores.csv")
    assert (code, "named twice" in err) == (2, True)


def test_a_version_that_was_registered_from_another_logged_model_is_refused() -> None:
    settings, bounds = held_to(GATE, None, {"mlflow_model": "m-1"}, ["toxic_rate<=0.1"], "test")
    with pytest.raises(ConfigurationError) as refused:
        GATE.named_data(settings, bounds, Elsewhere(lambda: None, "models:/m-2"))  # type: ignore[arg-type, return-value]
    assert refused.value.code == "mlflow.other_model"
    data, champion = GATE.named_data(settings, bounds, Elsewhere(lambda: evaluations_at("x"), "models:/m-1"))
    assert (data is not None, champion) == (True, None)


def evaluations_at(uri: str) -> Any:
    from airflow_mlgov.registry.mlflow_registry import MlflowRegistry

    return MlflowRegistry(uri)
