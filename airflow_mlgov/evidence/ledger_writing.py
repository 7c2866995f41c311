"""How an entry gets into the ledger's database: whole, with its nodes of the tree and its texts, or not at all, and on
disk before anybody is told that it is recorded.

PostgreSQL, by psycopg: writers queue for a lock, and the commit under it waits for no disk. After the lock a small
commit that does wait has the log written up to its own end, and so to the end of all before; one write of the disk
serves all who wait then. Anywhere else one transaction does it all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.chain import DOMAIN, GENESIS, Entry, check_history, link, read_envelope
from airflow_mlgov.evidence.digests import hash_json
from airflow_mlgov.evidence.ledger_schema import LOCK, begin, commit, sqlstate, table
from airflow_mlgov.evidence.ledger_schema import texts as texts_table
from airflow_mlgov.evidence.ledger_tree import grow

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_mlgov.evidence.statements import Typed

_COLUMNS = tuple(Entry.__dataclass_fields__)
_COPIED = ("recorded_at", "kind", "subject_digest", "subject_name", "envelope_sha256", "envelope")
_LARGEST = 2**63 - 1
_STANDS_STILL = 60
"""Seconds after which PostgreSQL ends a writer that holds the lock and says nothing more."""
_NOT_KEPT = "22012"
"""What the division in ``mlgov_look`` says where the entry does not stand there as it was written."""

_MAY_FLUSH = sa.text(
    "SELECT NOT pg_catalog.pg_is_in_recovery() AND pg_catalog.bool_and(pg_catalog.has_function_privilege(oid, "
    "'EXECUTE')) FROM pg_catalog.pg_proc "
    "WHERE proname = 'pg_logical_emit_message' AND pronamespace = 'pg_catalog'::regnamespace"
)
_FLUSH = (
    "SELECT pg_catalog.set_config('synchronous_commit', CASE pg_catalog.current_setting('synchronous_commit') "
    "WHEN 'off' THEN 'on' ELSE pg_catalog.current_setting('synchronous_commit') END, true), "
    "pg_catalog.pg_logical_emit_message(true, 'mlgov_ledger', '')"
)
"""No commit is waited for that wrote nothing, so it writes a message that nobody reads."""
_WAIT_FOR_THE_LOG = (
    "SELECT pg_catalog.pg_sleep(3 * extract(epoch FROM pg_catalog.current_setting('wal_writer_delay')::interval))"
)
_HASH = (  # as evidence.chain.link
    f"encode(sha256(decode('{DOMAIN.hex()}', 'hex') || decode({{prev}}, 'hex') || int8send({{seq}}) "
    "|| decode({row}, 'hex')), 'hex')"
)
_STEPS = {
    "mlgov_lock": f"""
SELECT pg_catalog.set_config('synchronous_commit', 'off', true),
  pg_catalog.set_config('idle_in_transaction_session_timeout', '{_STANDS_STILL}s', true),
  pg_catalog.pg_advisory_xact_lock({LOCK})""",
    "mlgov_put (text, text, text, text, text, text, text, bigint, text)": f"""
INSERT INTO mlgov_ledger (seq, prev, hash, {", ".join(_COPIED)})
SELECT last.seq + 1, last.hash, {_HASH.format(prev="last.hash", seq="last.seq + 1", row="$7")}, $1, $2, $3, $4, $5, $6
FROM (SELECT coalesce((SELECT seq FROM mlgov_ledger ORDER BY seq DESC LIMIT 1), 0) AS seq) AS at,
  LATERAL (SELECT at.seq, coalesce((SELECT hash FROM mlgov_ledger WHERE seq = at.seq), '{GENESIS}') AS hash) AS last
WHERE $8 IS NULL OR $8 = 0 AND $9 = '{GENESIS}'
  OR EXISTS (SELECT 1 FROM mlgov_ledger AS seen WHERE seen.seq = $8 AND seen.hash = $9)""",
    "mlgov_grow": """
