"""One report as plain data, whatever it will be rendered as: each control with what the ledger has to say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.reports.facts import Table, told
from airflow_mlgov.reports.frameworks import Control, Framework
from airflow_mlgov.reports.matter import Matter
from airflow_mlgov.reports.speaking import ORDER, Finding, Speaker, State, worst
from airflow_mlgov.strict_files import nearest, read_yaml

FORM = "mlgov/report/1"
NEVER = (
    "This report says which evidence the ledger holds for each control, how old it is and where it stands. Whether a "
    "control is met is for people to say."
)


@dataclass(frozen=True)
class Line:
    """One control."""

    control: Control
    state: State
    applies: bool
    """Whether it applied on the report's day."""
    findings: tuple[Finding, ...]
    words: str
    """What the organisation has said of it; empty if nothing."""
    tables: tuple[Table, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "id": self.control.id,
            "says": self.control.says,
            "state": self.state.word,
            "applies_from": self.control.applies_from.isoformat(),
            "applies": self.applies,
            "evidence": [finding.as_dict() for finding in self.findings],
            "for_people": self.control.people,
            "said": self.words,
            "facts": [table.as_dict() for table in self.tables],
        }


@dataclass(frozen=True)
class Report:
    """One report about one version."""

    framework: Framework
    matter: Matter
    made_at: datetime
    sections: tuple[tuple[str, tuple[Line, ...]], ...]
    """Heading -> its controls, in the framework's order."""
    words_sha256: str = ""
    """Of the file with the organisation's own words; empty if there is none."""

    @property
    def lines(self) -> list[Line]:
        """Every control, in the framework's order."""
        return [line for _, lines in self.sections for line in lines]

    @property
    def gaps(self) -> list[Line]:
        """Every control that somebody has to look at, the worst first."""
        found = [line for line in self.lines if line.state.is_gap]
        return sorted(found, key=lambda line: (not line.applies, ORDER.index(line.state)))

    @property
    def counts(self) -> dict[State, int]:
        """How many controls are in each state, the worst first."""
        counted = Counter(line.state for line in self.lines)
        return {state: counted[state] for state in ORDER if counted[state]}

    @property
    def title(self) -> str:
        """What it is called."""
        return f"{self.matter.model.name} version {self.matter.model.version}: {self.framework.title}"

    @property
    def verdict(self) -> str:
        """How the version stands, in the words of the decision that promotes."""
        standing = self.matter.standing
        if standing.role == "ungoverned":
            return "no policy says whether it may serve"
        may = "may serve" if standing.role == "serves" else "may be promoted"
        return f"under the policy in force it {may if standing.allowed else may.replace('may', 'may not', 1)}"

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        model, standing, head = self.matter.model, self.matter.standing, self.matter.bench.walked.head
        return {
            "form": FORM,
            "framework": {
                "name": self.framework.name,
                "title": self.framework.title,
                "version": self.framework.version,
                "source": self.framework.source,
                "note": self.framework.note,
                "sha256": self.framework.sha256,
            },
            "says": NEVER,
            "made_at": self.made_at.isoformat(),
            "model": {**vars(model), "hashed": self.matter.hashed},
            "environment": standing.environment,
            "target": standing.target,
            "role": standing.role,
            "allowed": standing.allowed,
            "reasons": [{"code": code, "message": message} for code, message in standing.reasons],
            "ledger": {**head.mark, "checkpoints": [mark.size for mark in self.matter.checkpoints]},
            "words_sha256": self.words_sha256 or None,
            "counts": {state.word: count for state, count in self.counts.items()},
            "gaps": [line.control.id for line in self.gaps],
            "sections": [
                {"title": title, "controls": [line.as_dict() for line in lines]} for title, lines in self.sections
            ],
        }


def make_report(
    framework: Framework, matter: Matter, words: Mapping[str, str] | None = None, sha256: str = ""
) -> Report:
    """A report.

    :param words: control -> what the organisation says of it
    :param sha256: of the file that they come from
    :raises ConfigurationError: a word is for a control that there is not
    """
    known = {control.id for control in framework.controls}
    stray = next((name for name in words or () if name not in known), None)
    if stray is not None:
        raise ConfigurationError(
            f"{framework.name} has no control {stray!r}{nearest(stray, known)}, of which words are handed in",
            code="report.words",
        )
    speaker, day = Speaker(matter), matter.bench.now.date()

    def line(control: Control) -> Line:
        said = (words or {}).get(control.id, "")
        findings = speaker.findings(control.evidence)
        state = worst(item.state for item in findings)
        if state is State.PEOPLE and said:
            state = State.SAID
        tables = tuple(table for name in control.facts if (table := told(name, matter)).rows)
        return Line(control, state, control.applies_from <= day, findings, said, tables)

    sections = tuple((one.title, tuple(map(line, one.controls))) for one in framework.sections)
    return Report(framework, matter, matter.bench.now, sections, sha256)


def read_words(path: Path) -> tuple[dict[str, str], str]:
    """An organisation's own words, control -> text, and the SHA-256 of their file.

    :raises ConfigurationError: it is no mapping of texts
    :raises AccessError: the file system refuses
    """
    read = read_yaml(path, "file of words", plain=True)
    wanted = {"type": "object", "additionalProperties": {"type": "string", "maxLength": 20_000}}
    problem = read.problem(wanted)
    if problem:
        raise ConfigurationError(f"{problem}; a file of words maps controls to texts", code="report.words")
    return dict(read.content), read.sha256
