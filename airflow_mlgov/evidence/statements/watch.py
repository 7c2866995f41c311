"""What is watched: the registry against the ledger, and the ledger against itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from airflow_mlgov.evidence.statements.common import Context, Person, Signed, read_common
from airflow_mlgov.results import Subject


@dataclass(frozen=True)
class IncidentStatement(Signed):
    """The registry says something that the ledger does not; or it no longer does."""

    kind: ClassVar[str] = "incident"
    predicate_type: ClassVar[str] = "urn:airflow-mlgov:predicate:incident:v1"
    duty: ClassVar[str] = "reconcile"
    code: str
    """``alias.moved``, ``artifact.changed`` …, see ``release.reconciliation``."""
    target: str
    state: str
    """``open`` or ``resolved``."""
    message: str
    expected: str | None
    """What the ledger says."""
    observed: str | None
    """What the registry says."""
    action: str
    """What was done about it: ``none``, ``reverted``, or why it was not."""

    def predicate(self) -> dict[str, Any]:
        """The in-toto predicate."""
        return {**{name: getattr(self, name) for name in _SAID}, "mlgov": self.common()}

    @classmethod
    def read(cls, predicate: Mapping[str, Any]) -> Self:
        """From a predicate of its form."""
        return cls(**read_common(predicate["mlgov"]), **{name: predicate[name] for name in _SAID})


@dataclass(frozen=True)
class QuarantineStatement(Signed):
    """That an entry of the ledger that has never verified counts for nothing any more, neither for nor against. It
    takes away nothing that verifies."""

    kind: ClassVar[str] = "quarantine"
    predicate_type: ClassVar[str] = "urn:airflow-mlgov:predicate:quarantine:v1"
    duty: ClassVar[str] = "reconcile"
    entry: int
    """Its ledger number."""
    problem: str
    """Why it did not verify."""
    person: Person
    reason: str

    @classmethod
    def of(cls, entry: int, sha256: str, problem: str, person: Person, reason: str, context: Context) -> Self:
        """Of an entry.

        :param sha256: of its envelope; also the subject's digest
        """
        return cls(Subject("ledger", f"ledger:{entry}", sha256), context, entry, problem, person, reason)

    def predicate(self) -> dict[str, Any]:
        """The in-toto predicate."""
        return {
            "entry": self.entry,
            "problem": self.problem,
            "person": self.person.as_json(),
            "reason": self.reason,
            "mlgov": self.common(),
        }

    @classmethod
    def read(cls, predicate: Mapping[str, Any]) -> Self:
        """From a predicate of its form."""
        said = {name: predicate[name] for name in ("entry", "problem", "reason")}
        return cls(**read_common(predicate["mlgov"]), **said, person=Person.read(predicate["person"]))


_SAID = ("code", "target", "state", "message", "expected", "observed", "action")


@dataclass(frozen=True)
class CheckpointStatement(Signed):
    """How long the ledger was and what it held, to be kept where its owner cannot rewrite it."""

    kind: ClassVar[str] = "checkpoint"
    predicate_type: ClassVar[str] = "urn:airflow-mlgov:predicate:checkpoint:v1"
    duty: ClassVar[str] = "checkpoint"
    origin: str
    """Which ledger, see ``evidence.chain.Head.origin``."""
    size: int
    head: str
    """``hash`` of its last entry."""
    root: str
    """RFC 6962 Merkle tree hash over the entries' hashes; also the subject's digest."""

    @classmethod
    def of(cls, origin: str, size: int, head: str, root: str, context: Context) -> Self:
        """Of a ledger as it is now."""
        return cls(Subject("ledger", origin, root), context, origin, size, head, root)

    @property
    def mark(self) -> dict[str, Any]:
        """As a promotion carries it."""
        return {"origin": self.origin, "size": self.size, "head": self.head, "root": self.root}

    def predicate(self) -> dict[str, Any]:
        """The in-toto predicate."""
        return {**self.mark, "mlgov": self.common()}

    @classmethod
    def read(cls, predicate: Mapping[str, Any]) -> Self:
        """From a predicate of its form."""
        said = {name: predicate[name] for name in ("origin", "size", "head", "root")}
        return cls(**read_common(predicate["mlgov"]), **said)
