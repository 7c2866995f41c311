from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import parse_bounds
from airflow_mlgov.gates.performance import evaluate_performance
from airflow_mlgov.gates.performance.budgets import Measurement
from airflow_mlgov.gates.performance.gate import judge_predictions
from airflow_mlgov.gates.performance.predictions import Columns
from airflow_mlgov.gates.performance.scorers import KNOWN_METRICS
from airflow_mlgov.results import Check, GateResult, Outcome, Severity, Subject
from tests.codes import raises_code

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
    assert set(result.libraries) == {"duckdb", "numpy"}


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
    ("labels", "positive", "code", "words"),
    [
        ([0, 1, 2], None, "label.not_binary", "labels are not binary: .*0, 1, 2"),
        (["a", "b", "c"], "a", "label.not_binary", ""),
        ([1, 2], None, "label.positive_undeclared", "declare positive_label: .*1, 2"),
        (["no", "yes"], None, "label.positive_undeclared", ""),
        (["no", "yes"], "ja", "label.positive_unknown", "positive_label 'ja' is in neither: .*no, yes"),
        (list(range(30)), 1, "label.not_binary", "and 20 more"),
    ],
)
def test_labels_that_are_not_binary(tmp_path: Path, labels: list[Any], positive: Any, code: str, words: str) -> None:
    frame = pd.DataFrame({"y": labels * 20, "s": np.linspace(0, 1, 20 * len(labels))})
    with raises_code(ConfigurationError, code, words):
        _judge(frame, tmp_path, ["roc_auc>=0.5"], positive_label=positive)


def test_scores_given_as_predictions(tmp_path: Path) -> None:
    with raises_code(ConfigurationError, "prediction.not_binary"):
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
    with raises_code(ConfigurationError, "column.not_numeric"):
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
    assert check.values.keys() >= {"candidate", "champion", "interval", "n"}
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
    with raises_code(ConfigurationError, "baseline.other_rows"):
        _judge(candidate, tmp_path, bounds, baseline=shuffled)


@pytest.mark.parametrize(
    ("change", "row_id", "code", "words"),
    [
        (lambda f: f.head(399), None, "baseline.other_rows", "baseline has 399 rows and the candidate 400"),
        (lambda f: f.head(399), "id", "baseline.other_rows", "1 of the candidate's rows are not in the baseline"),
        (lambda f: f.assign(id=7), "id", "row_id.twice", "the baseline has 0 without and 399 repeated"),
        (lambda f: f.assign(y=1 - f.y), "id", "baseline.other_rows", "differs from the candidate's in 400 of 400 rows"),
        (lambda f: f.drop(columns="s"), None, "column.missing", 'no column "s"'),
    ],
)
def test_a_baseline_of_other_rows_is_refused(
    tmp_path: Path, change: Any, row_id: str | None, code: str, words: str
) -> None:
    baseline = _save(change(_frame(seed=1)), tmp_path / "champion.parquet")
    bounds = {"roc_auc_vs_champion": {"min_change": -1}}
    with raises_code(ConfigurationError, code, words):
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
    ("bounds", "kwargs", "code", "words"),
    [
        ({}, {}, "bound.missing", ""),
        ({"roc": {"min": 1}}, {}, "bound.unknown", 'unknown metric "roc"'),
        (["roc_auc>=0.5"], {"score": None, "prediction": "p"}, "bound.needs_scores", ""),
        (["accuracy>=0.5"], {"score": None}, "setting.missing", ""),
        (["rmse<=1"], {}, "setting.missing", ""),
        (["rmse<=1", "accuracy>=0.5"], {"prediction": "p"}, "bound.other_task", ""),
        (["roc_auc>=0.5"], {"score": "y"}, "setting.contradiction", ""),
        (["roc_auc>=0.5"], {"score": "sc"}, "column.missing", 'no column "sc"'),
        (["roc_auc>=0.5"], {"threshold": float("nan")}, "setting.wrong", ""),
        (["roc_auc>=0.5"], {"on_no_champion": "pass"}, "setting.wrong", ""),
    ],
)
def test_bad_configuration(tmp_path: Path, bounds: Any, kwargs: dict[str, Any], code: str, words: str) -> None:
    with raises_code(ConfigurationError, code, words):
        _judge(_frame(), tmp_path, bounds, **kwargs)


