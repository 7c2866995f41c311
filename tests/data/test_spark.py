"""Rows in Spark as a source: what they are bound by, what is refused, and what goes wrong."""

from __future__ import annotations

import gc
import hashlib
import json
import math
import socket
import struct
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from airflow_mlgov.data.limits import TimeLimitError, time_limit
from airflow_mlgov.data.source import subject_of
from airflow_mlgov.data.spark import SparkEngine, SparkSource
from airflow_mlgov.data.spark_sql import Source, UnwrittenError, duckdb_type, write
from airflow_mlgov.errors import ConfigurationError, DependencyError
from tests.codes import raises_code
from tests.worlds.spark import AWKWARD, in_both

TABLES = {"data": Source("`v`", {"a": "INTEGER", "b": "VARCHAR", "c": "DOUBLE", "d": "DECIMAL(10,2)"})}


@pytest.fixture
def parser() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


# What is written


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT strftime(DATE '2020-01-01', b) FROM data", "strftime, which is not on the list"),
        ("SELECT * FROM read_csv('x')", "TABLE_FUNCTION"),
        ("SELECT a FROM other", "the table other"),
        ("SELECT nothing FROM data", "a column nothing"),
        ("SELECT a = b FROM data", "compare INTEGER with VARCHAR"),
        ("SELECT b::INTEGER FROM data", "read texts as INTEGER"),
        ("SELECT c::VARCHAR::DATE FROM data", "read texts as DATE"),
        ("SELECT regexp_matches(b, '(?i)a') FROM data", "Java may read differently"),
        ("SELECT regexp_matches(b, '[a&&b]') FROM data", "Java may read differently"),
        ("SELECT regexp_matches(b, '\\w') FROM data", "Java may read differently"),
        ("SELECT regexp_matches(b, b) FROM data", "Java may read differently"),
        ("SELECT b LIKE b FROM data", "no constant"),
        ("SELECT sum(a) OVER (ORDER BY a ROWS 1 PRECEDING) FROM data", "not the usual one"),
        ("SELECT quantile_cont(a, 0.5) FROM data", "quantile_cont"),
        ("SELECT a FROM data UNION SELECT a FROM data", "no plain UNION ALL"),
        ("SELECT a, count(*) FROM data GROUP BY a HAVING count(*) > 1", "HAVING"),
        ("SELECT d * d * d * d * d * d * d * d * d * d * d * d * d * d * d * d * d * d * d * d FROM data", "38 digits"),
        ("SELECT 1; SELECT 2", "no single SELECT"),
        ("DROP TABLE data", "no single SELECT"),
        ("SELECT list_value(a) FROM data", "list_value"),
    ],
)
def test_what_is_not_on_the_list_is_not_written(parser: duckdb.DuckDBPyConnection, query: str, words: str) -> None:
    with pytest.raises(UnwrittenError, match=words.replace("(", r"\(")) as refused:
        write(query, TABLES, parser)
    assert refused.value.code == "spark.cannot"


def test_names_and_texts_stay_names_and_texts(parser: duckdb.DuckDBPyConnection) -> None:
    tables = {"data": Source("`v`", {"a`b": "VARCHAR"})}
    found = write("""SELECT count(*) FROM data WHERE "a`b" = 'it''s \\ `x`; DROP TABLE v'""", tables, parser)
    assert found.sql == ("SELECT count(1) FROM `v` AS `data` WHERE (`a``b` = 'it\\'s \\\\ `x`; DROP TABLE v')")


@pytest.mark.parametrize(
    ("spark", "duck"),
    [
        ("decimal(10,2)", "DECIMAL(10,2)"),
        ("array<int>", "INTEGER[]"),
        ("struct<a:int>", "STRUCT(a:int)"),
        ("map<string,int>", "MAP(string,int)"),
        ("varchar(3)", "VARCHAR"),
        ("timestamp", "TIMESTAMP WITH TIME ZONE"),
        ("interval day", "INTERVAL DAY"),
    ],
)
def test_types_are_duckdbs(spark: str, duck: str) -> None:
    assert duckdb_type(spark) == duck


