"""``mlgov data describe``, and csv as the command line, a policy and a suite declare it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from airflow_mlgov import catalogue
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.data_validation import validate_data
from airflow_mlgov.gates.strictness import merge_settings
from airflow_mlgov.results import Outcome
from tests.codes import raises_code

EUROPEAN = "zip;amount;g\n10001;3,5;x\n10002;10,25;y\n10003;NA;x\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "a.csv").write_text(EUROPEAN)
    return tmp_path / "a.csv"


def test_a_file_is_described_and_the_draft_is_a_declaration(run: Any, data: Path) -> None:
    code, _, err = run("data", "describe", data)
    assert code == 2
    assert 'declare delimiter: ";"' in err
    options = ["--delimiter", ";", "--decimal", ",", "--type", "zip=text"]
    code, out, _ = run("data", "describe", data, *options)
    assert code == 0
    assert '"NA" stands once among 2 numbers' in out
    draft = yaml.safe_load(out[out.index("types:") :])
    assert draft == {"types": {"zip": "text", "amount": "text", "g": "text"}, "delimiter": ";", "decimal": ","}
    missing = ["--missing-value", "", "--missing-value", "NA"]
    code, out, _ = run("data", "describe", data, *options, *missing, "--json")
    columns = {column["name"]: column for column in json.loads(out)["columns"]}
    assert (columns["amount"]["type"], columns["amount"]["missing"]) == ("float64", 1)
    assert columns["zip"]["declared"]


def test_a_gate_reads_as_the_command_line_declares(run: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame({"g": ["1", "2"] * 100, "y": [1, 0] * 100, "p": [1, 0, 0, 1] * 50})
    frame.to_csv(tmp_path / "a.csv", index=False, header=False, sep="|")
    options = ["--label", "y", "--prediction", "p", "--sensitive", "g", "--decide", "point"]
    bound = ["--bound", "demographic_parity_ratio>=0.5", "--json"]
    read = ["--delimiter", "|", "--header", "g,y,p", "--type", "g=text"]
    code, out, err = run("gate", "fairness", "--data", tmp_path / "a.csv", *options, *bound, *read)
    assert code == 0, err
    assert set(json.loads(out)["checks"][0]["values"]["by_group"]) == {"1", "2"}
    for wrong, words in ((["--type", "g=wrd"], "which is no type"), (["--type", "h=text"], 'no column "h"')):
        code, _, err = run("gate", "fairness", "--data", tmp_path / "a.csv", *options, *bound, *read, *wrong)
        assert (code, words in err) == (2, True)


def test_a_suite_says_in_its_meta_how_its_data_is_read(data: Path) -> None:
    expectations = [
        {"type": "expect_column_value_lengths_to_equal", "kwargs": {"column": "zip", "value": 5}},
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "amount", "min_value": 0, "max_value": 100},
        },
    ]
    meta = {"great_expectations_version": "1.24", "delimiter": ";", "decimal": ",", "types": {"zip": "text"}}
    suite = {"name": "s", "expectations": expectations, "meta": {**meta, "missing_values": ["", "NA"]}}
    result = validate_data(str(data), suite)
    assert result.verdict is Outcome.PASS
    (read,) = result.details["read_as"].values()
    assert read["columns"] == {"zip": "text", "amount": "float64", "g": "text"}
    with raises_code(ConfigurationError, "data.dialect"):
        validate_data(str(data), {**suite, "meta": {}})
    with raises_code(ConfigurationError, "setting.wrong"):
        validate_data(str(data), {**suite, "meta": {**meta, "types": {"zip": "wrd"}}})


def test_a_caller_adds_to_the_policys_types_and_changes_none() -> None:
    settings = catalogue.load("fairness").Settings
    policy = {"types": {"zip": "text"}, "delimiter": ";"}
    assert merge_settings(settings, policy, {"types": {"id": "int64"}})["types"] == {"zip": "text", "id": "int64"}
    for given in ({"types": {"zip": "int64"}}, {"delimiter": ","}):
        with raises_code(ConfigurationError, "setting.not_the_policys"):
            merge_settings(settings, policy, given)
