"""Every command of ``mlgov`` that does something."""

from collections.abc import Iterator
from typing import Any

import click

from airflow_mlgov.cli.app import COMMANDS as NAMES
from airflow_mlgov.cli.app import app_command


def _commands() -> Iterator[tuple[str, Any]]:
    def below(path: str, command: Any) -> Iterator[tuple[str, Any]]:
        if not hasattr(command, "list_commands"):
            yield path, command
            return
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from below(f"{path} {name}", command.get_command(context, name))

    for name in NAMES:
        yield from below(name, app_command(name))


COMMANDS: dict[str, Any] = dict(_commands())
"""By the words that call it."""