WITH RECURSIVE entry AS (SELECT seq - 1 AS place, prev, hash FROM mlgov_ledger ORDER BY seq DESC LIMIT 1),
grown (level, place, node) AS (
  SELECT 0, place, sha256(decode('00' || hash, 'hex')) FROM entry
  WHERE place & 1 = 1 AND (place = 1
    OR EXISTS (SELECT 1 FROM mlgov_ledger_nodes AS last WHERE last.level = 1 AND last.place = (entry.place >> 1) - 1))
  UNION ALL
  SELECT grown.level + 1, grown.place >> 1, sha256(decode('01', 'hex') || beside.node || grown.node)
  FROM grown, LATERAL (
    SELECT sha256(decode('00' || prev, 'hex')) AS node FROM entry WHERE grown.level = 0
    UNION ALL
    SELECT decode(hash, 'hex') FROM mlgov_ledger_nodes AS kept
    WHERE kept.level = grown.level AND kept.place = grown.place - 1 AND grown.level > 0
  ) AS beside
  WHERE grown.place & 1 = 1 AND length(beside.node) = 32
)
INSERT INTO mlgov_ledger_nodes (level, place, hash)
SELECT level, place, encode(node, 'hex') FROM grown WHERE level > 0 ON CONFLICT DO NOTHING""",
    "mlgov_look (text, text, text, text, text, text)": f"""
SELECT 1 / count(*), pg_catalog.set_config('mlgov.written', CAST(max(seq) AS text), false) FROM mlgov_ledger AS entry
WHERE seq = (SELECT max(seq) FROM mlgov_ledger) AND hash = {_HASH.format(prev="prev", seq="seq", row="$6")}
  AND prev = coalesce((SELECT hash FROM mlgov_ledger AS last WHERE last.seq = entry.seq - 1), '{GENESIS}')
  AND {" AND ".join(f"{name} = ${number}" for number, name in enumerate(_COPIED[:-1], 1))}
  AND encode(sha256(convert_to(envelope, 'UTF8')), 'hex') = $5""",
    "mlgov_read": f"""
