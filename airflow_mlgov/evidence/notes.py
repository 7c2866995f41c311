"""Checkpoints as signed notes, which tools that are not ours read: C2SP ``tlog-checkpoint`` in a ``signed-note``, with
Ed25519 alone. It knows the form and the signatures; whether a ledger is what a note says is for its walk to tell.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.chain import Head
from airflow_mlgov.evidence.hash_tree import MOST_LEAVES, WIDTH
from airflow_mlgov.evidence.signing import TrustedKey, TrustRoot

if TYPE_CHECKING:
    from securesystemslib.signer import Key, Signer

MAX_NOTE = 1_000_000
"""Characters of a note."""
MAX_SIGNATURES = 100
"""Of a note."""
_MAX_ORIGIN = 255
_MARK = "— "
"""What a signature's line begins with."""
_ED25519 = b"\x01"
COSIGNATURE = b"\x04"
"""What the hash of a witness' key names it by, see ``evidence.witnesses``."""
_INDEX = "mlgov-index-v1 "
"""What the line begins with that names the root of the index, after the three that every checkpoint has."""
NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
"""How notes and proofs write one."""


@dataclass(frozen=True)
class NoteSignature:
    """One signature's line, unverified."""

    name: str
    """Of the key, as whoever signed calls it."""
    key_id: bytes
    """Four bytes, see :func:`key_id`."""
    signature: bytes


@dataclass(frozen=True)
class Note:
    """A checkpoint in its form, unverified."""

    text: str
    """What is signed, with its last line's end."""
    origin: str
    size: int
    root: str
    """Tree hash, as lower-case hex."""
    signatures: tuple[NoteSignature, ...]
    index_root: str = ""
    """Of the index of the entries, as lower-case hex; empty where it names none."""


def is_note(text: str) -> bool:
    """Whether a text would be a signed note rather than an envelope."""
    return f"\n\n{_MARK}" in text and not text.lstrip().startswith("{")


def read_note(text: str) -> Note:
    """A checkpoint's note, its signatures unverified.

    :raises EvidenceError: it is not of the form, has more than :data:`MAX_SIGNATURES` or is larger than
        :data:`MAX_NOTE` (``note.malformed``)
    """
    if len(text) > MAX_NOTE:
        raise _malformed(f"it is larger than {MAX_NOTE:,} characters")
    if any(character < " " and character != "\n" for character in text):
        raise _malformed("it holds control characters")
    body, gap, lines = text.rpartition("\n\n")
    if not gap or not lines.endswith("\n"):
        raise _malformed("its text is to end in an empty line, and signatures are to follow, a line each")
    signed = lines.removesuffix("\n").split("\n")
    if len(signed) > MAX_SIGNATURES:
        raise _malformed(f"it has {len(signed):,} signatures, and at most {MAX_SIGNATURES} are read")
    origin, size, root, index_root = _read_body(body)
    return Note(f"{body}\n", origin, size, root, tuple(map(_read_signature, signed)), index_root)


def open_note(text: str, trust: TrustRoot) -> Head:
    """What a note says that a key of the duty ``checkpoint`` has signed under the name of its origin. It names no time,
    so the dates of the key are not asked for, but of the index, on which others rest, a key that has ended is believed
    nothing. It names no hash of the last entry, which its root binds.

    :raises EvidenceError: it is no note, no trusted key has signed it, the key has another duty, or a signature of a
        trusted key does not fit
    """
    note = read_note(text)
    known = [(item, found) for found in note.signatures for item in _keys_of(found, note.origin, trust)]
    if not known:
        raise EvidenceError(
            f"no key of the trust root ({trust.source}) has signed the note of {note.origin} under that name",
            code="key.unknown",
        )
    for item, found in known:
        if not fits(_require_ed25519(item.key), found.signature, note.text.encode()):
            raise EvidenceError("the signature does not fit the content", code="signature.wrong")
    able = [item for item, _ in known if "checkpoint" in item.duties]
    if not able:
        allowed = ", ".join(sorted({word for item, _ in known for word in item.duties}))
        raise EvidenceError(f"signed by a key for {allowed}, which may not sign for checkpoint", code="evidence.duty")
    now = datetime.now(UTC)
    index_root = note.index_root if any(item.covers(now) for item in able) else ""
    return Head(note.size, "", note.root, note.origin, index_root)


def note_fits(note: Note, key: Key) -> bool:
    """Whether a key has signed a note, under the name of its origin."""
    public = _require_ed25519(key)
    made = [item for item in note.signatures if (item.name, item.key_id) == (note.origin, key_id(note.origin, public))]
    return any(fits(public, item.signature, note.text.encode()) for item in made)


