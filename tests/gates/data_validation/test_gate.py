"""The data gate: what Great Expectations says, and what it would have let through."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from airflow_mlgov.data import fingerprint as fingerprints
from airflow_mlgov.data.database import SqlSource, fingerprint
from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError
from airflow_mlgov.gates.data_validation import gx as _gx
from airflow_mlgov.gates.data_validation import judging, validate_data
from airflow_mlgov.gates.data_validation.suite import load_suite
from airflow_mlgov.gates.report import write_report
from airflow_mlgov.results import Check, Outcome, Severity
from tests.codes import raises_code
from tests.fixtures.postgres import PASSWORD, new_database
from tests.worlds.suites import expect, suite

pytestmark = pytest.mark.usefixtures("no_child")

PASS, FAIL, INCONCLUSIVE, ERROR = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.ERROR


AGE = expect("column_values_to_be_between", column="age", min_value=18, max_value=120)
NOT_NULL = expect("column_values_to_not_be_null", column="age")


@pytest.fixture
def frame() -> pd.DataFrame:
    """Five people; the names are what must never be seen in a result."""
    return pd.DataFrame(
        {
            "age": [31.0, 44.0, 300.0, 58.0, None],
            "grade": ["a", "b", "b", "b", "zebra-name"],
            "blank": [None] * 5,
        }
    )


@pytest.fixture
def data(tmp_path: Path, frame: pd.DataFrame) -> str:
    frame.to_parquet(tmp_path / "applicants.parquet")
    return str(tmp_path / "applicants.parquet")


BOTH_ENGINES = pytest.mark.parametrize("engine", ["auto", "great_expectations"])


def run_one(data: str | SqlSource, expectation: dict[str, Any], engine: Any = "auto") -> Check:
    row_count, check = validate_data(data, suite(expectation), engine=engine).checks
    assert row_count.name == "row_count"
    return check


# What passes and fails as it should


@BOTH_ENGINES
def test_each_expectation_is_a_check_with_counts_and_its_bound(data: str, engine: Any) -> None:
    result = validate_data(data, suite(AGE, NOT_NULL), engine=engine)
    assert (result.gate, result.verdict, result.subject.name) == ("data_validation", FAIL, data)
    assert result.details["rows"] == 5
    ran = {"auto": "duckdb"}.get(engine, engine)
    assert set(result.libraries) == ({"duckdb"} if ran == "duckdb" else {"great_expectations", "pandas", "duckdb"})
    assert [check.values["engine"] for check in result.checks[1:]] == [ran, ran]
    rows, age, nulls = result.checks
    assert (rows.name, rows.outcome, rows.observed) == ("row_count", PASS, 5)
    assert age.name == "expect_column_values_to_be_between(age)"
    assert (age.outcome, age.observed, age.bound) == (FAIL, 25.0, "min_value=18, max_value=120")
    assert {key: age.values[key] for key in ("element_count", "unexpected_count", "missing_count")} == {
        "element_count": 5,
        "unexpected_count": 1,
        "missing_count": 1,
    }
    assert age.detail == "1 of 4 values (25 %) do not meet the expectation"
    assert (nulls.outcome, nulls.bound) == (FAIL, "column values to not be null")


@BOTH_ENGINES
def test_severities_are_kept_and_only_critical_ones_decide(data: str, engine: Any) -> None:
    result = validate_data(
        data,
        suite(
            expect("column_values_to_not_be_null", "warning", column="age"),
            expect("column_values_to_be_unique", "info", column="grade"),
            expect("column_values_to_not_be_null", "critical", column="grade"),
        ),
        engine=engine,
    )
    assert [check.severity for check in result.checks[1:]] == [Severity.WARNING, Severity.INFO, Severity.CRITICAL]
    assert [check.outcome for check in result.checks[1:]] == [FAIL, FAIL, PASS]
    assert result.verdict is PASS


@BOTH_ENGINES
def test_mostly_is_allowed_and_explained(data: str, engine: Any) -> None:
    assert run_one(data, {**AGE, "kwargs": {**AGE["kwargs"], "mostly": 0.75}}, engine).outcome is PASS
    strict = run_one(data, {**AGE, "kwargs": {**AGE["kwargs"], "mostly": 0.9}}, engine)
    assert strict.outcome is FAIL
    assert strict.detail.endswith("mostly=0.9 allows 10 %")


@BOTH_ENGINES
def test_results_are_matched_by_id_however_they_are_ordered(data: str, engine: Any) -> None:
    """Great Expectations groups results by column: these come back in another order than they were written."""
    result = validate_data(
        data,
        suite(
            NOT_NULL,
            expect("column_values_to_not_be_null", column="grade"),
            AGE,
            expect("column_values_to_be_in_set", column="grade", value_set=["a", "b"]),
            expect("column_values_to_be_null", column="blank"),
            expect("column_values_to_be_unique", column="age"),
        ),
        engine=engine,
    )
    assert [(check.name, check.outcome) for check in result.checks[1:]] == [
        ("expect_column_values_to_not_be_null(age)", FAIL),
        ("expect_column_values_to_not_be_null(grade)", PASS),
        ("expect_column_values_to_be_between(age)", FAIL),
        ("expect_column_values_to_be_in_set(grade)", FAIL),
        ("expect_column_values_to_be_null(blank)", PASS),
        ("expect_column_values_to_be_unique(age)", PASS),
    ]


def test_the_same_expectation_twice_gets_two_names(data: str) -> None:
    checks = validate_data(data, suite(NOT_NULL, NOT_NULL)).checks[1:]
    assert [check.name for check in checks] == [
        "expect_column_values_to_not_be_null(age)",
        "expect_column_values_to_not_be_null(age) #2",
    ]


def test_columns_of_pairs_and_sets_are_named(data: str) -> None:
    pair = run_one(data, expect("column_pair_values_to_be_equal", column_A="age", column_B="grade"))
    assert pair.name == "expect_column_pair_values_to_be_equal(age, grade)"
    several = run_one(data, expect("compound_columns_to_be_unique", column_list=["age", "grade"]))
    assert (several.name, several.outcome) == ("expect_compound_columns_to_be_unique(age, grade)", PASS)


def test_suite_parameters_are_filled_in(data: str) -> None:
    rule = expect("column_values_to_be_between", column="age", min_value=0, max_value={"$PARAMETER": "oldest"})
    assert validate_data(data, suite(rule, suite_parameters={"oldest": 400})).verdict is PASS
    for parameters, why in (
        ({}, 'the $PARAMETER "oldest" has no value in suite_parameters'),
        ({"oldst": 3}, '(did you mean "oldst"?)'),
        ({"oldest": None}, 'the $PARAMETER "oldest" is null'),
        ({"oldest": []}, 'the $PARAMETER "oldest" is an empty list'),
        ({"oldest": {"$PARAMETER": "oldest"}}, "is itself a $PARAMETER"),
        ({"oldest": "400"}, "min_value and max_value are of two kinds"),
    ):
        check = validate_data(data, suite(rule, suite_parameters=parameters)).checks[1]
        assert check.outcome is ERROR
        assert why in check.detail


# Where Great Expectations fails open


def test_an_unknown_expectation_is_an_error_not_dropped(data: str) -> None:
    result = validate_data(data, suite({"type": "expect_column_values_to_be_betwen", "kwargs": {"column": "age"}}))
    assert result.verdict is ERROR
    assert '"expect_column_values_to_be_betwen" (did you mean "expect_column_values_to_be_between"?)' in str(
        result.failed[0]
    )


@BOTH_ENGINES
@pytest.mark.parametrize("severity", ["critcal", "high", 3, ["critical"]])
def test_an_unknown_severity_is_a_critical_error_not_dropped(data: str, severity: Any, engine: Any) -> None:
    result = validate_data(data, suite({**NOT_NULL, "severity": severity}, NOT_NULL), engine=engine)
    (problem, *_) = result.failed
    assert (result.verdict, problem.outcome, problem.severity) == (ERROR, ERROR, Severity.CRITICAL)
    assert "unknown severity" in problem.detail
    assert "known: critical, warning, info" in problem.detail


def test_what_great_expectations_drops_by_itself_is_an_error(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from great_expectations.core import ExpectationSuite
    from great_expectations.exceptions import InvalidExpectationConfigurationError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    build, process = ExpectationConfiguration.to_domain_obj, ExpectationSuite._process_expectation

    def refuse_unique(config: Any) -> Any:
        if config.type == "expect_column_values_to_be_unique":
            raise InvalidExpectationConfigurationError("not today")
        return build(config)

    def lose_set(self: Any, like: Any) -> Any:
        if like["type"] == "expect_column_values_to_be_in_set":
            raise InvalidExpectationConfigurationError("dropped")
        return process(self, like)

    monkeypatch.setattr(ExpectationConfiguration, "to_domain_obj", refuse_unique)
    monkeypatch.setattr(ExpectationSuite, "_process_expectation", lose_set)
    in_set = expect("column_values_to_be_in_set", column="grade", value_set=["a"])
    result = validate_data(
        data,
        suite(expect("column_to_exist", column="age"), expect("column_values_to_be_unique", column="age"), in_set),
        engine="great_expectations",
    )
    assert [check.outcome for check in result.checks[1:]] == [PASS, ERROR, ERROR]
    assert "did not take it: not today" in result.checks[2].detail
    assert "dropped it without saying why" in result.checks[3].detail


def test_an_empty_suite_is_an_error(data: str) -> None:
    result = validate_data(data, suite())
    assert result.verdict is ERROR
    assert "holds no expectation" in result.summary()


@BOTH_ENGINES
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_no_rows_fail_and_leave_the_rest_inconclusive(
    tmp_path: Path, frame: pd.DataFrame, kind: str, engine: Any
) -> None:
    path = str(tmp_path / f"none.{kind}")
    frame.iloc[:0].to_csv(path, index=False) if kind == "csv" else frame.iloc[:0].to_parquet(path)
    unique = expect("column_values_to_be_unique", column="age")
    in_set = expect("column_distinct_values_to_be_in_set", column="grade", value_set=["a"])
    result = validate_data(path, suite(NOT_NULL, unique, AGE, in_set), engine=engine)
    assert [check.outcome for check in result.checks] == [FAIL, *[INCONCLUSIVE] * 4]
    assert result.verdict is FAIL
    assert "there are no rows" in result.checks[1].detail


def test_min_rows_is_a_bound_of_its_own(data: str) -> None:
    result = validate_data(data, suite(expect("column_to_exist", column="age")), min_rows=6)
    assert (result.verdict, result.checks[0].outcome) == (FAIL, FAIL)
    assert result.checks[0].detail == "5 rows; at least 6 are needed to judge the data"
    for wrong in (0, -1, True, 1.5):
        with raises_code(ConfigurationError, "setting.wrong"):
            validate_data(data, suite(NOT_NULL), min_rows=wrong)  # type: ignore[arg-type]


@BOTH_ENGINES
@pytest.mark.parametrize(
    "rule",
    [
        expect("column_values_to_be_between", column="blank", min_value=0),
        expect("column_values_to_be_in_set", column="blank", value_set=["a"]),
        expect("column_values_to_match_regex", column="blank", regex="a"),
        expect("column_value_lengths_to_equal", column="blank", value=1),
        expect("column_median_to_be_between", column="blank", min_value=0),
        expect("column_sum_to_be_between", column="blank", min_value=0),
        expect("column_proportion_of_unique_values_to_be_between", column="blank", min_value=0.5),
        expect("column_values_to_be_unique", column="blank"),
        expect("column_values_to_be_of_type", column="blank", type_="int"),
        expect("column_distinct_values_to_be_in_set", column="blank", value_set=["a"]),
        expect("column_mean_to_be_between", column="blank", min_value=0),
        expect("column_max_to_be_between", column="blank", max_value=1),
    ],
    ids=lambda rule: rule["type"],
)
def test_a_column_of_nulls_is_inconclusive(data: str, rule: dict[str, Any], engine: Any) -> None:
    check = run_one(data, rule, engine)
    assert check.outcome is INCONCLUSIVE
    assert "no value to judge" in check.detail


def test_a_row_condition_that_selects_nothing_is_inconclusive(data: str) -> None:
    nobody = {"row_condition": 'grade=="none"', "condition_parser": "pandas"}
    for rule in (
        expect("column_values_to_not_be_null", column="age", **nobody),
        expect("column_distinct_values_to_be_in_set", column="grade", value_set=["a"], **nobody),
    ):
        check = run_one(data, rule)
        assert check.outcome is INCONCLUSIVE
        assert "row_condition selects" in check.detail


@BOTH_ENGINES
def test_an_aggregate_that_is_no_number_is_inconclusive(tmp_path: Path, engine: Any) -> None:
    pd.DataFrame({"one": [1.0], "two": ["a"]}).to_csv(tmp_path / "one.csv", index=False)
    check = run_one(str(tmp_path / "one.csv"), expect("column_stdev_to_be_between", column="one", max_value=9), engine)
    assert check.outcome is INCONCLUSIVE
    assert "not a finite number" in check.detail


@BOTH_ENGINES
@pytest.mark.parametrize(
    "rule",
    [
        expect("column_values_to_be_between", column="agee", min_value=0),
        expect("column_mean_to_be_between", column="agee", min_value=0),
        expect("compound_columns_to_be_unique", column_list=["grade", "agee"]),
    ],
    ids=lambda rule: rule["type"],
)
def test_a_missing_column_is_an_error_that_names_it(data: str, rule: dict[str, Any], engine: Any) -> None:
    check = run_one(data, rule, engine)
    assert check.outcome is ERROR
    assert 'no column "agee" (did you mean "age"?); it has: age, grade, blank' in check.detail


@BOTH_ENGINES
def test_a_column_that_should_exist_and_does_not_is_a_failure(data: str, engine: Any) -> None:
    check = run_one(data, expect("column_to_exist", column="income"), engine)
    assert (check.outcome, check.detail) == (FAIL, 'there is no column "income"')
    assert check.name == "expect_column_to_exist(income)"


def test_what_cannot_be_evaluated_is_an_error_without_values_or_paths(data: str) -> None:
    mean = expect("column_mean_to_be_between", column="grade", min_value=0)
    between = expect("column_values_to_be_between", column="grade", min_value=0)
    here = validate_data(data, suite(mean, between)).checks[1:]
    there = validate_data(data, suite(mean, between), engine="great_expectations").checks[1:]
    assert 'the column "grade" is VARCHAR, and the expectation is about numbers' in here[0].detail
    assert 'the column "grade" is VARCHAR, and is held against a number' in here[1].detail
    for check in (*here, *there):
        assert check.outcome is ERROR
        assert "VARCHAR" in check.detail
        assert not re.search("zebra|Traceback|/|\\.py", json.dumps(check.as_dict()))


def test_a_run_that_ends_in_an_error_passes_nothing(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_args: Any) -> None:
        raise RuntimeError("zebra-name in /some/path")

    monkeypatch.setattr(_gx, "_batch", crash)
    result = validate_data(data, suite(expect("column_to_exist", column="age")), engine="great_expectations")
    assert result.verdict is ERROR
    assert result.checks[1].detail.endswith("did not evaluate it: RuntimeError")


def _answer(
    key: Any, success: Any = True, kind: str = "expect_column_values_to_be_between", **raw: Any
) -> dict[str, Any]:
    config = {"id": key, "type": kind}
    return {"expectation_config": config, "success": success, "result": raw, "exception_info": {}}


def test_missing_repeated_and_surplus_results_are_errors(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def collect(raw: Any, positions: Any, probes: Any) -> _gx.Run:
        kept = [item for item in raw if item["expectation_config"]["type"] != "expect_column_to_exist"]
        return real([*kept, kept[0], _answer("stranger")], positions, probes)

    real = _gx._collect
    monkeypatch.setattr(_gx, "_collect", collect)
    result = validate_data(
        data,
        suite(expect("column_values_to_be_unique", column="age"), expect("column_to_exist", column="age")),
        engine="great_expectations",
    )
    assert [check.outcome for check in result.checks] == [PASS, ERROR, PASS, ERROR]
    assert "gave no result for this one" in result.checks[3].detail
    assert result.checks[1].observed == 2


@pytest.mark.parametrize(
    ("success", "raw", "detail"),
    [
        (True, {"element_count": 4, "unexpected_count": 1, "missing_count": 0}, "success with 1 unexpected of 4"),
        (True, {"element_count": 4, "unexpected_count": 5, "missing_count": 0}, "5 unexpected of 4"),
        (True, {"element_count": 4, "unexpected_count": 0, "missing_count": 5}, "0 unexpected of -1"),
        (True, {"element_count": 4, "unexpected_count": None, "missing_count": 0}, "no count of unexpected values"),
        (None, {}, "neither yes nor no"),
        ("true", {}, "neither yes nor no"),
    ],
)
def test_an_answer_that_cannot_be_so_is_an_error(
    data: str, monkeypatch: pytest.MonkeyPatch, success: Any, raw: dict[str, Any], detail: str
) -> None:
    real = _gx._collect

    def collect(_raw: Any, positions: Any, probes: Any) -> _gx.Run:
        return real([_answer(key, success, **raw) for key in positions], positions, probes)

    monkeypatch.setattr(_gx, "_collect", collect)
    check = run_one(data, AGE, "great_expectations")
    assert check.outcome is ERROR
    assert detail in check.detail


def test_an_aggregate_of_unknown_support_is_an_error(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = _gx._collect

    def lose_probes(raw: Any, positions: Any, probes: Any) -> _gx.Run:
        return real([item for item in raw if item["expectation_config"]["id"] not in probes], positions, probes)

    monkeypatch.setattr(_gx, "_collect", lose_probes)
    check = run_one(data, expect("column_mean_to_be_between", column="age", min_value=0), "great_expectations")
    assert check.outcome is ERROR
    assert "from how many values" in check.detail


def test_errors_are_read_in_both_shapes() -> None:
    flat = {
        "raised_exception": True,
        "exception_message": "x",
        "exception_traceback": "Traceback\n  File\na.b.KeyError: 'zebra'",
    }
    assert _gx._error(flat) == "KeyError"
    assert _gx._error({"metric": flat, "other": {"raised_exception": False}}) == "KeyError"
    assert _gx._error({**flat, "exception_traceback": None}) == "an internal error"
    assert _gx._error({"raised_exception": False, "exception_message": None}) == ""


# Row values


@BOTH_ENGINES
def test_no_row_value_is_in_the_result_the_report_or_the_docs(data: str, tmp_path: Path, engine: Any) -> None:
    column = {"column": "grade"}
    rules = suite(
        expect("column_values_to_be_in_set", value_set=["a"], **column),
        expect("column_distinct_values_to_be_in_set", value_set=["a"], **column),
        expect("column_distinct_values_to_equal_set", value_set=["a"], **column),
        expect("column_most_common_value_to_be_in_set", value_set=["a"], **column),
        expect("column_max_to_be_between", column="age", max_value=17),
        expect("column_median_to_be_between", column="age", max_value=17),
        expect(
            "column_quantile_values_to_be_between",
            column="age",
            quantile_ranges={"quantiles": [1], "value_ranges": [[0, 1]]},
        ),
        expect(
            "column_kl_divergence_to_be_less_than",
            partition_object={"values": ["a"], "weights": [1]},
            threshold=0.1,
            **column,
        ),
        expect("column_unique_value_count_to_be_between", max_value=1, **column),
    )
    docs = tmp_path / "docs"
    with_docs = {"data_docs_dir": docs} if engine == "great_expectations" else {}
    result = validate_data(data, rules, engine=engine, report_dir=tmp_path / "reports", **with_docs)
    ran = {check.values["engine"] for check in result.checks[1:]}
    assert ran == ({"great_expectations"} if with_docs else {"duckdb", "great_expectations"})
    assert not [check for check in result.checks[1:] if check.outcome is PASS]
    assert result.checks[2].values["observed_value"] == "withheld: it may be a row's value"
    assert "the observed value is withheld" in result.checks[5].detail
    assert (result.checks[-1].observed, result.checks[-1].detail) == (3, "observed 3")
    evidence = json.dumps([check.as_dict() for check in result.checks]) + json.dumps(dict(result.details))
    report = Path(result.reports["Data validation report"]).read_text()
    pages = [page.read_text() for page in docs.rglob("*.html")]
    if with_docs:
        assert Path(result.reports["Data Docs"]) == docs / "index.html"
        assert len(pages) == 2
    for text in (evidence, report, *pages):
        assert "zebra" not in text
    assert "300" not in evidence


def test_great_expectations_is_quiet(
    data: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("great_expectations")
    before = logger.propagate, list(logger.handlers)
    validate_data(
        data, suite(AGE, expect("column_mean_to_be_between", column="grade", min_value=0)), engine="great_expectations"
    )
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.name.startswith("great_expectations")]
    assert (logger.propagate, list(logger.handlers)) == before


# The report


def test_the_report_is_one_file_that_escapes_what_it_shows(tmp_path: Path) -> None:
    pd.DataFrame({"<script>alert(1)</script>": [1, None]}).to_csv(tmp_path / "a.csv", index=False)
    rule = expect("column_values_to_not_be_null", column="<script>alert(1)</script>")
    result = validate_data(str(tmp_path / "a.csv"), suite(rule), report_dir=tmp_path / "made" / "here")
    path = Path(result.reports["Data validation report"])
    html = path.read_text()
    assert list(path.parent.iterdir()) == [path]
    assert "<script" not in html
    assert not re.search(r"https?://|src=|@import|url\(", html)
    assert "&lt;script&gt;" in html
    assert result.subject.digest in html
    assert "FAIL" in html


def test_a_directory_that_cannot_be_written_is_told_before_the_work(data: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for argument in ("report_dir", "data_docs_dir"):
        with raises_code(ConfigurationError, "folder.not_writable"):
            validate_data(data, suite(NOT_NULL), **{argument: tmp_path / "file"})  # type: ignore[arg-type]
    result = validate_data(data, suite(NOT_NULL))
    with raises_code(ConfigurationError, "folder.not_writable"):
        write_report(result, tmp_path / "file")


# The suite


SUITE_YAML = """\
name: applicants
expectations:
  - type: expect_column_values_to_be_in_set
    severity: warning
    kwargs:
      column: grade
      value_set: [no, 2024-01-01, 012]
      mostly: 0.5
  - {type: expect_column_values_to_not_be_null, kwargs: {column: age}}
