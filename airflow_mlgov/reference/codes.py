"""Codes as tables in Markdown: of the errors, as the package's source raises them, and of the reasons to refuse."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import airflow_mlgov
from airflow_mlgov import errors
from airflow_mlgov.error_codes import MEANINGS
from airflow_mlgov.governance.reasons import reasons
from airflow_mlgov.reference.settings import text_of

_RETRY = {
    "DependencyError": "yes",
    "ChildError": "if time or memory was short",
    "PromotionRefused": "once the reasons are gone",
}
"""Does trying again help? It does not help with any other class."""


class Raised(NamedTuple):
    """One place of the source that makes an error."""

    path: str
    """Inside the package."""
    line: int
    of: str
    """The class of ``errors`` that it is, or the nearest one below :class:`~airflow_mlgov.errors.MlgovError`."""
    code: str | None
    """As the source writes it; None if it gives none, or not as a literal."""

    @property
    def room(self) -> str:
        """The folder or module that raises it."""
        return self.path.partition("/")[0].removesuffix(".py")


@cache
def raised() -> tuple[Raised, ...]:
    """Every place of this package that makes one of its errors."""
    package = Path(airflow_mlgov.__file__).parent
    parts = {path.relative_to(package).as_posix(): _parts(path) for path in sorted(package.rglob("*.py"))}
    classes = _classes(part for found in parts.values() for part in found if isinstance(part, ast.ClassDef))
    return tuple(item for path, found in parts.items() for item in _raised_in(path, found, classes))


def _parts(path: Path) -> list[ast.AST]:
    """What is looked at of a module: its classes, arguments and calls."""
    wanted = (ast.ClassDef, ast.arg, ast.Call)
    return [item for item in ast.walk(ast.parse(path.read_bytes())) if isinstance(item, wanted)]


def _raised_in(path: str, parts: list[ast.AST], classes: dict[str, str]) -> Iterator[Raised]:
    classes = {**classes, **_arguments(parts, classes)}
    for call in parts:
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in classes:
            of = classes[call.func.id]
            given = {word.arg: word.value for word in call.keywords}.get("code")
            own = errors.PromotionRefused.code if of == "PromotionRefused" else None
            yield Raised(path, call.lineno, of, str(given.value) if isinstance(given, ast.Constant) else own)


def _classes(parts: Iterable[ast.ClassDef]) -> dict[str, str]:
    """Each class of error -> itself, or the class of ``errors`` that it is made from."""
    known = {name: name for name, item in vars(errors).items() if isinstance(item, type)}
    defined = list(parts)
    for item in (*defined, *defined):  # a class may stand in an earlier file than its base
        bases = [base.id for base in item.bases if isinstance(base, ast.Name) and base.id in known]
        if bases:
            known[item.name] = item.name if bases[0] == "MlgovError" else known[bases[0]]
    return known


def _arguments(parts: list[ast.AST], classes: dict[str, str]) -> dict[str, str]:
    """Each argument that is a class of error (``error: type[ChildError]``) -> that class."""
    arguments = [item for item in parts if isinstance(item, ast.arg)]
    written = {item.arg: ast.unparse(item.annotation) for item in arguments if item.annotation is not None}
    named = {name: text.removeprefix("type[").removesuffix("]") for name, text in written.items()}
    return {name: classes[text] for name, text in named.items() if text in classes and text != written[name]}


def errors_table() -> str:
    """One row for each code that is explained: its classes, whether a retry helps, who raises it, what it means."""
    found: dict[str, list[Raised]] = defaultdict(list)
    for item in raised():
        if item.code is not None and item.code in MEANINGS:
            found[item.code].append(item)
    rows = [_row(code, found[code]) for code in sorted(found)]
    return "\n".join(["| code | error | retry helps | raised in | |", "|---|---|---|---|---|", *rows, ""])


def _row(code: str, places: list[Raised]) -> str:
    classes = sorted({item.of for item in places})
    retry = ", ".join(sorted({_RETRY.get(name, "no") for name in classes}))
    rooms = ", ".join(sorted({item.room for item in places}))
    return f"| `{code}` | {', '.join(classes)} | {retry} | {rooms} | {text_of(MEANINGS[code])} |"


def reasons_table() -> str:
    """One row for each reason to refuse: what is wrong, and the mend."""
    rows = [f"| `{code}` | {text_of(item.title)} | {text_of(item.mend)} |" for code, item in sorted(reasons().items())]
    return "\n".join(["| code | what is wrong | what to do |", "|---|---|---|", *rows, ""])
