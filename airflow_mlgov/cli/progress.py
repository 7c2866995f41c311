"""Says on a terminal that a command is still at work, and since when. Where stderr is none, it says nothing."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

_QUIET = 2.0
"""Seconds after which somebody wonders."""


@contextmanager
def progress(what: str | Callable[[], str], stream: TextIO | None = None, quiet: float = _QUIET) -> Iterator[None]:
    """``what`` and the seconds since, on one line that is wiped at the end.

    :param what: words of ours alone, for they are written to the terminal itself; or what tells how far it has come
    :param stream: stderr itself if omitted: what commands write to would show the line's return
    """
    shown = stream or sys.__stderr__
    if shown is None or not shown.isatty():
        yield
        return
    over = threading.Event()
    teller = threading.Thread(target=_tell, args=(what, shown, over, quiet), daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def _tell(what: str | Callable[[], str], shown: TextIO, over: threading.Event, quiet: float) -> None:
    since = time.monotonic()
    said = ""
    while not over.wait(quiet if not said else 1.0):
        before, words = len(said), what if isinstance(what, str) else what()
        said = f"{words} … {time.monotonic() - since:.0f} s".ljust(before)
        shown.write(f"\r{said}")
        shown.flush()
    if said:
        shown.write(f"\r{' ' * len(said)}\r")
        shown.flush()
