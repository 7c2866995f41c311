"""Runs one command as a child process without credentials, with a time-out, and kills whatever it started. It is no
sandbox: the child runs as the same user. Refuses to hand down any environment variable that is not named."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from airflow_mlgov.data.limits import deadline
from airflow_mlgov.data.memory import exceeded, limit_child
from airflow_mlgov.errors import MlgovError

_LINE_LIMIT = 300
_STDERR_TAIL = 16_384
_OUT_OF_MEMORY = ("MemoryError", "bad_alloc", "Cannot allocate memory", "Unable to allocate")


class ChildError(MlgovError):
    """The child process crashed, took too long or wrote nothing usable. Trying again helps only if the machine was
    short of time or memory; the message holds the child's last line."""

    code = "child.failed"


def run_child(
    command: Sequence[str],
    work: Path,
    environment: Mapping[str, str],
    *,
    what: str,
    timeout: float,
    error: type[ChildError] = ChildError,
) -> None:
    """Run ``command`` in the private folder ``work`` until it ends well, within the memory limit that holds here.

    :param environment: the child's whole environment
    :param what: what it does, for messages: ``scoring``
    :param timeout: seconds before the child and every process of its group are killed; the deadline of what asks for it
        may come earlier
    :raises ChildError: as ``error``: it took too long, was killed, or ended with another code than 0
    :raises MemoryLimitError: it needs more than ``memory_limit`` beside its libraries
    :raises TimeLimitError: the deadline came
    :raises OSError: the command cannot be started
    """
    until = deadline()
    allowed = min(timeout, until.left)
    with (work / "stderr.txt").open("wb") as errors:
        child = subprocess.Popen(
            command,
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            close_fds=True,
            start_new_session=True,
        )
        limit_child(child.pid)
        try:
            in_time = _wait(child.pid, allowed)
        finally:
            # before it is reaped, so that its id, which is also its session's, can be nobody else's yet
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            code = child.wait()
    if not in_time:
        if allowed < timeout:
            raise until.error(what)
        raise error(f"{what} took longer than {timeout:g} s and was stopped; raise timeout", code="child.timeout")
    if code:
        how, said = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}", _last_line(work)
        if wants_memory(said):
            raise exceeded(what)
        raise error(f"{what} {how}: {said}", code="child.failed")


def wants_memory(said: str) -> bool:
    """Whether somebody says that there was no memory for it."""
    return any(word in said for word in _OUT_OF_MEMORY)


def child_environment(work: Path, names: Sequence[str]) -> dict[str, str]:
    """The variables of this process that are named, and ``work`` for a home."""
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return {**kept, "HOME": str(work), "TMPDIR": str(work)}


def clean(text: str) -> str:
    """One printable line without what looks like a credential."""
    text = "".join(sign if sign.isprintable() else " " for sign in text)
    text = re.sub(r"://[^\s/@]+@", "://***@", text)
    text = re.sub(
        r"(?i)([\w-]*(?:password|passwd|secret|token|api_?key|authorization)[\w-]*)(['\"]?\s*[=:]\s*)\S+(\s+\S+)?",
        r"\1\2***",
        text,
    )
    return text[:_LINE_LIMIT] + ("…" if len(text) > _LINE_LIMIT else "")


def _wait(pid: int, timeout: float) -> bool:
    """Whether the process ended within ``timeout`` seconds; it is left to be reaped."""
    deadline = time.monotonic() + timeout
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _last_line(work: Path) -> str:
    path = work / "stderr.txt"
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _STDERR_TAIL))
        lines = file.read().decode("utf-8", "replace").strip().splitlines()
    return clean(lines[-1]) if lines else "it said nothing"
