"""The append-only, hash-chained store of all evidence: one SQL table, SQLite by default, PostgreSQL for teams.

It stores and chains envelopes and refuses to change one; what an envelope is worth is for ``verification`` to say.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError

from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, EvidenceError
from airflow_mlgov.evidence.chain import GENESIS, Entry, Head, check_history, link, read_envelope, walk
from airflow_mlgov.evidence.ledger_schema import STEPS, begin, migrate, missing_triggers, open_engine, table
from airflow_mlgov.evidence.signing import sign_statement
from airflow_mlgov.evidence.statements import LedgerMark, Signed

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

_POLL_SECONDS = 0.2


class Ledger:
    """Open with :func:`open_ledger`."""

    def __init__(self, engine: Engine, shown: str) -> None:
        self._engine = engine
        self.url = shown
        """Where it is, without a password."""

    def attest(self, statement: Signed, signer: Signer) -> Entry:
        """Sign a statement together with what the ledger is now, and store it as the next entry.

        Since each statement holds the head of the ledger before it, whoever rewrites the past would have to sign again
        all that came after.

        :raises DependencyError: the database or the signer's Vault is down; nothing was stored
        :raises AccessError: the identity may not sign or not write; nothing was stored
        """
        size, head = self.last()
        return self.append(sign_statement(replace(statement, ledger=LedgerMark(size, head)).as_json(), signer))

    def append(self, envelope: str) -> Entry:
        """Store one envelope as the next entry.

        :raises DependencyError: the database is down or locked; nothing was stored
        :raises AccessError: the ledger is read-only for this identity; nothing was stored
        :raises EvidenceError: the text is not an envelope with a statement of a known kind, or was signed over another
            ledger
        """
        with self._transaction(write=True) as connection:
            size, head = _last(connection)
            index, statement = read_envelope(envelope)
            check_history(size + 1, statement, lambda number: _head_at(connection, number))
            row = {
                **index,
                "recorded_at": datetime.now(UTC).isoformat(),
                "envelope_sha256": hashlib.sha256(envelope.encode()).hexdigest(),
            }
            entry = Entry(seq=size + 1, prev=head, hash=link(head, size + 1, row), envelope=envelope, **row)
            connection.execute(table.insert().values(asdict(entry)))
        return entry

    def entries(
        self, digests: Iterable[str] | None = None, *, kind: str | None = None, model: str | None = None
    ) -> list[Entry]:
        """Entries in order.

        :param digests: only about these subjects
        :param kind: only of this kind
        :param model: only about versions of this registered model
        """
        query = sa.select(table).order_by(table.c.seq)
        if digests is not None:
            query = query.where(table.c.subject_digest.in_(list(digests)))
        if kind is not None:
            query = query.where(table.c.kind == kind)
        if model is not None:
            query = query.where(self._names_a_version_of(model))
        with self._transaction() as connection:
            return [Entry(**row) for row in connection.execute(query).mappings()]

    def get(self, seq: int) -> Entry:
        """One entry.

        :raises ConfigurationError: no entry has this number
        """
        with self._transaction() as connection:
            row = connection.execute(sa.select(table).where(table.c.seq == seq)).mappings().one_or_none()
        if row is None:
            raise ConfigurationError(f"the ledger {self.url} has no entry {seq}", code="ledger.no_entry")
        return Entry(**row)

    def last(self) -> tuple[int, str]:
        """Number and hash of the last entry, without a walk; 0 and ``chain.GENESIS`` if there is none."""
        with self._transaction() as connection:
            return _last(connection)

    def verify(self, checkpoints: Iterable[Head] = ()) -> Head:
        """Walk the whole chain.

        :param checkpoints: verified checkpoints that were kept elsewhere, see ``evidence.checkpoints``
        :raises EvidenceError: the first entry that was edited, removed or put in, or a checkpoint that does not hold
        """
        with self._transaction() as connection:
            rows = connection.execution_options(yield_per=1000).execute(sa.select(table).order_by(table.c.seq))
            return walk((Entry(**row) for row in rows.mappings()), checkpoints)

    def missing_triggers(self) -> list[str]:
        """The append-only triggers that somebody has dropped or disabled."""
        with self._transaction() as connection:
            return missing_triggers(connection)

    @contextmanager
    def exclusive(self, what: str, timeout: float = 60.0) -> Iterator[Callable[[], None]]:
        """Only one process at a time is in this block for ``what``; a process that dies leaves it.

        Yields a function that raises :class:`DependencyError` if the lock was lost meanwhile (PostgreSQL only: the
        connection broke); call it before each step that must not be taken twice. On SQLite there is one lock for the
        whole ledger.

        :param timeout: seconds to wait
        :raises DependencyError: somebody else is still at it
        """
        busy = f"{what} is being changed by another process; waited {timeout:g} s, try again"
        lock = _locked_file if self._engine.dialect.name == "sqlite" else _locked_key
        with lock(self, what, time.monotonic() + timeout, busy) as confirm:
            yield confirm

    def close(self) -> None:
        """Give back the database connections."""
        self._engine.dispose()

    def _names_a_version_of(self, model: str) -> sa.ColumnElement[bool]:
        start = f"models:/{model}/"
        if self._engine.dialect.name == "sqlite":  # its LIKE ignores case and so every index
            return sa.and_(table.c.subject_name >= start, table.c.subject_name < f"models:/{model}0")
        return table.c.subject_name.startswith(start, autoescape=True)

    @contextmanager
    def _transaction(self, write: bool = False) -> Iterator[Connection]:
        with _database_errors(self.url), self._engine.connect() as connection:
            begin(connection, write=write)
            yield connection
            if write:
                connection.commit()


def open_ledger(url: str | URL, timeout: float = 10.0) -> Ledger:
    """Open the ledger at a SQLAlchemy URL; make its tables and triggers, or bring them up to date.

    :param url: ``sqlite:////path/ledger.db`` or ``postgresql+psycopg://user:password@host/db``
    :param timeout: seconds to wait for a lock or a connection
    :raises ConfigurationError: not a URL, another database, or a schema newer than this package
    :raises DependencyError: the database is down or locked
    :raises AccessError: the database refused the identity
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError(
            "the ledger must be a SQLAlchemy URL, such as sqlite:////var/lib/ledger.db", code="ledger.address"
        ) from error
    shown = parsed.set(username=None, password=None).render_as_string()
    if parsed.get_backend_name() not in STEPS:
        raise ConfigurationError(f"the ledger {shown} must be SQLite or PostgreSQL", code="ledger.address")
    with _database_errors(shown):
        engine = open_engine(parsed, timeout)
        migrate(engine, shown)
    return Ledger(engine, shown)