def test_no_rows() -> None:
    bounds = parse_bounds(["accuracy>=0.5"], ["accuracy"])
    with raises_code(ConfigurationError, "data.empty"):
        judge_predictions(_frame().head(0), None, Columns("y", prediction="p"), bounds)


def test_every_number_has_an_interval_and_its_rows(tmp_path: Path) -> None:
    frame = _frame()
    result = _judge(frame, tmp_path, {"roc_auc": {"min": 0.75}}, confidence=0.9)
    for check in result.checks:
        interval = check.values["interval"]
        assert interval["low"] < check.observed < interval["high"]  # type: ignore[operator]
        assert interval["confidence"] == 0.9
        assert check.values["n"] == 400
    assert result.details["intervals"]["decide"] == "point"
    assert result.details["calibration"]["expected_calibration_error"] > 0


def test_a_bound_that_the_interval_straddles_decides_nothing_where_intervals_decide(tmp_path: Path) -> None:
    frame = _frame()
    value = metrics.roc_auc_score(frame.y, frame.s)
    bounds = {"roc_auc": {"min": round(value - 0.005, 4)}}
    assert _judge(frame, tmp_path, bounds).verdict is Outcome.PASS
    straddled = _judge(frame, tmp_path, bounds, decide="interval")
    assert straddled.verdict is Outcome.INCONCLUSIVE
    assert "straddles the bound" in straddled.checks[0].detail
    assert _judge(frame, tmp_path, {"roc_auc": {"min": 0.5}}, decide="interval").verdict is Outcome.PASS
    assert _judge(frame, tmp_path, {"roc_auc": {"min": 0.99}}, decide="interval").verdict is Outcome.FAIL
    # the interval of ten faultless rows is not known, so it cannot pass
    faultless = pd.DataFrame({"y": [0, 1] * 5, "s": [0.1, 0.9] * 5})
    unknown = _judge(faultless, tmp_path, {"f1": {"min": 0.5}}, decide="interval")
    assert unknown.verdict is Outcome.INCONCLUSIVE
    assert "no interval can be estimated" in unknown.checks[0].detail


def test_a_change_is_decided_by_its_paired_interval(tmp_path: Path) -> None:
    candidate, champion = _frame(skill=1.5), _frame(seed=1, skill=1.5)
    baseline = _save(champion, tmp_path / "champion.parquet")
    bounds = {"roc_auc_vs_champion": {"min_change": -0.02}}
    straddled = _judge(candidate, tmp_path, bounds, baseline=baseline, decide="interval")
    assert straddled.verdict is Outcome.INCONCLUSIVE
    assert straddled.checks[0].values["interval"]["method"] == "delong"
    same = _save(candidate, tmp_path / "same.parquet")
    assert _judge(candidate, tmp_path, bounds, baseline=same, decide="interval").verdict is Outcome.PASS


