"""Which gates must have succeeded before each sensitive step can start, along every path, and why the others do not
guard it.

One pass in the order of the needs: what a step's success proves is what its start proved, and itself. A need of success
hands that on; a need that a skipped step meets hands it on only if the step cannot be skipped; one that any end meets
hands on nothing. Where one of several needs suffices, only what all of them prove is proven.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TypeVar

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.pipelines.manifest import (
    SENSITIVE,
    Decider,
    ExitCode,
    Failure,
    Manifest,
    Need,
    Role,
    Step,
    Strength,
    needed,
    steps_by_id,
)

P = TypeVar("P", bound=Hashable)

CODES: Mapping[str, str] = {
    "gate.exit_code_lost": "the failure of the gate's command does not reach its step",
    "gate.exit_code_unknown": "whether the failure of the gate's command reaches its step cannot be told",
    "gate.failure_ignored": "the failure of the gate's step is let go",
    "gate.failure_unknown": "whether the failure of the gate's step stops anything cannot be told",
    "gate.never_runs": "the gate never runs",
    "gate.cached": "an old success of the gate may be taken for a new one",
    "gate.may_not_run": "the gate may run no time at all",
    "gate.beside": "the step does not wait for the gate",
    "gate.after": "the gate comes after the step",
    "gate.weak_edge": "a step between the gate and the step starts whatever became of what is before it",
    "gate.skippable": "the step starts also where the gate was skipped",
    "gate.another_path": "the step may start on a path on which the gate has not run",
}
"""Code of why a gate does not guard a step -> the reason in words."""


@dataclass(frozen=True)
class GateRef:
    """One gate of a pipeline."""

    step: str
    command: int
    """Position of the command that runs it; -1 if it is the step itself."""
    gate: str
    """The gate's name."""
    line: int | None = None


@dataclass(frozen=True)
class Weak:
    """A gate that does not guard a step."""

    gate: GateRef
    code: str
    """One of :data:`CODES`."""
    why: str
    where: str
    """``file:line`` of what makes it weak."""


@dataclass(frozen=True)
class Judged:
    """One sensitive step."""

    step: Step
    role: Role
    where: str
    """``file:line``."""
    guards: tuple[GateRef, ...]
    weak: tuple[Weak, ...]
    approvals: tuple[str, ...]
    """Steps in which somebody must have agreed before."""

    @property
    def guarded_by(self) -> frozenset[str]:
        """Names of the gates that guard it."""
        return frozenset(ref.gate for ref in self.guards)


def judge(manifest: Manifest) -> list[Judged]:
    """The sensitive steps of a manifest whose steps have their roles, in its order."""
    return _Judge(manifest).judged()


def faults(manifest: Manifest) -> list[Weak]:
    """The gates that guard nothing wherever they stand, by a fault of their own, in the manifest's order."""
    return [fault for fault in _Judge(manifest).faults.values() if fault is not None]


