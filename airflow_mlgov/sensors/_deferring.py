"""What the sensors over the ledger share: they look, and wait here or in the triggerer until there is something new."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseSensorOperator, PokeReturnValue, conf

from airflow_mlgov.operators.base import final
from airflow_mlgov.triggers.ledger import LedgerTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


def waits_in_triggerer(deferrable: bool | None) -> bool:
    """What a sensor was told, or else ``[operators] default_deferrable``."""
    return (
        bool(conf.getboolean("operators", "default_deferrable", fallback=False)) if deferrable is None else deferrable
    )


@dataclass(frozen=True)
class Seen:
    """What one look at the ledger has found, and what is worth another."""

    is_done: bool
    value: Any
    """The XCom, if it is done."""
    size: int
    """How many entries the ledger had."""
    digests: tuple[str, ...] = ()
    """What entries have to be about, beside the model, to be worth another look."""
    until: datetime | None = None
    """When to look again, whatever the ledger says."""


class LedgerSensor(BaseSensorOperator):  # type: ignore[misc]  # untyped to mypy here
    """Base of the sensors that wait for something in the ledger about a model.

    In the triggerer they wait until an entry is about it, and no worker is woken before: one query an interval serves
    all of them.
    """

    deferrable: bool | None

    @abstractmethod
    def look(self, context: Context) -> Seen:
        """Look once."""

    @property
    @abstractmethod
    def model_name(self) -> str:
        """Whom entries have to be about."""

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        seen = self.look(context)
        return PokeReturnValue(seen.is_done, seen.value)

    def execute(self, context: Context) -> Any:
        """Look now; if there is nothing yet, wait here or in the triggerer."""
        if not waits_in_triggerer(self.deferrable):
            return super().execute(context)
        return self.execute_complete(context, until=(datetime.now(UTC) + timedelta(seconds=self.timeout)).isoformat())

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None, until: str = "") -> Any:
        """Look, and wait in the triggerer until another look is worth it."""
        if event and "error" in event:
            raise final(event["error"])
        seen = self.look(context)
        if seen.is_done:
            return seen.value
        self.defer(
            trigger=LedgerTrigger(
                model=self.model_name,
                since=seen.size,
                digests=seen.digests,
                until=seen.until.isoformat() if seen.until else None,
                poll_interval=float(self.poke_interval),
            ),
            method_name="execute_complete",
            kwargs={"until": until},
            timeout=max(datetime.fromisoformat(until) - datetime.now(UTC), timedelta()),
        )
        return None
