"""One look an interval at a place, for all in this process that watch it: a thousand sensors ask a registry once.

Looks are jittered, and an outage is backed off from; whoever watches sees each look that succeeds, and the errors that
no waiting mends.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Hashable
from contextvars import Context
from dataclasses import dataclass
from typing import Any

from airflow_mlgov.errors import AccessError, DependencyError, MlgovError, told
from airflow_mlgov.words import line

log = logging.getLogger(__name__)

JITTER = 0.1
"""Of the interval, either way: triggerers that started together do not ask together."""
FIRST = 3.0
"""The most seconds before a first look. None at once: Airflow fails a task whose trigger fires before the scheduler has
taken notice that it waits."""
LONGEST = 900.0
"""Seconds that an outage is backed off for at most, unless the interval is longer."""
_DOUBLINGS = 8


@dataclass(frozen=True)
class Look:
    """What a look has found."""

    found: Any = None
    error: MlgovError | None = None
    """What no waiting mends: a mistake in the settings, or an identity that is refused twice."""


class Round:
    """The looks at one place. It begins with the first who watches, and ends with the last.

    :param open_place: opens the place, in a thread; what it gives is kept until an identity is refused
    :param look: looks at it, in a thread
    """

    def __init__(self, open_place: Callable[[], Any], look: Callable[[Any], Any]) -> None:
        self._open = open_place
        self._look = look
        self._place: Any = None
        self._intervals: dict[object, float] = {}
        self._joined = asyncio.Event()
        self._next = asyncio.Event()
        self._seen = Look()
        self._misses = 0
        self.task = asyncio.create_task(self._go(), context=Context())  # whose log is that of no single task

    async def watch(self, me: object, interval: float) -> AsyncIterator[Look]:
        """Each look from now on."""
        self._intervals[me] = interval
        self._joined.set()
        try:
            while True:
                await self._next.wait()
                yield self._seen
        finally:
            del self._intervals[me]
            if not self._intervals:
                self.task.cancel()

    async def _go(self) -> None:
        clock = asyncio.get_running_loop().time
        last = None
        while True:
            await self._pause(last)
            seen = await self._try()
            last = clock()
            if seen is not None:
                self._seen = seen
                fresh, self._next = self._next, asyncio.Event()
                fresh.set()

    async def _pause(self, last: float | None) -> None:
        """Until the next look is due, which somebody who joins with a shorter interval brings nearer."""
        clock = asyncio.get_running_loop().time
        begun, drawn = clock() if last is None else last, random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
        while True:
            interval = min(self._intervals.values(), default=LONGEST)
            base = min(interval, FIRST) if last is None else interval
            wait = min(base * 2 ** min(self._misses, _DOUBLINGS), max(interval, LONGEST)) * drawn
            self._joined.clear()
            try:
                await asyncio.wait_for(self._joined.wait(), max(begun + wait - clock(), 0))
            except TimeoutError:
                return

    async def _try(self) -> Look | None:
        """One look; None where it is worth waiting for the next."""
        held = self._place is not None
        try:
            if not held:
                self._place = await asyncio.to_thread(self._open)
            found = await asyncio.to_thread(self._look, self._place)
        except Exception as error:
            said = told(error)
            self._misses += 1
            if not isinstance(said, DependencyError):
                self._place = None  # credentials may have been rotated, and a connection mended
            if isinstance(said, DependencyError) or (isinstance(said, AccessError) and held):
                log.warning("%s; looking again later", line(said))
                return None
            return Look(error=said)
        self._misses = 0
        return Look(found)


_rounds: dict[tuple[asyncio.AbstractEventLoop, Hashable], Round] = {}


async def looks(
    key: Hashable, interval: float, open_place: Callable[[], Any], look: Callable[[Any], Any]
) -> AsyncIterator[Look]:
    """Each look at a place, which all who give the same key share.

    :param interval: seconds; the shortest of all who watch is kept to
    """
    here = (asyncio.get_running_loop(), key)
    held = _rounds.get(here)
    if held is None or held.task.done() or held.task.cancelling():
        held = _rounds[here] = Round(open_place, look)
    me = object()
    watching = held.watch(me, interval)
    try:
        async for seen in watching:
            yield seen
    finally:
        await watching.aclose()  # type: ignore[attr-defined]  # it is a generator
        if held.task.cancelling() and _rounds.get(here) is held:
            del _rounds[here]
