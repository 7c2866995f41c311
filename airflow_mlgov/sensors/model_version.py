"""Waits until a registered model has a version that fits: a new one, one in a stage, or an alias that moved on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseSensorOperator, PokeReturnValue

from airflow_mlgov.duty import Duty
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.operators.base import final, task_errors
from airflow_mlgov.sensors._deferring import waits_in_triggerer
from airflow_mlgov.triggers.model_version import VersionTrigger, version_event

if TYPE_CHECKING:
    from airflow.sdk import Context


class ModelVersionSensor(BaseSensorOperator):  # type: ignore[misc]  # untyped to mypy here
    """Succeed with ``{"name", "version", "run_id"}`` of the newest version that fits; wait if there is none yet.

    A model that does not exist yet is waited for. MLflow or Vault being down fails the try, which Airflow retries.

    :param model: the registered model's name
    :param newer_than: a version number, or the XCom of an earlier version: only versions above it count
    :param stage: only versions in this stage, such as ``Staging``
    :param alias: only the version that this alias points to, such as ``candidate``
    :param mlflow_conn_id: connection to the model registry; if omitted, ``[mlgov] mlflow_conn_id``
    :param duty: whose identity to use, if the connection's settings hold ``{duty}``
    :param deferrable: wait in the triggerer; if omitted, ``[operators] default_deferrable``
    """

    template_fields: Sequence[str] = ("model", "newer_than", "stage", "alias", "mlflow_conn_id")
    ui_color = "#dbe9f6"

    def __init__(
        self,
        *,
        model: str,
        newer_than: int | str | Mapping[str, Any] | None = None,
        stage: str | None = None,
        alias: str | None = None,
        mlflow_conn_id: str | None = None,
        duty: str = "registration",
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.newer_than = newer_than
        self.stage = stage
        self.alias = alias
        self.mlflow_conn_id = mlflow_conn_id
        self.duty = duty
        self.deferrable = deferrable

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002
        """Look once."""
        with task_errors():
            registry = Duty(self.duty, self.mlflow_conn_id).mlflow.registry()
            found = registry.newest(self.model, newer_than=self._above(), stage=self.stage, alias=self.alias)
        return PokeReturnValue(found is not None, version_event(found) if found else None)

    def execute(self, context: Context) -> Any:
        """Look now; if there is nothing yet, wait here or in the triggerer."""
        if not waits_in_triggerer(self.deferrable):
            return super().execute(context)
        seen = self.poke(context)
        if seen.is_done:
            return seen.xcom_value
        with task_errors():
            above = self._above()
        self.defer(
            trigger=VersionTrigger(
                model=self.model,
                mlflow_conn_id=Duty(self.duty, self.mlflow_conn_id).mlflow.mlflow_conn_id,
                newer_than=above,
                stage=self.stage,
                alias=self.alias,
                duty=self.duty,
                poll_interval=float(self.poke_interval),
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Take what the trigger found."""
        if "error" in event:
            raise final(event["error"])
        return dict(event)

    def _above(self) -> int:
        given = self.newer_than.get("version") if isinstance(self.newer_than, Mapping) else self.newer_than
        if given in (None, "", "None"):
            return 0
        if not str(given).isdecimal():
            raise ConfigurationError(f"newer_than must be a version number, not {given!r}", code="version.form")
        return int(str(given))
