"""A gate's settings as a table in Markdown, made from the gate."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_mlgov.gates.protocol import CsvSettings, Gate, GateSettings, Local, Option, Strict, mark_of

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


def settings_table(gate: Gate[Any]) -> str:
    """One row for each setting: its name, its default, what it does. Those that say how csv is read have a table of
    their own."""
    shared = (CsvSettings if issubclass(gate.Settings, CsvSettings) else GateSettings).model_fields
    return _table({name: info for name, info in gate.Settings.model_fields.items() if name not in shared})


def csv_table() -> str:
    """The settings of all gates that read data."""
    return _table(
        {name: info for name, info in CsvSettings.model_fields.items() if name not in GateSettings.model_fields}
    )


def limits_table() -> str:
    """The settings of all gates."""
    return _table(GateSettings.model_fields)


def _table(fields: Mapping[str, FieldInfo]) -> str:
    rows = [f"| {_name(name, info)} | {_default(info)} | {_described(info)} |" for name, info in fields.items()]
    return "\n".join(["| setting | default | |", "|---|---|---|", *rows, ""])


def _name(name: str, info: FieldInfo) -> str:
    mark = mark_of(info, Option)
    called = f" (`--{mark.name.lstrip('-')}`)" if mark and mark.name else ""
    return f"`{name}`{called}"


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "none: must be given"
    return "" if info.default_factory or info.default in (None, (), {}) else f"`{info.default}`"


def _described(info: FieldInfo) -> str:
    strict, local = mark_of(info, Strict), mark_of(info, Local)
    said = [text_of(str(info.description))]
    if strict is not None:
        stricter = f"`{strict.order[-1]}`" if strict.order else "more" if strict.larger_is == "stricter" else "less"
        said.append(f"**stricter: {stricter}**")
    if local is not None and not local.in_policy:
        said.append("*not in the policy*")
    return "; ".join(said)


def text_of(text: str) -> str:
    """Words that are no markup and end no cell."""
    return re.sub(r"([|*<])", r"\\\1", text)