class _Judge:
    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._steps = steps_by_id(manifest.steps)
        self._gates = [ref for step in manifest.steps for ref in _gates(step)]
        self.faults = {ref: self._fault(ref) for ref in self._gates}
        self._before: dict[str, frozenset[GateRef]] = {}
        self._agreed: dict[str, frozenset[str]] = {}
        for name in _order(manifest):
            step = self._steps[name]
            self._before[name] = self._proven(step, self._before, self._own)
            self._agreed[name] = self._proven(step, self._agreed, self._approval)

    def judged(self) -> list[Judged]:
        """Each sensitive command, and each step that is sensitive as a whole."""
        found = []
        for step in self._manifest.steps:
            commands = [at for at, command in enumerate(step.commands) if command.role in SENSITIVE]
            for at in commands:
                command = step.commands[at]
                inner = {ref for ref in _gates(step) if ref.command in command.after}
                found.append(self._one(step, command.role, command.line, self._before[step.id] | inner))
            if step.role in SENSITIVE and not commands:
                found.append(self._one(step, step.role, None, self._before[step.id]))
        return found

    def _one(self, step: Step, role: Role, line: int | None, guards: frozenset[GateRef]) -> Judged:
        weak = tuple(self._weak(ref, step) for ref in self._gates if ref not in guards)
        agreed = tuple(sorted(self._agreed[step.id]))
        return Judged(step, role, self._manifest.where(step, line), tuple(sorted(guards, key=_place)), weak, agreed)

    def _proven(
        self, step: Step, before: Mapping[str, frozenset[P]], own: Callable[[Step], frozenset[P]]
    ) -> frozenset[P]:
        """What is proven when a step starts."""
        found: frozenset[P] = frozenset()
        for alternatives in step.needs:
            handed = [self._handed(step, need, before, own) for need in alternatives]
            found |= frozenset.intersection(*handed) if handed else frozenset()
        return found

    def _handed(
        self, starting: Step, need: Need, before: Mapping[str, frozenset[P]], own: Callable[[Step], frozenset[P]]
    ) -> frozenset[P]:
        """What a need proves once it is met."""
        step = self._steps[need.step]
        if need.strength is Strength.DONE:
            return frozenset()
        sure = need.strength is Strength.SUCCESS or _runs_with(step, starting)
        if sure and step.fails is Failure.STOPS:
            return before[step.id] | own(step)
        # of a group: what lies within it may not have run, or have failed
        return before[step.start] if step.start in self._steps else before[step.id]

    def _fault(self, ref: GateRef) -> Weak | None:
        """Why a gate guards nothing, wherever it stands: by its own faults, and those of what holds it."""
        step = self._steps[ref.step]
        if lost := _lost(step, ref):
            return Weak(ref, *lost, self._manifest.where(step, ref.line))
        parts = ref.step.split("/")
        holders = (self._steps.get("/".join(parts[:end])) for end in range(len(parts) - 1, 0, -1))
        for one in (step, *holders):
            if one is not None and (fault := _fault(one, own=one is step)):
                return Weak(ref, *fault, self._manifest.where(step))
        return None

    def _own(self, step: Step) -> frozenset[GateRef]:
        return frozenset(ref for ref in _gates(step) if not self.faults[ref])

    def _approval(self, step: Step) -> frozenset[str]:
        return frozenset({step.id}) if step.role is Role.APPROVAL else frozenset()

    # -- why not ----------------------------------------------------------------------------------------------------

    def _weak(self, ref: GateRef, target: Step) -> Weak:
        if fault := self.faults[ref]:
            return fault
        here = self._manifest.where(self._steps[ref.step], ref.line)
        if ref.step == target.id:
            why = "it does not have to succeed before this command of the same step"
            return Weak(ref, "gate.beside", why, here)
        path = self._path(target.id, ref.step)
        if path is not None:
            return self._broken(ref, path)
        if self._path(ref.step, target.id) is not None:
            return Weak(ref, "gate.after", f"it comes after {target.id}", here)
        why = f"{target.id} does not wait for it: it stands beside, not before"
        return Weak(ref, "gate.beside", why, self._manifest.where(target))

    def _broken(self, ref: GateRef, path: list[tuple[Step, Need]]) -> Weak:
        """Where the way from a step back to a gate hands nothing on."""
        for step, need in path:
            before, said = self._steps[need.step], f" ({need.why})" if need.why else ""
            if need.strength is Strength.DONE:
                why = f"{step.id} starts whatever became of {before.id}{said}"
                return Weak(ref, "gate.weak_edge", why, self._manifest.where(step))
            if before.kind != "group" and before.id != ref.step:
                continue  # what it needed is proven by its start
            if before.fails is not Failure.STOPS:
                why = f"{step.id} starts also where {before.id} has failed: {before.fails_why}"
                return Weak(ref, "gate.failure_ignored", why, self._manifest.where(before))
            if need.strength is Strength.SUCCESS_OR_SKIPPED and not _runs_with(before, step):
                cause = f": {before.condition}" if before.condition else ""
                why = f"{step.id} starts also where {before.id} was skipped{said}{cause}"
                return Weak(ref, "gate.skippable", why, self._manifest.where(before))
        first = path[0][0]
        why = f"{first.id} may start on another path, on which it has not run"
        return Weak(ref, "gate.another_path", why, self._manifest.where(first))

    def _path(self, start: str, end: str) -> list[tuple[Step, Need]] | None:
        """The shortest way along needs from a step back to another."""
        seen, waiting = {start}, deque([(start, list[tuple[Step, Need]]())])
        while waiting:
            name, path = waiting.popleft()
            if name == end:
                return path
            step = self._steps.get(name)
            if step is None:
                continue
            for need in (need for one in step.needs for need in one):
                if need.step not in seen and need.step in self._steps:
                    seen.add(need.step)
                    waiting.append((need.step, [*path, (step, need)]))
        return None


