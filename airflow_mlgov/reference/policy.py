"""The keys of a governance policy as a table in Markdown, made from its JSON Schema; those of gates are theirs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from airflow_mlgov.reference.docstrings import cell

_NAMED = {
    "models": "MODEL",
    "targets": "TARGET",
    "groups": "GROUP",
    "people": "USER",
    "teams": "OWNER",
}
"""What stands for a key that the organisation chooses."""


def policy_table() -> str:
    """One row for each key: where it stands, what it takes, what it does."""
    schema = json.loads(files("airflow_mlgov.governance").joinpath("policy.base.json").read_text("utf-8"))
    rows = [f"| `{path}` | {cell(kind)} | {cell(text)} |" for path, kind, text in keys(schema)]
    return "\n".join(["| key | takes | |", "|---|---|---|", *rows, ""])


def keys(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Each key's path, what it takes in words, and its description."""
    yield from _below("", schema, schema["$defs"])


def _below(path: str, schema: Mapping[str, Any], shapes: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name, said in schema.get("properties", {}).items():
        part = _resolved(said, shapes)
        here = f"{path}{name}"
        yield here, _kind(part), str(part.get("description", ""))
        if name != "gates":
            yield from _below(f"{here}.", part, shapes)
        if isinstance(part.get("additionalProperties"), dict):
            inner = _resolved(part["additionalProperties"], shapes)
            yield from _below(f"{here}.{_NAMED.get(name, 'NAME')}.", inner, shapes)


def _resolved(said: Mapping[str, Any], shapes: Mapping[str, Any]) -> dict[str, Any]:
    """A part with what it refers to; its own description goes before."""
    found = dict(said)
    for each in (found.pop("allOf", None) or [{"$ref": found.get("$ref", "")}])[:1]:
        found.pop("$ref", None)
        name = each.get("$ref", "").rpartition("/")[2]
        found = {**_resolved(shapes[name], shapes), **found} if name in shapes else {**each, **found}
    found.pop("$ref", None)
    return found


def _kind(part: Mapping[str, Any]) -> str:
    if "enum" in part:
        return ", ".join(f"`{json.dumps(item) if not isinstance(item, str) else item}`" for item in part["enum"])
    if "const" in part:
        return f"`{part['const']}`"
    said = part.get("type") or next((one.get("type") for one in part.get("anyOf", ()) if "type" in one), "")
    kinds = {"string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
             "array": "a list", "object": "a mapping"}  # fmt: skip
    named = [kinds.get(kind, kind) for kind in ([said] if isinstance(said, str) else said) if kind]
    examples = [str(item) for item in part.get("examples", ())][:1]
    return " or ".join(named) + (f", such as `{examples[0]}`" if examples else "")
