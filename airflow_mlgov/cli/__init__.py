"""``mlgov``: the same gates and the same decision as the operators, without Airflow.

Exit codes: 0 pass, allowed or verified; 1 fail, denied or tampered; 2 bad usage or configuration; 3 inconclusive;
4 a dependency could not be reached; 5 a mistake of this package.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from airflow_mlgov.cli.app import app
from airflow_mlgov.cli.common import Screen, print_json, say
from airflow_mlgov.cli.configured import is_completing, misread
from airflow_mlgov.cli.postponed import postpone_signers
from airflow_mlgov.cli.progress import silence
from airflow_mlgov.cli.renamed import renamed
from airflow_mlgov.cli.values import require_text
from airflow_mlgov.errors import (
    AccessError,
    ConfigurationError,
    DependencyError,
    InternalError,
    MlgovError,
    PromotionRefused,
    told,
)


def main() -> None:
    """Run the command line; whatever goes wrong is its code and message on stderr. ``--debug`` shows a traceback,
    ``--quiet`` no progress."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")  # they would be looked for in every package that is here
    postpone_signers()
    debug = "--debug" in sys.argv
    silence("--quiet" in sys.argv)
    arguments = [word for word in sys.argv[1:] if word not in ("--debug", "--quiet")]
    if is_completing():
        from typer.completion import completion_init  # type: ignore[attr-defined]

        completion_init()
    with _screened(arguments):
        try:
            require_text(arguments)
            app(renamed(arguments))
        except Exception as error:
            if debug:
                import traceback

                traceback.print_exc()
            _end(told(_of_airflows_file(error)), as_json="--json" in arguments)


def exit_code(error: MlgovError) -> int:
    """The exit code of an error."""
    if isinstance(error, ConfigurationError):
        return 2
    if isinstance(error, InternalError):
        return 5
    return 4 if isinstance(error, DependencyError | AccessError) else 1


def denied(error: MlgovError) -> dict[str, object]:
    """What ``--json`` prints where a command ends in an error: ``error`` with ``code`` and ``message``; of a refusal
    also ``allowed`` and the ``reasons``."""
    said = {"error": {"code": error.code, "message": str(error).split("\n")[0]}}
    if not isinstance(error, PromotionRefused):
        return {**said}
    return {"allowed": False, **said, "reasons": [{"code": code, "message": text} for code, text in error.reasons]}


def _of_airflows_file(error: Exception) -> Exception:
    """What Airflow raises where its own airflow.cfg cannot be parsed, as one of ours; any other as it is."""
    return misread("airflow.cfg", error) if type(error).__module__ == "configparser" else error


def _end(error: MlgovError, *, as_json: bool) -> None:
    first, *more = str(error).split("\n")
    if as_json:
        print_json(denied(error))
    say(f"error [{error.code}]: {first}", *more, to=sys.stderr)
    sys.exit(exit_code(error))


@contextmanager
def _screened(arguments: list[str]) -> Iterator[None]:
    """Nothing reaches the terminal that moves its cursor, whoever writes it. The demo draws in colours of its own, and
    what a shell asks for is read by no person."""
    if arguments[:1] == ["demo"] or is_completing():
        yield
        return
    with redirect_stdout(Screen(sys.stdout)), redirect_stderr(Screen(sys.stderr)):
        yield