# What a source is


def test_a_source_shows_no_token() -> None:
    source = SparkSource("sc://spark.example:15002/;use_ssl=true", table="a.b", token="s3cret", user="me")
    assert source.name == "sc://spark.example:15002#table=a.b"
    assert source.connection == "sc://spark.example:15002/;use_ssl=true;token=s3cret;user_id=me"
    assert "s3cret" not in repr(source)
    within = SparkSource("sc://spark.example/;token=s3cret", query="SELECT 1")
    assert within.name.startswith("sc://spark.example:15002#query=sha256:")
    assert "s3cret" not in repr(within) + within.name


@pytest.mark.parametrize("url", ["postgresql://x/y", "sc://:15003", "sc://secret:nan/", "sc://secret/?a=b"])
def test_an_address_that_is_none_is_refused_unseen(url: str) -> None:
    with raises_code(ConfigurationError, "source.address") as refused:
        SparkSource(url, table="t")
    assert url not in str(refused.value)


@pytest.mark.parametrize("named", [{}, {"table": "t", "path": "p"}, {"path": "p", "query": "q"}])
def test_one_of_table_path_and_query(named: dict[str, str]) -> None:
    with raises_code(ConfigurationError, "source.table_or_query"):
        SparkSource("sc://host", **named)


# What it is bound by


def _xxhash64(value: float) -> int:
    """Of one double, with Spark's seed: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md"""
    first, second, third, fourth, fifth = (
        0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5,
    )  # fmt: skip
    most = (1 << 64) - 1

    def turned(number: int, by: int) -> int:
        return ((number << by) | (number >> (64 - by))) & most

    bits = int.from_bytes(struct.pack(">d", math.nan if math.isnan(value) else value + 0.0), "big")
    found = (42 + fifth + 8) & most
    found ^= turned(bits * second & most, 31) * first & most
    found = (turned(found, 27) * first + fourth) & most
    found = (found ^ found >> 33) * second & most
    found = (found ^ found >> 29) * third & most
    found ^= found >> 32
    return found - (1 << 64) if found >> 63 else found


def _text(value: Any, stored: str) -> str:
    if value is None:
        return "-"
    if stored == "VARCHAR":
        return f"{len(value.encode())}:{value}"
    if stored in ("FLOAT", "DOUBLE"):
        return str(_xxhash64(value))
    if stored == "DATE":
        return str(value.toordinal() - 719163)
    if stored.startswith("TIMESTAMP"):
        seconds = (value.replace(tzinfo=None) - value.replace(1970, 1, 1, 0, 0, 0, 0, tzinfo=None)).total_seconds()
        return str(round(seconds) * 1_000_000 + value.microsecond - (1_000_000 if value.microsecond >= 500_000 else 0))
    return str(value).lower() if stored == "BOOLEAN" else str(value)


def _digest(table: pa.Table, types: dict[str, str]) -> str:
    """The digest by its definition, in Python."""
    rows = Counter(
        hashlib.sha256(",".join(_text(row[name], types[name]) for name in types).encode()).hexdigest()
        for row in table.to_pylist()
    )

    def hashed(lines: list[str]) -> str:
        return hashlib.sha256(",".join(sorted(lines)).encode()).hexdigest()

    parts: dict[str, list[str]] = {}
    for row, count in rows.items():
        parts.setdefault(row[:4], []).append(f"{row}:{count}")
    whole: dict[str, list[str]] = {}
    for part, lines in parts.items():
        whole.setdefault(part[:2], []).append(f"{part}:{hashed(lines)}")
    digest = hashlib.sha256(b"mlgov-spark-v1")
    digest.update(json.dumps([[[*item] for item in types.items()], table.num_rows], separators=(",", ":")).encode())
    for part in sorted(whole):
        digest.update(f"\n{part}:{hashed(whole[part])}".encode())
    return digest.hexdigest()


