"""The suite in one DuckDB query: the same counts and verdicts as Great Expectations, and what is handed to it."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlgov.data.fingerprint import fingerprint_frame
from airflow_mlgov.data.relation import ColumnKind
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.children.scripts import suite_run
from airflow_mlgov.gates.data_validation import differences, handed, validate_data
from airflow_mlgov.gates.data_validation.arguments import SIGNATURES
from airflow_mlgov.gates.data_validation.columns import Column
from airflow_mlgov.gates.data_validation.compilers import COMPILERS
from airflow_mlgov.gates.data_validation.portable_regex import portable_regex
from airflow_mlgov.gates.data_validation.query_plan import Plan
from airflow_mlgov.results import Check, Outcome
from tests.codes import raises_code
from tests.worlds.drawn import MANY, NAMES, SLOW, tables
from tests.worlds.suites import QUANTILES, expect, suite, write_names

pytestmark = pytest.mark.usefixtures("no_child")

PASS, FAIL, INCONCLUSIVE, ERROR = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.ERROR


# Against Great Expectations, on random tables and suites


def same_number(one: Any, other: Any) -> bool:
    if isinstance(one, float) or isinstance(other, float):
        return one is not None and other is not None and math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return bool(one == other)


def differences_between(mine: Check, reference: Check) -> list[str]:
    found = [] if mine.outcome is reference.outcome else [f"outcome {mine.outcome} and not {reference.outcome}"]
    values, others = dict(mine.values), dict(reference.values)
    values.pop("engine", None)
    others.pop("engine", None)
    if reference.outcome is ERROR:
        return [] if mine.outcome is INCONCLUSIVE else found  # of no values, pandas stops at their type
    if not same_number(mine.observed, reference.observed):
        found.append(f"observed {mine.observed} and not {reference.observed}")
    if values.keys() != others.keys() or not all(same_number(values[key], others[key]) for key in values):
        found.append(f"values {values} and not {others}")
    return found


KNOWN = {
    differences.DECIMALS,
    differences.WHOLE,
    differences.YEARS,
    differences.SINGLE,
    differences.WRITTEN,
    differences.DIGITS,
    differences.FIRST,
    differences.INFINITE,
}
"""Where Great Expectations on pandas says something else than arithmetic does, and the evidence says so."""


REFUSED = ("is BOOLEAN, and the expectation is about numbers", "its columns are of unlike kinds")
"""On pandas True is 1, so that truth values have a mean and a range, and a text is compared with a number."""


def hold_against_great_expectations(path: str, items: list[dict[str, Any]]) -> set[str]:
    """Every check is Great Expectations' own, but where the evidence names why not; the reasons that were needed."""
    rules = suite(*items)
    mine = validate_data(path, rules)
    reference = validate_data(path, rules, engine="great_expectations")
    assert mine.subject == reference.subject
    assert mine.checks[0] == reference.checks[0]
    unlike = {int(key.split(":")[0]): why for key, why in mine.details.get("unlike_great_expectations", {}).items()}
    problems, needed = [], set()
    for at, (item, check, other) in enumerate(zip(items, mine.checks[1:], reference.checks[1:], strict=True), start=1):
        found = differences_between(check, other)
        if found and at in unlike:
            needed.add(unlike[at])
        elif found and not (check.outcome is ERROR and any(words in check.detail for words in REFUSED)):
            problems.append(f"{item}: {'; '.join(found)} (mine: {check.detail}; theirs: {other.detail})")
    assert not problems, "\n".join(problems)
    return needed


@pytest.mark.slow
@pytest.mark.usefixtures("on_numpy")
def test_parquet_gives_what_great_expectations_gives(tmp_path: Path) -> None:
    needed: set[str] = set()

    @SLOW
    @given(tables(NAMES), MANY)
    def hold(table: pa.Table, items: list[dict[str, Any]]) -> None:
        pq.write_table(table, tmp_path / "data.parquet", row_group_size=10)
        needed.update(hold_against_great_expectations(str(tmp_path / "data.parquet"), items))

    hold()
    assert needed <= KNOWN


# What is compiled, and what is handed to Great Expectations


