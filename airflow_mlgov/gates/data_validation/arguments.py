"""Puts a suite's parameters in, and holds each expectation's arguments against what its type takes: a text is no
number, and nothing is guessed. Raises nothing: what is wrong with an expectation is that one's problem."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from airflow_mlgov.gates.data_validation.dates import is_iso
from airflow_mlgov.gates.data_validation.expectations import Expectation, Suite

MOST_ITEMS = 100_000
"""Longer lists are tables, and no arguments."""

Test = Callable[[Any], str]
"""What is wrong with a value; empty where nothing is."""


@dataclass(frozen=True)
class Signature:
    """The arguments of an expectation type, without ``row_condition``."""

    required: Mapping[str, Test] = field(default_factory=dict)
    optional: Mapping[str, Test] = field(default_factory=dict)
    conditional: bool = True
    """Whether it takes a ``row_condition``."""


class _MissingParameterError(Exception):
    """A parameter has no value; the message says which."""


def checked(suite: Suite) -> list[Expectation]:
    """The suite's expectations with the parameters put in, each with its problem if its arguments have one. A type that
    is not among :data:`SIGNATURES` keeps its arguments as they are."""
    return [item if item.problem else _checked(item, suite.parameters) for item in suite.expectations]


def _checked(item: Expectation, parameters: Mapping[str, Any]) -> Expectation:
    try:
        kwargs = {name: _put_in(value, parameters) for name, value in item.kwargs.items()}
    except _MissingParameterError as error:
        return replace(item, problem=str(error))
    kwargs = {name: value for name, value in kwargs.items() if value is not None}
    signature = SIGNATURES.get(item.type)
    wrong = _wrong(kwargs, signature) if signature is not None else []
    problem = f"wrong arguments: {'; '.join(wrong)}" if wrong else ""
    return replace(item, kwargs=kwargs, problem=problem)


def _put_in(value: Any, parameters: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_put_in(each, parameters) for each in value]
    if not isinstance(value, Mapping):
        return value
    if "$PARAMETER" not in value:
        return {key: _put_in(each, parameters) for key, each in value.items()}
    name = value["$PARAMETER"]
    if set(value) != {"$PARAMETER"} or not isinstance(name, str):
        raise _MissingParameterError("a $PARAMETER is a mapping with that one key and a parameter's name")
    if name not in parameters:
        near = get_close_matches(name, list(parameters), n=1)
        hint = f' (did you mean "{near[0]}"?)' if near else ""
        raise _MissingParameterError(
            f'the $PARAMETER "{name}" has no value in suite_parameters{hint}; a name is meant, and nothing is computed'
        )
    found = parameters[name]
    if found is None or found == []:
        raise _MissingParameterError(f'the $PARAMETER "{name}" is {"null" if found is None else "an empty list"}')
    if isinstance(found, Mapping) and "$PARAMETER" in found:
        raise _MissingParameterError(f'the $PARAMETER "{name}" is itself a $PARAMETER')
    return found


def _wrong(kwargs: Mapping[str, Any], signature: Signature) -> list[str]:
    tests = {**signature.required, **signature.optional}
    if signature.conditional:
        tests |= {"row_condition": _condition, "condition_parser": one_of(*_PARSERS)}
    wrong = [f"{name} is missing" for name in signature.required if name not in kwargs]
    for name, value in kwargs.items():
        if name not in tests:
            near = get_close_matches(name, list(tests), n=1)
            wrong.append(f"there is no {name}" + (f" (did you mean {near[0]}?)" if near else ""))
        elif problem := tests[name](value):
            wrong.append(f"{name} {problem}")
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if not wrong and low is not None and high is not None:
        if isinstance(low, str) != isinstance(high, str):
            wrong.append("min_value and max_value are of two kinds")
        elif low > high:
            wrong.append("min_value is above max_value")
    return wrong


# Tests of one value


def text(value: Any) -> str:
    """A text that UTF-8 can hold."""
    if not isinstance(value, str):
        return f"is {_kind(value)}, and a text is wanted"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "holds half a character"
    return ""


def name(value: Any) -> str:
    """A text that is not empty."""
    return text(value) or ("" if value else "is empty")


def flag(value: Any) -> str:
    """True or False."""
    return "" if isinstance(value, bool) else f"is {_kind(value)}, and true or false is wanted"


def whole(value: Any) -> str:
    """A whole number."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return "" if is_whole else f"is {_kind(value)}, and a whole number is wanted"