"""


def test_yaml_means_what_json_would(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SUITE_YAML)
    loaded = load_suite(tmp_path / "s.yaml")
    assert loaded.expectations[0].kwargs == {"column": "grade", "value_set": ["no", "2024-01-01", "012"], "mostly": 0.5}
    assert [item.where for item in loaded.expectations] == [
        f"{tmp_path}/s.yaml:3 (expectation 1)",
        f"{tmp_path}/s.yaml:9 (expectation 2)",
    ]
    content = {"expectations": [{"type": item.type, "kwargs": dict(item.kwargs)} for item in loaded.expectations]}
    (tmp_path / "s.json").write_text(json.dumps(content, indent=1))
    again = load_suite(str(tmp_path / "s.json"))
    assert [item.kwargs for item in again.expectations] == [item.kwargs for item in loaded.expectations]
    assert again.name == f"{tmp_path}/s.json"
    assert load_suite(content).digest == load_suite(dict(reversed(content.items()))).digest != again.digest


def test_a_suite_from_a_file_is_an_input_with_its_digest(data: str, tmp_path: Path) -> None:
    path = tmp_path / "suite.json"
    path.write_text(json.dumps(suite(NOT_NULL)))
    (subject,) = validate_data(data, path).inputs
    assert (subject.kind, subject.name, subject.digest) == ("suite", str(path), load_suite(path).digest)
    assert validate_data(data, suite(NOT_NULL)).inputs[0].name == "applicants"


@pytest.mark.parametrize(
    ("name", "text", "code", "words"),
    [
        ("s.json", "", "file.not_json", r"s\.json:1: the suite is not JSON"),
        ("s.json", '{"name": "s",\n expectations: []}', "file.not_json", r"s\.json:2: the suite is not JSON"),
        ("s.json", "type,kwargs\n", "file.not_json", ""),
        ("s.json", "[]", "suite.form", ""),
        ("s.json", "null", "suite.form", ""),
        ("s.json", '{"name": "s"}', "suite.form", ""),
        ("s.json", '{"expectations": {}}', "suite.form", ""),
        ("s.json", '{"expectations": [], "expectation": []}', "suite.unknown_key", ""),
        (
            "s.json",
            '{"expectations": [1], "expectations": []}',
            "file.key_twice",
            "the key 'expectations' stands twice",
        ),
        ("s.json", '{"expectations": [NaN]}', "file.not_finite", ""),
        ("s.json", '{"expectations":\n [{},\n "x"]}', "suite.form", r"s\.json:2 \(expectation 1\): `type` must be"),
        (
            "s.json",
            '{"expectations":\n [\n "x"]}',
            "suite.form",
            r"s\.json:3 \(expectation 1\): an expectation is a mapping",
        ),
        (
            "s.json",
            '{"expectations":\t[{"type": "a", "kwargs": []}]}',
            "suite.form",
            "",
        ),
        ("s.json", '{"expectations": [], "suite_parameters": [1]}', "suite.form", ""),
        ("s.yaml", "expectations: [", "file.not_yaml", r"s\.yaml:2: the suite is not YAML"),
        (
            "s.yaml",
            "expectations: []\nexpectations: []\n",
            "file.key_twice",
            "yaml:2: the key 'expectations' stands twice",
        ),
        ("s.yml", "expectations: [!!python/object:os.system {}]", "file.not_yaml", ""),
        ("s.yml", "a: \x01", "file.not_yaml", ""),
        ("s.yaml", "just words", "suite.form", ""),
    ],
)
def test_a_suite_that_is_none_says_so(tmp_path: Path, name: str, text: str, code: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with raises_code(ConfigurationError, code, words):
        load_suite(tmp_path / name)


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}])
def test_a_mapping_must_be_plain_json(data: str, value: Any) -> None:
    with raises_code(ConfigurationError, "suite.form"):
        validate_data(data, suite(expect("column_values_to_be_in_set", column="age", value_set=value)))


def test_a_suite_that_cannot_be_read(tmp_path: Path) -> None:
    with raises_code(ConfigurationError, "file.missing"):
        load_suite(tmp_path / "missing.json")
    with raises_code(ConfigurationError, "file.unreadable"):
        load_suite(tmp_path)
    (tmp_path / "s.json").write_bytes(b"\xff")
    with raises_code(ConfigurationError, "file.not_text"):
        load_suite(tmp_path / "s.json")


@BOTH_ENGINES
@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (
            expect("column_values_to_be_between", column="age", min_value=0, maximum=3),
            "there is no maximum",
        ),
        (expect("column_values_to_be_between", column="age", min_value=0, mostly=2), "mostly is 2"),
        (expect("column_values_to_be_between", column="age", min_value=0, mostly="0"), "mostly is a text"),
        (expect("column_values_to_be_between", column="age", min_value=0, strict_min=1), "strict_min is a number"),
        (expect("column_values_to_be_between", column="age", min_value=True), "min_value is true or false"),
        (expect("column_values_to_be_between", column="age", min_value=5, max_value=1), "min_value is above max_value"),
        (expect("column_values_to_be_in_set", value_set=["a"]), "column is missing"),
        (expect("column_values_to_be_in_set", column="age", value_set="ab"), "value_set is a text"),
        (expect("column_values_to_be_in_set", column="age", value_set=[]), "value_set is empty"),
        (expect("compound_columns_to_be_unique", column_list=["age"]), "column_list has fewer than 2 items"),
        (expect("compound_columns_to_be_unique", column_list=["age", "age"]), "column_list has an item twice"),
        (expect("column_pair_values_to_be_equal", column_A="age", column_B="b", ignore_row_if="x"), "must be one of"),
        (expect("table_row_count_to_equal", value="6"), "value is a text"),
        ({**NOT_NULL, "sevrity": "info"}, "unknown key sevrity"),
    ],
)
def test_wrong_arguments_are_an_error_of_that_expectation(
    data: str, rule: dict[str, Any], why: str, engine: Any
) -> None:
    wrong, other = validate_data(data, suite(rule, NOT_NULL), engine=engine).checks[1:]
    assert (wrong.outcome, wrong.severity, other.outcome) == (ERROR, Severity.CRITICAL, FAIL)
    assert "(expectation 1): " in wrong.detail
    assert why in wrong.detail


def test_a_long_bound_is_cut(data: str) -> None:
    check = run_one(data, expect("column_values_to_be_in_set", column="age", value_set=list(range(500))))
    assert isinstance(check.bound, str)
    assert len(check.bound) == 300
    assert check.bound.endswith("…")


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [("a.csv", None, "file.missing"), ("a.csv", b"", "data.empty"), ("a.parquet", b"PAR1", "data.unreadable")],
)
def test_data_that_is_none_is_a_configuration_error(
    tmp_path: Path, name: str, content: bytes | None, code: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with raises_code(ConfigurationError, code):
        validate_data(tmp_path / name, suite(NOT_NULL))


# SQL


@pytest.fixture
def sqlite(tmp_path: Path, frame: pd.DataFrame) -> str:
    url = f"sqlite:///{tmp_path}/risk.db"
    engine = sa.create_engine(url)
    frame.to_sql("applicants", engine, index=False)
    engine.dispose()
    return url


def test_sqlite_gives_the_same_outcomes_as_a_file(data: str, sqlite: str) -> None:
    rules = suite(AGE, NOT_NULL, expect("column_values_to_be_in_set", column="grade", value_set=["a", "b"]))
    source = SqlSource(sqlite, table="applicants")
    from_sql, from_file = validate_data(source, rules), validate_data(data, rules)
    assert [(c.name, c.outcome, c.observed) for c in from_sql.checks] == [
        (c.name, c.outcome, c.observed) for c in from_file.checks
    ]
    assert from_sql.subject == fingerprint(source).subject(source.name)
    query = SqlSource(sqlite, query="WITH a AS (SELECT * FROM applicants WHERE age < 120) SELECT age FROM a;")
    assert validate_data(query, suite(AGE, NOT_NULL)).verdict is PASS
    missing = run_one(query, expect("column_values_to_not_be_null", column="grade"))
    assert (missing.outcome, 'no column "grade"; it has: age' in missing.detail) == (ERROR, True)


def test_no_rows_and_nulls_in_sql(sqlite: str) -> None:
    nobody = SqlSource(sqlite, query="SELECT * FROM applicants WHERE age > 1000")
    in_set = expect("column_distinct_values_to_be_in_set", column="grade", value_set=["a"])
    result = validate_data(nobody, suite(NOT_NULL, in_set, AGE))
    assert [check.outcome for check in result.checks] == [FAIL, INCONCLUSIVE, INCONCLUSIVE, INCONCLUSIVE]
    nulls = expect("column_values_to_be_in_set", column="blank", value_set=["a"])
    assert run_one(SqlSource(sqlite, table="applicants"), nulls).outcome is INCONCLUSIVE


def test_the_fingerprint_binds_rows_and_not_their_order(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/f.db")
    tables = {
        "one": [(1, "a", None), (2, "b", 1.5), (2, "b", 1.5)],
        "turned": [(2, "b", 1.5), (1, "a", None), (2, "b", 1.5)],
        "fewer": [(1, "a", None), (2, "b", 1.5)],
        "other": [(1, "a", None), (2, "b", 1.5), (1, "a", None)],
        "moved": [(1, "a", None), (2, "b", 1.5), (2, "b1", 0.5)],
        "typed": [(1, "a", None), (2, "b", 1.5), ("2", "b", 1.5)],
        "blank": [(1, "a", ""), (2, "b", 1.5), (2, "b", 1.5)],
    }
    digests = {}
    with engine.begin() as connection:
        for name, rows in tables.items():
            connection.exec_driver_sql(f"CREATE TABLE {name} (i, s, f)")
            connection.exec_driver_sql(f"INSERT INTO {name} VALUES (?, ?, ?)", rows)
    for name in tables:
        digests[name] = fingerprint(SqlSource(f"sqlite:///{tmp_path}/f.db", table=name)).digest
    assert digests["one"] == digests["turned"]
    assert len(set(digests.values())) == len(tables) - 1
    renamed = SqlSource(f"sqlite:///{tmp_path}/f.db", query="SELECT i AS j, s, f FROM one")
    assert fingerprint(renamed).digest != digests["one"]
    engine.dispose()


def test_the_rows_of_a_table_are_read_once(sqlite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is judged is what was bound, whoever writes to the table meanwhile."""
    real = judging.hand_over

    def write_then_hand_over(*args: Any) -> Any:
        engine = sa.create_engine(sqlite)
        with engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM applicants")
        engine.dispose()
        return real(*args)

    source = SqlSource(sqlite, table="applicants")
    expected = fingerprint(source).subject(source.name)
    monkeypatch.setattr(judging, "hand_over", write_then_hand_over)
    result = validate_data(source, suite(NOT_NULL), engine="great_expectations")
    assert (result.subject, result.details["rows"]) == (expected, 5)
    assert result.checks[1].values["element_count"] == 5


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"table": "nobody"}, "database.query"),
        ({"query": "SELEC 1"}, "database.query"),
        ({"query": "SELECT nope FROM applicants"}, "database.query"),
        ({"query": "DELETE FROM applicants"}, "database.query"),
    ],
)
def test_sql_mistakes(sqlite: str, arguments: dict[str, str], code: str) -> None:
    with raises_code(ConfigurationError, code):
        fingerprint(SqlSource(sqlite, **arguments))


