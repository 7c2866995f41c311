"""A version's story, from the data to what it does now: events, checks beside the champion's, figures with their
numbers, answers with what was shown. Taken from verified evidence; what does not verify is listed as such."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from airflow_mlgov.board.judging import Bench, Standing
from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.digests import parse_json
from airflow_mlgov.evidence.statements import (
    ApprovalStatement,
    AuditStatement,
    DecisionStatement,
    EmergencyStatement,
    GateStatement,
    IncidentStatement,
    IntentStatement,
    ObservationStatement,
    PromotionStatement,
    ProvenanceStatement,
    ReportStatement,
    WaiverStatement,
)
from airflow_mlgov.evidence.verification import Evidence, Unverified, only
from airflow_mlgov.figures import Mark, draw, state_in
from airflow_mlgov.gates.shown import Judged, champion_of, in_order, judged_on
from airflow_mlgov.measured import observed
from airflow_mlgov.release.observations import observed_of, told_observation
from airflow_mlgov.release.timeline import Dossier, version_of
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Severity, is_finite

_STEPS = {
    "gate": "Gate",
    "provenance": "Registered",
    "approval": "Answer",
    "decision": "Decision",
    "intent": "Move begun",
    "promotion": "Moved",
    "waiver": "Waiver",
    "emergency": "Break-glass",
    "audit": "Audit",
    "incident": "Incident",
    "report": "Report",
    "observation": "Set by hand",
}


@dataclass(frozen=True)
class Event:
    """One thing that happened, as it was signed."""

    seq: int
    at: datetime
    kind: str
    title: str
    text: str
    outcome: str
    """A word that has a colour and a shape; empty if it is neither good nor bad."""
    run: Mapping[str, Any]
    reference: str


@dataclass(frozen=True)
class CheckRow:
    """One check, as people compare it."""

    check: Check
    champion: str
    """On the same rows."""


@dataclass(frozen=True)
class GateStory:
    """The newest result of a gate on one subject, and those before it."""

    gate: str
    evidence: Evidence[GateStatement]
    checks: tuple[CheckRow, ...]
    """Those that were held to a bound first."""
    data: Judged | None
    """What was judged, or what the model was judged on."""
    elsewhere: tuple[Judged | None, str] | None
    """Other data that the champion was judged on, and what it has there: not to be compared."""
    earlier: tuple[Evidence[GateStatement], ...]


@dataclass(frozen=True)
class Figure:
    """A figure and its numbers."""

    title: str
    note: str
    svg: str
    marks: tuple[Mark, ...]
    about: str
    """``groups``, ``versions`` or ``drift``."""


@dataclass(frozen=True)
class Answer:
    """A person's answer and what that person saw."""

    evidence: Evidence[ApprovalStatement]
    shown: tuple[str, ...]
    """Each piece of evidence that was shown, in words."""


@dataclass(frozen=True)
class Story:
    """All that a page tells of a version."""

    standing: Standing
    events: tuple[Event, ...]
    gates: tuple[GateStory, ...]
    figures: tuple[Figure, ...]
    answers: tuple[Answer, ...]
    waivers: tuple[Evidence[WaiverStatement], ...]
    unverified: tuple[Unverified, ...]
    champion: str | None
    """The version that is compared with."""
    notes: tuple[str, ...]


def tell(bench: Bench, standing: Standing, dossier: Dossier, champion: str | None) -> Story:
    """The story of one version at one target."""
    model = standing.model
    good = [item for item in dossier.good if item.subject.kind != "model" or item.subject.version == model.version]
    rivals = [item for item in only(dossier.history, GateStatement) if version_of(item) == champion] if champion else []
    gates, noted = tuple(_gates(good, rivals)), observed_of(bench.walked, bench.trust, good)
    return Story(
        standing,
        tuple(_event(item) for item in sorted([*good, *noted], key=lambda item: item.seq)),
        gates,
        (*_rates(gates), *_over_versions(gates, dossier, standing.environment), *_drift(gates)),
        tuple(_answers(good)),
        tuple(only(good, WaiverStatement)),
        tuple(dossier.bad),
        champion,
        _notes(bench, standing),
    )


def _notes(bench: Bench, standing: Standing) -> tuple[str, ...]:
    """What is not asked here."""
    said = bench.policy.models.get(standing.model.name) if bench.policy else None
    goal = said.targets.get(standing.target) if said else None
    if goal is None or not goal.rollback_required or standing.role != "candidate":
        return ()
    return ("Whether an earlier version would do to go back to is asked when it is promoted, not here.",)


def signature(envelope: str) -> list[str]:
    """Ids of the keys that an envelope says it was signed with."""
    return [str(item.get("keyid", "")) for item in parse_json(envelope).get("signatures", ())]


def statement_in(envelope: str) -> Any:
    """The statement as it was signed."""
    try:
        return parse_json(b64decode(parse_json(envelope)["payload"], validate=True))
    except (KeyError, TypeError, ValueError) as error:
        raise EvidenceError("the entry holds no statement", code="envelope.malformed") from error


# -- what happened ----------------------------------------------------------------------------------------------------


