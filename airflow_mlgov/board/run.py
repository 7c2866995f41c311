"""A run's gates, as their evidence has them, beside the state that Airflow shows; in words where the two disagree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_mlgov.evidence.statements import DecisionStatement, GateStatement, PromotionStatement
from airflow_mlgov.evidence.verification import Evidence
from airflow_mlgov.results import Outcome


@dataclass(frozen=True)
class Task:
    """One task of a run, as Airflow has it."""

    task_id: str
    state: str
    governed: bool
    """Whether its operator signs evidence."""
    marked_by: str = ""
    """Who has set its state by hand; empty if nobody has."""
    marked_at: datetime | None = None
    map_index: int = -1


@dataclass(frozen=True)
class Line:
    """One task with its newest evidence; a mapped one has a line for each index."""

    task_id: str
    map_index: int
    state: str
    evidence: tuple[Evidence, ...]
    outcome: str
    disagreement: str
    """Empty if state and evidence agree."""

    @property
    def name(self) -> str:
        """As Airflow writes it."""
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"

    @property
    def newest(self) -> Evidence | None:
        """Its last word."""
        return self.evidence[-1] if self.evidence else None

    @property
    def checks(self) -> Sequence[Any]:
        """The checks of its newest result; none if it is no gate."""
        last = self.newest.statement if self.newest else None
        return last.result.checks if isinstance(last, GateStatement) else ()


def told_run(evidence: Iterable[Evidence], tasks: Sequence[Task] | None) -> list[Line]:
    """Every task that has evidence, or should have.

    :param evidence: of the run, in ledger order
    :param tasks: as Airflow has them; None if it is not asked
    """
    by: dict[tuple[str, int], list[Evidence]] = {}
    for item in evidence:
        run = item.statement.context.run
        index = run.get("map_index", -1)
        key = str(run.get("task_id") or ""), index if isinstance(index, int) else -1
        by.setdefault(key, []).append(item)
    known = {(task.task_id, task.map_index): task for task in tasks or ()}
    wanted = [*by, *(key for key, task in known.items() if task.governed and key not in by)]
    lines = []
    for key in wanted:
        found, task = tuple(by.get(key, ())), known.get(key)
        outcome = _outcome(found)
        said = disagreement(task, outcome) if task else ""
        lines.append(Line(*key, task.state if task else "", found, outcome, said))
    return sorted(lines, key=lambda one: (not one.disagreement, one.evidence[0].seq if one.evidence else 0))


def disagreement(task: Task, outcome: str) -> str:
    """What to say where a task's state and its evidence are not one; empty if they are.

    :param outcome: of the evidence; empty if there is none
    """
    if task.state == "success":
        if outcome in ("", "PASS", "allowed", "done") and not task.marked_by:
            return "" if outcome or not task.governed else "green, and it has left no evidence"
        if outcome in ("PASS", "allowed", "done"):
            return ""
        said = "the evidence says " + outcome if outcome else "there is no evidence of it, and nothing will count it"
        if task.marked_by:
            at = f" at {task.marked_at:%H:%M}" if task.marked_at else ""
            return f"green by hand (marked by {task.marked_by}{at}), {said}"
        return f"green, but {said}: it only records, or a waiver covers it; promotion reads the evidence"
    if task.state in ("failed", "upstream_failed") and outcome == "PASS":
        by = f" by hand (marked by {task.marked_by})" if task.marked_by else ""
        return f"red{by}, but the evidence says PASS"
    return ""


def _outcome(evidence: Sequence[Evidence]) -> str:
    for item in reversed(evidence):
        if isinstance(item.statement, GateStatement):
            return str(item.statement.verdict)
        if isinstance(item.statement, DecisionStatement):
            return "allowed" if item.statement.allowed else "denied"
        if isinstance(item.statement, PromotionStatement):
            return "done"
    return "done" if evidence else ""


GREEN = frozenset({str(Outcome.PASS), "allowed", "approved", "signed", "done", "resolved"})
