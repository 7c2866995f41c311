"""The ledger's tables in SQLite and PostgreSQL: made, and brought up to date, step by step. Steps only ever add."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError, InvalidatePoolError

from airflow_mlgov.errors import AccessError, ConfigurationError

LOCK = 0x6D6C676F76  # "mlgov": the PostgreSQL advisory lock that makes writers queue

_IDLE_SECONDS = 1.0
"""After which a connection is asked whether it still works, before it is used."""
_USED = "mlgov_used"

_metadata = sa.MetaData()
table = sa.Table(
    "mlgov_ledger",
    _metadata,
    sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
    sa.Column("prev", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("recorded_at", sa.String(40), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("subject_digest", sa.String(64), nullable=False),
    sa.Column("subject_name", sa.Text, nullable=False),
    sa.Column("envelope_sha256", sa.String(64), nullable=False),
    sa.Column("envelope", sa.Text, nullable=False),
)
texts = sa.Table(
    "mlgov_ledger_texts",
    _metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("salt", sa.String(64), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)
"""What people typed, beside the ledger by its salted digest: never changed, and erased after a notice alone."""
nodes = sa.Table(
    "mlgov_ledger_nodes",
    _metadata,
    sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("place", sa.BigInteger(), primary_key=True, autoincrement=False),
    sa.Column("hash", sa.String(64), nullable=False),
)
"""The tree's perfect subtrees of two entries and more: written with the entry that completes one. They follow from the
entries, and nothing that is read here is believed."""
index = sa.Table(
    "mlgov_ledger_index",
    _metadata,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("node", sa.String(160), nullable=False),
)
"""Nodes of the index by their hashes: written by whoever signs its root, and held against their hashes when read."""
APPENDED = tuple(each.name for each in (table, texts, nodes, index))
"""The tables into which whoever appends, approves or promotes inserts."""
_schema = sa.Table("mlgov_ledger_schema", _metadata, sa.Column("version", sa.Integer, primary_key=True))

_FIRST = [
    "CREATE TABLE mlgov_ledger (seq {integer} NOT NULL PRIMARY KEY, prev VARCHAR(64) NOT NULL UNIQUE, "
    "hash VARCHAR(64) NOT NULL UNIQUE, recorded_at VARCHAR(40) NOT NULL, kind VARCHAR(20) NOT NULL, "
    "subject_digest VARCHAR(64) NOT NULL, subject_name TEXT NOT NULL, envelope_sha256 VARCHAR(64) NOT NULL, "
    "envelope TEXT NOT NULL)",
    "CREATE INDEX ix_mlgov_ledger_subject_digest ON mlgov_ledger (subject_digest)",
    "CREATE TABLE mlgov_ledger_schema (version INTEGER NOT NULL PRIMARY KEY)",
]

_TEXTS = (
    "CREATE TABLE mlgov_ledger_texts (sha256 VARCHAR(64) NOT NULL PRIMARY KEY, salt VARCHAR(64) NOT NULL, "
    "text TEXT NOT NULL)"
)
_NODES = (
    "CREATE TABLE mlgov_ledger_nodes (level INTEGER NOT NULL, place {integer} NOT NULL, hash VARCHAR(64) NOT NULL, "
    "PRIMARY KEY (level, place))"
)
_INDEX = [
    "CREATE TABLE mlgov_ledger_index (hash VARCHAR(64) NOT NULL PRIMARY KEY, node VARCHAR(160) NOT NULL)",
    "CREATE INDEX ix_mlgov_ledger_kind ON mlgov_ledger (kind, seq)",
]
_NO_NOTICE = "NOT EXISTS (SELECT 1 FROM mlgov_ledger WHERE kind = 'erasure' AND subject_digest = OLD.sha256)"

STEPS: dict[str, tuple[list[str], ...]] = {
    "sqlite": (
        [
            *(statement.format(integer="INTEGER") for statement in _FIRST),
            *(
                f"CREATE TRIGGER mlgov_ledger_no_{verb.lower()} BEFORE {verb} ON mlgov_ledger "
                "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
                for verb in ("UPDATE", "DELETE")
            ),
        ],
        [
            "CREATE INDEX ix_mlgov_ledger_subject_name ON mlgov_ledger (subject_name)",
            # INSERT OR REPLACE removes the row in its way without a DELETE trigger
            "CREATE TRIGGER mlgov_ledger_no_replace BEFORE INSERT ON mlgov_ledger "
            "WHEN EXISTS (SELECT 1 FROM mlgov_ledger WHERE seq = NEW.seq OR prev = NEW.prev OR hash = NEW.hash) "
            "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
        ],
        [
            _TEXTS,
            "CREATE TRIGGER mlgov_ledger_texts_no_update BEFORE UPDATE ON mlgov_ledger_texts "
            "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
            f"CREATE TRIGGER mlgov_ledger_texts_no_delete BEFORE DELETE ON mlgov_ledger_texts WHEN {_NO_NOTICE} "
            "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
            "CREATE TRIGGER mlgov_ledger_texts_no_replace BEFORE INSERT ON mlgov_ledger_texts "
            "WHEN EXISTS (SELECT 1 FROM mlgov_ledger_texts WHERE sha256 = NEW.sha256) "
            "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
        ],
        [_NODES.format(integer="INTEGER") + " WITHOUT ROWID"],
        [f"{_INDEX[0]} WITHOUT ROWID", *_INDEX[1:]],
    ),
    "postgresql": (
        [
            *(statement.format(integer="BIGINT") for statement in _FIRST),
            "CREATE OR REPLACE FUNCTION mlgov_ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$",
            "CREATE TRIGGER mlgov_ledger_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON mlgov_ledger "
            "FOR EACH STATEMENT EXECUTE FUNCTION mlgov_ledger_refuse()",
        ],
        ["CREATE INDEX ix_mlgov_ledger_subject_name ON mlgov_ledger (subject_name text_pattern_ops)"],
        [
            _TEXTS,
            "CREATE OR REPLACE FUNCTION mlgov_ledger_texts_refuse() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN IF {_NO_NOTICE} THEN RAISE EXCEPTION 'the ledger is append-only'; END IF; RETURN OLD; END $$",
            "CREATE TRIGGER mlgov_ledger_texts_no_delete BEFORE DELETE ON mlgov_ledger_texts "
            "FOR EACH ROW EXECUTE FUNCTION mlgov_ledger_texts_refuse()",
            "CREATE TRIGGER mlgov_ledger_texts_no_change BEFORE UPDATE OR TRUNCATE ON mlgov_ledger_texts "
            "FOR EACH STATEMENT EXECUTE FUNCTION mlgov_ledger_refuse()",
        ],
        [_NODES.format(integer="BIGINT")],
        _INDEX,
    ),
}
"""Backend -> the statements of schema 1, 2 …"""
SCHEMA_VERSION = len(STEPS["sqlite"])
IN_PARTS = {"yield_per": 1000}
"""How one query is read: as an option of the connection it would make a cursor of what is written after it, too."""
_MAY_NOT = ("42501", "25006")
"""What PostgreSQL says to whoever has no right to, or may only read."""


def file_of(url: URL) -> Path | None:
    """The file of a SQLite URL; None if it is in memory, or in a server."""
    name = str(url.database or "").removeprefix("file:").partition("?")[0]
    return Path(name) if url.get_backend_name() == "sqlite" and name not in ("", ":memory:") else None


def is_absent(url: URL) -> bool:
    """Whether there is no such SQLite file, so that opening it would make it."""
    file = file_of(url)
    return file is not None and not file.is_file()


def open_engine(url: URL, timeout: float, *, create: bool) -> Engine:
    """An engine for a SQLite or PostgreSQL URL.

    :param timeout: seconds to wait for a lock or a connection
    :param create: make the folder of a SQLite file
    :raises AccessError: the folder cannot be made
    """
    if url.get_backend_name() != "sqlite":
        return _asked_first(
            sa.create_engine(url, hide_parameters=True, connect_args={"connect_timeout": max(1, int(timeout))})
        )
    if create and url.database and url.database != ":memory:" and not url.database.startswith("file:"):
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AccessError(
                f"cannot make the folder of the ledger {url.database}: {error.strerror}", code="ledger.refused"
            ) from error
    engine = sa.create_engine(url, hide_parameters=True, connect_args={"timeout": timeout})

    @sa.event.listens_for(engine, "connect")
    def _own_transactions(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=ON")  # what is erased leaves no page that still holds it

    return engine


def _asked_first(engine: Engine) -> Engine:
    """With connections that are asked whether they still work, if they were idle: to ask each time is a message more to
    the server."""

    @sa.event.listens_for(engine, "checkin")
    def _note(_: Any, record: Any) -> None:
        record.info[_USED] = time.monotonic()

    @sa.event.listens_for(engine, "checkout")
    def _ask(held: Any, record: Any, _: Any) -> None:
        if time.monotonic() - record.info.get(_USED, time.monotonic()) < _IDLE_SECONDS:
            return
        try:
            engine.dialect.do_ping(held)
        except engine.dialect.loaded_dbapi.Error:
            raise InvalidatePoolError from None

    return engine


def begin(connection: Connection, *, write: bool) -> None:
    """Start a transaction; writers queue behind each other."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
    elif write:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))


