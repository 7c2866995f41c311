"""The JSON Schema of the policy file: what is written by hand (``policy.base.json``), and a section for each gate, made
from the gate's settings and metrics.

``python -m airflow_mlgov.governance.schema`` writes ``policy.schema.json``, which editors use, for the gates of this
package; a policy is read by the schema of all gates that are installed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from airflow_mlgov import catalogue
from airflow_mlgov.gates.bounds import VS_CHAMPION, WORST_SLICE
from airflow_mlgov.gates.protocol import Gate, Local, OpenMetrics, mark_of

_ENDINGS = {VS_CHAMPION: "change_bound", WORST_SLICE: "bound", "": "bound"}


@cache
def policy_schema() -> dict[str, Any]:
    """The schema for all gates that are installed. Not to be changed by who reads it."""
    return schema_of(catalogue.load_all())


def schema_of(gates: Iterable[Gate[Any]]) -> dict[str, Any]:
    """The schema for some gates."""
    base = files("airflow_mlgov.governance") / "policy.base.json"
    schema: dict[str, Any] = json.loads(base.read_text(encoding="utf-8"))
    parts = schema["$defs"]
    sections = {gate.name: section_of(gate) for gate in gates}
    by_hand = parts["model"]["properties"]["gates"]["properties"]
    parts["model"]["properties"]["gates"]["properties"] = {**sections, **by_hand}
    parts["target"]["properties"]["requires"]["items"]["examples"] = [*sections]
    return schema


def section_of(gate: Gate[Any]) -> dict[str, Any]:
    """What may stand under ``gates: NAME:``: the settings that are not of the caller's machine, and the bounds."""
    made = gate.Settings.model_json_schema()["properties"]
    settings = {
        name: _property(made[name])
        for name, info in gate.Settings.model_fields.items()
        if (mark := mark_of(info, Local)) is None or mark.in_policy
    }
    if gate.about == "model":
        settings["max_tries"] = {"$ref": "#/$defs/max_tries"}
        if gate.reads:
            settings["evaluation_data"] = {"$ref": "#/$defs/evaluation_data"}
    section = {
        "description": " ".join((gate.__doc__ or "").split("\n\n")[0].split()),
        "type": "object",
        "additionalProperties": False,
        **gate.section,
        "properties": settings,
    }
    patterns = _patterns(gate)
    if isinstance(gate.metrics, OpenMetrics):
        section["propertyNames"] = {"examples": list(gate.metrics)}
    return {**section, "patternProperties": patterns} if patterns else section


def _property(made: Mapping[str, Any]) -> dict[str, Any]:
    """One setting as pydantic describes it, without what only a caller may say (nothing) and what no editor needs."""
    if "defined_as" in made:
        return {"description": made["description"], "$ref": f"#/$defs/{made['defined_as']}"}
    found = {key: value for key, value in made.items() if key not in ("title", "anyOf")}
    if found.get("default") is None or found["default"] in ({}, []):
        found.pop("default", None)
    kinds = [kind for kind in made.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        found |= kinds[0]
    elif kinds and all(set(kind) == {"type"} for kind in kinds):
        found["type"] = [kind["type"] for kind in kinds if kind["type"] != "integer"]
    elif kinds:
        found["anyOf"] = kinds
    return found


def _patterns(gate: Gate[Any]) -> dict[str, Any]:
    metrics = gate.metrics
    if isinstance(metrics, OpenMetrics):
        return {f"^(?:{pattern})$": {"$ref": f"#/$defs/{_shape(pattern)}"} for pattern in metrics.patterns}
    found: dict[str, list[str]] = {}
    for metric in metrics:
        ending = next(ending for ending in _ENDINGS if metric.endswith(ending))
        found.setdefault(ending, []).append(re.escape(metric.removesuffix(ending)))
    return {
        f"^({'|'.join(found[ending])}){ending}$": {"$ref": f"#/$defs/{_ENDINGS[ending]}"} for ending in sorted(found)
    }


def _shape(pattern: str) -> str:
    return "change_bound" if pattern.endswith(VS_CHAMPION) else "bound"


def main() -> None:
    """Write ``policy.schema.json`` for this package's own gates."""
    own = [gate for gate in catalogue.load_all() if type(gate).__module__.startswith("airflow_mlgov.")]
    text = json.dumps(schema_of(own), indent=2, ensure_ascii=False) + "\n"
    (Path(__file__).parent / "policy.schema.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
