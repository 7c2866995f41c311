"""What is handed to another process: rows as DuckDB read them, no credential, no condition, and an end."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from airflow_mlgov.data.memory import MemoryLimitError
from airflow_mlgov.gates.children import environment
from airflow_mlgov.gates.data_validation import validate_data
from airflow_mlgov.results import Outcome
from tests.codes import raises_code
from tests.worlds.suites import expect, suite

PASS, FAIL, INCONCLUSIVE, ERROR = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.ERROR


@pytest.fixture
def people(tmp_path: Path) -> str:
    frame = pd.DataFrame({"grade": ["a", "b", "b", None], "age": [31, 44, 300, 58], "long": ["a" * 40 + "b"] * 4})
    frame.to_parquet(tmp_path / "people.parquet")
    return str(tmp_path / "people.parquet")


def rows(query: str) -> dict[str, Any]:
    return {"type": "unexpected_rows_expectation", "kwargs": {"unexpected_rows_query": query}}


@pytest.mark.slow
def test_an_infinite_divergence_is_a_fail(people: str) -> None:
    """The reference says that "b" cannot be, and two of the rows hold it."""
    shares = [(["a", "b"], [1.0, 0.0]), (["a"], [1.0]), (["a", "b"], [0.4, 0.6])]
    rules = suite(
        *(
            expect(
                "column_kl_divergence_to_be_less_than",
                column="grade",
                partition_object={"values": values, "weights": weights},
                threshold=1,
            )
            for values, weights in shares
        )
    )
    _, *found = validate_data(people, rules).checks
    assert [check.outcome for check in found] == [FAIL, FAIL, PASS]
    assert found[0].values["engine"] == "great_expectations"


@pytest.mark.slow
def test_a_divergence_of_numbers_some_of_which_are_missing(tmp_path: Path) -> None:
    half = {"bins": [0, 10, 20], "weights": [0.5, 0.5]}
    items = [
        expect("column_kl_divergence_to_be_less_than", column="n", partition_object=half, threshold=threshold)
        for threshold in (0.14, 0.13)
    ]
    found = []
    for values in ([1.0, 2.0, 3.0, 15.0], [1.0, None, 2.0, 3.0, None, 15.0]):  # 3/4 and 1/4
        pd.DataFrame({"n": values, "m": range(len(values))}).to_parquet(tmp_path / "a.parquet")
        found.append(validate_data(str(tmp_path / "a.parquet"), suite(*items)).checks[1:])
    outside = {"bins": [0, 5, 10], "weights": [0.5, 0.5]}  # 15 is in none
    rule = expect("column_kl_divergence_to_be_less_than", column="n", partition_object=outside, threshold=100)
    assert validate_data(str(tmp_path / "a.parquet"), suite(rule)).checks[1].outcome is FAIL
    for checks in found:
        assert [check.outcome for check in checks] == [PASS, FAIL]
        assert checks[0].observed == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5))
        assert checks[0].values["nonnull_count"] == 4


@pytest.mark.slow
def test_what_is_not_compiled_is_answered_by_the_child(people: str) -> None:
    """One child for all of it: another's regular expression, a condition of ours, and a query."""
    ahead = expect("column_values_to_match_regex", column="grade", regex="(?=[ab])")
    of_b = expect("column_values_to_match_regex", column="grade", regex="(?=a)", row_condition='grade == "b"')
    older = rows("SELECT * FROM {batch} WHERE age > 200")
    result = validate_data(people, suite(ahead, of_b, older))
    assert [check.outcome for check in result.checks[1:]] == [PASS, FAIL, FAIL]
    assert result.checks[1].values["missing_count"] == 1
    assert (result.checks[2].values["element_count"], result.checks[2].values["unexpected_count"]) == (2, 2)
    assert (result.checks[3].observed, result.checks[3].values["engine"]) == (1, "duckdb")
    assert result.details["child"]["credentials"] == "none"
    assert set(result.details["left_to_great_expectations"]) == {
        "1: expect_column_values_to_match_regex(grade)",
        "2: expect_column_values_to_match_regex(grade)",
    }
    assert {"great_expectations", "pandas", "duckdb"} == set(result.libraries)


@pytest.mark.slow
def test_an_expression_that_takes_for_ever_is_stopped(people: str) -> None:
    """Python's engine tries 2**40 ways to read the text, and asks nobody."""
    endless = expect("column_values_to_match_regex", column="long", regex="(?=a)(a+)+$")
    other = expect("column_values_to_be_between", column="age", min_value=0)
    began = time.monotonic()
    result = validate_data(people, suite(endless, other), time_limit=20)
    assert time.monotonic() - began < 60
    assert [check.outcome for check in result.checks[1:]] == [ERROR, PASS]
    assert "took too long and was stopped" in result.checks[1].detail


def test_a_child_that_needs_too_much_memory_says_so(people: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run_child = environment.run_child

    def run_without_memory(_: Sequence[str], work: Path, variables: Mapping[str, str], **given: Any) -> None:
        run_child([sys.executable, "-c", "raise MemoryError"], work, variables, **given)

    monkeypatch.setattr(environment, "run_child", run_without_memory)
    ahead = expect("column_values_to_match_regex", column="grade", regex="(?=[ab])")
    with raises_code(MemoryLimitError, "memory_limit.exceeded", match="raise memory_limit"):
        validate_data(people, suite(ahead))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory a process has taken")
def test_the_childs_memory_ends_where_the_limit_does() -> None:
    script = """
from airflow_mlgov.gates.children.scripts.suite_run import _limit_memory
_limit_memory(50_000_000)
small = bytearray(20_000_000)
try:
    bytearray(200_000_000)
except MemoryError:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "refused\n", done.stderr


@pytest.mark.parametrize(
    ("query", "outcome", "detail"),
    [
        ("SELECT * FROM {batch} WHERE age > 299", FAIL, "observed 1"),
        ("SELECT grade, count(*) FROM {batch} GROUP BY grade HAVING count(*) > 2", PASS, ""),
        ("WITH old AS (SELECT * FROM {batch} WHERE age > 40) SELECT * FROM old WHERE grade = 'a'", PASS, ""),
        ("SELECT * FROM {batch} a JOIN {batch} b ON a.age = b.age + 13;", FAIL, "observed 1"),
        ("SELECT * FROM {batch} WHERE false AND age > 1", ERROR, "gives no row whatever the data is"),
        ("SELECT * FROM {batch} LIMIT 0", ERROR, "gives no row whatever the data is"),
        ("SELECT 1 WHERE 1 = 2", ERROR, "does not name {batch}"),
        ("SELECT 1 FROM {batch}", ERROR, "names no column"),
        ("SELECT * FROM {batch} WHERE agee = 1", ERROR, "cannot be evaluated: Binder"),
        ("SELECT * FROM {batch} WHERE", ERROR, "is not one SELECT"),
    ],
)
@pytest.mark.usefixtures("no_child")
def test_a_query_for_unexpected_rows(people: str, query: str, outcome: Outcome, detail: str) -> None:
    check = validate_data(people, suite(rows(query))).checks[1]
    assert check.outcome is outcome
    assert detail in check.detail
