"""The rows of a table in one file: its types, that it holds what the fingerprint binds, and that nothing stays."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from airflow_mlgov.data import fetching, row_writer
from airflow_mlgov.data.database import SqlSource, fingerprint
from airflow_mlgov.data.file_tables import open_table
from airflow_mlgov.data.snapshot import take_snapshot
from airflow_mlgov.errors import ConfigurationError, DependencyError
from tests.codes import raises_code
from tests.fixtures.postgres import PASSWORD

UID = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
NOON = datetime(2026, 3, 1, 12, 0, 0, 5)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def sqlite(tmp_path: Path) -> SqlSource:
    return SqlSource(f"sqlite:///{tmp_path}/rows.db", table="t")


def fill(source: SqlSource, *rows: tuple[Any, ...]) -> None:
    """A table of columns without a type, which take what they are given."""
    engine = sa.create_engine(source.url)
    names = "abcdefgh"[: len(rows[0])]
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE t ({', '.join(names)})")
        connection.exec_driver_sql(f"INSERT INTO t VALUES ({', '.join('?' * len(names))})", list(rows))
    engine.dispose()


def read(source: SqlSource) -> tuple[dict[str, str], list[tuple[Any, ...]]]:
    """DuckDB's types, and the rows."""
    with take_snapshot(source) as copy, open_table(copy) as table:
        assert table.subject == copy.subject == fingerprint(source).subject(source.name)
        return table.types, table.rows("SELECT * FROM data")


def feed(monkeypatch: pytest.MonkeyPatch, source: SqlSource, *values: Any) -> None:
    """Has the database give these values of one column, where no database at hand does."""

    @contextmanager
    def stream(_: SqlSource) -> Iterator[Any]:
        yield ("a",), [(value,) for value in values]

    monkeypatch.setattr(SqlSource, "stream", stream)


POSTGRES = {
    "small int2": (7, "BIGINT"),
    "wide int8": (-(2**63), "BIGINT"),
    "cost numeric(10, 2)": (Decimal("-12.50"), "DECIMAL(4,2)"),
    "free numeric": (Decimal(2**64), "DECIMAL(20,0)"),
    "rate float8": (1 / 3, "DOUBLE"),
    "single float4": (0.5, "DOUBLE"),
    "ok boolean": (True, "BOOLEAN"),
    "name text": ("zoë", "VARCHAR"),
    "code char(3)": ("ab ", "VARCHAR"),
    "day date": (date(2026, 3, 1), "DATE"),
    "at timestamp": (NOON, "TIMESTAMP"),
    "zoned timestamptz": (NOON.replace(tzinfo=timezone(timedelta(hours=5))), "TIMESTAMP WITH TIME ZONE"),
    "clock time": (time(12, 30), "TIME"),
    "span interval": (timedelta(days=1), "VARCHAR"),
    "uid uuid": (UID, "VARCHAR"),
    "raw bytea": (b"\x00x", "BLOB"),
    "list int[]": ([1, 2], "VARCHAR"),
    "nothing int": (None, "VARCHAR"),
}


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_postgres_types(postgres: str, driver: str) -> None:
    url = sa.make_url(postgres.replace("psycopg", driver)).set(password=PASSWORD)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS kinds")
        connection.exec_driver_sql(f"CREATE TABLE kinds ({', '.join(POSTGRES)})")
        marks = ", ".join(["%s"] * len(POSTGRES))
        values = [str(value) if value is UID else value for value, _ in POSTGRES.values()]
        connection.exec_driver_sql(f"INSERT INTO kinds VALUES ({marks})", tuple(values))
        connection.exec_driver_sql("INSERT INTO kinds (small) VALUES (NULL)")
    engine.dispose()
    source = SqlSource(postgres.replace("psycopg", driver), table="kinds", password=PASSWORD)
    types, rows = read(source)
    assert types == {name.split()[0]: kind for name, (_, kind) in POSTGRES.items()}
    expected = {name.split()[0]: value for name, (value, _) in POSTGRES.items()}
    expected |= {"span": "1 day, 0:00:00", "uid": str(UID), "list": "[1, 2]"}
    assert dict(zip(types, rows[0], strict=True)) == expected
    assert set(rows[1]) == {None}


