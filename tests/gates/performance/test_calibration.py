from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from airflow_mlgov.gates.performance.calibration import BINS, expected_calibration_error, recalibration, spiegelhalter_z
from airflow_mlgov.gates.performance.predictions import Sample


def _drawn(rows: int, seed: int = 0, stretch: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from probabilities, and the probabilities as an over-confident model would state them."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(size=rows)
    label = (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(int)
    return label, 1 / (1 + np.exp(-stretch * odds))


def _binary(label: np.ndarray, score: np.ndarray) -> Sample:
    return Sample("binary", label, (score >= 0.5).astype(int), score, ("negative", "positive"))


def test_expected_calibration_error_by_hand() -> None:
    """Two bins: three rows at 0.1 of which one is positive, two at 0.9 of which one is."""
    sample = _binary(np.array([1, 0, 0, 1, 0]), np.array([0.1, 0.1, 0.1, 0.9, 0.9]))
    assert expected_calibration_error(sample) == pytest.approx(3 / 5 * abs(1 / 3 - 0.1) + 2 / 5 * abs(1 / 2 - 0.9))


def test_expected_calibration_error_bin_by_bin() -> None:
    label, score = _drawn(2000)
    score[:2] = 0, 1  # the ends belong to the first and the last bin
    total = 0.0
    for at in range(BINS):
        low, high = at / BINS, (at + 1) / BINS
        rows = (score <= high) & ((score > low) | (at == 0))
        if rows.any():
            total += rows.mean() * abs(label[rows].mean() - score[rows].mean())
    assert expected_calibration_error(_binary(label, score)) == pytest.approx(total)


def test_bins_hold_their_upper_edge_as_in_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    edges = np.linspace(0, 1, BINS + 1)
    at = rng.permutation(np.resize(np.arange(BINS + 1), 1600))
    score, label = edges[at], np.where(at < 2, at == 0, rng.integers(0, 2, 1600))  # two edges that one bin must hold
    shares, means = calibration_curve(label, score, n_bins=BINS)
    sizes = np.bincount(np.searchsorted(edges[1:-1], score), minlength=BINS)
    wanted = sizes @ np.abs(shares - means) / 1600
    assert expected_calibration_error(_binary(label, score)) == pytest.approx(wanted)
    assert expected_calibration_error(_binary(label, np.clip(score + 1e-9, 0, 1))) > wanted + 0.005  # of other bins


def test_of_many_classes_it_is_of_the_most_probable_one() -> None:
    score = np.array([[0.8, 0.1, 0.1], [0.8, 0.1, 0.1], [0.2, 0.5, 0.3]])
    sample = Sample("multiclass", np.array([0, 1, 1]), score.argmax(1), score, tuple("abc"))
    assert expected_calibration_error(sample) == pytest.approx(2 / 3 * abs(0.5 - 0.8) + 1 / 3 * abs(1 - 0.5))


def test_slope_and_intercept_are_those_of_a_logistic_regression() -> None:
    label, score = _drawn(3000, stretch=2)
    odds = np.log(score / (1 - score))
    fit = recalibration(label, score, 0.95)
    assert fit is not None
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(odds[:, None], label)
    assert fit.slope == pytest.approx(reference.coef_[0, 0], abs=1e-5)
    assert fit.slope_interval.low < 0.5 < fit.slope_interval.high  # stated twice too extreme
    in_the_large = 1 / (1 + np.exp(-(odds + fit.intercept)))
    assert in_the_large.mean() == pytest.approx(label.mean())  # what the intercept is for


def test_the_slopes_interval_holds_the_truth_as_often_as_it_says() -> None:
    held = 0
    for seed in range(200):
        fit = recalibration(*_drawn(400, seed), 0.9)
        assert fit is not None
        held += fit.slope_interval.low <= 1 <= fit.slope_interval.high
    assert 165 <= held <= 195  # 180 expected


@pytest.mark.parametrize(
    ("label", "score"),
    [
        ([0, 1, 0, 1], [0.2, 0.5, 0.5, 1.0]),
        ([1, 1, 1, 1], [0.2, 0.5, 0.5, 0.9]),
        ([0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5]),
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]),
        ([0, 1, 0, 1], [0.2, math.nan, 0.5, 0.9]),
    ],
)
def test_no_fit_is_claimed_where_there_is_none(label: list[int], score: list[float]) -> None:
    assert recalibration(np.array(label), np.array(score), 0.95) is None


def test_spiegelhalters_z_is_standard_normal_for_calibrated_scores() -> None:
    found = np.array([spiegelhalter_z(*_drawn(500, seed)) for seed in range(300)])
    assert abs(found.mean()) < 0.2
    assert found.std() == pytest.approx(1, abs=0.15)
    assert abs(spiegelhalter_z(*_drawn(5000, stretch=2))) > 5
    assert math.isnan(spiegelhalter_z(np.array([0, 1]), np.array([0.0, 1.0])))


def test_perfect_scores_have_no_fit_and_no_warning() -> None:
    label = np.array([0, 1] * 30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for score in (np.where(label, 0.99, 0.01), np.where(label, 1 - 1e-9, 1e-9), np.where(label, 1.0, 0.0)):
            assert recalibration(label, score, 0.95) is None
