"""Holds the arguments of an expectation against what Great Expectations takes, without importing it. Refuses whatever
it does not know exactly: that goes to Great Expectations, which then says itself what is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from airflow_mlgov.gates.data_validation.expectations import Expectation

EXACT = 2**53
"""Up to here a whole number is the same as a float."""

Test = Callable[[Any], bool]


class Uncompiled(Exception):
    """The expectation is one for Great Expectations; the message says why."""


def take(item: Expectation, required: Mapping[str, Test], optional: Mapping[str, Test]) -> dict[str, Any]:
    """The arguments that are given, each of a kind that is understood.

    :raises Uncompiled: one is missing, unknown or of another kind
    """
    tests = {**required, **optional, "row_condition": _is_none, "condition_parser": _is_none}
    for name in required:
        if name not in item.kwargs:
            raise Uncompiled(f"it has no {name}")
    for name, value in item.kwargs.items():
        if name not in tests or not tests[name](value):
            raise Uncompiled(f"its {name} is left to Great Expectations")
    return dict(item.kwargs)


def is_text(value: Any) -> bool:
    """A text that UTF-8 can hold."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_name(value: Any) -> bool:
    """A text that is not empty."""
    return is_text(value) and value != ""


def is_flag(value: Any) -> bool:
    """True or False."""
    return isinstance(value, bool)


def is_whole(value: Any) -> bool:
    """A whole number that a float holds exactly."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= EXACT


def is_number(value: Any) -> bool:
    """A number that is finite, and exact where it is whole."""
    return is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def is_share(value: Any) -> bool:
    """``mostly``: a number above 0, up to 1."""
    return is_number(value) and 0 < value <= 1


def or_none(test: Test) -> Test:
    """The same, or an explicit null."""
    return lambda value: value is None or test(value)


def one_of(*words: str) -> Test:
    """One of these words."""
    return lambda value: isinstance(value, str) and value in words


def list_of(test: Test, at_least: int = 1) -> Test:
    """A list of so many items, each of one kind."""
    return lambda value: isinstance(value, list) and len(value) >= at_least and all(map(test, value))


def bounds(arguments: Mapping[str, Any]) -> tuple[Any, Any, str, str]:
    """``min_value`` and ``max_value`` with their comparisons, as SQL and Python both write them.

    :raises Uncompiled: none is given, or they are the wrong way round
    """
    low, high = arguments.get("min_value"), arguments.get("max_value")
    if low is None and high is None:
        raise Uncompiled("it has no bound")
    if low is not None and high is not None and low > high:
        raise Uncompiled("its bounds do not make an interval")
    return low, high, ">" if arguments.get("strict_min") else ">=", "<" if arguments.get("strict_max") else "<="


def _is_none(value: Any) -> bool:
    return value is None
