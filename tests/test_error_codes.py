"""Every error that the package raises has a code of its own, and each code is explained in one place."""

import ast
from pathlib import Path

import airflow_mlgov
from airflow_mlgov import errors

PACKAGE = Path(airflow_mlgov.__file__).parent
CLASSES = {"MlgovError", "ConfigurationError", "DependencyError", "AccessError", "EvidenceError"}
"""``PromotionRefused`` has its reasons, which have codes."""
NOT_YET = {"data", "gates"}
"""Rooms whose errors have no codes yet: this set only shrinks."""


def test_every_error_has_a_code() -> None:
    bare = [
        f"{path.relative_to(PACKAGE)}:{call.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] not in NOT_YET
        for call in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in CLASSES
        if "code" not in {word.arg for word in call.keywords}
    ]
    assert bare == []


def test_the_rooms_that_have_no_codes_yet_are_rooms() -> None:
    assert [room for room in NOT_YET if not (PACKAGE / room).is_dir()] == []


def test_a_code_stands_at_the_end_of_the_first_line() -> None:
    error = errors.PromotionRefused("no", [("gate.not_passed", "FAIL")])
    assert error.coded == "no [promotion.refused]\n  - gate.not_passed: FAIL"
    assert errors.ConfigurationError("wrong", code="policy.empty").coded == "wrong [policy.empty]"
