from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from airflow_mlgov.gates.performance import resampling, scorers
from airflow_mlgov.gates.performance.estimates import OF_LABELS, covered, draw, estimate_all, point
from airflow_mlgov.gates.performance.predictions import Sample
from airflow_mlgov.gates.performance.resampling import ROW_METRICS
from airflow_mlgov.results import Outcome

BINARY = tuple(m for m in scorers.METRICS if m not in (*scorers.REGRESSION_METRICS, *scorers.MULTICLASS_SCORE_METRICS))
MULTICLASS = (*scorers.SCORE_METRICS, *scorers.MULTICLASS_SCORE_METRICS, *scorers.LABEL_METRICS)


def _binary(rows: int = 500, seed: int = 0) -> Sample:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, rows)
    score = np.round(1 / (1 + np.exp(-(label - 0.5 + rng.normal(size=rows)))), 2).clip(0.01, 0.99)  # with ties
    return Sample("binary", label, (score >= 0.5).astype(int), score, ("negative", "positive"))


def _multiclass(rows: int = 500, seed: int = 0) -> Sample:
    rng = np.random.default_rng(seed)
    label = rng.choice(4, rows, p=[0.1, 0.2, 0.3, 0.4])
    score = np.exp(np.eye(4)[label] + rng.normal(size=(rows, 4)))
    score /= score.sum(1, keepdims=True)
    return Sample("multiclass", label, score.argmax(1), score, tuple("abcd"))


def _regression(rows: int = 500, seed: int = 0) -> Sample:
    rng = np.random.default_rng(seed)
    label = rng.gamma(2, size=rows)
    return Sample("regression", label, label * np.exp(rng.normal(scale=0.2, size=rows)))


def _two(score: list[float]) -> Sample:
    return Sample("binary", np.array([0, 1]), np.array([0, 1]), np.array(score), ("negative", "positive"))


def _many(label: list[int], prediction: list[int], score: Any = None) -> Sample:
    return Sample("multiclass", np.array(label), np.array(prediction), score, tuple("abc"))


def _by_scorer(metric: str, sample: Sample) -> float:
    """scikit-learn's own scorer on an estimator that predicts what the sample says, row by row."""
    kind = RegressorMixin if sample.task == "regression" else ClassifierMixin

    class Model(kind, BaseEstimator):  # type: ignore[misc, valid-type]
        classes_ = np.arange(len(sample.classes))

        def __sklearn_is_fitted__(self) -> bool:
            return True

        def predict(self, rows: Any) -> Any:
            return sample.prediction[rows.ravel()]

        def predict_proba(self, rows: Any) -> Any:
            score = sample.score if sample.score.ndim == 2 else np.column_stack([1 - sample.score, sample.score])
            return score[rows.ravel()]

    rows = np.arange(len(sample))[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(metrics.get_scorer(metric)(Model(), rows, sample.label))


@pytest.mark.parametrize(
    ("sample", "names"),
    [(_binary(), BINARY), (_multiclass(), MULTICLASS), (_regression(), scorers.REGRESSION_METRICS)],
    ids=["binary", "multiclass", "regression"],
)
def test_every_scorer_has_scikit_learns_own_value_and_sign(sample: Sample, names: tuple[str, ...]) -> None:
    for name in set(names) - set(scorers.OWN_METRICS):
        assert point(name, sample).value == pytest.approx(_by_scorer(name, sample), rel=1e-9), name


@pytest.mark.parametrize(
    ("sample", "names"),
    [(_binary(), BINARY), (_multiclass(), MULTICLASS), (_regression(), scorers.REGRESSION_METRICS)],
    ids=["binary", "multiclass", "regression"],
)
def test_what_is_resampled_is_the_metric(sample: Sample, names: tuple[str, ...]) -> None:
    """The formulas of the bootstrap, without resampling, are scikit-learn's; all but one have an interval."""
    drawn = draw([sample, sample], names)
    for name, draws in drawn.items():
        assert draws.whole[0] == draws.whole[1] == pytest.approx(point(name, sample).value, rel=1e-9), name
    without = [name for name in names if name not in drawn]
    assert set(without) <= {"roc_auc", "calibration_slope", "calibration_intercept", "neg_max_error"}
    found = estimate_all(sample, names, 0.95)
    undefined = [name for name, one in found.items() if one.interval is None or not one.interval.is_defined]
    assert undefined == [name for name in names if name == "neg_max_error"]
    for name, one in found.items():
        if name not in undefined and name != "expected_calibration_error":
            assert one.interval is not None
            assert one.value is not None
            assert one.interval.low < one.value < one.interval.high, name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["f1_macro", "matthews_corrcoef", "jaccard_weighted", "neg_log_loss", "roc_auc_ovo"])
