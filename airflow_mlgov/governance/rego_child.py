"""The child process in which Rego is evaluated: jobs in on stdin, results out on stdout, both JSON. Started by
``engine.evaluate``; holds no secret and imports nothing of ours but what judges the rules' calls.

A crash, a panic, an endless loop or the memory of the engine ends this process and not the one that has to decide.
"""

from __future__ import annotations

import json
import resource
import sys
from contextlib import suppress
from typing import Any

from airflow_mlgov.governance.rego_calls import refusals

MAX_MEMORY = 1024**3
"""Bytes that this process may map; the engine and Python take an eighth of it."""
MAX_SECONDS = 60
"""Of processor time; the time-out on the clock is the caller's."""
MAX_ANSWER = 16 * 1024**2
"""Characters."""


def run(job: dict[str, Any], document: str) -> list[Any]:
    """The values of a job's rules.

    :param job: ``modules``, name -> source; ``rules``, the paths to evaluate; ``counted``, the name of a partial set
        that needs at least one rule, empty if none does
    :raises ValueError: a module calls what it may not, see ``rego_calls``, or no rule adds to the set
    """
    import regorus

    engine = regorus.Engine()
    for name, source in job["modules"].items():
        engine.add_policy(name, source)
    ast = engine.get_ast_as_json()
    modules = json.loads(ast) if isinstance(ast, str) else ast
    if job["counted"] and count_rules(modules, job["counted"]) < 1:
        raise ValueError(f"no rule adds to {job['counted']}: the rules would evaluate to nothing")
    refused = refusals(modules)
    if refused:
        raise ValueError("; ".join(refused[:5]))
    engine.set_input_json(document)
    return [json.loads(engine.eval_rule_as_json(rule)) for rule in job["rules"]]


def count_rules(modules: Any, name: str) -> int:
    """How many rules with a body add to a partial set, by the modules' syntax trees."""
    specs = (rule.get("Spec", {}) for module in modules for rule in module["ast"]["rules"])
    heads = (spec["head"].get("Set", {}) for spec in specs if spec.get("bodies"))
    return sum(head.get("refr", {}).get("Var", {}).get("value") == name for head in heads)


def limit_itself() -> None:
    """Bound what this process may take; without effect where the system cannot."""
    limits = {resource.RLIMIT_AS: MAX_MEMORY, resource.RLIMIT_CPU: MAX_SECONDS, resource.RLIMIT_CORE: 0}
    for what, most in {**limits, resource.RLIMIT_FSIZE: 0}.items():
        with suppress(ValueError, OSError):
            hard = resource.getrlimit(what)[1]
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(what, (most, most))


def main() -> None:
    """Read, evaluate, answer ``{"results": …}`` or ``{"error": …}``."""
    asked = json.load(sys.stdin)
    try:
        answer = json.dumps({"results": [run(job, asked["input"]) for job in asked["jobs"]]})
        if len(answer) > MAX_ANSWER:
            raise ValueError(f"the rules answer with more than {MAX_ANSWER // 1024**2} MiB")
    except BaseException as error:  # a Rust panic is no Exception
        answer = json.dumps({"error": f"{type(error).__name__}: {str(error).strip()[:2000]}"})
    sys.stdout.write(answer)


if __name__ == "__main__":
    limit_itself()
    main()
