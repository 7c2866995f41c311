"""One pipeline in one form, whatever platform runs it: steps, what each needs before it starts, what its failure does.

Plain frozen data. What a reader could not read is said in ``unknown``, never left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.pipelines.inventory import Inventory

FORM = "mlgov/pipeline/1"
START = "(start)"
"""The last part of the id of a group's beginning: ``job/(start)``."""


class Strength(StrEnum):
    """What must have become of a step before the next one starts."""

    SUCCESS = "success"
    SUCCESS_OR_SKIPPED = "success_or_skipped"
    DONE = "done"
    """It has ended, however."""


class ExitCode(StrEnum):
    """Whether the failure of a command makes its step fail."""

    KEPT = "kept"
    LOST = "lost"
    UNKNOWN = "unknown"


class Failure(StrEnum):
    """What a step's failure does to its pipeline."""

    STOPS = "stops"
    IGNORED = "ignored"
    UNKNOWN = "unknown"


class Decider(StrEnum):
    """Who decides whether a step runs."""

    ALWAYS = "always"
    CALLER = "caller"
    """Whoever starts the run."""
    DATA = "data"
    NEVER = "never"
    UNKNOWN = "unknown"


class Role(StrEnum):
    """What a step is for."""

    GATE = "gate"
    APPROVAL = "approval"
    TRAIN = "train"
    REGISTER = "register"
    PROMOTE = "promote"
    DEPLOY = "deploy"
    MONITOR = "monitor"
    OTHER = "other"


SENSITIVE = frozenset({Role.REGISTER, Role.PROMOTE, Role.DEPLOY})
"""What may happen only after gates."""


@dataclass(frozen=True)
class Need:
    """That another step has ended so before this one starts."""

    step: str
    strength: Strength = Strength.SUCCESS
    why: str = ""
    """Where the platform's file says so: ``depends: train.Failed``."""


AnyOf = tuple[Need, ...]
"""Needs of which one suffices."""


@dataclass(frozen=True)
class Command:
    """One command of a step."""

    words: tuple[str, ...]
    """Program and arguments, as far as they can be told; never shown whole, for they may hold secrets."""
    line: int | None = None
    exit_code: ExitCode = ExitCode.KEPT
    why: str = ""
    """Why the exit code is lost or unknown."""
    after: tuple[int, ...] = ()
    """Positions of the step's commands that must have succeeded before this one can start."""
    role: Role = Role.OTHER
    role_from: str = ""
    gate: str = ""
    """The name of the gate that it runs."""
    open: tuple[int, ...] = ()
    """Positions of the words that are put in where it runs, and may become any words: ``$ARGS``."""

    @property
    def text(self) -> str:
        """The program and its subcommands, without options and what follows them."""
        shown = []
        for word in self.words[:4]:
            if word.startswith("-") or "=" in word:
                break
            shown.append(word)
        return " ".join(shown)


@dataclass(frozen=True)
class Step:
    """One step of a pipeline."""

    id: str
    """Unique in the manifest: ``job/step``."""
    line: int | None = None
    kind: str = "container"
    """``container``, ``script``, ``operator``, ``call``, ``approval``, ``group``, ``object``."""
    operator: str = ""
    """The class, action, template or step type that it names."""
    classes: tuple[str, ...] = ()
    """The operator's classes, itself first, by full name."""
    file: str = ""
    """Where it stands, if that is not the manifest's own file."""
    image: str = ""
    commands: tuple[Command, ...] = ()
    env: tuple[str, ...] = ()
    """Names of environment variables; never their values."""
    labels: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[AnyOf, ...] = ()
    """All of which must hold."""
    condition: str = ""
    decided_by: Decider = Decider.ALWAYS
    constant: bool = True
    """Whether the same condition elsewhere has the same answer: nothing in it changes while the pipeline runs."""
    fails: Failure = Failure.STOPS
    fails_why: str = ""
    retries: int = 0
    cached: str = ""
    """Why an old success may be taken for a new one; empty if it may not."""
    repeated: str = ""
    """Why it may run no time at all; empty if it runs once or more."""
    role: Role = Role.OTHER
    role_from: str = ""
    """``operator``, ``command``, ``list``, ``environment``, ``label``, ``name``."""
    gate: str = ""
    """The name of the gate that it is."""

    @property
    def start(self) -> str:
        """The id of a group's beginning."""
        return f"{self.id}/{START}"

    @property
    def is_start(self) -> bool:
        """Whether it is the beginning of a group."""
        return self.id.endswith(f"/{START}")

    def as_dict(self) -> dict[str, Any]:
        """JSON form; fields that say nothing are left out."""
        found: dict[str, Any] = {"id": self.id, "kind": self.kind}
        found |= {name: value for name in _PLAIN if (value := getattr(self, name))}
        found |= {name: list(value) for name in ("classes", "env") if (value := getattr(self, name))}
        said = {
            "labels": dict(self.labels),
            "needs": [[_need(need) for need in one] for one in self.needs],
            "commands": [_command(command) for command in self.commands],
            "decided_by": "" if self.decided_by is Decider.ALWAYS else self.decided_by.value,
            "fails": "" if self.fails is Failure.STOPS else self.fails.value,
        }
        found |= {name: value for name, value in said.items() if value}
        return found if self.role is Role.OTHER else found | {"role": self.role.value, "role_from": self.role_from}


