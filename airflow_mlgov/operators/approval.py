"""The approval gate: people approve, in Airflow's own Required Actions page, the evidence that they were shown.

Every answer is signed at once. No time-out and no default ever approves; the ledger, not this task, remembers who
has answered, so clearing the task forgets nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, conf
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param

from airflow_mlgov.operators.base import ModelRef, task_errors
from airflow_mlgov.settings import Governance, requester

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_mlgov.governance.decision import Decision
    from airflow_mlgov.governance.policy import Target
    from airflow_mlgov.results import Subject


@dataclass(frozen=True)
class _Case:
    """What stands to be approved, computed fresh from registry and ledger."""

    model: Subject
    target: Target
    decision: Decision

    @property
    def missing(self) -> list[tuple[str, str]]:
        """Reasons to deny that no approval can mend."""
        return [reason for reason in self.decision.reasons if not reason[0].startswith("approval.")]

    @property
    def digest(self) -> str:
        """Binds the form to the model, the target, the policy and the evidence that was shown."""
        from airflow_mlgov.evidence.digests import hash_json

        policy = self.decision.input["policy"]["sha256"]
        return hash_json([self.model.digest, self.target.name, policy, list(self.decision.needed)])


class ApprovalGateOperator(ApprovalOperator):  # type: ignore[misc]  # Airflow hands it over untyped
    """Ask the people whom the policy names, and go on when enough of them have approved.

    Rejecting fails the task. A reason is required. The trainer and the requester are refused where the policy says
    so. Give it ``retries=1``: an answer within a second of asking can make Airflow fail the try, and the next asks
    again.

    :param model: the version to approve
    :param target: the target that it is approved for
    :param response_timeout: after this the task fails; it never approves
    :param mlflow_conn_id: connection to the model registry; ``[mlgov] mlflow_conn_id`` where None
    """

    template_fields: Sequence[str] = ("model", "target", "subject", "body")
    ui_color = "#fff2cc"

    def __init__(
        self,
        *,
        model: ModelRef,
        target: str,
        response_timeout: timedelta | None = None,
        mlflow_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("params", None)  # Airflow hands the DAG's parameters to every task; they are no part of this form
        for fixed in ("defaults", "body", "fail_on_reject"):
            if fixed in kwargs:
                raise ValueError(
                    f"{fixed} may not be set: an approval gate has no default answer and shows the evidence"
                )
        kwargs.setdefault("subject", "Approve a model?")
        super().__init__(
            body="",
            params={"reason": Param("", type="string", description="Why? Required.")},
            fail_on_reject=True,
            response_timeout=response_timeout,
            **kwargs,
        )
        self.model = model
        self.target = target
        self.mlflow_conn_id = mlflow_conn_id

    def execute(self, context: Context) -> Any:
        """Show the evidence and ask; or go on at once where enough people have approved it already."""
        with task_errors():
            case = self._case(context)
        if case.missing:
            lines = "".join(f"\n  - {code}: {message}" for code, message in case.missing)
            raise AirflowFailException(f"there is nothing to approve: {case.model} would be refused anyway{lines}")
        if case.decision.allowed:
            return self._result(case)
        self._ask(context, case)
        return None

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Sign the answer; ask again while answers are missing; fail on a rejection or a time-out."""
        if "error" in event:
            raise AirflowFailException("nobody answered in time; a time-out never approves")
        who = event.get("responded_by_user")
        if not who:
            raise AirflowFailException("no person answered; a default never approves")
        answer = event.get("params_input") or {}
        reason = str(answer.get("reason") or "").strip()
        with task_errors():
            case = self._case(context)
        if answer.get("evidence") != case.digest:
            raise AirflowFailException(
                f"the answer by {who['name']} was given on evidence {str(answer.get('evidence'))[:12]}, but "
                f"{case.digest[:12]} stands now. Airflow keeps a task's first form: trigger a new run to ask again"
            )
        if not reason:
            self.log.warning("the answer by %s has no reason, so it does not count; asking again", who["name"])
            self._ask(context, case)
        approved = event["chosen_options"] == [self.APPROVE]
        with task_errors():
            self._sign(context, case, who, approved, reason, event["responded_at"])
            case = self._case(context)
        if not approved and who["name"] in case.target.approvers:
            raise AirflowFailException(f"rejected by {who['name']}: {reason}")
        if not case.decision.allowed:
            for code, message in case.decision.reasons:
                self.log.warning("%s: %s", code, message)
            self._ask(context, case)
        return self._result(case)

    def _case(self, context: Context) -> _Case:
        from airflow_mlgov.governance.decision import Request, decide
        from airflow_mlgov.registry.promotion import champion_of, evidence_for

        governance = Governance("approval", self.mlflow_conn_id)
        policy = governance.required_policy()
        registry = governance.mlflow.registry()
        version = registry.resolve(self.model)
        model = registry.subject(version)
        target = policy.model(model.name).target(self.target)
        good, bad = evidence_for(governance.ledger, governance.trust, model.digest)
        champion = champion_of(registry, version, target)
        request = Request(model, self.target, governance.environment, requester(context), champion)
        return _Case(model, target, decide(request, policy, good, bad))

    def _ask(self, context: Context, case: _Case) -> None:
        """Park the task; does not return."""
        self.subject = f"Approve {case.model.name} version {case.model.version} for {case.target.name}?"
        self.body = render_case(case.model, case.target, case.decision)
        self.params["evidence"] = Param(
            case.digest, type="string", const=case.digest, description="What you were shown. Leave it as it is."
        )
        if not getattr(self, "assigned_users", None) and "SimpleAuthManager" in conf.get(
            "core", "auth_manager", fallback=""
        ):
            self.assigned_users = [{"id": name, "name": name} for name in sorted(case.target.approvers)]
        super().execute(context)

    def _sign(
        self, context: Context, case: _Case, who: Mapping[str, str], approved: bool, reason: str, at: Any
    ) -> None:
        from airflow_mlgov.evidence.signing import sign_statement
        from airflow_mlgov.evidence.statements import approval_statement

        governance = Governance("approval", self.mlflow_conn_id)
        statement = approval_statement(
            case.model,
            target=self.target,
            approver={"id": str(who["id"]), "name": str(who["name"])},
            approved=approved,
            reason=reason,
            shown=case.decision.needed,
            answered_at=at,
            context=governance.evidence_context(context),
        )
        entry = governance.ledger.append(sign_statement(statement, governance.signer))
        self.log.info("%s by %s (%s)", "approved" if approved else "rejected", who["name"], entry.reference)

    def _result(self, case: _Case) -> dict[str, Any]:
        approvals = [item for item in case.decision.relied_on if item.kind == "approval"]
        return {
            "model": f"models:/{case.model.name}/{case.model.version}",
            "target": self.target,
            "approvals": [{"by": item.predicate["approver"]["name"], "evidence": item.reference} for item in approvals],
        }


