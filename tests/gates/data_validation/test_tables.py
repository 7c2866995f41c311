"""The suite over a table in one DuckDB query: the verdicts of Great Expectations over the database, or a refusal."""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import given, settings

from airflow_mlgov.data import remote
from airflow_mlgov.data.database import SqlSource, fingerprint
from airflow_mlgov.data.file_tables import open_table
from airflow_mlgov.data.snapshot import take_snapshot
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.data_validation import gx, validate_data
from airflow_mlgov.gates.data_validation.one_query import run_query
from airflow_mlgov.gates.data_validation.sql_semantics import decided_otherwise
from airflow_mlgov.gates.data_validation.suite import load_suite
from airflow_mlgov.results import Outcome
from tests.codes import raises_code
from tests.fixtures.postgres import PASSWORD
from tests.worlds.drawn import MANY, NAMES, SLOW, tables
from tests.worlds.suites import QUANTILES, expect, suite

TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "whole": sa.BigInteger(),
    "number": sa.BigInteger(),
    "small": sa.SmallInteger(),
    "real": sa.Double(),
    "even": sa.Double(),
    "text": sa.Text(),
    "word": sa.Text(),
    "flag": sa.Boolean(),
    "day": sa.Date(),
    "time": sa.DateTime(),
    "cost": sa.Numeric(10, 2),
    "single": sa.Double(),
}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlSource]:
    """A database for tables named ``rows``."""
    if request.param == "sqlite":
        yield SqlSource(f"sqlite:///{tmp_path_factory.mktemp('db')}/rows.db", table="rows")
    else:
        yield SqlSource(request.getfixturevalue("postgres"), table="rows", password=PASSWORD)


def fill(database: SqlSource, columns: dict[str, sa.types.TypeEngine[Any]], rows: list[dict[str, Any]]) -> SqlSource:
    metadata = sa.MetaData()
    table = sa.Table("rows", metadata, *(sa.Column(name, kind) for name, kind in columns.items()))
    engine = sa.create_engine(database.sa_url())
    metadata.drop_all(engine)
    metadata.create_all(engine)
    with engine.begin() as connection:
        if rows:
            connection.execute(table.insert(), rows)
    engine.dispose()
    return database