def test_sqlite_makes_no_file_where_there_is_none(tmp_path: Path) -> None:
    with raises_code(ConfigurationError, "file.missing"):
        fingerprint(SqlSource(f"sqlite:///{tmp_path}/none.db", table="t"))
    assert not list(tmp_path.iterdir())
    with raises_code(ConfigurationError, "database.query"):
        fingerprint(SqlSource("sqlite://", table="t"))
    (tmp_path / "text.db").write_text("this is not a database, however long it may be " * 50)
    with raises_code(ConfigurationError, "database.query"):
        fingerprint(SqlSource(f"sqlite:///{tmp_path}/text.db", table="t"))


def test_a_locked_sqlite_is_a_dependency_that_is_down(sqlite: str) -> None:
    engine = sa.create_engine(sqlite)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN EXCLUSIVE")
        with raises_code(DependencyError, "database.down"):
            fingerprint(SqlSource(f"{sqlite}?timeout=0.1", table="applicants"))
    engine.dispose()


def test_a_source_shows_no_credential(tmp_path: Path) -> None:
    source = SqlSource("postgresql+psycopg://url-user:url-pass@db.example:5433/risk?password=in-query", table="s.t")
    other = SqlSource("postgresql://db.example/risk", query="SELECT 1", username="url-user", password="url-pass")
    assert source.name == "postgresql://db.example:5433/risk#table=s.t"
    assert re.fullmatch(r"postgresql://db\.example/risk#query=sha256:[0-9a-f]{64}", other.name)
    for text in (repr(source), str(source), repr(other), source.name, other.name):
        assert not re.search("url-user|url-pass|in-query", text)
    assert source.scrub("url-user:url-pass, in-query") == "***:***, ***"
    assert other.sa_url().password == "url-pass"
    with raises_code(ConfigurationError, "source.table_or_query"):
        SqlSource("sqlite://", table="t", query="SELECT 1")
    with raises_code(ConfigurationError, "source.table_or_query"):
        SqlSource("sqlite://")
    with raises_code(ConfigurationError, "source.address") as caught:
        SqlSource("host=db password=hunter2", table="t")
    assert "hunter2" not in str(caught.value)
    with raises_code(ConfigurationError, "connection.no_driver"):
        fingerprint(SqlSource("nosuchdb://db/risk", table="t"))


