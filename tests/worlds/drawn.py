"""Tables and suites drawn at random, for engines that must agree on them."""

import math
import string
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from tests.worlds.suites import expect

INTEGERS = st.one_of(st.integers(-5, 5), st.integers(-(2**40), 2**40), st.sampled_from([2**53, 2**53 + 1, -(2**60)]))


FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, 0.1, 0.5, 1.0, 2.5, -3.25, 1e9]),
    st.floats(-1e6, 1e6),
    st.sampled_from([math.inf, -math.inf, math.nan]),
)


TEXTS = st.one_of(
    st.sampled_from(
        ["a", "b", "B", "abc", "xabc", "", "NA", "é", "zwölf", "123", "a b", "line\n", "a\nb", "日本", " x"]
    ),
    st.text(string.ascii_lowercase + "0123456789._-@", max_size=6),
)


BOOLEANS = st.booleans()


KINDS: dict[str, tuple[Any, pa.DataType]] = {
    "whole": (st.integers(-4, 4), pa.int64()),
    "number": (INTEGERS, pa.int64()),
    "small": (st.integers(-100, 100), pa.int8()),
    "real": (FLOATS, pa.float64()),
    "even": (st.integers(-8, 8).map(lambda value: value / 4), pa.float64()),
    "text": (TEXTS, pa.string()),
    "word": (st.sampled_from(["a", "b", "ab", "b1", "x@y.de"]), pa.string()),
    "flag": (BOOLEANS, pa.bool_()),
    "day": (st.dates(), pa.date32()),
    "time": (st.datetimes(), pa.timestamp("us")),
    "cost": (st.decimals(0, 10, places=2), pa.decimal128(10, 2)),
    "single": (st.floats(width=32), pa.float32()),
}


NUMERIC = ["whole", "number", "small", "real", "even", "even2", "whole2"]


TEXTUAL = ["text", "word", "word2"]


@st.composite
def tables(draw: st.DrawFn, kinds: dict[str, str]) -> pa.Table:
    rows = draw(st.one_of(st.integers(0, 3), st.integers(4, 30)))
    columns = {}
    for name, kind in kinds.items():
        values, arrow = KINDS[kind]
        how = draw(st.sampled_from(["full", "full", "some nulls", "nulls", "constant"]))
        if how == "constant":
            column = [draw(values)] * rows
        elif how == "nulls":
            column = [None] * rows
        else:
            column = draw(
                st.lists(values if how == "full" else st.one_of(st.none(), values), min_size=rows, max_size=rows)
            )
        columns[name] = pa.array(column, arrow)
    return pa.table(columns)


NAMES = {kind: kind for kind in KINDS} | {"even2": "even", "whole2": "whole", "word2": "word"}


BOUND = st.one_of(
    st.integers(-5, 5), st.integers(-20, 20).map(lambda value: value / 4), st.floats(-100, 100), st.just(0.1)
)


REGEXES = (
    r"a", r"^a", r"a$", r"^[a-z]+$", r"\d", r"^\w+$", r"[^a]", r"^.*$", r"a.b", r"^$", r"(a|b)+", r"^[a-z]{2,3}$",
    r"\bab\b", r"(?i)A", r"(?=a)", r"\s", r"[à-ü]", r"^[^@]+@[^@]+\.[a-z]+$", r"(a)\1", r"\.", r"x?", r"b\Z",
)  # fmt: skip


PATTERNS = st.sampled_from(REGEXES)


def interval(draw: st.DrawFn, bound: st.SearchStrategy[Any]) -> dict[str, Any]:
    low, high = draw(st.one_of(st.none(), bound)), draw(st.one_of(st.none(), bound))
    if low is None and high is None:
        high = draw(bound)
    if low is not None and high is not None and low > high:
        low, high = high, low
    limits = {key: value for key, value in (("min_value", low), ("max_value", high)) if value is not None}
    flags = {key: draw(st.booleans()) for key in ("strict_min", "strict_max") if draw(st.booleans())}
    return limits | flags


def value_set(draw: st.DrawFn, column: str) -> list[Any]:
    if column in TEXTUAL:
        return draw(st.lists(st.sampled_from(["a", "b", "ab", "é", "", "b1", "NA"]), min_size=1, max_size=4))
    if column == "flag":
        return draw(st.lists(st.booleans(), min_size=1, max_size=2))
    numbers = st.integers(-4, 4) if draw(st.booleans()) else st.one_of(st.integers(-4, 4), st.sampled_from([0.5, 1.25]))
    return draw(st.lists(numbers, min_size=1, max_size=5))


SIMPLE = ["column_values_to_be_null", "column_values_to_not_be_null", "column_values_to_be_unique"]


AGGREGATES = ["mean", "stdev", "sum", "min", "max", "median", "unique_value_count", "proportion_of_unique_values"]


