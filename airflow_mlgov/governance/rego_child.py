"""The child process in which Rego is evaluated: jobs in on stdin, results out on stdout, both JSON. Started by
``engine.evaluate``; holds no secret and imports nothing of ours.

A crash, a panic or an endless loop of the engine ends this process and not the one that has to decide.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

REFUSED = frozenset(
    {"http.send", "opa.runtime", "net.lookup_ip_addr", "rand.intn", "uuid.rfc4122", "time.now_ns", "trace"}
)
"""Built-in functions whose answer is not in the input, so that a decision could not be replayed."""


def run(job: dict[str, Any], document: str) -> list[Any]:
    """The values of a job's rules.

    :param job: ``modules``, name -> source; ``rules``, the paths to evaluate; ``counted``, the name of a partial set
        that needs at least one rule, empty if none does
    :raises ValueError: a module calls a function that is refused, or no rule adds to the set
    """
    import regorus

    engine = regorus.Engine()
    for name, source in job["modules"].items():
        engine.add_policy(name, source)
    ast = engine.get_ast_as_json()
    modules = json.loads(ast) if isinstance(ast, str) else ast
    if job["counted"] and count_rules(modules, job["counted"]) < 1:
        raise ValueError(f"no rule adds to {job['counted']}: the rules would evaluate to nothing")
    refused = sorted(set(calls(modules)) & REFUSED)
    if refused:
        raise ValueError(
            f"the rules call {', '.join(refused)}, whose answer is not in the input and cannot be replayed"
        )
    engine.set_input_json(document)
    return [json.loads(engine.eval_rule_as_json(rule)) for rule in job["rules"]]


def count_rules(modules: Any, name: str) -> int:
    """How many rules with a body add to a partial set, by the modules' syntax trees."""
    specs = (rule.get("Spec", {}) for module in modules for rule in module["ast"]["rules"])
    heads = (spec["head"].get("Set", {}) for spec in specs if spec.get("bodies"))
    return sum(head.get("refr", {}).get("Var", {}).get("value") == name for head in heads)


def calls(node: Any) -> Iterator[str]:
    """Dotted names of every function that a syntax tree calls."""
    if isinstance(node, dict):
        if "Call" in node:
            yield _dotted(node["Call"]["fcn"])
        for value in node.values():
            yield from calls(value)
    elif isinstance(node, list):
        for value in node:
            yield from calls(value)


def _dotted(reference: Any) -> str:
    if "RefDot" in reference:
        return f"{_dotted(reference['RefDot']['refr'])}.{reference['RefDot']['field'][1]}"
    return str(reference.get("Var", {}).get("value", "?"))


def main() -> None:
    """Read, evaluate, answer ``{"results": …}`` or ``{"error": …}``."""
    asked = json.load(sys.stdin)
    try:
        answer: dict[str, Any] = {"results": [run(job, asked["input"]) for job in asked["jobs"]]}
    except BaseException as error:  # a Rust panic is no Exception
        answer = {"error": f"{type(error).__name__}: {str(error).strip()}"}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
