"""Options that had one name with two meanings and got another; the old one is still taken, with a notice."""

from __future__ import annotations

import sys

from airflow_mlgov.cli.common import say

_RENAMED = {
    ("gate", "fairness"): {"--reference": "--reference-group"},
    ("gate", "policy"): {"--sensitive": "--sensitive-step"},
    ("policy", "test"): {"--opa": "--opa-program"},
    ("waive",): {"--data": "--dataset"},
}
"""Command -> old name -> new name."""


def renamed(arguments: list[str]) -> list[str]:
    """The arguments with options by their names of now."""
    changes = next((new for command, new in _RENAMED.items() if tuple(arguments[: len(command)]) == command), {})
    return [_renamed(word, changes) for word in arguments]


def _renamed(word: str, changes: dict[str, str]) -> str:
    name, sign, value = word.partition("=")
    if name not in changes:
        return word
    say(f"{name} is called {changes[name]} now", to=sys.stderr)
    return f"{changes[name]}{sign}{value}"
