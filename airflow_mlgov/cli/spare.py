"""Reads options that are omitted, are plain text, or have a parser of their own without pydantic: typer makes a model
of it for each option of a command. Refuses nothing itself: whatever is not plain goes typer's way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def spared(command: Any) -> Any:
    """The command of typer, and those below it, reading its options so."""
    typers_own = command.get_params

    def get_params(context: Any) -> list[Any]:
        return [_spared(parameter) for parameter in typers_own(context)]

    command.get_params = get_params
    for below in getattr(command, "commands", {}).values():
        if below is not None:
            spared(below)
    return command


def _spared(parameter: Any) -> Any:
    is_read_by_models = hasattr(parameter, "type_descriptor")  # typer before 0.24 reads by click
    if is_read_by_models and "process_value" not in vars(parameter):
        parameter.process_value = _reader(parameter, parameter.process_value)
    return parameter


def _reader(parameter: Any, typers_own: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    several, required, callback = parameter.multiple or parameter.nargs == -1, parameter.required, parameter.callback
    is_one = parameter.nargs in (1, -1)
    kind, parser = parameter.type_descriptor.annotation, parameter.type_descriptor.parameter_info.parser

    def process_value(context: Any, value: Any) -> Any:
        if value in (None, ()) and is_one and not required:
            nothing = () if several else None
            return nothing if callback is None else callback(context, parameter, nothing)
        if callback is None and is_one and _is_plain(value, several, kind, parser):
            try:
                return value if parser is None else parser(value)
            except ValueError:
                pass  # which typer's own tells better
        return typers_own(context, value)

    return process_value


def _is_plain(value: Any, several: bool, kind: Any, parser: Callable[[Any], Any] | None) -> bool:
    if several:
        return parser is None and kind == list[str] and type(value) is list and all(type(one) is str for one in value)
    return type(value) is str and (parser is not None or kind is str)
