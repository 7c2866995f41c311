"""The checks over a table or a query: the numbers are those over a parquet file of the same rows."""

import json
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from airflow_mlgov.data.database import SqlSource, fingerprint
from airflow_mlgov.data.files import dataset_subject
from airflow_mlgov.errors import ConfigurationError, DependencyError
from airflow_mlgov.evidence.statements import GateStatement
from airflow_mlgov.evidence.verification import collect
from airflow_mlgov.gates.data_validation import validate_data
from airflow_mlgov.gates.dataset_checks.checks import add_checks
from airflow_mlgov.governance.decision import decide
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.results import Check, GateResult, Outcome, Subject
from tests.codes import raises_code
from tests.fixtures.postgres import PASSWORD
from tests.worlds.champion import Champion, signature
from tests.worlds.story import MODEL, REQUEST, Story
from tests.worlds.suites import expect, suite

SUITE = suite(expect("column_values_to_not_be_null", column="id"))


def people(rows: int = 900, shift: float = 0.0, seed: int = 5) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "id": np.arange(rows) + int(100 * shift),
            "age": random.integers(18, 90, rows) + int(10 * shift),
            "income": random.normal(3_000 + 500 * shift, 800, rows).round(2),
            "region": random.choice(["north", "south", "east"], rows, p=[0.5 - shift / 4, 0.3 + shift / 4, 0.2]),
            "member": random.random(rows) < 0.5 + shift / 4,
            "at": pd.Timestamp("2026-01-01") + pd.to_timedelta(random.integers(0, 10_000, rows), unit="min"),
            "y": random.integers(0, 2, rows),
        }
    )
    frame["told"] = frame["y"] + random.normal(0, 0.05, rows)
    frame.loc[random.random(rows) < 0.1, ["income", "region"]] = None
    return frame


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=["sqlite", "postgres"])
def table(request: pytest.FixtureRequest, folder: Path) -> Iterator[SqlSource]:
    """People in a database."""
    name = f"people_{uuid.uuid4().hex[:8]}"
    if request.param == "sqlite":
        source = SqlSource(f"sqlite:///{folder}/risk.db", table=name)
    else:
        source = SqlSource(request.getfixturevalue("postgres"), table=name, password=PASSWORD)
    engine = sa.create_engine(source.sa_url())
    people(shift=0.4).to_sql(name, engine, index=False)
    yield source
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TABLE {name}")
    engine.dispose()


@pytest.fixture
def scratch(table: SqlSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made, once the database runs."""
    made = tmp_path / "scratch"
    made.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    return made


def exported(source: SqlSource, path: str = "same.parquet") -> str:
    """What pandas reads from the table, in a file."""
    engine = sa.create_engine(source.sa_url())
    with engine.connect() as connection:
        pd.read_sql_query(sa.text(f"SELECT * FROM {source.table}"), connection).to_parquet(path)
    engine.dispose()
    return path


def checked(data: Any, checks: dict[str, Any], **more: Any) -> list[Check]:
    """What the checks say; the suite's own results are left out."""
    return list(validate_data(data, SUITE, engine="duckdb", checks=checks, **more).checks[2:])


BOUNDS = {"psi": {"max": 0.1}, "js": {"max": 0.1}, "ks": {"max": 0.1}}
CHECKS: dict[str, dict[str, Any]] = {
    "drift": {"reference": "before.parquet", **BOUNDS, "exclude": ["member", "at"]},
    "drift of a csv": {"reference": "before.csv", **BOUNDS, "columns": ["age", "income", "region"]},
    "overlap": {"with": "before.parquet", "keys": ["id"]},
    "overlap by two": {"with": "before.csv", "keys": ["age", "region"], "max": 0.5},
    "leakage": {"label": "y"},
    "freshness": {"column": "at", "max_age": "3d", "timezone": "Europe/Berlin"},
    "volume": {"reference": "before.csv", "min_ratio": 0.5, "max_ratio": 0.9},
    "schema": {"model": "signature.json"},
}


@pytest.mark.parametrize("name", CHECKS)
def test_each_check_says_what_it_says_of_a_parquet_file(name: str, table: SqlSource) -> None:
    before = people(seed=6)
    before.to_parquet("before.parquet")
    before.to_csv("before.csv", index=False)
    signature(age="long", income="double", region="string", member="boolean", at="datetime", y="integer", gone="long")
    checks = {name.split()[0]: CHECKS[name]}
    mine, reference = ([check.as_dict() for check in checked(data, checks)] for data in (table, exported(table)))
    if name == "freshness":  # time goes on between the two
        assert mine[0].pop("observed") == pytest.approx(reference[0].pop("observed"), abs=0.05)
    assert mine == reference
    assert "FAIL" in {check["outcome"] for check in mine}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["auto", "duckdb", "great_expectations"])
