"""On a terminal a command that takes long says so; elsewhere it says nothing."""

import io
import os
import pty
import threading

from airflow_mlgov.cli.progress import progress


def test_a_terminal_is_told_and_its_line_is_wiped() -> None:
    here, there = pty.openpty()
    shown, told = b"", threading.Event()
    with os.fdopen(there, "w", encoding="utf-8") as terminal:
        with progress("reading", terminal, quiet=0.01):
            while b"reading" not in shown:
                shown += os.read(here, 4096)
            told.set()
        shown += os.read(here, 4096)
    os.close(here)
    assert told.is_set()
    assert shown.startswith("\rreading … 0 s".encode())
    assert shown.endswith(b" \r")


def test_what_is_no_terminal_is_told_nothing() -> None:
    stream = io.StringIO()
    with progress("reading", stream, quiet=0.0):
        pass
    assert stream.getvalue() == ""


def test_how_far_it_has_come_is_told_anew() -> None:
    here, there = pty.openpty()
    shown, done = b"", [12_000]
    with (
        os.fdopen(there, "w", encoding="utf-8") as terminal,
        progress(lambda: f"{done[0]:,} read", terminal, quiet=0.01),
    ):
        while b"12,000 read" not in shown:
            shown += os.read(here, 4096)
        done[0] = 9
        while b"9 read" not in shown.replace(b"12,000 read", b""):
            shown += os.read(here, 4096)
    os.close(here)
    first, *others = shown.split(b"\r")[1:]
    assert all(len(line.decode()) >= len(first.decode()) for line in others)  # what was longer is written over
