"""Airflow 3.3's stream of events that are confirmed: what was told is noted once Airflow has stored it, not before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from airflow.sdk.execution_time.context import AssetStateStoreAccessor
from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

from airflow_mlgov.errors import DependencyError
from airflow_mlgov.triggers._cursor import KEY, Cursor

if TYPE_CHECKING:
    from airflow_mlgov.triggers.model_version import ModelVersionTrigger


class Told(SharedStreamProducer):
    """The events of one watcher."""

    def __init__(self, watcher: ModelVersionTrigger) -> None:
        self._watcher = watcher
        self._kept = AssetStateStoreAccessor(name=watcher.asset)

    async def open_stream(self) -> AsyncIterator[tuple[Any, Any]]:
        """Each event that was not told yet, with the cursor after it."""
        cursor = Cursor.of(await self._kept.aget(KEY))
        async with aclosing(self._watcher.news(cursor)) as news:  # type: ignore[type-var]
            async for event, after in news:
                yield event, after

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Note what Airflow has stored.

        :raises DependencyError: it could not store an event, which is told again
        """
        for item in batch:
            if not item.outcome.is_clean:
                raise DependencyError(
                    "Airflow has not stored an event of a model; it is told again", code="asset.not_stored"
                )
            await self._kept.aset(KEY, item.broker_payload.as_dict())