def test_the_table_is_what_was_judged_and_its_copy_is_nowhere(
    engine: Any, table: SqlSource, folder: Path, scratch: Path
) -> None:
    people(seed=6).to_parquet("before.parquet")
    checks = {
        "drift": {"reference": "before.parquet", "psi": {"max": 0.2}, "columns": ["age"]},
        "overlap": {"with": "before.parquet", "keys": ["id"]},
        "volume": {"reference": "before.parquet", "min_ratio": 0.5},
    }
    result = validate_data(table, SUITE, checks=checks, engine=engine, report_dir=folder / "report")
    assert result.subject == fingerprint(table).subject(table.name)
    assert result.inputs[1:] == (dataset_subject("before.parquet"),)
    assert result.dataset_checks == checks
    assert result.details["rows"] == 900
    assert result.checks[1].values["engine"] == ("great_expectations" if engine == "great_expectations" else "duckdb")
    (page,) = (folder / "report").glob("*.html")
    seen = json.dumps([result.details, *(check.as_dict() for check in result.checks)], default=str) + repr(result)
    seen += page.read_text()
    assert not any(secret in seen for secret in (str(scratch), "mlgov-work-", PASSWORD))
    assert not list(scratch.iterdir())


def test_a_query_is_checked_as_a_table_is(table: SqlSource) -> None:
    query = SqlSource(table.url, query=f"SELECT id, age FROM {table.table} WHERE age > 40", password=table.password)
    people().to_csv("before.csv", index=False)
    (check,) = checked(query, {"volume": {"reference": "before.csv", "max_ratio": 1}})
    assert check.values == {"rows": fingerprint(query).rows, "reference_rows": 900}


@pytest.mark.parametrize("name", ["leakage", "freshness", "overlap", "volume", "drift"])
def test_no_rows_are_what_they_are_in_an_empty_csv(name: str, table: SqlSource) -> None:
    people(seed=6).to_csv("before.csv", index=False)
    people(0).to_csv("none.csv", index=False)
    checks = {name: CHECKS.get(f"{name} of a csv", CHECKS[name])}
    if name == "overlap":
        checks = {name: {"with": "before.csv"}}
    nobody = SqlSource(table.url, query=f"SELECT * FROM {table.table} WHERE id < 0", password=table.password)
    mine, reference = checked(nobody, checks), checked("none.csv", checks)
    texts = [json.dumps([check.as_dict() for check in found]) for found in (mine, reference)]
    assert texts[0].replace(nobody.name, "none.csv") == texts[1]


def test_a_column_without_a_value_tells_nothing_and_stops_nothing(table: SqlSource) -> None:
    query = f"SELECT id, y, NULL AS blank FROM {table.table}"
    blank = SqlSource(table.url, query=query, password=table.password)
    checks = {check.name: check for check in checked(blank, {"leakage": {"label": "y", "columns": ["blank"]}})}
    assert (checks["label_leakage(blank)"].outcome, checks["label_leakage(blank)"].observed) == (Outcome.PASS, 0.5)