def _event(item: Evidence) -> Event:
    text, outcome = told(item)
    title = _STEPS.get(item.kind, item.kind)
    if isinstance(item.statement, GateStatement):
        title = f"Gate {item.statement.gate}"
    run = item.statement.context.run
    return Event(item.seq, item.issued_at, item.kind, title, text, outcome, run, item.reference)


def told(item: Evidence) -> tuple[str, str]:
    """What a statement says, and the word for how it ended."""
    match item.statement:
        case GateStatement(result=result) as gate:
            passed = sum(check.outcome is Outcome.PASS for check in result.checks)
            about = f" on {result.subject.name}" if result.subject.kind != "model" else ""
            return f"{passed} of {len(result.checks)} checks pass{about}", str(gate.verdict)
        case ProvenanceStatement() as made:
            parts = ", ".join(part.name for part in made.parts) or "nothing that is named"
            return f"made from {parts}, trained by {', '.join(made.trainers) or 'nobody who is named'}", ""
        case AuditStatement() as audit:
            return f"of {', '.join(result.gate for result in audit.results)} for {audit.target}", str(audit.verdict)
        case IncidentStatement() as incident:
            return f"{incident.code}: {incident.message}", incident.state
        case ObservationStatement() as noted:
            return told_observation(noted), ""
        case ReportStatement() as report:
            return f"{report.framework} of sha256:{report.document_sha256}, answered for by {report.person.name}", ""
    return _decided(item)


def _decided(item: Evidence) -> tuple[str, str]:
    match item.statement:
        case ApprovalStatement() as answer:
            return f"{answer.approver.name}: {answer.reason}", answer.answer
        case DecisionStatement() as decision:
            why = "; ".join(message for _, message in decision.reasons)
            return f"to {decision.target}{f': {why}' if why else ''}", "allowed" if decision.allowed else "denied"
        case PromotionStatement() as moved:
            instead = f" in place of version {moved.replaces}" if moved.replaces else ""
            word = "rolled back to" if moved.action == "rollback" else "promoted to"
            copy = f" as {moved.placed.name} version {moved.placed.version}" if moved.copy else ""
            return f"{word} {moved.target}{copy}{instead}{f': {moved.reason}' if moved.reason else ''}", ""
        case IntentStatement() as intent:
            return f"{intent.action} to {intent.target}: {intent.state}", ""
        case WaiverStatement(terms=terms) as waiver:
            what = f"{terms.check} of {terms.gate} until {terms.expires[:10]}, ticket {terms.ticket}"
            return f"{what}; {waiver.state} by {waiver.signer.name}: {waiver.reason}", waiver.state
        case EmergencyStatement() as broken:
            return f"{broken.person.name}, until {broken.expires:%Y-%m-%d %H:%M}: {broken.reason}", "broken"
    return "", ""


# -- what was measured ------------------------------------------------------------------------------------------------


def _gates(good: Sequence[Evidence], rivals: Sequence[Evidence[GateStatement]]) -> Iterable[GateStory]:
    by: dict[tuple[str, str], list[Evidence[GateStatement]]] = {}
    for item in only(good, GateStatement):
        by.setdefault((item.statement.gate, item.digest), []).append(item)
    for (gate, _), items in by.items():
        newest = items[-1]
        champion, result = champion_of(newest.statement, [item.statement for item in rivals]), newest.statement.result
        bounded, recorded = in_order(result.checks)
        yield GateStory(
            gate,
            newest,
            tuple(CheckRow(check, champion.same.get(check.name, "")) for check in (*bounded, *recorded)),
            judged_on(result),
            None if champion.elsewhere is None else _elsewhere(champion.elsewhere),
            tuple(items[:-1]),
        )


def _elsewhere(result: GateResult) -> tuple[Judged | None, str]:
    bounded, _ = in_order(result.checks)
    return judged_on(result), ", ".join(f"{check.name} {observed(check)}" for check in bounded)


def _ends(check: Check) -> tuple[float, float] | None:
    interval = check.values.get("interval")
    return _span([interval.get("low"), interval.get("high")]) if isinstance(interval, Mapping) else None


def _span(ends: Any) -> tuple[float, float] | None:
    """Two numbers; None if they are not."""
    known = isinstance(ends, Sequence) and len(ends) == 2 and all(map(is_finite, ends))
    return (float(ends[0]), float(ends[1])) if known else None


# -- figures ----------------------------------------------------------------------------------------------------------


def _rates(gates: Iterable[GateStory]) -> Iterable[Figure]:
    """What a fairness gate found for each group, for each check with a bound."""
    for story in gates:
        details = story.evidence.statement.result.details
        rates, intervals = details.get("rates"), details.get("intervals")
        if not isinstance(rates, Mapping):
            continue
        for row in story.checks:
            groups = row.check.values.get("by_group")
            base, _, feature = row.check.name.removesuffix("]").partition("[")
            if not isinstance(groups, Mapping) or not isinstance(row.check.bound, Bound) or feature not in rates:
                continue
            spans = intervals.get(feature) if isinstance(intervals, Mapping) else None
            for measure in dict.fromkeys(name for of in groups.values() if isinstance(of, Mapping) for name in of):
                marks = _group_marks(groups, spans, measure, row.check)
                if marks:
                    yield Figure(
                        f"{measure.replace('_', ' ')} by {feature}",
                        f"{base} must be {row.check.bound}, and is {observed(row.check)}; shaded: where every "
                        "group must lie, given the highest",
                        draw(f"{measure} by {feature}", marks, _group_band(row.check, marks)),
                        tuple(marks),
                        "groups",
                    )


