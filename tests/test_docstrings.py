"""What docstrings point to is there: every ``module.Name`` and every role (``:func:``, ``:class:`` …) resolves."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import airflow_mlgov

ROOT = Path(airflow_mlgov.__file__).parent
DOTTED = re.compile(r"``((?:airflow_mlgov\.)?[a-z_]+(?:\.[A-Za-z_]\w*)+)(?:\(\))?``")
ROLE = re.compile(r":(?:mod|func|class|meth|attr|data|exc):`~?([\w.]+)`")
FLOORS = {item.name for item in pkgutil.iter_modules([str(ROOT)])} | {"airflow_mlgov"}
NO_MODULES = ("csv", "json", "parquet", "yaml", "yml", "py", "md", "log", "html", "hcl", "mlgov")
"""Words of what is a file, or a document in Rego, and no module's name."""
CODES = ("evidence.missing", "evidence.broken")
NOT_IMPORTED = ("airflow_mlgov.demo.__main__", "airflow_mlgov.gates.children.scripts")


def sources() -> list[str]:
    paths = (path.relative_to(ROOT.parent).with_suffix("") for path in sorted(ROOT.rglob("*.py")))
    names = (".".join(path.parts).removesuffix(".__init__") for path in paths)
    return [name for name in names if not name.startswith(NOT_IMPORTED)]


def texts(tree: ast.Module) -> Iterator[str]:
    """Every docstring, those of attributes too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value


@cache
def resolves(dotted: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        return has(found, parts[end:])
    return False


def has(found: Any, names: list[str]) -> bool:
    for name in names:
        if name in getattr(found, "__annotations__", {}):
            return True
        if not hasattr(found, name):
            return False
        found = getattr(found, name)
    return True


def imported(tree: ast.Module) -> dict[str, str]:
    """Name -> what it is imported from, also what only type checkers see."""
    return {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def known_here(module: ModuleType, tree: ast.Module, name: str) -> bool:
    """Whether a role's name is known where it stands: in the module, or in a class of it."""
    head, *rest = name.split(".")
    if head in imported(tree):
        return resolves(".".join([imported(tree)[head], *rest]))
    classes = [found for found in vars(module).values() if isinstance(found, type)]
    return has(module, [head, *rest]) or any(has(found, [head, *rest]) for found in classes)


@pytest.mark.parametrize("name", sources())
def test_what_a_docstring_points_to_is_there(name: str) -> None:
    module = importlib.import_module(name)
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    stale = []
    for text in texts(tree):
        for dotted in DOTTED.findall(text):
            parts = dotted.split(".")
            if parts[0] in FLOORS and dotted not in CODES and not {parts[-1], parts[1]} & set(NO_MODULES):
                whole = dotted if parts[0] == "airflow_mlgov" else f"airflow_mlgov.{dotted}"
                stale += [] if resolves(whole) else [dotted]
        stale += [role for role in ROLE.findall(text) if not resolves(role) and not known_here(module, tree, role)]
    assert stale == []
