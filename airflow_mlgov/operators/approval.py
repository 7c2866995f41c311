"""The approval gate: people approve, in Airflow's own Required Actions page, the evidence that they were shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_mlgov.configuration import board_page
from airflow_mlgov.operators.base import final
from airflow_mlgov.operators.form import Form, FormOperator, PersonsAnswer, owners_of
from airflow_mlgov.results import Bound
from airflow_mlgov.words import line, markdown

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_mlgov.evidence.statements import ApprovalStatement, GateStatement
    from airflow_mlgov.evidence.verification import Evidence
    from airflow_mlgov.release.case import Case
    from airflow_mlgov.results import Check


class ApprovalGateOperator(FormOperator):
    """Ask the people whom the policy names, and go on when enough of them have approved.

    Rejecting fails the task. A reason is required. The trainer and the requester are refused where the policy says
    so.

    :param model: the version to approve
    :param target: the target that it is approved for
    :param response_timeout: after this the task fails and the owners are told; it never approves
    :param mlflow_conn_id: connection to the model registry; ``[mlgov] mlflow_conn_id`` if omitted
    """

    duty = "approval"

    def result(self, case: Case, _: Context) -> dict[str, Any] | None:
        """The approvals, once the decision is to allow."""
        from airflow_mlgov.evidence.statements import ApprovalStatement
        from airflow_mlgov.evidence.verification import only

        missing = [reason for reason in case.decision.reasons if not reason[0].startswith("approval.")]
        if missing:
            why = [f"  - {code}: {message}" for code, message in missing]
            raise final(f"there is nothing to approve: {case.model} would be refused anyway", *why)
        if not case.decision.allowed:
            for code, message in case.decision.reasons:
                self.log.warning("%s", line(f"{code}: {message}"))
            return None
        approvals = only(case.decision.relied_on, ApprovalStatement)
        return {
            "model": f"models:/{case.model.name}/{case.model.version}",
            "target": self.target,
            "approvals": [{"by": item.statement.approver.name, "evidence": item.reference} for item in approvals],
        }

    def form(self, case: Case, _: Context) -> Form:
        """The evidence, bound by model, target, policy and envelopes."""
        return Form(
            f"Approve {case.model.name} version {case.model.version} for {case.goal.name}?",
            f"{render_case(case)}\n[The story of this version]({story_of(case)})\n",
            shown_digest(case),
            case.goal.approvers,
        )

    def sign(self, case: Case, answer: PersonsAnswer, context: Context) -> bool:
        """Sign the approval or the rejection, with what was shown and every answer before it."""
        from airflow_mlgov.evidence.statements import ApprovalStatement

        desk = self.governance.desk(context)
        statement = ApprovalStatement(
            case.model,
            desk.context,
            target=self.target,
            approver=answer.who,
            approved=answer.approved,
            reason=answer.reason,
            shown=case.decision.needed,
            answered_at=answer.at,
            requesters=tuple(case.decision.input["request"]["requesters"]),
            earlier=tuple(item.sha256 for item in answers_to(case)),
        )
        entry = desk.attest(statement)
        self.log.info("%s", line(f"{statement.answer} by {answer.who.name} ({entry.reference})"))
        return not answer.approved and case.goal.lets(answer.who, case.goal.approvers)

    def announce(self, case: Case, context: Context) -> None:
        """Tell the owners that an approval is wanted, with the numbers and the page."""
        from airflow_mlgov.notifications import approval_page, notify
        from airflow_mlgov.notifications.words import render_approval_wanted

        owners = owners_of(self, case)
        checks = [
            f"{item.statement.gate} {check.name} = {check.observed} ({check.outcome})"
            for item in gates_shown(case)
            for check in item.statement.result.checks
            if check.severity == "critical"
        ]
        subject, body = render_approval_wanted(
            str(case.model),
            case.goal.name,
            owners=owners,
            approvers=sorted(case.goal.approvers),
            needed=case.goal.approvals,
            checks=checks,
            link=approval_page(context),
        )
        notify("approval_wanted", subject, body, owners=owners, context=context)


def story_of(case: Case) -> str:
    """The board's page about a version and a target."""
    environment = case.decision.input["request"]["environment"]
    return board_page(
        "story",
        model=case.model.name,
        version=case.model.version,
        environment=environment,
        target=case.goal.name,
    )


def shown_digest(case: Case) -> str:
    """Binds a form to the model, the target, the policy with its rules, and the evidence that was shown."""
    from airflow_mlgov.evidence.digests import hash_json

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
        f"{target.approvals} approval(s) needed, from {', '.join(map(markdown, sorted(target.approvers)))}. Policy and "
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
    from airflow_mlgov.evidence.statements import GateStatement
    from airflow_mlgov.evidence.verification import only

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
    from airflow_mlgov.evidence.statements import GateStatement
    from airflow_mlgov.evidence.verification import only

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
    from airflow_mlgov.evidence.statements import WaiverStatement
    from airflow_mlgov.evidence.verification import only

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
    from airflow_mlgov.evidence.statements import ApprovalStatement
    from airflow_mlgov.evidence.verification import only

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
