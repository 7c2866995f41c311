"""Estimates and their intervals: against SciPy, against published numbers, and by how often they hold the truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, bootstrap

from airflow_mlgov.gates.evaluation.estimates import (
    Estimate,
    bias_corrected,
    estimate,
    examples_for,
    hold,
    mean_interval,
    order_statistics,
    quantile,
)
from airflow_mlgov.gates.evaluation.grammar import Statistic, statistic_of
from airflow_mlgov.gates.statistics.intervals import Interval
from airflow_mlgov.results import Bound, Outcome

MEAN, RATE, MEDIAN = statistic_of("x_mean"), statistic_of("x_rate"), statistic_of("x_p50")


@given(st.integers(1, 300), st.data())
def test_rates_have_wilsons_interval(rows: int, data: st.DataObject) -> None:
    yes = data.draw(st.integers(0, rows))
    found = estimate(np.repeat([1.0, 0.0], [yes, rows - yes]), RATE, 0.9, 1)
    theirs = binomtest(yes, rows).proportion_ci(0.9, "wilson")
    assert found.value == pytest.approx(yes / rows)
    assert (found.interval.low, found.interval.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@given(st.integers(1, 400), st.integers(1, 99), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_order_statistics_claim_no_more_than_they_may(rows: int, percent: int, confidence: float) -> None:
    """For a continuous distribution the exact coverage is at least the confidence, and one step nearer it is not."""
    share, tail = percent / 100, (1 - confidence) / 2
    low, high = order_statistics(rows, share, confidence)
    if low is not None:
        assert binom.cdf(low - 1, rows, share) <= tail + 1e-12
        assert binom.cdf(low, rows, share) > tail
    else:
        assert binom.cdf(0, rows, share) > tail
    if high is not None:
        assert binom.sf(high - 1, rows, share) <= tail + 1e-12
        assert high == 1 or binom.sf(high - 2, rows, share) > tail
    else:
        assert binom.sf(rows - 1, rows, share) > tail


def test_published_order_statistics() -> None:
    """Conover, Practical Nonparametric Statistics (1999), table A3 by way of the median's sign test intervals."""
    assert order_statistics(6, 0.5, 0.95) == (1, 6)
    assert order_statistics(10, 0.5, 0.95) == (2, 9)
    assert order_statistics(20, 0.5, 0.95) == (6, 15)
    assert order_statistics(5, 0.5, 0.95) == (None, None)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5, 0.95])
def test_how_many_examples_a_quantile_takes(share: float) -> None:
    enough = examples_for(share, 0.95)
    assert None not in order_statistics(enough, share, 0.95)
    assert None in order_statistics(enough - 1, share, 0.95)


def test_a_quantile_is_a_score_that_was_given() -> None:
    assert quantile(np.array([1.0, 2.0, 3.0, 4.0]), 0.5) == 2.0
    assert quantile(np.array([1.0, 5.0]), 0.95) == 5.0


def test_the_bootstrap_of_a_mean_is_scipys() -> None:
    values = np.random.default_rng(5).exponential(size=400)
    mine = bias_corrected(values, 0.95)
    theirs = bootstrap([values], np.mean, n_resamples=9999, method="BCa", rng=1).confidence_interval
    assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), abs=0.015)


def test_the_same_scores_give_the_same_interval_in_any_order() -> None:
    values = np.random.default_rng(5).normal(size=200)
    assert bias_corrected(values, 0.95) == bias_corrected(values[::-1], 0.95)


def test_many_rows_are_drawn_from_and_the_spread_narrowed() -> None:
    values = np.random.default_rng(5).normal(size=40_000)
    found = bias_corrected(values, 0.95)
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 200, rel=0.06)


