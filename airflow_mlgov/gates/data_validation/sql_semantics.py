"""Finds the expectations over a table that DuckDB would decide otherwise than the table's own database: those that meet
NaN, compare a missing value, or ask for an order. Refuses nothing: the gate does."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_mlgov.data.file_tables import FileTable
from airflow_mlgov.data.quoting import identifier
from airflow_mlgov.gates.data_validation.expectations import Expectation

_NEVER = {
    "expect_column_quantile_values_to_be_between": "a database finds quantiles by a rule of its own",
    "expect_column_values_to_be_decreasing": "the rows of a table have no order",
    "expect_column_values_to_be_increasing": "the rows of a table have no order",
}

_COMPARED_BY_ROW = {
    "expect_column_pair_values_a_to_be_greater_than_b": "either_value_is_missing",
    "expect_column_pair_values_to_be_equal": "either_value_is_missing",
    "expect_compound_columns_to_be_unique": "any_value_is_missing",
}
"""Expectation -> the ``ignore_row_if`` with which no NULL is compared."""


def decided_otherwise(table: FileTable, expectations: Sequence[Expectation]) -> dict[int, str]:
    """Position in the suite -> why, for the expectations that a database would decide otherwise."""
    named = dict.fromkeys(name for item in expectations for name in item.columns if name in table.types)
    if not named:
        return {}
    counts = ", ".join(_counts(name, table.types[name]) for name in named)
    (found,) = table.rows(f"SELECT {counts} FROM data")  # noqa: S608 - quoted
    missing = {name for name, count in zip(named, found[::2], strict=True) if count}
    nan = {name for name, count in zip(named, found[1::2], strict=True) if count}
    return {item.position: why for item in expectations if (why := _why(item, missing, nan))}


def _counts(name: str, kind: str) -> str:
    column = identifier(name)
    return f"count(*) - count({column}), {f'count(*) FILTER (isnan({column}))' if kind == 'DOUBLE' else '0'}"


def _why(item: Expectation, missing: set[str], nan: set[str]) -> str:
    if item.type in _NEVER:
        return _NEVER[item.type]
    for name in item.columns:
        if name in nan:
            return f'NaN stands in the column "{name}", which is a value to the database and none to DuckDB here'
    rule = _COMPARED_BY_ROW.get(item.type)
    if rule is not None and item.kwargs.get("ignore_row_if") != rule and missing.intersection(item.columns):
        return f"a value is missing in its columns, and SQL compares none that is: say ignore_row_if: {rule}"
    return ""