def test_churn_of_decisions_and_mcnemar(tmp_path: Path) -> None:
    candidate, champion = _frame(skill=1.5), _frame(seed=1, skill=1.5)
    baseline = _save(champion, tmp_path / "champion.parquet")
    result = _judge(candidate, tmp_path, {"churn_vs_champion": {"max_change": 0.1}}, baseline=baseline)
    checks, differing = _by_name(result), candidate.p != champion.p
    assert checks["churn_vs_champion"].observed == pytest.approx(differing.mean())
    assert checks["churn_vs_champion"].outcome is result.verdict is Outcome.FAIL
    assert checks["churn_vs_champion"].detail == f"{differing.sum()} of 400 decisions differ from the champion's"
    mine, theirs = candidate.p == candidate.y, champion.p == champion.y
    values = checks["mcnemar_p_value"].values
    assert (values["candidate_alone_right"], values["champion_alone_right"]) == (
        (mine & ~theirs).sum(),
        (theirs & ~mine).sum(),
    )
    assert checks["mcnemar_p_value"].severity is Severity.INFO
    assert result.details["changes"]["f1"]["interval"]["low"] < result.details["changes"]["f1"]["change"]
    unbounded = _judge(candidate, tmp_path, {"roc_auc_vs_champion": {"min_change": -1}}, baseline=baseline)
    assert _by_name(unbounded)["churn_vs_champion"].severity is Severity.INFO
    alone = _judge(candidate, tmp_path, {"churn_vs_champion": {"max_change": 0.1}}, on_no_champion="fail")
    assert alone.verdict is Outcome.FAIL


def test_calibration_can_be_bounded(tmp_path: Path) -> None:
    frame = _frame(2000)
    bounds = {"expected_calibration_error": {"max": 0.2}, "calibration_slope": {"min": 0.5, "max": 2}}
    assert _judge(frame, tmp_path, bounds).verdict is Outcome.PASS
    extreme = frame.assign(s=1 / (1 + np.exp(-8 * np.log(frame.s / (1 - frame.s)))))
    checks = _by_name(_judge(extreme, tmp_path, bounds))
    assert checks["calibration_slope"].outcome is Outcome.FAIL
    assert checks["roc_auc"].observed == pytest.approx(metrics.roc_auc_score(frame.y, frame.s))


def _species() -> pd.DataFrame:
    """scikit-learn's wines, judged by a model that knows half of them."""
    from sklearn.datasets import load_wine
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    wine = load_wine(as_frame=True)
    features, label = wine.data.iloc[:, :3], wine.target.map({0: "barolo", 1: "grignolino", 2: "barbera"})
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(features[::2], label[::2])
    scores = pd.DataFrame(model.predict_proba(features), columns=[f"p_{name}" for name in model.classes_])
    return scores.assign(y=label, p=model.predict(features))


CLASS_SCORES = {name: f"p_{name}" for name in ("barolo", "grignolino", "barbera")}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_multiclass_end_to_end(tmp_path: Path, suffix: str) -> None:
    frame = _species()
    bounds = {
        "roc_auc_ovr": {"min": 0.8},
        "neg_log_loss": {"min": -0.9},
        "f1_macro": {"min": 0.6},
        "top_k_accuracy": {"min": 0.8},
        "expected_calibration_error": {"max": 0.2},
    }
    result = evaluate_performance(
        _save(frame, tmp_path / f"wine{suffix}"),
        subject=MODEL,
        label="y",
        class_scores=CLASS_SCORES,
        bounds=bounds,
    )
    score = frame[[f"p_{name}" for name in sorted(CLASS_SCORES)]]
    expected = {
        "roc_auc_ovr": metrics.roc_auc_score(frame.y, score, multi_class="ovr"),
        "neg_log_loss": -metrics.log_loss(frame.y, score),
        "f1_macro": metrics.f1_score(frame.y, frame.p, average="macro"),
        "top_k_accuracy": metrics.top_k_accuracy_score(frame.y, score, k=2),
        "accuracy": metrics.accuracy_score(frame.y, frame.p),
        "balanced_accuracy": metrics.balanced_accuracy_score(frame.y, frame.p),
        "matthews_corrcoef": metrics.matthews_corrcoef(frame.y, frame.p),
    }
    checks = _by_name(result)
    assert {name: checks[name].observed for name in expected} == pytest.approx(expected, abs=1e-11)
    assert result.verdict is Outcome.PASS
    assert result.details["classes"] == ["barbera", "barolo", "grignolino"]
    assert result.details["task"] == "multiclass classification"


