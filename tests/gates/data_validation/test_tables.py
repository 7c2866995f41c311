"""The suite over a table or query: its rows are read once, and judged as those of a file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import given, settings

from airflow_mlgov.data import remote
from airflow_mlgov.data.database import SqlSource, fingerprint
from airflow_mlgov.gates.data_validation import validate_data
from airflow_mlgov.results import Outcome
from tests.fixtures.postgres import PASSWORD
from tests.worlds.drawn import MANY, NAMES, SLOW, tables
from tests.worlds.suites import expect, suite

pytestmark = pytest.mark.usefixtures("no_child")

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


@pytest.mark.slow
def test_the_same_rows_are_judged_alike_in_a_table_and_in_a_file(database: SqlSource, tmp_path: Path) -> None:
    kinds = set()
    names = {name: kind for name, kind in NAMES.items() if kind in ("whole", "even", "text", "word")}

    @settings(SLOW, max_examples=5)
    @given(tables(names), MANY)
    def hold(table: pa.Table, items: list[dict[str, Any]]) -> None:
        items = [item for item in items if _columns(item) <= set(names) and "creasing" not in item["type"]]
        items.append(expect("table_row_count_to_equal", value=3))
        source = fill(database, {name: TYPES[kind] for name, kind in names.items()}, table.to_pylist())
        pq.write_table(table, tmp_path / "rows.parquet")
        kinds.update(item["type"] for item in items)
        one = validate_data(source, suite(*items), engine="auto")
        other = validate_data(tmp_path / "rows.parquet", suite(*items))
        for item, mine, theirs in zip(items, one.checks[1:], other.checks[1:], strict=True):
            untyped = mine.outcome is Outcome.INCONCLUSIVE and theirs.outcome is Outcome.ERROR  # without any value
            assert mine.outcome is theirs.outcome or untyped, f"{item}: {mine} and not {theirs}"

    hold()
    assert len(kinds) > 15


def _columns(item: dict[str, Any]) -> set[str]:
    kwargs = item["kwargs"]
    single = {kwargs[name] for name in ("column", "column_A", "column_B") if name in kwargs}
    return single | set(kwargs.get("column_list", []))


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
    result = validate_data(source, suite(expect("column_values_to_be_between", column="rate", max_value=2), EITHER))
    assert result.subject == expected
    assert [check.outcome for check in result.checks] == [Outcome.PASS, Outcome.FAIL, Outcome.PASS]
    assert {check.values["engine"] for check in result.checks[1:]} == {"duckdb"}
    assert result.details["columns"] == list(COLUMNS)
    assert result.libraries.keys() == {"duckdb"}


@pytest.mark.parametrize("engine", ["auto", "duckdb"])
def test_the_rows_of_a_table_have_no_order(database: SqlSource, engine: str) -> None:
    source = fill(database, COLUMNS, ROWS)
    rising = expect("column_values_to_be_increasing", column="id")
    check = validate_data(source, suite(rising), engine=engine).checks[1]
    assert (check.outcome, "the rows of a table have no order" in check.detail) == (Outcome.ERROR, True)


def test_a_type_means_the_same_in_a_table(database: SqlSource) -> None:
    source = fill(database, COLUMNS, ROWS)
    items = [
        expect("column_values_to_be_of_type", column="id", type_="INTEGER"),
        expect("column_values_to_be_in_type_list", column="name", type_list=["object", "TEXT"]),
        expect("column_values_to_be_of_type", column="rate", type_="str"),
    ]
    outcomes = [check.outcome for check in validate_data(source, suite(*items)).checks[1:]]
    assert outcomes == [Outcome.PASS, Outcome.PASS, Outcome.FAIL]


def test_nan_is_a_missing_value(postgres: str) -> None:
    query = "SELECT * FROM (VALUES ('NaN'::float8, 1), (1.5, 2)) AS t (rate, id)"
    source = SqlSource(postgres, query=query, password=PASSWORD)
    there = expect("column_values_to_be_between", column="rate", max_value=2)
    given = expect("column_values_to_not_be_null", column="rate")
    checks = validate_data(source, suite(there, given)).checks[1:]
    assert [check.outcome for check in checks] == [Outcome.PASS, Outcome.FAIL]


@pytest.mark.parametrize("engine", ["auto", "duckdb"])
def test_a_table_without_rows_fails(database: SqlSource, engine: str) -> None:
    source = fill(database, COLUMNS, [])
    item = expect("column_values_to_be_between", column="age", min_value=0)
    checks = validate_data(source, suite(item), engine=engine).checks
    assert [check.outcome for check in checks] == [Outcome.FAIL, Outcome.INCONCLUSIVE]
