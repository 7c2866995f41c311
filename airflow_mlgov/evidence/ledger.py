"""The append-only, hash-chained store of all evidence: one SQL table, SQLite by default, PostgreSQL for teams.

It stores and chains envelopes and refuses to change one; what an envelope is worth is for ``verification`` to say. Its
database is not believed: what is read was walked, and what is written is read back.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from airflow_mlgov.errors import (
    AccessError,
    ConfigurationError,
    DependencyError,
    EvidenceError,
    MlgovError,
    not_installed,
)
from airflow_mlgov.evidence.chain import (
    Entry,
    Head,
    Texts,
    Trail,
    Verified,
    follow,
    mark_entry,
    verified,
    walk,
)
from airflow_mlgov.evidence.index_map import IndexMap, Mark
from airflow_mlgov.evidence.ledger_index import Audit, claims, write_nodes
from airflow_mlgov.evidence.ledger_schema import (
    IN_PARTS,
    STEPS,
    begin,
    commit,
    has_ledger,
    is_absent,
    migrate,
    open_engine,
    sqlstate,
    table,
)
from airflow_mlgov.evidence.ledger_schema import index as index_table
from airflow_mlgov.evidence.ledger_schema import texts as texts_table
from airflow_mlgov.evidence.ledger_tree import StoredTree, complete, require_no_more
from airflow_mlgov.evidence.ledger_watch import look
from airflow_mlgov.evidence.ledger_writing import Draft, find, flush, kept_texts, last_entry, put, shares_flush
from airflow_mlgov.evidence.signing import sign_statement
from airflow_mlgov.evidence.statements import LedgerMark, Signed, Typed
from airflow_mlgov.progress import counted
from airflow_mlgov.urls import database_url, shown_database

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

_POLL_SECONDS = 0.2
_MANY = 1_000
"""Entries of a walk, from which on a quicker reader of JSON is worth its import."""


class Ledger:
    """Open with :func:`open_ledger`."""

    def __init__(self, engine: Engine, shown: str) -> None:
        self._engine = engine
        self._is_current = False
        self._shares_flush: bool | None = None
        self.url = shown
        """Where it is: dialect, host, port and database."""

    def attest(self, statement: Signed, signer: Signer, seen: Head | None = None) -> Entry:
        """Sign a statement together with what the ledger is now, and store it as the next entry.

        Since each statement holds the head of the ledger before it, whoever rewrites the past would have to sign again
        all that came after.

        :param seen: what the ledger was when the statement was decided on, if it was decided on what was walked
        :raises DependencyError: the database or the signer's Vault is down; nothing was stored
        :raises AccessError: the identity may not sign or not write; nothing was stored
        :raises EvidenceError: the database did not keep the entry as it was written
        """
        size, head = self.last() if seen is None else seen[:2]
        envelope = sign_statement(replace(statement, ledger=LedgerMark(size, head)).as_json(), signer)
        return self.append(envelope, statement.texts().values())

    def append(self, envelope: str, texts: Iterable[Typed] = ()) -> Entry:
        """Store one envelope as the next entry, and read it back before and after the commit.

        :param texts: what people typed for it, to be kept beside it
        :raises DependencyError: the database is down or locked; nothing was stored, unless it went down after the
            commit, and for longer than it takes to look
        :raises AccessError: the ledger is read-only for this identity; nothing was stored
        :raises EvidenceError: the text is not an envelope with a statement of a known kind, or was signed over another
            ledger; or the database did not keep the entry as it was written (``ledger.not_kept``)
        """
        self._bring_up_to_date()
        draft, asked = Draft.of(envelope), False
        try:
            with _database_errors(self.url), self._engine.connect() as connection:
                if self._shares_flush is None:
                    self._shares_flush = shares_flush(connection)
                asked = True
                return put(connection, draft, list(texts), self.url, shared=self._shares_flush)
        except DependencyError:
            found = self._look_for(draft) if asked else None
            if found is None:
                raise
            return found  # it was committed, and the answer was lost

    def head_with_index(self) -> Head:
        """Walk the whole chain as :meth:`verify` does; what it is, and its index's root, if the index could be kept for
        whoever reads by it: by whoever may insert, in a ledger that has room for it.

        :raises EvidenceError: the chain does not hold
        :raises DependencyError: the database is down or locked
        """
        marks: dict[str, Mark] = {}
        with self._transaction() as connection:
            now = follow(_rows(connection), (), False, after=lambda entry, _: mark_entry(marks, entry)).head
            if not marks or not sa.inspect(connection).has_table(index_table.name):
                return now
        made = IndexMap.of(marks)
        try:
            with self._transaction(write=True) as connection:
                write_nodes(connection, made.fresh)
        except AccessError:
            return now
        return now._replace(index_root=made.root.hex())

    def settle(self) -> None:
        """Have on disk what was read here: on PostgreSQL others see an entry before it is, and whoever tells somebody
        outside what the ledger holds asks for this first.

        :raises DependencyError: the database is down
        """
        if self._engine.dialect.name == "sqlite":
            return
        with self._transaction() as connection:
            flush(connection)
            commit(connection)

    def walk(self, checkpoints: Iterable[Head] = (), *, since: Verified | None = None) -> Verified:
        """Walk the whole chain in one read, and hand out what was walked: nothing else may be decided on.

        :param checkpoints: verified checkpoints that were kept elsewhere, see ``evidence.checkpoints``
        :param since: an earlier walk of this ledger, which is gone on with; checkpoints are not asked for then
        :raises EvidenceError: the first entry that was edited, removed or put in, or a checkpoint that does not hold
        """
        with self._transaction() as connection:
            if since is not None:
                return since.continued(_rows(connection, since.head.size), kept_texts(connection))
            return verified(_rows(connection), checkpoints, texts=kept_texts(connection))

    def entries(
        self, digests: Iterable[str] | None = None, *, kind: str | None = None, model: str | None = None
    ) -> list[Entry]:
        """Entries of one :meth:`walk`; parameters and errors as for
        :meth:`~airflow_mlgov.evidence.chain.Verified.entries`.
        """
        return self.walk().entries(digests, kind=kind, model=model)

    def get(self, seq: int) -> Entry:
        """One entry of one :meth:`walk`.

        :raises ConfigurationError: no entry has this number
        """
        return self.walk().get(seq)

    def since(self, number: int, most: int) -> list[Entry]:
        """The entries after a number, in order, as the database has them: who takes them walks them.

        :param most: how many
        """
        query = sa.select(table).where(table.c.seq > number).order_by(table.c.seq).limit(most)
        with self._transaction() as connection:
            return [Entry(**row) for row in connection.execute(query).mappings()]

    def read(self, numbers: Iterable[int]) -> list[Entry]:
        """Entries by their numbers, in order, as the database has them: who takes them confirms them."""
        wanted, found = sorted(set(numbers)), []
        with self._transaction() as connection:
            for start in range(0, len(wanted), 500):
                query = sa.select(table).where(table.c.seq.in_(wanted[start : start + 500])).order_by(table.c.seq)
                found += [Entry(**row) for row in connection.execute(query).mappings()]
        return found

    @contextmanager
    def tree(self, size: int | None = None) -> Iterator[StoredTree]:
        """The tree of its first entries, for proofs, as the database has it: who takes one holds it against a root.

        :param size: how many entries; all if omitted
        :raises EvidenceError: a node that is asked for is not there (``tree.node_missing``)
        """
        with self._transaction() as connection:
            yield StoredTree(connection, last_entry(connection)[0] if size is None else size)

    def texts(self, digests: Iterable[str]) -> Texts:
        """What is kept of what people typed, by the salted digests that statements hold."""
        with self._transaction() as connection:
            return kept_texts(connection, list(digests))

    def forget(self, digests: Iterable[str]) -> None:
        """Erase texts and their salts; the database lets go only of those whose notice is in the ledger.

        :raises EvidenceError: there is no notice of one (``ledger.append_only``); nothing was erased
        :raises DependencyError: the database is down or locked
        :raises AccessError: it refuses the identity
        """
        with self._transaction(write=True) as connection:
            connection.execute(texts_table.delete().where(texts_table.c.sha256.in_(list(digests))))
        if self._engine.dialect.name == "postgresql":
            with _database_errors(self.url), self._engine.connect() as connection:
                vacuum = connection.execution_options(isolation_level="AUTOCOMMIT")
                vacuum.exec_driver_sql("VACUUM mlgov_ledger_texts")  # until then the old rows are in its files

    def last(self) -> tuple[int, str]:
        """Number and hash of the last entry, without a walk; 0 and ``chain.GENESIS`` if there is none."""
        with self._transaction() as connection:
            return last_entry(connection)

    def verify(self, checkpoints: Iterable[Head] = ()) -> Head:
        """Walk the whole chain, and keep nothing of it in memory.

        :param checkpoints: verified checkpoints that were kept elsewhere, see ``evidence.checkpoints``
        :raises EvidenceError: the first entry that was edited, removed or put in, or a checkpoint that does not hold
        """
        with self._transaction() as connection:
            return walk(_rows(connection), checkpoints)

    def audit(
        self,
        kinds: Collection[str],
        checkpoints: Iterable[Head],
        believed: Callable[[Entry], bool],
        each: Callable[[Entry], object] = lambda _: None,
    ) -> tuple[Verified, bool]:
        """:meth:`verify`, keeping the entries of some kinds and the texts beside them, and holding the kept tree and
        index against the entries, and what promotions say of them.

        Returns too whether a tree is kept: one of before is made by :meth:`rebuild`, and by the next promotion.

        :param believed: whether a promotion's statement verifies
        :param each: is given each entry once it was walked
        :raises EvidenceError: as :meth:`verify`; a node was changed or removed, or a promotion is signed over an index
            that the entries do not have
        """
        with self._transaction() as connection:
            walked, found = self._audited(connection, kinds, checkpoints, believed, each)
            return walked, found.require_kept(connection)

    def rebuild(self, checkpoints: Iterable[Head], believed: Callable[[Entry], bool]) -> Head:
        """Make the kept tree and index again from the entries, in one transaction; parameters and errors as of
        :meth:`audit`. Nothing is signed. A tree of more entries is the trace of a tail that was cut: it stays, unless
        a checkpoint says that these are all."""
        self._bring_up_to_date()
        marks = [*checkpoints]
        with self._transaction(write=True) as connection:
            walked, found = self._audited(connection, (), marks, believed)
            if all(mark.size != walked.head.size for mark in marks):
                require_no_more(connection, walked.head.size)
            found.rebuild(connection)
            found.require_kept(connection)
        return walked.head

    def keep_index(self, records: Verified) -> Head:
        """Keep the index of what was walked, for whoever reads after the next promotion; what the promotion is to say
        that the ledger was.

        :raises DependencyError: the database is down or locked
        :raises AccessError: it refuses the identity
        """
        self._bring_up_to_date()
        made, leaves, now = records.index(), records.leaves(), records.head
        with self._transaction(write=True) as connection:
            write_nodes(connection, made.fresh)
            if leaves is not None:
                complete(connection, leaves)
        return now._replace(index_root=made.root.hex())

    def _audited(
        self,
        connection: Connection,
        kinds: Collection[str],
        checkpoints: Iterable[Head],
        believed: Callable[[Entry], bool],
        each: Callable[[Entry], object] = lambda _: None,
    ) -> tuple[Verified, Audit]:
        marks = [*checkpoints]
        found = Audit(claims(connection, believed), marks)
        texts = kept_texts(connection)

        def after(entry: Entry, trail: Trail) -> None:
            found.take(entry, trail)
            each(entry)

        return verified(_rows(connection), marks, texts=texts, kinds=kinds, after=after), found

    def oddities(self) -> list[str]:
        """What somebody has added to, altered in or taken from the ledger's table in its database, a sentence each."""
        with self._transaction() as connection:
            return look(connection)

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

    @contextmanager
    def beside(self) -> Iterator[Connection]:
        """A transaction in the ledger's database, for a table that stands beside the ledger's; committed at the end.

        :raises DependencyError: the database is down or locked
        :raises AccessError: it refuses the identity
        """
        with self._transaction() as connection:
            yield connection
            commit(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction in the ledger's database that changes nothing; errors as of :meth:`beside`."""
        with self._transaction() as connection:
            yield connection

    def close(self) -> None:
        """Give back the database connections."""
        self._engine.dispose()

    def _bring_up_to_date(self) -> None:
        """A ledger of before that was opened to be read has no room for texts, and none for its tree."""
        if not self._is_current:
            with _database_errors(self.url):
                migrate(self._engine, self.url)
            self._is_current = True

    def _look_for(self, draft: Draft) -> Entry | None:
        """The entry of a commit that was not answered, if it is there for good; a server that may still be at that
        commit is waited for."""
        on_server = self._engine.dialect.name == "postgresql"
        with self._transaction(write=on_server) as connection:
            flush(connection)
        with self._transaction() as connection:
            return find(connection, draft)

    @contextmanager
    def _transaction(self, write: bool = False) -> Iterator[Connection]:
        with _database_errors(self.url), self._engine.connect() as connection:
            begin(connection, write=write)
            yield connection
            if write:
                commit(connection)


def open_ledger(url: str | URL, timeout: float = 10.0, *, create: bool = True) -> Ledger:
    """Open the ledger at a SQLAlchemy URL; make its tables and triggers, or bring them up to date.

    :param url: ``sqlite:////path/ledger.db`` or ``postgresql+psycopg://user:password@host/db``
    :param timeout: seconds to wait for a lock or a connection
    :param create: False for whoever only reads: nothing is made or brought up to date
    :raises ConfigurationError: not a URL, another database, a schema newer than this package; or there is none and
        ``create`` is False (``ledger.missing``)
    :raises DependencyError: the database is down or locked
    :raises AccessError: the database refused the identity
    """
    parsed = database_url(url)
    if parsed is None:
        raise ConfigurationError(
            "the ledger must be a SQLAlchemy URL, such as sqlite:////var/lib/ledger.db (of a file: sqlite:/// and its "
            "path)",
            code="ledger.address",
        )
    shown = shown_database(parsed)
    if parsed.get_backend_name() not in STEPS:
        raise ConfigurationError(f"the ledger {shown} must be SQLite or PostgreSQL", code="ledger.address")
    try:
        with _database_errors(shown):
            engine = None if not create and is_absent(parsed) else open_engine(parsed, timeout, create=create)
            if engine is None or not (create or has_ledger(engine, shown)):
                raise ConfigurationError(
                    f"there is no ledger at {shown}: correct its URL; the first evidence makes one",
                    code="ledger.missing",
                )
            if create:
                migrate(engine, shown)
    except TypeError as error:  # a driver that is given words it does not know, and may repeat them
        raise _unusable(error, shown) from None
    return Ledger(engine, shown)


def _rows(connection: Connection, first: int = 0) -> Iterator[Entry]:
    total = max(0, last_entry(connection)[0] - first)
    if total >= _MANY:
        import pydantic_core  # noqa: F401 - by which digests.parse_json reads quickly
    query = sa.select(*(table.c[name] for name in Entry.__dataclass_fields__)).order_by(table.c.seq)
    rows = connection.execute(query.where(table.c.seq >= first) if first else query, execution_options=IN_PARTS)
    return counted((Entry(*row) for row in rows), "ledger entries", total)


@contextmanager
def _locked_file(ledger: Ledger, _: str, deadline: float, busy: str) -> Iterator[Callable[[], None]]:
    import fcntl

    path = ledger._engine.url.database
    if not path or path == ":memory:":
        yield lambda: None  # nobody else can see it
        return
    file = path.removeprefix("file:").partition("?")[0]
    handle = _own_file(ledger, f"{file}.lock", file)
    try:
        _wait(lambda: _try_flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB), deadline, busy)
        yield lambda: None
    finally:
        os.close(handle)


