"""Waits in the triggerer until the ledger has something new about a model, or a moment has come. It verifies nothing:
the task that it wakes does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_mlgov.configuration import option
from airflow_mlgov.triggers._rounds import Look, looks

if TYPE_CHECKING:
    from airflow_mlgov.evidence.chain import Entry
    from airflow_mlgov.evidence.ledger import Ledger

_AT_ONCE = 10_000
"""Entries that one look takes of a ledger that has grown."""


class LedgerTrigger(BaseTrigger):
    """Fires once, when an entry after ``since`` is about the model or one of the digests, or at ``until``.

    It goes by ledger numbers, so neither a restart of the triggerer nor an outage loses an entry. All that wait for the
    ledger in one process ask it once an interval.

    :param model: name of the registered model
    :param digests: also entries about these bytes: the data that a model was made from
    :param since: number of the last entry that is known
    :param until: a moment, in ISO 8601, at which to fire whatever the ledger says
    :param poll_interval: seconds between two looks
    """

    def __init__(
        self,
        *,
        model: str,
        since: int,
        digests: Sequence[str] = (),
        until: str | None = None,
        poll_interval: float = 60.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's
        self.model = model
        self.since = since
        self.digests = list(digests)
        self.until = until
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, as the triggerer stores them."""
        names = ("model", "since", "digests", "until", "poll_interval")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch until there is something to look at."""
        since = self.since
        async with aclosing(_looks(self.poll_interval)) as watching:  # type: ignore[type-var]
            async for seen in watching:
                if seen.error is not None:
                    yield _event({"error": seen.error.coded})
                    return
                if self.until is not None and datetime.now(UTC) >= datetime.fromisoformat(self.until):
                    yield _event({"moment": self.until})
                    return
                news: News = seen.found
                if since < news.first:  # it waited before this process began to look
                    await asyncio.to_thread(news.reach_back, since)
                if news.concerns(since, self.model, self.digests):
                    yield _event({"seq": news.size})
                    return
                since = news.size


class News:
    """What has come into a ledger since this process first looked: who each entry is about.

    :param first: number of the last entry before
    """

    def __init__(self, ledger: Ledger, first: int) -> None:
        self._ledger = ledger
        self.first = first
        self._about: list[tuple[str, str]] = []
        self._one_at_a_time = Lock()

    @property
    def size(self) -> int:
        """Number of the last entry that was looked at."""
        return self.first + len(self._about)

    def look(self) -> News:
        """Take what is new: one query, and another for each ten thousand entries more."""
        with self._one_at_a_time:
            while True:
                found = self._ledger.since(self.size, _AT_ONCE)
                self._about += map(_about, found)
                if len(found) < _AT_ONCE:
                    return self

    def reach_back(self, since: int) -> None:
        """Look at what came before this process did, from a number on."""
        with self._one_at_a_time:
            if since < self.first:
                older = self._ledger.since(since, self.first - since)
                self._about, self.first = [*map(_about, older), *self._about], since

    def concerns(self, since: int, model: str, digests: Sequence[str]) -> bool:
        """Whether an entry after a number is about a model or one of the digests."""
        new, mine = self._about[since - self.first :], f"models:/{model}"
        return any(name.rpartition("/")[0] == mine or digest in digests for name, digest in new)


def _about(entry: Entry) -> tuple[str, str]:
    return entry.subject_name, entry.subject_digest


def _looks(interval: float) -> AsyncIterator[Look]:
    from airflow_mlgov.hooks.ledger import LedgerHook

    def news() -> News:
        ledger = LedgerHook(create=False).get_conn()
        return News(ledger, ledger.last()[0])

    return looks(("ledger", option("ledger_conn_id"), option("ledger")), interval, news, News.look)


def _event(payload: Mapping[str, Any]) -> TriggerEvent:
    return TriggerEvent(dict(payload))  # type: ignore[no-untyped-call]  # Airflow's