_PLAIN = ("line", "file", "operator", "image", "condition", "fails_why", "retries", "cached", "repeated", "gate")


@dataclass(frozen=True)
class Unknown:
    """What a reader could not read."""

    where: str
    """``file:line``."""
    why: str
    hides: tuple[str, ...] = ("steps",)
    """``steps``, ``order``, ``commands``, ``conditions``."""


@dataclass(frozen=True)
class Manifest:
    """One pipeline."""

    kind: str
    """The platform."""
    name: str
    source: str
    """The file, as messages name it."""
    sha256: str
    """Of the bytes that it was read from, see ``Source.sha256``."""
    steps: tuple[Step, ...] = ()
    unknown: tuple[Unknown, ...] = ()
    triggers: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    """Images that run beside the steps: services, sidecars, pods that are served."""
    inventory: Inventory = field(default_factory=Inventory, compare=False)
    """What else stands in its file; the same of every pipeline of one file."""

    def __post_init__(self) -> None:
        """Refuse two steps of one name: what needs it, and which of them is a gate, could be told of either.

        :raises ConfigurationError: there are two
        """
        first: dict[str, Step] = {}
        for step in self.steps:
            other = first.setdefault(step.id, step)
            if other is not step:
                raise ConfigurationError(
                    f"{self.where(step)}: there is a step {step.id!r} at {self.where(other)} already: name it "
                    "otherwise",
                    code="manifest.wrong",
                )

    @property
    def complete(self) -> bool:
        """Whether all of it could be read."""
        return not self.unknown

    def where(self, step: Step, line: int | None = None) -> str:
        """``file:line`` of a step, or of a line within it."""
        found, file = line or step.line, step.file or self.source
        return f"{file}:{found}" if found else file

    def as_dict(self) -> dict[str, Any]:
        """JSON form, as ``manifest.schema.json`` has it."""
        return {
            "manifest": FORM,
            "kind": self.kind,
            "name": self.name,
            "source": {"file": self.source, "sha256": self.sha256},
            "complete": self.complete,
            "unknown": [{"where": one.where, "why": one.why, "hides": list(one.hides)} for one in self.unknown],
            "triggers": list(self.triggers),
            "containers": list(self.containers),
            "steps": [step.as_dict() for step in self.steps],
        }


def _need(need: Need) -> dict[str, str]:
    found = {"step": need.step, "strength": need.strength.value}
    return found | ({"why": need.why} if need.why else {})


def _command(command: Command) -> dict[str, Any]:
    found: dict[str, Any] = {"text": command.text, "exit_code": command.exit_code.value}
    for name in ("line", "why", "gate"):
        if value := getattr(command, name):
            found[name] = value
    if command.after:
        found["after"] = list(command.after)
    if command.role is not Role.OTHER:
        found |= {"role": command.role.value, "role_from": command.role_from}
    return found


def steps_by_id(steps: tuple[Step, ...]) -> dict[str, Step]:
    """Each step by its id."""
    return {step.id: step for step in steps}


def needed(step: Step) -> Iterator[str]:
    """The ids of all steps that a step names in its needs."""
    return (need.step for one in step.needs for need in one)
