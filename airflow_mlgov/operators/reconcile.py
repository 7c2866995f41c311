"""Reconciliation: holds the registry against the ledger and records what was changed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_mlgov.operators._lineage import found_wrong
from airflow_mlgov.operators._of_duty import OfDuty
from airflow_mlgov.operators._telling import told_how_far
from airflow_mlgov.operators.base import final, several, task_errors
from airflow_mlgov.words import lines

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_mlgov.governance.policy import GovernancePolicy
    from airflow_mlgov.release.reconciliation import Reconciliation


class ReconcileRegistryOperator(OfDuty, BaseOperator):  # type: ignore[misc]  # Airflow hands it over untyped
    """Compare every governed model with the ledger: alias or stage moved by hand, artifact changed in place, a model in
    production without evidence, forged tags, a promotion that was killed. Each becomes a signed incident, once.

    Schedule it; the task fails while something is unsettled, so Airflow's own ``on_failure_callback`` tells people.

    :param revert: put alias, stage and tags back to what the ledger says
    :param fail_on_incident: False: the task succeeds, and its XCom and the ledger say what was found
    :param models: only these registered models; all if omitted
    :param mlflow_conn_id: connection to the model registry; ``[mlgov] mlflow_conn_id`` if omitted
    """

    duty = "reconcile"
    template_fields: Sequence[str] = ("models",)
    ui_color = "#fad7ac"

    def __init__(
        self,
        *,
        revert: bool = False,
        fail_on_incident: bool = True,
        models: Sequence[str] | None = None,
        mlflow_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.revert = revert
        self.fail_on_incident = fail_on_incident
        self.models = models
        self.mlflow_conn_id = mlflow_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Reconcile; returns the incidents, with code, model, version, target, message, action and evidence."""
        from airflow_mlgov.notifications import whatever_happens
        from airflow_mlgov.release.reconciliation import reconcile, render_incidents

        with task_errors():
            duty = self.governance
            desk = duty.desk(context)
            models = None if self.models is None else several(self.models)
            if self.revert:
                for name in desk.policy.models if models is None else models:
                    self.require_own_worker(desk.policy, name)
            with told_how_far("the bytes are hashed, the evidence is verified"):
                result = reconcile(desk, revert=self.revert, models=models)
        wrong = [(item.code, str(item)) for item in result.open]
        evidence = [item.reference for item in result.open if item.reference]
        self.flow = partial(found_wrong, [item.model for item in result.open], wrong, duty, evidence)
        with whatever_happens(self.log):
            tell_incidents(desk.policy, result, context)
        text = render_incidents(result)
        xcom = result.as_dict()
        if not result.unsettled or not self.fail_on_incident:
            self.log.info("%s", lines(text.split("\n")))
            return xcom
        context["ti"].xcom_push(key="return_value", value=xcom)
        raise final(*text.split("\n"))


def tell_incidents(policy: GovernancePolicy, result: Reconciliation, context: Context) -> None:
    """The owners of each model hear of what is new; nobody is told twice of one incident."""
    from airflow_mlgov.notifications import notify, page_of
    from airflow_mlgov.notifications.words import render_incidents_notice

    new = [item for item in result.open if item.new]
    for model in sorted({item.model.name for item in new}):
        known = policy.models.get(model)
        owners = known.owners if known else ()
        lines = [f"{model} version {item.model.version}: {item}" for item in new if item.model.name == model]
        subject, body = render_incidents_notice(lines, owners=owners, link=page_of(context))
        notify("incident", subject, body, owners=owners, context=context)
