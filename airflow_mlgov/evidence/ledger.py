"""The append-only, hash-chained store of all evidence: one SQL table, SQLite by default, PostgreSQL for teams.

It stores and chains envelopes and refuses to change one; what an envelope is worth is for ``verification`` to say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError

from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, EvidenceError
from airflow_mlgov.evidence.digests import hash_json, parse_json
from airflow_mlgov.evidence.statements import KINDS

SCHEMA_VERSION = 1
_DOMAIN = b"\x01mlgov-ledger-v1\x00"
GENESIS = "0" * 64
"""What stands as ``prev`` in the first entry."""
_LOCK = 0x6D6C676F76  # "mlgov": the PostgreSQL advisory lock that makes writers queue

_metadata = sa.MetaData()
_table = sa.Table(
    "mlgov_ledger",
    _metadata,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("prev", sa.String(64), nullable=False, unique=True),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Column("recorded_at", sa.String(40), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("subject_digest", sa.String(64), nullable=False, index=True),
    sa.Column("subject_name", sa.Text, nullable=False),
    sa.Column("envelope_sha256", sa.String(64), nullable=False),
    sa.Column("envelope", sa.Text, nullable=False),
)
_schema = sa.Table("mlgov_ledger_schema", _metadata, sa.Column("version", sa.Integer, primary_key=True))

_TRIGGERS = {
    "sqlite": [
        f"CREATE TRIGGER IF NOT EXISTS mlgov_ledger_no_{verb.lower()} BEFORE {verb} ON mlgov_ledger "
        "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
        for verb in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        "CREATE OR REPLACE FUNCTION mlgov_ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$",
        "CREATE OR REPLACE TRIGGER mlgov_ledger_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON mlgov_ledger "
        "FOR EACH STATEMENT EXECUTE FUNCTION mlgov_ledger_refuse()",
    ],
}


@dataclass(frozen=True)
class Entry:
    """One row. Everything but ``hash`` and ``envelope`` is copied from the envelope, and bound by the chain."""

    seq: int
    """1, 2, 3 … without a gap."""
    prev: str
    """``hash`` of the entry before."""
    hash: str
    """``sha256(domain || prev || seq as 8 bytes, big-endian || sha256 of the rest as canonical JSON)``."""
    recorded_at: str
    kind: str
    """``gate``, ``provenance``, ``approval``, ``decision`` or ``promotion``."""
    subject_digest: str
    subject_name: str
    envelope_sha256: str
    envelope: str

    @property
    def reference(self) -> str:
        """How people and tags name it: ``ledger:7@1a2b3c4d5e6f``."""
        return f"ledger:{self.seq}@{self.envelope_sha256[:12]}"


class Ledger:
    """Open with :func:`open_ledger`."""

    def __init__(self, engine: Engine, shown: str) -> None:
        self._engine = engine
        self.url = shown
        """Where it is, without a password."""

    def append(self, envelope: str) -> Entry:
        """Store one envelope as the next entry.

        :raises DependencyError: the database is down or locked; nothing was stored
        :raises AccessError: the ledger is read-only for this identity; nothing was stored
        :raises EvidenceError: the text is not an envelope with a statement of a known kind
        """
        with self._transaction(write=True) as connection:
            last = connection.execute(sa.select(_table).order_by(_table.c.seq.desc()).limit(1)).one_or_none()
            seq, prev = (last.seq + 1, last.hash) if last else (1, GENESIS)
            row = {
                **_index(envelope),
                "recorded_at": datetime.now(UTC).isoformat(),
                "envelope_sha256": hashlib.sha256(envelope.encode()).hexdigest(),
            }
            entry = Entry(seq=seq, prev=prev, hash=_link(prev, seq, row), envelope=envelope, **row)
            connection.execute(_table.insert().values(asdict(entry)))
        return entry

    def entries(self, digests: Iterable[str] | None = None, kind: str | None = None) -> list[Entry]:
        """Entries in order, of the given subjects and kind where given."""
        query = sa.select(_table).order_by(_table.c.seq)
        if digests is not None:
            query = query.where(_table.c.subject_digest.in_(list(digests)))
        if kind is not None:
            query = query.where(_table.c.kind == kind)
        with self._transaction() as connection:
            return [Entry(**row) for row in connection.execute(query).mappings()]

    def get(self, seq: int) -> Entry:
        """One entry.

        :raises ConfigurationError: there is none with this number
        """
        with self._transaction() as connection:
            row = connection.execute(sa.select(_table).where(_table.c.seq == seq)).mappings().one_or_none()
        if row is None:
            raise ConfigurationError(f"the ledger {self.url} has no entry {seq}")
        return Entry(**row)

    def verify(self) -> tuple[int, str]:
        """Walk the whole chain and return its size and head.

        :raises EvidenceError: the first entry that was edited, removed or put in
        """
        size, head = 0, GENESIS
        with self._transaction() as connection:
            rows = connection.execution_options(yield_per=1000).execute(sa.select(_table).order_by(_table.c.seq))
            for row in rows.mappings():
                entry = Entry(**row)
                _check_entry(entry, size + 1, head)
                size, head = entry.seq, entry.hash
        return size, head

    def close(self) -> None:
        """Give back the database connections."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, write: bool = False) -> Iterator[Connection]:
        with _database_errors(self.url), self._engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
            elif write:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            yield connection
            if write:
                connection.commit()


