"""A proof that travels: C2SP ``tlog-proof``, the path from an entry to the root of a signed checkpoint, as text. With
the keys alone it shows that the entry is in the log.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.chain import Head
from airflow_mlgov.evidence.hash_tree import WIDTH, HashTree, leaf_hash, require_inclusion
from airflow_mlgov.evidence.notes import MAX_NOTE, NUMBER, open_note, read_note, strict_base64
from airflow_mlgov.evidence.signing import TrustRoot

_FORM = "c2sp.org/tlog-proof@v1"
_MOST_STEPS = 63
"""Hashes of a path; a log has no more than 2**63 - 1 entries."""
_MAX_EXTRA = 100_000
_MAX_PROOF = MAX_NOTE + _MAX_EXTRA + 10_000


@dataclass(frozen=True)
class Proof:
    """What a proof says, unverified."""

    index: int
    """Of the entry, from 0."""
    path: tuple[bytes, ...]
    """From the leaf's sibling up."""
    note: str
    """The checkpoint, see ``evidence.notes``."""


def write_proof(tree: HashTree, index: int, note: str) -> str:
    """The proof of an entry in the log that a note is the checkpoint of.

    :param tree: of the log, which may have grown since
    :param index: of the entry, from 0
    :raises EvidenceError: the note is not of this log (``checkpoint.differs``)
    """
    said = read_note(note)
    if said.size > tree.size or tree.root(said.size).hex() != said.root:
        raise EvidenceError(
            f"the log is not what the note of {said.origin} says of its first {said.size} entries",
            code="checkpoint.differs",
        )
    path = "".join(f"{b64encode(item).decode()}\n" for item in tree.inclusion(index, said.size))
    return f"{_FORM}\nindex {index}\n{path}\n{note}"


def read_proof(text: str) -> Proof:
    """A proof, unverified. Its extra data, if it has some, is nobody's word, and is not read.

    :raises EvidenceError: it is not of the form (``proof.malformed``)
    """
    if len(text) > _MAX_PROOF:
        raise _malformed(f"it is larger than {_MAX_PROOF:,} characters")
    head, gap, note = text.partition("\n\n")
    form, *lines = head.split("\n")
    if form != _FORM or not gap:
        raise _malformed(f"it does not begin with {_FORM}, or holds no checkpoint")
    if lines and lines[0].startswith("extra "):
        extra = lines.pop(0).removeprefix("extra ")
        if len(extra) > _MAX_EXTRA or strict_base64(extra) is None:
            raise _malformed("its extra data are not in base64, or too many")
    index = lines.pop(0).removeprefix("index ") if lines and lines[0].startswith("index ") else ""
    if not NUMBER.fullmatch(index):
        raise _malformed("it does not say which entry it is of")
    if len(lines) > _MOST_STEPS:
        raise _malformed(f"its path is longer than {_MOST_STEPS} hashes")
    path = tuple(raw for line in lines if (raw := strict_base64(line)) is not None and len(raw) == WIDTH)
    if len(path) != len(lines):
        raise _malformed("its path is not of hashes in base64")
    return Proof(int(index), path, note)


def require_proof(proof: Proof, data: bytes, trust: TrustRoot) -> Head:
    """What the checkpoint of a proof says, once the proof leads to it.

    :param data: of the leaf: the entry's ``hash``, 32 bytes
    :raises EvidenceError: the checkpoint does not verify, or the proof does not lead there (``proof.wrong``)
    """
    head = open_note(proof.note, trust)
    require_inclusion(leaf_hash(data), proof.index, head.size, proof.path, bytes.fromhex(head.root))
    return head


def _malformed(why: str) -> EvidenceError:
    return EvidenceError(f"this is not a proof in the form {_FORM}: {why}", code="proof.malformed")