def number(value: Any) -> str:
    """A number that is finite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"is {_kind(value)}, and a number is wanted"
    return "" if math.isfinite(value) else "is not finite"


def share(value: Any) -> str:
    """``mostly``: a number above 0, up to 1."""
    if problem := number(value):
        return problem
    if value == 0:
        return "is 0, so that it holds whatever the data is"
    return "" if 0 < value <= 1 else f"is {value}, and must be above 0 and at most 1"


def positive(value: Any) -> str:
    """A number above 0."""
    return number(value) or ("" if value > 0 else "must be above 0")


def number_or_text(value: Any) -> str:
    """A bound: a number, or a text such as a date."""
    return text(value) if isinstance(value, str) else number(value)


def number_or_date(value: Any) -> str:
    """A number, or an ISO date or time stamp."""
    if isinstance(value, str):
        return "" if is_iso(value) else "is a text, and no date such as 2024-01-31"
    return number(value)


def scalar(value: Any) -> str:
    """A text, a number or a truth value."""
    if isinstance(value, bool):
        return ""
    return number_or_text(value)


def one_of(*words: str) -> Test:
    """One of these words."""
    return lambda value: "" if isinstance(value, str) and value in words else f"must be one of {', '.join(words)}"


def list_of(test: Test, at_least: int = 1, *, different: bool = False) -> Test:
    """A list of so many items, each of one kind."""

    def tested(value: Any) -> str:
        if not isinstance(value, list):
            return f"is {_kind(value)}, and a list is wanted"
        if len(value) < at_least:
            return "is empty" if not value else f"has fewer than {at_least} items"
        if len(value) > MOST_ITEMS:
            return f"has more than {MOST_ITEMS} items"
        if different and len(set(map(repr, value))) < len(value):
            return "has an item twice"
        return next((f"has an item that {problem}" for item in value if (problem := test(item))), "")

    return tested


def mapping(value: Any) -> str:
    """A mapping that is not empty."""
    if not isinstance(value, Mapping):
        return f"is {_kind(value)}, and a mapping is wanted"
    return "" if value else "is empty"


def _kind(value: Any) -> str:
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "a text",
        list: "a list",
        dict: "a mapping",
    }
    return "nothing" if value is None else names.get(type(value), f"a {type(value).__name__}")


def _set(value: Any) -> str:
    """A list of scalars; null among them is no value."""
    if isinstance(value, list):
        value = [item for item in value if item is not None]
    return list_of(scalar)(value)


def _type_name(value: Any) -> str:
    return name(value)


def _pairs(value: Any) -> str:
    return list_of(lambda pair: list_of(lambda item: "" if item is None else scalar(item), 2)(pair) or _two(pair))(
        value
    )


def _two(pair: Any) -> str:
    return "" if len(pair) == 2 else "has not two items"


def _quantile_ranges(value: Any) -> str:
    if not isinstance(value, Mapping) or set(value) != {"quantiles", "value_ranges"}:
        return "must be a mapping of quantiles and value_ranges"
    quantiles, ranges = value["quantiles"], value["value_ranges"]
    if problem := list_of(_quantile)(quantiles):
        return f"quantiles {problem}"
    if problem := list_of(_range)(ranges):
        return f"value_ranges {problem}"
    return "" if len(quantiles) == len(ranges) else "must have as many value_ranges as quantiles"


def _quantile(value: Any) -> str:
    return number(value) or ("" if 0 <= value <= 1 else "is not between 0 and 1")


def _range(value: Any) -> str:
    ends = list_of(lambda end: "" if end is None else number(end), 2)(value)
    if problem := ends or _two(value):
        return problem
    return "" if None in value or value[0] <= value[1] else "is the wrong way round"


def _interpolation(value: Any) -> str:
    if value is False:
        return ""
    return one_of("linear", "lower", "higher", "midpoint", "nearest")(value)


def _columns(value: Any) -> str:
    return list_of(name, 2, different=True)(value)


def _condition(value: Any) -> str:
    """Text, or the mapping that Great Expectations 1.x stores; its grammar is held later, by the columns."""
    return mapping(value) if isinstance(value, Mapping) else name(value)


_PARSERS = ("great_expectations", "great_expectations__experimental__", "pandas", "spark")

_MOSTLY = {"mostly": share}
_STRICT = {"strict_min": flag, "strict_max": flag}


def _value(required: Mapping[str, Test] | None = None, /, **optional: Test) -> Signature:
    """Of an expectation about the values of one column."""
    return Signature({"column": name, **(required or {})}, {**_MOSTLY, **optional})


def _aggregate(bound: Test = number) -> Signature:
    """Of an expectation about one number of a column."""
    return Signature({"column": name}, {**_STRICT, "min_value": bound, "max_value": bound})


def _pair(**optional: Test) -> Signature:
    ignore = one_of("both_values_are_missing", "either_value_is_missing", "neither")
    return Signature({"column_A": name, "column_B": name}, {**_MOSTLY, "ignore_row_if": ignore, **optional})


def _several(required: Mapping[str, Test] | None = None) -> Signature:
    ignore = one_of("all_values_are_missing", "any_value_is_missing", "never")
    return Signature({"column_list": _columns, **(required or {})}, {**_MOSTLY, "ignore_row_if": ignore})


_REGEXES = list_of(text)
_LIKE = {"escape": text}

SIGNATURES: Mapping[str, Signature] = {
    "expect_column_distinct_values_to_be_in_set": Signature({"column": name, "value_set": _set}),
    "expect_column_distinct_values_to_contain_set": Signature({"column": name, "value_set": _set}),
    "expect_column_distinct_values_to_equal_set": Signature({"column": name, "value_set": _set}),
    "expect_column_kl_divergence_to_be_less_than": Signature(
        {"column": name, "partition_object": mapping, "threshold": number},
        {"internal_weight_holdout": number, "tail_weight_holdout": number, "bucketize_data": flag},
    ),
    "expect_column_max_to_be_between": _aggregate(number_or_text),
    "expect_column_mean_to_be_between": _aggregate(),
    "expect_column_median_to_be_between": _aggregate(),
    "expect_column_min_to_be_between": _aggregate(number_or_text),
    "expect_column_most_common_value_to_be_in_set": Signature({"column": name, "value_set": _set}, {"ties_okay": flag}),
    "expect_column_pair_values_a_to_be_greater_than_b": _pair(or_equal=flag),
    "expect_column_pair_values_to_be_equal": _pair(),
    "expect_column_pair_values_to_be_in_set": Signature(
        {**_pair().required, "value_pairs_set": _pairs}, _pair().optional
    ),
    "expect_column_proportion_of_non_null_values_to_be_between": _aggregate(),
    "expect_column_proportion_of_unique_values_to_be_between": _aggregate(),
    "expect_column_quantile_values_to_be_between": Signature(
        {"column": name, "quantile_ranges": _quantile_ranges}, {"allow_relative_error": _interpolation}
    ),
    "expect_column_stdev_to_be_between": _aggregate(),
    "expect_column_sum_to_be_between": _aggregate(),
    "expect_column_to_exist": Signature({"column": name}, {"column_index": whole}, conditional=False),
    "expect_column_type_to_be": Signature({"column": name, "type_": _type_name}, conditional=False),
    "expect_column_unique_value_count_to_be_between": _aggregate(whole),
    "expect_column_value_lengths_to_be_between": _value({}, min_value=whole, max_value=whole, **_STRICT),
    "expect_column_value_lengths_to_equal": _value({"value": whole}),
    "expect_column_value_z_scores_to_be_less_than": _value({"threshold": number, "double_sided": flag}),
    "expect_column_values_to_be_between": _value({}, min_value=number_or_text, max_value=number_or_text, **_STRICT),
    "expect_column_values_to_be_dateutil_parseable": _value(),
    "expect_column_values_to_be_decreasing": _value(strictly=flag),
    "expect_column_values_to_be_in_set": _value({"value_set": _set}),
    "expect_column_values_to_be_in_type_list": _value({"type_list": list_of(_type_name)}),
    "expect_column_values_to_be_increasing": _value(strictly=flag),
    "expect_column_values_to_be_json_parseable": _value(),
    "expect_column_values_to_be_null": _value(),
    "expect_column_values_to_be_of_type": _value({"type_": _type_name}),
    "expect_column_values_to_be_unique": _value(),
    "expect_column_values_to_match_json_schema": _value({"json_schema": mapping}),
    "expect_column_values_to_match_like_pattern": _value({"like_pattern": text}, **_LIKE),
    "expect_column_values_to_match_like_pattern_list": _value(
        {"like_pattern_list": _REGEXES}, match_on=one_of("any", "all"), **_LIKE
    ),
    "expect_column_values_to_match_regex": _value({"regex": text}),
    "expect_column_values_to_match_regex_list": _value({"regex_list": _REGEXES}, match_on=one_of("any", "all")),
    "expect_column_values_to_match_strftime_format": _value({"strftime_format": name}),
    "expect_column_values_to_not_be_in_set": _value({"value_set": _set}),
    "expect_column_values_to_not_be_null": _value(),
    "expect_column_values_to_not_be_outliers": _value(method=one_of("iqr", "std"), multiplier=positive),
    "expect_column_values_to_not_match_like_pattern": _value({"like_pattern": text}, **_LIKE),
    "expect_column_values_to_not_match_like_pattern_list": _value({"like_pattern_list": _REGEXES}, **_LIKE),
    "expect_column_values_to_not_match_regex": _value({"regex": text}),
    "expect_column_values_to_not_match_regex_list": _value({"regex_list": _REGEXES}),
    "expect_compound_columns_to_be_unique": _several(),
    "expect_multicolumn_sum_to_equal": _several({"sum_total": number}),
    "expect_multicolumn_values_to_be_equal": _several(),
    "expect_query_results_to_match_comparison": Signature(
        {"base_query": name, "comparison_data_source_name": name, "comparison_query": name}, _MOSTLY, conditional=False
    ),
    "expect_select_column_values_to_be_unique_within_record": _several(),
    "expect_table_column_count_to_be_between": Signature(
        {}, {**_STRICT, "min_value": whole, "max_value": whole}, conditional=False
    ),
    "expect_table_column_count_to_equal": Signature({"value": whole}, conditional=False),
    "expect_table_columns_to_match_ordered_list": Signature({"column_list": list_of(text)}, conditional=False),
    "expect_table_columns_to_match_set": Signature(
        {"column_set": list_of(text)}, {"exact_match": flag}, conditional=False
    ),
    "expect_table_row_count_to_be_between": Signature({}, {**_STRICT, "min_value": whole, "max_value": whole}),
    "expect_table_row_count_to_equal": Signature({"value": whole}),
    "expect_table_row_count_to_equal_other_table": Signature({"other_table_name": name}),
    "unexpected_rows_expectation": Signature({"unexpected_rows_query": name}, conditional=False),
}
"""Every type that Great Expectations has itself, and what it takes."""


def near(wanted: str, known: Iterable[str]) -> str:
    """``(did you mean "age"?)`` where there is something near."""
    found = get_close_matches(wanted, list(known), n=1)
    return f' (did you mean "{found[0]}"?)' if found else ""
