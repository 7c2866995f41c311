"""Folders for temporary files, which go away at the end; those of a process that was killed go away when another begins
on the machine. Refuses to touch a folder that a process holds, or somebody else's."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

PREFIX = "mlgov-work-"
_YOUNG = 60.0
"""Seconds in which a folder may not be held yet by the process that has made it."""


@contextmanager
def scratch_folder(what: str) -> Iterator[Path]:
    """An empty folder that only this user may read.

    :param what: a word of its name, for who looks into the temporary folder
    """
    _clear(tempfile.gettempdir())
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{what}-", ignore_cleanup_errors=True) as name:
        handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _held(handle)
            yield Path(name)
        finally:
            os.close(handle)


@cache
def _clear(folder: str) -> None:
    """Remove what killed processes have left, once for each process and temporary folder."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            if entry.name.startswith(PREFIX):
                with suppress(OSError):
                    _remove_unheld(Path(entry.path))


def _remove_unheld(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(handle)
        old = time.time() - found.st_mtime > _YOUNG
        if found.st_uid == os.getuid() and old and _held(handle):
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(handle)


def _held(handle: int) -> bool:
    """Hold a folder for as long as its handle is open, which the kernel closes for who is killed; False if another
    process does already, or nobody can."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True
