"""Suites, and names in the data, that would have something run, or be green whatever the data is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.data_validation import validate_data
from airflow_mlgov.results import Check, Outcome
from tests.codes import raises_code
from tests.worlds.suites import expect, suite


@pytest.fixture
def people(tmp_path: Path) -> str:
    pd.DataFrame({"age": [31, 44, 300], "grade": ["a", "b", "b"]}).to_parquet(tmp_path / "people.parquet")
    return str(tmp_path / "people.parquet")


def judged(data: Any, *items: dict[str, Any], **more: Any) -> list[Check]:
    return list(validate_data(data, suite(*items, **more)).checks[1:])


@pytest.mark.parametrize("parser", ["pandas", "great_expectations", "spark", None])
@pytest.mark.parametrize(
    "condition",
    [
        "age > @pd.io.common.os.system('touch {here}')",
        "age > 0 and @pd.io.common.os.system('touch {here}') == 0",
        "@pd.eval('1')",
        "__import__('os').system('touch {here}')",
        "age.map(lambda x: open('{here}', 'w'))",
        "age.__class__.__base__.__subclasses__()",
        "`age`.to_csv('{here}')",
        "age > 0; COPY (SELECT 1) TO '{here}'",
        "age > (SELECT count(*) FROM read_csv('/etc/passwd'))",
        "age > getenv('HOME')",
        'col("age").__class__',
        "age > 1 + 1",
        "age if age else age",
        "age > 0 -- x",
        "age in open('{here}', 'w')",
        "f'{{age}}' == 'a'",
    ],
)
def test_a_condition_that_runs_code(people: str, tmp_path: Path, condition: str, parser: str | None) -> None:
    here = tmp_path / "ran"
    arguments: dict[str, Any] = {"row_condition": condition.format(here=here)}
    if parser is not None:
        arguments["condition_parser"] = parser
    (check,) = judged(people, expect("column_values_to_not_be_null", column="age", **arguments))
    assert check.outcome is Outcome.ERROR
    assert re.search("nothing is called or computed|names no column", check.detail)
    assert not here.exists()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('/etc/passwd'), {batch}",
        "SELECT * FROM '/etc/passwd', {batch}",
        "SELECT * FROM read_text('/etc/passwd') t, {batch} b WHERE b.age > 1",
        "SELECT getenv('HOME'), age FROM {batch}",
        "SELECT current_setting('temp_directory'), age FROM {batch}",
        "SELECT * FROM {batch}, duckdb_settings()",
        "SELECT * FROM information_schema.tables, {batch}",
        "COPY {batch} TO 'x.csv'",
        "INSTALL httpfs; SELECT * FROM {batch}",
        "SELECT * FROM {batch}; SET memory_limit = '1TB'",
        "SELECT * FROM query('SELECT 1'), {batch}",
        "SELECT * FROM query_table('x'), {batch}",
        "ATTACH 'x.db'; SELECT age FROM {batch}",
        "WITH data AS (SELECT 1 AS age) SELECT age FROM {batch} WHERE age > 2",
        "WITH RECURSIVE r AS (SELECT age FROM {batch} UNION ALL SELECT age FROM r) SELECT * FROM r",
        "SELECT age FROM {batch} USING SAMPLE 1",
        "SELECT age FROM {batch} WHERE random() > 2",
        "SELECT age FROM {batch} WHERE nextval('s') > 2",
    ],
)
def test_a_query_that_reads_anything_but_the_rows(people: str, query: str) -> None:
    item = {"type": "unexpected_rows_expectation", "kwargs": {"unexpected_rows_query": query}}
    (check,) = judged(people, item)
    assert check.outcome is Outcome.ERROR


def test_a_parameter_is_a_name_and_is_not_computed(people: str) -> None:
    for name in ("oldest * 0", "now()", "__import__('os')", {"$PARAMETER": "oldest"}, ["oldest"]):
        item = expect("column_values_to_be_between", column="age", max_value={"$PARAMETER": name})
        (check,) = judged(people, item, suite_parameters={"oldest": 400})
        assert check.outcome is Outcome.ERROR
        assert "$PARAMETER" in check.detail


@pytest.mark.parametrize("name", ['a"b', "a'b", "a;DROP VIEW data", "a) FROM data --", "{batch}", "a`b", "@pd", "a\\b"])
def test_names_in_the_data_are_names(tmp_path: Path, name: str) -> None:
    folder = tmp_path / 'it\'s {batch} "quoted"'
    folder.mkdir()
    pq.write_table(pa.table({name: [1, 2, None], "k": ["x", "x", "y"]}), folder / "data.parquet")
    checks = judged(
        folder / "data.parquet",
        expect("column_values_to_not_be_null", column=name),
        expect("column_mean_to_be_between", column=name, min_value=1.5, max_value=1.5, row_condition="k == 'x'"),
        expect("column_unique_value_count_to_be_between", column=name, max_value=2),
    )
    assert [check.outcome for check in checks] == [Outcome.FAIL, Outcome.PASS, Outcome.PASS]


def test_a_decoy_beside_the_column_in_another_case(tmp_path: Path) -> None:
    """``Id`` holds what is asked of ``ID``."""
    asked = suite(expect("column_values_to_be_in_set", column="ID", value_set=[1, 2, 3]))
    frame = pd.DataFrame({"Id": [1, 2, 3], "ID": [7, 7, 7]})
    frame.to_csv(tmp_path / "data.csv", index=False)
    frame.to_parquet(tmp_path / "data.parquet")
    for data in (tmp_path / "data.csv", tmp_path / "data.parquet", frame, pa.Table.from_pandas(frame)):
        with raises_code(ConfigurationError, "column.twice", match="Id, ID"):
            validate_data(data, asked)


@pytest.mark.parametrize(
    "arguments",
    [
        {"mostly": "0"},
        {"mostly": 0},
        {"mostly": 0.0},
        {"mostly": False},
        {"mostly": -1},
        {"mostly": {"$PARAMETER": "zero"}},
        {"mostly": {"$PARAMETER": "text"}},
        {"min_value": {"$PARAMETER": "null"}},
        {"min_value": {"$PARAMETER": "empty"}},
        {"min_value": None},
        {"min_value": "0"},
        {"min_value": {}},
        {"strict_min": "no"},
        {"result": "pass"},
        {"row_condition": 3},
        {"row_condition": {"type": "pass_through", "pass_through_filter": "@pd"}},
    ],
    ids=str,
)
def test_an_expectation_that_is_made_to_hold(people: str, arguments: dict[str, Any]) -> None:
    parameters = {"zero": 0, "text": "0", "null": None, "empty": []}
    item = expect("column_values_to_be_between", column="age", **{"min_value": 1000, **arguments})
    (check,) = judged(people, item, suite_parameters=parameters)
    assert check.outcome is Outcome.ERROR
