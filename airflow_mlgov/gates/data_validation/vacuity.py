"""Finds expectations that hold whatever the data is, by their arguments alone. Refuses to call green what asks for
nothing; the parameters must have been put in before."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from airflow_mlgov.gates.data_validation.expectations import Expectation
from airflow_mlgov.gates.data_validation.portable_regex import matches_anything

_NATURAL: Mapping[str, tuple[float, float]] = {
    "expect_column_proportion_of_non_null_values_to_be_between": (0, 1),
    "expect_column_proportion_of_unique_values_to_be_between": (0, 1),
    "expect_column_stdev_to_be_between": (0, math.inf),
    "expect_column_unique_value_count_to_be_between": (0, math.inf),
    "expect_column_value_lengths_to_be_between": (0, math.inf),
    "expect_table_column_count_to_be_between": (1, math.inf),
    "expect_table_row_count_to_be_between": (0, math.inf),
}
"""What the number can be at all, where there is something to judge."""


def vacuous(item: Expectation) -> str:
    """Why any data would meet it; empty where it asks for something."""
    kwargs = item.kwargs
    if item.type.endswith("_to_be_between") and item.type != "expect_column_quantile_values_to_be_between":
        return _unbounded(item.type, kwargs)
    match item.type:
        case "expect_column_quantile_values_to_be_between":
            open_ended = all(low is None and high is None for low, high in kwargs["quantile_ranges"]["value_ranges"])
            return "every one of its value_ranges is open at both ends" if open_ended else ""
        case "expect_column_values_to_match_regex":
            return _any_text([kwargs["regex"]], "regex")
        case "expect_column_values_to_match_regex_list":
            return _any_text(kwargs["regex_list"], "regex_list", every=kwargs.get("match_on") == "all")
        case "expect_column_values_to_match_like_pattern":
            return _any_like([kwargs["like_pattern"]])
        case "expect_column_values_to_match_like_pattern_list":
            return _any_like(kwargs["like_pattern_list"], every=kwargs.get("match_on") == "all")
        case "expect_column_pair_values_to_be_equal":
            return _one_column(kwargs)
        case "expect_column_pair_values_a_to_be_greater_than_b":
            return _one_column(kwargs) if kwargs.get("or_equal") else ""
        case "expect_column_values_to_match_json_schema":
            asks = set(kwargs["json_schema"]) - {"$schema", "$id", "title", "description", "$comment", "default"}
            return "" if asks else "its json_schema asks for nothing"
    return ""


def _unbounded(kind: str, kwargs: Mapping[str, Any]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is None and high is None:
        return "give it a min_value or a max_value"
    least, most = _NATURAL.get(kind, (-math.inf, math.inf))
    below = low is None or isinstance(low, str) or low > least or (low == least and kwargs.get("strict_min"))
    above = high is None or isinstance(high, str) or high < most or (high == most and kwargs.get("strict_max"))
    # a bound that is not given excludes nothing, one that is given may
    excludes = (low is not None and below) or (high is not None and above)
    if excludes:
        return ""
    return f"no such number is ever below {least:g}" + ("" if math.isinf(most) else f" or above {most:g}")


def _any_text(patterns: list[str], name: str, *, every: bool = False) -> str:
    found = [matches_anything(pattern) for pattern in patterns]
    return f"its {name} is found in any text" if (all(found) if every else any(found)) else ""


def _any_like(patterns: list[str], *, every: bool = False) -> str:
    found = [bool(pattern) and not pattern.strip("%") for pattern in patterns]
    return "its pattern matches any text" if (all(found) if every else any(found)) else ""


def _one_column(kwargs: Mapping[str, Any]) -> str:
    return "column_A and column_B are one column" if kwargs["column_A"] == kwargs["column_B"] else ""
