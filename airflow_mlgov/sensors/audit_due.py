"""Waits until an audit is due soon: the start of a DAG that runs it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSensorTimeout, BaseSensorOperator, PokeReturnValue, conf
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

from airflow_mlgov.duty import Duty
from airflow_mlgov.hooks.ledger import LedgerHook
from airflow_mlgov.operators.base import task_errors

if TYPE_CHECKING:
    from airflow.sdk import Context


class AuditDueSensor(BaseSensorOperator):  # type: ignore[misc]  # untyped to mypy here
    """Succeed once an audit is owed for a model at a target and due soon; its XCom lists what is owed.

    :param model: name of the registered model
    :param target: a target of the model in the governance policy
    :param within: how long before the date to succeed
    :param deferrable: wait in the triggerer, and look again every ``poke_interval`` seconds; ``[operators]
        default_deferrable`` if omitted
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

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002
        """Look once."""
        from airflow_mlgov.release.obligations import ObligationState, list_obligations

        duty, now = Duty("audit"), datetime.now(UTC)
        with task_errors():
            records = LedgerHook(create=False).get_conn().walk()
            found = list_obligations(records, duty.trust, now, self.model, duty.environment, duty.registry_identity)
        waits = (ObligationState.OPEN, ObligationState.OVERDUE, ObligationState.FAILED)
        due = [
            item.as_dict()
            for item in found
            if item.target == self.target and item.state in waits and item.due - now <= self.within
        ]
        return PokeReturnValue(bool(due), due)

    def execute(self, context: Context) -> Any:
        """Look now; if nothing is due yet, wait here or in the triggerer."""
        deferrable = self.deferrable
        if deferrable is None:
            deferrable = conf.getboolean("operators", "default_deferrable", fallback=False)
        if not deferrable:
            return super().execute(context)
        return self.execute_complete(context, until=(datetime.now(UTC) + timedelta(seconds=self.timeout)).isoformat())

    def execute_complete(self, context: Context, event: Any = None, until: str = "") -> Any:  # noqa: ARG002
        """Look, and wait in the triggerer until the next look."""
        seen = self.poke(context)
        if seen.is_done:
            return seen.xcom_value
        if datetime.now(UTC) >= datetime.fromisoformat(until):
            raise AirflowSensorTimeout(f"no audit of {self.model!r} at {self.target!r} is due")
        self.defer(
            trigger=TimeDeltaTrigger(timedelta(seconds=self.poke_interval)),
            method_name="execute_complete",
            kwargs={"until": until},
        )
        return None
