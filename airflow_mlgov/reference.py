"""A gate's settings as a table in Markdown, made from the gate. ``python -m airflow_mlgov.reference FILE`` writes
them between the marks ``<!-- settings of NAME -->`` and ``<!-- end -->`` of a document.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlgov import catalogue
from airflow_mlgov.gates.protocol import Gate, Local, Option, Strict, mark_of

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

_BLOCK = re.compile(r"(<!-- settings of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def settings_table(gate: Gate[Any]) -> str:
    """One row for each setting: its name, its default, what it does."""
    rows = [
        f"| {_name(name, info)} | {_default(info)} | {_described(info)} |"
        for name, info in gate.Settings.model_fields.items()
    ]
    return "\n".join(["| setting | default | |", "|---|---|---|", *rows, ""])


def filled(text: str) -> str:
    """A document with each of its tables as the gate has it now.

    :raises ConfigurationError: it marks a gate that is not installed
    """
    return _BLOCK.sub(lambda found: found[1] + settings_table(catalogue.load(found[2])) + found[3], text)


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
    said = [_text(str(info.description))]
    if strict is not None:
        stricter = f"`{strict.order[-1]}`" if strict.order else "more" if strict.larger_is == "stricter" else "less"
        said.append(f"**stricter: {stricter}**")
    if local is not None and not local.in_policy:
        said.append("*not in the policy*")
    return "; ".join(said)


def _text(text: str) -> str:
    """Words that are no markup and end no cell."""
    return re.sub(r"([|*<])", r"\\\1", text)


def main() -> None:
    """Fill the documents that are named."""
    for path in map(Path, sys.argv[1:]):
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