def render_case(model: Subject, target: Target, decision: Decision) -> str:
    """The Markdown that an approver reads: the model, then every check with its value and bound."""
    from airflow_mlgov.evidence.statements import check_from

    places = " and ".join(
        f"{word} `{name}`" for word, name in (("stage", target.stage), ("alias", target.alias)) if name
    )
    lines = [
        f"**{model.name}** version **{model.version}** to **{target.name}** ({places})",
        "",
        f"Artifact `sha256:{model.digest}`",
        "",
        f"{target.approvals} approval(s) needed, from {', '.join(sorted(target.approvers))}. Policy `sha256:"
        f"{decision.input['policy']['sha256'][:16]}`",
        "",
    ]
    shown = [item for item in decision.relied_on if item.sha256 in decision.needed]
    for item in shown:
        lines += [
            f"### {item.gate}: {item.ours['verdict']} ({item.reference})",
            "",
            "| check | observed | bound | outcome |",
            "|---|---|---|---|",
        ]
        for data in item.ours["checks"]:
            check = check_from(data)
            observed = f"{check.observed:.4g}" if isinstance(check.observed, float) else str(check.observed)
            lines.append(f"| {_cell(check.name)} | {_cell(observed)} | {_cell(check.bound)} | {check.outcome} |")
        lines.append("")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
