"""What the ledger has to say where a control names a kind of evidence: present and fresh, stale, missing, waived until
a day, or present and against. Takes the outcome of gates from the judgement that promotes and that the board shows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from airflow_mlgov import catalogue
from airflow_mlgov.board.judging import Cell, Exemption
from airflow_mlgov.evidence.statements import (
    ApprovalStatement,
    AuditStatement,
    DecisionStatement,
    GateStatement,
    IncidentStatement,
    PromotionStatement,
    ProvenanceStatement,
)
from airflow_mlgov.evidence.verification import Evidence, is_fresh, only
from airflow_mlgov.governance.judgement import WHAT_IF
from airflow_mlgov.reports.frameworks import EVENTS
from airflow_mlgov.reports.matter import Matter
from airflow_mlgov.results import WORST_FIRST, Check, Outcome


class State(StrEnum):
    """How it stands with a piece of evidence, or with a control; the worst first."""

    AGAINST = "present, and speaks against"
    MISSING = "missing"
    STALE = "stale"
    PART = "present in part"
    WAIVED = "waived"
    PEOPLE = "for people to say"
    SAID = "said by the organisation"
    NOTHING = "nothing of the kind has happened"
    FRESH = "present and fresh"

    @property
    def word(self) -> str:
        """For machines."""
        return self.name.lower()

    @property
    def is_gap(self) -> bool:
        """Whether somebody has to look."""
        return self in (State.AGAINST, State.MISSING, State.STALE, State.PART, State.WAIVED)


ORDER = tuple(State)


@dataclass(frozen=True)
class Finding:
    """What there is of one piece of evidence that a control names."""

    token: str
    """As the framework names it; the pack, of several rules of one pack."""
    state: State
    text: str
    until: datetime | None = None
    """Until when it is fresh or waived, or since when it is stale."""
    references: tuple[str, ...] = ()
    """Where it stands in the ledger."""

    @property
    def sentence(self) -> str:
        """For people: how it stands until when, what it says, and where."""
        until = {State.STALE: "since", State.FRESH: "until", State.WAIVED: "until"}.get(self.state)
        when = f" {until} {self.until:%Y-%m-%d}" if self.until and until else ""
        where = f" [{', '.join(self.references)}]" if self.references else ""
        return f"{self.state}{when}: {self.text}{where}"

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "evidence": self.token,
            "state": self.state.word,
            "says": self.text,
            "until": self.until.isoformat() if self.until else None,
            "ledger": list(self.references),
        }


class Speaker:
    """Asked for evidence by its token, about one version."""

    def __init__(self, matter: Matter) -> None:
        self._matter, self._now = matter, matter.bench.now
        self._cells = {cell.gate: cell for cell in matter.standing.cells}
        policy, name = matter.bench.policy, matter.model.name
        self._max_age = policy.models[name].max_age if policy and name in policy.models else None

    def findings(self, tokens: Sequence[str]) -> tuple[Finding, ...]:
        """One for each piece of evidence, and one for each pack of rules; the worst first."""
        found, packs = [], dict[str, list[str]]()
        for token in tokens:
            kind, _, name = token.partition(":")
            if kind == "rule":
                pack, _, code = name.partition("/")
                packs.setdefault(pack, []).append(code)
            elif kind == "gate":
                found.append(self._gate(token, name))
            elif name in EVENTS:
                found.append(self._event(token, name))
            else:
                found.append(self._statement(token, name))
        found += [self._rules(pack, codes) for pack, codes in packs.items()]
        return tuple(sorted(found, key=lambda item: ORDER.index(item.state)))

    # -- gates --------------------------------------------------------------------------------------------------------

    def _gate(self, token: str, gate: str) -> Finding:
        results = [item for item in only(self._matter.mine, GateStatement) if item.statement.gate == gate]
        counted = [item for item in results if _counts(item)]
        cell = self._cells.get(gate)
        if cell is not None:
            return self._required(token, cell, {item.seq: item for item in results})
        if not counted:
            why = f"no result of the gate {gate}, and the policy does not require it for {self._goal}"
            return Finding(token, State.MISSING, why)
        newest = {one.digest: one for one in counted}  # of each data set, for a gate over data
        item = min(newest.values(), key=lambda one: (WORST_FIRST.index(one.statement.verdict), one.issued_at))
        ends = min(item.issued_at + self._max_age, item.expires_at) if self._max_age else item.expires_at
        said = f"gate {gate}: {item.statement.verdict} as it was signed; the policy does not require it"
        if item.statement.verdict is not Outcome.PASS:
            return Finding(token, State.AGAINST, said, ends, (item.reference,))
        return self._of_all(self._aged(token, said, ends, item), gate, newest)

    def _of_all(self, finding: Finding, gate: str, judged: Collection[str]) -> Finding:
        """A pass of a gate over data is in part where it has not judged all that the version was made from.

        :param judged: SHA-256 of what it has judged
        """
        known = catalogue.load(gate) if gate in catalogue.names() else None
        if known is None or known.about != "dataset" or finding.state is not State.FRESH:
            return finding
        made = only(self._matter.mine, ProvenanceStatement)
        parts = [part for item in made for part in getattr(item.statement, known.listed_as)]
        rest = sorted({part.name for part in parts if part.digest not in judged})
        if not rest:
            return finding
        return replace(finding, state=State.PART, text=f"{finding.text}; it has not judged {', '.join(rest)}")

    def _required(self, token: str, cell: Cell, results: dict[int, Evidence[GateStatement]]) -> Finding:
        if cell.outcome is None or cell.seq is None:
            return Finding(
                token, State.MISSING, f"no result of the gate {cell.gate} counts, and the policy requires it"
            )
        item = results.get(cell.seq)
        references = (item.reference,) if item else (f"ledger:{cell.seq}",)
        tries = f", {cell.tries} tries on the same data" if cell.tries > 1 else ""
        said = f"gate {cell.gate}: {cell.outcome} under the policy in force{tries}"
        if cell.stale_at is not None and cell.stale_at <= self._now:
            return Finding(token, State.STALE, said, cell.stale_at, references)
        if cell.outcome is Outcome.PASS:
            fresh = Finding(token, State.FRESH, said, cell.stale_at, references)
            return self._of_all(fresh, cell.gate, {one.digest for one in results.values() if _counts(one)})
        waivers = self._waivers(cell.gate, item)
        if waivers:
            what = "; ".join(f"{one.what}, ticket {one.ticket}, signed by {', '.join(one.people)}" for one in waivers)
            ends = min(one.ends for one in waivers)
            return Finding(token, State.WAIVED, f"{said}; waived, not passed: {what}", ends, references)
        failed = [check.name for check in item.statement.result.failed if check.severity == "critical"] if item else []
        more = f": {', '.join(failed[:5])}" if failed else ""
        return Finding(token, State.AGAINST, said + more, cell.stale_at, references)

    def _waivers(self, gate: str, item: Evidence[GateStatement] | None) -> list[Exemption]:
        """The waivers in force, if they are of every check of the gate that fails, and the version is let stand with
        them; whether they cover it is what the decision says."""
        running = [
            one
            for one in self._matter.standing.exemptions
            if one.kind == "waiver" and one.ends > self._now and one.what.endswith(f" of {gate}")
        ]
        failed = {check.name for check in item.statement.result.failed if check.severity == "critical"} if item else ()
        named = {one.what.removesuffix(f" of {gate}") for one in running}
        against = any(
            code in ("gate.not_passed", "gate.failed_since") and f"gate {gate} " in message
            for code, message in self._matter.standing.reasons
        )
        return running if failed and set(failed) <= named and not against else []

    def _rules(self, pack: str, codes: Sequence[str]) -> Finding:
        """What the policy gate's newest results found by these rules."""
        token, found = f"rules of {pack}: {', '.join(codes)}", dict[str, tuple[Evidence[GateStatement], list[Check]]]()
        for item in only(self._matter.mine, GateStatement):
            if item.statement.gate != _OF_RULES:
                continue  # a check may say anything of itself; the policy gate's key alone speaks for packs
            by: dict[str, list[Check]] = {}
            for check in item.statement.result.checks:
                if check.values.get("pack") == pack and check.values.get("code") in codes:
                    by.setdefault(str(check.values["code"]), []).append(check)
            found |= {code: (item, checks) for code, checks in by.items() if _counts(item) or _any_found(checks)}
        if not found:
            return Finding(
                token, State.MISSING, f"no result of the policy gate has asked {pack} for {', '.join(codes)}"
            )
        references = tuple(dict.fromkeys(item.reference for item, _ in found.values()))
        ends = min(
            min(item.issued_at + self._max_age, item.expires_at) if self._max_age else item.expires_at
            for item, _ in found.values()
        )
        bad = [code for code, (_, checks) in found.items() if _any_found(checks)]
        if bad:
            return Finding(token, State.AGAINST, f"{pack}: found by {', '.join(bad)}", ends, references)
        if ends <= self._now:
            return Finding(token, State.STALE, f"{pack}: {len(found)} rules asked, nothing found", ends, references)
        if len(found) < len(codes):
            absent = ", ".join(code for code in codes if code not in found)
            return Finding(
                token,
                State.PART,
                f"{pack}: {len(found)} rules asked, nothing found; not asked: {absent}",
                ends,
                references,
            )
        return Finding(token, State.FRESH, f"{pack}: {len(found)} rules asked, nothing found", ends, references)

    # -- other statements ---------------------------------------------------------------------------------------------

    def _statement(self, token: str, kind: str) -> Finding:
        if kind == "checkpoint":
            return self._checkpoint(token)
        if kind == "audit":
            return self._audit(token)
        if kind == "approval":
            return self._approval(token)
        items: Sequence[Evidence] = [item for item in self._matter.mine if item.kind == kind]
        if kind == "policy":
            items = self._matter.policies
        if kind in ("decision", "promotion"):
            items = [item for item in items if getattr(item.statement, "target", None) == self._matter.standing.target]
        if not items:
            return Finding(token, State.MISSING, f"no {kind} about this version is on record{self._unsaid(kind)}")
        item = items[-1]
        said = _told(item)
        refused = isinstance(item.statement, DecisionStatement) and not item.statement.allowed
        if refused or (isinstance(item.statement, GateStatement) and item.statement.verdict is not Outcome.PASS):
            return Finding(token, State.AGAINST, said, None, (item.reference,))
        return self._aged(token, said, item.expires_at, item) if not _is_kept(kind) else self._kept(token, said, item)

    def _approval(self, token: str) -> Finding:
        """Of answers for this target, the newest of each person."""
        newest: dict[str, Evidence[ApprovalStatement]] = {}
        for item in only(self._matter.mine, ApprovalStatement):
            if item.statement.target == self._matter.standing.target:
                newest[item.statement.approver.identity] = item
        if not newest:
            return Finding(token, State.MISSING, f"nobody has answered for {self._goal}")
        answers = [*newest.values()]
        references = tuple(item.reference for item in answers)
        said = "; ".join(
            f"{item.statement.answer} by {item.statement.approver.name} on {item.statement.answered_at:%Y-%m-%d}, "
            f"who was shown {len(item.statement.shown)} pieces of evidence"
            for item in answers
        )
        if any(not item.statement.approved for item in answers):
            return Finding(token, State.AGAINST, said, None, references)
        codes = {code for code, _ in self._matter.standing.reasons if code.startswith("approval.")}
        if codes:
            return Finding(token, State.PART, f"{said}; the decision says {', '.join(sorted(codes))}", None, references)
        ends = min(item.expires_at for item in answers)
        if ends <= self._now and self._matter.standing.since:  # it was promoted on them; that does not age
            return Finding(token, State.FRESH, said, None, references)
        return Finding(token, State.FRESH if ends > self._now else State.STALE, said, ends, references)

    def _audit(self, token: str) -> Finding:
        """Audits after deployment, and those that are owed."""
        broken = [item for item in self._matter.standing.obligations if item.state.violated]
        audits = [
            item
            for item in only(self._matter.mine, AuditStatement)
            if item.statement.target == self._matter.standing.target
        ]
        references = tuple(item.reference for item in audits[-3:])
        if broken:
            return Finding(token, State.AGAINST, "; ".join(map(str, broken)), min(o.due for o in broken), references)
        if not audits:
            owed = [item for item in self._matter.standing.obligations if item.state != "met"]
            due = min((item.due for item in owed), default=None)
            said = (
                f"no audit after deployment yet; one is owed until {due:%Y-%m-%d}"
                if due
                else "no audit after deployment is on record"
            )
            return Finding(token, State.MISSING, said, due)
        newest = _newest_of_each_gate(audits)
        bad = {gate: outcome for gate, (_, outcome) in newest.items() if outcome is not Outcome.PASS}
        if bad:
            failed = ", ".join(f"{outcome} of the gate {gate}" if gate else outcome for gate, outcome in bad.items())
            where = tuple(dict.fromkeys(newest[gate][0].reference for gate in bad))
            return Finding(token, State.AGAINST, f"the newest audit is {failed}", None, where)
        item = min((item for item, _ in newest.values()), key=lambda item: item.expires_at)
        return self._aged(token, f"the newest audit is {Outcome.PASS}", item.expires_at, item)

    def _checkpoint(self, token: str) -> Finding:
        marks, size = self._matter.checkpoints, self._matter.bench.walked.head.size
        if not marks:
            why = f"no signed checkpoint was held against the ledger's {size} entries: pass --checkpoint"
            return Finding(token, State.MISSING, why)
        newest = max(marks, key=lambda mark: mark.size)
        return Finding(token, State.FRESH, f"the ledger of {size} entries holds what the one of {newest.size} says")

    def _event(self, token: str, kind: str) -> Finding:
        """What need not have happened; an open incident speaks against."""
        size = self._matter.bench.walked.head.size
        if kind == "incident" and self._matter.standing.incidents:
            items = self._matter.standing.incidents
            said = "; ".join(f"{item.statement.code}: {item.statement.message}" for item in items)
            return Finding(token, State.AGAINST, f"open: {said}", None, tuple(item.reference for item in items))
        found = [item for item in self._happened() if _event_kind(item) == kind]
        if not found:
            return Finding(token, State.NOTHING, f"no {kind} in the ledger's {size} entries")
        running = [one for one in self._matter.standing.exemptions if one.ends > self._now and _runs(one, kind)]
        references = tuple(item.reference for item in found[-5:])
        if running:
            what = "; ".join(f"{one.what}: {one.reason}" for one in running)
            return Finding(token, State.WAIVED, what, min(one.ends for one in running), references)
        return Finding(token, State.FRESH, f"{len(found)} on record, none in force or open", None, references)

    def _happened(self) -> Iterable[Evidence]:
        """Of this version; incidents and rollbacks of any version at the target."""
        at = (self._matter.standing.environment, self._matter.standing.target)
        for item in self._matter.dossier.history:
            said = item.statement
            is_move = isinstance(said, IncidentStatement | PromotionStatement)
            if is_move and (item.environment, getattr(said, "target", "") or at[1]) == at:
                yield item
        yield from (item for item in self._matter.mine if item.kind in ("waiver", "emergency"))

    # -- shared -------------------------------------------------------------------------------------------------------

    @property
    def _goal(self) -> str:
        return f"the target {self._matter.standing.target!r}"

    def _unsaid(self, kind: str) -> str:
        return " (mlgov report --sign signs one)" if kind == "report" else ""

    def _aged(self, token: str, said: str, ends: datetime, item: Evidence) -> Finding:
        fresh = ends > self._now and is_fresh(item, self._now)
        return Finding(token, State.FRESH if fresh else State.STALE, said, ends, (item.reference,))

    def _kept(self, token: str, said: str, item: Evidence) -> Finding:
        """A record of what was done, which does not age."""
        return Finding(token, State.FRESH, said, None, (item.reference,))


