"""Pairs of examples, and the change between two models on them."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.evaluation.changes import change, newcombe, pair
from airflow_mlgov.gates.evaluation.grammar import Statistic, statistic_of
from tests.codes import raises_code

MEAN, RATE = statistic_of("x_mean"), statistic_of("x_rate")
MEDIAN = Statistic("quantile", "x", quantile=0.5)


def names(values) -> pd.Series:
    return pd.Series(values, name="id")


def test_examples_are_matched_by_name_in_any_order() -> None:
    found = pair(names([3, 1, 2, 9]), names([1.0, 2.0, 3.0]))
    assert list(found.candidate) == [0, 1, 2]
    assert list(found.champion) == [2, 0, 1]
    assert (found.candidate_only, found.champion_only, found.unmatched) == (1, 0, 0.25)


def test_text_is_no_number() -> None:
    with raises_code(ConfigurationError, "value.types", r"text \(1, 2\).*numbers \(1, 2\)"):
        pair(names(["1", "2"]), names([1, 2]))


@pytest.mark.parametrize(("values", "code"), [([1, None], "row_id.missing"), (["a", "a"], "row_id.twice")])
def test_each_example_has_a_name_of_its_own(values: list, code: str) -> None:
    for mine, theirs in ((values, [1, 2]), ([1, 2], values)):
        with pytest.raises(ConfigurationError) as refused:
            pair(names(mine), names(theirs))
        assert refused.value.code == code


def test_newcombes_published_intervals() -> None:
    """Altman et al., Statistics with Confidence (2000), page 52; Fagerland et al., Statistical Analysis of Contingency
    Tables (2017), chapter 8, the airway hyper-responsiveness of Bentur et al."""
    altman, bentur = newcombe(20, 12, 2, 16, 0.95), newcombe(1, 1, 7, 12, 0.95)
    assert (altman.low, altman.high) == pytest.approx((0.056, 0.329), abs=5e-4)
    assert (bentur.low, bentur.high) == pytest.approx((-0.507, -0.026), abs=5e-4)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(1, 40))
def test_newcombes_interval_turns_with_its_sides(both: int, mine: int, theirs: int, neither: int) -> None:
    one, other = newcombe(both, mine, theirs, neither, 0.95), newcombe(both, theirs, mine, neither, 0.95)
    difference = (mine - theirs) / (both + mine + theirs + neither)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert -1 <= one.low <= difference + 1e-12
    assert difference - 1e-12 <= one.high <= 1


def test_changes_of_rates_hold_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(4)
    held = 0
    for _ in range(400):
        hard = random.random(150)
        mine, theirs = (hard + 0.3 * random.random(150) > at for at in (0.5, 0.45))
        truth = _rate_above(0.5) - _rate_above(0.45)
        found = change(mine.astype(float), theirs.astype(float), RATE, 0.95, 30).estimate.interval
        held += found.low <= truth <= found.high
    assert 0.925 <= held / 400 <= 0.995


def _rate_above(at: float) -> float:
    """Of a uniform on (0, 1) and one on (0, 0.3): P(sum > at), for at between 0.3 and 1."""
    return 1 - (at - 0.15)


@pytest.mark.slow
@pytest.mark.parametrize(("wanted", "truth"), [(MEAN, 0.5), (MEDIAN, 0.5)])
def test_changes_of_scores_hold_the_truth_as_often_as_they_say(wanted: Statistic, truth: float) -> None:
    random = np.random.default_rng(9)
    held = 0
    for _ in range(120):
        shared = random.normal(size=80)
        mine, theirs = shared + random.normal(0.5, 0.3, 80), shared + random.normal(0, 0.3, 80)
        interval = change(mine, theirs, wanted, 0.95, 30).estimate.interval
        held += interval.low <= truth <= interval.high
    assert held / 120 >= 0.9


def test_pairing_tells_more_than_two_tables_apart() -> None:
    random = np.random.default_rng(9)
    shared = random.normal(size=200)
    mine, theirs = shared + random.normal(0.1, 0.1, 200), shared
    paired = change(mine, theirs, MEAN, 0.95, 30).estimate.interval
    assert paired.high - paired.low < 0.05
    assert paired.low > 0


def test_identical_scores_have_changed_by_nothing() -> None:
    same = np.array([1.0, 0.0, 1.0] * 20)
    for wanted in (MEAN, RATE, MEDIAN):
        found = change(same, same, wanted, 0.95, 30).estimate
        assert (found.value, found.interval.low, found.interval.high) == (0.0, 0.0, 0.0)


def test_a_change_that_is_the_same_everywhere_has_no_known_spread() -> None:
    scores = np.arange(60.0)
    assert math.isnan(change(scores + 1, scores, MEAN, 0.95, 30).estimate.interval.low)
    assert math.isnan(change(scores + 1, scores, MEDIAN, 0.95, 30).estimate.interval.low)


def test_pairs_without_a_score_are_counted() -> None:
    mine, theirs = np.array([1.0, np.nan, 1.0, 0.0]), np.array([1.0, 1.0, np.nan, 0.0])
    found = change(mine, theirs, RATE, 0.95, 2)
    assert (found.left_out, found.estimate.rows, found.estimate.value) == (2, 2, 0.0)
    assert change(mine, theirs, RATE, 0.95, 3).estimate.value is None
