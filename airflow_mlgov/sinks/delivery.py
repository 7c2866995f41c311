"""Delivers what was recorded since the last time, to each sink by itself: one that is down stops no other, and nothing
that was recorded waits for it.

How far a sink has come stands in a table beside the ledger's. Whoever may write there can make a sink skip entries, so
the word of a far side that can be read goes before the table's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from airflow_mlgov.errors import DependencyError, EvidenceError, MlgovError
from airflow_mlgov.evidence.chain import Verified
from airflow_mlgov.evidence.ledger import Ledger
from airflow_mlgov.sinks.protocol import Arrived, Message, Sink

_TABLE = sa.Table(
    "mlgov_delivered",
    sa.MetaData(),
    sa.Column("sink", sa.String(200), primary_key=True),
    sa.Column("seq", sa.BigInteger(), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("delivered_at", sa.String(40), nullable=False),
)


@dataclass(frozen=True)
class Delivered:
    """How far a sink has come."""

    sink: str
    before: int
    """Number of the last entry that it had."""
    now: int
    of: int
    """Entries of the ledger."""
    error: MlgovError | None = None
    """Why it has not all of them."""

    def __str__(self) -> str:
        said = f"{self.sink}: {self.now - self.before} delivered, {self.now:,} of {self.of:,} entries are there"
        return f"{said}; {self.error.coded}" if self.error else said


def deliver(ledger: Ledger, sinks: Mapping[str, Sink]) -> list[Delivered]:
    """Hand every sink what it has not had, in the ledger's order.

    :raises EvidenceError: the ledger's chain is broken
    :raises DependencyError: the ledger is down
    """
    walked = ledger.walk()
    with ledger.beside() as connection:
        _TABLE.create(connection, checkfirst=True)
    return [_deliver(ledger, walked, name, sink) for name, sink in sinks.items()]


def require_all(found: Iterable[Delivered]) -> None:
    """Raise what a sink has not taken its entries for: what trying again does not mend before what is down."""
    wrong = [one.error for one in found if one.error]
    for error in sorted(wrong, key=lambda error: isinstance(error, DependencyError)):
        raise error


def standing(ledger: Ledger, names: list[str]) -> list[Delivered]:
    """How far sinks have come, by the table alone; none of them is asked."""
    size = ledger.last()[0]
    with ledger.beside() as connection:
        known = _known(connection) if sa.inspect(connection).has_table(_TABLE.name) else {}
    return [Delivered(name, at, at, size) for name in names for at in [known.get(name, Arrived(0, "")).number]]


def _deliver(ledger: Ledger, walked: Verified, name: str, sink: Sink) -> Delivered:
    size, before = walked.head.size, 0
    now = 0
    try:
        before = now = _starts_after(ledger, walked, name, sink)
        while now < size:
            upto = min(now + sink.batch, size)
            batch = [Message(walked.head.origin, walked.get(number)) for number in range(now + 1, upto + 1)]
            sink.deliver(batch)
            _acknowledge(ledger, name, Arrived(upto, batch[-1].entry.hash))
            now = upto
    except MlgovError as error:
        return Delivered(name, before, now, size, error)
    except Exception as error:  # of whatever store's own library: the other sinks are served all the same
        wrong = DependencyError(f"the sink {name} cannot be used now: {type(error).__name__}", code="sink.down")
        return Delivered(name, before, now, size, wrong)
    return Delivered(name, before, now, size)


def _starts_after(ledger: Ledger, walked: Verified, name: str, sink: Sink) -> int:
    """Number of the last entry that the sink has.

    :raises EvidenceError: the ledger does not have that entry, or another in its place
    """
    with ledger.beside() as connection:
        known = _known(connection).get(name)
    arrived = sink.last() or known
    if arrived is None:
        return 0
    if arrived.number > walked.head.size:
        raise EvidenceError(
            f"{name} has had {arrived.number:,} entries, and the ledger has {walked.head.size:,}: its tail was cut, or "
            "it is another ledger",
            code="ledger.tail_cut",
        )
    if walked.get(arrived.number).hash != arrived.hash:
        raise EvidenceError(
            f"entry {arrived.number} of the ledger is another than {name} has had", code="sink.another_ledger"
        )
    return arrived.number


def _known(connection: sa.Connection) -> dict[str, Arrived]:
    return {row.sink: Arrived(row.seq, row.hash) for row in connection.execute(sa.select(_TABLE))}


def _acknowledge(ledger: Ledger, name: str, arrived: Arrived) -> None:
    with ledger.beside() as connection:
        connection.execute(sa.delete(_TABLE).where(_TABLE.c.sink == name))
        row = {"sink": name, "seq": arrived.number, "hash": arrived.hash, "delivered_at": datetime.now(UTC).isoformat()}
        connection.execute(sa.insert(_TABLE).values(row))
