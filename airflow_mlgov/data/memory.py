"""How much memory work may take. What needs much is asked for before it is made (:func:`require_memory`); what nobody
could foresee ends where the process would grow beyond the limit and what libraries need, with an error of ours and not
of the kernel's. Refuses to begin what does not fit."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from airflow_mlgov.data.relation import MEMORY_LIMIT, bytes_of, require_memory_limit
from airflow_mlgov.errors import ConfigurationError

_LIBRARIES = 4 << 30
"""Bytes that libraries may take beside the limit while they are imported, and for each core (threads, their heaps)."""
_FOR_A_CORE = 128 << 20

_CURRENT: ContextVar[str] = ContextVar("mlgov_memory_limit", default=MEMORY_LIMIT)


class MemoryLimitError(ConfigurationError):
    """The work needs more than its memory limit and cannot spill; a retry does not help, a higher limit does."""

    code = "memory_limit.exceeded"


class MemoryShortError(ConfigurationError):
    """What is to be held in memory does not fit into what the machine, or the container, has left. A retry does not
    help unless others let go of theirs."""

    code = "memory.short"


def require_memory(size: int, what: str, limit: str | None = None) -> None:
    """Refuse before the work what would not fit, because a worker that is killed for it says nothing.

    :param size: estimated bytes
    :param what: what is to be held, for the message: ``a.parquet``
    :param limit: such as ``512MB``; what :func:`memory_limit` says if omitted
    :raises MemoryLimitError: the limit is smaller
    :raises MemoryShortError: the machine has less left
    """
    allowed = limit or _CURRENT.get()
    if size > bytes_of(allowed):
        raise MemoryLimitError(
            f"the rows of {what} need about {size / 1e6:,.0f} MB of memory, more than the limit of {allowed}: raise "
            "memory_limit, or give it fewer rows or columns to judge",
            code="memory_limit.exceeded",
        )
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


def allowed_memory() -> int:
    """Bytes of the limit that holds here."""
    return bytes_of(_CURRENT.get())


@contextmanager
def memory_limit(limit: str, what: str) -> Iterator[None]:
    """The limit of what the block does; whatever does not fit ends with an error.

    :param limit: such as ``512MB``
    :param what: what the block does, for the message: ``the gate performance``
    :raises ConfigurationError: the limit is not a size
    :raises MemoryLimitError: it takes more
    """
    require_memory_limit(limit)
    token = _CURRENT.set(limit)
    try:
        with _CEILING.raised_by(bytes_of(limit)):
            yield
    except MemoryError:
        raise exceeded(what) from None
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        raise exceeded(what) from None
    finally:
        _CURRENT.reset(token)


def exceeded(what: str) -> MemoryLimitError:
    """What to raise if ``what`` was not given the memory that it asked for."""
    return MemoryLimitError(
        f"{what} needs more memory than the limit of {_CURRENT.get()} and cannot be spilled: raise memory_limit, or "
        "give it fewer rows or columns to judge",
        code="memory_limit.exceeded",
    )


class _Ceiling:
    """The kernel's limit of this process's own data (``RLIMIT_DATA``, kept by Linux): an allocation beyond it fails,
    and is an exception in Python and in C++. Several blocks at once have the sum of theirs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: list[int] = []
        self._before: tuple[int, int] | None = None
        self._taken = 0

    @contextmanager
    def raised_by(self, size: int) -> Iterator[None]:
        """Let the process take ``size`` more than it had when the first block began."""
        with self._lock:
            if not self._held:
                self._before, self._taken = _limits(), _data_of_this_process()
            self._held.append(size)
            self._set()
        try:
            yield
        finally:
            with self._lock:
                self._held.remove(size)
                self._set()

    def child(self) -> tuple[int, int] | None:
        """The limits that a child process is to have: those of this process without the blocks'."""
        return self._before if self._held else None

    def _set(self) -> None:
        if self._before is None or not self._taken:
            return
        import resource

        soft, hard = self._before
        if self._held:
            most = self._taken + sum(self._held) + _LIBRARIES + _FOR_A_CORE * (os.cpu_count() or 1)
            soft = most if soft == resource.RLIM_INFINITY else min(most, soft)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


_CEILING = _Ceiling()


def limit_child(process: int) -> None:
    """A child process inherits the ceiling of the work that starts it; give it one of its own: the limit that holds
    here beside what libraries take, or what this process had before if that is less. Kept by Linux."""
    before = _CEILING.child() or _limits()
    if before is None:
        return
    import resource

    allowed = allowed_memory() + _LIBRARIES
    most = [allowed if each == resource.RLIM_INFINITY else min(allowed, each) for each in before]
    try:
        resource.prlimit(process, resource.RLIMIT_DATA, (most[0], most[1]))
    except (AttributeError, OSError):  # not Linux; or it has ended already
        return


def _limits() -> tuple[int, int] | None:
    try:
        import resource
    except ImportError:
        return None
    return resource.getrlimit(resource.RLIMIT_DATA)


def _data_of_this_process() -> int:
    """Bytes as ``RLIMIT_DATA`` counts them; 0 where nobody says."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))
    except (OSError, StopIteration, ValueError):
        return 0
