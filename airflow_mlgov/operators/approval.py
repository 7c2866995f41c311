"""The approval gate: people approve, in Airflow's own Required Actions page, the evidence that they were shown.

Every answer is signed at once. No time-out and no default ever approves; the ledger, not this task, remembers who
has answered, so clearing the task forgets nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, conf
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param

from airflow_mlgov.operators.base import ModelRef, task_errors
from airflow_mlgov.settings import Governance, requester

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_mlgov.registry.promotion import Case


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
        missing = [reason for reason in case.decision.reasons if not reason[0].startswith("approval.")]
        if missing:
            lines = "".join(f"\n  - {code}: {message}" for code, message in missing)
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
        stands = shown_digest(case)
        if answer.get("evidence") != stands:
            raise AirflowFailException(
                f"the answer by {who['name']} was given on evidence {str(answer.get('evidence'))[:12]}, but "
                f"{stands[:12]} stands now. Airflow keeps a task's first form: trigger a new run to ask again"
            )
        if not reason:
            self.log.warning("the answer by %s has no reason, so it does not count; asking again", who["name"])
            self._ask(context, case)
        approved = event["chosen_options"] == [self.APPROVE]
        with task_errors():
            self._sign(context, case, who, approved, reason, event["responded_at"])
            case = self._case(context)
        if not approved and who["name"] in case.goal.approvers:
            raise AirflowFailException(f"rejected by {who['name']}: {reason}")
        if not case.decision.allowed:
            for code, message in case.decision.reasons:
                self.log.warning("%s: %s", code, message)
            self._ask(context, case)
        return self._result(case)

    def _case(self, context: Context) -> Case:
        from airflow_mlgov.registry.promotion import build_case

        governance = Governance("approval", self.mlflow_conn_id)
        registry = governance.mlflow.registry()
        return build_case(
            registry,
            registry.resolve(self.model),
            self.target,
            governance.grounds(),
            governance.environment,
            requester(context),
        )

    def _ask(self, context: Context, case: Case) -> None:
        """Park the task; does not return."""
        self.subject = f"Approve {case.model.name} version {case.model.version} for {case.goal.name}?"
        self.body = render_case(case)
        shown = shown_digest(case)
        self.params["evidence"] = Param(
            shown, type="string", const=shown, description="What you were shown. Leave it as it is."
        )
        if not getattr(self, "assigned_users", None) and "SimpleAuthManager" in conf.get(
            "core", "auth_manager", fallback=""
        ):
            self.assigned_users = [{"id": name, "name": name} for name in sorted(case.goal.approvers)]
        super().execute(context)

    def _sign(self, context: Context, case: Case, who: Mapping[str, str], approved: bool, reason: str, at: Any) -> None:
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
        entry = governance.ledger.attest(statement, governance.signer)
        self.log.info("%s by %s (%s)", "approved" if approved else "rejected", who["name"], entry.reference)

    def _result(self, case: Case) -> dict[str, Any]:
        approvals = [item for item in case.decision.relied_on if item.kind == "approval"]
        return {
            "model": f"models:/{case.model.name}/{case.model.version}",
            "target": self.target,
            "approvals": [{"by": item.predicate["approver"]["name"], "evidence": item.reference} for item in approvals],
        }


def shown_digest(case: Case) -> str:
    """Binds a form to the model, the target, the policy with its rules, and the evidence that was shown."""
    from airflow_mlgov.evidence.digests import hash_json

    decision = case.decision
    return hash_json([case.model.digest, case.goal.name, decision.bundle_digest, list(decision.needed)])


def render_case(case: Case) -> str:
    """The Markdown that an approver reads: the model, then every check with its value and bound, and how often the same
    data has been tried."""
    from airflow_mlgov.evidence.statements import check_from

    model, target, decision = case.model, case.goal, case.decision
    places = " and ".join(
        f"{word} `{name}`" for word, name in (("stage", target.stage), ("alias", target.alias)) if name
    )
    champion = decision.input["request"]["champion"]
    lines = [
        f"**{model.name}** version **{model.version}** to **{target.name}** ({places}), "
        + (f"in place of version **{champion}**" if champion else "where nothing is yet"),
        "",
        f"Artifact `sha256:{model.digest}`",
        "",
        f"{target.approvals} approval(s) needed, from {', '.join(sorted(target.approvers))}. Policy and rules "
        f"`sha256:{decision.bundle_digest[:16]}`",
        "",
    ]
    tries = {tried["gate"]: tried for tried in decision.input["tries"]}
    shown = [item for item in decision.relied_on if item.sha256 in decision.needed]
    for item in shown:
        lines += [f"### {item.gate}: {item.ours['verdict']} ({item.reference})", ""]
        if item.gate in tries:
            lines += [_tries_sentence(tries[item.gate]), ""]
        lines += ["| check | observed | bound | outcome |", "|---|---|---|---|"]
        for data in item.ours["checks"]:
            check = check_from(data)
            observed = f"{check.observed:.4g}" if isinstance(check.observed, float) else str(check.observed)
            lines.append(f"| {_cell(check.name)} | {_cell(observed)} | {_cell(check.bound)} | {check.outcome} |")
        lines.append("")
    return "\n".join(lines)


def _tries_sentence(tried: Mapping[str, Any]) -> str:
    models, datasets = tried["models"], tried["datasets"]
    if models == datasets == 1:
        return "First model to be judged on this evaluation data."
    return (
        f"Tries so far: {models} model(s) were judged on this evaluation data ({tried['runs']} results), and this "
        f"model on {datasets} different evaluation data. The more tries, the less a pass says."
    )


def _cell(value: Any) -> str:
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