def test_what_a_check_refuses_is_told_by_the_tables_name(table: SqlSource, scratch: Path) -> None:
    for checks, message in (
        ({"freshness": {"column": "when", "max_age": "2d"}}, '{} has no column "when"'),
        ({"leakage": {"label": "id"}}, "more than 20 values"),
        ({"freshnes": {}}, "unknown key 'freshnes'"),
        ({"drift": {"reference": "nowhere.csv", "psi": {"max": 1}}}, "no such file: nowhere.csv"),
    ):
        with pytest.raises(ConfigurationError) as told:
            validate_data(table, SUITE, checks=checks)
        assert message.format(table.name) in str(told.value)
        assert str(scratch) not in str(told.value)
    assert not list(scratch.iterdir())


def test_a_mistake_in_the_checks_is_told_before_the_rows_are_read(folder: Path) -> None:
    with raises_code(ConfigurationError, "setting.unknown", match="unknown key 'drif'"):
        validate_data(SqlSource(f"sqlite:///{folder}/none.db", table="t"), SUITE, checks={"drif": {}})


def test_the_rows_are_those_that_the_rest_of_the_gate_judged(table: SqlSource) -> None:
    other = GateResult("data_validation", Subject("dataset", table.name, "0" * 64), ())
    with table.open() as rows, raises_code(DependencyError, "data.changed"):
        add_checks(other, rows, {"freshness": {"column": "at", "max_age": "3d"}})


def test_the_champions_table(table: SqlSource) -> None:
    trained_on = fingerprint(table).subject(table.name)
    rules = {"drift": {"reference": "champion", "psi": {"max": 0.2}}}

    (check,) = checked(table, rules, lookup=Champion(trained_on))
    assert (check.outcome, "row for row" in check.detail) == (Outcome.PASS, True)
    moved = Subject("dataset", table.name, "1" * 64)
    with raises_code(
        ConfigurationError, "reference.gone", match=r"sha256:111111111111, and the table there now .*: export what"
    ):
        checked(table, rules, lookup=Champion(moved))
    with raises_code(ConfigurationError, "reference.gone"):
        checked(exported(table), rules, lookup=Champion(trained_on))
    with raises_code(ConfigurationError, "reference.same"):
        checked(table, {"overlap": {"with": "champion"}}, lookup=Champion(trained_on))

    people(seed=6).to_csv("before.csv", index=False)
    champion = Champion(dataset_subject("before.csv"))
    result = validate_data(table, SUITE, checks=rules, lookup=champion)
    assert dataset_subject("before.csv") in result.inputs
    assert "drift_psi(age)" in {check.name for check in result.checks}


POLICY = """\
version: 1
models:
  credit_risk:
    gates:
      data_validation:
        suite: suite.json
        checks: {drift: {reference: before.csv, psi: {max: 2}, columns: [age]}}
    targets:
      production: {alias: champion, requires: [data_validation]}
"""


def test_a_promotion_asks_for_the_policys_checks_over_the_table(table: SqlSource, folder: Path) -> None:
    Path("suite.json").write_text(json.dumps(SUITE))
    Path("mlgov.yaml").write_text(POLICY)
    people(seed=6).to_csv("before.csv", index=False)
    story = Story(folder, load_policy(folder / "mlgov.yaml"))
    story.provenance((fingerprint(table).subject(table.name),))

    def codes(checks: dict[str, Any] | None) -> set[str]:
        result = validate_data(table, "suite.json", engine="duckdb", checks=checks)
        story.sign(GateStatement.of(result, story.context()))
        good, bad = collect(story.ledger.walk(), story.trust, [MODEL.digest, result.subject.digest])
        return {code for code, _ in decide(REQUEST, story.policy, good, bad).reasons}

    assert "data.not_checked" in codes(None)
    assert codes(story.policy.model("credit_risk").settings("data_validation")["checks"]) == set()
