"""The hash chain that ties ledger entries together, and the walk that finds whatever was edited, removed or put in.

Knows no database: the ledger and an evidence pack both hand it their entries.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.digests import hash_json, parse_json
from airflow_mlgov.evidence.merkle import MerkleRoot
from airflow_mlgov.evidence.statements import CLASSES

_DOMAIN = b"\x01mlgov-ledger-v1\x00"
GENESIS = "0" * 64
"""What stands as ``prev`` in the first entry."""


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
    """``hash`` of the last entry; :data:`GENESIS` of an empty ledger."""
    root: str
    """RFC 6962 Merkle tree hash over the entries' hashes."""
    origin: str
    """Which ledger: ``mlgov-ledger/`` and the start of its first entry's hash; empty while there is none."""

    @property
    def mark(self) -> dict[str, Any]:
        """As a promotion carries it."""
        return {"origin": self.origin, "size": self.size, "head": self.head, "root": self.root}


def link(prev: str, seq: int, row: Mapping[str, str]) -> str:
    """The hash of an entry.

    :param row: its other columns but ``hash`` and ``envelope``
    """
    return hashlib.sha256(
        _DOMAIN + bytes.fromhex(prev) + seq.to_bytes(8, "big") + bytes.fromhex(hash_json(row))
    ).hexdigest()


def read_envelope(envelope: str) -> tuple[dict[str, str], dict[str, Any]]:
    """What the ledger copies out of an envelope to find it again, and the statement, its signature unchecked.

    :raises EvidenceError: it is not an envelope with a statement of a known kind
    """
    try:
        statement = parse_json(b64decode(parse_json(envelope)["payload"], validate=True))
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


def walk(entries: Iterable[Entry], checkpoints: Iterable[Head] = (), *, withheld: bool = False) -> Head:
    """Follow the whole chain.

    :param checkpoints: what the ledger was at some sizes, kept elsewhere; it must have been so
    :param withheld: entries may come without their envelope
    :raises EvidenceError: the first entry that was edited, removed or put in, a statement that was signed over another
        history, or a checkpoint that does not hold
    """
    expected: dict[int, list[Head]] = {}
    for checkpoint in checkpoints:
        expected.setdefault(checkpoint.size, []).append(checkpoint)
    tree, heads = MerkleRoot(), bytearray.fromhex(GENESIS)
    origin, prev = "", GENESIS

    def head_at(size: int) -> str:
        return heads[32 * size : 32 * size + 32].hex()

    for entry in entries:
        statement = _check_entry(entry, tree.size + 1, prev, withheld)
        check_history(entry.seq, statement, head_at)
        tree.add(bytes.fromhex(entry.hash))
        heads += bytes.fromhex(entry.hash)
        origin, prev = origin or f"mlgov-ledger/{entry.hash[:16]}", entry.hash
        for checkpoint in expected.pop(tree.size, ()):
            if checkpoint != Head(tree.size, prev, tree.hexdigest(), origin):
                raise EvidenceError(
                    f"the ledger's first {tree.size} entries are not those of the checkpoint (root "
                    f"{checkpoint.root[:16]}): they were rewritten, or it is another ledger ({checkpoint.origin})",
                    code="checkpoint.differs",
                )
    if expected:
        size = max(expected)
        raise EvidenceError(
            f"the ledger has {tree.size} entries, a checkpoint says {size}: its tail was cut", code="ledger.tail_cut"
        )
    return Head(tree.size, prev, tree.hexdigest(), origin)


def _check_entry(entry: Entry, seq: int, prev: str, withheld: bool) -> dict[str, Any] | None:
    if entry.seq != seq:
        raise EvidenceError(f"ledger entry {seq} is missing: the next one is {entry.seq}", code="ledger.entry_missing")
    if entry.prev != prev:
        raise EvidenceError(f"ledger entry {seq} does not follow from the one before it", code="ledger.chain_broken")
    row = asdict(entry)
    for name in ("seq", "prev", "hash", "envelope"):
        del row[name]
    if not all(isinstance(value, str) for value in row.values()) or entry.hash != link(prev, seq, row):
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