def _head_at(connection: Connection, size: int) -> str:
    if size == 0:
        return GENESIS
    return str(connection.scalar(sa.select(table.c.hash).where(table.c.seq == size)))


def _last(connection: Connection) -> tuple[int, str]:
    query = sa.select(table.c.seq, table.c.hash).order_by(table.c.seq.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return (row.seq, row.hash) if row else (0, GENESIS)


@contextmanager
def _locked_file(ledger: Ledger, _: str, deadline: float, busy: str) -> Iterator[Callable[[], None]]:
    import fcntl

    path = ledger._engine.url.database
    if not path or path == ":memory:":
        yield lambda: None  # nobody else can see it
        return
    try:
        handle = open(f"{path.removeprefix('file:').partition('?')[0]}.lock", "w")  # noqa: SIM115 - closed below
    except OSError as error:
        raise AccessError(f"cannot lock the ledger {ledger.url}: {error.strerror}", code="ledger.refused") from error
    with handle:
        _wait(lambda: _try_flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB), deadline, busy)
        yield lambda: None


def _try_flock(handle: Any, how: int) -> bool:
    import fcntl

    try:
        fcntl.flock(handle, how)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _locked_key(ledger: Ledger, what: str, deadline: float, busy: str) -> Iterator[Callable[[], None]]:
    key = int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], "big", signed=True)
    with (
        _database_errors(ledger.url),
        ledger._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
    ):
        _wait(lambda: bool(connection.scalar(sa.select(sa.func.pg_try_advisory_lock(key)))), deadline, busy)
        backend = connection.scalar(sa.select(sa.func.pg_backend_pid()))

        def confirm() -> None:
            with _database_errors(ledger.url):
                if connection.scalar(sa.select(sa.func.pg_backend_pid())) != backend:
                    raise DependencyError(
                        f"the lock of {what} was lost: the ledger's connection broke; try again",
                        code="ledger.lock_lost",
                    )

        try:
            yield confirm
        finally:
            connection.invalidate()  # closing the session is what frees the lock, whatever state it is in


def _wait(done: Callable[[], bool], deadline: float, busy: str) -> None:
    while not done():
        if time.monotonic() >= deadline:
            raise DependencyError(busy, code="ledger.lock_busy")
        time.sleep(_POLL_SECONDS)


@contextmanager
def _database_errors(shown: str) -> Iterator[None]:
    """Every database error as one of ours; messages carry neither parameters nor a password."""
    try:
        yield
    except OperationalError as error:
        text = str(error.orig).lower()
        if "readonly" in text or "read-only" in text or "authentication failed" in text or "permission denied" in text:
            raise AccessError(
                f"the ledger {shown} refuses this identity: {_first_line(error)}", code="ledger.refused"
            ) from None
        raise DependencyError(
            f"the ledger {shown} cannot be used now: {_first_line(error)}", code="ledger.down"
        ) from None
    except DBAPIError as error:
        if "permission denied" in str(error.orig).lower() or "read-only" in str(error.orig).lower():
            raise AccessError(
                f"the ledger {shown} refuses this identity: {_first_line(error)}", code="ledger.refused"
            ) from None
        if "append-only" in str(error.orig):
            raise EvidenceError(f"the ledger {shown} is append-only", code="ledger.append_only") from None
        if "not a database" in str(error.orig):
            raise ConfigurationError(f"the ledger {shown} is not a database", code="ledger.unusable") from None
        raise DependencyError(
            f"the ledger {shown} cannot be used now: {_first_line(error)}", code="ledger.down"
        ) from None
    except (SQLAlchemyError, ModuleNotFoundError) as error:
        raise ConfigurationError(
            f"the ledger {shown} cannot be opened: {type(error).__name__}: {error}", code="ledger.unusable"
        ) from None


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