def test_the_spread_is_that_of_rows_taken_again(name: str) -> None:
    """Against the plain loop: take rows with replacement, call scikit-learn."""
    sample = _multiclass(300)
    rng = np.random.default_rng(1)
    plain = [_by_scorer(name, sample.take(rng.integers(0, 300, 300))) for _ in range(400)]
    interval = estimate_all(sample, [name], 0.95)[name].interval
    assert interval is not None
    low, high = np.quantile(plain, [0.025, 0.975])
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.25 * (high - low))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["average_precision", "roc_auc", "precision", "accuracy", "brier_score"])
def test_the_spread_of_two_classes(name: str) -> None:
    sample, rng = _binary(400), np.random.default_rng(1)
    functions = {"brier_score": lambda s: -_by_scorer("neg_brier_score", s)}
    function = functions.get(name, lambda s: _by_scorer(name, s))
    plain = [function(sample.take(rng.integers(0, 400, 400))) for _ in range(400)]
    interval = estimate_all(sample, [name], 0.95)[name].interval
    assert interval is not None
    low, high = np.quantile(plain, [0.025, 0.975])
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.25 * (high - low))
    assert interval.method == {"roc_auc": "delong", "precision": "wilson", "accuracy": "wilson"}.get(name, "bootstrap")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["neg_median_absolute_error", "d2_absolute_error_score", "explained_variance", "rmse"])
def test_the_spread_of_a_regression(name: str) -> None:
    sample, rng = _regression(300), np.random.default_rng(1)
    scorer = {"rmse": "neg_root_mean_squared_error"}.get(name, name)
    sign = -1 if name == "rmse" else 1
    plain = [sign * _by_scorer(scorer, sample.take(rng.integers(0, 300, 300))) for _ in range(400)]
    interval = estimate_all(sample, [name], 0.95)[name].interval
    assert interval is not None
    low, high = np.quantile(plain, [0.025, 0.975])
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.25 * (high - low))


