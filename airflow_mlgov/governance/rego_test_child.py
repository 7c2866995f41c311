"""The child process in which tests of rules run: modules in on stdin, what passed, what was covered and which rules no
test needs out on stdout, both JSON. Started by ``pack_tests.run_tests``; the limits are those of the
child that evaluates rules."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from airflow_mlgov.rego.child import limit_itself
from airflow_mlgov.rego.lint import look_at, why_too_deep


def main() -> None:
    """Read, run, answer ``{"result": …}`` or ``{"error": …}``."""
    asked = json.load(sys.stdin)
    answer: dict[str, Any]
    try:
        answer = {"result": run(asked["modules"], asked["tests"], asked["set"])}
    except BaseException as error:  # a Rust panic is no Exception
        answer = {"error": f"{type(error).__name__}: {str(error).strip()[:2000]}"}
    sys.stdout.write(json.dumps(answer))


def run(modules: Mapping[str, str], tests: Mapping[str, str], name: str) -> dict[str, Any]:
    """Run every rule ``test_…``, then again without each rule that adds to a set.

    :param modules: name -> source of the rules
    :param tests: the same of the tests
    :param name: of the set
    """
    for module, text in {**modules, **tests}.items():
        if why := why_too_deep(text):
            raise ValueError(f"{module}: {why}")
    engine = _engine({**modules, **tests})
    trees = json.loads(engine.get_ast_as_json())
    refused = look_at(trees).refused
    if refused:
        raise ValueError("; ".join(refused[:5]))
    wanted = _tests(trees, tests)
    engine.set_enable_coverage(True)
    results = {test: _is_true(engine, test) for test in wanted}
    report = json.loads(engine.get_coverage_report_as_json())
    coverage = {item["path"]: {key: item[key] for key in ("covered", "not_covered")} for item in report["files"]}
    rules = [
        {"module": module, "line": line, "needed_by": _failing_without(modules, tests, module, span, results)}
        for module, line, span in _adding(trees, name)
        if module in modules
    ]
    return {
        "tests": results,
        "coverage": {path: coverage[path] for path in modules if path in coverage},
        "rules": rules,
    }


def _engine(modules: Mapping[str, str]) -> Any:
    import regorus

    engine = regorus.Engine()
    for name, source in modules.items():
        engine.add_policy(name, source)
    return engine


def _tests(trees: Any, tests: Mapping[str, str]) -> list[str]:
    """The paths of the tests, in order."""
    found: dict[str, None] = {}
    for tree in trees:
        if tree["source"]["file"] not in tests:
            continue
        package = ".".join(_path(tree["ast"]["package"]["refr"]))
        for rule in tree["ast"]["rules"]:
            head = rule.get("Spec", {}).get("head", {}).get("Compr", {})
            name = head.get("refr", {}).get("Var", {}).get("value", "")
            if name.startswith("test_"):
                found[f"data.{package}.{name}"] = None
    return list(found)


def _path(reference: Any) -> list[str]:
    if "Var" in reference:
        return [reference["Var"]["value"]]
    if "RefDot" in reference:
        return [*_path(reference["RefDot"]["refr"]), reference["RefDot"]["field"][1]]
    return [*_path(reference["RefBrack"]["refr"]), reference["RefBrack"]["index"]["String"]["value"]]


def _is_true(engine: Any, test: str) -> bool:
    try:
        return json.loads(engine.eval_rule_as_json(test)) is True
    except (ValueError, RuntimeError):  # undefined, or a built-in that failed
        return False


def _adding(trees: Any, name: str) -> list[tuple[str, int, tuple[int, int]]]:
    """Module, line and place of every rule that adds to the set."""
    found = []
    for tree in trees:
        for rule in tree["ast"]["rules"]:
            spec = rule.get("Spec", {})
            if spec.get("head", {}).get("Set", {}).get("refr", {}).get("Var", {}).get("value") == name:
                span = spec["span"]
                found.append((tree["source"]["file"], span["line"], (span["start"], span["end"])))
    return found


def _failing_without(
    modules: Mapping[str, str],
    tests: Mapping[str, str],
    module: str,
    span: tuple[int, int],
    results: Mapping[str, bool],
) -> list[str]:
    """The tests that passed and do not without one rule: those that would notice if somebody took it away."""
    text = modules[module].encode()
    body = text[span[0] : span[1]]
    # the set must go on being there if this was its only rule
    gone = b"deny contains null if { false }" if body.startswith(b"deny") else b""
    changed = (text[: span[0]] + gone + text[span[1] :]).decode()
    engine = _engine({**modules, module: changed, **tests})
    return [test for test, passed in results.items() if passed and not _is_true(engine, test)]


if __name__ == "__main__":
    limit_itself()
    main()