def commit(connection: Connection) -> None:
    """End a transaction. One that cannot be committed is rolled back: SQLAlchemy takes it for ended, and would keep the
    connection with all that it has locked."""
    held = connection.connection
    try:
        connection.commit()
    except DBAPIError:
        if held.is_valid:
            held.rollback()
        raise


def sqlstate(error: DBAPIError) -> str | None:
    """PostgreSQL's code of an error, by whichever driver; None where there is none."""
    found: str | None = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
    return found


def has_ledger(engine: Engine, shown: str) -> bool:
    """Whether a ledger was made in this database, by this package or an earlier one.

    :raises ConfigurationError: the schema is newer than this package
    """
    with engine.connect() as connection:
        return _version(connection, shown) > 0


def migrate(engine: Engine, shown: str) -> None:
    """Make the tables, or take the steps that are missing, all or none.

    :raises ConfigurationError: the schema is newer than this package
    :raises AccessError: it is older, and this identity may not bring it over
    """
    with engine.connect() as connection:
        if _version(connection, shown) == SCHEMA_VERSION:
            return
        connection.rollback()
        begin(connection, write=True)
        version = _version(connection, shown)
        try:
            for number, statements in enumerate(STEPS[connection.dialect.name][version:], version + 1):
                for statement in statements:
                    connection.exec_driver_sql(statement)
                connection.execute(_schema.insert().values(version=number))
            commit(connection)
        except DBAPIError as error:
            if (
                not version
                or (getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)) not in _MAY_NOT
            ):
                raise
            said = str(error.orig).splitlines()[0]
            raise AccessError(
                f"the ledger {shown} has schema {version}, and this identity may not bring it to {SCHEMA_VERSION}: "
                f"{said}; let the owner of its tables run `mlgov ledger rebuild` once",
                code="ledger.refused",
            ) from None


def _version(connection: Connection, shown: str) -> int:
    if not sa.inspect(connection).has_table(_schema.name):
        return 0
    version = connection.execute(sa.select(sa.func.max(_schema.c.version))).scalar() or 0
    if version > SCHEMA_VERSION:
        raise ConfigurationError(
            f"the ledger {shown} has schema {version}; this package knows {SCHEMA_VERSION}: install the "
            "version of airflow-provider-mlgov or mlgov-core here that wrote it",
            code="ledger.schema_newer",
        )
    return int(version)
