"""Names as each database spells them, and credentials that are in no URL."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, oracle, postgresql

from airflow_mlgov.data.database import DatabaseRelation, SqlSource, _table_name, fingerprint
from airflow_mlgov.errors import AccessError, ConfigurationError
from tests.codes import raises_code
from tests.fixtures.postgres import PASSWORD

COLUMNS = ("over 40 %", "a.b", 'a"b', "100%%", "Größe")


@pytest.fixture(params=["sqlite", "postgres"])
def odd_names(request: pytest.FixtureRequest, tmp_path: Path) -> SqlSource:
    listing = ", ".join('"' + name.replace('"', '""') + '" INTEGER' for name in COLUMNS)
    url, password = f"sqlite:///{tmp_path / 'a.db'}", None
    if request.param == "postgres":
        url, password = request.getfixturevalue("postgres"), PASSWORD
    where = sa.make_url(url) if password is None else sa.make_url(url).set(password=password)
    with sa.create_engine(where).begin() as connection:
        connection = connection.execution_options(no_parameters=True)
        for statement in ('DROP TABLE IF EXISTS "50 %"', f'CREATE TABLE "50 %" ({listing})'):
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql('INSERT INTO "50 %" VALUES (1, 2, 3, 4, 5)')
    return SqlSource(url, table="50 %", password=password)


def test_columns_are_asked_for_as_they_are_spelt(odd_names: SqlSource) -> None:
    with odd_names.open() as database:
        assert tuple(database.columns) == COLUMNS
        database.require(*COLUMNS)
        listing = ", ".join(f"c.{database.quote(name)}" for name in COLUMNS)
        assert database.rows(f"SELECT {listing} FROM {database.sql} c") == [(1, 2, 3, 4, 5)]
        with raises_code(ConfigurationError, "column.missing", match=r'no column "größe".*did you mean "Größe"'):
            database.require("größe")
    assert fingerprint(odd_names).rows == 1


@pytest.mark.parametrize(
    ("dialect", "table", "expected"),
    [
        (postgresql.dialect(), "risk.Loans", '"risk"."Loans"'),
        (mysql.dialect(), "risk.50 %`", "`risk`.`50 %```"),
        (oracle.dialect(), "risk.loans", '"RISK"."LOANS"'),
        (oracle.dialect(), "Risk.loans", '"Risk"."LOANS"'),
        (postgresql.dialect(), "project-1.risk.loans", '"project-1"."risk"."loans"'),
    ],
)
def test_each_part_of_a_table_is_quoted(dialect: Any, table: str, expected: str) -> None:
    connection: Any = SimpleNamespace(dialect=dialect)
    assert _table_name(SqlSource("sqlite://", table=table), connection) == expected


def test_a_column_in_a_database_that_folds_to_upper_case() -> None:
    connection: Any = SimpleNamespace(dialect=oracle.dialect())
    database = DatabaseRelation(SqlSource("sqlite://", table="warehouse"))
    vars(database)["_opened"] = (connection, "t", ("SEX", "label", "Mixed"))
    assert [database.quote(name) for name in ("sex", "SEX", "label", "Mixed")] == [
        '"SEX"',
        '"SEX"',
        '"label"',
        '"Mixed"',
    ]
    database.require("sex", "label")
    with raises_code(ConfigurationError, "column.missing"):
        database.require("mixed")


def test_credentials_that_are_in_no_url(postgres: str) -> None:
    url = sa.make_url(postgres).set(username=None)
    keyed = sa.create_engine(
        sa.make_url(postgres).update_query_dict({"sslpassword": "t0p/secret"}),
        connect_args={"password": PASSWORD},
        poolclass=sa.NullPool,
    )
    source = SqlSource(url.render_as_string(), query="SELECT 1 AS one", engine=keyed)
    first = fingerprint(source)
    assert fingerprint(source) == first
    assert source.scrub("no t0p/secret, no t0p%2Fsecret, no postgres") == "no ***, no ***, no ***"
    assert "t0p" not in repr(source) + source.name
    spoilt = sa.create_engine(url, creator=lambda: (_ for _ in ()).throw(ValueError("bad key t0p/secret")))
    with raises_code(AccessError, "database.refused") as refused:
        fingerprint(SqlSource(source.url, table="loans", engine=spoilt))
    assert "t0p" not in str(refused.value)
