"""What a gate asks of packs of rules, and what it is answered; who evaluates them is said above this floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from airflow_mlgov.gates.force import Force
from airflow_mlgov.results import Outcome

PARTS = ("pipelines", "features", "model")
"""What rules may ask for of their input, besides the time and their parameters."""


@dataclass(frozen=True, kw_only=True)
class PackRule(Force):
    """One rule of a pack, as its METADATA says."""

    code: str
    title: str
    mend: str
    controls: tuple[str, ...] = ()
    """Of frameworks, as the crosswalks name them: ``gdpr:35``."""
    where: str = ""
    """``file:line`` of the rule."""


@dataclass(frozen=True)
class PackFinding:
    """One thing that a rule has found."""

    code: str
    message: str
    where: str = ""
    """``file:line``; empty if it has no place."""
    term: str = ""
    """What it is about, without lines: what a waiver names stays the same while the file grows."""
    outcome: Outcome = Outcome.FAIL


@dataclass(frozen=True)
class PackAnswer:
    """What one pack says."""

    name: str
    digest: str
    """SHA-256 over names and texts of its modules."""
    rules: tuple[PackRule, ...]
    findings: tuple[PackFinding, ...]


class Rulebook(Protocol):
    """Knows packs of rules, and has them evaluated."""

    def reads(self, packages: Sequence[str], folder: Path) -> frozenset[str]:
        """Which of :data:`PARTS` the packs read.

        :param packages: ``mlgov.pii`` of this package, or ``PATH@sha256:…`` of a folder or a bundle
        :param folder: what paths are relative to
        :raises ConfigurationError: there is no such pack, it is another than the one that is pinned, or it is no pack
        """

    def judge(self, packages: Sequence[str], folder: Path, document: Mapping[str, Any]) -> tuple[PackAnswer, ...]:
        """What each pack says of an input.

        :param document: the parts that they read, ``now`` and ``parameters``
        :raises ConfigurationError: as :meth:`reads`; or the rules cannot be evaluated, or say what no finding is
        """