def test_values_without_a_canonical_form_are_refused() -> None:
    for value in (object(), {"a": object()}):
        with raises_code(ConfigurationError, "column.kind", match='column "c" holds values of type'):
            fingerprints._encode(value, "c")
    assert fingerprints._encode(float("nan"), "c") == fingerprints._encode(-float("nan"), "c")


@pytest.fixture(scope="module")
def postgres(postgres_server: str) -> str:
    """A database with a schema ``risk`` that strangers may not look into."""
    url = new_database(postgres_server)
    engine = sa.create_engine(sa.make_url(url).set(password=PASSWORD))
    with engine.begin() as connection:
        for statement in (
            "CREATE SCHEMA risk",
            "CREATE TABLE risk.loans (id int, age int, amount numeric(10, 2), at timestamptz, day date,"
            " span interval, clock time, raw bytea, doc jsonb, list int[], uid uuid, ok boolean,"
            " rate float8, name text)",
            "INSERT INTO risk.loans SELECT i, 18 + mod(i, 60), i * 1.5, '2026-01-01Z', '2026-01-01',"
            " '1 day', '12:00', 'x', jsonb_build_object('n', 1.5), array[1, i],"
            " '6ba7b810-9dad-11d1-80b4-00c04fd430c8', true, i / 3.0,"
            " 'zebra-' || i FROM generate_series(1, 60) AS i",
            "CREATE ROLE stranger LOGIN PASSWORD 'stranger-pass'",
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()
    return url


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_postgres_gate(postgres: str, driver: str, tmp_path: Path) -> None:
    source = SqlSource(postgres.replace("psycopg", driver), table="risk.loans", password=PASSWORD)
    rules = suite(
        expect("column_values_to_be_between", column="age", min_value=18, max_value=70),
        expect("column_mean_to_be_between", column="amount", min_value=0),
        expect("column_values_to_be_unique", column="id"),
        expect("column_max_to_be_between", column="age", max_value=10),
    )
    docs = tmp_path / "docs"
    result = validate_data(source, rules, report_dir=tmp_path, data_docs_dir=docs)
    assert [(check.outcome, check.observed) for check in result.checks] == [
        (PASS, 60),
        (FAIL, 11 + 2 / 3),
        (PASS, 45.75),
        (PASS, 0.0),
        (FAIL, None),
    ]
    assert result.subject.name.startswith("postgresql://127.0.0.1:")
    seen = json.dumps([check.as_dict() for check in result.checks]) + repr(result)
    for page in (*docs.rglob("*.html"), *docs.rglob("*.json"), *tmp_path.glob("*.html")):
        seen += page.read_text()
    assert not any(secret in seen for secret in (PASSWORD, "T%C3%A9st", "psycopg://postgres", "zebra"))


def test_the_fingerprint_does_not_depend_on_driver_or_time_zone(postgres: str) -> None:
    sources = [
        SqlSource(postgres, table="risk.loans", password=PASSWORD),
        SqlSource(postgres.replace("psycopg", "psycopg2"), table="risk.loans", password=PASSWORD),
        SqlSource(f"{postgres}?options=-ctimezone%3DAsia/Tokyo", table="risk.loans", password=PASSWORD),
        SqlSource(postgres, query="SELECT * FROM risk.loans ORDER BY id DESC", password=PASSWORD),
    ]
    assert len({fingerprint(source).digest for source in sources}) == 1
    percent = SqlSource(
        postgres, query="SELECT 1 AS a WHERE 'x:y %s' LIKE '%%' AND now()::text <> ' :x'", password=PASSWORD
    )
    assert fingerprint(percent).rows == 1


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
@pytest.mark.parametrize(
    ("arguments", "error", "code", "words"),
    [
        ({"password": "wrong-pass"}, AccessError, "database.refused", ""),
        ({"username": "stranger", "password": "stranger-pass"}, AccessError, "database.refused", ""),
        ({"table": "risk.nobody"}, ConfigurationError, "database.query", ""),
        (
            {"table": None, "query": "SELECT nope FROM risk.loans"},
            ConfigurationError,
            "database.query",
            'column "nope" does not exist',
        ),
        ({"table": None, "query": "SELECT name::int FROM risk.loans"}, ConfigurationError, "data.unreadable", ""),
        ({"table": None, "query": "SELECT id, age AS id FROM risk.loans"}, ConfigurationError, "column.twice", ""),
        ({"table": None, "query": "DELETE FROM risk.loans RETURNING id"}, ConfigurationError, "database.query", ""),
    ],
)
def test_postgres_refusals(
    postgres: str, driver: str, arguments: dict[str, Any], error: type[Exception], code: str, words: str
) -> None:
    source = SqlSource(
        postgres.replace("psycopg", driver), **{"table": "risk.loans", "password": PASSWORD, **arguments}
    )
    with raises_code(error, code, words) as caught:
        validate_data(source, suite(NOT_NULL))
    assert not re.search("-pass|zebra|stranger", str(caught.value))
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_database_that_is_down_can_be_tried_again(driver: str) -> None:
    source = SqlSource(f"postgresql+{driver}://me:my-pass@127.0.0.1:1/risk", table="t")
    with raises_code(DependencyError, "database.down") as caught:
        fingerprint(source)
    assert "my-pass" not in str(caught.value)
