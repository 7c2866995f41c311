"""Scores, regressions and several classes by group, against scikit-learn and Fairlearn on the rows."""

from __future__ import annotations

import fairlearn.metrics as fm
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import mean_absolute_error, roc_auc_score

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.fairness import scores
from airflow_mlgov.gates.fairness.scores import ranking
from airflow_mlgov.results import Outcome
from tests.codes import raises_code
from tests.worlds.counted import Judge, by_name


@pytest.fixture
def scored() -> pd.DataFrame:
    generator = np.random.default_rng(21)
    frame = pd.DataFrame({"sex": generator.choice(["a", "b", "c"], 4000), "y": generator.integers(0, 2, 4000)})
    shift = frame.sex.map({"a": 0.3, "b": 0.2, "c": 0.1})
    frame["s"] = np.clip(generator.normal(0.35 + shift * frame.y, 0.2), 0, 1).round(2)
    return frame


# --- AUC


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 1), st.one_of(st.integers(-3, 3), st.floats(-2, 2))), min_size=4
    )
)
def test_auc_by_group_is_sklearns(rows: list[tuple[int, int, float]]) -> None:
    """With ties, and NaN where a group has one label only."""
    group, label, score = (np.array(column) for column in zip(*rows, strict=True))
    found = ranking(score.astype(float), label, group, 4)
    for at in range(4):
        mine = group == at
        if len(set(label[mine])) < 2:
            assert np.isnan(found.auc[at])
        else:
            assert found.auc[at] == pytest.approx(roc_auc_score(label[mine], score[mine]), abs=1e-12)


@pytest.mark.slow
def test_delongs_error_is_the_bootstraps(scored: pd.DataFrame) -> None:
    codes = scored.sex.map({"a": 0, "b": 1, "c": 2}).to_numpy()
    found = ranking(scored.s.to_numpy(), scored.y.to_numpy(), codes, 3)
    generator = np.random.default_rng(0)
    for at in range(3):
        mine = scored[codes == at]
        drawn = []
        for _ in range(300):
            rows = mine.iloc[generator.integers(0, len(mine), len(mine))]
            drawn.append(roc_auc_score(rows.y, rows.s))
        assert found.error[at] == pytest.approx(np.std(drawn), rel=0.15)


def test_delongs_variance_by_hand() -> None:
    """Three positives at 3, 2, 2 and two negatives at 1, 2: placements 1, .75, .75 and 1, 2/3."""
    found = ranking(np.array([3.0, 2, 2, 1, 2]), np.array([1, 1, 1, 0, 0]), np.zeros(5, dtype=int), 1)
    placed, above = np.array([1, 0.75, 0.75]), np.array([1, 2 / 3])
    assert found.auc[0] == pytest.approx(placed.mean())
    assert found.error[0] ** 2 == pytest.approx(placed.var(ddof=1) / 3 + above.var(ddof=1) / 2)


