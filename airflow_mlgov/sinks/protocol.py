"""What a sink is, and what it is handed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from airflow_mlgov.evidence.chain import Entry, read_envelope


class Arrived(NamedTuple):
    """The last entry that is there for sure."""

    number: int
    hash: str


@dataclass(frozen=True)
class Message:
    """One ledger entry on its way."""

    ledger: str
    """The ledger's identity; with the number it is the message's key, by which a far side knows one that came twice."""
    entry: Entry

    @property
    def key(self) -> str:
        """``mlgov-ledger/<16 hex digits>/<number>``."""
        return f"{self.ledger}/{self.entry.seq}"

    @cached_property
    def statement(self) -> dict[str, Any]:
        """The in-toto statement; its signature is for the receiver to check, with the envelope."""
        return read_envelope(self.entry.envelope)[1]

    def as_dict(self) -> dict[str, Any]:
        """The message as sinks write it: what it is about in plain fields, then the signed envelope, word for word."""
        entry = self.entry
        return {
            "key": self.key,
            "ledger": self.ledger,
            "seq": entry.seq,
            "hash": entry.hash,
            "prev": entry.prev,
            "recorded_at": entry.recorded_at,
            "kind": entry.kind,
            "subject": {"name": entry.subject_name, "sha256": entry.subject_digest},
            "envelope_sha256": entry.envelope_sha256,
            "envelope": json.loads(entry.envelope),
        }

    def as_line(self) -> str:
        """The same as one line of JSON."""
        return json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":")) + "\n"


class Sink(Protocol):
    """Where entries go. A sink takes a batch whole or not at all, as far as its far side can."""

    @property
    def batch(self) -> int:
        """How many entries it is handed at once, at most."""

    @property
    def place(self) -> str:
        """Where it is, as it may be shown: a URL without what may be a secret."""

    def last(self) -> Arrived | None:
        """The last entry that has arrived, where the far side can be read; None where it cannot be, or has none.

        :raises DependencyError: it is down
        :raises EvidenceError: what is there is not what was delivered
        """

    def deliver(self, messages: Sequence[Message]) -> None:
        """Hand over entries that follow those before.

        :raises DependencyError: it is down; the same batch comes again
        :raises AccessError: it refuses this identity
        :raises ConfigurationError: it does not take what it is handed
        """