@pytest.mark.parametrize(
    ("values", "kind", "read_as"),
    [
        ((1, None, 2), "BIGINT", None),
        ((1, 2.5, None), "DOUBLE", [1.0, 2.5, None]),
        ((2.5, 2**53), "DOUBLE", None),
        ((None, "x"), "VARCHAR", None),
        ((None, None), "VARCHAR", None),
        ((b"x", None), "BLOB", None),
    ],
    ids=str,
)
def test_sqlite_types_are_those_of_the_values(
    sqlite: SqlSource, values: tuple[Any, ...], kind: str, read_as: list[Any] | None
) -> None:
    fill(sqlite, *((value,) for value in values))
    types, rows = read(sqlite)
    assert (types, [value for (value,) in rows]) == ({"a": kind}, read_as or list(values))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((2**63, -1), "DECIMAL(19,0)"),
        ((10**37, None), "DECIMAL(38,0)"),
        ((Decimal("1E+3"), Decimal("0.05"), 7), "DECIMAL(6,2)"),
        ((True, False), "BOOLEAN"),
    ],
    ids=str,
)
def test_what_other_databases_give(
    sqlite: SqlSource, monkeypatch: pytest.MonkeyPatch, values: tuple[Any, ...], kind: str
) -> None:
    feed(monkeypatch, sqlite, *values)
    with take_snapshot(sqlite) as copy, open_table(copy) as table:
        assert table.types == {"a": kind}
        assert [value for (value,) in table.rows("SELECT a FROM data")] == list(values)


