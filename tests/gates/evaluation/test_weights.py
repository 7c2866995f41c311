"""Statistics of weighted examples: NumPy's numbers, intervals that hold the truth, weights that are refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import parse_bounds
from airflow_mlgov.gates.evaluation.estimates import estimate
from airflow_mlgov.gates.evaluation.grammar import statistic_of
from airflow_mlgov.gates.evaluation.spec import GATE, EvaluationSettings
from airflow_mlgov.gates.run import run_gate
from airflow_mlgov.results import GateResult, Outcome
from tests.codes import raises_code


def judge(frame: pd.DataFrame, bounds: list[str], **settings: Any) -> GateResult:
    read = EvaluationSettings.read({"sample_weight": "w", **settings})
    return run_gate(GATE, frame, read, parse_bounds(bounds, GATE.metrics))


def examples(**columns: Any) -> pd.DataFrame:
    frame = pd.DataFrame({"toxic": [True] * 20 + [False] * 180, "score": np.linspace(0, 1, 200)})
    return frame.assign(w=[9.0] * 20 + [1.0] * 180, **columns)


@pytest.mark.parametrize("seed", range(3))
def test_numpys_numbers(seed: int) -> None:
    random = np.random.default_rng(seed)
    values, weights = random.normal(size=300).round(1), random.choice([0.0, 0.25, 1.0, 5.0], 300)
    found = {
        name: estimate(values, statistic_of(name), 0.95, 30, weights=weights) for name in ("a_mean", "a_p90", "a_p05")
    }
    assert found["a_mean"].value == pytest.approx(np.average(values, weights=weights))
    for name, share in (("a_p90", 0.9), ("a_p05", 0.05)):
        expected = np.quantile(values, share, method="inverted_cdf", weights=weights)
        assert found[name].value == pytest.approx(expected)
        assert found[name].interval.low <= expected <= found[name].interval.high
    same = estimate(values, statistic_of("a_p90"), 0.95, 30, weights=np.ones(300))
    assert same.value == estimate(values, statistic_of("a_p90"), 0.95, 30).value


def test_weights_decide() -> None:
    assert judge(examples(), ["toxic_rate<=0.2"], sample_weight=None).verdict is Outcome.PASS
    result = judge(examples(), ["toxic_rate<=0.2"])
    (check,) = [check for check in result.checks if check.name == "toxic_rate"]
    assert (check.outcome, check.observed) == (Outcome.FAIL, pytest.approx(0.5))
    assert result.details["sample_weight"]["effective_sample_size"] == pytest.approx(360**2 / 1800)
    assert result.settings["sample_weight"] == "w"


def test_the_weight_of_a_few_counts_as_few() -> None:
    frame = examples().assign(w=[1000.0] + [1.0] * 199)
    (check, *_) = judge(frame, ["score_mean>=0"]).checks
    assert (check.outcome, check.name) == (Outcome.INCONCLUSIVE, "score_mean")
    assert "worth fewer than 30 by their weights" in check.detail


def test_scores_that_are_all_the_same_say_what_their_effective_number_says() -> None:
    clean = examples().assign(toxic=False)
    (plain, *_) = judge(clean, ["toxic_rate<=0.02"], sample_weight=None).checks
    (weighed, *_) = judge(clean, ["toxic_rate<=0.02"]).checks
    assert plain.outcome is Outcome.PASS
    assert weighed.outcome is Outcome.INCONCLUSIVE
    assert weighed.values["interval"]["high"] > plain.values["interval"]["high"]


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(5)
    population = random.exponential(size=100_000)
    chance, held = np.where(population > 1, 0.9, 0.2), {"a_mean": 0, "a_p50": 0}
    truth = {"a_mean": population.mean(), "a_p50": np.median(population)}
    for _ in range(100):
        rows = random.choice(len(population), 300, p=chance / chance.sum())
        for name in held:
            found = estimate(population[rows], statistic_of(name), 0.95, 30, weights=1 / chance[rows])
            assert found.interval is not None
            held[name] += found.interval.low <= truth[name] <= found.interval.high
    assert all(88 <= count <= 100 for count in held.values()), held


@pytest.mark.parametrize("bad", [-1.0, None, math.inf, math.nan])
def test_weights_that_are_none(bad: Any) -> None:
    with raises_code(ConfigurationError, "weight.unsound", match='"w"'):
        judge(examples().assign(w=[bad] + [1.0] * 199), ["toxic_rate<=0.2"])


def test_what_takes_no_weights_refuses_by_name() -> None:
    with raises_code(ConfigurationError, "weight.no_metric", match="toxic_rate_vs_champion"):
        judge(examples(id=range(200)), ["toxic_rate_vs_champion<=0"], row_id="id")
    with raises_code(ConfigurationError, "setting.contradiction"):
        judge(examples(), ["score_mean>=0"], sample_weight="score")


def test_slices_are_weighted() -> None:
    result = judge(examples(g=["a", "b"] * 100), ["toxic_rate_worst_slice<=0.2"], slices=["g"])
    (check,) = [check for check in result.checks if check.name == "toxic_rate_worst_slice"]
    assert check.outcome is Outcome.FAIL
    assert check.observed == pytest.approx(0.5)
