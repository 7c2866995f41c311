"""Which results the shipped rules do not read, so that no decision is signed over them again: those of a gate on the
same bytes that a newer one stands for. Whoever looks at the decision later tells them anew, and believes no list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from airflow_mlgov.evidence.statements import GateStatement, WaiverStatement
from airflow_mlgov.evidence.verification import Evidence, only
from airflow_mlgov.governance.judgement import WHAT_IF
from airflow_mlgov.results import Outcome


def superseded(evidence: Sequence[Evidence]) -> set[int]:
    """Ledger numbers of the results that no shipped rule reads.

    A rule reads the newest result of a gate on the same bytes, each what-if that came after it, and what a waiver says
    was measured.
    """
    gates = only(evidence, GateStatement)
    newest: dict[Any, int] = {}
    for item in gates:
        if _counts(item):
            newest[_about(item)] = max(item.seq, newest.get(_about(item), 0))
    measured = _measured(evidence)
    return {
        item.seq
        for item in gates
        if item.seq < newest.get(_about(item), 0)
        and not any(
            isinstance(check.observed, int | float) and (item.gate, check.name, check.observed) in measured
            for check in item.statement.result.checks
        )
    }


def as_spans(numbers: Iterable[int]) -> list[list[int]]:
    """Numbers as first and last of each run of them."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return spans


def within(recorded: Any, numbers: Iterable[int]) -> set[int]:
    """Those of some numbers that a decision has recorded as superseded; none where what it has recorded is no span."""
    spans = recorded.get("entries") if isinstance(recorded, dict) else None
    read = [
        (span[0], span[1])
        for span in (spans if isinstance(spans, list) else ())
        if isinstance(span, list) and len(span) == 2 and all(type(end) is int for end in span)
    ]
    return {number for number in numbers if any(first <= number <= last for first, last in read)}


def _counts(item: Evidence[GateStatement]) -> bool:
    """Whether it stands for its gate: neither a what-if nor a PASS of form 1 that names no suite."""
    said = item.statement
    unnamed = (
        said.gate == "data_validation"
        and said.form == 1
        and said.result.suite_digest is None
        and said.verdict is Outcome.PASS
    )
    return said.purpose != WHAT_IF and not unnamed


def _about(item: Evidence) -> tuple[object, ...]:
    subject = item.subject
    return (item.gate, item.digest, item.environment, subject.registry, subject.name, subject.kind)


def _measured(evidence: Sequence[Evidence]) -> set[tuple[str | None, str, Any]]:
    """Gate, check and value that a waiver was signed for."""
    terms = [item.statement.terms for item in only(evidence, WaiverStatement)]
    return {(said.gate, said.check, said.observed) for said in terms}
