"""The grammar of what is bounded, and the settings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import parse_bounds
from airflow_mlgov.gates.evaluation.grammar import (
    METRICS,
    Statistic,
    compared_columns,
    judged_columns,
    statistic_of,
    with_default,
)
from airflow_mlgov.gates.evaluation.spec import EvaluationSettings, require_sensible

COLUMNS = st.text("abz_019/. -", min_size=1, max_size=12).filter(lambda name: name.strip(" _"))


def bounds(*names: str):
    return parse_bounds(
        {name: {"max_change" if name.endswith("_vs_champion") else "max": 0.5} for name in names}, METRICS
    )


@pytest.mark.parametrize(
    ("metric", "meaning"),
    [
        ("toxic_rate", Statistic("rate", "toxic")),
        ("verdict_rate[not safe]", Statistic("rate", "verdict", "not safe")),
        ("relevance_mean_worst_slice", Statistic("mean", "relevance", ending="_worst_slice")),
        ("relevance_p05_vs_champion", Statistic("quantile", "relevance", quantile=0.05, ending="_vs_champion")),
        ("latency_p99", Statistic("quantile", "latency", quantile=0.99)),
        ("abstention_rate", Statistic("abstention", None)),
        ("relevance_abstention_rate", Statistic("abstention", "relevance")),
        ("exact_match/v1/score_mean", Statistic("mean", "exact_match/v1/score")),
        ("toxic_rate_mean", Statistic("mean", "toxic_rate")),
    ],
)
def test_a_bound_names_a_statistic_of_a_column(metric: str, meaning: Statistic) -> None:
    assert statistic_of(metric) == meaning
    assert meaning.name + meaning.ending == metric


@given(
    COLUMNS, st.sampled_from(["rate", "mean", "p01", "p50", "abstention_rate"]), st.sampled_from(["", "_worst_slice"])
)
def test_any_column_can_be_bounded(column: str, statistic: str, ending: str) -> None:
    metric = f"{column}_{statistic}{ending}"
    found = statistic_of(metric)
    assert metric in METRICS
    assert found.name + found.ending == metric


@pytest.mark.parametrize(
    "metric", ["toxic", "toxic_p5", "toxic_p00", "toxic_p100", "toxic_median", "_mean", "x_rate[]"]
)
def test_what_is_no_statistic_is_refused(metric: str) -> None:
    assert metric not in METRICS
    with pytest.raises(ConfigurationError) as refused:
        statistic_of(metric)
    assert refused.value.code == "bound.unknown"


def test_abstentions_are_bounded_by_default() -> None:
    assert [str(item) for item in with_default(bounds("toxic_rate"))][1:] == [
        "abstention_rate <= 0.05 [critical] (default)"
    ]
    own = bounds("toxic_rate", "abstention_rate")
    assert with_default(own) == own
    assert judged_columns(with_default(bounds("toxic_rate", "relevance_mean", "toxic_rate_worst_slice"))) == (
        "toxic",
        "relevance",
    )


def test_the_champion_needs_the_compared_columns_alone() -> None:
    assert compared_columns(bounds("toxic_rate", "relevance_mean_vs_champion")) == ("relevance",)
    assert compared_columns(bounds("toxic_rate", "abstention_rate_vs_champion")) == ("toxic",)
    assert compared_columns(bounds("toxic_rate")) == ()


@pytest.mark.parametrize(
    ("given_settings", "metric", "code"),
    [
        ({}, "toxic_rate_worst_slice", "setting.missing"),
        ({}, "abstention_rate", "bound.nothing_judged"),
        ({"missing": ["harmful"]}, "verdict_rate[harmful]", "setting.contradiction"),
        ({"categories": {"verdict": ["safe", "harmful"]}}, "verdict_rate[harmfull]", "bound.unknown_category"),
    ],
)
def test_bounds_that_the_settings_cannot_give_are_refused(given_settings: dict, metric: str, code: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        require_sensible(bounds(metric), EvaluationSettings.read(given_settings))
    assert refused.value.code == code


@pytest.mark.parametrize(
    "given_settings",
    [
        {"ranges": {"relevance": [1, 1]}},
        {"ranges": {"relevance": [0, float("inf")]}},
        {"slices": ["a*"]},
        {"min_examples": 0},
        {"max_share_unmatched": 1.0},
        {"decide": "guess"},
        {"min_exampels": 10},
    ],
)
def test_settings_that_are_none_are_refused(given_settings: dict) -> None:
    with pytest.raises(ConfigurationError):
        EvaluationSettings.read(given_settings)


def test_evidence_states_the_settings_that_decide() -> None:
    assert EvaluationSettings().applied == {
        "decide": "interval",
        "confidence": 0.95,
        "min_examples": 30,
        "min_slice_size": 30,
        "max_share_left_out": 0.05,
        "max_share_unmatched": 0.0,
        "suppress_below": 5,
        "on_no_champion": "record",
        "overridden": "missing",
    }
