"""Promotion: moves the stage and/or alias of a version, if its evidence verifies and the policy allows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_mlgov.assets import tell_promotion, with_outlet
from airflow_mlgov.duty import requester
from airflow_mlgov.errors import PromotionRefused
from airflow_mlgov.operators._lineage import Flow, model_named, moved
from airflow_mlgov.operators._links import EvidenceLink, ModelLink
from airflow_mlgov.operators._of_duty import OfDuty
from airflow_mlgov.operators._telling import count, pages_of, timed, told_how_far
from airflow_mlgov.operators.base import ModelRef, task_errors
from airflow_mlgov.words import line, lines

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_mlgov.evidence.statements import EmergencyStatement
    from airflow_mlgov.release.desk import Desk
    from airflow_mlgov.release.promotion import Promotion


class PromoteModelOperator(OfDuty, BaseOperator):  # type: ignore[misc]  # Airflow hands it over untyped
    """Hash the artifact again, verify the evidence that the policy demands, decide, move, read back, sign.

    It looks at no task state, trigger rule, XCom value or MLflow tag: marking a failed gate as success leads to a
    refusal that names the missing evidence.

    :param model: the version; an XCom or conf only names it
    :param target: a target of the model in the governance policy
    :param mlflow_conn_id: connection to the model registry; ``[mlgov] mlflow_conn_id`` if omitted
    """

    duty = "promotion"
    template_fields: Sequence[str] = ("model", "target")
    operator_extra_links = (EvidenceLink(), ModelLink())
    ui_color = "#d5e8d4"

    def __init__(self, *, model: ModelRef, target: str, mlflow_conn_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**with_outlet(kwargs))
        self.model = model
        self.target = target
        self.mlflow_conn_id = mlflow_conn_id

    def planned(self) -> Flow:
        """The model; it holds the target once it was promoted."""
        return Flow(model_named(self.model, self.governance))

    def execute(self, context: Context) -> dict[str, Any]:
        """Promote; returns what was moved and the references of decision and record."""
        from airflow_mlgov.notifications import whatever_happens
        from airflow_mlgov.release.promotion import promote

        with task_errors(), timed("mlgov.promotion.duration", target=self.target):
            duty = self.governance
            desk = duty.desk(context)
            version = desk.registry.resolve(self.model)
            self.pages = pages_of(version, desk.registry)
            self.require_own_worker(desk.policy, version.name)
            try:
                with told_how_far("the bytes are hashed, the evidence is verified"):
                    done = promote(desk, version, self.target, requesters=requester(context))
            except PromotionRefused:
                count("mlgov.promotion", target=self.target, outcome="refused")
                raise
        self.flow = partial(moved, done, duty)
        count("mlgov.promotion", target=self.target, outcome="excused" if done.excused else "allowed")
        self.log.info("%s is at %r (%s)", line(done.model), line(self.target), line(done.record))
        for use in done.waived:
            self.log.warning(
                "waived, not passed: %s", line(f"{use['check']} = {use['observed']} of the gate {use['gate']}")
            )
        for code, message in done.warned:
            self.log.warning("%s", line(f"{code}: {message}"))
        if done.emergency is not None:
            with whatever_happens(self.log):
                self._alert(desk, done, done.emergency, context)
        tell_promotion(context, done, "promote", self.mlflow_conn_id)
        return done.as_dict()

    def _alert(self, desk: Desk, done: Promotion, emergency: EmergencyStatement, context: Context) -> None:
        """An emergency is never quiet: the owners are told who broke the glass, why, and past what it went."""
        from airflow_mlgov.notifications import notify, page_of
        from airflow_mlgov.notifications.words import render_emergency

        owners = desk.policy.model(done.model.name).owners
        subject, body = render_emergency(
            str(done.model),
            self.target,
            emergency.person.name,
            emergency.reason,
            emergency.expires.isoformat(),
            owners=owners,
            link=page_of(context),
        )
        past = lines(["It went past:", *(f"- {code}: {message}" for code, message in done.excused)])
        notify("emergency", subject, f"{body}\n{past}\n", owners=owners, context=context)