def decided_here(source: SqlSource, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the expectations that engine duckdb takes."""
    sound = load_suite(suite(*items)).expectations
    with take_snapshot(source) as rows, open_table(rows) as table:
        left = {**run_query(table, sound, close_calls=True).left, **decided_otherwise(table, sound)}
    return [item for item, one in zip(items, sound, strict=True) if one.position not in left]


def is_read_otherwise(item: dict[str, Any]) -> bool:
    r"""Whether PostgreSQL makes another thing of it: its ``\b`` is no word's end, and it is sent a set as of the type
    of its first item, so that 0.5 after 2 is 0."""
    types = {type(value) for value in item["kwargs"].get("value_set", ())}
    return r"\\b" in json.dumps(item) or len(types) > 1


@pytest.mark.slow
def test_the_verdicts_are_great_expectations(database: SqlSource) -> None:
    kinds = set()

    @settings(SLOW, max_examples=8)
    @given(tables(NAMES), MANY)
    def hold(table: pa.Table, items: list[dict[str, Any]]) -> None:
        source = fill(database, {name: TYPES[kind] for name, kind in NAMES.items()}, table.to_pylist())
        items = decided_here(source, [item for item in items if not is_read_otherwise(item)])
        kinds.update(item["type"] for item in items)
        mine = validate_data(source, suite(*items), engine="duckdb")
        reference = validate_data(source, suite(*items))
        assert (mine.subject, mine.checks[0]) == (reference.subject, reference.checks[0])
        for item, one, other in zip(items, mine.checks[1:], reference.checks[1:], strict=True):
            assert one.outcome is other.outcome or other.outcome is Outcome.ERROR, f"{item}: {one} and not {other}"

    hold()
    assert len(kinds) > 25


ROWS = [
    {"id": 1, "age": 31, "name": "ann", "rate": 0.5},
    {"id": 2, "age": None, "name": "bob", "rate": 2.5},
    {"id": 3, "age": 44, "name": None, "rate": 1.0},
]
COLUMNS: dict[str, sa.types.TypeEngine[Any]] = {
    "id": sa.Integer(),
    "age": sa.Integer(),
    "name": sa.Text(),
    "rate": sa.Double(),
}
PAIR = expect("column_pair_values_a_to_be_greater_than_b", column_A="age", column_B="id")
EITHER = {**PAIR, "kwargs": {**PAIR["kwargs"], "ignore_row_if": "either_value_is_missing"}}


def test_each_row_is_read_once(database: SqlSource, monkeypatch: pytest.MonkeyPatch) -> None:
    source = fill(database, COLUMNS, ROWS)
    expected = fingerprint(source).subject(source.name)
    monkeypatch.setattr(remote, "fingerprint_of", None)
    monkeypatch.setattr(gx, "run_suite", None)
    items = [expect("column_values_to_be_between", column="rate", max_value=2), EITHER]
    result = validate_data(source, suite(*items), engine="duckdb")
    assert result.subject == expected
    assert [check.outcome for check in result.checks] == [Outcome.PASS, Outcome.FAIL, Outcome.PASS]
    assert {check.values["engine"] for check in result.checks[1:]} == {"duckdb"}
    assert result.details["columns"] == list(COLUMNS)
    assert result.libraries.keys() == {"duckdb"}


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (PAIR, "a value is missing in its columns, .*: say ignore_row_if: either_value_is_missing"),
        (
            expect("compound_columns_to_be_unique", column_list=["id", "name"]),
            ".*say ignore_row_if: any_value_is_missing",
        ),
        (expect("column_values_to_be_of_type", column="id", type_="INTEGER"), "its type is not compiled"),
        (expect("column_values_to_be_between", column="name", min_value=1), "its column is one of text values"),
        (expect("column_values_to_be_increasing", column="id"), "the rows of a table have no order"),
        (
            expect("column_quantile_values_to_be_between", column="id", quantile_ranges=QUANTILES),
            "a database finds quantiles by a rule of its own",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_duckdb_would_not_decide_as_the_database_does(database: SqlSource, item: dict[str, Any], why: str) -> None:
    source = fill(database, COLUMNS, ROWS)
    with raises_code(
        ConfigurationError,
        "engine.cannot",
        match=rf"\(expectation 1\): .*by engine duckdb: {why}.*leave engine at auto",
    ):
        validate_data(source, suite(item), engine="duckdb")


def test_nan_is_a_value_to_postgresql(postgres: str) -> None:
    query = "SELECT * FROM (VALUES ('NaN'::float8, 1), (1.5, 2)) AS t (rate, id)"
    source = SqlSource(postgres, query=query, password=PASSWORD)
    item = expect("column_values_to_be_between", column="rate", max_value=2)
    assert validate_data(source, suite(item)).checks[1].outcome is Outcome.FAIL
    with raises_code(ConfigurationError, "engine.cannot", match='NaN stands in the column "rate"'):
        validate_data(source, suite(item), engine="duckdb")
    other = expect("column_values_to_be_between", column="id", max_value=2)
    assert validate_data(source, suite(other), engine="duckdb").verdict is Outcome.PASS


@pytest.mark.parametrize("engine", ["auto", "duckdb"])
def test_a_table_without_rows_fails(database: SqlSource, engine: str) -> None:
    source = fill(database, COLUMNS, [])
    item = expect("column_values_to_be_between", column="age", min_value=0)
    checks = validate_data(source, suite(item), engine=engine).checks
    assert [check.outcome for check in checks] == [Outcome.FAIL, Outcome.INCONCLUSIVE]


def test_auto_is_great_expectations(database: SqlSource) -> None:
    source = fill(database, COLUMNS, ROWS)
    item = expect("column_values_to_not_be_null", column="id")
    assert validate_data(source, suite(item)).checks[1].values["engine"] == "great_expectations"
    with raises_code(ConfigurationError, "setting.contradiction"):
        validate_data(source, suite(item), engine="duckdb", data_docs_dir="docs")
