"""``docs/threat-model.md`` names tests that exist, each test file here, and whatever is expected to fail, as open."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text()
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


def path_of(name: str) -> Path:
    return ROOT / name if "/" in name else Path(__file__).parent / name


@cache
def decorators(path: Path) -> dict[str, str]:
    """Test -> the source of its decorators."""
    tree = ast.parse(path.read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return {node.name: " ".join(map(ast.unparse, node.decorator_list)) for node in functions}


def test_every_named_test_exists() -> None:
    found = NAMED.findall(PAGE)
    assert len(found) > 70
    missing = [f"{name}::{test}" for name, test in found if test not in decorators(path_of(name))]
    assert missing == []


def test_every_attack_is_in_a_file_that_is_named() -> None:
    files = {path.name for path in Path(__file__).parent.glob("test_*.py")}
    assert files - {name for name, _ in NAMED.findall(PAGE)} - {Path(__file__).name} == set()


def test_what_is_expected_to_fail_is_said_to_be_open() -> None:
    expected = {
        (path.name, test)
        for path in Path(__file__).parent.glob("test_*.py")
        for test, marks in decorators(path).items()
        if "xfail" in marks
    }
    assert set(NAMED.findall(PAGE.partition("## Known to be open")[2])) == expected


def test_every_row_but_what_is_not_built_has_a_test() -> None:
    table = PAGE.partition("| attack |")[2].partition("\n## ")[0].splitlines()[2:]
    rows = [line for line in table if line.startswith("|")]
    assert len(rows) > 30
    assert [line for line in rows if not NAMED.search(line) and "not built yet" not in line] == []
