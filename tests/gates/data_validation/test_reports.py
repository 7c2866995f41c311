"""What people reported in public that gates answered wrongly: each with small data of our own and the right answer."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.data_validation import differences, validate_data
from airflow_mlgov.gates.data_validation.suite import load_suite
from airflow_mlgov.results import Check, Outcome
from tests.codes import raises_code
from tests.worlds.suites import expect, suite

PASS, FAIL, INCONCLUSIVE, ERROR = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.ERROR


def judged(data: Any, *items: dict[str, Any], **more: Any) -> list[Check]:
    return list(validate_data(data, suite(*items, **more)).checks[1:])


def outcomes(data: Any, *items: dict[str, Any]) -> list[Outcome]:
    return [check.outcome for check in judged(data, *items)]


def csv(folder: Path, text: str) -> Path:
    (folder / "data.csv").write_text(text)
    return folder / "data.csv"


def parquet(folder: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), folder / "data.parquet")
    return folder / "data.parquet"


# Whole numbers (01, 103, peer-01, peer-02)


def test_ids_of_nineteen_digits_beside_a_missing_one(tmp_path: Path) -> None:
    data = csv(tmp_path, "id,v\n9007199254740993001,1\n9007199254740993002,2\n,3\n")
    unique = expect("column_values_to_be_unique", column="id")
    two = expect("column_unique_value_count_to_be_between", column="id", min_value=2, max_value=2)
    most = expect("column_max_to_be_between", column="id", max_value=9007199254740993001)
    result = validate_data(data, suite(unique, two, most))
    assert [check.outcome for check in result.checks[1:]] == [PASS, PASS, FAIL]
    assert set(result.details["unlike_great_expectations"].values()) == {differences.WHOLE}


@pytest.mark.parametrize("digits", [18, 19, 20, 25, 38])
def test_whole_numbers_of_any_length(tmp_path: Path, digits: int) -> None:
    low, high = 10 ** (digits - 1), 10 ** (digits - 1) + 1
    data = csv(tmp_path, f"id,v\n{low},1\n{high},2\n{-low},3\n")
    items = [
        expect("column_values_to_be_between", column="id", min_value=-low, max_value=low),
        expect("column_values_to_be_in_set", column="id", value_set=[low, high, -low]),
        expect("column_sum_to_be_between", column="id", min_value=high, max_value=high),
        expect("column_min_to_be_between", column="id", max_value=-low),
        expect("column_median_to_be_between", column="id", min_value=low, max_value=low),
    ]
    assert outcomes(data, *items) == [FAIL, PASS, PASS, PASS, PASS]


def test_the_ends_of_whole_numbers(tmp_path: Path) -> None:
    data = csv(tmp_path, "a,b,c\n-9223372036854775808,18446744073709551615,x\n,,y\n1,1,z\n")
    items = [expect("column_values_to_not_be_null", column=name, mostly=0.6) for name in ("a", "b")]
    assert [check.observed for check in judged(data, *items)] == [pytest.approx(100 / 3)] * 2


# Codes (03)


def test_codes_are_judged_as_they_are_written(tmp_path: Path) -> None:
    data = csv(tmp_path, "zip,code,n,rate\n00501,007,1,1.10\n02134,7,22,1.1\n")
    items = [
        expect("column_value_lengths_to_equal", column="zip", value=5),
        expect("column_values_to_match_regex", column="zip", regex=r"^\d{5}$"),
        expect("column_values_to_be_unique", column="code"),
        expect("column_values_to_match_regex", column="n", regex="^[0-9]+$"),
        expect("column_value_lengths_to_be_between", column="rate", min_value=4),
    ]
    assert outcomes(data, *items) == [PASS, PASS, PASS, PASS, FAIL]


# Dates (11, 16, 20, 34, 82)


def test_a_range_of_dates_over_csv(tmp_path: Path) -> None:
    data = csv(tmp_path, "d,v\n2020-03-01,1\n2023-05-01,2\nsoon,3\n,4\n")
    between = expect("column_values_to_be_between", column="d", min_value="2020-01-01", max_value="2022-12-31")
    latest = expect("column_max_to_be_between", column="d", max_value="2022-12-31")
    found, most = judged(data, between, latest)
    assert (found.outcome, found.values["unexpected_count"], found.values["missing_count"]) == (FAIL, 2, 1)
    assert "1 of its 3 values is no ISO date" in found.detail
    assert "soon" not in found.detail
    assert (most.outcome, "no ISO date" in most.detail) == (ERROR, True)


@pytest.mark.parametrize("declared", [{}, {"types": {"d": "date"}}])
def test_a_range_of_dates_over_a_column_that_is_declared(tmp_path: Path, declared: dict[str, Any]) -> None:
    data = csv(tmp_path, "d,v\n2020-03-01,1\n2023-05-01,2\n")
    items = [
        expect("column_values_to_be_between", column="d", min_value="2020-01-01", max_value="2022-12-31"),
        expect("column_max_to_be_between", column="d", max_value="2023-05-01"),
        expect("column_min_to_be_between", column="d", min_value="2020-03-02"),
    ]
    result = validate_data(data, {**suite(*items), "meta": declared})
    assert [check.outcome for check in result.checks[1:]] == [FAIL, PASS, FAIL]


def test_years_beyond_what_nanoseconds_hold(tmp_path: Path) -> None:
    moments = [datetime(1000, 1, 1), datetime(2020, 1, 1), datetime(9999, 12, 31)]
    pq.write_table(pa.table({"ts": moments}), tmp_path / "d.parquet", use_deprecated_int96_timestamps=False)
    pq.write_table(pa.table({"ts": moments}), tmp_path / "int96.parquet", use_deprecated_int96_timestamps=True)
    assert pq.read_schema(tmp_path / "int96.parquet").field("ts").type == pa.timestamp("ns")  # as Spark writes it
    days = [moment.date() for moment in moments]
    for data in (tmp_path / "d.parquet", tmp_path / "int96.parquet", parquet(tmp_path, ts=days)):
        between = expect("column_values_to_be_between", column="ts", min_value="1700-01-01", max_value="2262-01-01")
        latest = expect("column_max_to_be_between", column="ts", min_value="9999-12-31T00:00:00")
        earliest = expect("column_min_to_be_between", column="ts", min_value="1600-01-01")
        result = validate_data(data, suite(between, latest, earliest))
        assert [check.outcome for check in result.checks[1:]] == [FAIL, PASS, FAIL]
        assert result.checks[1].values["unexpected_count"] == 2
        assert differences.YEARS in result.details["unlike_great_expectations"].values()


def test_categories_times_and_durations(tmp_path: Path) -> None:
    """As Polars writes its Categorical, Enum, Time and Duration."""
    grades, levels = ["a", "b", "a", None], ["low", "high", "low", "low"]
    columns = {
        "grade": pa.array(grades).dictionary_encode(),
        "level": pa.DictionaryArray.from_arrays([0, 1, 0, 0], ["low", "high", "unused"], ordered=True),
        "time": pa.array([1, 3_600_000_000_000, 3_600_000_000_000, None], pa.time64("ns")),
        "wait": pa.array([1_000_000, 5_000_000, 5_000_000, None], pa.duration("us")),
    }
    assert columns["level"].to_pylist() == levels
    table = pa.table(columns)
    pq.write_table(table, tmp_path / "d.parquet")
    items = [
        expect("column_values_to_be_in_set", column="grade", value_set=["a", "b"]),
        expect("column_values_to_match_regex", column="grade", regex="^a$"),
        expect("column_distinct_values_to_equal_set", column="level", value_set=["low", "high"]),
        expect("column_distinct_values_to_contain_set", column="level", value_set=["unused"]),
        expect("column_values_to_not_be_null", column="time"),
        expect("column_values_to_be_unique", column="time"),
        expect("column_unique_value_count_to_be_between", column="time", min_value=2, max_value=2),
        expect("column_values_to_not_be_null", column="wait", mostly=0.7),
        expect("column_values_to_be_unique", column="wait"),
        expect("column_unique_value_count_to_be_between", column="wait", min_value=2, max_value=2),
    ]
    wanted = [PASS, FAIL, PASS, FAIL, FAIL, FAIL, PASS, PASS, FAIL, PASS]
    for data in (tmp_path / "d.parquet", table):
        result = validate_data(data, suite(*items), engine="duckdb")
        assert [check.outcome for check in result.checks[1:]] == wanted
        assert result.checks[6].values["unexpected_count"] == 2
        assert result.checks[9].values["unexpected_count"] == 2


@pytest.mark.parametrize(
    "bound", ["01.02.2024", "2024-13-01", "2024-02-30", "tomorrow", "2024-1-5", "2024-01-01+02:00"]
)
def test_a_bound_that_is_no_date_is_an_error_over_dates(tmp_path: Path, bound: str) -> None:
    data = parquet(tmp_path, d=[datetime(2024, 1, 1)])
    (check,) = judged(data, expect("column_values_to_be_between", column="d", min_value=bound))
    assert check.outcome is ERROR
    assert "no ISO date" in check.detail


def test_formats_of_dates(tmp_path: Path) -> None:
    data = csv(tmp_path, "d,ymd\n2024-01-31,20240131\n31.01.2024,20241301\n2024-02-30,20240229\n24-01-31,20240229\n")
    items = [
        expect("column_values_to_match_strftime_format", column="d", strftime_format="%Y-%m-%d"),
        expect("column_values_to_match_strftime_format", column="ymd", strftime_format="%Y%m%d"),
    ]
    assert [check.values["unexpected_count"] for check in judged(data, *items)] == [3, 1]
    stored = parquet(tmp_path, d=[datetime(2024, 1, 1)])
    (check,) = judged(stored, items[0])
    assert (check.outcome, "dates already" in check.detail) == (ERROR, True)


# Decimals (13, 32)


def test_decimals_are_what_is_written(tmp_path: Path) -> None:
    values = [Decimal("1.10"), Decimal("2.20"), Decimal("3.30"), None]
    data = parquet(tmp_path, a=pa.array(values, pa.decimal128(13, 2)), k=["x", "x", "y", "y"])
    items = [
        expect("column_mean_to_be_between", column="a", min_value=2.2, max_value=2.2),
        expect("column_sum_to_be_between", column="a", min_value=6.6, max_value=6.6),
        expect("column_stdev_to_be_between", column="a", min_value=1.09, max_value=1.11),
        expect("column_values_to_be_between", column="a", min_value=1.1, max_value=3.3),
        expect("column_values_to_be_between", column="a", min_value=1.1, strict_min=True),
        expect("column_values_to_be_in_set", column="a", value_set=[1.1, 2.2, 3.3]),
        expect("column_values_to_not_be_in_set", column="a", value_set=[1.105, 2.21]),
        expect("column_max_to_be_between", column="a", max_value=3.3),
        expect("column_mean_to_be_between", column="a", max_value=1.65, row_condition='k=="x"'),
        expect("column_median_to_be_between", column="a", min_value=2.2, max_value=2.2),
    ]
    result = validate_data(data, suite(*items))
    assert [check.outcome for check in result.checks[1:]] == [PASS] * 4 + [FAIL] + [PASS] * 5
    assert differences.DECIMALS in result.details["unlike_great_expectations"].values()


# Lists and structs (18, 38)


def test_lists_are_equal_where_their_values_are(tmp_path: Path) -> None:
    data = parquet(tmp_path, tags=[["a", "b"], ["a", "b"], None], s=[{"x": 1}, {"x": 2}, {"x": 1}], k=[1, 1, 2])
    items = [
        expect("column_values_to_be_unique", column="tags"),
        expect("column_unique_value_count_to_be_between", column="s", min_value=2, max_value=2),
        expect("compound_columns_to_be_unique", column_list=["tags", "k"]),
        expect("column_values_to_not_be_null", column="tags"),
        expect("column_values_to_match_regex", column="tags", regex="a"),
        expect("column_mean_to_be_between", column="s", min_value=0),
    ]
    found = judged(data, *items)
    assert [check.outcome for check in found] == [FAIL, PASS, FAIL, FAIL, ERROR, ERROR]
    assert "VARCHAR[]" in found[4].detail
    assert "STRUCT" in found[5].detail


# Dirty values (29)


@pytest.mark.parametrize(
    ("dirty", "named"),
    [
        ("-", '"age" is text because "-" stands once among 3 numbers'),
        ("?", '"age" is text because "?" stands once among 3 numbers'),
        ("unknown", '"age" is text because "unknown" stands once among 3 numbers'),
        ("Anna Berg", '"age" is text because not all its values are numbers (3 are)'),
    ],
)
def test_what_stands_among_numbers_is_counted_and_named_if_it_is_nobodys(
    tmp_path: Path, dirty: str, named: str
) -> None:
    data = csv(tmp_path, f"id,age\n1,34\n2,{dirty}\n3,51\n4,22\n")
    between = expect("column_values_to_be_between", column="age", min_value=0, max_value=120)
    found, mean = judged(data, between, expect("column_mean_to_be_between", column="age", min_value=0))
    assert (found.outcome, found.values["unexpected_count"], mean.outcome) == (FAIL, 1, ERROR)
    for check in (found, mean):
        assert "1 of its 4 values is no number" in check.detail
        assert check.detail.count(named) == 1
        assert "among them" not in check.detail  # said once
        assert "Anna" not in check.detail


def test_what_stands_in_a_column_of_few_numbers_is_named_too(tmp_path: Path) -> None:
    data = csv(tmp_path, "id,age (years)\n1,34\n2,?\n3,?\n4,?\n")
    between = expect("column_values_to_be_between", column="age (years)", min_value=0, max_value=120)
    (found,) = judged(data, between)
    assert found.detail.endswith('3 of its 4 values are no number, among them "?" (3)')


def test_a_column_with_brackets_in_its_name_is_remarked_on_each_time(tmp_path: Path) -> None:
    data = csv(tmp_path, "id,age (years)\n1,34\n2,?\n3,51\n4,22\n")
    between = expect("column_values_to_be_between", column="age (years)", min_value=0, max_value=120)
    for found in judged(data, between, between):
        assert '"age (years)" is text because "?" stands once among 3 numbers' in found.detail


# Types by their meaning


@pytest.mark.parametrize(
    ("column", "names", "others"),
    [
        ("text", ["object", "str", "string", "VARCHAR", "VARCHAR(20)", "TEXT", "StringType"], ["int64", "bytes"]),
        ("whole", ["int64", "Int64", "BIGINT", "LongType", "int", "INTEGER"], ["int32", "float64", "object"]),
        ("small", ["int32", "int", "INTEGER"], ["int64", "BIGINT"]),
        ("real", ["float64", "DOUBLE", "DOUBLE_PRECISION", "float"], ["float32", "REAL", "int64"]),
        ("flag", ["bool", "BOOLEAN", "BooleanType"], ["object", "int64"]),
        ("day", ["date", "DATE", "DateType", "date32"], ["datetime64[ns]", "str"]),
        ("time", ["datetime64[ns]", "datetime64[us]", "TIMESTAMP", "TimestampType", "timestamp[us]"], ["date", "str"]),
        ("cost", ["DECIMAL(10,2)", "NUMERIC", "decimal128(10, 2)", "object"], ["float64"]),
    ],
)
def test_a_type_means_what_it_means_on_its_own_engine(
    tmp_path: Path, column: str, names: list[str], others: list[str]
) -> None:
    moment = datetime(2024, 1, 1)
    data = parquet(
        tmp_path,
        text=["a"],
        whole=[1],
        small=pa.array([1], pa.int32()),
        real=[1.5],
        flag=[True],
        day=[moment.date()],
        time=[moment],
        cost=pa.array([Decimal("1.10")], pa.decimal128(10, 2)),
    )
    items = [expect("column_values_to_be_of_type", column=column, type_=name) for name in [*names, *others]]
    assert outcomes(data, *items) == [PASS] * len(names) + [FAIL] * len(others)
    listed = expect("column_values_to_be_in_type_list", column=column, type_list=[others[0], "nonsense", names[0]])
    unknown = expect("column_values_to_be_of_type", column=column, type_="nonsense")
    assert outcomes(data, listed, unknown) == [PASS, ERROR]


# Conditions


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("age > 30", 2),
        ("age>30 and grade=='b'", 1),
        ("(age > 30) & (grade == 'b')", 1),
        ("age > 30 or grade == 'c'", 3),
        ("not (age > 30)", 2),
        ("~(age > 30 | grade == 'c')", 1),
        ("18 <= age < 44", 2),
        ("grade in ['a', 'b']", 3),
        ("grade not in ('a',)", 3),
        ("grade.isin(['a'])", 1),
        ("age.isnull()", 1),
        ("age.notnull() and age != 44", 2),
        ("age != 44", 3),
        ("`net income` >= 1.5", 2),
        ("age == `net income`", 0),
        ("flag", 2),
        ("flag == False", 2),
        ("18 < age", 3),
        ("age > -1", 3),
        ('col("grade") == "b"', 2),
        ('col("age").notNull()', 3),
        ('col("day") > date("2024-01-15")', 2),
        ("day >= '2024-02-01'", 2),
        ("age IS NOT NULL AND grade = 'b'", 2),
        ({"type": "comparison", "column": {"name": "age"}, "operator": ">", "parameter": 30}, 2),
        ({"type": "comparison", "column": {"name": "grade"}, "operator": "NOT_IN", "parameter": ["a"]}, 3),
        ({"type": "nullity", "column": {"name": "age"}, "is_null": True}, 1),
    ],
    ids=str,
)
def test_a_condition_selects_rows(tmp_path: Path, condition: Any, rows: int) -> None:
    data = parquet(
        tmp_path,
        **{"age": [20, 31, 44, None], "grade": ["b", "a", "b", "c"], "net income": [1.0, 1.5, None, 2.0]},
        flag=[True, False, True, False],
        day=[datetime(2024, month, 1).date() for month in (1, 1, 2, 3)],
    )
    (check,) = judged(data, expect("table_row_count_to_equal", value=rows, row_condition=condition))
    assert (check.outcome, check.observed) == (PASS, rows), check.detail


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("agee > 3", 'names no column: "agee" (did you mean "age"?)'),
        ("age > 'x'", "held against a text"),
        ("grade > 3", "held against a number"),
        ("age > grade", "compares"),
        ("1 > 2", "compares two constants"),
        ("age >", "at its end"),
        ("age", "not understood"),
        ("(age > 3", "not understood"),
        ("not " * 60 + "age > 3", "nested too deeply"),
    ],
)
def test_a_condition_that_is_not_understood_is_an_error(tmp_path: Path, condition: str, why: str) -> None:
    data = parquet(tmp_path, age=[20], grade=["b"])
    (check,) = judged(data, expect("column_values_to_not_be_null", column="age", row_condition=condition))
    assert check.outcome is ERROR
    assert why in check.detail


# Suites of 0.x (81, 82, 83, peer-06, peer-11)


OLD = {
    "data_asset_type": "Dataset",
    "expectation_suite_name": "taxi",
    "ge_cloud_id": None,
    "evaluation_parameters": {"most": 3},
    "expectations": [
        {
            "expectation_type": "expect_column_values_to_be_between",
            "kwargs": {
                "column": "v",
                "min_value": None,
                "max_value": {"$PARAMETER": "most"},
                "mostly": None,
                "parse_strings_as_datetimes": None,
                "result_format": "COMPLETE",
                "include_config": True,
            },
            "meta": {"notes": "x"},
        },
        {
            "expectation_type": "expect_column_pair_values_A_to_be_greater_than_B",
            "kwargs": {"column_A": "w", "column_B": "v", "ignore_row_if": "never"},
        },
        {
            "expectation_type": "expect_table_row_count_to_equal",
            "kwargs": {"value": {"$PARAMETER": "rows", "$PARAMETER.rows": 2}},
        },
        {
            "expectation_type": "expect_column_values_to_be_between",
            "kwargs": {"column": "d", "min_value": "2020-01-01", "parse_strings_as_datetimes": True},
        },
    ],
    "meta": {"great_expectations_version": "0.18.19"},
}


def test_a_suite_of_0_is_converted_and_says_what_was_renamed(tmp_path: Path) -> None:
    data = csv(tmp_path, "v,w,d\n1,2,2024-01-01\n2,3,2024-01-02\n")
    loaded = load_suite(OLD)
    assert (loaded.name, len(loaded.expectations)) == ("taxi", 4)
    result = validate_data(data, OLD)
    assert [check.outcome for check in result.checks[1:]] == [PASS, PASS, PASS, ERROR]
    assert "there is no parse_strings_as_datetimes" in result.checks[4].detail
    told = result.details["converted_from_great_expectations_0"]
    assert "expectation_suite_name is name" in told
    assert "expectation 1: result_format is left out" in told
    assert "expectation 2: ignore_row_if never is neither" in told


def test_ordered_columns_that_are_not_there_fail_and_name_what_is_wanted(tmp_path: Path) -> None:
    data = parquet(tmp_path, c1=[1], c2=[2])
    (check,) = judged(data, expect("table_columns_to_match_ordered_list", column_list=["b1", "c2"]))
    assert (check.outcome, check.bound) == (FAIL, 'column_list=["b1", "c2"]')


def test_quantiles_by_a_parameter(tmp_path: Path) -> None:
    data = parquet(tmp_path, a=[1, 2, 3, 3])
    item = expect("column_quantile_values_to_be_between", column="a", quantile_ranges={"$PARAMETER": "q"})
    ranges = {"quantiles": [0.0, 1.0], "value_ranges": [[1, 1], [3, 3]]}
    (found,) = judged(data, item, suite_parameters={"q": ranges})
    (empty,) = judged(data, item, suite_parameters={"q": {**ranges, "value_ranges": [[None, None], [None, None]]}})
    assert (found.outcome, empty.outcome) == (PASS, ERROR)


@pytest.mark.parametrize(
    ("how", "value"), [(False, 3), ("linear", 2.5), ("lower", 2), ("higher", 3), ("midpoint", 2.5), ("nearest", 3)]
)
def test_quantiles_between_two_values(tmp_path: Path, how: Any, value: float) -> None:
    data = parquet(tmp_path, a=[1, 2, 3, 4])
    ranges = {"quantiles": [0.5], "value_ranges": [[value, value]]}
    item = expect("column_quantile_values_to_be_between", column="a", quantile_ranges=ranges, allow_relative_error=how)
    assert outcomes(data, item) == [PASS]


def test_an_unknown_key_of_the_suite_is_refused(tmp_path: Path) -> None:
    with raises_code(ConfigurationError, "suite.unknown_key"):
        load_suite({"expectation_suite_name": "s", "expectations": [], "expectation": []})


def test_a_frame_whose_columns_differ_in_case_alone_is_refused() -> None:
    with raises_code(ConfigurationError, "column.twice"):
        judged(pd.DataFrame({"Id": [1], "ID": [7]}), expect("column_values_to_be_unique", column="ID"))