_OF_RULES = "policy"
"""The gate that asks packs of rules."""


def _counts(item: Evidence[GateStatement]) -> bool:
    """Whether it was no what-if: one that finds nothing says nothing."""
    return item.statement.purpose != WHAT_IF


def _any_found(checks: Iterable[Check]) -> bool:
    return any(check.outcome is not Outcome.PASS for check in checks)


def _newest_of_each_gate(
    audits: Iterable[Evidence[AuditStatement]],
) -> dict[str, tuple[Evidence[AuditStatement], Outcome]]:
    """A pass of one gate on live data is none of another that fails there. What an audit that passed has within a
    waiver is no failure."""
    found = {}
    for item in audits:
        said = item.statement
        for gate, verdict in [(one.gate, one.verdict) for one in said.results] or [("", said.verdict)]:
            found[gate] = item, Outcome.PASS if said.verdict is Outcome.PASS else verdict
    return found


def worst(states: Iterable[State]) -> State:
    """The state of what consists of several pieces: in part where some are there and some are not."""
    found = set(states)
    if State.AGAINST in found or not found:
        return State.AGAINST if found else State.PEOPLE
    there = found & {State.FRESH, State.WAIVED, State.PART}
    if State.MISSING in found and there:
        return State.PART
    return next(state for state in ORDER if state in found)


def _is_kept(kind: str) -> bool:
    return kind in ("provenance", "decision", "promotion", "policy", "intent", "report")


def _event_kind(item: Evidence) -> str:
    if isinstance(item.statement, PromotionStatement):
        return item.statement.action
    return item.kind


def _runs(one: Exemption, kind: str) -> bool:
    return one.kind == {"waiver": "waiver", "emergency": "break-glass"}.get(kind)


def _told(item: Evidence) -> str:
    """One record, in words."""
    from airflow_mlgov.board.story import told

    text, outcome = told(item)
    day = f"{item.issued_at:%Y-%m-%d}"
    return f"{item.kind} of {day}{f', {outcome}' if outcome else ''}{f': {text}' if text else ''}"