def test_multiclass_by_labels_alone_and_against_the_champion(tmp_path: Path) -> None:
    frame = _species().assign(y=lambda f: f.y.map({"barolo": 1, "grignolino": 2, "barbera": 3}))
    frame["p"] = frame["p"].map({"barolo": 1, "grignolino": 2, "barbera": 3})
    champion = _save(frame.assign(p=1), tmp_path / "champion.csv")
    bounds = ["accuracy_vs_champion>=0", "balanced_accuracy>=0.5", "churn_vs_champion<=1"]
    settings = {"score": None, "prediction": "p", "task": "multiclass", "baseline": champion}
    result = _judge(frame.astype({"p": float}), tmp_path, bounds, **settings)
    checks = _by_name(result)
    expected = metrics.accuracy_score(frame.y, frame.p) - (frame.y == 1).mean()
    assert checks["accuracy_vs_champion"].observed == pytest.approx(expected)
    assert checks["churn_vs_champion"].observed == pytest.approx((frame.p != 1).mean())
    assert checks["matthews_corrcoef"].severity is Severity.INFO
    assert result.verdict is Outcome.PASS


@pytest.mark.parametrize(
    ("change", "settings", "code", "words"),
    [
        ({}, {"class_scores": {"barolo": "p_barolo", "grignolino": "p_grignolino"}}, "score.class_missing", ""),
        ({}, {"class_scores": {"barolo": "p_rose", "barbera": "p_barbera"}}, "column.missing", 'no column "p_rose"'),
        ({}, {"class_scores": None, "prediction": "p"}, "bound.needs_scores", ""),
        ({"p": "rose"}, {"prediction": "p"}, "score.class_missing", "without a column in class_scores: rose"),
        ({"p": 0.5}, {"prediction": "p"}, "value.types", r"text \(barbera, .* and .* numbers \(0\.5\)"),
        ({"p_barolo": "high"}, {}, "column.not_numeric", ""),
    ],
)
def test_multiclass_tables_that_are_not_what_they_should_be(
    tmp_path: Path, change: dict[str, Any], settings: dict[str, Any], code: str, words: str
) -> None:
    given = {"score": None, "class_scores": CLASS_SCORES, **settings}
    with raises_code(ConfigurationError, code, words):
        _judge(_species().assign(**change), tmp_path, ["roc_auc_ovr>=0.5"], **given)


def test_a_class_that_no_row_has(tmp_path: Path) -> None:
    frame = _species()[lambda f: f.y != "barolo"]
    given = {"score": None, "class_scores": CLASS_SCORES}
    checks = _by_name(_judge(frame, tmp_path, ["roc_auc_ovr>=0.5", "log_loss<=9"], **given))
    assert checks["roc_auc_ovr"].outcome is Outcome.INCONCLUSIVE
    assert checks["log_loss"].outcome is Outcome.PASS


def test_missing_class_scores_are_an_error(tmp_path: Path) -> None:
    frame = _species()
    frame.loc[2, "p_barolo"] = np.nan
    result = _judge(frame, tmp_path, ["accuracy>=0.1"], score=None, class_scores=CLASS_SCORES)
    assert result.verdict is Outcome.ERROR
    assert "score of barolo" in _by_name(result)["data"].detail


def test_labels_that_are_a_quantity_are_no_classes(tmp_path: Path) -> None:
    frame = pd.DataFrame({"y": np.arange(300), "p": np.arange(300)})
    with raises_code(
        ConfigurationError, "label.too_many_classes", match=r"300 different labels.* set task to regression"
    ):
        _judge(frame, tmp_path, ["f1_macro>=0.5"], score=None, prediction="p")


