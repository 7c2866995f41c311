"""How long work may take: a deadline for whatever a block does, which every engine asks for, and a watch that stops
what cannot ask; and whether rows fit into memory. Refuses to go on behind the one, and to begin without the other."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

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


class MemoryShortError(ConfigurationError):
    """What is to be held in memory does not fit into what the machine, or the container, has left. A retry does not
    help unless others let go of theirs."""

    code = "memory.short"


def require_memory(size: int, what: str) -> None:
    """Refuse before the work what would not fit, because a worker that is killed for it says nothing.

    :param size: estimated bytes
    :param what: what is to be held, for the message: ``a.parquet``
    :raises MemoryShortError: less is available
    """
    free = available_memory()
    if free is not None and size > free:
        raise MemoryShortError(
            f"the rows of {what} need about {size / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are available: give "
            "the worker more, or fewer rows or columns to judge",
            code="memory.short",
        )


def available_memory() -> int | None:
    """Bytes that the machine has left, or the control group that this process is in; None if nobody says."""
    found = [_left_of_group(folder) for folder in _groups()]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    except (OSError, ValueError, IndexError):
        pass
    known = [free for free in found if free is not None]
    return min(known) if known else None


def _groups() -> list[Path]:
    """The folders of this process's control groups of memory, of version 2 and 1; within a container it is the root."""
    root = Path("/sys/fs/cgroup")
    folders = [root, root / "memory"]
    try:
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers or "memory" in controllers.split(","):
                folders.append((root / "memory" if controllers else root) / path.lstrip("/"))
    except (OSError, ValueError):
        pass
    return folders


def _left_of_group(folder: Path) -> int | None:
    for most, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
        try:
            return int((folder / most).read_text()) - int((folder / used).read_text())
        except (OSError, ValueError):  # none such, or no limit ("max")
            continue
    return None
