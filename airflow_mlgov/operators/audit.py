"""After the exception: the audit that was promised, on live data, and what happens where it was not kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_mlgov.duty import Duty
from airflow_mlgov.operators._lineage import found_wrong, judged
from airflow_mlgov.operators._live import LiveDataOperator
from airflow_mlgov.operators._of_duty import OfDuty
from airflow_mlgov.operators.base import final, task_errors
from airflow_mlgov.words import line, lines

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_mlgov.evidence.chain import Verified
    from airflow_mlgov.governance.policy import GovernancePolicy
    from airflow_mlgov.release.enforcement import Enforcement
    from airflow_mlgov.release.obligations import Obligation


class PostDeploymentAuditOperator(LiveDataOperator):
    """Run gates on live data over the version that holds a target, and close with it every audit that is owed for it.

    Bounds and columns come from the policy, as for the gates themselves. A failed audit fails the task;
    ``EnforceObligationsOperator`` then demotes. Succeeds at once where nothing is owed.

    :param model: name of the registered model
    :param target: a target of the model in the governance policy
    :param version: audit this version instead of the one that holds the target: a failed or late audit of it keeps its
        bytes from being promoted again
    :param data: gate (``performance``, ``fairness`` …) -> path of the table of predictions on live data
    :param mlflow_conn_id: connection to the model registry; ``[mlgov] mlflow_conn_id`` if omitted
    """

    template_fields: Sequence[str] = ("model", "target", "version", "data")

    def __init__(self, *, version: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.version = version

    def execute(self, context: Context) -> dict[str, Any]:
        """Audit; returns ``audits``: id, verdict and evidence of each obligation that was closed."""
        from airflow_mlgov.release.audit import record_audit
        from airflow_mlgov.release.obligations import ObligationState
        from airflow_mlgov.release.timeline import evidence_for

        duty = self.governance
        done: list[dict[str, str]] = []
        with task_errors():
            self.require_own_worker(duty.policy, self.model)
            here, here_in = duty.evidence_context(context), (duty.environment, duty.registry_identity)
            records = duty.records.walk(duty.checkpoints(duty.trust))
            owed = [
                item
                for item in self._owed(duty, records, here.issued_at)
                if item.target == self.target and item.state not in (ObligationState.MET, ObligationState.REVOKED)
            ]
            if owed:
                duty.trust.require_signer(duty.signer, duty.name, here.issued_at)
            results = self.judge(owed[0].model) if owed else []
            for item in owed:
                evidence = evidence_for(records, duty.trust, item.model, *here_in).good
                verdict, entry = record_audit(
                    item,
                    results,
                    evidence=evidence,
                    ledger=duty.ledger,
                    signer=duty.signer,
                    context=here,
                )
                done.append({"id": item.id, "verdict": str(verdict), "evidence": entry.reference})
                self.log.info("%s: audit %s (%s)", line(item), line(verdict), line(entry.reference))
        self.flow = partial(judged, results, [item["evidence"] for item in done], duty, target=self.target)
        xcom = {"model": self.model, "target": self.target, "audits": done}
        if any(item["verdict"] != "PASS" for item in done):
            context["ti"].xcom_push(key="return_value", value=xcom)
            raise final("the audit failed", *(row for result in results for row in result.summary().split("\n")))
        return xcom

    def _owed(self, duty: Duty, records: Verified, now: datetime) -> list[Obligation]:
        """What is owed for the version that holds the target, or for the one that is named: by what was promoted under
        its number, for it may be gone from the registry while its copy serves."""
        from airflow_mlgov.addresses import RegistryIdentity
        from airflow_mlgov.evidence.scope import Scope
        from airflow_mlgov.release.obligations import list_obligations, owed_for, promoted_as
        from airflow_mlgov.release.timeline import evidence_for

        here = duty.environment, duty.registry_identity
        if self.version is None:
            return list_obligations(records, duty.trust, now, self.model, *here)
        registry = duty.registry_identity or RegistryIdentity.at(duty.mlflow.address)
        scope = Scope(self.model, registry, duty.environment)
        subjects = promoted_as(records, duty.trust, scope, self.version, self.target)
        if not subjects:  # the same bytes may have been promoted under another number
            there = duty.mlflow.registry()
            subjects = [there.subject(there.resolve({"name": self.model, "version": self.version}))]
        owed = [owed_for(item, evidence_for(records, duty.trust, item, *here).good, now) for item in subjects]
        return [item for items in owed for item in items]


class EnforceObligationsOperator(OfDuty, BaseOperator):  # type: ignore[misc]  # Airflow hands it over untyped
    """Warn of audits and waivers that end soon; demote, to the last good version, what an audit was missed for or has
    failed, and what a waiver has run out for or was revoked.

    Schedule it. The task fails where something that should not serve still does.

    :param warn_within: how long before a date to begin to warn
    :param demote: False: only say so
    :param mlflow_conn_id: connection to the model registry; ``[mlgov] mlflow_conn_id`` if omitted
    """

    duty = "promotion"
    ui_color = "#f8cecc"

    def __init__(
        self,
        *,
        warn_within: timedelta = timedelta(days=3),
        demote: bool = True,
        mlflow_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.warn_within = warn_within
        self.demote = demote
        self.mlflow_conn_id = mlflow_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Enforce; returns ``warned`` and ``violated``, each obligation with what was done."""
        from airflow_mlgov.notifications import whatever_happens
        from airflow_mlgov.release.enforcement import enforce, render_enforcement

        with task_errors():
            duty = self.governance
            desk = duty.desk(context)
            may = partial(self.require_own_worker, desk.policy)
            result = enforce(desk, warn_within=self.warn_within, demote=self.demote, may=may)
        owed = [item.model for item in (*result.warned, *(item for item, _ in result.violated))]
        wrong = [(f"obligation.{item.state}", f"{item} [{demotion}]") for item, demotion in result.violated]
        self.flow = partial(found_wrong, owed, wrong, duty)
        with whatever_happens(self.log):
            self._tell_all(desk.policy, result, context)
        text = render_enforcement(result)
        xcom = {
            "warned": [item.as_dict() for item in result.warned],
            "violated": [{**item.as_dict(), "action": demotion.action} for item, demotion in result.violated],
        }
        if result.unsettled:
            context["ti"].xcom_push(key="return_value", value=xcom)
            raise final(*text.split("\n"))
        self.log.info("%s", lines(text.split("\n")))
        return xcom

    def _tell_all(self, policy: GovernancePolicy, result: Enforcement, context: Context) -> None:
        from airflow_mlgov.release.obligations import ObligationState

        for event, state in (("audit_due", ObligationState.OPEN), ("waiver_expiring", ObligationState.MET)):
            soon = [(item.model.name, str(item)) for item in result.warned if item.state is state]
            self._tell(policy, event, soon, context)
        bad = [(item.model.name, f"{item} [{demotion}]") for item, demotion in result.violated]
        self._tell(policy, "obligation_violated", bad, context)

    def _tell(self, policy: GovernancePolicy, event: str, lines: Sequence[tuple[str, str]], context: Context) -> None:
        """One notification for each model's owners."""
        from airflow_mlgov.notifications import notify, page_of
        from airflow_mlgov.notifications.words import render_obligations

        for model in sorted({name for name, _ in lines}):
            owners = policy.models[model].owners if model in policy.models else ()
            mine = [line for name, line in lines if name == model]
            subject, body = render_obligations(mine, owners=owners, link=page_of(context), event=event)
            notify(event, subject, body, owners=owners, context=context)
