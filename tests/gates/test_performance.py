from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.performance import Columns, evaluate_performance, judge_predictions, parse_bounds
from airflow_mlgov.results import Check, GateResult, Outcome, Severity, Subject

MODEL = Subject("model", "credit_risk", "ab" * 32, version="7", registry="http://mlflow")


def _frame(rows: int = 400, seed: int = 0, skill: float = 1.5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    truth = np.random.default_rng(99).integers(0, 2, rows)
    score = 1 / (1 + np.exp(-(skill * (truth - 0.5) + rng.normal(size=rows))))
    return pd.DataFrame({"id": np.arange(rows), "y": truth, "s": score, "p": (score >= 0.5).astype(int)})


def _save(frame: pd.DataFrame, path: Path) -> str:
    frame.to_parquet(path, index=False) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return str(path)


def _judge(frame: pd.DataFrame, tmp_path: Path, bounds: Any, **kwargs: Any) -> GateResult:
    settings = {"label": "y", "score": "s", **kwargs}
    return evaluate_performance(_save(frame, tmp_path / "test.parquet"), subject=MODEL, bounds=bounds, **settings)


def _by_name(result: GateResult) -> dict[str, Check]:
    return {check.name: check for check in result.checks}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_every_metric_is_scikit_learns(tmp_path: Path, suffix: str) -> None:
    frame = _frame()
    result = evaluate_performance(
        _save(frame, tmp_path / f"test{suffix}"),
        subject=MODEL,
        label="y",
        score="s",
        bounds={"roc_auc": {"min": 0.75}, "log_loss": {"max": 0.1}},
    )
    checks = _by_name(result)
    expected = {
        "roc_auc": metrics.roc_auc_score(frame.y, frame.s),
        "average_precision": metrics.average_precision_score(frame.y, frame.s),
        "log_loss": metrics.log_loss(frame.y, frame.s),
        "brier_score": metrics.brier_score_loss(frame.y, frame.s),
        "accuracy": metrics.accuracy_score(frame.y, frame.p),
        "precision": metrics.precision_score(frame.y, frame.p),
        "recall": metrics.recall_score(frame.y, frame.p),
        "f1": metrics.f1_score(frame.y, frame.p),
    }
    assert {name: check.observed for name, check in checks.items()} == pytest.approx(expected, abs=1e-11)
    assert checks["roc_auc"].outcome is Outcome.PASS
    assert checks["log_loss"].outcome is Outcome.FAIL
    assert checks["log_loss"].severity is Severity.CRITICAL
    assert checks["f1"].severity is Severity.INFO
    assert result.verdict is Outcome.FAIL
    assert result.subject is MODEL
    assert [(s.kind, len(s.digest)) for s in result.inputs] == [("dataset", 64)]
    assert result.details["prediction"] == "s >= 0.5"
    assert set(result.libraries) == {"scikit-learn", "pandas", "numpy"}


def test_regression(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=100)
    frame = pd.DataFrame({"y": truth, "p": truth + rng.normal(scale=0.1, size=100)})
    result = _judge(frame, tmp_path, {"rmse": {"max": 0.2}, "r2": {"min": 0.9}}, score=None, prediction="p")
    checks = _by_name(result)
    assert checks["rmse"].observed == pytest.approx(metrics.root_mean_squared_error(frame.y, frame.p))
    assert checks["mae"].observed == pytest.approx(metrics.mean_absolute_error(frame.y, frame.p))
    assert checks["r2"].observed == pytest.approx(metrics.r2_score(frame.y, frame.p))
    assert result.verdict is Outcome.PASS
    assert result.details["task"] == "regression"
    constant = _judge(frame.assign(y=1.0), tmp_path, {"r2": {"min": 0.9}}, score=None, prediction="p")
    assert constant.verdict is Outcome.INCONCLUSIVE


def test_predictions_are_made_at_the_declared_threshold(tmp_path: Path) -> None:
    frame = _frame()
    result = _judge(frame, tmp_path, ["accuracy>=0"], threshold=0.7)
    assert _by_name(result)["accuracy"].observed == pytest.approx(metrics.accuracy_score(frame.y, frame.s >= 0.7))
    assert result.details["prediction"] == "s >= 0.7"
    given = _judge(frame, tmp_path, ["accuracy>=0"], prediction="p", score=None)
    assert "roc_auc" not in _by_name(given)
    assert "prediction" not in given.details


@pytest.mark.parametrize(
    ("names", "positive"),
    [({0: 1, 1: 2}, 2), ({0: 1, 1: 2}, "2"), ({0: "bad", 1: "good"}, "good"), ({0: False, 1: True}, None)],
)
def test_a_declared_positive_label_is_mapped(tmp_path: Path, names: dict[int, Any], positive: Any) -> None:
    frame = _frame()
    plain = _judge(frame, tmp_path, ["f1>=0", "roc_auc>=0"], prediction="p")
    named = frame.assign(y=frame.y.map(names), p=frame.p.map(names))
    mapped = _judge(named, tmp_path, ["f1>=0", "roc_auc>=0"], prediction="p", positive_label=positive)
    assert {c.name: c.observed for c in mapped.checks} == {c.name: c.observed for c in plain.checks}


@pytest.mark.parametrize(
    ("labels", "positive", "message"),
    [
        ([0, 1, 2], None, "labels are not binary: .*0, 1, 2"),
        (["a", "b", "c"], "a", "labels are not binary: .*a, b, c"),
        ([1, 2], None, "declare positive_label: .*1, 2"),
        (["no", "yes"], None, "declare positive_label: .*no, yes"),
        (["no", "yes"], "ja", "positive_label 'ja' is in neither: .*no, yes"),
        (list(range(30)), 1, "and 20 more"),
    ],
)
def test_labels_that_are_not_binary(tmp_path: Path, labels: list[Any], positive: Any, message: str) -> None:
    frame = pd.DataFrame({"y": labels * 20, "s": np.linspace(0, 1, 20 * len(labels))})
    with pytest.raises(ConfigurationError, match=message):
        _judge(frame, tmp_path, ["roc_auc>=0.5"], positive_label=positive)


def test_scores_given_as_predictions(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds scores .* not binary predictions"):
        _judge(_frame(), tmp_path, ["accuracy>=0.5"], score=None, prediction="s")


@pytest.mark.parametrize(("column", "role"), [("y", "label"), ("s", "score"), ("p", "prediction")])
@pytest.mark.parametrize(("value", "word"), [(np.nan, "missing"), (np.inf, "infinite")])
def test_missing_and_infinite_values_are_an_error(
    tmp_path: Path, column: str, role: str, value: float, word: str
) -> None:
    frame = _frame().astype({"y": float, "p": float})
    frame.loc[[3, 5], column] = value
    result = _judge(frame, tmp_path, {"roc_auc": {"min": 0.5, "severity": "warning"}}, prediction="p")
    assert result.verdict is Outcome.ERROR
    assert f'candidate\'s {role} column "{column}" has 2 {word} values in 400 rows' in _by_name(result)["data"].detail
    assert _by_name(result)["roc_auc"].outcome is Outcome.ERROR
    assert _by_name(result)["roc_auc"].observed is None


def test_scores_that_are_no_probabilities(tmp_path: Path) -> None:
    frame = _frame()
    frame["s"] = frame["s"] * 3 - 1
    checks = _by_name(_judge(frame, tmp_path, ["roc_auc>=0.5", "log_loss<=1", "brier_score<=1"]))
    assert checks["roc_auc"].outcome is Outcome.PASS
    assert checks["log_loss"].outcome is checks["brier_score"].outcome is Outcome.ERROR
    assert "not within 0 to 1" in checks["log_loss"].detail
    with pytest.raises(ConfigurationError, match=r"must hold numbers"):
        _judge(frame.assign(s="high"), tmp_path, ["roc_auc>=0.5"])


def test_one_class_only(tmp_path: Path) -> None:
    negative = _frame().assign(y=0)
    checks = _by_name(_judge(negative, tmp_path, ["roc_auc>=0.5", "recall>=0", "average_precision>=0", "log_loss<=9"]))
    assert {checks[name].outcome for name in ("roc_auc", "recall", "average_precision")} == {Outcome.INCONCLUSIVE}
    assert checks["roc_auc"].detail == "only one class among 400 labels: there is nothing to rank"
    assert checks["log_loss"].outcome is Outcome.PASS
    silent = _by_name(_judge(negative.assign(s=0.1), tmp_path, ["precision>=0", "f1>=0"]))
    assert silent["precision"].outcome is silent["f1"].outcome is Outcome.INCONCLUSIVE


def test_change_against_the_champion(tmp_path: Path) -> None:
    candidate, champion = _frame(skill=1.5), _frame(seed=1, skill=2.5)
    baseline = _save(champion, tmp_path / "champion.parquet")
    result = _judge(candidate, tmp_path, {"roc_auc_vs_champion": {"min_change": -0.01}}, baseline=baseline)
    check = _by_name(result)["roc_auc_vs_champion"]
    expected = metrics.roc_auc_score(candidate.y, candidate.s) - metrics.roc_auc_score(champion.y, champion.s)
    assert check.observed == pytest.approx(expected)
    assert check.outcome is result.verdict is Outcome.FAIL
    assert set(check.values) == {"candidate", "champion"}
    assert len(result.inputs) == 2
    same = _judge(
        candidate, tmp_path, {"roc_auc_vs_champion": {"min_change": 0}}, baseline=_save(candidate, tmp_path / "c.csv")
    )
    assert same.verdict is Outcome.PASS


def test_a_change_of_exactly_the_bound_passes() -> None:
    """In floating point 0.79 - 0.8 is -0.010000000000000009."""
    truth = np.ones(100, dtype=int)
    candidate, champion = (pd.DataFrame({"y": truth, "p": [1] * n + [0] * (100 - n)}) for n in (79, 80))
    bounds = parse_bounds(["accuracy_vs_champion>=-0.01"], ["accuracy_vs_champion"])
    checks, _ = judge_predictions(candidate, champion, Columns("y", prediction="p"), bounds)
    assert 0.79 - 0.8 < -0.01
    assert (checks[0].observed, checks[0].outcome) == (-0.01, Outcome.PASS)


def test_rows_are_aligned_by_id(tmp_path: Path) -> None:
    candidate, champion = _frame(), _frame(seed=1)
    bounds = {"roc_auc_vs_champion": {"min_change": -1}}
    shuffled = _save(champion.sample(frac=1, random_state=0), tmp_path / "champion.csv")
    aligned = _judge(candidate, tmp_path, bounds, baseline=shuffled, row_id="id")
    in_order = _judge(candidate, tmp_path, bounds, baseline=_save(champion, tmp_path / "b.csv"))
    assert aligned.checks[0].observed == pytest.approx(in_order.checks[0].observed)
    with pytest.raises(ConfigurationError, match=r"differs from the candidate's .* name a row_id column"):
        _judge(candidate, tmp_path, bounds, baseline=shuffled)


@pytest.mark.parametrize(
    ("change", "row_id", "message"),
    [
        (lambda f: f.head(399), None, "baseline has 399 rows and the candidate 400"),
        (lambda f: f.head(399), "id", "1 of the candidate's rows are not in the baseline"),
        (lambda f: f.assign(id=7), "id", "the baseline has 0 without and 399 repeated"),
        (lambda f: f.assign(y=1 - f.y), "id", "differs from the candidate's in 400 of 400 rows"),
        (lambda f: f.drop(columns="s"), None, 'no column "s"'),
    ],
)
def test_a_baseline_of_other_rows_is_refused(tmp_path: Path, change: Any, row_id: str | None, message: str) -> None:
    baseline = _save(change(_frame(seed=1)), tmp_path / "champion.parquet")
    bounds = {"roc_auc_vs_champion": {"min_change": -1}}
    with pytest.raises(ConfigurationError, match=message):
        _judge(_frame(), tmp_path, bounds, baseline=baseline, row_id=row_id)


def test_a_broken_baseline_is_an_error(tmp_path: Path) -> None:
    champion = _frame(seed=1)
    champion.loc[0, "s"] = np.nan
    bounds = {"roc_auc": {"min": 0.5}, "roc_auc_vs_champion": {"min_change": -1}}
    result = _judge(_frame(), tmp_path, bounds, baseline=_save(champion, tmp_path / "champion.parquet"))
    checks = _by_name(result)
    assert result.verdict is checks["roc_auc_vs_champion"].outcome is Outcome.ERROR
    assert checks["roc_auc"].outcome is Outcome.PASS
    assert "champion's score" in checks["baseline"].detail


def test_no_champion_yet_is_said(tmp_path: Path) -> None:
    bounds = {"roc_auc": {"min": 0.5}, "roc_auc_vs_champion": {"min_change": -0.01}}
    result = _judge(_frame(), tmp_path, bounds)
    check = _by_name(result)["roc_auc_vs_champion"]
    assert check.detail == "no champion yet: nothing to compare with"
    assert (check.outcome, check.severity) == (Outcome.INCONCLUSIVE, Severity.INFO)
    assert result.verdict is Outcome.PASS
    alone = _judge(_frame(), tmp_path, {"roc_auc_vs_champion": {"min_change": -0.01}})
    assert alone.verdict is Outcome.ERROR
    failed = _judge(_frame(), tmp_path, bounds, on_no_champion="fail")
    assert failed.verdict is _by_name(failed)["roc_auc_vs_champion"].outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("bounds", "kwargs", "message"),
    [
        ({}, {}, "no bounds at all"),
        ({"roc": {"min": 1}}, {}, 'unknown metric "roc"'),
        (["roc_auc>=0.5"], {"score": None, "prediction": "p"}, "roc_auc needs scores"),
        (["accuracy>=0.5"], {"score": None}, "name a score column"),
        (["rmse<=1"], {}, "rmse needs the prediction column"),
        (["rmse<=1", "accuracy>=0.5"], {"prediction": "p"}, "bound only one kind"),
        (["roc_auc>=0.5"], {"score": "y"}, "named as the label and as what predicts it"),
        (["roc_auc>=0.5"], {"score": "sc"}, 'no column "sc"'),
        (["roc_auc>=0.5"], {"threshold": float("nan")}, "threshold must be a number"),
        (["roc_auc>=0.5"], {"on_no_champion": "pass"}, "on_no_champion"),
    ],
)
def test_bad_configuration(tmp_path: Path, bounds: Any, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        _judge(_frame(), tmp_path, bounds, **kwargs)


def test_no_rows() -> None:
    bounds = parse_bounds(["accuracy>=0.5"], ["accuracy"])
    with pytest.raises(ConfigurationError, match=r"has no rows"):
        judge_predictions(_frame().head(0), None, Columns("y", prediction="p"), bounds)
