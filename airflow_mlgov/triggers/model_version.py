"""Waits in the triggerer for a version of a registered model. Carries connection ids, never credentials, and keeps
waiting while MLflow or Vault is down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_mlgov.errors import AccessError, DependencyError, MlgovError
from airflow_mlgov.triggers._rounds import Look, looks
from airflow_mlgov.words import line

if TYPE_CHECKING:
    from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
    from airflow_mlgov.registry.protocol import ModelNow, ModelVersion


def overviews(mlflow_conn_id: str, duty: str | None, interval: float) -> AsyncIterator[Look]:
    """Each look at all models of a registry: one query for a thousand of them, whoever watches in this process."""

    def registry() -> MlflowRegistry:
        from airflow_mlgov.hooks.mlflow import MlflowHook

        return MlflowHook(mlflow_conn_id, duty).registry()

    def look(registry: MlflowRegistry) -> tuple[MlflowRegistry, dict[str, ModelNow]]:
        return registry, registry.overview()

    return looks(("models", mlflow_conn_id, duty), interval, registry, look)


class VersionTrigger(BaseTrigger):
    """Fires once, with the newest version that fits, or with the error that no waiting will mend: what
    ``ModelVersionSensor`` waits with. It goes by what the registry holds, so a restart of the triggerer loses nothing.

    :param model: the registered model's name
    :param newer_than: only versions above this number
    :param stage: only versions in this stage
    :param alias: only the version that this alias points to
    :param mlflow_conn_id: connection to the registry
    :param duty: whose identity to use, where the connection's settings hold ``{duty}``
    :param poll_interval: seconds between two looks
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
        """Watch until there is something to say."""
        seen_before = None
        async with aclosing(overviews(self.mlflow_conn_id, self.duty, self.poll_interval)) as watching:  # type: ignore[type-var]
            async for seen in watching:
                if seen.error is not None:
                    yield _event({"error": seen.error.coded})
                    return
                registry, models = seen.found
                now = models.get(self.model)
                if now is None or now == seen_before or not self._may_fit(now):
                    continue
                try:
                    found = await asyncio.to_thread(self._ask, registry)
                except (AccessError, DependencyError) as error:
                    self.log.warning("%s; looking again later", line(error))
                    continue
                except MlgovError as error:
                    yield _event({"error": error.coded})
                    return
                seen_before = now
                if found is not None:
                    yield _event(version_event(found))
                    return

    def _may_fit(self, now: ModelNow) -> bool:
        """Whether it is worth asking for the version itself: a look does not tell the stage of each."""
        if self.alias is not None:
            return int(now.aliases.get(self.alias, 0)) > self.newer_than
        wanted = self.stage.casefold() if self.stage else None
        held = (number for stage, number in now.newest.items() if wanted in (None, (stage or "None").casefold()))
        return any(number > self.newer_than for number in held)

    def _ask(self, registry: MlflowRegistry) -> ModelVersion | None:
        return registry.newest(self.model, newer_than=self.newer_than, stage=self.stage, alias=self.alias)


def version_event(version: ModelVersion) -> dict[str, str | None]:
    """The small, JSON-serialisable form of a version: what a task puts into XCom."""
    return {"name": version.name, "version": version.version, "run_id": version.run_id}


def _event(payload: dict[str, str | None]) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]  # Airflow's
