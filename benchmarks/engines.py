"""What an evaluation costs: regorus warm in this process, and this package's engine, whose child process lives on."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from benchmarks.contender import Steps

_INPUT = Path(__file__).parents[1] / "tests" / "golden" / "decision_input.json"
_ASKED = [f"data.mlgov.promotion.{name}" for name in ("deny", "needed", "waived", "excused", "broken_by")]
_TIMES = 300


def _rules() -> tuple[dict[str, str], dict[str, Any]]:
    from airflow_mlgov.governance.reasons import shipped_rules

    return {"promotion.rego": shipped_rules()}, json.loads(_INPUT.read_text())


def in_process() -> Steps:
    """regorus, warm, in this process, where a hang would be this process'."""
    import regorus

    from airflow_mlgov.rego.protocol import plain_json

    modules, document = _rules()
    engine = regorus.Engine()
    for name, text in modules.items():
        engine.add_policy(name, text)

    def ask() -> list[Any]:
        engine.set_input_json(plain_json(document).decode())
        return [json.loads(engine.eval_rule_as_json(rule)) for rule in _ASKED]

    found = ask()
    yield None
    began = time.perf_counter()
    for _ in range(_TIMES):
        ask()
    yield (time.perf_counter() - began) / _TIMES
    return {"reasons": len(found[0])}


def long_lived_child() -> Steps:
    """The same through the engine as promotions use it: vetted, in a child with limits."""
    from airflow_mlgov.rego.embedded import EmbeddedEngine
    from airflow_mlgov.rego.protocol import Bundle

    modules, document = _rules()
    engine, bundle = EmbeddedEngine(), Bundle(modules)
    found = engine.evaluate(bundle, _ASKED, document)
    yield None
    began = time.perf_counter()
    for _ in range(_TIMES):
        engine.evaluate(bundle, _ASKED, document)
    yield (time.perf_counter() - began) / _TIMES
    engine.close()
    return {"reasons": len(found[0])}


def a_process_each() -> Steps:
    """A new child for each evaluation, as before."""
    from airflow_mlgov.rego.embedded import EmbeddedEngine
    from airflow_mlgov.rego.protocol import Bundle

    modules, document = _rules()
    bundle, times = Bundle(modules), 10
    yield None
    began = time.perf_counter()
    for _ in range(times):
        engine = EmbeddedEngine()
        found = engine.evaluate(bundle, _ASKED, document)
        engine.close()
    yield (time.perf_counter() - began) / times
    return {"reasons": len(found[0])}