def test_hundreds_of_columns_are_answered_in_the_memory_that_was_given(tmp_path: Path) -> None:
    """And a column is read by one query or two, however the suite is ordered."""
    columns = [f"c{at}" for at in range(400)]
    rows = {name: [at, at + 1, None] for at, name in enumerate(columns)}
    pq.write_table(pa.table(rows), tmp_path / "wide.parquet")
    kinds = [
        ("values_to_not_be_null", {}),
        ("values_to_be_between", {"max_value": 200}),
        ("max_to_be_between", {"max_value": 200}),
    ]
    found = validate_data(
        str(tmp_path / "wide.parquet"),
        suite(*(expect(f"column_{kind}", column=name, **kwargs) for kind, kwargs in kinds for name in columns)),
        memory_limit="100MB",
    )
    nulls, between, largest = (found.checks[1 + 400 * at : 401 + 400 * at] for at in range(3))
    assert {check.values["unexpected_count"] for check in nulls} == {1}
    assert [check.values["unexpected_count"] for check in between] == [0] * 200 + [1] + [2] * 199
    assert [check.outcome for check in largest] == [PASS] * 200 + [FAIL] * 200


def test_the_aggregates_of_a_column_stand_together() -> None:
    columns = {f"c{at}": Column(f"c{at}", ColumnKind.INTEGER, "BIGINT") for at in range(500)}
    plan = Plan(columns)
    for part in ("min", "max"):
        for column in columns.values():
            plan.ask(plan.column(column.name), f"{part}({column.sql})")
    batches = list(plan.batches())
    assert sum(map(len, batches)) == len({sql for batch in batches for sql in batch}) == 1501
    assert max(map(len, batches)) <= 300
    assert sum(len({sql.partition("(")[2] for sql in batch}) for batch in batches) <= 501 + len(batches)


@pytest.fixture
def people(tmp_path: Path) -> str:
    frame = pd.DataFrame(
        {
            "id": range(6),
            "age": [31, 44, 300, 58, None, 20],
            "name": ["ann", "bob", "zoë", "dee", "eve", None],
            "grade": ["a", "b", "b", "b", "a", "a"],
            "rate": [0.5, 0.25, math.inf, 1.0, None, 0.0],
            "level": pd.Categorical(["x", "y", "x", "y", "x", "y"]),
            "count": pd.array([1, 2, None, 4, 5, 6], dtype="Int64"),
        }
    )
    frame.to_parquet(tmp_path / "people.parquet")
    return str(tmp_path / "people.parquet")


def engines(path: str, *items: dict[str, Any], **options: Any) -> list[str]:
    return [check.values["engine"] for check in validate_data(path, suite(*items), **options).checks[1:]]


