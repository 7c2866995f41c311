"""A column of scores as numbers."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.evaluation.grammar import statistic_of
from airflow_mlgov.gates.evaluation.scores import measured, never_seen, probably_meant, read_column
from airflow_mlgov.gates.evaluation.spec import EvaluationSettings

NAN = np.nan


def read(values, **settings):
    return read_column(pd.Series(values), "score", EvaluationSettings.read(settings))


@pytest.mark.parametrize(
    ("values", "kind", "numbers"),
    [
        ([True, False, None], "yes or no", [1, 0, NAN]),
        (pd.array([True, None], dtype="boolean"), "yes or no", [1, NAN]),
        (["yes", "No", None], "yes or no", [1, 0, NAN]),
        (["PASS", "fail"], "yes or no", [1, 0]),
        (["yes", "no", "unknown"], "yes or no", [1, 0, NAN]),
        (["true", "false"], "yes or no", [1, 0]),
        ([1, 0, None], "numbers", [1, 0, NAN]),
        (pd.array([3, None], dtype="Int64"), "numbers", [3, NAN]),
        ([Decimal("1.5"), None], "numbers", [1.5, NAN]),
        (["safe", "harmful", None], "categories", [1, 0, NAN]),
        (pd.Series(["b", "a"], dtype="category"), "categories", [1, 0]),
        (["1", "0"], "categories", [1, 0]),
        ([None, None], "nothing", [NAN, NAN]),
        ([], "nothing", []),
    ],
)
def test_scores_are_read(values, kind: str, numbers: list) -> None:
    scores = read(values)
    assert scores.kind == kind
    np.testing.assert_array_equal(scores.values, numbers)


@pytest.mark.parametrize(
    "values", [[True, 1], [1, "a"], [{"a": 1}], [[1, 2]], [True, "yes"], pd.to_datetime(["2026-01-01"])]
)
def test_other_values_are_no_scores(values) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read(values)
    assert refused.value.code == "score.kind"


def test_values_that_stand_for_a_missing_score() -> None:
    np.testing.assert_array_equal(read([1, -1, 2], missing=[-1]).values, [1, NAN, 2])
    np.testing.assert_array_equal(read([1, "n/a", 2], missing=["n/a"]).values, [1, NAN, 2])
    assert read(["safe", "n/a"], missing=["n/a"]).categories == ("safe",)
    np.testing.assert_array_equal(read([True, False], missing=[1]).values, [1, 0])
    np.testing.assert_array_equal(read(["1", "2"], missing=[1]).values, [0, 1])


def test_what_cannot_be_is_an_error() -> None:
    assert read([1.0, np.inf]).problem == 'column "score" holds 1 infinite scores'
    assert read([1, 85], ranges={"score": [1, 5]}).problem == '1 scores of column "score" lie outside 1 to 5'
    assert "declared categories" in read(["safe", "oops"], categories={"score": ["safe", "harmful"]}).problem
    assert not read(["safe"], categories={"score": ["safe", "harmful"]}).problem


def test_a_rate_takes_yes_or_no() -> None:
    rate = statistic_of("score_rate")
    np.testing.assert_array_equal(measured(read([1.0, 0.0, None]), rate), [1, 0, NAN])
    for values in (["yes", "fail"], ["yes", "maybe"], ["1", "0"], [1, 2], ["y", "n"]):
        with pytest.raises(ConfigurationError) as refused:
            measured(read(values), rate)
        assert refused.value.code == "score.not_yes_or_no"


def test_a_refusal_shows_few_values_and_short_ones() -> None:
    with pytest.raises(ConfigurationError) as refused:
        measured(read([f"an answer of a customer, number {at}" for at in range(4)]), statistic_of("score_rate"))
    assert "number 0" not in str(refused.value)
    with pytest.raises(ConfigurationError) as refused:
        measured(read([f"secret {at}" for at in range(50)]), statistic_of("score_rate"))
    assert "secret" not in str(refused.value)
    assert "50 different texts" in str(refused.value)


def test_a_share_of_one_value() -> None:
    np.testing.assert_array_equal(measured(read(["a", "b", None]), statistic_of("score_rate[b]")), [0, 1, NAN])
    np.testing.assert_array_equal(measured(read(["Yes", "no"]), statistic_of("score_rate[NO]")), [0, 1])
    np.testing.assert_array_equal(measured(read([1, 2.0]), statistic_of("score_rate[2]")), [0, 1])
    np.testing.assert_array_equal(measured(read(["a", "A"]), statistic_of("score_rate[A]")), [0, 1])
    with pytest.raises(ConfigurationError):
        measured(read([1, 2]), statistic_of("score_rate[two]"))
    with pytest.raises(ConfigurationError):
        measured(read([True]), statistic_of("score_rate[maybe]"))


def test_means_and_quantiles_take_numbers() -> None:
    for metric in ("score_mean", "score_p50"):
        with pytest.raises(ConfigurationError) as refused:
            measured(read([True, False]), statistic_of(metric))
        assert refused.value.code == "score.kind"


def test_a_slip_of_a_categorys_name_is_noticed() -> None:
    scores = read(["harmful"] * 6 + ["safe"] * 90)
    slip, absent = statistic_of("score_rate[harmfull]"), statistic_of("score_rate[illegal]")
    assert never_seen(scores, slip)
    assert probably_meant(scores, slip, 5) == "harmful"
    assert probably_meant(scores, slip, 7) is None  # a category of so few examples is not named
    assert never_seen(scores, absent)
    assert probably_meant(scores, absent, 5) is None
    assert not never_seen(scores, statistic_of("score_rate[harmful]"))
