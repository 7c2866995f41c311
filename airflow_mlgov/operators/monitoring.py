"""Gates on live data, on a schedule: how the version that serves does, signed, and what a FAIL sets going."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_mlgov.duty import Duty
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.operators._lineage import moved_too, watched
from airflow_mlgov.operators._links import EvidenceLink
from airflow_mlgov.operators._live import LiveDataOperator
from airflow_mlgov.operators.base import final, task_errors
from airflow_mlgov.operators.reconcile import tell_incidents
from airflow_mlgov.results import Outcome
from airflow_mlgov.words import line

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_mlgov.governance.policy import Target
    from airflow_mlgov.release.desk import Desk
    from airflow_mlgov.results import Subject


class MonitorModelOperator(LiveDataOperator):
    """Run the gates that the policy's ``monitoring`` names over live data of the version that holds a target.

    The results are signed under the duty ``audit``. Anything but PASS opens an incident, tells the owners, and does
    what the policy says: ``on_failure: audit`` has an audit owed, as a waiver does; ``rollback`` takes the target back
    to the version before. Then the task fails. Schedule it: a promotion is refused (``monitoring.missing``) while no
    result stands within the policy's time.

    :param model: name of the registered model
    :param target: a target of the model in the governance policy
    :param data: gate -> path of the table of predictions on live data
    :param mlflow_conn_id: connection to the model registry; ``[mlgov] mlflow_conn_id`` if omitted
    """

    operator_extra_links = (EvidenceLink(),)

    def execute(self, context: Context) -> dict[str, Any]:
        """Judge and sign; returns model, version, verdict, evidence and what was done."""
        from airflow_mlgov.release.monitoring import record_live

        with task_errors():
            duty = self.governance
            desk = duty.desk(context)
            goal = desk.policy.model(self.model).target(self.target)
            self._require_data(goal)
            self.require_own_worker(desk.policy, self.model, *_also(goal))
            subject, held = _serving(desk, self.model, self.target)
            desk.require_signer("audit")
            results = self.judge(subject)
            entry, owed = record_live(desk, subject, self.target, results, goal.monitoring)
        self.flow = partial(watched, results, entry.reference, duty, held, goal)
        passed = all(result.verdict is Outcome.PASS for result in results)
        xcom: dict[str, Any] = {
            "model": f"models:/{subject.name}/{subject.version}",
            "target": self.target,
            "verdict": "PASS" if passed else "FAIL",
            "evidence": entry.reference,
            "action": "none",
        }
        self.log.info("%s", line(f"{subject.name} at {self.target}: {xcom['verdict']} ({entry.reference})"))
        if passed:
            return xcom
        with task_errors():
            self._open_incident(context)
            if owed:
                xcom["action"] = f"an audit is owed until {owed.due:%Y-%m-%d %H:%M %Z} ({owed.id})"
            elif goal.monitoring and goal.monitoring.on_failure == "rollback":
                xcom["action"] = self._roll_back(context, entry.reference)
        context["ti"].xcom_push(key="return_value", value=xcom)
        said = (row for result in results for row in result.summary().split("\n"))
        raise final(f"{subject.name} version {subject.version} fails on live data", *said, f"  done: {xcom['action']}")

    def _require_data(self, goal: Target) -> None:
        """Each gate that the policy names has a table.

        :raises ConfigurationError: one has none, or the policy says nothing of monitoring
        """
        if goal.monitoring is None:
            raise ConfigurationError(
                f"the policy says nothing of monitoring {self.model!r} at {self.target!r}: add monitoring: {{gates: "
                "[...]}",
                code="monitoring.no_policy",
            )
        missing = [gate for gate in goal.monitoring.gates if not self.data.get(gate)]
        if missing:
            raise ConfigurationError(
                f"the policy has {', '.join(missing)} look at live data of {self.model!r}: give data={{gate: path}}",
                code="monitoring.no_data",
            )

    def _open_incident(self, context: Context) -> None:
        """Under the duty of whoever records incidents; the owners hear of it once."""
        from airflow_mlgov.notifications import whatever_happens
        from airflow_mlgov.release.reconciliation import reconcile

        desk = Duty("reconcile", self.mlflow_conn_id).desk(context)
        result = reconcile(desk, models=[self.model])
        with whatever_happens(self.log):
            tell_incidents(desk.policy, result, context)

    def _roll_back(self, context: Context, evidence: str) -> str:
        from airflow_mlgov.release.rollback import roll_back

        desk = Duty("promotion", self.mlflow_conn_id).desk(context)
        done = roll_back(desk, self.model, self.target, reason=f"it fails on live data ({evidence})")
        if self.flow is not None:
            self.flow = partial(moved_too, self.flow, done)
        return f"rolled back to version {done.model.version} ({done.record})"


def _also(goal: Target) -> Iterator[str]:
    """The duties that a FAIL is answered with, besides the audit's own."""
    yield "reconcile"
    if goal.monitoring and goal.monitoring.on_failure == "rollback":
        yield "promotion"


def _serving(desk: Desk, name: str, target: str) -> tuple[Subject, Subject]:
    """Who holds a target by the ledger, and what serves there, with its bytes as they are now: itself, or its copy.

    :raises ConfigurationError: nobody does
    """
    records = desk.walk()
    current = desk.timeline(desk.history(records, name), name, target).current
    if current is None:
        raise ConfigurationError(
            f"nothing of {name!r} was promoted to {target!r} yet, so there is nothing to look after",
            code="monitoring.nobody_serves",
        )
    place = desk.place_of(current)
    held = place.registry.subject(place.version(str(current.statement.placed.version)))
    if held.digest != current.digest:
        raise ConfigurationError(
            f"{held.name} version {held.version} has other bytes than were promoted ({current.reference}): "
            "reconcile the registry first",
            code="monitoring.nobody_serves",
        )
    return replace(current.subject, registry=desk.registry.uri), held