def _place(ref: GateRef) -> tuple[str, int]:
    return ref.step, ref.command


def _order(manifest: Manifest) -> Iterable[str]:
    """Ids of the steps, each after what it needs.

    :raises ConfigurationError: steps need each other in a circle, or a step needs one that is not there
    """
    names = set(steps_by_id(manifest.steps))
    if len(names) != len(manifest.steps):
        raise ConfigurationError(f"{manifest.source}: two steps have one name", code="manifest.wrong")
    for step in manifest.steps:
        for name in needed(step):
            if name not in names:
                raise ConfigurationError(
                    f"{manifest.where(step)}: {step.id} needs {name}, which is not there", code="manifest.wrong"
                )
    try:
        return list(TopologicalSorter({step.id: set(needed(step)) for step in manifest.steps}).static_order())
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise ConfigurationError(
            f"{manifest.source}: steps wait for each other: {circle}", code="manifest.wrong"
        ) from None


def _runs_with(step: Step, other: Step) -> bool:
    """Whether a step runs wherever another one does: it always runs, or both under one condition."""
    same = bool(step.condition) and step.condition == other.condition and step.constant and other.constant
    return step.decided_by is Decider.ALWAYS or same


def _gates(step: Step) -> list[GateRef]:
    """The gates that a step runs."""
    found = [
        GateRef(step.id, at, command.gate, command.line)
        for at, command in enumerate(step.commands)
        if command.role is Role.GATE
    ]
    if not found and step.role is Role.GATE:
        found = [GateRef(step.id, -1, step.gate, step.line)]
    return found


def _lost(step: Step, ref: GateRef) -> tuple[str, str] | None:
    """Why the failure of a gate's command does not reach its step."""
    if ref.command < 0 or (command := step.commands[ref.command]).exit_code is ExitCode.KEPT:
        return None
    if command.exit_code is ExitCode.LOST:
        return "gate.exit_code_lost", f"its exit code is lost: {command.why}"
    return "gate.exit_code_unknown", f"its exit code cannot be followed: {command.why}"


def _fault(step: Step, *, own: bool) -> tuple[str, str] | None:
    """Why a step's success says nothing of a gate in it.

    :param own: whether the gate is the step; what becomes of a group's failure is judged where it is waited for
    """
    if own and step.fails is Failure.IGNORED:
        return "gate.failure_ignored", f"its failure is ignored: {step.fails_why}"
    if own and step.fails is Failure.UNKNOWN:
        return "gate.failure_unknown", f"whether its failure stops anything cannot be told: {step.fails_why}"
    if step.decided_by is Decider.NEVER:
        return "gate.never_runs", f"it never runs: {step.condition}"
    if step.cached:
        return "gate.cached", f"an old success may be taken for a new one: {step.cached}"
    return ("gate.may_not_run", f"it may run no time: {step.repeated}") if step.repeated else None
