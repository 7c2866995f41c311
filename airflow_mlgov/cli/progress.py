"""Says on stderr that a command is still at work, how far it has come and since when: on a terminal in one line that is
written anew and wiped at the end, elsewhere in a line every ten seconds, with ``--quiet`` not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from airflow_mlgov import words
from airflow_mlgov.progress import following

_WONDERS = 2.0
"""Seconds after which somebody wonders."""
_LINES = 10.0
"""Seconds between two lines where there is no terminal."""
_WIDE = 80
_SILENT = [False]


def silence(silent: bool) -> None:
    """What ``--quiet`` says, for the rest of this process."""
    _SILENT[0] = silent


@contextmanager
def progress(
    what: str | Callable[[], str], stream: TextIO | None = None, quiet: float = _WONDERS, every: float = _LINES
) -> Iterator[None]:
    """``what``, how far it has come, and the seconds since.

    :param what: what is done; or what tells how far it has come
    :param stream: stderr itself if omitted: what commands write to would show the line's return
    :param quiet: seconds before a terminal is told
    :param every: seconds between two lines where there is none
    """
    shown = stream or sys.__stderr__
    if shown is None or _SILENT[0]:
        yield
        return
    line = _Line(what, shown)
    terminal = shown.isatty()
    pace = (line.rewrite, quiet, 1.0) if terminal else (line.add, every, every)
    try:
        with following(*pace):
            yield
    finally:
        line.wipe()


class _Line:
    def __init__(self, what: str | Callable[[], str], shown: TextIO) -> None:
        self._what, self._shown, self._last = what, shown, 0

    def rewrite(self, told: str, seconds: float) -> None:
        """In place of what was said before, and no longer than the terminal is wide."""
        said = self._said(told, seconds)
        over = len(said) - self._width() + 1
        if over > 0:
            end = f" … {seconds:.0f} s"
            said = f"{said[: -over - len(end)]}{end}"
        self._shown.write(f"\r{said.ljust(self._last)}")
        self._shown.flush()
        self._last = len(said)

    def add(self, told: str, seconds: float) -> None:
        """As a line of its own."""
        self._shown.write(f"{self._said(told, seconds)}\n")
        self._shown.flush()

    def wipe(self) -> None:
        """Leave nothing of what was rewritten."""
        if self._last:
            self._shown.write(f"\r{' ' * self._last}\r")
            self._shown.flush()

    def _said(self, told: str, seconds: float) -> str:
        what = self._what if isinstance(self._what, str) else self._what()
        return words.line(f"{what}{f': {told}' if told else ''} … {seconds:.0f} s")

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._shown.fileno()).columns or _WIDE
        except (OSError, ValueError):
            return _WIDE
