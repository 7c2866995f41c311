"""Text that a person typed. What is signed of it is its salted digest and its length; the text and its salt stand
beside the statement, so that both can be erased and what was signed still verifies."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, Self

from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.words import line

SINCE = 3
"""The first form whose typed text stands beside the statement; it is inside the signed bytes of those before."""
_SALT_BYTES = 32


class Typed(str):
    """The text, or in brackets why it is not there."""

    sha256: str
    """Of the salt and the text in UTF-8."""
    characters: int
    """How long the text is: what a rule may ask for, whether or not it was erased."""
    salt: str | None = None
    """As hex digits; None where the text is not there."""

    @classmethod
    def of(cls, text: str, salt: bytes | None = None) -> Self:
        """A text that was just typed.

        :param salt: for a golden file alone; random if omitted
        :raises ConfigurationError: it holds what no database keeps: a zero character, or half of one
        """
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise ConfigurationError(
                f"{line(text)} cannot be kept: it holds a zero character, or bytes that are not UTF-8; write it anew",
                code="text.characters",
            )
        drawn = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
        return cls._made(text, _digest(drawn, text), len(text), drawn.hex())

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Self:
        """From a statement, without its text."""
        return cls._made("[typed text, not looked up]", said["saltedSha256"], said["characters"], None)

    def as_signed(self) -> dict[str, Any]:
        """What stands in the statement, and what rules see."""
        return {"saltedSha256": self.sha256, "characters": self.characters}

    def opened(self, salt: str, text: str) -> Self:
        """With the text that is kept beside the statement.

        :raises EvidenceError: it is another text than was signed
        """
        try:
            whole = len(salt) == 2 * _SALT_BYTES and len(text) == self.characters
            same = whole and _digest(bytes.fromhex(salt), text) == self.sha256
        except ValueError:
            same = False
        if not same:
            raise EvidenceError(
                "a text that was typed for it was altered since: put the text back from a pack or a backup, or take it "
                "away with `mlgov ledger erase`",
                code="text.altered",
            )
        return self._made(text, self.sha256, self.characters, salt)

    def without(self, why: str) -> Self:
        """With the reason that the text is not there, in its place."""
        return self._made(f"[{why}]", self.sha256, self.characters, None)

    @classmethod
    def _made(cls, shown: str, sha256: str, characters: int, salt: str | None) -> Self:
        made = cls(shown)
        made.sha256, made.characters, made.salt = sha256, characters, salt
        return made


def written(text: str) -> Any:
    """A text as it is signed: word for word in an old form, else its digest and length."""
    return text.as_signed() if isinstance(text, Typed) else text


def read_text(said: Any) -> str:
    """What :func:`written` has written."""
    return Typed.read(said) if isinstance(said, Mapping) else said


def _digest(salt: bytes, text: str) -> str:
    return hashlib.sha256(salt + text.encode()).hexdigest()
