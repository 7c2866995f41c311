"""A Spark DataFrame through Great Expectations: PySpark and Java are not installed with the tests."""

from __future__ import annotations

import uuid
from typing import Any

import pandas as pd
import pytest

from airflow_mlgov.errors import ConfigurationError, DependencyError
from airflow_mlgov.gates.data_validation import validate_data
from airflow_mlgov.results import Outcome
from tests.worlds.suites import expect

ROWS = pd.DataFrame({"age": [18, 30, 45, 17], "sex": ["f", "m", "f", None]})
SUITE = {
    "name": "people",
    "expectations": [
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": "age", "min_value": 18, "mostly": 0.75}},
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "sex"}},
        {"type": "expect_table_row_count_to_equal", "kwargs": {"value": 4}},
    ],
}


def test_the_same_checks_as_on_pandas(spark: Any) -> None:
    frame = spark.createDataFrame(ROWS.astype(object).where(ROWS.notna(), None))
    result = validate_data(frame, SUITE)
    expected = validate_data(ROWS, SUITE)
    assert result.verdict is Outcome.FAIL
    assert [(check.name, check.outcome) for check in result.checks] == [
        (check.name, check.outcome) for check in expected.checks
    ]
    for mine, theirs in zip(result.checks, expected.checks, strict=True):
        assert mine.values.get("unexpected_count") == theirs.values.get("unexpected_count")
    again = validate_data(frame.repartition(3).orderBy("age"), SUITE)
    assert again.subject.digest == result.subject.digest
    assert again.subject.name == "Spark DataFrame"
    other = validate_data(frame.filter("age > 17"), SUITE)
    assert other.subject.digest != result.subject.digest


def test_rows_that_do_not_stay(spark: Any) -> None:
    from pyspark.sql.functions import udf

    moving = spark.range(50).withColumn("age", udf(lambda: str(uuid.uuid4())).asNondeterministic()())
    with pytest.raises(DependencyError, match="gave other rows"):
        validate_data(moving, {"name": "s", "expectations": SUITE["expectations"][2:]})


def test_what_spark_cannot_have(spark: Any) -> None:
    frame = spark.createDataFrame(ROWS[["age"]])
    with pytest.raises(ConfigurationError, match="more than one column named 'age'"):
        validate_data(frame.select("age", "age"), SUITE)


def test_rows_that_are_copied_for_duckdb(spark: Any) -> None:
    frame = spark.createDataFrame(ROWS[["age"]])
    asked = {"name": "s", "expectations": [expect("column_values_to_not_be_null", column="age")]}
    there, here = (validate_data(frame, asked, engine=engine) for engine in ("auto", "duckdb"))
    assert there.subject == here.subject
    assert [check.outcome for check in there.checks] == [check.outcome for check in here.checks]
