"""Where Great Expectations on pandas is known to say something else than arithmetic does. The evidence names them, and
the differential test lists them; what is not listed must agree."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_mlgov.data.relation import ColumnKind
from airflow_mlgov.gates.data_validation.columns import Column
from airflow_mlgov.gates.data_validation.dates import is_iso
from airflow_mlgov.gates.data_validation.expectations import Expectation
from airflow_mlgov.gates.data_validation.query_plan import Answers, extent

_EXACT = 2**53

DECIMALS = "decimals are compared as they are written; on pandas Decimal 3.30 is more than the float 3.3"
LISTS = "lists and structs are equal where their values are; pandas tells lists apart by identity"
WHOLE = "whole numbers beyond 2**53 are compared exactly; pandas rounds them to floats where a value is missing"
YEARS = "dates are those of the file; pandas' nanoseconds end in 2262 and begin in 1677"
DIGITS = "whole numbers are their digits as text; pandas writes 7.0 where a value is missing"
SINGLE = "a float32 column is compared with the float32 that the suite's number is"
INFINITE = "a quantile among infinite values is the value in its place; pandas makes NaN between two of them"
FIRST = "column_index 0 is the first place; Great Expectations takes it for none"
WRITTEN = "a text that is no number or date is unexpected; on pandas the expectation stops with TypeError"

_UNIQUE = ("unique", "distinct_values")
_READ = (
    "expect_column_max_to_be_between",
    "expect_column_min_to_be_between",
    "expect_column_values_to_be_between",
)
_ABOUT_TEXT = (
    "expect_column_value_lengths_to_be_between",
    "expect_column_value_lengths_to_equal",
    "expect_column_values_to_match_regex",
    "expect_column_values_to_match_regex_list",
    "expect_column_values_to_not_match_regex",
    "expect_column_values_to_not_match_regex_list",
)
_NULLS = ("expect_column_values_to_be_null", "expect_column_values_to_not_be_null")


def difference_of(item: Expectation, columns: Mapping[str, Column], answers: Answers) -> str:
    """Why Great Expectations on pandas may answer otherwise; empty where it is to agree."""
    if item.type == "expect_column_to_exist":
        return FIRST if item.kwargs.get("column_index") == 0 else ""
    if item.type in _NULLS or item.type.endswith(("_of_type", "_type_list", "_type_to_be")):
        return ""
    return next((why for name in item.columns if (why := _of_column(item, columns[name], answers))), "")


def _of_column(item: Expectation, column: Column, answers: Answers) -> str:
    match column.kind:
        case ColumnKind.DECIMAL:
            return "" if any(word in item.type for word in _UNIQUE) else DECIMALS
        case ColumnKind.NESTED:
            return LISTS
        case ColumnKind.FLOAT:
            if "quantile" in item.type and _has_infinite(column, answers):
                return INFINITE
            return SINGLE if column.stored == "FLOAT" else ""
        case ColumnKind.DATE | ColumnKind.TIMESTAMP:
            return YEARS if _is_far(column, answers) else ""
        case ColumnKind.INTEGER:
            if item.type in _ABOUT_TEXT and answers.present(column) < answers.rows:
                return DIGITS
            return WHOLE if _is_rounded(column, answers) else ""
        case ColumnKind.TEXT:
            return WRITTEN if item.type in _READ and not _are_texts(item) else ""
    return ""


def _are_texts(item: Expectation) -> bool:
    bounds = [item.kwargs[name] for name in ("min_value", "max_value") if name in item.kwargs]
    return all(isinstance(bound, str) and not is_iso(bound) for bound in bounds)


def _has_infinite(column: Column, answers: Answers) -> bool:
    (found,) = answers.one(f"SELECT bool_or(isinf({column.sql})) FROM {answers.source}")  # noqa: S608 - quoted
    return bool(found)


def _is_rounded(column: Column, answers: Answers) -> bool:
    if column.stored in ("HUGEINT", "UHUGEINT", "UBIGINT"):
        return True
    if column.stored != "BIGINT" or answers.present(column) == answers.rows:
        return False
    low, high = (answers[sql] for sql in extent(column))
    return low is not None and (low < -_EXACT or high > _EXACT)


def _is_far(column: Column, answers: Answers) -> bool:
    far = f"year({column.sql}) NOT BETWEEN 1678 AND 2261"
    return bool(answers.one(f"SELECT count(*) FROM {answers.source} WHERE {far}")[0])  # noqa: S608 - quoted
