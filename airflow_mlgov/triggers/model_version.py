"""Waits in the triggerer for a version of a registered model, for a sensor once, for an asset again and again. Carries
connection ids, never credentials, and keeps waiting while MLflow or Vault is down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent

from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, MlgovError
from airflow_mlgov.triggers._cursor import Cursor, identified, moved_alias, new_tags, new_versions
from airflow_mlgov.triggers._rounds import Look, looks
from airflow_mlgov.words import line

if TYPE_CHECKING:
    from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
    from airflow_mlgov.registry.protocol import ModelNow, ModelVersion


def overviews(mlflow_conn_id: str, duty: str | None, interval: float) -> AsyncIterator[Look]:
    """Each look at all models of a registry: one query for a thousand of them, whoever watches in this process."""

    def look(registry: MlflowRegistry) -> tuple[MlflowRegistry, dict[str, ModelNow]]:
        return registry, registry.overview()

    return looks(("models", mlflow_conn_id, duty), interval, partial(_registry, mlflow_conn_id, duty), look)


def _registry(mlflow_conn_id: str, duty: str | None) -> MlflowRegistry:
    from airflow_mlgov.hooks.mlflow import MlflowHook

    return MlflowHook(mlflow_conn_id, duty).registry()


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


class ModelVersionTrigger(BaseEventTrigger):
    """Tells an asset of each new version of a model, of each move of an alias, or of each version that gets a tag: what
    an ``AssetWatcher`` starts DAGs with. Make it with :class:`~airflow_mlgov.assets.WatchedModel`. Needs Airflow 3.3.

    What was told stands in the asset's state store, and moves on only when Airflow has stored the event. So nothing is
    lost while triggerer, API server or MLflow are down; a triggerer that is killed between the two tells the same event
    again, with the same ``id``.

    :param model: the registered model's name
    :param asset: name of the asset that is told
    :param alias: tell of where this alias points, instead of new versions
    :param tag: tell of versions that get this tag, or another value of it, instead
    :param from_version: tell of versions above this one that are there already; if omitted, only of what comes
    :param mlflow_conn_id: connection to the registry
    :param duty: whose identity to use, where the connection's settings hold ``{duty}``
    :param poll_interval: seconds between two looks
    """

    def __init__(
        self,
        *,
        model: str,
        asset: str,
        mlflow_conn_id: str,
        alias: str | None = None,
        tag: str | None = None,
        from_version: int | None = None,
        duty: str = "registration",
        poll_interval: float = 60.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's
        if alias and tag:
            raise ValueError("a watcher tells of an alias or of a tag, not of both: make two")
        self.model = model
        self.asset = asset
        self.mlflow_conn_id = mlflow_conn_id
        self.alias = alias
        self.tag = tag
        self.from_version = from_version
        self.duty = duty
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, as the triggerer stores them."""
        names = ("model", "asset", "mlflow_conn_id", "alias", "tag", "from_version", "duty", "poll_interval")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    def shared_stream_key(self) -> tuple[str, ...]:
        """A stream of its own: what Airflow confirms as stored moves this asset's cursor alone. The registry is asked
        once for all of them nevertheless."""
        return (type(self).__qualname__, self.asset, self.model, self.alias or "", self.tag or "")

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> Any:
        """What Airflow 3.3 takes events from, and confirms them to."""
        from airflow_mlgov.triggers._stream import Told

        return Told(cls(**kwargs))

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """Each event, as it is; what is only to be noted is no event."""
        async for event in shared_stream:
            if event:
                yield _event(event)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """What Airflow before 3.3 would call, which has nowhere to keep what was told.

        :raises ConfigurationError: always
        """
        raise ConfigurationError(
            "a model is watched for an asset in Airflow 3.3 and newer: use ModelVersionSensor before",
            code="asset.airflow",
        )
        yield  # it is a generator

    async def news(self, cursor: Cursor | None) -> AsyncIterator[tuple[dict[str, Any], Cursor]]:
        """Each event and the cursor after it, for ever; an empty one where there is only something to note."""
        async with aclosing(self._looks()) as watching:  # type: ignore[type-var]
            async for seen in watching:
                if seen.error is not None:
                    self.log.error("%s; looking again later", line(seen.error))
                    continue
                registry, models = seen.found
                now = models.get(self.model)
                if cursor is None:
                    cursor = self._now(now)
                    yield {}, cursor
                try:
                    found = await asyncio.to_thread(self._since, registry, now, cursor)
                except MlgovError as error:
                    self.log.error("%s; looking again later", line(error))
                    continue
                for event, cursor in found:
                    yield identified(event, registry.uri, self.model, cursor.told) if event else {}, cursor

    def _looks(self) -> AsyncIterator[Look]:
        if self.tag is None:
            return overviews(self.mlflow_conn_id, self.duty, self.poll_interval)
        return tagged_versions(self.mlflow_conn_id, self.duty, self.poll_interval, self.tag)

    def _now(self, now: Any) -> Cursor:
        """Where to begin: at what is there, unless it is to be told too."""
        if self.from_version is not None or now is None:
            return Cursor(version=self.from_version or 0)
        if self.tag is not None:
            return Cursor(tagged=dict(now))
        if self.alias is not None:
            return Cursor(held=now.aliases.get(self.alias))
        return Cursor(version=max(now.newest.values(), default=0))

    def _since(self, registry: MlflowRegistry, now: Any, cursor: Cursor) -> Sequence[tuple[dict[str, Any], Cursor]]:
        return list(self._events(registry, now, cursor))

    def _events(self, registry: MlflowRegistry, now: Any, cursor: Cursor) -> Iterator[tuple[dict[str, Any], Cursor]]:
        if self.tag is not None:
            return new_tags(cursor, self.tag, now or {})
        if self.alias is not None:
            return moved_alias(cursor, self.alias, now)
        if now is None or max(now.newest.values(), default=0) <= cursor.version:
            return iter(())
        # several may have come between two looks, of which a look shows the newest alone
        return new_versions(cursor, {int(item.version): item.run_id for item in registry.versions(self.model)})


def tagged_versions(mlflow_conn_id: str, duty: str | None, interval: float, tag: str) -> AsyncIterator[Look]:
    """Each look at the versions of a registry that have a tag: one query for a thousand of them."""

    def look(registry: MlflowRegistry) -> tuple[MlflowRegistry, Mapping[str, Mapping[str, str]]]:
        return registry, registry.tagged(tag)

    return looks(("tag", tag, mlflow_conn_id, duty), interval, partial(_registry, mlflow_conn_id, duty), look)


def version_event(version: ModelVersion) -> dict[str, str | None]:
    """The small, JSON-serialisable form of a version: what a task puts into XCom."""
    return {"name": version.name, "version": version.version, "run_id": version.run_id}


def _event(payload: Mapping[str, Any]) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]  # Airflow's
