"""What is where in ``tests``: worlds and helpers in modules of their own; no test is a library of another."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
SUSPECT = re.compile(r"\b(?:from|import)[ \t]+(?:\.|[^()\n]*(?:\([^)]*)?\b(?:test_|conftest))")
"""Text without it imports no test; only what has it is parsed."""


def imported(path: Path) -> Iterator[str]:
    """Every module of ``tests`` that a file names in an import, wherever in the file."""
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)) if SUSPECT.search(text) else ():
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