def _group_marks(groups: Mapping[str, Any], spans: Any, measure: str, check: Check) -> list[Mark]:
    found = []
    for group, of in groups.items():
        value: Any = of.get(measure) if isinstance(of, Mapping) else None
        theirs = spans.get(group) if isinstance(spans, Mapping) else None
        if is_finite(value):
            low, high = _span(theirs.get(measure) if isinstance(theirs, Mapping) else None) or (value, value)
            found.append(Mark(str(group), float(value), low, high, str(check.outcome)))
    band = _group_band(check, found) if found else None
    own = [replace(mark, outcome=state_in(band and band[0], None, mark.value, (mark.low, mark.high))) for mark in found]
    return sorted(own, key=lambda mark: mark.value)


def _group_band(check: Check, marks: Sequence[Mark]) -> tuple[float, float] | None:
    """Where every group must lie, given the highest."""
    assert isinstance(check.bound, Bound)  # noqa: S101
    top, bound, name = max(mark.value for mark in marks), check.bound, check.name.partition("[")[0]
    if name.endswith("_ratio") and bound.min is not None:
        return top * bound.min, top
    if name.endswith("_difference") and bound.max is not None:
        return top - bound.max, top
    return None


def _over_versions(gates: Iterable[GateStory], dossier: Dossier, environment: str) -> Iterable[Figure]:
    """Each bounded critical value of a gate on the model, over the versions that it was measured of."""
    results = [item for item in only(dossier.history, GateStatement) if item.environment == environment]
    for story in gates:
        if story.evidence.subject.kind != "model":
            continue
        for row in story.checks:
            if not isinstance(row.check.bound, Bound) or row.check.severity is not Severity.CRITICAL:
                continue
            newest: dict[str, Check] = {}
            for item in results:
                if item.statement.gate == story.gate:
                    same = [check for check in item.statement.result.checks if check.name == row.check.name]
                    newest |= {version_of(item): check for check in same if is_finite(check.observed)}
            if len(newest) < 2:
                continue
            marks = []
            for version, check in newest.items():
                value = float(check.observed or 0)
                low, high = _ends(check) or (value, value)
                marks.append(Mark(f"version {version}", value, low, high, str(check.outcome)))
            yield Figure(
                f"{row.check.name} over versions",
                f"the bound is {row.check.bound}",
                draw(f"{row.check.name} over versions", marks, _band(row.check.bound, marks), None),
                tuple(marks),
                "versions",
            )


def _drift(gates: Iterable[GateStory]) -> Iterable[Figure]:
    """How far each column has drifted, a figure for each measure."""
    for story in gates:
        by: dict[str, list[Check]] = {}
        for row in story.checks:
            measure, _, column = row.check.name.removesuffix(")").partition("(")
            if measure.startswith("drift_") and column and is_finite(row.check.observed):
                by.setdefault(measure, []).append(row.check)
        for measure, checks in by.items():
            marks = []
            for check in checks:
                value = float(check.observed or 0)
                low, high = _ends(check) or (value, value)
                marks.append(Mark(check.name.partition("(")[2][:-1], value, low, high, str(check.outcome)))
            bound = next((check.bound for check in checks if isinstance(check.bound, Bound)), None)
            yield Figure(
                f"{measure.removeprefix('drift_').upper()} by column",
                f"drift against the reference{f'; the bound is {bound}' if bound else ''}",
                draw(f"{measure} by column", marks, _band(bound, marks) if bound else None, None),
                tuple(marks),
                "drift",
            )


def _band(bound: Bound, marks: Sequence[Mark]) -> tuple[float, float]:
    low, high = min(mark.low for mark in marks), max(mark.high for mark in marks)
    width = (high - low) or abs(high) or 1.0
    start = bound.min if bound.min is not None else min(low - width / 4, (bound.max or 0.0) - width)
    if bound.min is None and low >= 0:
        start = 0.0
    end = bound.max if bound.max is not None else max(high + width / 4, start + width)
    if bound.max is None and start <= 1.0 and high <= 1.0:
        end = min(end, 1.0)
    return start, end


# -- people -----------------------------------------------------------------------------------------------------------


def _answers(good: Sequence[Evidence]) -> Iterable[Answer]:
    known = {item.sha256: item for item in good}
    for item in only(good, ApprovalStatement):
        shown_ones = [
            _shown(known[sha]) if sha in known else f"evidence {sha[:12]}, which is not there any more"
            for sha in item.statement.shown
        ]
        yield Answer(item, tuple(sorted(shown_ones)))


def _shown(item: Evidence) -> str:
    text, outcome = told(item)
    return f"{item.gate or item.kind}: {outcome or text} ({item.reference})"