def open_ledger(url: str | URL, timeout: float = 10.0) -> Ledger:
    """Open the ledger at a SQLAlchemy URL, and make its tables and triggers where they are missing.

    :param url: ``sqlite:////path/ledger.db`` or ``postgresql+psycopg://user:password@host/db``
    :param timeout: seconds to wait for a lock or a connection
    :raises ConfigurationError: not a URL, another database, or a schema newer than this package
    :raises DependencyError: the database is down or locked
    :raises AccessError: the database refused the identity
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError("the ledger must be a SQLAlchemy URL, such as sqlite:////var/lib/ledger.db") from error
    backend = parsed.get_backend_name()
    shown = parsed.set(username=None, password=None).render_as_string()
    if backend not in _TRIGGERS:
        raise ConfigurationError(f"the ledger {shown} must be SQLite or PostgreSQL")
    with _database_errors(shown):
        engine = _engine(parsed, timeout)
        _create(engine, shown)
    return Ledger(engine, shown)


def _engine(url: URL, timeout: float) -> Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(
            url, pool_pre_ping=True, hide_parameters=True, connect_args={"connect_timeout": max(1, int(timeout))}
        )
    if url.database and url.database != ":memory:":
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AccessError(f"cannot make the folder of the ledger {url.database}: {error.strerror}") from error
    engine = sa.create_engine(url, hide_parameters=True, connect_args={"timeout": timeout})

    @sa.event.listens_for(engine, "connect")
    def _own_transactions(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA synchronous=FULL")

    return engine


def _create(engine: Engine, shown: str) -> None:
    with engine.connect() as connection:
        inspector = sa.inspect(connection)
        if inspector.has_table(_schema.name):
            version = connection.execute(sa.select(sa.func.max(_schema.c.version))).scalar()
            if version is not None and version > SCHEMA_VERSION:
                raise ConfigurationError(
                    f"the ledger {shown} has schema {version}; this package knows {SCHEMA_VERSION}"
                )
            if version == SCHEMA_VERSION:
                return
        connection.rollback()
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        _metadata.create_all(connection)
        for statement in _TRIGGERS[connection.dialect.name]:
            connection.exec_driver_sql(statement)
        if connection.execute(sa.select(sa.func.count()).select_from(_schema)).scalar() == 0:
            connection.execute(_schema.insert().values(version=SCHEMA_VERSION))
        connection.commit()


def _index(envelope: str) -> dict[str, str]:
    """What the ledger copies out of an envelope to find it again."""
    from base64 import b64decode

    try:
        statement = parse_json(b64decode(parse_json(envelope)["payload"], validate=True))
        (subject,) = statement["subject"]
        return {
            "kind": KINDS[statement["predicateType"]],
            "subject_digest": subject["digest"]["sha256"],
            "subject_name": subject["name"],
        }
    except (KeyError, TypeError, ValueError) as error:
        raise EvidenceError(f"not an envelope with a statement of ours: {error!r}") from error


def _link(prev: str, seq: int, row: dict[str, str]) -> str:
    return hashlib.sha256(
        _DOMAIN + bytes.fromhex(prev) + seq.to_bytes(8, "big") + bytes.fromhex(hash_json(row))
    ).hexdigest()


def _check_entry(entry: Entry, seq: int, prev: str) -> None:
    if entry.seq != seq:
        raise EvidenceError(f"ledger entry {seq} is missing: the next one is {entry.seq}")
    if entry.prev != prev:
        raise EvidenceError(f"ledger entry {seq} does not follow from the one before it")
    row = asdict(entry)
    for name in ("seq", "prev", "hash", "envelope"):
        del row[name]
    if hashlib.sha256(entry.envelope.encode()).hexdigest() != entry.envelope_sha256 or entry.hash != _link(
        prev, seq, row
    ):
        raise EvidenceError(f"ledger entry {seq} was changed after it was written")
    copied = _index(entry.envelope)
    if any(row[name] != value for name, value in copied.items()):
        raise EvidenceError(f"ledger entry {seq} is filed under another subject than its envelope names")


@contextmanager
def _database_errors(shown: str) -> Iterator[None]:
    """Every database error as one of ours; messages carry neither parameters nor a password."""
    try:
        yield
    except OperationalError as error:
        text = str(error.orig).lower()
        if "readonly" in text or "read-only" in text or "authentication failed" in text or "permission denied" in text:
            raise AccessError(f"the ledger {shown} refuses this identity: {_first_line(error)}") from None
        raise DependencyError(f"the ledger {shown} cannot be used now: {_first_line(error)}") from None
    except DBAPIError as error:
        if "permission denied" in str(error.orig).lower() or "read-only" in str(error.orig).lower():
            raise AccessError(f"the ledger {shown} refuses this identity: {_first_line(error)}") from None
        if "append-only" in str(error.orig):
            raise EvidenceError(f"the ledger {shown} is append-only") from None
        if "not a database" in str(error.orig):
            raise ConfigurationError(f"the ledger {shown} is not a database") from None
        raise DependencyError(f"the ledger {shown} cannot be used now: {_first_line(error)}") from None
    except (SQLAlchemyError, ModuleNotFoundError) as error:
        raise ConfigurationError(f"the ledger {shown} cannot be opened: {type(error).__name__}: {error}") from None


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
