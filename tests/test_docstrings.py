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


def rooms() -> dict[str, list[str]]:
    """Each folder of modules, or module beside them -> the names of its modules."""
    found: dict[str, list[str]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        if not name.startswith(NOT_IMPORTED):
            found.setdefault(parts[1], []).append(name)
    return found


def texts(nodes: list[ast.AST]) -> Iterator[str]:
    """Every docstring, those of attributes too."""
    for node in nodes:
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


def imported(nodes: list[ast.AST]) -> dict[str, str]:
    """Name -> what it is imported from, also what only type checkers see."""
    return {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def known_here(module: ModuleType, names: dict[str, str], name: str) -> bool:
    """Whether a role's name is known where it stands: in the module, or in a class of it."""
    head, *rest = name.split(".")
    if head in names:
        return resolves(".".join([names[head], *rest]))
    classes = [found for found in vars(module).values() if isinstance(found, type)]
    return has(module, [head, *rest]) or any(has(found, [head, *rest]) for found in classes)


def stale(name: str) -> Iterator[str]:
    """What the docstrings of a module point to and is not there."""
    module = importlib.import_module(name)
    text = Path(str(module.__file__)).read_text(encoding="utf-8")
    if not (DOTTED.search(text) or ROLE.search(text)):
        return
    nodes = list(ast.walk(ast.parse(text)))
    names = imported(nodes)
    for said in texts(nodes):
        for dotted in DOTTED.findall(said):
            parts = dotted.split(".")
            if parts[0] in FLOORS and dotted not in CODES and not {parts[-1], parts[1]} & set(NO_MODULES):
                whole = dotted if parts[0] == "airflow_mlgov" else f"airflow_mlgov.{dotted}"
                if not resolves(whole):
                    yield f"{name}: {dotted}"
        yield from (
            f"{name}: {role}" for role in ROLE.findall(said) if not (resolves(role) or known_here(module, names, role))
        )


@pytest.mark.parametrize("modules", rooms().values(), ids=rooms())
def test_what_a_docstring_points_to_is_there(modules: list[str]) -> None:
    assert [wrong for name in modules for wrong in stale(name)] == []
