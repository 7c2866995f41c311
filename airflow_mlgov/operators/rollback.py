"""Rollback: back to the previous version whose artifact still hashes and whose evidence still verifies."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_mlgov.assets import tell_promotion, with_outlet
from airflow_mlgov.operators._lineage import Flow, model_named, moved
from airflow_mlgov.operators._links import EvidenceLink
from airflow_mlgov.operators._of_duty import OfDuty
from airflow_mlgov.operators._telling import told_how_far
from airflow_mlgov.operators.base import task_errors
from airflow_mlgov.words import line

if TYPE_CHECKING:
    from airflow.sdk import Context


class RollbackModelOperator(OfDuty, BaseOperator):  # type: ignore[misc]  # Airflow hands it over untyped
    """Move a target back to an earlier version. Needs no new approval; refuses if no earlier version holds.

    The version that is taken back has to pass its gates again before it can return.

    :param model: name of the registered model
    :param target: a target of the model in the governance policy
    :param reason: why; it is signed
    :param version: the version to go back to; the newest one that holds if omitted
    :param mlflow_conn_id: connection to the model registry; ``[mlgov] mlflow_conn_id`` if omitted
    """

    duty = "promotion"
    template_fields: Sequence[str] = ("model", "target", "reason", "version")
    operator_extra_links = (EvidenceLink(),)
    ui_color = "#f8cecc"

    def __init__(
        self,
        *,
        model: str,
        target: str,
        reason: str,
        version: str | None = None,
        mlflow_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**with_outlet(kwargs))
        self.model = model
        self.target = target
        self.reason = reason
        self.version = version
        self.mlflow_conn_id = mlflow_conn_id

    def planned(self) -> Flow:
        """The model; an earlier version holds the target once it was rolled back."""
        return Flow(model_named(self.model, self.governance))

    def execute(self, context: Context) -> dict[str, Any]:
        """Roll back; returns what was moved and the references of the decision of then and of the record."""
        from airflow_mlgov.release.rollback import roll_back

        with task_errors():
            duty = self.governance
            desk = duty.desk(context)
            self.require_own_worker(desk.policy, self.model)
            to = str(self.version) if self.version else None
            with told_how_far("the bytes are hashed, the evidence is verified"):
                done = roll_back(desk, self.model, self.target, reason=self.reason, to=to)
        self.flow = partial(moved, done, duty)
        self.log.info("%s is at %r again (%s)", line(done.model), line(self.target), line(done.record))
        tell_promotion(context, done, "rollback", self.mlflow_conn_id)
        return done.as_dict()
