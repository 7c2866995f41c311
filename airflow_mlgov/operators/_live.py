"""What the operators that judge live data share: whom, by which tables, and how a gate is run on one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_mlgov.duty import Duty
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.operators._lineage import Flow, data_named, model_named
from airflow_mlgov.operators._of_duty import OfDuty

if TYPE_CHECKING:
    from airflow_mlgov.results import GateResult, Subject


class LiveDataOperator(OfDuty, BaseOperator):  # type: ignore[misc]  # Airflow hands it over untyped
    """Base of the operators that run gates over tables of predictions on live data."""

    duty = "audit"
    template_fields: Sequence[str] = ("model", "target", "data")
    ui_color = "#dbe9f6"

    def __init__(
        self,
        *,
        model: str,
        target: str,
        data: Mapping[str, str],
        mlflow_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.target = target
        self.data = data
        self.mlflow_conn_id = mlflow_conn_id

    def planned(self) -> Flow:
        """The model and its live data."""
        return Flow((*model_named(self.model, self.governance), *data_named(self.data.values())))

    def judge(self, subject: Subject) -> list[GateResult]:
        """What each gate says of a version, by the policy's settings and bounds.

        :raises ConfigurationError: a gate has no bounds on a model
        """
        return [_judged(gate, path, subject) for gate, path in self.data.items()]


def _judged(name: str, path: str, model: Subject) -> GateResult:
    from airflow_mlgov import catalogue
    from airflow_mlgov.gates.run import run_gate
    from airflow_mlgov.gates.strictness import held_to

    gate = catalogue.load(name)
    if gate.about != "model" or not gate.metrics:
        known = [item.name for item in catalogue.load_all() if item.about == "model" and item.metrics]
        raise ConfigurationError(
            f"an audit runs gates with bounds on a model ({', '.join(known)}), not {name!r}", code="audit.gate"
        )
    policy = Duty("audit").required_policy().model(model.name)
    settings, bounds = held_to(gate, policy, {}, {}, "the audit")
    measured = [item for item in bounds if item.metric not in gate.of_artifact]  # the artifact has not changed
    return run_gate(gate, path, settings, measured, subject=model)
