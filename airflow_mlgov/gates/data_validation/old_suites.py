"""Renames what a suite of Great Expectations 0.x calls otherwise than 1.x, and says what it renamed. Leaves whatever it
does not know as it is, so that the expectation is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SUITE = {"expectation_suite_name": "name", "evaluation_parameters": "suite_parameters"}
_NO_RULE_OF_A_SUITE = ("data_asset_type", "ge_cloud_id")
_ENTRY = {"expectation_type": "type"}
_NO_RULE_OF_AN_ENTRY = ("ge_cloud_id",)
_TYPES = {
    "expect_column_pair_values_A_to_be_greater_than_B": "expect_column_pair_values_a_to_be_greater_than_b",
    "expect_multicolumn_values_to_be_unique": "expect_select_column_values_to_be_unique_within_record",
}
_OUTPUT = (
    "batch_id", "catch_exceptions", "include_config", "include_rendered_content", "meta", "notes", "result_format",
)  # fmt: skip
"""Arguments that say what a result looks like, and not what is expected."""
_IDLE = (
    "allow_cross_type_comparisons", "auto", "output_strftime_format", "parse_strings_as_datetimes", "profiler_config",
)  # fmt: skip
"""Arguments of 0.x that say nothing where they are false or null."""
_PAIRS = ("expect_column_pair_values_a_to_be_greater_than_b", "expect_column_pair_values_to_be_equal")


def suite_keys(content: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The suite with the keys of 1.x, and what was renamed or left out."""
    return _renamed(content, _SUITE, _NO_RULE_OF_A_SUITE)


def entry_keys(entry: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """One entry of the list likewise."""
    return _renamed(entry, _ENTRY, _NO_RULE_OF_AN_ENTRY)


def arguments(
    kind: str, kwargs: Mapping[str, Any], parameters: dict[str, Any]
) -> tuple[str, dict[str, Any], list[str]]:
    """The type and arguments as 1.x names them, and what was renamed or left out.

    :param parameters: the suite's; gains the values that 0.x writes beside a parameter (``$PARAMETER.name``)
    """
    changes = [f"{kind} is {_TYPES[kind]}"] if kind in _TYPES else []
    kind, kept = _TYPES.get(kind, kind), {}
    for name, value in kwargs.items():
        if name in _OUTPUT or (name in _IDLE and not value):
            changes.append(f"{name} is left out")
        elif name == "condition_parser" and value is None:
            continue
        else:
            kept[name] = _without_default(value, parameters)
    if kind in _PAIRS and kept.get("ignore_row_if") == "never":
        kept["ignore_row_if"] = "neither"
        changes.append("ignore_row_if never is neither")
    if kind == "expect_column_quantile_values_to_be_between" and kept.get("allow_relative_error", False) is None:
        del kept["allow_relative_error"]
    return kind, kept, changes


def _renamed(
    content: Mapping[str, Any], names: Mapping[str, str], without: tuple[str, ...]
) -> tuple[dict[str, Any], list[str]]:
    kept: dict[str, Any] = {}
    changes = []
    for key, value in content.items():
        if key in names and names[key] not in content:
            kept[names[key]] = value
            changes.append(f"{key} is {names[key]}")
        elif key in without:
            changes.append(f"{key} is left out")
        else:
            kept[key] = value
    return kept, changes


def _without_default(value: Any, parameters: dict[str, Any]) -> Any:
    """``{"$PARAMETER": "x", "$PARAMETER.x": 5}`` is the parameter x, which is 5 unless the suite says otherwise."""
    if not isinstance(value, Mapping) or "$PARAMETER" not in value:
        return value
    name = value["$PARAMETER"]
    default = f"$PARAMETER.{name}"
    if isinstance(name, str) and set(value) == {"$PARAMETER", default}:
        parameters.setdefault(name, value[default])
        return {"$PARAMETER": name}
    return value