def sign_note(head: Head, signer: Signer, origin: str | None = None) -> str:
    """What the ledger is, as a signed note; with a line more for the root of its index, if that is known.

    :param origin: how tools are to know the ledger, such as ``bank.example/models``; its own id if omitted
    :raises ConfigurationError: the signer's key is not Ed25519 (``note.key``), or the origin cannot stand in a note
        (``note.origin``)
    """
    name = require_origin(origin or head.origin)
    public = _require_ed25519(signer.public_key)
    text = f"{name}\n{head.size}\n{b64encode(bytes.fromhex(head.root)).decode()}\n"
    if head.index_root:
        text += f"{_INDEX}{b64encode(bytes.fromhex(head.index_root)).decode()}\n"
    signature = key_id(name, public) + bytes.fromhex(signer.sign(text.encode()).signature)
    return f"{text}\n{_MARK}{name} {b64encode(signature).decode()}\n"


def takes_notes(key: Key) -> bool:
    """Whether a key is of the type that signs notes."""
    return _ed25519(key) is not None


def verifier_key(key: Key, origin: str) -> str:
    """A public key as tools for notes are given it: ``origin+hash+key``.

    :raises ConfigurationError: it is not Ed25519, or the origin cannot stand in a note
    """
    public, name = _require_ed25519(key), require_origin(origin)
    return f"{name}+{key_id(name, public).hex()}+{b64encode(_ED25519 + public).decode()}"


def key_id(name: str, public: bytes, kind: bytes = _ED25519) -> bytes:
    """The four bytes by which a note names an Ed25519 key.

    :param public: 32 bytes
    :param kind: of its signatures: the log's own, or :data:`COSIGNATURE`
    """
    return hashlib.sha256(name.encode() + b"\n" + kind + public).digest()[:4]


def require_origin(origin: str) -> str:
    """The origin, if it can stand in a note and as the name of the key that signs it.

    :raises ConfigurationError: it cannot
    """
    if not is_name(origin) or len(origin) > _MAX_ORIGIN:
        raise ConfigurationError(
            f"the origin {origin[:80]!r} cannot stand in a note: write a name such as bank.example/models, of at most "
            f"{_MAX_ORIGIN} characters without blanks and plus signs",
            code="note.origin",
        )
    return origin


def _read_body(body: str) -> tuple[str, int, str, str]:
    lines = body.split("\n")
    if len(lines) < 3 or not all(lines):
        raise _malformed("its text is to be three lines or more, none of them empty: origin, size and root")
    origin, size, root = lines[:3]
    if not NUMBER.fullmatch(size) or int(size) > MOST_LEAVES:
        raise _malformed(f"its size is not a number of entries but {size[:40]!r}")
    raw = strict_base64(root)
    if raw is None or len(raw) != WIDTH:
        raise _malformed(f"its root is not {WIDTH} bytes in base64")
    named = [line.removeprefix(_INDEX) for line in lines[3:] if line.startswith(_INDEX)]
    index = b"" if not named else strict_base64(named[0]) or None
    if len(named) > 1 or index is None or len(index) not in (0, WIDTH):
        raise _malformed(f"it is to name one root of the index, {WIDTH} bytes in base64")
    return origin, int(size), raw.hex(), index.hex()


def _read_signature(text: str) -> NoteSignature:
    name, _, encoded = text.removeprefix(_MARK).partition(" ")
    raw = strict_base64(encoded)
    if not text.startswith(_MARK) or not is_name(name) or raw is None or len(raw) <= 4:
        raise _malformed(f"this line is no signature: {text[:80]!r}")
    return NoteSignature(name, raw[:4], raw[4:])


def strict_base64(text: str) -> bytes | None:
    """The bytes, if the text is the one way to write them; None otherwise."""
    try:
        raw = b64decode(text, validate=True)
    except ValueError:
        return None
    return raw if b64encode(raw).decode() == text else None


def is_name(name: str) -> bool:
    """Whether it can be the name of a key."""
    return bool(name) and name.isprintable() and not any(sign.isspace() or sign == "+" for sign in name)


def _malformed(why: str) -> EvidenceError:
    return EvidenceError(f"this is not a checkpoint in the form of a signed note: {why}", code="note.malformed")


def _keys_of(found: NoteSignature, origin: str, trust: TrustRoot) -> list[TrustedKey]:
    """The trusted keys that a signature's line names."""
    if found.name != origin:
        return []
    keys = ((item, _ed25519(item.key)) for item in trust.keys)
    return [item for item, public in keys if public and key_id(origin, public) == found.key_id]


def fits(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether an Ed25519 signature is over a message.

    :param public: 32 bytes
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _require_ed25519(key: Key) -> bytes:
    public = _ed25519(key)
    if public is None:
        raise ConfigurationError(
            f"a note is signed with an Ed25519 key, and the key {key.keyid[:16]} is {key.scheme}: leave it to "
            "`mlgov ledger checkpoint --out`, whose envelope takes every key, or sign with a key of that type",
            code="note.key",
        )
    return public


def _ed25519(key: Key) -> bytes | None:
    """The 32 bytes of a public key; None of another type."""
    if key.keytype != "ed25519":
        return None
    text = str(key.keyval["public"])
    if not text.lstrip().startswith("-----BEGIN"):
        return bytes.fromhex(text)
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    return load_pem_public_key(text.encode()).public_bytes(Encoding.Raw, PublicFormat.Raw)
