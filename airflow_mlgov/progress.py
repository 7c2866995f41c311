"""How far long work has come: who does it counts, who runs it is told every so often from a thread of its own. Where
nobody follows, counting costs next to nothing, and nothing that is told here decides anything."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TypeVar

_T = TypeVar("_T")
_GIGA = 1e9


class Progress:
    """What is being done now, and how much of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: list[_Step] = []
        self._rows: dict[str, int] = {}

    def told(self) -> str:
        """In words, such as ``12,000 of 50,000 ledger entries (24 %)``; empty where nobody has counted."""
        with self._lock:
            return next(filter(None, (step.told(self._rows) for step in reversed(self._steps))), "")

    @contextmanager
    def step(self, step: _Step) -> Iterator[None]:
        """Meanwhile, this is what is being done."""
        with self._lock:
            self._steps.append(step)
        try:
            yield
        finally:
            with self._lock:
                self._steps.remove(step)

    def has_rows(self, name: str, rows: int) -> None:
        """So many rows are in the data of this name."""
        with self._lock:
            self._rows[name] = rows


class _Step:
    def told(self, rows: dict[str, int]) -> str:
        raise NotImplementedError


class _Counted(_Step):
    def __init__(self, what: str, total: int) -> None:
        self.what, self.total, self.done = what, total, 0

    def told(self, rows: dict[str, int]) -> str:  # noqa: ARG002 - a query's
        if self.what.startswith("GB "):
            done, total = f"{self.done / _GIGA:.1f}", f"{self.total / _GIGA:.1f}"
        else:
            done, total = f"{self.done:,}", f"{self.total:,}"
        share = f" of {total} {self.what} ({min(100, 100 * self.done // self.total)} %)" if self.total else ""
        return f"{done}{share or f' {self.what}'}" if self.done else ""


class _Asked(_Step):
    def __init__(self, name: str, share: Callable[[], float]) -> None:
        self.name, self.share = name, share

    def told(self, rows: dict[str, int]) -> str:
        share = -1.0
        with suppress(Exception):  # it ended meanwhile
            share = self.share()
        short = self.name.rstrip("/").rpartition("/")[2]
        over = f"{rows[self.name]:,} rows of {short}" if self.name in rows else short
        return f"{share:.0f} % of a query over {over}" if 0 <= share <= 100 else ""


_FOLLOWED: ContextVar[Progress | None] = ContextVar("mlgov_progress", default=None)


def followed() -> Progress | None:
    """Who is told here; None if nobody is. A thread has its own."""
    return _FOLLOWED.get()


@contextmanager
def counting(what: str, total: int = 0) -> Iterator[Callable[[int], None]]:
    """Gives what to call with each further number that is done.

    :param what: the things in the plural, such as ``ledger entries``; ``GB …`` where bytes are counted
    :param total: how many there are; 0 if nobody knows
    """
    progress = _FOLLOWED.get()
    step = _Counted(what, total)

    def more(number: int) -> None:
        step.done += number

    if progress is None:
        yield more
        return
    with progress.step(step):
        yield more


def counted(things: Iterable[_T], what: str, total: int = 0, by: int = 1) -> Iterator[_T]:
    """The things as they pass; parameters as of :func:`counting`.

    :param by: how many each of them counts for
    """
    if _FOLLOWED.get() is None:
        yield from things
        return
    with counting(what, total) as more:
        for thing in things:
            yield thing
            more(by)


@contextmanager
def asking(name: str, share: Callable[[], float]) -> Iterator[None]:
    """While the block runs, a query over the data of this name.

    :param share: per cent of it, asked from another thread; anything else where it is not known
    """
    progress = _FOLLOWED.get()
    if progress is None:
        yield
        return
    with progress.step(_Asked(name, share)):
        yield


@contextmanager
def following(tell: Callable[[str, float], None], first: float, every: float) -> Iterator[None]:
    """Tell how far the block has come.

    :param tell: is given what :meth:`Progress.told` says and the seconds since the block began, from another thread
    :param first: seconds after which it is called first
    :param every: seconds between two calls
    """
    progress, over, since = Progress(), threading.Event(), time.monotonic()

    def follow() -> None:
        wait = first
        while not over.wait(wait):
            tell(progress.told(), time.monotonic() - since)
            wait = every

    teller = threading.Thread(target=follow, name="mlgov-progress", daemon=True)
    token = _FOLLOWED.set(progress)
    teller.start()
    try:
        yield
    finally:
        _FOLLOWED.reset(token)
        over.set()
        teller.join()
