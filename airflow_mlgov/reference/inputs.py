"""What rules are handed, field by field, from the schemas that it is held against before a rule is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow_mlgov.reference.docstrings import cell

_TYPES = {"string": "text", "integer": "number", "array": "list", "object": "object", "boolean": "yes or no"}


def decision_input_table() -> str:
    """What the rules of promotion and an organisation's own rules of the decision are asked about."""
    from airflow_mlgov.governance.decision import input_schema

    return _table(input_schema())


def pack_input_table() -> str:
    """What packs of rules are handed by the policy gate."""
    from airflow_mlgov.gates.policy.asking import input_schema

    return _table(input_schema())


def fields(schema: Mapping[str, Any], path: str = "input") -> Iterator[tuple[str, str, str]]:
    """Each field with its type and what it says, parents first; the items of a list of texts are not told apart."""
    for name, said in (schema.get("properties") or {}).items():
        here = f"{path}.{name}"
        yield here, _type(said), said.get("description", "")
        for suffix, inner in (("", said), ("[_]", said.get("items")), ("[name]", said.get("additionalProperties"))):
            if isinstance(inner, Mapping):
                yield from fields(inner, here + suffix)


def _table(schema: Mapping[str, Any]) -> str:
    rows = [f"| `{path}` | {kind} | {cell(said)} |" for path, kind, said in fields(schema)]
    return "\n".join(["| field | | |", "|---|---|---|", *rows, ""])


def _type(said: Mapping[str, Any]) -> str:
    if "enum" in said:
        return " or ".join(f"`{word}`" for word in said["enum"])
    given = said.get("type")
    kinds = given if isinstance(given, list) else [given] if given else ["object", "null"]
    return " or ".join(_TYPES.get(kind, str(kind)) for kind in kinds)
