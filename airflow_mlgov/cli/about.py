"""``mlgov explain`` and ``completion``: what this package says of its own words."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from airflow_mlgov.cli.common import AsJson, print_json, say
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.strict_files import meant, nearest

SHELLS = ("bash", "zsh", "fish")


def explain(
    code: Annotated[str, typer.Argument(help="What a message has in brackets, or before a colon: bound.not_met.")],
    as_json: AsJson = False,
) -> None:
    """Say what the code of an error or of a reason to refuse means, and what to do."""
    found = _known(code.strip("[]: "))
    if as_json:
        print_json(found)
        return
    for one in found:
        say(f"{one['code']}, {one['kind']}: {one['means']}", *([f"  mend: {one['mend']}"] if one["mend"] else []))


def _known(code: str) -> list[dict[str, Any]]:
    """A code may be an error's and a reason's."""
    from airflow_mlgov.error_codes import MEANINGS
    from airflow_mlgov.governance.reasons import reasons

    found: list[dict[str, Any]] = []
    if code in reasons():
        reason = reasons()[code]
        found.append({"code": code, "kind": "a reason to refuse", "means": reason.title, "mend": reason.mend})
    if code in MEANINGS:
        found.append({"code": code, "kind": "an error", "means": MEANINGS[code], "mend": None})
    if not found:
        near = meant(code, {**MEANINGS, **reasons()}) or ": if it is of a rule of your own, see the policy's rules"
        raise ConfigurationError(f"there is no code {code!r}{near}", code="code.unknown")
    return found


def completion(
    shell: Annotated[str, typer.Argument(help="bash, zsh or fish.")],
) -> None:
    """Print what lets a shell complete commands and options: `source <(mlgov completion bash)`; for fish,
    `mlgov completion fish | source`."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # typer's own commands use it too

    if shell not in SHELLS:
        raise ConfigurationError(f"no completion for {shell!r}{nearest(shell, SHELLS)}", code="shell.unknown")
    print(get_completion_script(prog_name="mlgov", complete_var="_MLGOV_COMPLETE", shell=shell))