BETWEEN = expect("column_values_to_be_between", column="age", min_value=18)
LINEAR = {"allow_relative_error": "linear"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("item", "why"),
    [
        (expect("column_values_to_match_regex", column="name", regex="(?=a)"), "read its expression differently"),
        (expect("column_values_to_match_regex", column="name", regex=r"^\w+"), "differently on some of these values"),
        (expect("column_values_to_be_dateutil_parseable", column="name"), "not compiled: its type"),
        (expect("column_values_to_not_be_outliers", column="age", method="iqr", multiplier=1.5), "not compiled"),
        (
            expect("column_values_to_match_json_schema", column="name", json_schema={"type": "object"}),
            "not compiled: its type",
        ),
        (
            expect("column_values_to_match_strftime_format", column="name", strftime_format="%H:%M"),
            "does not say the year, the month and the day",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_compiled_is_great_expectations(people: str, item: dict[str, Any], why: str) -> None:
    with raises_code(
        ConfigurationError, "engine.cannot", match=r"\(expectation 1\): .*cannot be evaluated by engine duckdb: "
    ) as told:
        validate_data(people, suite(item), engine="duckdb")
    assert why in str(told.value)
    assert "leave engine at auto" in str(told.value)
    result = validate_data(people, suite(item, BETWEEN))
    assert [check.values["engine"] for check in result.checks[1:]] == ["great_expectations", "duckdb"]
    ((name, reason),) = result.details["left_to_great_expectations"].items()
    assert name.startswith(f"1: {item['type']}")
    assert why in reason
    reference = validate_data(people, suite(item), engine="great_expectations")
    assert result.checks[1] == reference.checks[1]


@pytest.mark.parametrize(
    ("item", "unexpected"),
    [
        (expect("column_quantile_values_to_be_between", column="age", quantile_ranges=QUANTILES, **LINEAR), None),
        (expect("column_values_to_be_of_type", column="id", type_="int64"), None),
        (expect("column_values_to_be_between", column="id", max_value=2**60 + 1), 0),
        (expect("column_values_to_be_in_set", column="grade", value_set=["a", None]), 3),
        (expect("column_values_to_be_in_set", column="level", value_set=["x", "y"]), 0),
        (expect("column_values_to_be_between", column="count", min_value=2), 1),
        ({**BETWEEN, "kwargs": {**BETWEEN["kwargs"], "row_condition": "id>1", "condition_parser": "pandas"}}, 0),
        (expect("column_values_to_match_like_pattern", column="name", like_pattern="%e%"), 3),
        (expect("column_value_z_scores_to_be_less_than", column="age", threshold=2, double_sided=True), 0),
        (expect("multicolumn_sum_to_equal", column_list=["id", "age"], sum_total=31), 5),
        (expect("column_pair_values_to_be_in_set", column_A="grade", column_B="id", value_pairs_set=[["a", 0]]), 5),
        (expect("select_column_values_to_be_unique_within_record", column_list=["name", "grade"]), 0),
        (expect("column_values_to_be_json_parseable", column="grade"), 6),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)
def test_what_is_compiled(people: str, item: dict[str, Any], unexpected: int | None) -> None:
    check = validate_data(people, suite(item), engine="duckdb").checks[1]
    assert check.values["engine"] == "duckdb"
    assert check.values.get("unexpected_count") == unexpected
    assert check.outcome is (FAIL if unexpected else PASS)


def test_a_missing_column_is_an_error_of_either_engine(people: str) -> None:
    for item in (
        expect("column_values_to_not_be_null", column="agee"),
        expect("column_mean_to_be_between", column="agee", min_value=0),
        expect("column_pair_values_to_be_equal", column_A="agee", column_B="id"),
    ):
        check = validate_data(people, suite(item), engine="duckdb").checks[1]
        reference = validate_data(people, suite(item), engine="great_expectations").checks[1]
        assert check.outcome is ERROR
        assert 'has no column "agee" (did you mean "age"?)' in check.detail
        assert {**check.as_dict(), "values": None} == {**reference.as_dict(), "values": None}


def test_the_engine_must_be_one_that_is_known(people: str) -> None:
    with raises_code(
        ConfigurationError,
        "setting.wrong",
        match="engine should be 'auto', 'duckdb' or 'great_expectations', not 'spark'",
    ):
        validate_data(people, suite(BETWEEN), engine="spark")
    with raises_code(ConfigurationError, "memory_limit.form", match="memory_limit must be a size such as 512MB"):
        validate_data(people, suite(BETWEEN), memory_limit="lots")
    with raises_code(ConfigurationError, "setting.contradiction"):
        validate_data(people, suite(BETWEEN), engine="duckdb", data_docs_dir=Path(people).parent / "docs")
    with raises_code(ConfigurationError, "data.kind"):
        validate_data(3, suite(BETWEEN))  # type: ignore[arg-type]


@pytest.mark.slow
def test_only_the_columns_needed_are_handed_to_great_expectations(people: str, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[list[str]] = []
    real = suite_run._frame
    monkeypatch.setattr(suite_run, "_frame", lambda rows: handed.append(list((read := real(rows)).columns)) or read)
    ahead = expect("column_values_to_match_regex", column="name", regex="(?=a)")
    of_a = expect("column_values_to_match_regex", column="name", regex="(?=a)", row_condition="grade == 'a'")
    assert engines(people, ahead, BETWEEN, of_a) == ["great_expectations", "duckdb", "great_expectations"]
    assert handed == [["name"], ["name"]]


def test_a_suite_that_compiles_imports_neither_great_expectations_nor_pandas(people: str, tmp_path: Path) -> None:
    pd.DataFrame({"age": [31, 44], "name": ["ann", "bob"]}).to_csv(tmp_path / "people.csv", index=False)
    script = f"""
import sys
from airflow_mlgov.gates.data_validation import validate_data
from airflow_mlgov.data.fingerprint import fingerprint_frame
between = {{"type": "expect_column_values_to_be_between", "kwargs": {{"column": "age", "min_value": 18}}}}
unique = {{"type": "expect_column_values_to_be_unique", "kwargs": {{"column": "name"}}}}
for path in ({people!r}, {str(tmp_path / "people.csv")!r}):
    print(validate_data(path, {{"name": "s", "expectations": [between, unique]}}).verdict)
print([name for name in ("great_expectations", "pandas") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines() == ["PASS", "PASS", "[]"], done.stderr


def test_the_command_and_the_operator_hand_on_the_engine(people: str, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from airflow_mlgov.cli.gate import gate_app
    from airflow_mlgov.operators.data_validation import DataValidationGateOperator

    rules = tmp_path / "suite.json"
    rules.write_text(json.dumps(suite(expect("column_values_to_not_be_null", column="id"))))
    command = ["data", "--data", people, "--suite", str(rules), "--json"]
    for engine in ("duckdb", "great_expectations"):
        told = CliRunner().invoke(gate_app, [*command, "--engine", engine, "--memory-limit", "1GB"])
        assert [check["values"].get("engine") for check in json.loads(told.stdout)["checks"]] == [None, engine]
        operator = DataValidationGateOperator(task_id="data", data=people, suite=str(rules), engine=engine)
        assert operator.evaluate().checks[1].values["engine"] == engine
    with pytest.raises(ValueError, match="memory_limit must be a size such as 512MB or 2GB, not 'lots'"):
        DataValidationGateOperator(task_id="data", data=people, suite=str(rules), memory_limit="lots")
    with pytest.raises(ValueError, match="engine should be 'auto', 'duckdb' or 'great_expectations', not 'spark'"):
        DataValidationGateOperator(task_id="data", data=people, suite=str(rules), engine="spark")


def test_severity_and_repeated_expectations_are_kept(people: str) -> None:
    result = validate_data(
        people,
        suite(
            expect("column_values_to_be_unique", "warning", column="grade"),
            expect("column_values_to_be_unique", "info", column="grade"),
        ),
        engine="duckdb",
    )
    assert [(str(check.severity), check.outcome) for check in result.checks[1:]] == [("warning", FAIL), ("info", FAIL)]
    assert result.checks[2].name.endswith("(grade) #2")
    assert result.checks[1].values["unexpected_count"] == 6
    assert result.verdict is PASS


# Where the two could have parted


def on_both(path: str, item: dict[str, Any]) -> tuple[Check, Check]:
    mine = validate_data(path, suite(item)).checks[1]
    other = validate_data(path, suite(item), engine="great_expectations").checks[1]
    assert differences_between(mine, other) == []
    return mine, other


def test_a_regex_is_searched_and_not_anchored(tmp_path: Path) -> None:
    pd.DataFrame({"id": [1, 2, 3], "code": ["abc", "xabc", "abd"]}).to_parquet(tmp_path / "codes.parquet")
    mine, _ = on_both(
        str(tmp_path / "codes.parquet"), expect("column_values_to_match_regex", column="code", regex="abc")
    )
    assert (mine.values["engine"], mine.values["unexpected_count"]) == ("duckdb", 1)


def test_a_mean_of_floats_does_not_hang_on_the_order_of_rows(tmp_path: Path) -> None:
    path = str(tmp_path / "tenths.parquet")
    pd.DataFrame({"tenth": [0.1] * 10, "whole": [1, 2] * 5, "mixed": [1e16, 1.0, -1e16] * 3 + [0.0]}).to_parquet(path)
    items = [
        expect("column_mean_to_be_between", column="tenth", min_value=0.1, max_value=0.1),
        expect("column_mean_to_be_between", column="whole", min_value=1.5, max_value=1.5),
        expect("column_sum_to_be_between", column="whole", min_value=15, max_value=15),
        expect("column_sum_to_be_between", column="mixed", min_value=3, max_value=3),
    ]
    assert [check.outcome for check in validate_data(path, suite(*items)).checks[1:]] == [PASS] * 4


@pytest.mark.slow
def test_the_same_rows_are_the_same_numbers_each_time_and_in_any_order(tmp_path: Path) -> None:
    """Two threads add in another order each time; what is added is whole multiples of a power of two."""
    drawn = np.random.default_rng(5)
    scales = {"share": 1.0, "tiny": 1e-20, "huge": 1e200, "moment": 1.0}
    columns = {name: drawn.normal(size=1_500_000) * scale for name, scale in scales.items()}
    columns["moment"] += 1.7e9
    for name, order in (("a", slice(None)), ("b", slice(None, None, -1))):
        rows = pa.table({column: values[order] for column, values in columns.items()})
        pq.write_table(rows, tmp_path / f"{name}.parquet", row_group_size=100_000)
    rules = suite(
        *(
            expect(f"column_{what}_to_be_between", column=name, max_value=1e300)
            for name in columns
            for what in ("mean", "stdev", "sum")
        ),
        *(
            expect("column_value_z_scores_to_be_less_than", column=name, threshold=2, double_sided=True)
            for name in columns
        ),
    )
    found = [validate_data(str(tmp_path / f"{name}.parquet"), rules).checks for name in "aaab"]
    assert found[0] == found[1] == found[2] == found[3]
    observed = {check.name: check.observed for check in found[0]}
    for name, values in columns.items():
        assert observed[f"expect_column_sum_to_be_between({name})"] == pytest.approx(math.fsum(values), rel=1e-12)
        spread = observed[f"expect_column_stdev_to_be_between({name})"]
        assert spread == pytest.approx(scales[name] * np.std(values / scales[name], ddof=1), rel=1e-9)


def test_quantiles_of_one_column_are_each_their_own(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("v,w\n" + "".join(f"{value},a\n" for value in range(11)))
    items = [
        expect(
            "column_quantile_values_to_be_between",
            column="v",
            quantile_ranges={"quantiles": [at], "value_ranges": [pair]},
        )
        for at, pair in (
            (0, [0, 0]),
            (1, [10, 10]),
            (0.33, [3, 3]),
            (1, [None, 9.9]),
            (0.5, [5.0004, None]),
            (0.5, [5.1, 6]),
        )
    ]
    result = validate_data(str(tmp_path / "data.csv"), suite(*items))
    assert [check.outcome for check in result.checks[1:]] == [PASS, PASS, PASS, FAIL, PASS, FAIL]
    assert {check.values["engine"] for check in result.checks[1:]} == {"duckdb"}
    result = validate_data(str(tmp_path / "data.csv"), suite(*items), engine="great_expectations")
    assert [check.outcome for check in result.checks[1:]] == [PASS, *[ERROR] * 5]
    assert "ask for all quantiles of v in one expectation" in result.checks[2].detail


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_order_is_that_of_the_rows_and_files(tmp_path: Path, kind: str) -> None:
    """Large enough for several threads, row groups and buffers."""
    for number in range(3):
        part = pd.DataFrame({"v": range(number * 400_000, (number + 1) * 400_000), "w": "a" * 40})
        target = tmp_path / f"part-{number}.{kind}"
        part.to_csv(target, index=False) if kind == "csv" else part.to_parquet(target, row_group_size=50_000)
    rising = expect("column_values_to_be_increasing", column="v", strictly=True)
    falling = expect("column_values_to_be_decreasing", column="v")
    for _ in range(3):
        one, other = validate_data(str(tmp_path), suite(rising, falling), engine="duckdb").checks[1:]
        assert (one.outcome, one.values["unexpected_count"]) == (PASS, 0)
        assert (other.outcome, other.values["unexpected_count"]) == (FAIL, 1_199_999)


def test_unsigned_numbers_are_in_order_too(tmp_path: Path) -> None:
    """pandas subtracts them around zero, so that 3 before 1 is no fall."""
    pq.write_table(pa.table({"v": pa.array([3, 1], pa.uint32())}), tmp_path / "data.parquet")
    check = validate_data(
        tmp_path / "data.parquet", suite(expect("column_values_to_be_increasing", column="v"))
    ).checks[1]
    assert (check.outcome, check.values["unexpected_count"]) == (FAIL, 1)


def test_whole_numbers_that_pandas_rounds_are_exact(tmp_path: Path) -> None:
    path = str(tmp_path / "wide.parquet")
    wide = [2**60, 2**60 + 1, None]
    pq.write_table(pa.table({"wide": pa.array(wide, pa.int64()), "full": pa.array([2**60, 2**60 + 1, 0])}), path)
    items = [expect("column_values_to_be_unique", column=name) for name in ("wide", "full")]
    items.append(expect("column_max_to_be_between", column="wide", max_value=2**60))
    result = validate_data(path, suite(*items))
    assert [check.outcome for check in result.checks[1:]] == [PASS, PASS, FAIL]
    assert set(result.details["unlike_great_expectations"].values()) == {differences.WHOLE}


@pytest.mark.parametrize("values", [[3, 4, 5, 5], [-7, 2**40, 2**41, 2**40], [0, 0, 0, 0], [1, 2, 3, 900]])
def test_whole_numbers_are_counted_close_together_or_far_apart(tmp_path: Path, values: list[int]) -> None:
    path = str(tmp_path / "ids.parquet")
    pd.DataFrame({"id": values}).to_parquet(path)
    for item in (
        expect("column_values_to_be_unique", column="id"),
        expect("column_unique_value_count_to_be_between", column="id", max_value=3),
        expect("column_proportion_of_unique_values_to_be_between", column="id", min_value=0.5),
    ):
        mine, _ = on_both(path, item)
        assert mine.values["engine"] == "duckdb"


def test_a_footer_that_lies_is_not_believed(tmp_path: Path) -> None:
    """Smallest and largest values and null counts stand in a parquet file's footer, where anybody can write them."""
    path = tmp_path / "lies.parquet"
    pq.write_table(pa.table({"age": pa.array([111111111, 222222222], pa.int64())}), path, compression="none")
    stored = path.read_bytes()
    honest = (111111111).to_bytes(8, "little")
    footer = stored.rindex(honest)
    assert stored.count(honest) > 1
    forged = (222222221).to_bytes(8, "little")
    path.write_bytes(stored[:4] + stored[4:].replace(honest, forged).replace(forged, honest, 1))
    assert path.read_bytes()[footer : footer + 8] == forged
    smallest = expect("column_min_to_be_between", column="age", min_value=200000000)
    mine, _ = on_both(str(path), smallest)
    assert (mine.values["engine"], mine.outcome) == ("duckdb", FAIL)


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"a,b\n1,2,3\n4,5,6\n", "data.dialect", "row 2 has 3 fields where the header names 2"),
        (b"a,b\n1\n2,3\n", "data.dialect", "row 2 has 1 field where the header names 2"),
        (b"a,b\n   \n1,2\n", "data.dialect", "row 2 has 1 field"),
        (b'a,b\n1,"x"y\n', "data.unreadable", "line 2"),
        (b"\n\na,b\n1,2\n", "data.no_header", ""),
        (b"a,A\n1,2\n", "column.twice", "a, A"),
        (b"a,b\n1,\xff\n", "file.not_text", "not UTF-8"),
        (b"", "data.empty", ""),
    ],
)
def test_a_csv_that_could_be_read_two_ways_is_refused(tmp_path: Path, content: bytes, code: str, words: str) -> None:
    (tmp_path / "bad.csv").write_bytes(content)
    with raises_code(ConfigurationError, code, words):
        validate_data(tmp_path / "bad.csv", suite(expect("column_values_to_not_be_null", column="a")))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_partitions_and_globs_are_one_table_for_both(tmp_path: Path, kind: str) -> None:
    parts = {"year=2024/region=north": [1, 2], "year=2025/region=south": [2, None], "year=2025/region=north": [5, 6]}
    for at, (folder, ages) in enumerate(parts.items()):
        (tmp_path / "data" / folder).mkdir(parents=True)
        frame = pd.DataFrame({"age": pd.array(ages, dtype="Float64").astype("float64"), "name": ["x", f"n{at}"]})
        target = tmp_path / "data" / folder / f"part.{kind}"
        frame.to_csv(target, index=False) if kind == "csv" else frame.to_parquet(target)
    items = [
        expect("column_values_to_be_between", column="year", min_value=2025),
        expect("column_values_to_be_in_set", column="region", value_set=["north"]),
        expect("column_values_to_be_unique", column="age"),
        expect("column_values_to_be_unique", column="name"),
        expect("column_mean_to_be_between", column="age", min_value=0),
        expect("compound_columns_to_be_unique", column_list=["year", "region"]),
        expect("table_columns_to_match_ordered_list", column_list=["age", "name", "year", "region"]),
        expect("table_row_count_to_equal", value=6),
    ]
    for data in (str(tmp_path / "data"), str(tmp_path / "data" / "year=*" / "*" / f"*.{kind}")):
        mine = validate_data(data, suite(*items), engine="duckdb")
        reference = validate_data(data, suite(*items), engine="great_expectations")
        problems = [differences_between(*pair) for pair in zip(mine.checks[1:], reference.checks[1:], strict=True)]
        assert problems == [[]] * len(items)
        assert mine.subject == reference.subject
        assert [str(check.outcome) for check in mine.checks[1:4]] == ["FAIL", "FAIL", "FAIL"]
        assert mine.checks[7].outcome is PASS


def test_an_index_of_pandas_is_a_column(tmp_path: Path) -> None:
    path = str(tmp_path / "indexed.parquet")
    pd.DataFrame({"a": [1, 2]}, index=pd.Index([7, 7], name="key")).to_parquet(path)
    result = validate_data(path, suite(expect("column_values_to_be_unique", column="key")), engine="duckdb")
    assert sorted(result.details["columns"]) == ["a", "key"]
    assert result.checks[1].outcome is FAIL


@pytest.mark.slow
def test_duplicates_beyond_the_memory_limit_are_spilled(tmp_path: Path) -> None:
    path = str(tmp_path / "many.parquet")
    write_names(path, rows=2_000_000, different=1_999_990)
    check = validate_data(
        path, suite(expect("column_values_to_be_unique", column="name")), engine="duckdb", memory_limit="160MB"
    ).checks[1]
    assert check.values["unexpected_count"] == 20


# Frames in memory


def test_a_frame_is_validated_and_named_by_its_rows() -> None:
    frame = pd.DataFrame({"age": [31, 44, 300], "name": ["ann", None, "eve"], "rate": [0.5, math.nan, 1.0]})
    before = frame.copy(deep=True)
    result = validate_data(frame, suite(BETWEEN, expect("column_values_to_not_be_null", column="name")))
    assert [check.outcome for check in result.checks] == [PASS, PASS, FAIL]
    assert set(result.libraries) == {"duckdb"}
    assert (result.subject.kind, result.subject.name) == ("dataset", "pandas DataFrame")
    pd.testing.assert_frame_equal(frame, before)
    digest = result.subject.digest
    assert digest == fingerprint_frame(before.set_index("age", drop=False)).digest
    for changed in (
        before.iloc[::-1],
        before.rename(columns={"age": "years"}),
        before[["name", "age", "rate"]],
        before.assign(rate=[0.5, math.nan, 1.0000000000000002]),
        before.assign(name=["ann", "", "eve"]),
        before.assign(name=["ann", "None", "eve"]),
        before.assign(age=[31.0, 44.0, 300.0]),
        before.iloc[:2],
    ):
        assert fingerprint_frame(changed).digest != digest


def test_the_fingerprint_of_a_frame_does_not_hang_on_how_text_is_stored() -> None:
    plain = pd.DataFrame({"name": pd.Series(["a", None], dtype=object), "day": pd.to_datetime(["2026-01-01"] * 2)})
    assert fingerprint_frame(plain).digest == fingerprint_frame(plain.astype({"name": "string"})).digest
    assert fingerprint_frame(plain).digest == fingerprint_frame(plain.astype({"name": "category"})).digest
    shifted = plain.assign(day=plain["day"] + pd.Timedelta(1, "ns"))
    assert fingerprint_frame(shifted).digest != fingerprint_frame(plain).digest
    with raises_code(ConfigurationError, "column.kind", match='column "odd" holds values of type object'):
        fingerprint_frame(pd.DataFrame({"odd": [object()]}))
    with raises_code(ConfigurationError, "column.twice", match="more than one column named 'a'"):
        fingerprint_frame(pd.DataFrame([[1, 2]], columns=["a", "a"]))


# Regular expressions


@pytest.mark.parametrize(
    "pattern",
    ["(?i)a", r"\B", "(?=a)", "(?<!a)b", r"(a)\1", "(?s).", "a{1001}", "(?:a{40}){40}", "a*+", "(?>a)", "(", "\ud800"],
)
def test_an_expression_that_re2_reads_otherwise_is_not_taken(pattern: str) -> None:
    assert portable_regex(pattern) is None


@pytest.mark.slow
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    st.text(r"abz019_ .-@\\dwsDWSbB[]^$()|*+?{}1,é", max_size=10),
    st.lists(st.text("abz019_ .-@é\n\x1f\t", max_size=8), min_size=1, max_size=12),
)
def test_a_portable_expression_answers_as_python_does(pattern: str, values: list[str]) -> None:
    import re

    import duckdb

    portable = portable_regex(pattern)
    if portable is None:
        return
    values = [v for v in values if (v.isascii() or not portable.ascii_only) and not (portable.one_line and "\n" in v)]
    with duckdb.connect() as connection:
        for value in values:
            (answer,) = connection.execute("SELECT regexp_matches(?, ?)", [value, portable.pattern]).fetchall()[0]
            assert answer == bool(re.search(pattern, value)), (pattern, value, portable)


def test_every_type_of_great_expectations_is_known_and_most_are_compiled() -> None:
    import great_expectations.expectations.core  # noqa: F401 - registers them
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    known = {name for name in list_registered_expectation_implementations() if not handed.custom_module(name)}
    assert set(SIGNATURES) == known
    assert set(COMPILERS) < known
    assert len(COMPILERS) > 50


# Queries that fail


def _ends_of_dates(folder: Path) -> str:
    days = pa.array([2**31 - 1, 18262, 18262, -(2**31)], pa.int32()).cast(pa.date32())
    pq.write_table(pa.table({"d": days, "n": [1, 2, 3, 4]}), folder / "dates.parquet")
    return str(folder / "dates.parquet")


def test_a_query_that_fails_is_an_error_of_its_expectation_alone(tmp_path: Path) -> None:
    in_set = {"column": "d", "value_set": ["2020-01-01"], "condition_parser": "pandas"}
    rules = suite(
        expect("column_values_to_be_in_set", **in_set),
        expect("column_values_to_be_between", column="n", min_value=1, max_value=4),
        expect("column_mean_to_be_between", column="n", min_value=3, max_value=4),
        expect("column_values_to_be_in_set", **in_set, row_condition="n>3"),
        expect("column_values_to_be_in_set", **in_set, row_condition="n==2"),
    )
    result = validate_data(_ends_of_dates(tmp_path), rules, engine="duckdb")
    rows, first, between, mean, same, other = result.checks
    assert (rows.outcome, rows.observed) == (PASS, 4)
    assert [check.outcome for check in (first, between, mean, same, other)] == [ERROR, PASS, FAIL, ERROR, PASS]
    assert (mean.observed, between.values["element_count"]) == (2.5, 4)
    assert result.verdict is ERROR
    for check in (first, same):
        assert (
            "DuckDB stops at a value that it cannot compute with (a value is not of its column's type)" in check.detail
        )
        assert "5877642" not in check.detail  # a row's value


def test_rows_that_cannot_be_read_are_no_error_of_an_expectation(tmp_path: Path) -> None:
    path = tmp_path / "spoilt.parquet"
    pq.write_table(pa.table({"n": list(range(10_000))}), path, compression="none", use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[4:40] = b"\xff" * 36  # the header of the one page
    path.write_bytes(content)
    with raises_code(ConfigurationError, "data.unreadable"):
        validate_data(str(path), suite(expect("column_mean_to_be_between", column="n", min_value=0)), engine="duckdb")