SELECT {", ".join(_COLUMNS)} FROM mlgov_ledger
WHERE seq = CAST(pg_catalog.current_setting('mlgov.written') AS bigint)""",
    "mlgov_flush": _FLUSH,
}
"""What PostgreSQL plans once for each connection: the lock; the entry as it follows from the last one, if its statement
was signed over what stands there; the subtrees that it completes, as in
:func:`~airflow_mlgov.evidence.ledger_tree.completed`; whether the entry stands there as it was written, or nothing of
all that is kept; what stands there after the commit."""
_PREPARE = "; ".join(f"PREPARE {name} AS {text}" for name, text in _STEPS.items())
_UNPREPARED, _PREPARED = "26000", "42P05"
"""What PostgreSQL says where a connection was handed to another server process, by a pool between."""
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
_FIRST = ", ".join(f"%({name})s" for name in _COPIED[:-1])
_MESSAGE = (
    f"{_BEGIN}; EXECUTE mlgov_lock; EXECUTE mlgov_put ({_FIRST}, %(envelope)s, %(row)s, %(size)s, %(head)s); "
    f"EXECUTE mlgov_grow; EXECUTE mlgov_look ({_FIRST}, %(row)s); COMMIT; "
    f"{_BEGIN}; EXECUTE mlgov_read; EXECUTE mlgov_flush; COMMIT"
)
"""One message. Each step sees what was committed when it began, so what is read after the lock is the newest; the first
commit gives the lock back, the second waits for the disk."""


@dataclass(frozen=True)
class Draft:
    """What is to be an entry, before it is known which."""

    envelope: str
    copied: Mapping[str, str]
    """Out of the envelope."""
    statement: Mapping[str, Any]
    """In the envelope, its signature unchecked."""
    row: Mapping[str, str]
    """What its hash is over, besides number and predecessor."""

    @classmethod
    def of(cls, envelope: str) -> Draft:
        """Of an envelope that was given now.

        :raises EvidenceError: it is no envelope with a statement of a known kind
        """
        copied, statement = read_envelope(envelope)
        row = {
            **copied,
            "recorded_at": datetime.now(UTC).isoformat(),
            "envelope_sha256": hashlib.sha256(envelope.encode()).hexdigest(),
        }
        return cls(envelope, copied, statement, row)

    def after(self, size: int, head: str) -> Entry:
        """The entry that it is after the last one."""
        seq = size + 1
        return Entry(seq=seq, prev=head, hash=link(head, seq, self.row), envelope=self.envelope, **self.row)


def put(connection: Connection, draft: Draft, texts: Sequence[Typed], shown: str, *, shared: bool) -> Entry:
    """Put a draft in as the next entry, and read it back before and after the commit.

    :param texts: to be kept beside it
    :param shown: how the ledger is named
    :param shared: see :func:`shares_flush`
    :raises EvidenceError: it was signed over another ledger, or was not kept as it was written
    """
    if shared and not texts:
        return _put_by_a_message(connection, draft, shown)
    return _put_in_a_transaction(connection, draft, texts, shown)


def find(connection: Connection, draft: Draft) -> Entry | None:
    """The entry that a draft was made; None if it was not."""
    what = {**draft.row, "envelope": draft.envelope}
    query = sa.select(table).where(*(table.c[name] == value for name, value in what.items())).limit(1)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else Entry(**row)


def shares_flush(connection: Connection) -> bool:
    """Whether writers here may leave the disk to a commit after the lock."""
    if (connection.dialect.name, connection.dialect.driver) != ("postgresql", "psycopg"):
        return False
    may = _may_flush(connection)
    connection.rollback()
    return may


def flush(connection: Connection) -> None:
    """Have on disk what others have committed and this connection has read, when its transaction is committed; on a
    server that only follows another it is there already."""
    if connection.dialect.name != "postgresql":
        return
    if _may_flush(connection):
        connection.exec_driver_sql(_FLUSH)
    elif not connection.scalar(sa.text("SELECT pg_catalog.pg_is_in_recovery()")):
        connection.exec_driver_sql(_WAIT_FOR_THE_LOG)


def last_entry(connection: Connection) -> tuple[int, str]:
    """Number and hash of the last entry; 0 and ``chain.GENESIS`` if there is none."""
    query = sa.select(table.c.seq, table.c.hash).order_by(table.c.seq.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return (row.seq, row.hash) if row else (0, GENESIS)


def kept_texts(connection: Connection, digests: Sequence[str] | None = None) -> dict[str, tuple[str, str]]:
    """Salt and text of what people typed, by its salted digest.

    :param digests: only these
    """
    if not sa.inspect(connection).has_table(texts_table.name):  # a ledger of before, which is only read
        return {}
    query = sa.select(texts_table)
    if digests is not None:
        query = query.where(texts_table.c.sha256.in_(digests))
    return {row.sha256: (row.salt, row.text) for row in connection.execute(query)}


def _may_flush(connection: Connection) -> bool:
    return bool(connection.scalar(_MAY_FLUSH))


def _put_in_a_transaction(connection: Connection, draft: Draft, texts: Sequence[Typed], shown: str) -> Entry:
    begin(connection, write=True)
    size, head = last_entry(connection)
    check_history(size + 1, draft.statement, lambda number: _head_at(connection, number))
    entry = draft.after(size, head)
    connection.execute(table.insert(), asdict(entry))
    _read_back(connection, entry, shown)
    grow(connection, entry.seq, entry.prev, entry.hash)
    _keep(connection, texts, shown)
    commit(connection)
    begin(connection, write=False)
    _read_back(connection, entry, shown)
    return entry


def _put_by_a_message(connection: Connection, draft: Draft, shown: str) -> Entry:
    size, head = _seen_in(draft.statement)
    values = {**draft.row, "envelope": draft.envelope, "row": hash_json(draft.row), "size": size, "head": head}
    try:
        _, _, found, _ = _send_prepared(connection, _MESSAGE, values)
    except DBAPIError as error:
        if sqlstate(error) != _NOT_KEPT:
            raise
        number = last_entry(connection)[0] + 1
        check_history(number, draft.statement, lambda at: _head_at(connection, at))
        raise _not_kept(shown, "does not have it as it was written") from None
    rows = [dict(zip(_COLUMNS, row, strict=True)) for row in found]
    entry = draft.after(rows[0]["seq"] - 1, rows[0]["prev"]) if rows else draft.after(0, GENESIS)
    _require_same(entry, rows, shown)
    return entry


def _send_prepared(connection: Connection, text: str, values: Mapping[str, Any]) -> list[list[tuple[Any, ...]]]:
    """:func:`_send`, once the connection knows :data:`_STEPS`."""
    connection.execution_options(isolation_level="AUTOCOMMIT")  # the message says where a transaction begins
    if connection.info.setdefault(_PREPARE, True):
        connection.info[_PREPARE] = False
        _prepare(connection)
    try:
        return _send(connection, text, values)
    except DBAPIError as error:
        if sqlstate(error) != _UNPREPARED:
            raise
    _prepare(connection)
    return _send(connection, text, values)


def _prepare(connection: Connection) -> None:
    try:
        _send(connection, _PREPARE)
    except DBAPIError as error:
        if sqlstate(error) != _PREPARED:
            raise


def _send(connection: Connection, text: str, values: Mapping[str, Any] | None = None) -> list[list[tuple[Any, ...]]]:
    """Statements in one message; the rows of each that gives some."""
    import psycopg

    held = cast("psycopg.Connection", connection.connection.driver_connection)
    cursor = psycopg.ClientCursor(held)
    found = []
    try:
        cursor.execute(text, values)
        while True:
            if cursor.description is not None:
                found.append(cursor.fetchall())
            if not cursor.nextset():
                return found
    except psycopg.Error as error:
        if held.closed:
            connection.invalidate()
        else:
            held.rollback()
        raise DBAPIError.instance(text, None, error, psycopg.Error, hide_parameters=True) from error


def _seen_in(statement: Mapping[str, Any]) -> tuple[int | None, str]:
    """How long the ledger was by the word of a statement, and the hash of its last entry; -1 if that could not be, None
    if it says nothing."""
    predicate = statement.get("predicate")
    ours = predicate.get("mlgov") if isinstance(predicate, Mapping) else None
    seen = ours.get("ledger") if isinstance(ours, Mapping) else None
    if seen is None:
        return None, ""
    size, head = (seen.get("size"), seen.get("head")) if isinstance(seen, Mapping) else (None, None)
    fits = type(size) is int and 0 <= size <= _LARGEST and isinstance(head, str)
    return (size, str(head)) if fits else (-1, "")


def _head_at(connection: Connection, size: int) -> str:
    if size == 0:
        return GENESIS
    return str(connection.scalar(sa.select(table.c.hash).where(table.c.seq == size)))


def _keep(connection: Connection, texts: Iterable[Typed], shown: str) -> None:
    """Those that are not kept yet: everybody who signs a waiver signs the same terms. What was erased stays so, also if
    whoever signs has read it before."""
    new = {text.sha256: text for text in texts if text.salt is not None}
    if not new:
        return
    erased = sa.select(table.c.subject_digest).where(table.c.kind == "erasure", table.c.subject_digest.in_(list(new)))
    for sha256 in connection.scalars(erased).all():
        new.pop(sha256, None)
    missing = new.keys() - kept_texts(connection, list(new)).keys()
    if missing:
        rows = [{"sha256": sha256, "salt": new[sha256].salt, "text": str(new[sha256])} for sha256 in sorted(missing)]
        connection.execute(texts_table.insert(), rows)
    if kept_texts(connection, list(new)) != {sha256: (text.salt, str(text)) for sha256, text in new.items()}:
        raise EvidenceError(
            f"the ledger {shown} was given a text beside an entry and does not have it as it was typed: its database "
            "swallows or changes what is written; see what `mlgov doctor` finds in it",
            code="ledger.not_kept",
        )


def _read_back(connection: Connection, entry: Entry, shown: str) -> None:
    """A trigger, a rule, a policy or a view may swallow or change what is written, and say nothing."""
    rows = connection.execute(sa.select(table).where(table.c.seq == entry.seq)).mappings()
    _require_same(entry, [dict(row) for row in rows], shown)


def _require_same(entry: Entry, found: list[dict[str, Any]], shown: str) -> None:
    if found != [asdict(entry)]:
        raise _not_kept(shown, "does not have it" if not found else "has something else there")


def _not_kept(shown: str, how: str) -> EvidenceError:
    return EvidenceError(
        f"the ledger {shown} was given an entry and {how}: its database swallows or changes what is written; see what "
        "`mlgov doctor` finds in it",
        code="ledger.not_kept",
    )
