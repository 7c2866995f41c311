"""Metrics of weighted rows: scikit-learn's numbers, intervals that hold the truth, weights that are refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.performance import evaluate_performance
from airflow_mlgov.gates.performance.estimates import OF_LABELS, estimate_all, point
from airflow_mlgov.gates.performance.predictions import Sample
from airflow_mlgov.gates.performance.scorers import LABEL_METRICS, UNWEIGHTED
from airflow_mlgov.gates.statistics.weights import effective_size
from airflow_mlgov.results import GateResult, Outcome
from tests.codes import raises_code


def drawn(seed: int = 0, rows: int = 400, classes: int = 2) -> Sample:
    random = np.random.default_rng(seed)
    label = random.integers(0, classes, rows)
    weight = random.choice([0.0, 0.5, 1.0, 2.25, 7.0], rows) * random.uniform(0.9, 1.1, rows)
    if classes == 2:
        score = np.clip(np.round(0.3 * label + random.uniform(0.05, 0.6, rows), 2), 0.01, 0.99)
        return Sample("binary", label, (score >= 0.5).astype(int), score, ("negative", "positive"), weight=weight)
    score = random.dirichlet(np.ones(classes), rows) * 0.6 + 0.4 * np.eye(classes)[label]
    names = tuple(map(str, range(classes)))
    return Sample("multiclass", label, score.argmax(1), score, names, weight=weight)


def regression(seed: int = 0) -> Sample:
    sample = drawn(seed)
    label = np.random.default_rng(seed).gamma(3, 2, len(sample))
    prediction = label * np.random.default_rng(seed + 1).uniform(0.7, 1.4, len(sample))
    return Sample("regression", label, prediction, weight=sample.weight)


BINARY = {
    "accuracy": sk.accuracy_score, "balanced_accuracy": sk.balanced_accuracy_score, "precision": sk.precision_score,
    "recall": sk.recall_score, "f1": sk.f1_score, "jaccard": sk.jaccard_score,
    "matthews_corrcoef": sk.matthews_corrcoef,
}  # fmt: skip
SCORES = {
    "roc_auc": sk.roc_auc_score, "average_precision": sk.average_precision_score, "log_loss": sk.log_loss,
    "brier_score": sk.brier_score_loss, "d2_log_loss_score": sk.d2_log_loss_score,
}  # fmt: skip
ERRORS = {
    "rmse": sk.root_mean_squared_error, "mae": sk.mean_absolute_error, "r2": sk.r2_score,
    "explained_variance": sk.explained_variance_score,
    "neg_mean_squared_log_error": lambda *a, **k: -sk.mean_squared_log_error(*a, **k),
    "neg_mean_absolute_percentage_error": lambda *a, **k: -sk.mean_absolute_percentage_error(*a, **k),
    "neg_mean_poisson_deviance": lambda *a, **k: -sk.mean_poisson_deviance(*a, **k),
    "neg_mean_gamma_deviance": lambda *a, **k: -sk.mean_gamma_deviance(*a, **k),
    "neg_median_absolute_error": lambda *a, **k: -sk.median_absolute_error(*a, **k),
    "d2_absolute_error_score": sk.d2_absolute_error_score,
}  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_scikit_learns_numbers(seed: int) -> None:
    sample = drawn(seed)
    for metric, function in BINARY.items():
        expected = function(sample.label, sample.prediction, sample_weight=sample.weight)
        assert point(metric, sample).value == pytest.approx(expected, abs=1e-9), metric
    for metric, function in SCORES.items():
        expected = function(sample.label, sample.score, sample_weight=sample.weight)
        assert point(metric, sample).value == pytest.approx(expected, abs=1e-9), metric
    ratios = sk.class_likelihood_ratios(sample.label, sample.prediction, sample_weight=sample.weight)
    assert point("positive_likelihood_ratio", sample).value == pytest.approx(ratios[0], abs=1e-9)
    assert point("neg_negative_likelihood_ratio", sample).value == pytest.approx(-ratios[1], abs=1e-9)
    errors = regression(seed)
    for metric, function in ERRORS.items():
        expected = function(errors.label, errors.prediction, sample_weight=errors.weight)
        assert point(metric, errors).value == pytest.approx(expected, abs=1e-9), metric


@pytest.mark.parametrize("seed", range(2))
def test_scikit_learns_numbers_of_three_classes(seed: int) -> None:
    sample = drawn(seed, classes=3)
    for metric in LABEL_METRICS:
        family, _, average = metric.rpartition("_")
        if average not in ("macro", "micro", "weighted"):
            function, more = BINARY[metric], {}
        else:
            function, more = BINARY[family], {"average": average}
        expected = function(sample.label, sample.prediction, sample_weight=sample.weight, **more)
        assert point(metric, sample).value == pytest.approx(expected, abs=1e-9), metric
    for metric, average in (("roc_auc_ovr", "macro"), ("roc_auc_ovr_weighted", "weighted")):
        expected = sk.roc_auc_score(
            sample.label, sample.score, sample_weight=sample.weight, multi_class="ovr", average=average
        )
        assert point(metric, sample).value == pytest.approx(expected, abs=1e-9), metric
    expected = sk.top_k_accuracy_score(sample.label, sample.score, k=2, sample_weight=sample.weight)
    assert point("top_k_accuracy", sample).value == pytest.approx(expected)
    expected = sk.log_loss(sample.label, sample.score, sample_weight=sample.weight)
    assert point("log_loss", sample).value == pytest.approx(expected)


def test_equal_weights_change_nothing_and_a_whole_weight_is_as_many_rows() -> None:
    sample = drawn()
    plain = Sample("binary", sample.label, sample.prediction, sample.score, sample.classes)
    same = Sample("binary", sample.label, sample.prediction, sample.score, sample.classes,
                  weight=np.full(len(sample), 3.5))  # fmt: skip
    times = np.random.default_rng(1).integers(0, 4, len(sample))
    again = plain.take(np.repeat(np.arange(len(sample)), times))
    weighed = Sample(
        "binary", sample.label, sample.prediction, sample.score, sample.classes, weight=times.astype(float)
    )
    for metric in (*BINARY, *SCORES, "expected_calibration_error"):
        assert point(metric, same).value == pytest.approx(point(metric, plain).value, abs=1e-12), metric
        assert point(metric, weighed).value == pytest.approx(point(metric, again).value, abs=1e-12), metric


def test_the_effective_sample_size_is_kishs() -> None:
    assert effective_size(np.ones(50)) == 50
    assert effective_size(np.array([1.0, 1.0, 0.0, 0.0])) == 2
    assert effective_size(np.array([3.0, 1.0])) == pytest.approx(16 / 10)
    assert effective_size(np.zeros(3)) == 0


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of a population whose rows were drawn with unequal chance, and weigh its inverse."""
    random = np.random.default_rng(7)
    size = 200_000
    label = random.integers(0, 2, size)
    right = random.uniform(size=size) < np.where(label, 0.6, 0.9)
    chance = np.where(label, 0.9, 0.1)
    truth, held, tries = right.mean(), 0, 200
    for _ in range(tries):
        rows = random.choice(size, 300, p=chance / chance.sum())
        prediction = np.where(right[rows], label[rows], 1 - label[rows])
        sample = Sample("binary", label[rows], prediction, None, ("0", "1"), weight=1 / chance[rows])
        interval = estimate_all(sample, ["accuracy"], 0.95)["accuracy"].interval
        assert interval is not None
        held += interval.low <= truth <= interval.high
    assert 0.90 <= held / tries <= 0.99
    assert abs(right[label == 1].mean() - truth) > 0.1, "the weights matter"