def test_many_rows_are_resampled_in_part_and_the_spread_narrowed(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = _binary(4000)
    whole = estimate_all(sample, ["average_precision"], 0.95)["average_precision"].interval
    monkeypatch.setattr(resampling, "MOST_ROWS", 1000)
    part = estimate_all(sample, ["average_precision"], 0.95)["average_precision"]
    assert whole is not None
    assert part.interval is not None
    assert part.value == pytest.approx(_by_scorer("average_precision", sample))
    width = whole.high - whole.low
    assert (part.interval.low, part.interval.high) == pytest.approx((whole.low, whole.high), abs=0.25 * width)


def test_the_same_rows_give_the_same_interval() -> None:
    first, second = (estimate_all(_binary(), ["f1", "log_loss"], 0.9) for _ in range(2))
    assert first == second


def test_a_resample_without_spread_claims_nothing() -> None:
    """Ten rows without an error: every resample says 1.0, and an interval of 1 to 1 would pass any bound."""
    label = np.array([0, 1] * 5)
    sample = Sample("binary", label, label, label.astype(float), ("negative", "positive"))
    found = estimate_all(sample, ["f1", "accuracy", "roc_auc", "average_precision"], 0.95)
    assert {name: one.value for name, one in found.items()} == dict.fromkeys(found, 1.0)
    for name in ("f1", "average_precision"):
        interval = found[name].interval
        assert interval is not None
        assert not interval.is_defined
    accuracy = found["accuracy"].interval
    assert accuracy is not None
    assert accuracy.low == pytest.approx(1 / (1 + 1.959964**2 / 10))  # Wilson's, at no error in ten


@pytest.mark.parametrize(
    ("metric", "sample", "reason", "outcome"),
    [
        ("r2", _regression().take(np.zeros(5, int)), "two different values", Outcome.INCONCLUSIVE),
        ("neg_max_error", Sample("regression", np.array([1.0]), np.array([np.nan])), "refuses", Outcome.ERROR),
        (
            "neg_mean_absolute_percentage_error",
            Sample("regression", np.array([0.0, 1.0]), np.array([1.0, 1.0])),
            "1 labels are 0",
            Outcome.INCONCLUSIVE,
        ),
        (
            "neg_mean_squared_log_error",
            Sample("regression", np.array([-2.0, 1.0]), np.array([1.0, 1.0])),
            "scikit-learn refuses",
            Outcome.ERROR,
        ),
        ("matthews_corrcoef", _multiclass().take(np.zeros(5, int)), "only one class", Outcome.INCONCLUSIVE),
        ("roc_auc_ovr", _multiclass().take(_multiclass().label > 0), "the labels hold 3 of 4", Outcome.INCONCLUSIVE),
        ("precision_macro", _many([0, 1, 2], [0, 1, 1]), "ill-defined", Outcome.INCONCLUSIVE),
        ("positive_likelihood_ratio", _two([0.0, 1.0]), "", Outcome.INCONCLUSIVE),
        ("neg_log_loss", _many([0, 1, 2], [0, 1, 2], np.full((3, 3), 0.5)), "not sum to 1 in 3 rows", Outcome.ERROR),
        ("log_loss", _many([0, 1, 2], [0, 1, 2], np.eye(3) * 2 - 0.5), "not within 0 to 1", Outcome.ERROR),
        ("expected_calibration_error", _two([-1.0, 2.0]), "not within 0 to 1", Outcome.ERROR),
        ("calibration_slope", _two([0.0, 1.0]), "no finite fit", Outcome.INCONCLUSIVE),
    ],
)  # fmt: skip
def test_what_is_undefined_has_no_number(metric: str, sample: Sample, reason: str, outcome: Outcome) -> None:
    found = estimate_all(sample, [metric], 0.95)[metric]
    assert (found.value, found.interval) == (None, None)
    assert reason in found.reason
    assert found.outcome is outcome


def test_log_loss_knows_a_class_that_no_row_has() -> None:
    sample = _multiclass().take(_multiclass().label > 0)
    expected = metrics.log_loss(sample.label, sample.score, labels=[0, 1, 2, 3])
    assert point("log_loss", sample).value == pytest.approx(expected)
    assert point("neg_log_loss", sample).value == pytest.approx(-expected)


def test_confusion_formulas_are_defined_where_scikit_learn_is() -> None:
    """Counts with an empty class: averages leave it out where it is in neither labels nor predictions."""
    label, prediction = np.array([0, 0, 1, 1, 3]), np.array([0, 1, 1, 1, 3])
    sample = Sample("multiclass", label, prediction, None, tuple("abcd"))
    drawn = draw([sample, sample], [name for name in OF_LABELS if name in scorers.LABEL_METRICS])
    for name, draws in drawn.items():
        assert draws.whole[0] == pytest.approx(_by_scorer(name, sample)), name
    assert math.isfinite(drawn["f1_macro"].whole[0])


@pytest.mark.parametrize("draw_of", ["exponential", "uniform"])
def test_what_the_largest_covers(draw_of: str) -> None:
    """In 95 of 100 samples at least the share that is said, whatever the distribution."""
    generator, rows = np.random.default_rng(6), 50
    largest = getattr(generator, draw_of)(size=(4000, rows)).max(1)
    below = 1 - np.exp(-largest) if draw_of == "exponential" else largest
    assert (below >= covered(rows, 0.95)).mean() == pytest.approx(0.95, abs=0.012)


def test_every_metric_is_estimated_somehow() -> None:
    special = {"roc_auc", "calibration_slope", "calibration_intercept", "neg_max_error"}
    assert set(ROW_METRICS) | set(OF_LABELS) | special == set(scorers.METRICS)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.integers(2, 5).flatmap(lambda size: arrays(np.int64, (size, size), elements=st.integers(0, 4))))
def test_confusion_formulas_are_scikit_learns_on_any_counts(counts: np.ndarray) -> None:
    """Where scikit-learn has a number; with empty classes, and one row only."""
    label, prediction = (np.repeat(axis.ravel(), counts.ravel()) for axis in np.indices(counts.shape))
    sample = Sample("multiclass", label, prediction, None, tuple("abcde"[: len(counts)]))
    for name in scorers.LABEL_METRICS if len(label) else ():
        found = point(name, sample)
        if found.value is not None:
            own = resampling.label_metric(name, counts[None])[0]
            assert own == pytest.approx(found.value, abs=1e-12) or not np.isfinite(own), name
