"""A report as headings, tables and sentences, which all formats for people render alike. What somebody else has said is
made harmless by whoever renders it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from airflow_mlgov.board.story import Figure
from airflow_mlgov.reports.document import NEVER, Line, Report
from airflow_mlgov.reports.speaking import State

Cell = str | tuple[str, ...]
"""A word, or several lines."""


@dataclass(frozen=True)
class Grid:
    """A table."""

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""
    states: tuple[str, ...] = ()
    """The state of each row, for its colour; none if empty. The second cell says it in words."""
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True)
class Part:
    """What stands under one heading."""

    title: str
    text: tuple[str, ...] = ()
    grids: tuple[Grid, ...] = ()


@dataclass(frozen=True)
class Page:
    """A whole report."""

    kicker: str
    """What kind of report it is."""
    title: str
    verdict: str
    is_good: bool | None
    """Whether the verdict is; None if there is none."""
    facts: tuple[tuple[str, str], ...]
    notices: tuple[str, ...]
    counts: tuple[tuple[str, str, int], ...]
    """Word for machines, word for people, how many."""
    parts: tuple[Part, ...]


def page_of(report: Report) -> Page:
    """The page of a report about one version."""
    framework, matter = report.framework, report.matter
    standing, head = matter.standing, matter.bench.walked.head
    applies = framework.applies_from <= report.made_at.date()
    place = f" ({standing.place})" if standing.place else ""
    facts = (
        ("Model", f"{matter.model.name} version {matter.model.version}"),
        (
            "Files",
            f"sha256:{matter.model.digest}, {'hashed for this report' if matter.hashed else 'as evidence names them'}",
        ),
        ("Registry", matter.model.registry or ""),
        (
            "Place",
            f"target {standing.target}{place}, environment {standing.environment}",
        ),
        ("Made", f"{report.made_at:%Y-%m-%d %H:%M} UTC"),
        ("Ledger", f"{head.size} entries, every link of the chain verified; head {head.head}"),
        ("Checkpoints", ", ".join(f"of {mark.size} entries, held" for mark in matter.checkpoints) or "none were given"),
        ("Framework", f"{framework.title}; file of {framework.version}, sha256:{framework.sha256[:12]}"),
        ("Source", framework.source),
        ("Applies from", framework.applies_from.isoformat() + ("" if applies else ", which has not come yet")),
        ("Note", framework.note or "none"),
    )
    words = (("Words", f"of the organisation, sha256:{report.words_sha256}"),) if report.words_sha256 else ()
    counts = tuple((state.word, str(state), count) for state, count in report.counts.items())
    return Page(
        framework.title, f"{matter.model.name} version {matter.model.version}", report.verdict,
        None if standing.role == "ungoverned" else standing.allowed,
        (*facts, *words), (NEVER,), counts,
        (*_against(report), _gaps(report), *_sections(report), _resting(report), _reading(report)),
    )  # fmt: skip


def _against(report: Report) -> tuple[Part, ...]:
    """What the decision says against it; nothing if it says nothing."""
    bad = [(f"ledger:{item.seq}", f"{item.kind}: {item.problem}") for item in report.matter.dossier.bad]
    grids = [Grid(("reason", "says"), report.matter.standing.reasons)] if report.matter.standing.reasons else []
    if bad:
        grids.append(Grid(("entry", "does not verify"), tuple(bad)))
    return (Part(f"Why: {report.verdict}", (_SAME,), tuple(grids)),) if grids else ()


def _resting(report: Report) -> Part:
    facts = tuple((fact,) for fact in report.matter.standing.facts)
    grids = (Grid(("what was verified",), facts),) if facts else ()
    return Part(f"What the answer rests on: {report.verdict}", (_SAME,), grids)


_SAME = "The answer is that of the decision that promotes, of mlgov verify and of the board."


def _gaps(report: Report) -> Part:
    gaps = report.gaps
    of = f"{len(gaps)} of {len(report.lines)} controls"
    if not gaps:
        return Part("Gaps", (f"None of {len(report.lines)} controls lacks evidence that a pipeline makes.",))
    text = f"{of} lack evidence, have some that is stale or waived, or some that speaks against. The worst first."
    return Part("Gaps", (text,), (_grid(gaps, report.framework.applies_from),))


def _sections(report: Report) -> tuple[Part, ...]:
    since = report.framework.applies_from
    return tuple(Part(title, (), _grids(lines, since)) for title, lines in report.sections)


def _grids(lines: Sequence[Line], since: date) -> tuple[Grid, ...]:
    """Tables of controls; one that has more to tell has it right after its own."""
    found: list[Grid] = []
    waiting: list[Line] = []
    for line in lines:
        waiting.append(line)
        if line.tables or line.words:
            found += [_grid(waiting, since), *_facts(line)]
            waiting = []
    return (*found, _grid(waiting, since)) if waiting else tuple(found)


def _facts(line: Line) -> list[Grid]:
    tables = [
        Grid(table.head, table.rows, f"{line.control.id}: {table.title}", figures=table.figures)
        for table in line.tables
    ]
    said = [Grid((f"{line.control.id}: the organisation says",), ((line.words,),))] if line.words else []
    return [*said, *tables]


def _grid(lines: Sequence[Line], since: date) -> Grid:
    rows = tuple((_name(line, since), str(line.state), _evidence(line), line.control.people) for line in lines)
    head = ("control", "state", "evidence", "people have to say")
    return Grid(head, rows, states=tuple(line.state.word for line in lines))


def _name(line: Line, since: date) -> Cell:
    """With its day, if that is another than the framework's."""
    day = line.control.applies_from
    return (line.control.id, line.control.says, *(() if day == since else (f"applies from {day.isoformat()}",)))


def _evidence(line: Line) -> Cell:
    if not line.findings:
        return "the organisation says, see there" if line.words else "no record that a pipeline makes speaks to it"
    return tuple(finding.sentence for finding in line.findings)


_MEANINGS = {
    State.AGAINST: "evidence is there and says that something is wrong: a failed gate, a rejection, an open incident",
    State.MISSING: "the ledger holds no such evidence that counts",
    State.STALE: "evidence is there, and is older than the policy allows or than it says of itself",
    State.PART: "some of what speaks to the control is there, and some is missing",
    State.WAIVED: "a check failed, and people have signed a time-bound exception; waived is never passed",
    State.PEOPLE: "nothing that a pipeline records speaks to it",
    State.SAID: "the organisation's own words, which came with the report and are not evidence",
    State.NOTHING: "it would be on record if it had happened",
    State.FRESH: "evidence is there, verifies, and is not too old; what it says is beside it",
}


def _reading(report: Report) -> Part:
    model = report.matter.model
    rows = tuple((str(state), meaning) for state, meaning in _MEANINGS.items())
    text = (
        "Each line ends with where it stands in the ledger, as ledger:NUMBER@beginning of the envelope's SHA-256.",
        "To look at an entry: mlgov ledger show NUMBER. To verify the version again, from its files, the ledger and "
        f"the trust root: mlgov verify models:/{model.name}/{model.version}. To take it all away: mlgov ledger export.",
    )
    return Part("How to read this", text, (Grid(("state", "means"), rows),))
