"""``airflow mlgov``: the commands of ``mlgov`` as a group of Airflow's own command line, read by the provider's ``cli``
entry (Airflow 3.2 and newer). Each runs as ``mlgov`` does, with its output and its exit codes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow.cli.cli_config import CLICommand

_GROUP = "mlgov"


def get_commands() -> list[CLICommand]:
    """The group. What its commands take is worked out where they are asked for: this is called for every `airflow`."""
    from airflow_mlgov.cli.app import COMMANDS

    is_asked = _GROUP in sys.argv[1:2]
    below = [_of(name) if is_asked else _bare(name, known.help) for name, known in COMMANDS.items()]
    said = "ML governance: gates, evidence and promotion, as `mlgov` does them"
    return [GroupCommand(name=_GROUP, help=said, subcommands=below)]


def run(_: Namespace) -> None:
    """Hand the words over to ``mlgov``; ends with its exit code."""
    from airflow_mlgov.cli import main

    sys.argv = [_GROUP, *sys.argv[sys.argv.index(_GROUP) + 1 :]]
    main()


def _bare(name: str, said: str) -> CLICommand:
    return ActionCommand(name=name, help=said, func=run, args=())


def _of(name: str) -> CLICommand:
    from airflow_mlgov.cli.app import app_command

    return _converted(name, app_command(name))


def _converted(name: str, command: Any) -> CLICommand:
    """A command of typer's, or a group of them, as one of Airflow's."""
    said = _plain(command.help or "")
    first, _, rest = said.partition("\n")
    if hasattr(command, "list_commands"):
        below = [_converted(word, command.get_command(None, word)) for word in command.list_commands(None)]
        return GroupCommand(name=name, help=first, subcommands=below)
    parameters = [_argument(item) for item in command.params]
    shown = f"{first}\n{rest}".rstrip()
    epilog = _plain(command.epilog or "").replace("\b\n", "")
    return ActionCommand(name=name, help=first, description=shown, func=run, args=parameters, epilog=epilog)


def _argument(parameter: Any) -> Arg:
    if parameter.param_type_name == "argument":
        count = "*" if parameter.nargs == -1 else None if parameter.required else "?"
        given = {} if count is None else {"nargs": count}
        return Arg((parameter.name,), help=_plain(parameter.help or ""), **given)  # type: ignore[no-untyped-call]
    names, taking = tuple(parameter.opts), dict(_taking(parameter))
    return Arg(names, help=_plain(parameter.help or ""), **taking)  # type: ignore[no-untyped-call]


def _taking(parameter: Any) -> Iterator[tuple[str, Any]]:
    if parameter.is_flag:
        yield "action", "store_true"
        return
    if parameter.multiple:
        yield "action", "append"
    yield "metavar", parameter.metavar or "VALUE"


def _plain(text: str) -> str:
    """Text that neither argparse nor rich takes for markup."""
    return text.replace("%", "%%").replace("[", "\\[")
