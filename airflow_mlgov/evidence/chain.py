"""The hash chain that ties ledger entries together, and the walk that finds whatever was edited, removed or put in.

The walk hands out the entries that it has hashed, and nothing else is decided on. Knows no database: the ledger and an
evidence pack both hand it their entries.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from json.encoder import encode_basestring
from typing import Any, NamedTuple, Self

from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.digests import parse_json
from airflow_mlgov.evidence.index_map import NOTHING, IndexMap, Mark
from airflow_mlgov.evidence.merkle import MerkleRoot
from airflow_mlgov.evidence.statements import CLASSES

DOMAIN = b"\x01mlgov-ledger-v1\x00"
"""What the hash of an entry begins with."""
_BOUND = ("envelope_sha256", "kind", "recorded_at", "subject_digest", "subject_name")
"""Columns that an entry's hash binds besides its number and the hash before."""
GENESIS = "0" * 64
"""What stands as ``prev`` in the first entry."""
Texts = Mapping[str, tuple[str, str]]
"""Salted digest -> salt, as hex digits, and text of what a person typed."""


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
    """The word of a class in ``statements.CLASSES``."""
    subject_digest: str
    subject_name: str
    envelope_sha256: str
    envelope: str
    """Empty if a pack withholds it because it is about another model."""

    @property
    def reference(self) -> str:
        """How people and tags name it: ``ledger:7@1a2b3c4d5e6f``."""
        return f"ledger:{self.seq}@{self.envelope_sha256[:12]}"


class Head(NamedTuple):
    """How long a ledger is and what it holds."""

    size: int
    head: str
    """``hash`` of the last entry; :data:`GENESIS` of an empty ledger; empty in what a signed note says."""
    root: str
    """RFC 6962 Merkle tree hash over the entries' hashes."""
    origin: str
    """Which ledger: ``mlgov-ledger/`` and the start of its first entry's hash; empty while there is none."""
    index_root: str = ""
    """Of the index of its entries, :mod:`~airflow_mlgov.evidence.index_map`; empty where nobody has computed it."""

    @property
    def mark(self) -> dict[str, Any]:
        """As a promotion carries it."""
        index = {"index_root": self.index_root} if self.index_root else {}
        return {"origin": self.origin, "size": self.size, "head": self.head, "root": self.root, **index}

    def bears_out(self, checkpoint: Head) -> bool:
        """Whether a checkpoint says what the ledger is. A note names the root alone, which binds all there is to say,
        under an origin that may be the operator's own name for the ledger."""
        if not checkpoint.head:
            return (checkpoint.size, checkpoint.root) == (self.size, self.root)
        return checkpoint[:4] == self[:4]


