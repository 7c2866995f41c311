"""What is watched: the registry against the ledger, the ledger against itself, and states set in Airflow by hand; and
what was erased beside the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from airflow_mlgov.evidence.digests import hash_json
from airflow_mlgov.evidence.statements.common import Context, Person, Signed, moment_of, read_common
from airflow_mlgov.evidence.statements.typed import read_text, written
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
    typed: ClassVar[tuple[str, ...]] = ("reason",)
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
            "reason": written(self.reason),
            "mlgov": self.common(),
        }

    @classmethod
    def read(cls, predicate: Mapping[str, Any]) -> Self:
        """From a predicate of its form."""
        said = {name: predicate[name] for name in ("entry", "problem")} | {"reason": read_text(predicate["reason"])}
        return cls(**read_common(predicate["mlgov"]), **said, person=Person.read(predicate["person"]))


@dataclass(frozen=True)
class ErasureStatement(Signed):
    """The notice that a text which a person typed was erased beside the ledger: which, by whom, when, on what ground.
    Its subject is the text, by its salted digest."""

    kind: ClassVar[str] = "erasure"
    predicate_type: ClassVar[str] = "urn:airflow-mlgov:predicate:erasure:v1"
    duty: ClassVar[str] = "erasure"
    typed: ClassVar[tuple[str, ...]] = ("reason",)
    entry: int
    """Ledger number of the statement that it was typed for; 0 if no entry names it."""
    entry_sha256: str
    """Of that entry's envelope; zeros if there is none."""
    text: str
    """Name of its field, such as ``reason`` or ``terms.ticket``."""
    ground: str
    """One of :data:`GROUNDS`."""
    person: Person
    """Who has erased it."""
    reason: str
    """What that person says of it; may be empty."""

    @property
    def by(self) -> Person:
        """Who has erased it."""
        return self.person

    def predicate(self) -> dict[str, Any]:
        """The in-toto predicate."""
        return {
            "entry": self.entry,
            "entrySha256": self.entry_sha256,
            "text": self.text,
            "ground": self.ground,
            "person": self.person.as_json(),
            "reason": written(self.reason),
            "mlgov": self.common(),
        }

    @classmethod
    def read(cls, predicate: Mapping[str, Any]) -> Self:
        """From a predicate of its form."""
        return cls(
            **read_common(predicate["mlgov"]),
            entry=predicate["entry"],
            entry_sha256=predicate["entrySha256"],
            text=predicate["text"],
            ground=predicate["ground"],
            person=Person.read(predicate["person"]),
            reason=read_text(predicate["reason"]),
        )


GROUNDS = {
    "request": "the person asked for it",
    "not-needed": "it is not needed any more",
    "mistake": "it should not have been typed: somebody else's data, or a secret",
    "order": "a court or an authority ordered it",
}
"""On what ground a text is erased -> in a sentence."""


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


MORE = "more.marked"
"""The code of an observation that stands for all that went beyond what is noted of a DAG in an hour."""
RUN = "run"
"""The kind of a subject that is a run of a DAG."""


@dataclass(frozen=True)
class ObservationStatement(Signed):
    """That somebody has set a state in Airflow by hand. It is there to be read; nothing is decided on it, and it is
    about a run alone, so that it cannot stand among what was found of a model."""

    kind: ClassVar[str] = "observation"
    predicate_type: ClassVar[str] = "urn:airflow-mlgov:predicate:observation:v1"
    duty: ClassVar[str] = "observation"
    code: str
    """``task.marked`` or ``run.marked``; ``more.marked`` stands for what went beyond what is noted of a DAG in an hour,
    and the run is that of the last."""
    state: str
    """What it was set to, the last time."""
    operator: str
    """The class of the task's operator; empty for a run."""
    people: tuple[Person, ...]
    """Who did it, by Airflow's audit log: several if it does not tell them apart, nobody if it says nothing."""
    seen: datetime
    """When Airflow told of it, the last time."""
    times: int = 1
    """How often it was set since the last notice of it; who did it before the last time is not said."""

    @classmethod
    def of(
        cls,
        context: Context,
        code: str,
        state: str,
        operator: str,
        people: tuple[Person, ...],
        seen: datetime,
        times: int = 1,
    ) -> Self:
        """Of the run that the context names."""
        dag_id, run_id = (str(context.run[name]) for name in ("dag_id", "run_id"))
        subject = Subject(RUN, f"airflow:{dag_id}/{run_id}", run_digest(context.run))
        return cls(subject, context, code, state, operator, people, seen, times)

    def predicate(self) -> dict[str, Any]:
        """The in-toto predicate."""
        said = {name: getattr(self, name) for name in ("code", "state", "operator")}
        people = [person.as_json() for person in self.people]
        often = {"times": self.times} if self.times > 1 else {}
        return {**said, "people": people, "seen": self.date(self.seen), **often, "mlgov": self.common()}

    @classmethod
    def read(cls, predicate: Mapping[str, Any]) -> Self:
        """From a predicate of its form.

        :raises ValueError: it is about anything but the run that it comes from
        """
        said = {name: predicate[name] for name in ("code", "state", "operator")}
        people = tuple(map(Person.read, predicate["people"]))
        common = read_common(predicate["mlgov"])
        often = {"times": predicate["times"]} if "times" in predicate else {}
        made = cls(**common, **said, people=people, seen=moment_of(predicate["seen"]), **often)
        if made.subject != cls.of(made.context, made.code, made.state, made.operator, people, made.seen).subject:
            raise ValueError("an observation is about the run that it comes from")
        return made


def run_digest(run: Mapping[str, Any]) -> str:
    """What notices about a run are found by."""
    return hash_json([str(run["dag_id"]), str(run["run_id"])])
