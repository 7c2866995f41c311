"""Approvals: what an approver is shown, what an answer is bound to, and the signature under it; the same in Airflow's
form and in a shell. The rules of promotion judge which answer counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
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
from airflow_mlgov.gates.shown import Champion, champion_of, in_order, judged_on, selection_rates
from airflow_mlgov.measured import allowed, demand, interval, number, observed
from airflow_mlgov.release.case import Case
from airflow_mlgov.release.desk import Desk
from airflow_mlgov.results import Check, GateResult, Outcome
from airflow_mlgov.words import markdown

if TYPE_CHECKING:
    from airflow_mlgov.evidence.chain import Entry


_ONE_ANSWER = timedelta(hours=1)


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


def said_already(
    case: Case, who: Person, *, approved: bool, at: datetime, roles: Collection[str], counts: bool
) -> Evidence | None:
    """What the same account has answered within the hour on the same evidence, to the same people, so that an answer in
    a loop is signed once; None if this one says something new.

    :param roles: what Airflow says that the person is, of what the policy goes by
    :param counts: whether the answer may decide something: then it repeats only that person's last word
    """
    asked = tuple(case.decision.input["request"]["requesters"])
    now = (who, approved, tuple(case.decision.needed), asked, tuple(sorted(roles)))
    mine = [item for item in answers_to(case) if item.statement.approver.identity == who.identity]
    for item in mine[-1:] if counts else mine:
        said = item.statement
        then = (said.approver, said.approved, tuple(said.shown), tuple(said.requesters), tuple(said.roles))
        if then == now and at - said.answered_at < _ONE_ANSWER:
            return item
    return None


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


def render_case(case: Case, *, deadline: str = "", links: Mapping[str, str] | None = None) -> str:
    """The Markdown that an approver reads: the model, what it replaces and was made from, every check with its value,
    its bound and the data it was judged on, how often the same data has been tried, every waiver and earlier answer.

    :param deadline: until when an answer is waited for, in words
    :param links: what to call it -> where more is to be read
    """
    model, target, decision = case.model, case.goal, case.decision
    places = " and ".join(
        f"{word} {markdown(name)}" for word, name in (("stage", target.stage), ("alias", target.alias)) if name
    )
    champion = decision.input["request"]["champion"]
    wanted = f"{target.approvals} approval(s) needed, from {', '.join(map(markdown, target.who_approves))}."
    lines = [
        f"**{markdown(model.name)}** version **{markdown(model.version)}** to **{markdown(target.name)}** ({places}), "
        + (f"in place of version **{markdown(champion)}**" if champion else "where nothing is yet"),
        "",
        f"Artifact `sha256:{model.digest}`",
        "",
        f"{wanted}{f' Answer by **{markdown(deadline)}**.' if deadline else ''} Policy and rules "
        f"`sha256:{decision.bundle_digest[:16]}`",
        "",
        *_origin_lines(case),
        *([" · ".join(f"[{name}]({where})" for name, where in links.items()), ""] if links else []),
        *_waiver_lines(case),
        *_answer_lines(case),
    ]
    for item in sorted(gates_shown(case), key=lambda item: item.statement.verdict is Outcome.PASS):
        lines += _gate_lines(case, item)
    return "\n".join(lines)


def _origin_lines(case: Case) -> list[str]:
    """Who has trained the model, on what, and who asks for the promotion."""
    made = only(case.dossier.good, ProvenanceStatement)
    asked = case.decision.input["request"]["requesters"]
    lines = [f"- Asked for by {', '.join(map(markdown, asked)) or 'nobody: a scheduled run'}"]
    if made:
        said = made[-1].statement
        parts = [f"{markdown(part.name)} (`sha256:{part.digest[:12]}`)" for part in said.parts]
        trainers = ", ".join(map(markdown, said.trainers)) or "nobody who is named"
        lines.append(f"- Trained by {trainers} on {', '.join(parts) or 'nothing that is named'}")
    return [*lines, ""]


def gates_shown(case: Case) -> list[Evidence[GateStatement]]:
    """What the gates say that the decision rests on: what an approver is shown."""
    return [item for item in only(case.decision.relied_on, GateStatement) if item.sha256 in case.decision.needed]


def _gate_lines(case: Case, item: Evidence[GateStatement]) -> list[str]:
    tries = {tried["gate"]: tried for tried in case.decision.input["tries"]}
    result, champion = item.statement.result, _champion(case, item.statement)
    data, (bounded, recorded) = judged_on(result), in_order(result.checks)
    lines = [f"### {markdown(item.gate)}: {item.statement.verdict} ({item.reference})", ""]
    if data is not None:
        rows = "" if data.rows is None else f", {data.rows:,} rows"
        lines += [f"Judged on {markdown(data.name)}{rows}, `sha256:{data.digest}`", ""]
    if item.gate in tries:
        lines += [_tries_sentence(tries[item.gate]), ""]
    holder = case.decision.input["request"]["champion"]
    head = f"version {markdown(holder)}, same rows" if champion.same else ""
    columns = ["check", "measured", *([head] if head else []), "allowed", "outcome"]
    lines += [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for check in bounded:
        weight = "" if check.severity == "critical" else f" ({check.severity})"
        same = [markdown(champion.same.get(check.name, ""))] if head else []
        name = markdown(check.name) + (f" {markdown(demand(check))}" if demand(check) else "")
        cells = (name, _measured(check), *same, markdown(allowed(check)), f"{check.outcome}{weight}")
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *_elsewhere_lines(holder, champion), *_rates_lines(result)]
    if recorded:
        values = ", ".join(f"{markdown(check.name)} {markdown(observed(check))}" for check in recorded)
        lines += [f"Recorded, held to no bound: {values}", ""]
    return lines


def _measured(check: Check) -> str:
    """The value, with its interval if it has one."""
    between = interval(check)
    return f"{markdown(observed(check))}{f' ({markdown(between)})' if between else ''}"


def _champion(case: Case, said: GateStatement) -> Champion:
    """What the gate has measured of the version that holds the target now."""
    holder, there = case.decision.input["request"]["champion"], case.timeline.environment
    theirs = [item.statement for item in only(case.dossier.history, GateStatement)]
    rivals = [item for item in theirs if item.subject.version == holder and item.context.environment == there]
    return champion_of(said, rivals if holder else ())


def _elsewhere_lines(holder: str | None, champion: Champion) -> list[str]:
    """What the champion has on other data, apart from the values: the two are not to be compared."""
    result = champion.elsewhere
    if result is None:
        return []
    data, (bounded, _) = judged_on(result), in_order(result.checks)
    values = ", ".join(f"{markdown(check.name)} {markdown(observed(check))}" for check in bounded)
    where = "data that is not named" if data is None else f"other data, {markdown(data)}"
    return [f"**Not to be compared**: version {markdown(holder)} was judged on {where}: {values}", ""]


def _rates_lines(result: GateResult) -> list[str]:
    lines = []
    for feature, groups in selection_rates(result).items():
        values = ", ".join(f"{markdown(group)} {rate}" for group, rate in groups.items())
        lines.append(f"- Selection rate by {markdown(feature)}: {values}")
    return [*lines, ""] if lines else []


def _waiver_lines(case: Case) -> list[str]:
    """Each waiver in force, and each rule that only warns: nothing of it looks passed."""
    terms = {item.statement.terms.sha256: item.statement.terms for item in only(case.dossier.good, WaiverStatement)}
    lines = []
    for use in case.decision.waived:
        said = terms[use["waiver"]]
        lines.append(
            f"- **Waived, not passed**: {markdown(use['check'])} of {markdown(use['gate'])} = "
            f"{number(use['observed'])}, until {markdown(said.expires)}, ticket {markdown(said.ticket)}, risk owner "
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