def test_the_digest_is_what_it_is_said_to_be(spark_server: str, tmp_path: Path) -> None:
    table = AWKWARD
    _, source = in_both(table, tmp_path, spark_server)
    with source.open() as relation:
        assert relation.subject.digest == _digest(table, relation.types)
        assert relation.fingerprint.rows == 8
    again, _ = in_both(table.take(pa.array([7, 6, 5, 4, 3, 2, 1, 0])), tmp_path, spark_server, "again")
    assert subject_of(SparkSource(spark_server, path=again)).digest == _digest(table, relation.types)
    fewer, _ = in_both(table.slice(1), tmp_path, spark_server, "fewer")
    assert subject_of(SparkSource(spark_server, path=fewer)).digest != _digest(table, relation.types)
    twice, _ = in_both(pa.concat_tables([table, table]), tmp_path, spark_server, "twice")
    assert subject_of(SparkSource(spark_server, path=twice)).digest == _digest(
        pa.concat_tables([table, table]), relation.types
    )


def test_what_is_judged_is_what_was_bound(spark_server: str, tmp_path: Path) -> None:
    """Every question is a job of its own, and rows that are made anew each time would be others."""
    source = SparkSource(spark_server, query="SELECT rand() AS x FROM range(50)")
    with source.open() as relation:
        first, again = (relation.rows(f"SELECT sum(x) FROM {relation.sql}") for _ in range(2))
        assert first == again
        digest = relation.subject.digest
        assert relation.frame(["x"]).x.sum() == pytest.approx(first[0][0])
    assert subject_of(source).digest != digest


def test_a_table_a_path_and_a_query_are_the_same_rows(spark_server: str, tmp_path: Path) -> None:
    _, path = in_both(AWKWARD, tmp_path, spark_server)
    query = SparkSource(spark_server, query=f"SELECT * FROM parquet.`{path.path}`;")
    with SparkEngine(path) as engine:
        engine.session.read.parquet(str(path.path)).write.saveAsTable("mlgov_awkward")
    table = SparkSource(spark_server, table="mlgov_awkward")
    assert {subject_of(each).digest for each in (path, query, table)} == {subject_of(path).digest}
    assert path.place("mlgov_awkward") == table
    assert table.place(str(path.path)) == path


def test_a_query_is_one_select(spark_server: str) -> None:
    for text in ("DROP TABLE mlgov_nothing", "SELECT 1) AS q; DROP TABLE x --", "SELECT nothing FROM range(1)"):
        with raises_code(ConfigurationError, "spark.query"):
            subject_of(SparkSource(spark_server, query=text))


def test_names_that_are_not_there(spark_server: str, tmp_path: Path) -> None:
    with raises_code(ConfigurationError, "spark.query", match="TABLE_OR_VIEW_NOT_FOUND"):
        subject_of(SparkSource(spark_server, table="mlgov_nothing"))
    with raises_code(ConfigurationError, "spark.query", match="PATH_NOT_FOUND"):
        subject_of(SparkSource(spark_server, path=str(tmp_path / "nothing")))
    with raises_code(ConfigurationError, "spark.path"):
        subject_of(SparkSource(spark_server, path=str(tmp_path / "a.csv")))
    twice = SparkSource(spark_server, query="SELECT 1 AS a, 2 AS A")
    with raises_code(ConfigurationError, "column.twice"):
        subject_of(twice)
    with raises_code(ConfigurationError, "column.kind"):
        subject_of(SparkSource(spark_server, query="SELECT map('a', 1) AS m"))
    with (
        SparkSource(spark_server, query="SELECT 1 AS age").open() as relation,
        raises_code(ConfigurationError, "column.missing", match='did you mean "age"'),
    ):
        relation.require("agee")


# What goes wrong


def test_a_session_that_is_over_takes_nothing_from_another(spark_server: str) -> None:
    """Collected as garbage, it would shut the threads that all share, and wait for locks of whoever is running."""
    from pyspark.sql.connect.client.reattach import ExecutePlanResponseReattachableIterator as Shared

    source = SparkSource(spark_server, query="SELECT 1 AS a")
    with SparkEngine(source) as over:
        over.session.sql("SELECT 1").collect()
        kept = [over.session]
        ended = weakref.ref(over.session)
    del over
    with SparkEngine(source) as engine:
        engine.session.sql("SELECT 1").collect()
        threads = Shared._release_thread_pool_instance
        kept.clear()
        gc.collect()
        assert ended() is None
        assert Shared._release_thread_pool_instance is threads
        assert threads is not None
        assert not threads._shutdown