@pytest.mark.parametrize("draw", ["normal", "exponential", "beta"])
def test_intervals_of_means_hold_the_truth_as_often_as_they_say(draw: str) -> None:
    random = np.random.default_rng(20)
    make = {
        "normal": (lambda: random.normal(size=60), 0.0),
        "exponential": (lambda: random.exponential(size=60), 1.0),
        "beta": (lambda: random.beta(8, 2, size=60), 0.8),
    }
    sample, truth = make[draw]
    intervals = [bias_corrected(sample(), 0.95) for _ in range(300)]
    held = np.mean([one.low <= truth <= one.high for one in intervals])
    assert 0.90 <= held <= 0.985


def test_intervals_of_quantiles_hold_the_truth_at_least_as_often_as_they_say() -> None:
    random = np.random.default_rng(21)
    wanted = Statistic("quantile", "x", quantile=0.9)
    found = [estimate(random.exponential(size=120), wanted, 0.95, 30).interval for _ in range(400)]
    held = np.mean([one.low <= -math.log(0.1) <= one.high for one in found])
    assert held >= 0.935


def test_means_of_zeros_and_ones_are_rates() -> None:
    values = np.repeat([1.0, 0.0], [99, 1])
    assert mean_interval(values, 0.95).method == "wilson"
    assert mean_interval(np.ones(100), 0.95, (0.0, 1.0)).low == pytest.approx(0.963, abs=1e-3)


@pytest.mark.parametrize("score", [0.0, 1.0, 5.0])
def test_scores_that_are_all_the_same_need_a_range(score: float) -> None:
    """A judge of 1 to 5 that has said 1 a hundred times may say 5 next."""
    same = np.full(100, score)
    assert math.isnan(mean_interval(same, 0.95).low)
    known = mean_interval(same, 0.95, (-1.0, 6.0))
    assert (known.low, known.high) == pytest.approx(
        (score - (score + 1) * 0.037, score + (6 - score) * 0.037), abs=2e-3
    )


def test_too_few_scores_give_no_number() -> None:
    values = np.array([1.0, np.nan, 2.0])
    assert estimate(values, MEAN, 0.95, 3).value is None
    assert estimate(values, MEAN, 0.95, 2).rows == 2
    assert estimate(np.array([]), MEAN, 0.95, 1).value is None
    assert estimate(np.array([1.0, 0.0]), statistic_of("x_abstention_rate"), 0.95, 30).value == 0.5


@pytest.mark.parametrize(
    ("low", "high", "bound", "outcome"),
    [
        (0.8, 0.9, Bound(min=0.8), Outcome.PASS),
        (0.7, 0.9, Bound(min=0.8), Outcome.INCONCLUSIVE),
        (0.6, 0.7, Bound(min=0.8), Outcome.FAIL),
        (-math.inf, 0.9, Bound(max=0.95), Outcome.PASS),
        (-math.inf, 0.9, Bound(min=0.5), Outcome.INCONCLUSIVE),
        (-math.inf, 0.9, Bound(min=0.95), Outcome.FAIL),
        (0.8, math.inf, Bound(min=0.5), Outcome.PASS),
        (0.8, math.inf, Bound(max=0.9), Outcome.INCONCLUSIVE),
        (0.95, math.inf, Bound(max=0.9), Outcome.FAIL),
        (math.nan, math.nan, Bound(min=0.5), Outcome.INCONCLUSIVE),
        (math.nan, 0.9, Bound(max=0.95), Outcome.INCONCLUSIVE),
        (0.1 + 0.2, 0.4, Bound(max=0.4, min=0.3), Outcome.PASS),
    ],
)
def test_a_bound_is_held_against_an_interval(low: float, high: float, bound: Bound, outcome: Outcome) -> None:
    inside = min(max(0.85, low if low > -9 else 0.85), high if high < 9 else 0.85)
    assert hold(bound, Estimate(inside, Interval(low, high), 50), "interval") is outcome


def test_a_point_is_held_against_the_bound_alone() -> None:
    assert hold(Bound(min=0.8), Estimate(0.81, Interval(0.1, 0.9), 50), "point") is Outcome.PASS
    assert hold(Bound(min=0.8), Estimate(None), "point") is Outcome.INCONCLUSIVE
