"""Who else has seen the log: cosignatures of witnesses on a note, C2SP ``tlog-cosignature`` v1, Ed25519 with a time.

A witness signs a checkpoint once it has seen that the log goes on from the one before, so whoever shows two histories
needs it in both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.notes import COSIGNATURE, Note, fits, is_name, key_id, strict_base64

_TIME = 8
"""Bytes of the time before the signature."""
_AHEAD = timedelta(hours=1)
"""By how much a witness' clock may be fast."""


@dataclass(frozen=True)
class Witness:
    """Who cosigns, and with which key."""

    name: str
    public: bytes
    """32 bytes."""

    @classmethod
    def read(cls, text: str) -> Witness:
        """From a verifier's key, ``name+hash+key``.

        :raises ConfigurationError: it is none of a witness (``witness.key``)
        """
        name, _, rest = text.partition("+")
        hashed, _, encoded = rest.partition("+")
        raw = strict_base64(encoded) or b""
        kind, public = raw[:1], raw[1:]
        if not is_name(name) or kind != COSIGNATURE or len(public) != 32 or key_id(name, public, kind).hex() != hashed:
            raise ConfigurationError(
                f"{text[:100]!r} is no key of a witness: write it as the witness publishes it, name+hash+key, of the "
                "type for Ed25519 cosignatures (its base64 begins with B)",
                code="witness.key",
            )
        return cls(name, public)

    def has_cosigned(self, note: Note, now: datetime) -> bool:
        """Whether it has.

        :raises EvidenceError: there is a cosignature by this key's name and id that does not fit, or of the future
        """
        named = (self.name, key_id(self.name, self.public, COSIGNATURE))
        made = [item.signature for item in note.signatures if (item.name, item.key_id) == named]
        for signature in made:
            time = int.from_bytes(signature[:_TIME], "big")
            message = f"cosignature/v1\ntime {time}\n{note.text}".encode()
            if not fits(self.public, signature[_TIME:], message):
                raise EvidenceError(
                    f"the cosignature of {self.name} does not fit the checkpoint", code="signature.wrong"
                )
            if time > (now + _AHEAD).timestamp():
                raise EvidenceError(
                    f"the cosignature of {self.name} is of the future: look at the clocks", code="signature.wrong"
                )
        return bool(made)


@dataclass(frozen=True)
class Quorum:
    """Of some witnesses, how many must have cosigned a checkpoint."""

    witnesses: tuple[Witness, ...] = ()
    least: int = 0

    @classmethod
    def read(cls, keys: Iterable[str], least: str | int | None = None) -> Quorum:
        """From verifier's keys.

        :param least: how many must have cosigned; all if omitted
        :raises ConfigurationError: one is no key of a witness (``witness.key``), stands twice, or as many are not named
            (``witness.quorum``)
        """
        found = tuple(Witness.read(key) for key in keys)
        if len({item.public for item in found}) != len(found):
            raise ConfigurationError("a witness is named twice: it would count twice", code="witness.quorum")
        said = str(len(found) if least in (None, "") else least)
        if not said.isascii() or not said.isdecimal() or not bool(found) <= int(said[:9]) <= len(found):
            raise ConfigurationError(
                f"{said[:40]} of {len(found)} witnesses cannot be asked for: name one or more, and no more than have "
                "their keys given",
                code="witness.quorum",
            )
        return cls(found, int(said))

    def require(self, note: Note | None) -> None:
        """Refuse a checkpoint that too few have cosigned.

        :param note: None for an envelope, which nobody can cosign
        :raises EvidenceError: it is so (``checkpoint.not_witnessed``), or a cosignature of one of them does not fit
        """
        if not self.least:
            return
        now = datetime.now(UTC)
        count = sum(witness.has_cosigned(note, now) for witness in self.witnesses) if note else 0
        if count < self.least:
            raise EvidenceError(
                f"{count} of the witnesses {', '.join(item.name for item in self.witnesses)} have cosigned this "
                f"checkpoint, and {self.least} must have"
                + ("" if note else "; an envelope takes no cosignature: keep a note"),
                code="checkpoint.not_witnessed",
            )


NOBODY = Quorum()