@dataclass(frozen=True)
class Verified:
    """The entries of a chain that was walked from its first to its last, in memory. Made by :func:`verified` alone."""

    _state: Trail
    _entries: Sequence[Entry]
    _texts: Texts = field(default_factory=dict)

    @property
    def head(self) -> Head:
        """How long it is and what it holds."""
        return self._state.head

    def index(self) -> IndexMap:
        """Of what was walked, where every entry of it was kept."""
        marks: dict[str, Mark] = {}
        for entry in self._entries:
            mark_entry(marks, entry)
        return IndexMap.of(marks)

    def leaves(self) -> Iterator[bytes] | None:
        """What the tree is made of, if every entry was walked here."""
        heads = self._state.heads
        return (bytes(heads[at : at + 32]) for at in range(32, len(heads), 32))

    def newer(self, size: int) -> Sequence[Entry]:
        """The entries after a number."""
        return self._entries[size:]

    def text(self, sha256: str) -> tuple[str, str] | None:
        """Salt and text of what a person typed, by its salted digest; None where nothing is kept of it."""
        return self._texts.get(sha256)

    def texts(self) -> Collection[str]:
        """Salted digests of all texts that are kept, whatever entry they are of."""
        return self._texts.keys()

    def continued(self, entries: Iterable[Entry], texts: Texts) -> Verified:
        """The chain and what was written since, without a walk over what was walked.

        :param entries: from the last one that was walked on
        :param texts: as they are now
        :raises EvidenceError: they do not follow
        """
        since = iter(entries)
        if self._entries and next(since, None) != self._entries[-1]:
            raise EvidenceError(
                f"ledger entry {len(self._entries)} was changed or removed while it was read",
                code="ledger.entry_changed",
            )
        state, kept = self._state.copy(), list(self._entries)
        for entry in since:
            state.take(entry)
            kept.append(entry)
        return Verified(state, kept, texts)

    def entries(
        self, digests: Iterable[str] | None = None, *, kind: str | None = None, model: str | None = None
    ) -> list[Entry]:
        """Entries in order.

        :param digests: only about these subjects
        :param kind: only of this kind
        :param model: only about versions of this registered model
        :raises EvidenceError: one that is asked for was withheld
        """
        if digests is None:
            about = self._entries
        else:
            numbers = {number for digest in digests for number in self._by_digest.get(digest, ())}
            about = [self._entries[number] for number in sorted(numbers)]
        start = "" if model is None else f"models:/{model}/"
        found = [entry for entry in about if kind in (None, entry.kind) and entry.subject_name.startswith(start)]
        missing = next((entry for entry in found if not entry.envelope), None)
        if missing is not None:
            raise EvidenceError(
                f"the pack leaves out ledger entry {missing.seq}, which is about {missing.subject_name}",
                code="pack.entry_withheld",
            )
        return found

    def get(self, seq: int) -> Entry:
        """One entry.

        :raises ConfigurationError: there is none with this number
        """
        if not 1 <= seq <= len(self._entries):
            raise ConfigurationError(f"the ledger has no entry {seq}: it has {self.head.size}", code="ledger.no_entry")
        return self._entries[seq - 1]

    @cached_property
    def _by_digest(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number, entry in enumerate(self._entries):
            found.setdefault(entry.subject_digest, []).append(number)
        return found


def verified(
    entries: Iterable[Entry],
    checkpoints: Iterable[Head] = (),
    *,
    withheld: bool = False,
    texts: Texts | None = None,
    kinds: Collection[str] | None = None,
    after: Callable[[Entry, Trail], None] | None = None,
) -> Verified:
    """Walk the whole chain and keep what was walked; parameters and errors as for :func:`walk`.

    :param texts: what stands beside the statements
    :param kinds: if given, entries of these alone are kept, and found by digest and kind, not by number
    :param after: is told each entry, when it was taken
    """
    kept: list[Entry] = []

    def passing() -> Iterable[Entry]:
        for entry in entries:
            if kinds is None or entry.kind in kinds:
                kept.append(entry)
            yield entry

    return Verified(follow(passing(), checkpoints, withheld, after=after), kept, texts or {})


def keys_of(entry: Entry) -> tuple[str, ...]:
    """Under what an entry is found: its kind, its subject, and the registered model whose version that is."""
    found = (f"kind:{entry.kind}", f"digest:{entry.subject_digest}")
    scheme, _, name = entry.subject_name.partition("models:/")
    return found if scheme or not name else (*found, model_key(name))


def mark_entry(marks: dict[str, Mark], entry: Entry) -> None:
    """Take the next entry into the marks of its keys."""
    for key in keys_of(entry):
        marks[key] = marks.get(key, NOTHING).of(entry.seq, entry.hash)


def model_key(name: str) -> str:
    """The key of a registered model: what is before a slash in its name, if there is one."""
    return f"model:{name.partition('/')[0]}"


def origin_of(first: str) -> str:
    """The ledger's own id.

    :param first: hash of its first entry
    """
    return f"mlgov-ledger/{first[:16]}"


def link(prev: str, seq: int, row: Mapping[str, str]) -> str:
    """The hash of an entry.

    :param row: its other columns but ``hash`` and ``envelope``
    :raises EvidenceError: one of them cannot stand in UTF-8
    """
    said = ",".join(f"{encode_basestring(name)}:{encode_basestring(row[name])}" for name in sorted(row))
    try:
        bound = hashlib.sha256(f"{{{said}}}".encode()).digest()  # as digests.canonical_json has it
    except UnicodeEncodeError as error:
        raise EvidenceError(f"evidence must be plain finite JSON: {error}", code="json.not_plain") from error
    return hashlib.sha256(DOMAIN + bytes.fromhex(prev) + seq.to_bytes(8, "big") + bound).hexdigest()


def read_envelope(envelope: str) -> tuple[dict[str, str], dict[str, Any]]:
    """What the ledger copies out of an envelope to find it again, and the statement, its signature unchecked.

    :raises EvidenceError: it is not an envelope with a statement of a known kind
    """
    try:
        statement = parse_json(_unwrapped(parse_json(envelope)["payload"]))
        (subject,) = statement["subject"]
        index = {
            "kind": CLASSES[statement["predicateType"]].kind,
            "subject_digest": subject["digest"]["sha256"],
            "subject_name": subject["name"],
        }
        if not all(isinstance(value, str) for value in index.values()):
            raise ValueError("its subject is not named by text")
    except (KeyError, TypeError, ValueError) as error:
        raise EvidenceError(
            f"not an envelope with a statement of ours: {error!r}", code="envelope.malformed"
        ) from error
    return index, statement


def _unwrapped(payload: str) -> bytes:
    """The bytes in Base64, strictly."""
    found = a2b_base64(payload)
    return found if b2a_base64(found, newline=False) == payload.encode() else b64decode(payload, validate=True)


def walk(entries: Iterable[Entry], checkpoints: Iterable[Head] = (), *, withheld: bool = False) -> Head:
    """Follow the whole chain.

    :param checkpoints: what the ledger was at some sizes, kept elsewhere; it must have been so
    :param withheld: entries may come without their envelope
    :raises EvidenceError: the first entry that was edited, removed or put in, a statement that was signed over another
        history, or a checkpoint that does not hold
    """
    return follow(entries, checkpoints, withheld).head


class Trail:
    """A walk as far as it has come: the hash of every entry, and no entry."""

    def __init__(self) -> None:
        self.tree, self.heads = MerkleRoot(), bytearray.fromhex(GENESIS)
        self.origin, self.prev = "", GENESIS

    @property
    def head(self) -> Head:
        """How long it is and what it holds."""
        return Head(self.tree.size, self.prev, self.tree.hexdigest(), self.origin)

    def take(self, entry: Entry, withheld: bool = False) -> Mapping[str, Any] | None:
        """The next entry; its statement, its signature unchecked, None if it was withheld.

        :raises EvidenceError: it does not follow
        """
        statement = _check_entry(entry, self.tree.size + 1, self.prev, withheld)
        check_history(entry.seq, statement, self._head_at)
        self.skip(entry.hash)
        return statement

    def skip(self, hash_: str) -> None:
        """The next entry, by its hash alone."""
        own = bytes.fromhex(hash_)
        self.tree.add(own)
        self.heads += own
        self.origin, self.prev = self.origin or origin_of(hash_), hash_

    def confirm(self, entry: Entry) -> Entry:
        """An entry that was walked before and was read again.

        :raises EvidenceError: it is not the one that was walked
        """
        if not 1 <= entry.seq <= self.tree.size or entry.hash != self._head_at(entry.seq):
            raise EvidenceError(f"ledger entry {entry.seq} was changed after it was read", code="ledger.entry_changed")
        _check_entry(entry, entry.seq, self._head_at(entry.seq - 1), withheld=False)
        return entry

    def copy(self) -> Self:
        """Another that goes on from here."""
        made = copy(self)
        made.tree, made.heads = self.tree.copy(), self.heads[:]
        return made

    def _head_at(self, size: int) -> str:
        return self.heads[32 * size : 32 * size + 32].hex()


def follow(
    entries: Iterable[Entry],
    checkpoints: Iterable[Head],
    withheld: bool,
    state: Trail | None = None,
    after: Callable[[Entry, Trail], None] | None = None,
    skipped: Iterable[str] = (),
) -> Trail:
    """Walk, and say how far it came; parameters and errors as for :func:`walk` and :func:`verified`.

    :param state: where to go on from
    :param skipped: hashes of the entries before, which a checkpoint of their number vouches for
    """
    expected: dict[int, list[Head]] = {}
    for checkpoint in checkpoints:
        expected.setdefault(checkpoint.size, []).append(checkpoint)
    state = state or Trail()
    _hold(state, expected)
    for hash_ in skipped:
        state.skip(hash_)
        _hold(state, expected)
    for entry in entries:
        state.take(entry, withheld)
        if after is not None:
            after(entry, state)
        if expected:
            _hold(state, expected)
    if expected:
        raise tail_cut(state.tree.size, max(expected))
    return state


def _hold(state: Trail, expected: dict[int, list[Head]]) -> None:
    for checkpoint in expected.pop(state.tree.size, ()):
        if not state.head.bears_out(checkpoint):
            raise differs(checkpoint)


def tail_cut(size: int, said: int) -> EvidenceError:
    """That the ledger has fewer entries than a checkpoint says."""
    return EvidenceError(
        f"the ledger has {size} entries, a checkpoint says {said}: its tail was cut", code="ledger.tail_cut"
    )


def differs(checkpoint: Head) -> EvidenceError:
    """That the ledger is not what a checkpoint says."""
    return EvidenceError(
        f"the ledger's first {checkpoint.size} entries are not those of the checkpoint (root {checkpoint.root[:16]}): "
        f"they were rewritten, or it is another ledger ({checkpoint.origin})",
        code="checkpoint.differs",
    )


def require_own_hash(entry: Entry) -> None:
    """Refuse an entry whose hash is not that of what it holds; whether it follows from others is not asked.

    :raises EvidenceError: it was changed, or is filed under another subject than its envelope names
    """
    try:
        prev = bytes.fromhex(entry.prev).hex()  # in the one spelling that a walk would take
        _check_entry(entry, entry.seq, prev, withheld=False)
    except (TypeError, ValueError, OverflowError, AttributeError):
        raise EvidenceError(
            f"ledger entry {entry.seq} was changed after it was written", code="ledger.entry_changed"
        ) from None


def _check_entry(entry: Entry, seq: int, prev: str, withheld: bool) -> dict[str, Any] | None:
    if entry.seq != seq:
        raise EvidenceError(f"ledger entry {seq} is missing: the next one is {entry.seq}", code="ledger.entry_missing")
    if entry.prev != prev:
        raise EvidenceError(f"ledger entry {seq} does not follow from the one before it", code="ledger.chain_broken")
    row = {name: getattr(entry, name) for name in _BOUND}
    texts = all(isinstance(value, str) for value in (*row.values(), entry.envelope))
    if not texts or entry.hash != link(prev, seq, row):
        raise EvidenceError(f"ledger entry {seq} was changed after it was written", code="ledger.entry_changed")
    if withheld and not entry.envelope:
        return None
    if hashlib.sha256(entry.envelope.encode()).hexdigest() != entry.envelope_sha256:
        raise EvidenceError(f"ledger entry {seq} was changed after it was written", code="ledger.entry_changed")
    copied, statement = read_envelope(entry.envelope)
    if any(row[name] != value for name, value in copied.items()):
        raise EvidenceError(
            f"ledger entry {seq} is filed under another subject than its envelope names", code="ledger.entry_misfiled"
        )
    return statement


def check_history(seq: int, statement: Mapping[str, Any] | None, head_at: Callable[[int], str]) -> None:
    """Every statement says what the ledger was when it was signed: whoever rewrites the past breaks all that was signed
    since.

    :param seq: number of the statement's entry
    :param head_at: size of the ledger -> hash of its last entry then
    :raises EvidenceError: it was signed over something else
    """
    predicate = (statement or {}).get("predicate")
    ours = predicate.get("mlgov") if isinstance(predicate, Mapping) else None
    seen = ours.get("ledger") if isinstance(ours, Mapping) else None
    if seen is None:
        return
    size = seen.get("size") if isinstance(seen, Mapping) else None
    if type(size) is not int or not 0 <= size < seq or head_at(size) != seen.get("head"):
        raise EvidenceError(
            f"ledger entry {seq} was signed when the ledger held something else before it: entries were removed or "
            "replaced since",
            code="ledger.history_rewritten",
        )