def _own_file(ledger: Ledger, path: str, beside: str) -> int:
    """The lock file, open: never emptied, no link followed, nothing but a regular file of the user's or of the owner
    of the ledger's file.

    :raises AccessError: it is something else
    """
    try:
        # without O_NONBLOCK a pipe that somebody put there would be waited for
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        why = "it is a link" if error.errno == errno.ELOOP else error.strerror
        raise AccessError(f"cannot lock the ledger {ledger.url} by {path}: {why}", code="ledger.lock") from error
    found = os.fstat(handle)
    owners = {os.geteuid(), *(Path(name).stat().st_uid for name in (beside,) if Path(name).exists())}
    if stat.S_ISREG(found.st_mode) and found.st_uid in owners:
        return handle
    os.close(handle)
    raise AccessError(
        f"cannot lock the ledger {ledger.url} by {path}: it is no regular file of yours; find out who put it there",
        code="ledger.lock",
    )


def _try_flock(handle: int, how: int) -> bool:
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


_ALTERED = (
    "no such table",
    "no such column",
    "because it is a view",
    "malformed",
    "has no column named",
    "already exists",
)
"""What SQLite says where the ledger's table was dropped, altered, or is a view."""
_ALTERED_STATES = ("22023", "42P01", "42P07", "42703", "42710", "42809", "55000", "XX001", "XX002")
"""What PostgreSQL says then: what is no hash, no such table or column, one too many, a view, a damaged table or
index."""


