"""Approvals: what an approver is shown, what an answer is bound to, and the signature under it; the same in Airflow's
form and in a shell. The rules of promotion judge which answer counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError, PromotionRefused
from airflow_mlgov.evidence.digests import hash_json
from airflow_mlgov.evidence.statements import (
    ApprovalStatement,
    GateStatement,
    Person,
    ProvenanceStatement,
    WaiverStatement,
    identity,
)
from airflow_mlgov.evidence.verification import Evidence, only
from airflow_mlgov.release.case import Case
from airflow_mlgov.release.desk import Desk
from airflow_mlgov.results import Bound, Check
from airflow_mlgov.words import markdown

if TYPE_CHECKING:
    from airflow_mlgov.evidence.chain import Entry


def sign_answer(
    desk: Desk, case: Case, who: Person, *, approved: bool, reason: str, at: datetime, roles: Collection[str] = ()
) -> Entry:
    """Sign one person's answer, with what was shown, who asks for the promotion, and every answer before it.

    :param roles: what Airflow says that the person is, of what the policy goes by
    """
    return desk.attest(
        ApprovalStatement(
            case.model,
            desk.context,
            target=case.goal.name,
            approver=who,
            approved=approved,
            reason=reason,
            shown=case.decision.needed,
            answered_at=at,
            requesters=tuple(case.decision.input["request"]["requesters"]),
            earlier=tuple(item.sha256 for item in answers_to(case)),
            roles=tuple(sorted(roles)),
        )
    )


def refuse_approver(case: Case, who: Person) -> None:
    """Refuse to sign an approval that would not count.

    :raises PromotionRefused: the version would be refused whoever approves it
    :raises ConfigurationError: the policy does not name this person, or says that who has trained the model or asks for
        its promotion may not approve it
    """
    missing = [reason for reason in case.decision.reasons if not reason[0].startswith("approval.")]
    if missing:
        raise PromotionRefused(f"there is nothing to approve: {case.model} would be refused anyway", missing)
    made = only(case.dossier.good, ProvenanceStatement)
    barred = {
        "trainer": ("has trained it", {identity(name) for item in made for name in item.statement.trainers}),
        "requester": ("asks for it", set(case.decision.input["request"]["requesters"])),
    }
    why = [said for role, (said, people) in barred.items() if role in case.goal.excluded and who.identity in people]
    if not case.goal.lets(who, case.goal.approvers):
        why = [f"is none of {', '.join(case.goal.who_approves) or 'nobody'}, whom the policy names"]
    if why:
        raise ConfigurationError(
            f"{who.name} may not approve {case.model} for {case.goal.name!r}: {who.name} {' and '.join(why)}",
            code="approval.not_this_person",
        )


def shown_digest(case: Case) -> str:
    """Binds a form to the model, the target, the policy with its rules, and the evidence that was shown."""
    decision = case.decision
    return hash_json([case.model.digest, case.goal.name, decision.bundle_digest, list(decision.needed)])


def render_case(case: Case) -> str:
    """The Markdown that an approver reads: the model, what it replaces, every check with its value and bound, how often
    the same data has been tried, and every waiver and earlier answer."""
    model, target, decision = case.model, case.goal, case.decision
    places = " and ".join(
        f"{word} {markdown(name)}" for word, name in (("stage", target.stage), ("alias", target.alias)) if name
    )
    champion = decision.input["request"]["champion"]
    lines = [
        f"**{markdown(model.name)}** version **{markdown(model.version)}** to **{markdown(target.name)}** ({places}), "
        + (f"in place of version **{markdown(champion)}**" if champion else "where nothing is yet"),
        "",
        f"Artifact `sha256:{model.digest}`",
        "",
        f"{target.approvals} approval(s) needed, from {', '.join(map(markdown, target.who_approves))}. Policy and "
        f"rules `sha256:{decision.bundle_digest[:16]}`",
        "",
        *_waiver_lines(case),
        *_answer_lines(case),
    ]
    for item in gates_shown(case):
        lines += _gate_lines(case, item)
    return "\n".join(lines)


def gates_shown(case: Case) -> list[Evidence[GateStatement]]:
    """What the gates say that the decision rests on: what an approver is shown."""
    return [item for item in only(case.decision.relied_on, GateStatement) if item.sha256 in case.decision.needed]


def _gate_lines(case: Case, item: Evidence[GateStatement]) -> list[str]:
    tries = {tried["gate"]: tried for tried in case.decision.input["tries"]}
    before = _champions_values(case, item.statement.gate)
    lines = [f"### {markdown(item.gate)}: {item.statement.verdict} ({item.reference})", ""]
    if item.gate in tries:
        lines += [_tries_sentence(tries[item.gate]), ""]
    lines += ["| check | observed | champion | bound | outcome |", "|---|---|---|---|---|"]
    for check in item.statement.result.checks:
        weight = "" if check.severity == "critical" else f" ({check.severity})"
        champion = before.get(check.name, "")
        cells = (markdown(check.name), _measured(check), champion, _held_to(check), f"{check.outcome}{weight}")
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _held_to(check: Check) -> str:
    if not isinstance(check.bound, Bound):
        return markdown(check.bound or "")
    ends = ((">=", check.bound.min), ("<=", check.bound.max))
    return " and ".join(f"{sign} {end:g}" for sign, end in ends if end is not None)


def _measured(check: Check) -> str:
    """The observed value, with its interval if it has one."""
    ends = check.values.get("interval") or {}
    low, high = ends.get("low"), ends.get("high")
    interval = "" if low is None or high is None else f" ({_number(low)} to {_number(high)})"
    return f"{_number(check.observed)}{interval}"


def _champions_values(case: Case, gate: str | None) -> dict[str, str]:
    """What the gate had measured of the version that holds the target now: its newest result, on its own data."""
    champion = case.decision.input["request"]["champion"]
    said = [item.statement for item in only(case.dossier.history, GateStatement) if item.gate == gate]
    judged = [
        item.result
        for item in said
        if item.subject.version == champion and item.context.environment == case.timeline.environment
    ]
    return {check.name: _measured(check) for check in judged[-1].checks} if judged else {}


def _waiver_lines(case: Case) -> list[str]:
    """Each waiver in force, and each rule that only warns: nothing of it looks passed."""
    terms = {item.statement.terms.sha256: item.statement.terms for item in only(case.dossier.good, WaiverStatement)}
    lines = []
    for use in case.decision.waived:
        said = terms[use["waiver"]]
        lines.append(
            f"- **Waived, not passed**: {markdown(use['check'])} of {markdown(use['gate'])} = "
            f"{_number(use['observed'])}, until {markdown(said.expires)}, ticket {markdown(said.ticket)}, risk owner "
            f"{markdown(said.risk_owner)}: {markdown(said.reason)}"
        )
    lines += [f"- **Only warns**: {markdown(code)}: {markdown(message)}" for code, message in case.decision.warned]
    return [*lines, ""] if lines else []


def answers_to(case: Case) -> list[Evidence[ApprovalStatement]]:
    """Every answer about this model and target so far; other models may have the same bytes."""
    return [
        item
        for item in only(case.dossier.history, ApprovalStatement)
        if item.digest == case.model.digest
        and item.statement.target == case.goal.name
        and item.environment == case.timeline.environment
    ]


def _answer_lines(case: Case) -> list[str]:
    """Every answer so far, also those before a task was cleared."""
    lines = [
        f"- {item.statement.answer} by {markdown(item.statement.approver.name)} at "
        f"{item.statement.answered_at.isoformat()[:16]} ({item.reference}): {markdown(item.statement.reason)}"
        for item in answers_to(case)
    ]
    return ["Answers so far:", "", *lines, ""] if lines else []


def _tries_sentence(tried: Mapping[str, Any]) -> str:
    models, datasets = tried["models"], tried["datasets"]
    if models == datasets == 1:
        return "First model to be judged on this evaluation data."
    return (
        f"Tries so far: {models} model(s) were judged on this evaluation data ({tried['runs']} results), and this "
        f"model on {datasets} different evaluation data. The more tries, the less a pass says."
    )


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value) if isinstance(value, int) else markdown(value)
