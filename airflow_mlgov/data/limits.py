"""How long work may take: a deadline for whatever a block does, which every engine asks for, and a watch that stops
what cannot ask. Refuses to go on behind it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from airflow_mlgov.errors import ConfigurationError

TIME_LIMIT = 3600.0
"""Seconds that a gate has if nobody says otherwise."""
_AGAIN = 0.2


class TimeLimitError(ConfigurationError):
    """The work took longer than its time limit. A retry does not help unless the machine was busy; a higher limit, or
    less to do, does."""

    code = "time_limit.exceeded"


@dataclass(frozen=True)
class Deadline:
    """When work must be done."""

    seconds: float
    """Of the whole work; infinite if it has no end."""
    at: float
    """By ``time.monotonic``."""

    @property
    def left(self) -> float:
        """Seconds until then, at least 0."""
        return max(0.0, self.at - time.monotonic())

    def check(self, what: str) -> None:
        """Go on only before it.

        :param what: what is being done, for the message: ``reading a.csv.gz``
        :raises TimeLimitError: it is over
        """
        if time.monotonic() >= self.at:
            raise self.error(what)

    def error(self, what: str) -> TimeLimitError:
        """What to raise if something was stopped."""
        return TimeLimitError(
            f"{what} was stopped after {self.seconds:g} s: raise time_limit, or give it less to do",
            code="time_limit.exceeded",
        )


_NONE = Deadline(math.inf, math.inf)
_CURRENT: ContextVar[Deadline] = ContextVar("mlgov_deadline", default=_NONE)


def deadline() -> Deadline:
    """The one that holds here; one without end outside of :func:`time_limit`. A thread has its own, so hand it over."""
    return _CURRENT.get()


@contextmanager
def time_limit(seconds: float) -> Iterator[Deadline]:
    """A deadline for what the block does; an earlier one that holds already stays.

    :raises ConfigurationError: not a positive number
    """
    require_time_limit(seconds)
    mine = Deadline(seconds, time.monotonic() + seconds)
    token = _CURRENT.set(min(mine, _CURRENT.get(), key=lambda one: one.at))
    try:
        yield _CURRENT.get()
    finally:
        _CURRENT.reset(token)


def require_time_limit(seconds: float) -> None:
    """Refuse a limit that is none.

    :raises ConfigurationError: not a positive number
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise ConfigurationError(
            f"time_limit must be a positive number of seconds, not {seconds!r}", code="time_limit.form"
        )


@contextmanager
def stopped_at(until: Deadline, stop: Callable[[], None]) -> Iterator[None]:
    """While the block runs, call ``stop`` from a thread of its own once the deadline is over, and again until the block
    has ended: for work in C that asks nobody but can be interrupted or killed from outside.

    :param stop: must be safe to call at any time, and more than once
    """
    if math.isinf(until.at):
        yield
        return
    ended = threading.Event()

    def watch() -> None:
        if not ended.wait(until.left):
            stop()
            while not ended.wait(_AGAIN):
                stop()

    watcher = threading.Thread(target=watch, name="mlgov-deadline", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
