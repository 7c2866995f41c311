"""The command line as Markdown: each command with its help, arguments, options and examples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow_mlgov.reference.settings import text_of


def commands() -> dict[str, Any]:
    """Every command that does something, by the words that call it."""
    from airflow_mlgov.cli.app import COMMANDS, app_command

    return {path: each for name in COMMANDS for path, each in _below(name, app_command(name))}


def commands_section() -> str:
    """Each command with a heading."""
    from airflow_mlgov.cli.examples import EXAMPLES

    return "\n".join(_section(path, each, EXAMPLES.get(path, ())) for path, each in commands().items())


def _below(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "list_commands"):
        yield path, command
        return
    for name in command.list_commands(None):
        yield from _below(f"{path} {name}", command.get_command(None, name))


def _section(path: str, command: Any, examples: tuple[str, ...]) -> str:
    given = [item for item in command.params if item.name != "help" and not getattr(item, "hidden", False)]
    rows = [f"| {_called(item)} | {text_of(_described(item))} |" for item in given]
    help_text = (command.help or "").split("\n\n  Examples:")[0].split("\b")[0]
    lines = [f"## mlgov {path}", "\n\n".join(" ".join(part.split()) for part in help_text.split("\n\n")), ""]
    if rows:
        lines += ["| | |", "|---|---|", *rows, ""]
    if examples:
        lines += ["```bash", *examples, "```", ""]
    return "\n".join(lines)


def _called(item: Any) -> str:
    if item.param_type_name == "argument":
        return f"`{item.name}`"
    return ", ".join(f"`{name}`" for name in (*item.opts, *item.secondary_opts))


def _described(item: Any) -> str:
    text = " ".join(str(getattr(item, "help", "") or "").split())
    if item.param_type_name == "option" and item.required:
        text += " Must be given."
    return text