def test_texts_of_what_has_no_type_of_its_own(sqlite: SqlSource, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {time(9, tzinfo=UTC): "09:00:00+00:00", (1, None): "[1, null]", UID: str(UID)}
    for value, text in values.items():
        feed(monkeypatch, sqlite, value)
        with take_snapshot(sqlite) as copy, open_table(copy) as table:
            assert table.rows("SELECT a FROM data") == [(text,)]
    feed(monkeypatch, sqlite, {"b": [1], "a": "é"}, [2])
    with take_snapshot(sqlite) as copy, open_table(copy) as table:
        assert table.rows("SELECT a FROM data") == [('{"a": "é", "b": [1]}',), ("[2]",)]


@pytest.mark.parametrize("batch", [5_000, 1])
@pytest.mark.parametrize(
    ("values", "why"),
    [
        ((1, "secret"), r"several types \(texts, whole numbers\)"),
        ((1.5, "secret"), r"several types \(floats, texts\)"),
        ((True, 7007), r"several types \(truth values, whole numbers\)"),
        ((1.5, Decimal("7007")), r"several types \(decimals, floats\)"),
        ((1, 1.5, Decimal(7007)), r"several types"),
        ((NOON, NOON.date()), r"several types \(dates, timestamps\)"),
        ((NOON, NOON.replace(tzinfo=UTC)), r"several types \(timestamps, timestamps with a zone\)"),
        ((UID, "secret"), r"several types \(UUIDs, texts\)"),
        ((1.5, 2**53 + 1), "no one type"),
        ((2**53 + 1, 1.5), "no one type"),
        ((1.5, 10**400), "no one type"),
        ((10**38,), "no one type"),
        ((Decimal(10**30), Decimal("0.123456789")), "no one type"),
        ((Decimal("NaN"),), "no one type"),
        ((Decimal("Infinity"),), "no one type"),
        ((Decimal("1E+400"),), "no one type"),
        (("\ud800",), "no one type"),
    ],
    ids=str,
)
def test_a_column_that_no_type_holds_is_refused_by_name(
    sqlite: SqlSource, scratch: Path, monkeypatch: pytest.MonkeyPatch, values: tuple[Any, ...], why: str, batch: int
) -> None:
    monkeypatch.setattr(fetching, "_MOST_ROWS", batch)
    feed(monkeypatch, sqlite, *values)
    with (
        raises_code(ConfigurationError, "column.mixed", match=rf'the column "a" of .*#table=t holds .*{why}') as told,
        take_snapshot(sqlite),
    ):
        pass
    assert "in a query" in str(told.value)
    assert not any(text in str(told.value) for text in ("secret", "7007", "9007199254740993", str(scratch)))
    assert not list(scratch.iterdir())


def test_a_mixed_sqlite_column(sqlite: SqlSource) -> None:
    fill(sqlite, (1, 1), (2, "x"))
    with (
        raises_code(ConfigurationError, "column.mixed", match=r'column "b" .* several types \(texts, whole numbers\)'),
        take_snapshot(sqlite),
    ):
        pass
    assert read(SqlSource(sqlite.url, query="SELECT a, CAST(b AS TEXT) AS b FROM t"))[1] == [(1, "1"), (2, "x")]


def test_types_may_widen_at_any_row(sqlite: SqlSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_MOST_ROWS", 10)
    monkeypatch.setattr(row_writer, "_GROUP_ROWS", 25)
    rows = [(at if at < 50 else at + 0.5, None if at < 30 else f"n{at}", None, at) for at in range(100)]
    fill(sqlite, *rows)
    types, found = read(sqlite)
    assert types == {"a": "DOUBLE", "b": "VARCHAR", "c": "VARCHAR", "d": "BIGINT"}
    assert sorted(found, key=lambda row: row[3]) == rows
    with take_snapshot(sqlite) as copy:
        assert list(copy.root.parent.iterdir()) == [copy.root]


def test_decimals_may_widen_at_any_row(sqlite: SqlSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_MOST_ROWS", 1)
    values = [3, Decimal("1.25"), None, Decimal("12345.5"), 2**63]
    feed(monkeypatch, sqlite, *values)
    with take_snapshot(sqlite) as copy, open_table(copy) as table:
        assert table.types == {"a": "DECIMAL(21,2)"}
        assert [value for (value,) in table.rows("SELECT a FROM data")] == values


def test_no_rows(sqlite: SqlSource) -> None:
    fill(sqlite, (1, "x"))
    assert read(SqlSource(sqlite.url, query="SELECT * FROM t WHERE a > 1")) == ({"a": "VARCHAR", "b": "VARCHAR"}, [])


def test_the_file_is_private_and_goes_away(sqlite: SqlSource, scratch: Path) -> None:
    fill(sqlite, (1, "x"))
    with take_snapshot(sqlite) as copy:
        assert copy.data == copy.subject.name == sqlite.name
        (folder,) = scratch.iterdir()
        assert (folder.stat().st_mode & 0o777, copy.root.parent) == (0o700, folder)
    assert not list(scratch.iterdir())
    with pytest.raises(ValueError, match="mine"), take_snapshot(sqlite):
        raise ValueError("mine")
    with raises_code(ConfigurationError, "database.query"), take_snapshot(SqlSource(sqlite.url, table="none")):
        pass
    assert not list(scratch.iterdir())


def test_a_full_disk_can_be_tried_again(sqlite: SqlSource, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(sqlite, (1, "x"))

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(scratch))

    monkeypatch.setattr(row_writer._File, "_flush", full)
    with raises_code(DependencyError, "scratch.unusable") as told, take_snapshot(sqlite):
        pass
    assert "TMPDIR" in str(told.value)
    assert str(scratch) not in str(told.value)
    assert not list(scratch.iterdir())


def test_columns_that_cannot_be_told_apart(postgres: str) -> None:
    for query, code, words in (
        ('SELECT 1 AS x, 2 AS "X"', "column.twice", ": x, X; "),
        ("SELECT", "data.no_columns", ""),
    ):
        source = SqlSource(postgres, query=query, password=PASSWORD)
        with raises_code(ConfigurationError, code, words), take_snapshot(source):
            pass
