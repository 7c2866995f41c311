"""What is where in ``tests``: worlds and helpers in modules of their own; no test is a library of another."""

import ast
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent


def imported(path: Path) -> Iterator[str]:
    """Every module of ``tests`` that a file names in an import, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_module_imports_a_test_module_or_a_conftest() -> None:
    wrong = [
        f"{path.relative_to(HERE.parent)} imports {name}"
        for path in sorted(HERE.rglob("*.py"))
        for name in sorted(set(imported(path)))
        if name.startswith("tests.") and name.rpartition(".")[2].startswith(("test_", "conftest"))
    ]
    assert wrong == []
