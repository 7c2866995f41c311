"""Intervals, and how a bound is held against one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.statistics.intervals import Interval, judge, percentile, quantile, require_confidence, wilson
from airflow_mlgov.results import Bound, Outcome


def test_wilson_is_scipys() -> None:
    for k, n in ((0, 10), (3, 10), (10, 10), (417, 1000)):
        expected = stats.binomtest(k, n).proportion_ci(method="wilson")
        found = wilson(k, n)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.81, 0.9, Outcome.PASS),
        (0.8, 1.25, Outcome.PASS),
        (0.5, 0.79, Outcome.FAIL),
        (1.3, 1.4, Outcome.FAIL),
        (0.79, 0.9, Outcome.INCONCLUSIVE),
        (1.2, 1.3, Outcome.INCONCLUSIVE),
        (0.1, 2.0, Outcome.INCONCLUSIVE),
        (math.nan, 0.9, Outcome.INCONCLUSIVE),
    ],
)
def test_how_an_interval_is_judged(low: float, high: float, outcome: Outcome) -> None:
    bound = Bound(0.8, 1.25)
    assert judge(bound, 0.85, Interval(low, high), "interval") is outcome
    assert judge(bound, 0.85, Interval(low, high), "point") is Outcome.PASS


def test_without_an_interval_nothing_is_decided_by_it() -> None:
    assert judge(Bound(0.8), 0.9, None) is Outcome.INCONCLUSIVE
    assert judge(Bound(0.8), None, Interval(0.85, 0.9)) is Outcome.INCONCLUSIVE
    assert judge(Bound(0.8), math.nan, Interval(0.85, 0.9)) is Outcome.INCONCLUSIVE
    assert judge(Bound(0.8), math.nan, None, "point") is Outcome.INCONCLUSIVE


def test_percentiles() -> None:
    samples = np.arange(1001) / 1000
    found = percentile(samples, 0.9)
    assert (found.low, found.high) == pytest.approx((0.05, 0.95))
    samples[:40] = math.nan
    assert percentile(samples, 0.9).is_defined
    samples[:60] = math.nan
    assert not percentile(samples, 0.9).is_defined
    assert not percentile(np.full(10, math.nan), 0.9).is_defined
    assert not wilson(0, 0).is_defined


def test_a_quantile_is_numpys_to_the_bit() -> None:
    generator = np.random.default_rng(7)
    for size in (1, 2, 3, 400, 2_000):
        values = np.sort(generator.normal(size=size) * 10.0 ** generator.integers(-9, 9))
        for share in (0.0, 0.005, 0.025, 0.05, 1 / 3, 0.5, 0.95, 0.975, 1.0):
            assert quantile(values, share) == np.quantile(values, share), (size, share)


@pytest.mark.parametrize(("confidence", "decide"), [(1, "point"), (0.4, "point"), (True, "point"), (0.9, "no")])
def test_what_is_no_confidence(confidence: Any, decide: Any) -> None:
    with pytest.raises(ConfigurationError):
        require_confidence(confidence, decide)
