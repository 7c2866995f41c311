"""All models on one page: how each stands at each target under today's policy, what was excepted, what is owed, what is
wrong. The board's own standings, made from one walk of the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from airflow_mlgov.board.judging import Bench, Cell, Standing
from airflow_mlgov.board.pages import NEEDS
from airflow_mlgov.board.rows import STATES
from airflow_mlgov.evidence.headlines import model_in
from airflow_mlgov.reports.page import Grid, Page, Part

FORM = "mlgov/fleet/1"
_LOOKS = {
    "deny": "against", "overdue": "against", "blocked": "part", "waiting": "people", "ready": "fresh", "allow": "fresh",
}  # fmt: skip
"""How a row stands -> the colour that it has in a report."""


def standings(bench: Bench, environment: str | None = None, models: Collection[str] | None = None) -> list[Standing]:
    """Every model at every target, what needs somebody first.

    :param environment: only there; everywhere if omitted
    :param models: only these; all of the ledger if omitted
    """
    if models is None:
        models = {model_in(entry.subject_name) for entry in bench.walked.entries()} - {""}
    found = []
    for name in sorted(models):
        known = dict.fromkeys(item.environment for item in bench.history(name))
        found += bench.standings(name, [one for one in known if environment in (None, one)])
    return sorted(found, key=lambda one: (STATES.index(one.state), one.model.name, one.target, one.environment))


def said(bench: Bench, found: Iterable[Standing]) -> dict[str, Any]:
    """As JSON."""
    rows = list(found)
    return {
        "form": FORM,
        "made_at": bench.now.isoformat(),
        "policy": bench.policy.descriptor() if bench.policy else None,
        "ledger": bench.walked.head.mark,
        "counts": Counter(one.state for one in rows),
        "models": [_row(bench, one) for one in rows],
    }


def _row(bench: Bench, one: Standing) -> dict[str, Any]:
    return {
        "model": one.model.name,
        "version": one.model.version,
        "sha256": one.model.digest,
        "environment": one.environment,
        "target": one.target,
        "role": one.role,
        "state": one.state,
        "owners": _owners(bench, one),
        "reasons": [{"code": code, "message": message} for code, message in one.reasons],
        "gates": [
            {
                "gate": cell.gate,
                "outcome": str(cell.outcome) if cell.outcome else None,
                "ledger": cell.seq,
                "stale_at": cell.stale_at.isoformat() if cell.stale_at else None,
            }
            for cell in one.cells
        ],
        "exceptions": [
            {"kind": item.kind, "what": item.what, "until": item.ends.isoformat(), "people": list(item.people)}
            for item in one.exemptions
        ],
        "obligations": [item.as_dict() for item in one.obligations],
        "incidents": [
            {"code": item.statement.code, "message": item.statement.message, "ledger": item.reference}
            for item in one.incidents
        ],
    }


def page_of_fleet(bench: Bench, found: Iterable[Standing], *, whole: bool = True) -> Page:
    """The page.

    :param whole: False where there are models that the reader may not read
    """
    rows = list(found)
    counted, head = Counter(one.state for one in rows), bench.walked.head
    counts = tuple((_LOOKS[state], NEEDS[state], counted[state]) for state in STATES if counted[state])
    urgent = [one for one in rows if one.state in ("deny", "overdue")]
    policy = bench.policy
    facts = (
        ("Made", f"{bench.now:%Y-%m-%d %H:%M} UTC"),
        ("Policy", f"{policy.path.name}, sha256:{policy.digest}" if policy else "none: nothing has a verdict"),
        ("Ledger", f"{head.size} entries, every link of the chain verified; head {head.head}"),
    )
    need = f"{len(urgent)} of {len(rows)} rows need somebody" if urgent else "nothing needs anybody"
    parts = (
        Part("Every model at every target", (), (_board(rows, bench),)),
        _exceptions(rows, bench),
        _obligations(rows),
        _incidents(rows),
    )
    notice = "Each row is what the board shows and what mlgov verify would answer, under the policy in force today."
    title = "Every governed model" if whole else "The governed models that you may read"
    return Page("Fleet", title, need, not urgent, facts, (notice,), counts, parts)


def _name(one: Standing) -> tuple[str, ...]:
    return (
        f"{one.model.name} version {one.model.version}",
        f"{one.target or 'no target'}, {one.environment}",
        f"sha256:{one.model.digest[:12]}",
    )


def _owners(bench: Bench, one: Standing) -> list[str]:
    policy = bench.policy
    return list(policy.models[one.model.name].owners) if policy and one.model.name in policy.models else []


def _board(rows: list[Standing], bench: Bench) -> Grid:
    cells = tuple(
        (
            _name(one),
            NEEDS[one.state],
            _why(one, bench.now) or "no gate required",
            tuple(_owners(bench, one)) or "nobody is named",
        )
        for one in rows
    )
    return Grid(("model", "stands", "why, and its gates", "owners"), cells, states=tuple(_LOOKS[o.state] for o in rows))


def _why(one: Standing, now: datetime) -> tuple[str, ...]:
    against = [f"{code}: {message}" for code, message in one.reasons]
    against += [f"incident {item.statement.code}: {item.statement.message}" for item in one.incidents]
    excepted = [f"{item.kind}: {item.what} until {item.ends:%Y-%m-%d}" for item in one.exemptions if item.ends > now]
    return (*against, *(_gate(cell, now) for cell in one.cells), *excepted)


def _gate(cell: Cell, now: datetime) -> str:
    if cell.outcome is None or cell.stale_at is None:
        return f"{cell.gate}: no result counts"
    how = "stale since" if cell.stale_at <= now else "fresh until"
    return f"{cell.gate}: {cell.outcome}, {how} {cell.stale_at:%Y-%m-%d} [ledger:{cell.seq}]"


def _exceptions(rows: list[Standing], bench: Bench) -> Part:
    cells = tuple(
        sorted(
            (f"{item.ends:%Y-%m-%d}", _name(one)[0], f"{item.kind}: {item.what}", item.reason, ", ".join(item.people))
            for one in rows
            for item in one.exemptions
            if item.ends > bench.now
        )
    )
    return _part("Exceptions in force", ("until", "model", "what", "reason", "signed by"), cells)


def _obligations(rows: list[Standing]) -> Part:
    found = [(item.due, str(item.state), str(item)) for one in rows for item in one.obligations if item.state != "met"]
    cells = tuple((f"{due:%Y-%m-%d}", state, what) for due, state, what in sorted(found))
    return _part("Audits that are owed", ("due", "state", "what"), cells)


def _incidents(rows: list[Standing]) -> Part:
    found = {
        item.reference: (
            f"{item.issued_at:%Y-%m-%d}",
            _name(one)[0],
            f"{item.statement.code}: {item.statement.message}",
            item.reference,
        )
        for one in rows
        for item in one.incidents
    }  # fmt: skip
    return _part("Open incidents", ("since", "model", "what", "ledger"), tuple(found.values()))


def _part(title: str, head: tuple[str, ...], cells: tuple[tuple[str, ...], ...]) -> Part:
    return Part(title, (), (Grid(head, cells),)) if cells else Part(title, ("None.",))