def test_a_server_that_is_down_is_told_at_once() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = time.monotonic()
    with pytest.raises(DependencyError, match=f"127.0.0.1:{port}") as down:
        subject_of(SparkSource(f"sc://127.0.0.1:{port}", table="t", token="s3cret"))
    assert down.value.code == "spark.down"
    assert "s3cret" not in str(down.value)
    assert time.monotonic() - started < 60


def test_a_server_that_says_nothing_is_left_at_the_time_limit() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        held: list[socket.socket] = []
        threading.Thread(target=lambda: held.append(silent.accept()[0]), daemon=True).start()
        started = time.monotonic()
        with pytest.raises((DependencyError, TimeLimitError)), time_limit(3):
            subject_of(SparkSource(f"sc://127.0.0.1:{silent.getsockname()[1]}", table="t"))
        assert time.monotonic() - started < 60


def test_a_query_is_stopped_at_the_time_limit_in_spark_too(spark_server: str) -> None:
    endless = SparkSource(
        spark_server, query="SELECT count(*) AS n FROM range(2000000) a JOIN range(2000000) b ON a.id > b.id"
    )
    started = time.monotonic()
    with pytest.raises(TimeLimitError), time_limit(4):
        subject_of(endless)
    assert time.monotonic() - started < 60
    assert subject_of(SparkSource(spark_server, query="SELECT 1 AS a")).digest  # and the server is free again


def test_a_session_that_was_closed_is_a_dependency_that_is_down(spark_server: str) -> None:
    with SparkSource(spark_server, query="SELECT 1 AS a").open() as relation:
        relation.prepare()
        session = relation.duck.session
        session.client.release_session()
        with raises_code(DependencyError, "spark.down"):
            relation.rows("SELECT count(*) FROM data")


def test_a_value_that_cannot_be_computed_with_is_not_shown(spark_server: str) -> None:
    source = SparkSource(spark_server, query="SELECT 9223372036854775807L AS secret_number")
    with source.open() as relation, pytest.raises(ConfigurationError) as stopped:
        relation.rows("SELECT secret_number + 1 FROM data")
    assert "9223372036854775807" not in str(stopped.value)
    assert stopped.value.code == "data.unreadable"


def test_an_answer_of_too_many_rows_stays_where_it_is(spark_server: str) -> None:
    with SparkSource(spark_server, query="SELECT id FROM range(2000002)").open() as relation:
        assert relation.rows("SELECT count(*) FROM data") == [(2_000_002,)]
        with raises_code(ConfigurationError, "memory_limit.exceeded", match="2000000 rows"):
            relation.rows("SELECT id FROM data")
        assert relation.arrays("SELECT id FROM data") is None


def test_the_views_and_the_session_are_gone_at_the_end(spark_server: str) -> None:
    source = SparkSource(spark_server, query="SELECT 1 AS a")
    with source.open() as relation:
        relation.prepare()
        session = relation.duck.session
        (view,) = [table.name for table in session.catalog.listTables() if table.isTemporary]
        assert view.startswith("mlgov_")
    with SparkEngine(source) as engine:
        assert not [table for table in engine.session.catalog.listTables() if table.isTemporary]


def test_a_frame_of_a_session_is_asked_in_it(spark_server: str) -> None:
    with SparkEngine(SparkSource(spark_server, query="SELECT 1 AS a")) as engine:
        session = engine.session
        session.conf.set("spark.sql.session.timeZone", "Europe/Berlin")
        subject = subject_of(session.sql("SELECT 1 AS a UNION ALL SELECT 2"))
        assert subject.name == "Spark DataFrame"
        assert subject.digest == subject_of(session.sql("SELECT 2 AS a UNION ALL SELECT 1")).digest
        assert session.conf.get("spark.sql.session.timeZone") == "Europe/Berlin"
