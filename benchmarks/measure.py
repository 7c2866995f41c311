"""Runs the contenders of a contest in turns, each time in a fresh process, keeps what they reported, and finds where
their answers differ: a ratio of two jobs that do not give the same says nothing."""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from benchmarks.environments import NotInstallable, python_of

Figure = Literal["import_seconds", "work_seconds", "total_seconds", "cpu_seconds", "peak_mb"]
TOLERANCE = 1e-9
"""Relative; sums of floats differ by their order, and the gates round what they observe to 12 digits."""
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Contender:
    """One way to do the job."""

    name: str
    function: str
    """``module:function`` of this package, see :mod:`benchmarks.contender`."""
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: str = ""
    """Of :data:`benchmarks.environments.REQUIREMENTS`; empty for this interpreter."""
    once: bool = False
    """Takes part in the first round alone, for it takes minutes."""


@dataclass(frozen=True)
class Target:
    """What is to be reached, as a ratio of one figure."""

    figure: Figure
    at_least: float | None = None
    """How many times theirs is ours."""
    at_most: float | None = None
    """How many times ours may be theirs."""

    def ratio(self, ours: float, theirs: float) -> float:
        """The ratio that the target is about."""
        return theirs / ours if self.at_least is not None else ours / theirs

    def is_met(self, ratio: float) -> bool:
        """Whether it reaches the target."""
        return ratio >= self.at_least if self.at_least is not None else ratio <= (self.at_most or 0.0)

    def __str__(self) -> str:
        return f">= {self.at_least:g}x" if self.at_least is not None else f"<= {self.at_most:g}x"


@dataclass(frozen=True)
class Contest:
    """A job, who does it, and what is to be reached. The first contender is ours."""

    key: str
    what: str
    contenders: Sequence[Contender]
    targets: Sequence[tuple[str, Target]]
    """The name of the contender that ours is held against, and the target."""
    note: str = ""
    same_answers: bool = True
    """Whether all do the same job, so that their answers must agree."""


@dataclass(frozen=True)
class Run:
    """What one process reported, and how long it lived."""

    import_seconds: float
    work_seconds: float
    total_seconds: float
    """From the start of the process to its end, the interpreter's own start included."""
    cpu_seconds: float
    """User's and system's, of the whole process."""
    peak_mb: float
    answer: Mapping[str, Any]


@dataclass(frozen=True)
class Measured:
    """A contest with its runs."""

    contest: Contest
    rounds: Sequence[Mapping[str, Run]]
    """For each round: contender's name -> its run."""
    missing: Mapping[str, str]
    """Contender's name -> why it did not run."""
    broken: Mapping[str, str]
    """Contender's name -> what it died of."""

    @property
    def unlike(self) -> list[str]:
        """Every pair of answers that differ, and where; the same pair and place once."""
        if not self.contest.same_answers:
            return []
        found = []
        for runs in self.rounds:
            for one, other in combinations(runs, 2):
                if difference := differing(runs[one].answer, runs[other].answer):
                    found.append(f"{one} and {other}: {difference}")
        return list(dict.fromkeys(found))

    def figures(self, against: str, figure: Figure) -> list[tuple[float, float]]:
        """Ours and theirs of each round in which both ran."""
        ours = self.contest.contenders[0].name
        both = [runs for runs in self.rounds if ours in runs and against in runs]
        return [(getattr(runs[ours], figure), getattr(runs[against], figure)) for runs in both]

    def medians(self, against: str, target: Target) -> tuple[float, float, float] | None:
        """Medians of ours, of theirs and of the ratios of the rounds; None where they never met."""
        pairs = self.figures(against, target.figure)
        if not pairs:
            return None
        ours, theirs = (statistics.median(values) for values in zip(*pairs, strict=True))
        return ours, theirs, statistics.median(target.ratio(*pair) for pair in pairs)


def measure(
    contest: Contest, rounds: int, environments: Path, say: Callable[[str], None], warm_up: bool = True
) -> Measured:
    """Let the contenders take turns.

    :param rounds: how many turns each takes
    :param environments: folder of :mod:`benchmarks.environments`
    :param say: told what happens
    :param warm_up: run each once unmeasured (but those that take minutes), so that files are in memory and modules
        compiled
    """
    missing: dict[str, str] = {}
    broken: dict[str, str] = {}
    pythons: dict[str, Path] = {}
    for contender in contest.contenders:
        try:
            pythons[contender.name] = python_of(contender.environment, environments)
        except NotInstallable as error:
            missing[contender.name] = str(error)
    kept: list[Mapping[str, Run]] = []
    for turn in range(-int(warm_up), rounds):
        runs: dict[str, Run] = {}
        for contender in contest.contenders:
            name = contender.name
            if name not in pythons or name in broken or (contender.once and turn != 0):
                continue
            try:
                runs[name] = run_once(contender, pythons[name])
            except ChildProcessError as error:
                broken[name] = str(error)
                say(f"  {name}: broken: {error}")
                continue
            done = runs[name]
            label = "warm-up" if turn < 0 else f"round {turn + 1}"
            say(
                f"  {label}: {name}: imports {done.import_seconds:.2f} s, work {done.work_seconds:.3f} s, process "
                f"{done.total_seconds:.2f} s, CPU {done.cpu_seconds:.2f} s, {done.peak_mb:.0f} MB"
            )
        if turn >= 0:
            kept.append(runs)
    return Measured(contest, kept, missing, broken)


def run_once(contender: Contender, python: Path) -> Run:
    """One turn.

    :raises ChildProcessError: it died; the message has its last words
    """
    with TemporaryDirectory(prefix="mlgov-bench-") as folder:
        report = Path(folder) / "report.json"
        command: list[str | Path] = [
            python,
            "-m",
            "benchmarks.contender",
            contender.function,
            json.dumps(dict(contender.options)),
            report,
        ]
        started = time.perf_counter()
        done = subprocess.run(command, cwd=_ROOT, env=_compiled(), check=False, capture_output=True, text=True)
        total = time.perf_counter() - started
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            raise ChildProcessError(last[0][:300])
        return Run(total_seconds=total, **json.loads(report.read_text()))


def _compiled() -> dict[str, str]:
    """The environment, in which modules stay compiled from the first run on."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """What two answers disagree on; they need not answer the same questions, but at least one."""
    shared = [key for key in one if key in other]
    if not shared:
        return "they have no answer in common"
    unlike = [key for key in shared if not _equal(one[key], other[key])]
    return "; ".join(f"{key} is {one[key]!r} and {other[key]!r}" for key in unlike[:3])


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=1e-11)
    return bool(one == other)
