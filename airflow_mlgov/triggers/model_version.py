"""Waits in the triggerer for a version of a registered model. Carries connection ids, never credentials, and keeps
waiting while MLflow or Vault is down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_mlgov.errors import AccessError, DependencyError, MlgovError
from airflow_mlgov.words import line

if TYPE_CHECKING:
    from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
    from airflow_mlgov.registry.protocol import ModelVersion


class ModelVersionTrigger(BaseTrigger):
    """Fires once, with the newest version that fits, or with the error that no waiting will mend.

    :param model: the registered model's name
    :param newer_than: only versions above this number
    :param stage: only versions in this stage
    :param alias: only the version that this alias points to
    :param mlflow_conn_id: connection to the registry
    :param duty: whose identity to use, where the connection's settings hold ``{duty}``
    :param poll_interval: seconds between two looks; the first look is one interval away
    """

    def __init__(
        self,
        *,
        model: str,
        mlflow_conn_id: str,
        newer_than: int = 0,
        stage: str | None = None,
        alias: str | None = None,
        duty: str | None = None,
        poll_interval: float = 60.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's
        self.model = model
        self.mlflow_conn_id = mlflow_conn_id
        self.newer_than = newer_than
        self.stage = stage
        self.alias = alias
        self.duty = duty
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, as the triggerer stores them."""
        names = ("model", "mlflow_conn_id", "newer_than", "stage", "alias", "duty", "poll_interval")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep, look, until there is something to say."""
        registry = None
        while True:
            await asyncio.sleep(self.poll_interval)
            held_before = registry is not None
            try:
                registry = registry if registry is not None else await asyncio.to_thread(self._registry)
                found = await asyncio.to_thread(self._look, registry)
            except DependencyError as error:
                self.log.warning("%s; looking again in %s s", line(error), line(self.poll_interval))
                continue
            except MlgovError as error:
                if isinstance(error, AccessError) and held_before:
                    registry = None  # the credentials may have been rotated since: fetch them again, once
                    continue
                yield _event({"error": error.coded})
                return
            if found is not None:
                yield _event(version_event(found))
                return

    def _registry(self) -> MlflowRegistry:
        from airflow_mlgov.hooks.mlflow import MlflowHook

        return MlflowHook(self.mlflow_conn_id, self.duty).registry()

    def _look(self, registry: MlflowRegistry) -> ModelVersion | None:
        return registry.newest(self.model, newer_than=self.newer_than, stage=self.stage, alias=self.alias)


def version_event(version: ModelVersion) -> dict[str, str | None]:
    """The small, JSON-serialisable form of a version: what a task puts into XCom."""
    return {"name": version.name, "version": version.version, "run_id": version.run_id}


def _event(payload: dict[str, str | None]) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]  # Airflow's