def test_group_auc_in_the_gate(scored: pd.DataFrame, judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = {"roc_auc_difference": {"max": 0.05}, "roc_auc_group_min": {"min": 0.8}, "roc_auc_ratio": {"min": 0.1}}
    result = judge(scored, bounds, prediction=None, score="s")
    by_group = {group: roc_auc_score(rows.y, rows.s) for group, rows in scored.groupby("sex")}
    checks = by_name(result)
    assert checks["roc_auc_group_min[sex]"].observed == pytest.approx(min(by_group.values()), abs=1e-12)
    spread = max(by_group.values()) - min(by_group.values())
    assert checks["roc_auc_difference[sex]"].observed == pytest.approx(spread, abs=1e-12)
    assert checks["roc_auc_difference[sex]"].outcome is Outcome.FAIL
    assert "roc_auc from" in checks["roc_auc_difference[sex]"].detail
    monkeypatch.setattr(scores, "_fits", lambda *_: False)
    windowed = by_name(judge(scored, bounds, prediction=None, score="s"))
    for name, check in checks.items():
        assert windowed[name].observed == pytest.approx(check.observed, abs=1e-12)
        assert windowed[name].values.get("interval") == pytest.approx(check.values.get("interval"))


def test_a_group_with_one_label_has_no_auc(scored: pd.DataFrame, judge: Judge) -> None:
    scored.loc[scored.sex == "c", "y"] = 1
    check = by_name(judge(scored, {"roc_auc_difference": {"max": 0.9}}, prediction=None, score="s"))
    assert check["roc_auc_difference[sex]"].outcome is Outcome.INCONCLUSIVE
    assert "c has no negatives, 10 needed" in check["roc_auc_difference[sex]"].detail


# --- calibration


def test_calibration_by_group(scored: pd.DataFrame, judge: Judge) -> None:
    bounds = {
        "expected_calibration_error_group_max": {"max": 0.5},
        "calibration_in_the_large_difference": {"max": 0.5},
    }
    checks = by_name(judge(scored, bounds, prediction=None, score="s"))

    def expected_error(rows: pd.DataFrame) -> float:
        binned = rows.assign(bin=np.maximum(np.ceil(rows.s * 10 - 1e-9), 1)).groupby("bin")
        gaps = (binned.s.mean() - binned.y.mean()).abs()
        return float((gaps * binned.size() / len(rows)).sum())

    errors = [expected_error(rows) for _, rows in scored.groupby("sex")]
    large = [rows.s.mean() - rows.y.mean() for _, rows in scored.groupby("sex")]
    assert checks["expected_calibration_error_group_max[sex]"].observed == pytest.approx(max(errors), abs=1e-9)
    found = checks["calibration_in_the_large_difference[sex]"]
    assert found.observed == pytest.approx(max(large) - min(large), abs=1e-12)
    interval = found.values["interval"]
    assert interval["low"] <= found.observed <= interval["high"]


@pytest.mark.parametrize("stored", ["float64", "float32"])
def test_bins_hold_their_upper_edge_as_in_scikit_learn(judge: Judge, stored: str) -> None:
    rng = np.random.default_rng(5)
    at = rng.permutation(np.resize(np.arange(11), 1100))
    label = np.where(at < 2, at == 0, rng.integers(0, 2, 1100))  # two edges that one bin must hold
    score = np.linspace(0, 1, 11)[at].astype(stored)
    rows = pd.DataFrame({"sex": np.resize(["f", "m"], 1100), "y": label, "s": score})

    def judged(score: np.ndarray) -> float | None:
        bounds = {"expected_calibration_error_group_max": {"max": 1}}
        result = judge(rows.assign(s=score), bounds, prediction=None, score="s")
        return by_name(result)["expected_calibration_error_group_max[sex]"].observed

    def expected_error(part: pd.DataFrame) -> float:
        shares, means = calibration_curve(part.y, part.s, n_bins=10)
        sizes = np.bincount(np.searchsorted(np.linspace(0, 1, 11)[1:-1], part.s), minlength=10)
        return float(sizes[sizes > 0] @ np.abs(shares - means) / len(part))

    wanted = max(expected_error(part) for _, part in rows.groupby("sex"))
    assert judged(score) == pytest.approx(wanted, abs=1e-6)
    assert judged(np.clip(score + 1e-6, 0, 1)) > wanted + 0.005  # of other bins


def test_scores_that_are_no_probabilities(scored: pd.DataFrame, judge: Judge) -> None:
    scored["s"] = scored.s * 3
    with raises_code(ConfigurationError, "score.not_a_probability", match="outside 0 to 1"):
        judge(scored, {"expected_calibration_error_group_max": {"max": 0.5}}, prediction=None, score="s")
    assert judge(scored, {"roc_auc_group_min": {"min": 0.1}}, prediction=None, score="s").verdict is Outcome.PASS


# --- regressions


def test_regression_is_fairlearns(judge: Judge) -> None:
    generator = np.random.default_rng(2)
    frame = pd.DataFrame({"sex": generator.choice(["a", "b"], 3000), "y": generator.normal(10, 2, 3000)})
    frame["p"] = frame.y + generator.normal(np.where(frame.sex == "a", 0.4, 0.0), 1.0)
    bounds = {
        "mean_absolute_error_difference": {"max": 0.01},
        "mean_absolute_error_ratio": {"min": 0.5},
        "mean_error_difference": {"max": 0.1},
        "mean_prediction_group_max": {"max": 20},
    }
    result = judge(frame, bounds, task="regression")
    functions = {
        "mean_absolute_error": mean_absolute_error,
        "mean_prediction": fm.mean_prediction,
        "mean_error": lambda y, p: float((p - y).mean()),
    }
    expected = fm.MetricFrame(metrics=functions, y_true=frame.y, y_pred=frame.p, sensitive_features=frame.sex)
    checks = by_name(result)
    for name, how in (
        ("mean_absolute_error", "ratio"),
        ("mean_absolute_error", "difference"),
        ("mean_error", "difference"),
    ):
        value = getattr(expected, how)()[name]
        assert checks[f"{name}_{how}[sex]"].observed == pytest.approx(value, abs=1e-9)
    assert checks["mean_error_difference[sex]"].outcome is Outcome.FAIL
    assert checks["mean_absolute_error_ratio[sex]"].outcome is Outcome.PASS
    assert not any(name.startswith("four_fifths") for name in checks)
    error = checks["mean_error_difference[sex]"].values["interval"]
    half = 1.96 * np.sqrt(2 / 1500)
    assert (error["high"] - error["low"]) / 2 == pytest.approx(half, rel=0.1)
    frame.loc[3, "p"] = np.nan
    assert judge(frame, bounds, task="regression").verdict is Outcome.ERROR
    frame.loc[3, "p"] = np.inf
    assert judge(frame, bounds, task="regression").verdict is Outcome.ERROR


# --- several classes


def test_each_class_against_the_rest(judge: Judge) -> None:
    generator = np.random.default_rng(4)
    frame = pd.DataFrame(
        {"sex": generator.choice(["a", "b"], 4000), "y": generator.choice(["low", "mid", "high"], 4000)}
    )
    right = generator.random(4000) < np.where((frame.sex == "b") & (frame.y == "high"), 0.5, 0.8)
    frame["p"] = np.where(right, frame.y, generator.choice(["low", "mid", "high"], 4000))
    result = judge(frame, {"equal_opportunity_difference": {"max": 0.1}}, task="multiclass")
    check = by_name(result)["equal_opportunity_difference[sex]"]
    by_class = {
        name: fm.equal_opportunity_difference(frame.y == name, frame.p == name, sensitive_features=frame.sex)
        for name in ("low", "mid", "high")
    }
    assert check.observed == pytest.approx(max(by_class.values()), abs=1e-12)
    assert max(by_class, key=by_class.__getitem__) == "high"
    assert check.outcome is Outcome.FAIL
    assert set(check.values["by_group"]["a"]) == {f"true_positive_rate of class {name}" for name in by_class}
    with raises_code(ConfigurationError, "label.not_binary"):
        judge(frame, {"equal_opportunity_difference": {"max": 0.1}})


@pytest.mark.parametrize(
    ("bounds", "kwargs", "code", "words"),
    [
        ({"mean_error_difference": {"max": 1}}, {}, "bound.other_task", ""),
        ({"accuracy_difference": {"max": 1}}, {"task": "regression"}, "bound.other_task", ""),
        ({"roc_auc_difference": {"max": 1}}, {}, "bound.needs_scores", ""),
        ({"roc_auc_difference": {"max": 1}}, {"task": "multiclass", "score": "s"}, "bound.other_task", ""),
        ({"fpr_disparity": {"max": 1}}, {"task": "multiclass"}, "bound.other_task", ""),
        (
            {"accuracy_difference": {"max": 1}},
            {"task": "ranking"},
            "setting.wrong",
            "task should be 'binary', 'multiclass' or 'regression'",
        ),
        (
            {"accuracy_difference": {"max": 1}},
            {"max_share_left_out": 1},
            "setting.wrong",
            "max_share_left_out should be less than 1",
        ),
    ],
)
def test_what_cannot_be_measured(
    scored: pd.DataFrame, judge: Judge, bounds: dict[str, object], kwargs: dict[str, object], code: str, words: str
) -> None:
    with raises_code(ConfigurationError, code, words):
        judge(scored.assign(p=(scored.s > 0.5).astype(int)), bounds, **kwargs)
