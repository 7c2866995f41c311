"""When two values are the same: text as written, numbers exactly, truth values for themselves."""

from __future__ import annotations

import unicodedata
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlgov.data.labels import binary_codes, numeric_column
from airflow_mlgov.data.values import Key, Sort, in_order, key_of, keys_of, meant, number_in, require_one_sort
from airflow_mlgov.errors import ConfigurationError
from tests.codes import raises_code


@pytest.mark.parametrize(
    "same",
    [
        [1, 1.0, np.int8(1), np.uint64(1), np.float32(1), Decimal(1), Decimal("1.00")],
        [2**53 + 1, np.int64(2**53 + 1), Decimal(2**53 + 1)],
        [10**37, Decimal(10) ** 37],
        [True, np.bool_(True)],
        ["a", np.str_("a")],
        [None, float("nan"), np.float64("nan"), pd.NA, pd.NaT, Decimal("NaN")],
    ],
    ids=lambda values: str(values[0]),
)
def test_one_value_is_one_whatever_holds_it(same: list[Any]) -> None:
    assert len({key_of(value) for value in same}) == 1
    assert len({key.written for value in same if (key := key_of(value)) is not None}) <= 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("01", "1"),
        ("0E1", "0E2"),
        ("1_0", "10"),
        ("A", "A "),
        ("1", 1),
        ("1.0", "1"),
        ("1.10", "1.1"),
        ("true", True),
        ("True", "true"),
        (True, 1),
        (False, 0),
        (2**53, 2**53 + 1),
        (float(2**53), 2**53 + 1),
        (0.1, Decimal("0.1")),
        ("inf", float("inf")),
        ("nan", float("nan")),
        (unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")),
        (date(2026, 1, 1), "2026-01-01"),
        (date(2026, 1, 1), datetime(2026, 1, 1)),
    ],
)
def test_two_values_are_two(one: Any, other: Any) -> None:
    assert key_of(one) != key_of(other)


@given(st.lists(st.text(max_size=4) | st.integers() | st.booleans() | st.decimals(allow_nan=False), max_size=8))
def test_keys_of_one_sort_are_written_apart(values: list[Any]) -> None:
    keys = {key_of(value) for value in values}
    for sort in Sort:
        of_sort = [key for key in keys if key is not None and key.sort is sort]
        assert len({key.written for key in of_sort}) == len(of_sort)
    assert len(in_order(key for key in keys if key)) == len(keys - {None})


@pytest.mark.parametrize("value", [[1], {"a": 1}, np.array([1, 2]), (1, 2), {1}])
def test_a_list_is_no_value(value: Any) -> None:
    with raises_code(ConfigurationError, "column.nested"):
        key_of(value)


@pytest.mark.parametrize(
    ("said", "among", "expected"),
    [
        ("1", [0, 1], 1),
        ("1.0", [0, 1], 1),
        ("9007199254740993", [2**53, 2**53 + 1], 2**53 + 1),
        (1, ["0", "1"], "1"),
        ("true", [True, False], True),
        (1, [True, False], True),
        (True, ["true", "unknown"], "true"),
        (True, ["True", "unknown"], "True"),
        (True, [0, 1], 1),
        ("2026-01-01", [date(2026, 1, 1)], date(2026, 1, 1)),
    ],
)
def test_a_word_of_a_person_is_read_as_the_columns_type(said: Any, among: list[Any], expected: Any) -> None:
    assert meant(said, set(keys_of(among).values())) == key_of(expected)


@pytest.mark.parametrize(
    ("said", "among"),
    [("01", [0, 1]), ("1_0", [10]), ("+1", [1]), ("1", ["01"]), ("a", ["A"]), ("a", ["a "]), ("0x1", [1]), (" 1", [1])],
)
def test_a_word_that_is_not_there_is_not_bent_into_one(said: Any, among: list[Any]) -> None:
    keys = set(keys_of(among).values())
    assert meant(said, keys) not in keys


def test_numbers_in_words_are_exact() -> None:
    assert number_in("12345678901234567890123") == 12345678901234567890123
    assert number_in("-0.50") == Decimal("-0.5")
    assert [number_in(text) for text in ("01", "1_0", "+1", "", " 1", "1 ", "٣", "inf", "nan")] == [None] * 9


def test_two_sorts_are_refused_with_both_named() -> None:
    with raises_code(
        ConfigurationError, "value.types", r'label "y" holds text \(01, 1\) and prediction "p" holds numb'
    ):
        require_one_sort(
            {'label "y"': keys_of(["1", "01"]).values(), 'prediction "p"': keys_of([0, 1]).values()}, "labels"
        )


@pytest.mark.parametrize(
    ("label", "prediction", "positive", "expected"),
    [
        ([0, 1], [1.0, 0.0], None, ({0: 0, 1: 1}, {1.0: 1, 0.0: 0})),
        ([True, False], [True], None, ({True: 1, False: 0}, {True: 1})),
        ([True, False], [0, 1], None, ({True: 1, False: 0}, {0: 0, 1: 1})),
        ([True, False], [0, 1], "false", ({True: 0, False: 1}, {0: 1, 1: 0})),
        (["01", "1"], ["1"], "01", ({"01": 1, "1": 0}, {"1": 0})),
        ([Decimal(0), Decimal(1)], [0, 1], None, ({Decimal(0): 0, Decimal(1): 1}, {0: 0, 1: 1})),
        ([1], [1], 0, ({1: 0}, {1: 0})),
    ],
)
def test_labels_become_0_and_1(label: list[Any], prediction: list[Any], positive: Any, expected: Any) -> None:
    found = binary_codes({"label": label, "prediction": prediction}, {"label": "y", "prediction": "p"}, positive)
    assert (found["label"], found["prediction"]) == expected


@pytest.mark.parametrize(
    ("label", "prediction", "positive", "code"),
    [
        (["1", "0"], [1, 0], 1, "value.types"),
        (["true", "false"], [True, False], "true", "value.types"),
        (["0", "1"], ["0", "1"], None, "label.positive_undeclared"),
        (["01", "1", "2"], ["1"], "1", "label.not_binary"),
        (["A", "A "], ["A", "B"], "A", "label.not_binary"),
        (["A", "A "], ["A"], "a", "label.positive_unknown"),
        ([0, 1], [0, 0.5], None, "prediction.not_binary"),
        ([0, 1], [1], "01", "label.positive_unknown"),
        ([True, False, 2], [1], None, "label.not_binary"),
    ],
)
def test_labels_that_are_not_two_of_one_type_are_refused(
    label: list[Any], prediction: list[Any], positive: Any, code: str
) -> None:
    with raises_code(ConfigurationError, code):
        binary_codes({"label": label, "prediction": prediction}, {"label": "y", "prediction": "p"}, positive)


def test_decimals_are_numbers_and_texts_are_none() -> None:
    assert list(numeric_column(pd.Series([Decimal("0.5"), Decimal(1)], name="s"), "score")) == [0.5, 1.0]
    with raises_code(ConfigurationError, "column.not_numeric"):
        numeric_column(pd.Series(["0.5"], name="s"), "score")


def test_keys_have_an_order_that_no_mixture_breaks() -> None:
    keys = [key_of(value) for value in ("b", 2, True, 10, "a", Decimal("1.5"))]
    assert [key.written for key in in_order(key for key in keys if key)] == ["1.5", "2", "10", "a", "b", "true"]
    assert Key(Sort.NUMBER, 1) in {Key(Sort.NUMBER, Decimal(1))}