# -- the gate ---------------------------------------------------------------------------------------------------------


def case_68(**weights: Any) -> pd.DataFrame:
    """Right in the rows that hardly count, wrong in those that do."""
    frame = pd.DataFrame({"y": [0, 1] * 100, "p": [0, 1] * 50 + [1, 0] * 50, "w": [1.0] * 100 + [9.0] * 100})
    return frame.assign(**weights)


def judge(frame: pd.DataFrame, bounds: list[str], **settings: Any) -> GateResult:
    return evaluate_performance(frame, label="y", prediction="p", bounds=bounds, **settings)


def test_weighted_accuracy_decides() -> None:
    assert judge(case_68(), ["accuracy>=0.5"]).verdict is Outcome.PASS
    result = judge(case_68(), ["accuracy>=0.5"], sample_weight="w")
    (check,) = [check for check in result.checks if check.name == "accuracy"]
    assert (check.outcome, check.observed) == (Outcome.FAIL, pytest.approx(0.1))
    assert check.values["interval"]["low"] <= 0.1 <= check.values["interval"]["high"] < 0.2
    assert result.details["sample_weight"]["effective_sample_size"] == pytest.approx(1000**2 / 8200)
    assert result.settings["sample_weight"] == "w"
    assert "sample_weight" not in judge(case_68(), ["accuracy>=0.5"]).settings


@pytest.mark.parametrize(
    "bad",
    [[-1.0] + [1.0] * 199, [None] + [1.0] * 199, [math.nan] + [1.0] * 199, [math.inf] + [1.0] * 199, [0.0] * 200,
     ["1"] * 200, [True] * 200],
)  # fmt: skip
def test_weights_that_are_none(bad: list[Any]) -> None:
    with raises_code(ConfigurationError, "weight.unsound", match='"w"'):
        judge(case_68(w=bad), ["accuracy>=0.05"], sample_weight="w")


@pytest.mark.parametrize("metric", UNWEIGHTED)
def test_metrics_without_weights_refuse_by_name(metric: str) -> None:
    with raises_code(ConfigurationError, "weight.no_metric", match=metric):
        judge(case_68(), [f"{metric}>=0"], sample_weight="w", score="p")
    assert metric not in OF_LABELS


def test_a_column_cannot_be_the_weight_and_something_else() -> None:
    with raises_code(ConfigurationError, "setting.contradiction"):
        judge(case_68(), ["accuracy>=0"], sample_weight="y")
    with raises_code(ConfigurationError, "column.missing"):
        judge(case_68(), ["accuracy>=0"], sample_weight="v")


def test_the_change_against_the_champion_is_weighted(tmp_path: Path) -> None:
    champion = case_68()[["y", "p"]].assign(p=lambda frame: frame["y"])
    result = judge(case_68(), ["accuracy_vs_champion>=-0.95", "churn_vs_champion<=0.95"], sample_weight="w",
                   baseline=champion)  # fmt: skip
    checks = {check.name: check for check in result.checks}
    assert checks["accuracy_vs_champion"].observed == pytest.approx(-0.9)
    assert checks["churn_vs_champion"].observed == pytest.approx(0.9)
    assert checks["churn_vs_champion"].values["interval"]["low"] < 0.9
    assert "mcnemar_p_value" not in checks
    assert result.verdict is Outcome.PASS


def test_a_slice_needs_enough_by_its_weights() -> None:
    frame = case_68(g=["a", "b"] * 100).assign(w=[100.0, 1.0] + [0.01, 1.0] * 99)
    result = judge(frame, ["accuracy_worst_slice>=0.01"], sample_weight="w", slices=["g"])
    (check,) = [check for check in result.checks if check.name == "accuracy_worst_slice"]
    assert check.outcome is Outcome.INCONCLUSIVE
    assert "effective sample size" in str(check.values) + check.detail
