"""How long work may take: a deadline for whatever a block does. Every engine is asked to stop when it is over (a query
is interrupted, a database's statement cancelled, a child killed, a loop asks); what does not stop then is left by an
exception. Refuses to go on behind it."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from airflow_mlgov.errors import ConfigurationError

TIME_LIMIT = 3600.0
"""Seconds that a gate has if nobody says otherwise."""
_AGAIN = 0.2
_GRACE, _BETWEEN = 1.5, 5.0
"""Seconds that work has to end after its deadline before it is left wherever it is, and then between two tries."""
_LONGEST = 1e6
_TICK = 0.5
"""Seconds of computing after which the main thread looks at the clock, also within a regular expression."""


class TimeLimitError(ConfigurationError):
    """The work took longer than its time limit. A retry does not help unless the machine was busy; a higher limit, or
    less to do, does."""

    code = "time_limit.exceeded"


class _LeftError(BaseException):
    """What leaves work that did not stop; no library takes it for an error of its own."""


@dataclass(frozen=True)
class Deadline:
    """When work must be done."""

    seconds: float
    """Of the whole work; infinite if it has no end."""
    at: float
    """By ``time.monotonic``."""
    watch: _Watch | None = field(default=None, repr=False, compare=False)
    """Stops what cannot ask; None if there is no end."""

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
def time_limit(seconds: float, what: str = "the work") -> Iterator[Deadline]:
    """A deadline for what the block does; an earlier one that holds already stays.

    :param what: what the block does, for the message if it had to be left
    :raises ConfigurationError: not a positive number
    :raises TimeLimitError: it was over
    """
    require_time_limit(seconds)
    at = time.monotonic() + seconds
    if _CURRENT.get().at <= at:
        yield _CURRENT.get()
        return
    watch = _Watch(at)
    mine = Deadline(seconds, at, watch)
    token = _CURRENT.set(mine)
    try:
        with watch:
            yield mine
    except _LeftError:
        raise mine.error(what) from None
    except Exception as error:
        if type(error).__name__ == "InterruptException" and time.monotonic() >= at:  # DuckDB's, between two queries
            raise mine.error(what) from None
        raise
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
def stopped_at(until: Deadline, stop: Callable[[], object]) -> Iterator[None]:
    """While the block runs, call ``stop`` from another thread once the deadline is over, and again until the block has
    ended: for work that asks nobody but can be interrupted or cancelled from outside.

    :param stop: must be safe to call at any time, and more than once; what it raises is nobody's affair
    """
    if until.watch is None:
        yield
        return
    with until.watch.calling(stop):
        yield


class _Watch:
    """The thread that waits for a deadline of a block of the thread that makes it."""

    def __init__(self, at: float) -> None:
        self._at = at
        self._stops: list[Callable[[], object]] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._worker = threading.get_ident()
        self._by_signal = threading.current_thread() is threading.main_thread() and hasattr(signal, "pthread_kill")
        self._leaves = at + _GRACE
        self._thread = threading.Thread(target=self._run, name="mlgov-deadline", daemon=True)

    def __enter__(self) -> None:
        if self._by_signal:
            self._handler = signal.signal(signal.SIGVTALRM, self._leave)
            wait = max(_TICK, self._leaves - time.monotonic())
            self._timer = signal.setitimer(signal.ITIMER_VIRTUAL, min(wait, _LONGEST), _TICK)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        while not self._over.is_set():  # one that is on its way may arrive here
            with contextlib.suppress(_LeftError), self._lock:
                self._over.set()
        with contextlib.suppress(_LeftError):
            if not self._by_signal:
                _throw(self._worker, None)
        if self._by_signal:
            signal.setitimer(signal.ITIMER_VIRTUAL, *self._timer)
            signal.signal(signal.SIGVTALRM, self._handler or signal.SIG_IGN)

    @contextmanager
    def calling(self, stop: Callable[[], object]) -> Iterator[None]:
        with self._lock:
            self._stops.append(stop)
        try:
            yield
        finally:
            with self._lock:
                self._stops.remove(stop)

    def _run(self) -> None:
        if self._over.wait(max(0.0, self._at - time.monotonic())):
            return
        while not self._over.is_set():
            with self._lock:
                for stop in () if self._over.is_set() else tuple(self._stops):
                    with contextlib.suppress(Exception):
                        stop()
                if time.monotonic() >= self._leaves and not self._over.is_set():
                    if self._by_signal:
                        signal.pthread_kill(self._worker, signal.SIGVTALRM)
                    else:
                        self._leaves = time.monotonic() + _BETWEEN
                        _throw(self._worker, _LeftError)
            self._over.wait(_AGAIN)

    def _leave(self, *_: object) -> None:
        """In the main thread, also while it waits for a lock, a child or a server."""
        now = time.monotonic()
        if now >= self._leaves and not self._over.is_set():
            self._leaves = now + _BETWEEN
            raise _LeftError


def _throw(thread: int, error: type[BaseException] | None) -> None:
    """An exception for another thread, which meets it at its next line of Python; None: not any more."""
    import ctypes

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error) if error else None)
