"""What an auditor asks besides the walk: what is new since a checkpoint, and whether each signature is of a key that
may sign it. Nothing is decided on what is read here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.chain import Entry, Head, Trail, Verified, follow
from airflow_mlgov.evidence.erasure import typed_in
from airflow_mlgov.evidence.ledger_schema import table
from airflow_mlgov.evidence.verification import quarantined, verify_entry

if TYPE_CHECKING:
    from airflow_mlgov.evidence.ledger import Ledger
    from airflow_mlgov.evidence.signing import TrustRoot

_BATCH = 1_000
_HEX = frozenset("0123456789abcdef")
_MOST_NAMED = 20


@dataclass
class Signatures:
    """Takes entries that were walked, and keeps which of them do not verify."""

    trust: TrustRoot
    checked: int = 0
    bad: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    """Number of the entry -> how people name it, the SHA-256 of its envelope, and why."""

    def take(self, entry: Entry) -> None:
        """The next entry."""
        self.checked += 1
        try:
            verify_entry(entry, self.trust)
        except EvidenceError as error:
            self.bad[entry.seq] = (entry.reference, entry.envelope_sha256, error.coded)

    def require_good(self, records: Verified) -> int:
        """Refuse entries that do not verify and that nobody has quarantined; how many were quarantined.

        :param records: with the entries of the kind ``quarantine``
        :raises EvidenceError: there are some
        """
        aside = quarantined(records, self.trust)
        left = [item for seq, item in self.bad.items() if aside.get(seq) != item[1]]
        if not left:
            return len(self.bad)
        lines = [f"  - {reference}: {why}" for reference, _, why in left[:_MOST_NAMED]]
        if len(left) > _MOST_NAMED:
            lines.append(f"  - and {len(left) - _MOST_NAMED} more")
        raise EvidenceError(
            f"{len(left)} of {self.checked} entries do not verify under {self.trust.source}: add the keys that are "
            "missing there, or set an entry aside with `mlgov ledger quarantine`",
            code="ledger.unverified",
            more=lines,
        )


@dataclass
class Seen:
    """Counts the entries that were walked, and hands them on if their signatures are asked for."""

    signatures: Signatures | None = None
    count: int = 0

    def take(self, entry: Entry) -> None:
        """The next entry."""
        self.count += 1
        if self.signatures is not None:
            self.signatures.take(entry)


def walk_since(
    ledger: Ledger,
    mark: Head,
    kinds: Collection[str],
    checkpoints: Iterable[Head] = (),
    each: Callable[[Entry], object] = lambda _: None,
) -> Verified:
    """Walk what came after a checkpoint. Of what it vouches for the hashes alone are read, and must have its root.

    :param mark: a checkpoint that has verified
    :param kinds: of the new entries, those of these kinds are kept, with the texts beside them
    :param checkpoints: others that the ledger has to bear out
    :param each: is given each new entry once it was walked
    :raises EvidenceError: as for :func:`~airflow_mlgov.evidence.chain.walk`
    """
    kept: list[Entry] = []

    def after(entry: Entry, _: Trail) -> None:
        each(entry)
        if entry.kind in kinds:
            kept.append(entry)

    trail = follow(
        _rows(ledger, mark.size), [mark, *checkpoints], False, after=after, skipped=_hashes(ledger, mark.size)
    )
    return Verified(trail, kept, ledger.texts(digest for entry in kept for digest in typed_in(entry)))


def _rows(ledger: Ledger, number: int) -> Iterator[Entry]:
    while batch := ledger.since(number, _BATCH):
        yield from batch
        number = batch[-1].seq


def _hashes(ledger: Ledger, size: int) -> Iterator[str]:
    """Of the first entries, as the database has them."""
    number = 0
    while number < size:
        query = sa.select(table.c.seq, table.c.hash).where(table.c.seq > number, table.c.seq <= size)
        with ledger.beside() as connection:
            rows = connection.execute(query.order_by(table.c.seq).limit(10 * _BATCH)).all()
        if not rows:
            return
        for seq, found in rows:
            number += 1
            if seq != number:
                raise EvidenceError(
                    f"ledger entry {number} is missing: the next one is {seq}", code="ledger.entry_missing"
                )
            if not isinstance(found, str) or len(found) != 64 or not _HEX.issuperset(found):
                raise EvidenceError(
                    f"ledger entry {number} was changed after it was written", code="ledger.entry_changed"
                )
            yield found