def test_scorers_of_a_regression(tmp_path: Path) -> None:
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import Ridge

    data = load_diabetes(as_frame=True)
    frame = pd.DataFrame({"y": data.target, "p": Ridge().fit(data.data, data.target).predict(data.data)})
    bounds = {
        "neg_mean_absolute_error": {"min": -60},
        "explained_variance": {"min": 0.3},
        "d2_absolute_error_score": {"min": 0.1},
        "neg_max_error": {"min": -1000},
        "neg_mean_poisson_deviance_vs_champion": {"min_change": -1},
    }
    baseline = _save(frame.assign(p=frame.y.mean()), tmp_path / "champion.parquet")
    result = _judge(frame, tmp_path, bounds, score=None, prediction="p", baseline=baseline)
    checks = _by_name(result)
    assert checks["neg_mean_absolute_error"].observed == pytest.approx(-metrics.mean_absolute_error(frame.y, frame.p))
    assert checks["explained_variance"].observed == pytest.approx(metrics.explained_variance_score(frame.y, frame.p))
    assert checks["d2_absolute_error_score"].observed == pytest.approx(
        metrics.d2_absolute_error_score(frame.y, frame.p)
    )
    assert checks["neg_mean_poisson_deviance_vs_champion"].observed > 0  # type: ignore[operator]
    assert result.verdict is Outcome.PASS
    assert "mcnemar_p_value" not in checks
    with raises_code(ConfigurationError, "bound.other_task"):
        _judge(frame, tmp_path, ["churn_vs_champion<=0.1", "r2>=0"], score=None, prediction="p")


@pytest.mark.parametrize("decide", ["interval", "point"])
@pytest.mark.parametrize(("least", "outcome"), [(-4.1, Outcome.PASS), (-3.9, Outcome.FAIL)])
def test_the_largest_error_is_judged_as_it_is(tmp_path: Path, decide: str, least: float, outcome: Outcome) -> None:
    """It has no interval, so ``decide: interval`` would never pass it."""
    frame = pd.DataFrame({"y": np.arange(200.0), "p": np.arange(200.0) + 1, "part": ["a", "b"] * 100})
    frame.loc[7, "p"] += 3
    bounds = {"neg_max_error": {"min": least}, "neg_max_error_worst_slice": {"min": least}}
    bounds["neg_max_error_vs_champion"] = {"min_change": least}
    baseline = _save(frame.assign(p=frame.y), tmp_path / "champion.parquet")
    result = _judge(
        frame, tmp_path, bounds, score=None, prediction="p", decide=decide, baseline=baseline, slices=["part"]
    )
    checks = _by_name(result)
    assert [checks[name].outcome for name in bounds] == [outcome] * 3
    assert "no interval of it can be estimated; at least 98.51 % of all" in checks["neg_max_error"].detail
    assert checks["neg_max_error"].values["covered"] == pytest.approx(0.05 ** (1 / 200))


def test_a_yes_or_no_has_no_lenient_bound() -> None:
    measured = {"loads_in_clean_process": Measurement(0.0, "it does not load")}
    bounds = parse_bounds(["roc_auc>=0.5", "loads_in_clean_process<=1"], KNOWN_METRICS)
    checks, _ = judge_predictions(_frame(), None, Columns("y", "s"), bounds, measured=measured)
    assert [check.outcome for check in checks[:2]] == [Outcome.PASS, Outcome.FAIL]


def test_budgets_are_not_passed_where_nothing_was_measured(tmp_path: Path) -> None:
    result = _judge(_frame(), tmp_path, ["roc_auc>=0.5", "model_size_mb<=5"])
    check = _by_name(result)["model_size_mb"]
    assert check.outcome is result.verdict is Outcome.INCONCLUSIVE
    assert "not measured" in check.detail


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({"confidence": 95}, "setting.wrong", "confidence should be less than 1"),
        ({"decide": "both"}, "setting.wrong", "decide should be 'point' or 'interval'"),
        ({"task": "ranking"}, "setting.wrong", "task should be 'binary', 'multiclass' or 'regression'"),
    ],
)
def test_bad_settings(tmp_path: Path, settings: dict[str, Any], code: str, words: str) -> None:
    with raises_code(ConfigurationError, code, words):
        _judge(_frame(), tmp_path, ["accuracy>=0.5"], **settings)
