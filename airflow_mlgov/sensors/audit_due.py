"""Waits until an audit is due soon: the start of a DAG that runs it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_mlgov.configuration import option
from airflow_mlgov.duty import Duty
from airflow_mlgov.hooks.ledger import LedgerHook
from airflow_mlgov.operators.base import task_errors
from airflow_mlgov.sensors._deferring import LedgerSensor, Seen

if TYPE_CHECKING:
    from airflow.sdk import Context


class AuditDueSensor(LedgerSensor):
    """Succeed once an audit is owed for a model at a target and due soon; its XCom lists what is owed.

    :param model: name of the registered model
    :param target: a target of the model in the governance policy
    :param within: how long before the date to succeed
    :param deferrable: wait in the triggerer, until the ledger has something new about the model or the date comes near;
        ``[operators] default_deferrable`` if omitted
    """

    template_fields: Sequence[str] = ("model", "target")
    ui_color = "#e6e0f0"

    def __init__(
        self,
        *,
        model: str,
        target: str,
        within: timedelta = timedelta(days=3),
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"poke_interval": 3600, **kwargs})
        self.model = model
        self.target = target
        self.within = within
        self.deferrable = deferrable

    def look(self, context: Context) -> Seen:  # noqa: ARG002
        """List once what is owed."""
        from airflow_mlgov.evidence.proven import records_of
        from airflow_mlgov.release.obligations import ObligationState, list_obligations

        duty, now = Duty("audit"), datetime.now(UTC)
        with task_errors():
            ledger = LedgerHook(create=False).get_conn()
            records = records_of(ledger, duty.trust, option("ledger_reads")).walk()
            found = list_obligations(records, duty.trust, now, self.model, duty.environment, duty.registry_identity)
        waits = (ObligationState.OPEN, ObligationState.OVERDUE, ObligationState.FAILED)
        owed = [item for item in found if item.target == self.target and item.state in waits]
        due = [item.as_dict() for item in owed if item.due - now <= self.within]
        return Seen(
            bool(due), due, records.head.size, until=min((item.due - self.within for item in owed), default=None)
        )

    @property
    def model_name(self) -> str:
        """The model's name."""
        return self.model
