"""A command in a process of its own that kills itself at one of its steps, or waits there until something else was
done: right before or right after a request over HTTP, a statement in SQL or a commit. Nothing is simulated but the
moment."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

NEVER = 0
_HANGS = 600
SPACE = "MLGOV_TESTS_LARGEST_FILE"
"""Variable: bytes beyond which no file of the command grows, as on a disk that is full."""


def run_interrupted(
    words: Sequence[object],
    variables: Mapping[str, str],
    at: int,
    steps: Path,
    strike: Callable[[], None] | None = None,
) -> int:
    """Run ``mlgov`` in a process that is interrupted at a step; its exit code, that of a signal negative.

    :param variables: of its environment
    :param at: which step, from 1; :data:`NEVER` for a run that is let to end
    :param steps: file that has a line for each step then
    :param strike: what is done at the step, while the command waits; it is killed if omitted
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "airflow_mlgov.cli", "requests", "sqlalchemy", "hvac"])
    here, there = context.Pipe()
    given = [str(word) for word in words], dict(variables), at, steps, there if strike else None
    child = context.Process(target=_run, args=given)
    child.start()
    there.close()
    if strike and here.poll(_HANGS):
        with suppress(EOFError):  # it has ended before
            here.recv()
            strike()
            here.send("go on")
    child.join(_HANGS)
    if child.exitcode is None:
        child.kill()
        raise AssertionError(f"{words} did not end")
    return child.exitcode


def _run(words: list[str], variables: dict[str, str], at: int, steps: Path, waits: Connection | None) -> None:
    from airflow_mlgov import cli

    os.environ.update(variables)
    sys.argv = ["mlgov", *words]
    out = os.open(steps.with_suffix(".out"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(out, stream)
    with steps.open("w", buffering=1) as told:
        done = 0

        def step(what: str) -> None:
            nonlocal done
            done += 1
            told.write(f"{what}\n")
            if done == at and waits is None:
                os.kill(os.getpid(), signal.SIGKILL)
            elif done == at:
                waits.send("here")
                waits.recv()

        _watch(step)
        if room := variables.get(SPACE):
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(room), int(room)))
        cli.main()


def _watch(step: Callable[[str], None]) -> None:
    """Have each call that leaves the process counted, before and after."""
    import psycopg
    import requests.adapters
    import sqlalchemy as sa
    from sqlalchemy.engine.default import DefaultDialect

    def around(owner: Any, name: str, what: Callable[..., str]) -> None:
        inner = getattr(owner, name)

        def watched(*given: Any, **more: Any) -> Any:
            step(f"before {what(*given)}")
            answer = inner(*given, **more)
            step(f"after {what(*given)}")
            return answer

        setattr(owner, name, watched)

    around(requests.adapters.HTTPAdapter, "send", lambda _, request, *__: f"{request.method} {request.path_url}")
    around(DefaultDialect, "do_commit", lambda *_: "COMMIT")
    around(
        psycopg.ClientCursor, "execute", lambda _, text, *__: "COMMIT" if "COMMIT" in text else text.split(None, 1)[0]
    )
    for moment in ("before", "after"):
        sa.event.listen(
            sa.Engine,
            f"{moment}_cursor_execute",
            lambda *given, moment=moment: step(f"{moment} {given[2].split(None, 1)[0]}"),
        )
