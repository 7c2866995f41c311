"""Delivery of the audit trail to the sinks of ``[mlgov] sinks``, on a schedule."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_mlgov.configuration import option
from airflow_mlgov.operators._lineage import TellsLineage, delivered
from airflow_mlgov.operators.base import task_errors
from airflow_mlgov.words import line

if TYPE_CHECKING:
    from airflow.sdk import Context


class DeliverAuditTrailOperator(BaseOperator, TellsLineage):  # type: ignore[misc]  # Airflow hands it over untyped
    """Hand every sink what was recorded since the last time, in the ledger's order.

    Schedule it. No gate waits for it, and what is not delivered is delivered the next time. The task is tried again if
    a sink is down, and fails if one refuses or the ledger is not the one that a sink has had.
    """

    ui_color = "#d6eaf8"

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - Airflow's
        """Deliver; returns sink -> number of the last entry that is there."""
        from airflow_mlgov.hooks.connections import password_of
        from airflow_mlgov.hooks.ledger import LedgerHook
        from airflow_mlgov.sinks.delivery import deliver, require_all
        from airflow_mlgov.sinks.settings import open_sinks

        with task_errors():
            ledger, sinks = LedgerHook(create=False).get_conn(), open_sinks(option("sinks"), password_of)
            found = deliver(ledger, sinks)
            self.flow = partial(delivered, ledger.url, [sinks[one.sink].place for one in found if one.error is None])
            for one in found:
                self.log.info("%s", line(one))
            require_all(found)
        return {one.sink: one.now for one in found}
