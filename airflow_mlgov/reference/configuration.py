"""The options of ``[mlgov]`` and the fields of connections as tables in Markdown."""

from __future__ import annotations

from airflow_mlgov.provider_info import get_provider_info
from airflow_mlgov.reference.docstrings import cell, markdown


def options_table() -> str:
    """One row for each option: its name, its default, what it does, an example."""
    options = get_provider_info()["config"]["mlgov"]["options"]
    rows = [
        f"| `{name}` | {_code(said['default'])} | {cell(markdown(said['description']))} | {_code(said['example'])} |"
        for name, said in options.items()
    ]
    return "\n".join(["| option | default | | such as |", "|---|---|---|---|", *rows, ""])


def connections_table() -> str:
    """One row for each field that a connection of a type has beside host, port, login and password."""
    rows = [
        f"| `{kind['connection-type']}` | `{name}` | {cell(said['description'])} |"
        for kind in get_provider_info()["connection-types"]
        for name, said in kind.get("conn-fields", {}).items()
    ]
    return "\n".join(["| connection type | in its extra | |", "|---|---|---|", *rows, ""])


def _code(text: str | None) -> str:
    return f"`{cell(text)}`" if text else ""