@st.composite
def expectations(draw: st.DrawFn) -> dict[str, Any]:  # noqa: C901 - one branch a family
    every, most = sorted(NAMES), {"mostly": draw(st.sampled_from([1, 0.95, 0.9, 0.5, 0.25]))}
    mostly = most if draw(st.booleans()) else {}
    family = draw(st.integers(0, 13))
    if family == 0:
        return expect(draw(st.sampled_from(SIMPLE)), column=draw(st.sampled_from(every)), **mostly)
    if family == 1:
        column = draw(st.sampled_from([*NUMERIC, "flag", "single", "text"]))
        return expect("column_values_to_be_between", column=column, **interval(draw, BOUND), **mostly)
    if family == 2:
        column = draw(st.sampled_from([*NUMERIC, *TEXTUAL, "flag"]))
        kind = draw(st.sampled_from(["column_values_to_be_in_set", "column_values_to_not_be_in_set"]))
        return expect(kind, column=column, value_set=value_set(draw, column), **mostly)
    if family == 3:
        kind = draw(st.sampled_from(["column_values_to_match_regex", "column_values_to_not_match_regex"]))
        return expect(kind, column=draw(st.sampled_from([*TEXTUAL, "whole"])), regex=draw(PATTERNS), **mostly)
    if family == 4:
        column, patterns = draw(st.sampled_from(TEXTUAL)), draw(st.lists(PATTERNS, min_size=1, max_size=2))
        if draw(st.booleans()):
            return expect("column_values_to_not_match_regex_list", column=column, regex_list=patterns, **mostly)
        match_on = draw(st.sampled_from(["any", "all"]))
        return expect(
            "column_values_to_match_regex_list", column=column, regex_list=patterns, match_on=match_on, **mostly
        )
    if family == 5:
        column = draw(st.sampled_from([*TEXTUAL, "whole"]))
        if draw(st.booleans()):
            return expect("column_value_lengths_to_equal", column=column, value=draw(st.integers(0, 4)), **mostly)
        bounds = interval(draw, st.integers(0, 5))
        return expect("column_value_lengths_to_be_between", column=column, **bounds, **mostly)
    if family == 6:
        names = draw(st.lists(st.sampled_from(every), min_size=2, max_size=3, unique=True))
        ignore = draw(st.sampled_from(["all_values_are_missing", "any_value_is_missing", "never"]))
        rule = {"ignore_row_if": ignore} if draw(st.booleans()) else {}
        return expect("compound_columns_to_be_unique", column_list=names, **rule, **mostly)
    if family == 7:
        first, second = draw(st.sampled_from([*NUMERIC, *TEXTUAL])), draw(st.sampled_from([*NUMERIC, *TEXTUAL]))
        ignore = draw(st.sampled_from(["both_values_are_missing", "either_value_is_missing", "neither"]))
        rule = {"ignore_row_if": ignore} if draw(st.booleans()) else {}
        if draw(st.booleans()):
            return expect("column_pair_values_to_be_equal", column_A=first, column_B=second, **rule, **mostly)
        rule |= {"or_equal": draw(st.booleans())}
        return expect("column_pair_values_a_to_be_greater_than_b", column_A=first, column_B=second, **rule, **mostly)
    if family in (8, 9):
        name = draw(st.sampled_from([*AGGREGATES, "proportion_of_non_null_values"]))
        columns = every if "unique" in name or "null" in name else [*NUMERIC, "text"]
        bound = st.integers(0, 20) if name == "unique_value_count" else BOUND
        kind = f"column_{name}_to_be_between"
        return expect(kind, column=draw(st.sampled_from(columns)), **interval(draw, bound))
    if family == 10:
        column = draw(st.sampled_from([*NUMERIC, *TEXTUAL, "flag"]))
        kind = draw(st.sampled_from(["to_be_in_set", "to_equal_set", "to_contain_set"]))
        return expect(f"column_distinct_values_{kind}", column=column, value_set=value_set(draw, column))
    if family == 11:
        kind = draw(st.sampled_from(["column_values_to_be_increasing", "column_values_to_be_decreasing"]))
        rule = {"strictly": draw(st.sampled_from([True, False, None]))} if draw(st.booleans()) else {}
        column = draw(st.sampled_from([*NUMERIC, "flag", "single", "text"]))
        return expect(kind, column=column, **rule, **mostly)
    if family == 12:
        quantiles = draw(st.lists(st.sampled_from([0, 0.07, 0.25, 0.29, 0.5, 0.57, 0.9, 1]), min_size=1, max_size=3))
        pairs = [sorted(draw(st.tuples(BOUND, BOUND))) for _ in quantiles]
        opened = [[draw(st.sampled_from([low, None])), draw(st.sampled_from([high, None]))] for low, high in pairs]
        ranges = {"quantiles": quantiles, "value_ranges": opened}
        rule = draw(st.sampled_from([{}, {"allow_relative_error": False}, {"allow_relative_error": "linear"}]))
        column = draw(st.sampled_from([*NUMERIC, "single", "text"]))
        return expect("column_quantile_values_to_be_between", column=column, quantile_ranges=ranges, **rule)
    return draw(
        st.one_of(
            st.integers(0, 30).map(lambda value: expect("table_row_count_to_equal", value=value)),
            st.integers(0, 30).map(lambda value: expect("table_row_count_to_be_between", min_value=value)),
            st.integers(13, 16).map(lambda value: expect("table_column_count_to_equal", value=value)),
            st.integers(13, 16).map(lambda value: expect("table_column_count_to_be_between", max_value=value)),
            st.sampled_from([[*NAMES], [*NAMES, "more"], ["text"]]).flatmap(
                lambda names: st.booleans().map(
                    lambda exact: expect("table_columns_to_match_set", column_set=names, exact_match=exact)
                )
            ),
            st.sampled_from([[*NAMES], ["text"]]).map(
                lambda names: expect("table_columns_to_match_ordered_list", column_list=names)
            ),
            st.tuples(st.sampled_from(["text", "more"]), st.sampled_from([None, 0, 5])).map(
                lambda pair: expect("column_to_exist", column=pair[0], column_index=pair[1])
            ),
        )
    )


def without_further_quantiles(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Great Expectations 1.24 gives one quantile expectation of a column the values of another."""
    kept = {
        item["kwargs"]["column"] if item["type"] == "expect_column_quantile_values_to_be_between" else position: item
        for position, item in enumerate(items)
    }
    return list(kept.values())


MANY = st.lists(expectations(), min_size=30, max_size=50).map(without_further_quantiles)


SLOW = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # to shrink would take minutes: the message says which expectation it was
    suppress_health_check=list(HealthCheck),
)
