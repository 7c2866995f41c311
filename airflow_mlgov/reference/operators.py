"""What a DAG author imports, as Markdown: each class of a part of the provider, with all that it may be given."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from airflow_mlgov.provider_info import get_provider_info
from airflow_mlgov.reference.docstrings import cell, said


def classes(part: str) -> Iterator[type]:
    """The classes of a part of the provider: ``operators``, ``sensors``, ``triggers`` or ``hooks``."""
    for item in get_provider_info()[part]:
        for name in item["python-modules"]:
            found = vars(import_module(name)).values()
            yield from (each for each in found if isinstance(each, type) and _is_of_airflow(each, name))


def classes_section(part: str) -> str:
    """Each class with a heading, where it is imported from, what it does and a table of its parameters."""
    return "\n".join(_section(each) for each in sorted(classes(part), key=lambda each: each.__name__))


def parameters(each: type) -> list[tuple[str, str, str]]:
    """Of each parameter: its name, its default (empty if it must be given), what its class says of it."""
    told: dict[str, str] = {}
    for base in reversed(each.__mro__):
        if base.__module__.startswith("airflow_mlgov."):
            told |= said(base).parameters | said(vars(base).get("__init__")).parameters
    given = inspect.signature(each).parameters
    own = (item for name, item in given.items() if name in told and item.kind is not item.VAR_KEYWORD)
    return [(item.name, "" if item.default is item.empty else repr(item.default), told[item.name]) for item in own]


def _is_of_airflow(each: type, module: str) -> bool:
    bases = {base.__name__ for base in each.__mro__}
    wanted = {"BaseOperator", "BaseSensorOperator", "BaseTrigger", "BaseEventTrigger", "BaseHook"}
    return each.__module__ == module and each.__name__[0] != "_" and bool(bases & wanted)


def _section(each: type) -> str:
    rows = [f"| `{name}` | {_shown(default)} | {cell(text)} |" for name, default, text in parameters(each)]
    templated = ", ".join(f"`{name}`" for name in _templated(each))
    lines = [f"## {each.__name__}", f"`from {each.__module__} import {each.__name__}`", "", said(each).text, ""]
    if templated:
        lines += [f"Templated: {templated}.", ""]
    if rows:
        lines += ["| parameter | default | |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _templated(each: Any) -> tuple[str, ...]:
    return tuple(getattr(each, "template_fields", ()))


def _shown(default: str) -> str:
    return {"": "must be given", "None": ""}.get(default, f"`{cell(default)}`")