@contextmanager
def _database_errors(shown: str) -> Iterator[None]:
    """Every database error as one of ours; messages carry neither parameters nor a password."""
    try:
        yield
    except DBAPIError as error:
        raise _told(error, shown) from None
    except ImportError as error:
        raise not_installed(error, f"the ledger {shown}") from None
    except SQLAlchemyError as error:
        raise _unusable(error, shown, f": {error}") from None


def _unusable(error: Exception, shown: str, more: str = "") -> ConfigurationError:
    said = f"the ledger {shown} cannot be opened: {type(error).__name__}{more}"
    return ConfigurationError(said, code="ledger.unusable")


def _told(error: DBAPIError, shown: str) -> MlgovError:
    text, line = str(error.orig).lower(), _first_line(error)
    refused = ("readonly", "read-only", "authentication failed", "permission denied")
    if any(word in text for word in refused):
        return AccessError(f"the ledger {shown} refuses this identity: {line}", code="ledger.refused")
    if "append-only" in text:
        return EvidenceError(f"the ledger {shown} is append-only", code="ledger.append_only")
    if "not a database" in text:
        return ConfigurationError(f"the ledger {shown} is not a database", code="ledger.unusable")
    state = sqlstate(error)
    if state in _ALTERED_STATES if state else any(word in text for word in _ALTERED):
        return EvidenceError(
            f"the ledger {shown} is not as it was made: {line}; trying again does not help: see what `mlgov doctor` "
            "finds in its database",
            code="ledger.altered",
        )
    if "database is locked" in text:
        return DependencyError(
            f"the ledger {shown} cannot be used now: {line}, another process has been at it for longer than is waited: "
            "try again; SQLite takes one writer at a time, PostgreSQL is for many",
            code="ledger.down",
        )
    return DependencyError(f"the ledger {shown} cannot be used now: {line}", code="ledger.down")


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
