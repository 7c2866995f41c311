"""What a decision reads of a ledger without a walk from its first entry: by proofs from what the newest promotion, or a
newer checkpoint in another hand, is signed over, and by a walk over all that came since.

Whoever signed had walked, or proven in the same way, all that it is signed over: tree and index. What the index names
is all that there is about a model, and each entry of it is read, hashed, and proven to stand in the tree. Anything
missing or wrong is refused; a ledger of which nothing is signed so is walked from its first entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.chain import (
    GENESIS,
    Entry,
    Head,
    Trail,
    Verified,
    differs,
    follow,
    keys_of,
    mark_entry,
    model_key,
    origin_of,
    require_own_hash,
    tail_cut,
)
from airflow_mlgov.evidence.hash_tree import leaf_hash, require_consistency, require_inclusion
from airflow_mlgov.evidence.index_map import NOTHING, IndexMap, Mark
from airflow_mlgov.evidence.ledger_index import Claim, claims, entries_about, read_nodes
from airflow_mlgov.evidence.ledger_schema import IN_PARTS, table
from airflow_mlgov.evidence.ledger_schema import index as index_table
from airflow_mlgov.evidence.ledger_tree import StoredTree
from airflow_mlgov.evidence.ledger_writing import last_entry
from airflow_mlgov.evidence.merkle import MerkleRoot
from airflow_mlgov.evidence.verification import believer

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_mlgov.evidence.ledger import Ledger
    from airflow_mlgov.evidence.signing import TrustRoot


WALK, PROVEN = "walk", "proven"
"""The values of ``[mlgov] ledger_reads``."""
_NOT_KEPT = ("index.node_missing", "tree.node_missing")
"""What the database lacks where tree or index were made again, or not yet, since a checkpoint was signed over them."""
_MUCH = 1_000
"""Entries that are kept since the promotion that they are read from, before a newer one is looked for."""


def reads_proven(said: str) -> bool:
    """Whether ``[mlgov] ledger_reads`` asks for proofs, also where it says nothing.

    :raises ConfigurationError: it says neither
    """
    if said not in ("", WALK, PROVEN):
        raise ConfigurationError(f"[mlgov] ledger_reads is {WALK} or {PROVEN}, not {said!r}", code="ledger.reads")
    return said != WALK


def records_of(ledger: Ledger, trust: TrustRoot, said: str) -> Ledger | ProvenLedger:
    """A ledger, to be read as ``[mlgov] ledger_reads`` says; errors as of :func:`reads_proven`."""
    return ProvenLedger(ledger, trust) if reads_proven(said) else ledger


@dataclass(frozen=True)
class ProvenLedger:
    """A ledger to be read by proofs, wherever records are read: for ``explain``, say."""

    ledger: Ledger
    trust: TrustRoot
    now: datetime | None = None
    """A key that has ended by then is believed nothing of the ledger; the moment of the read if None."""

    def walk(self, checkpoints: Iterable[Head] = (), *, since: Verified | None = None) -> Verified:
        """All that may be decided on.

        :param checkpoints: verified checkpoints that were kept elsewhere
        :param since: what was read before of the same ledger, which is gone on with; checkpoints are not asked for then
        :raises EvidenceError: an entry, a node, a proof or a checkpoint does not hold
        """
        if isinstance(since, Proven):
            return self._from_newer(since) or since.gone_on()
        if since is not None:
            return self.ledger.walk(since=since)
        given, found = tuple(checkpoints), None
        with self.ledger.reading() as connection:
            if sa.inspect(connection).has_table(index_table.name):
                found = self._proven(connection, given)
        return found or self.ledger.walk(given)

    def _proven(self, connection: Connection, checkpoints: tuple[Head, ...]) -> Proven | None:
        """From the newest checkpoint that names an index that is kept, else from the newest promotion; None if there is
        neither."""
        claim = self._newest(connection)
        least = 0 if claim is None else claim.mark.size
        marks = [item for item in checkpoints if item.index_root and item.size > least]
        for mark in sorted(marks, key=lambda item: item.size, reverse=True):
            try:
                return _read(self.ledger, connection, Claim(0, mark), checkpoints, claim)
            except EvidenceError as error:
                if error.code not in _NOT_KEPT:
                    raise
        return None if claim is None else _read(self.ledger, connection, claim, checkpoints)

    def _from_newer(self, since: Proven) -> Proven | None:
        """The same ledger from a promotion that came meanwhile, if that is much newer: whoever reads for months keeps
        no more in memory than what came since. What was read before is a checkpoint of it."""
        if len(since.newer(since.base.size)) < _MUCH:
            return None
        with self.ledger.reading() as connection:
            claim = self._newest(connection)
            if claim is None or claim.mark.size < since.base.size + _MUCH:
                return None
            return _read(self.ledger, connection, claim, (since.head,))

    def _newest(self, connection: Connection) -> Claim | None:
        """What the newest promotion that verifies says; None if none says anything of an index."""
        return next(claims(connection, believer(self.trust, self.now or datetime.now(UTC))), None)


def _read(
    ledger: Ledger, connection: Connection, claim: Claim, checkpoints: tuple[Head, ...], older: Claim | None = None
) -> Proven:
    """What is proven by a claim.

    :param older: what the newest promotion says, where the claim is a checkpoint's of more entries
    """
    size, spoken = claim.mark.size, [*checkpoints, *([older.mark] if older else ())]
    tree = StoredTree(connection, size)
    early = [item for item in spoken if 0 < item.size <= size]
    tree.prepare(lambda wanted: [wanted.peaks(size), *(wanted.consistency(item.size) for item in early)])
    running = MerkleRoot(size, tree.peaks(size))
    if running.hexdigest() != claim.mark.root:
        raise EvidenceError(
            f"the ledger's tree is not the one that {claim.by} is signed over: entries or nodes were changed, or it is "
            "of another ledger; `mlgov ledger verify` finds which",
            code="tree.root_wrong",
        )
    base = claim.mark if claim.seq else _completed(connection, tree, claim.mark)
    for item in early:
        _require_start(tree, base, item)
    trail, tail = _Resumed(base, running), list[Entry]()
    trail.past = _past(connection, tree, base)
    later = [item for item in spoken if item.size > size]
    follow(_after(connection, size), later, False, trail, lambda entry, _: tail.append(entry))
    newest = claim if older is None else older
    if trail.tree.size < newest.seq:
        raise EvidenceError(
            f"ledger entry {trail.tree.size + 1} is missing: {newest.by} is there", code="ledger.entry_missing"
        )
    return Proven(ledger, base, trail, tail, older and older.mark)


def _completed(connection: Connection, tree: StoredTree, mark: Head) -> Head:
    """A checkpoint whose index is kept, with what a note leaves to its root, proven: the hash of the last entry, and
    the ledger's own id.

    :raises EvidenceError: the index is not kept (``index.node_missing``), or these entries do not stand in the tree
    """
    root = bytes.fromhex(mark.index_root)
    IndexMap(root, lambda names: read_nodes(connection, names)).require([root])
    now, head_at = last_entry(connection)[0], _past(connection, tree, mark)
    if now < mark.size:
        raise tail_cut(now, mark.size)
    first, last = head_at(1), head_at(mark.size)
    if not (first and last):
        raise EvidenceError(
            f"ledger entry {mark.size if first else 1} is missing, or its hash is none", code="ledger.entry_missing"
        )
    return mark._replace(head=last, origin=origin_of(first))


def _require_start(tree: StoredTree, base: Head, checkpoint: Head) -> None:
    """Refuse a checkpoint that is not of the start of what was signed."""
    try:
        path, roots = tree.consistency(checkpoint.size), [bytes.fromhex(item.root) for item in (checkpoint, base)]
        require_consistency(checkpoint.size, base.size, roots[0], roots[1], path)
    except EvidenceError as error:
        if error.code != "proof.wrong":
            raise
        raise differs(checkpoint) from None
    if checkpoint.head and checkpoint.origin != base.origin:
        raise differs(checkpoint)
    if checkpoint.size == base.size and checkpoint.index_root not in ("", base.index_root):
        raise EvidenceError(
            f"of the first {base.size} entries two indexes are signed, and there is but one: whoever has one of the "
            "keys has helped to hide entries; `mlgov ledger verify --checkpoint` finds which",
            code="index.root_wrong",
        )


def _after(connection: Connection, size: int) -> Iterable[Entry]:
    query = sa.select(table).where(table.c.seq > size).order_by(table.c.seq)
    return (Entry(**row) for row in connection.execute(query, execution_options=IN_PARTS).mappings())


def _past(connection: Connection, tree: StoredTree, base: Head) -> Callable[[int], str]:
    """Size -> hash of the last entry then, proven."""

    def head_at(size: int) -> str:
        if size == 0:
            return GENESIS
        found = str(connection.scalar(sa.select(table.c.hash).where(table.c.seq == size)))
        tree.prepare(lambda wanted: wanted.inclusion(size - 1))
        path = tree.inclusion(size - 1)
        try:
            leaf = leaf_hash(bytes.fromhex(found))
        except ValueError:
            return ""
        require_inclusion(leaf, size - 1, base.size, path, bytes.fromhex(base.root))
        return found

    return head_at


class _Resumed(Trail):
    """A walk that goes on from what somebody has signed."""

    def __init__(self, base: Head, tree: MerkleRoot) -> None:
        super().__init__()
        self.tree, self.heads = tree, bytearray.fromhex(base.head)
        self.origin, self.prev, self._first = base.origin, base.head, base.size
        self.past: Callable[[int], str] = str
        """Size, before that -> hash of the last entry then."""

    def _head_at(self, size: int) -> str:
        if size < self._first:
            return self.past(size)
        at = 32 * (size - self._first)
        return self.heads[at : at + 32].hex()


class Proven(Verified):
    """What was read so: all that came since was walked, and what is asked for of before is proven, each time to the
    same root. Made by :meth:`ProvenLedger.walk` alone."""

    _state: _Resumed
    _ledger: Ledger
    _base: Head
    _index: IndexMap
    _older: tuple[int, IndexMap] | None
    """The size of what an older promotion is signed over, and its index, which has to say the same of that."""
    _before: dict[str, list[Entry]]
    _sure: dict[int, str]
    """Number -> hash of each entry that was proven to stand in the tree."""

    def __init__(
        self, ledger: Ledger, base: Head, trail: _Resumed, tail: Sequence[Entry], older: Head | None = None
    ) -> None:
        super().__init__(trail, tail)
        given = {
            "_ledger": ledger,
            "_base": base,
            "_index": _index_at(ledger, base),
            "_older": older and (older.size, _index_at(ledger, older)),
            "_before": {},
            "_sure": {},
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)

    @property
    def base(self) -> Head:
        """What it is proven by: what a promotion or a checkpoint is signed over."""
        return self._base

    def gone_on(self) -> Proven:
        """With what was written since.

        :raises EvidenceError: it does not follow
        """
        trail, tail = self._state.copy(), list(self._entries)
        with self._ledger.reading() as connection:
            rows = iter(_after(connection, self._base.size + max(0, len(tail) - 1)))
            if tail and next(rows, None) != tail[-1]:
                raise EvidenceError(
                    f"ledger entry {tail[-1].seq} was changed or removed while it was read", code="ledger.entry_changed"
                )
            trail.past = _past(connection, StoredTree(connection, self._base.size), self._base)
            follow(rows, (), False, trail, lambda entry, _: tail.append(entry))
        made = Proven(self._ledger, self._base, trail, tail)
        for name in ("_index", "_older", "_before", "_sure"):
            object.__setattr__(made, name, getattr(self, name))
        return made

    def index(self) -> IndexMap:
        """See :meth:`Verified.index`."""
        made = self._index.copy()
        touched = dict.fromkeys(key for entry in self._entries for key in keys_of(entry))
        made.prepare(touched)
        marks = {key: made.get(key) for key in touched}
        for entry in self._entries:
            mark_entry(marks, entry)
        for key, now in marks.items():
            made.put(key, now)
        return made

    def leaves(self) -> None:
        """See :meth:`Verified.leaves`: the tree was kept before."""

    def newer(self, size: int) -> Sequence[Entry]:
        """See :meth:`Verified.newer`."""
        if size >= self._base.size:
            return self._entries[size - self._base.size :]
        return [entry for entry in self._whole() if entry.seq > size]

    def text(self, sha256: str) -> tuple[str, str] | None:
        """Salt and text of what a person typed, as the database has them now."""
        return self._ledger.texts([sha256]).get(sha256)

    def entries(
        self, digests: Iterable[str] | None = None, *, kind: str | None = None, model: str | None = None
    ) -> list[Entry]:
        """Entries in order; parameters as for :meth:`Verified.entries`. Of whoever asks for all, all is walked.

        :raises EvidenceError: the database does not show what the index names, or what it shows is not in the tree
        """
        wanted = None if digests is None else frozenset(digests)
        if wanted is not None:
            keys = [f"digest:{digest}" for digest in wanted]
        elif model is not None:
            keys = [model_key(model)]
        elif kind is not None:
            keys = [f"kind:{kind}"]
        else:
            return self._whole()
        before = {entry.seq: entry for entry in self._about(keys)}
        start = "" if model is None else f"models:/{model}/"
        return [
            entry
            for entry in (*(before[seq] for seq in sorted(before)), *self._entries)
            if (wanted is None or entry.subject_digest in wanted)
            and kind in (None, entry.kind)
            and entry.subject_name.startswith(start)
        ]

    def get(self, seq: int) -> Entry:
        """One entry; errors as of :meth:`Verified.get`."""
        if not 1 <= seq <= self.head.size:
            raise ConfigurationError(f"the ledger has no entry {seq}: it has {self.head.size}", code="ledger.no_entry")
        if seq > self._base.size:
            return self._entries[seq - self._base.size - 1]
        found = self._ledger.read([seq])
        if not found:
            raise EvidenceError(f"ledger entry {seq} is missing", code="ledger.entry_missing")
        require_own_hash(found[0])
        with self._ledger.reading() as connection:
            self._require_in_tree(connection, found)
        return found[0]

    def _about(self, keys: Iterable[str]) -> list[Entry]:
        """All entries of before about some keys."""
        new = [key for key in dict.fromkeys(keys) if key not in self._before]
        if new:
            self._index.prepare(new)
            with self._ledger.reading() as connection:
                found = {key: self._shown(connection, key) for key in new}
                self._require_in_tree(connection, [entry for rows in found.values() for entry in rows])
            self._before.update(found)
        return [entry for key in keys for entry in self._before[key]]

    def _shown(self, connection: Connection, key: str) -> list[Entry]:
        """What the database shows about a key, which must be what the index names."""
        named = self._index.get(key)
        found = entries_about(connection, key, self._base.size, named.total + 1)
        for entry in found:
            require_own_hash(entry)
        _require_named(found, key, self._base.size, named)
        if self._older is not None:
            size, index = self._older
            _require_named([entry for entry in found if entry.seq <= size], key, size, index.get(key))
        return found

    def _require_in_tree(self, connection: Connection, entries: Iterable[Entry]) -> None:
        """Refuse entries, each of its own right hash, that do not stand in the tree."""
        tree, size, root = StoredTree(connection, self._base.size), self._base.size, bytes.fromhex(self._base.root)
        new = [entry for entry in entries if self._sure.get(entry.seq) != entry.hash]
        tree.prepare(lambda wanted: [wanted.inclusion(entry.seq - 1) for entry in new])
        for entry in new:
            path = tree.inclusion(entry.seq - 1)
            require_inclusion(leaf_hash(bytes.fromhex(entry.hash)), entry.seq - 1, size, path, root)
            self._sure[entry.seq] = entry.hash

    def _whole(self) -> list[Entry]:
        size = self.head.size
        return [entry for entry in self._ledger.walk([self.head]).entries() if entry.seq <= size]


def _require_named(found: Sequence[Entry], key: str, size: int, named: Mark) -> None:
    """Refuse entries about a key that are not those that an index names.

    :param size: the index is of so many first entries
    """
    shown = NOTHING
    for entry in found:
        shown = shown.of(entry.seq, entry.hash)
    what = f"of the first {size} entries {named.total} are about {key.replace(':', ' ', 1)}"
    if len(found) < named.total:
        raise EvidenceError(
            f"{what}, and the ledger's database shows {len(found)}: it hides some, or has filed them elsewhere",
            code="index.entry_hidden",
        )
    if shown != named:
        raise EvidenceError(
            f"{what}, and the ledger's database shows others: somebody has put some there, or in their place",
            code="index.entry_foreign",
        )


def _index_at(ledger: Ledger, mark: Head) -> IndexMap:
    return IndexMap(bytes.fromhex(mark.index_root), partial(_load, ledger))


def _load(ledger: Ledger, names: Sequence[bytes]) -> dict[bytes, bytes]:
    with ledger.reading() as connection:
        return read_nodes(connection, names)
