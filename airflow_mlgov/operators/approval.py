"""The approval gate: people approve, in Airflow's own Required Actions page, the evidence that they were shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_mlgov.airflow_roles import role_source, roles_of, users_with
from airflow_mlgov.configuration import board_page
from airflow_mlgov.measured import sentence
from airflow_mlgov.operators.base import final
from airflow_mlgov.operators.form import Form, FormOperator, PersonsAnswer, names_of, owners_of
from airflow_mlgov.words import line

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_mlgov.release.case import Case


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
            if case.goal.roles:
                role_source()
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
        from airflow_mlgov.release.approvals import render_case, shown_digest

        return Form(
            f"Approve {case.model.name} version {case.model.version} for {case.goal.name}?",
            render_case(case, deadline=self.deadline, links=links_of(case)),
            shown_digest(case),
            case.goal.approvers | frozenset(users_with(case.goal.roles)),
        )

    def sign(self, case: Case, answer: PersonsAnswer, context: Context) -> str | None:
        """Sign the approval or the rejection, with what was shown and every answer before it."""
        from airflow_mlgov.release.approvals import said_already, sign_answer

        said = "approved" if answer.approved else "rejected"
        desk = self.governance.desk(context)
        roles = roles_of(answer.who) & case.goal.roles if case.goal.roles else frozenset()
        given: dict[str, Any] = {"approved": answer.approved, "at": answer.at, "roles": roles}
        counts = case.goal.lets_approve(answer.who, roles)
        before = said_already(case, answer.who, **given, counts=counts)
        entry = before or sign_answer(desk, case, answer.who, reason=answer.reason, **given)
        again = ", and not signed again" if before else ""
        self.log.info("%s", line(f"{said} by {answer.who.name} ({entry.reference}{again})"))
        return entry.reference if counts and not answer.approved else None

    def announce(self, case: Case, context: Context) -> None:
        """Tell those who may approve that an approval is wanted, with the numbers, the deadline and the page."""
        from airflow_mlgov.notifications import approval_page, notify
        from airflow_mlgov.notifications.words import render_approval_wanted
        from airflow_mlgov.release.approvals import gates_shown

        owners, contacts = owners_of(self, case), case.goal.contacts
        checks = [
            f"{item.statement.gate} {check.name} = {sentence(check)} ({check.outcome})"
            for item in gates_shown(case)
            for check in item.statement.result.checks
            if check.severity == "critical"
        ]
        subject, body = render_approval_wanted(
            str(case.model),
            case.goal.name,
            told=names_of(contacts, owners),
            approvers=case.goal.who_approves,
            needed=case.goal.approvals,
            checks=checks,
            link=approval_page(context),
            deadline=self.deadline,
        )
        given: dict[str, Any] = {"owners": owners, "approvers": contacts, "deadline": self.deadline}
        notify("approval_wanted", subject, body, context=context, **given)


def links_of(case: Case) -> dict[str, str]:
    """Where an approver reads more."""
    from airflow_mlgov.registry.protocol import page_of_version

    page = page_of_version(case.model.registry or "", case.model.name, str(case.model.version))
    return {"The story of this version": story_of(case), **({"The version in MLflow": page} if page else {})}


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
