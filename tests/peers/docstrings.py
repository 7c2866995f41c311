"""The examples in the docstrings of Great Expectations' expectations: data, a call, and whether it succeeds. They are
read, and never run."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_CASE = re.compile(
    r"(Passing|Failing) Case:\s*Input:\s*(?P<call>\w+\(.*?\))\s*Output:(?P<output>.*?)(?=Failing Case:|\Z)", re.S
)
_CELL = re.compile(r'"[^"]*"|\S+')


@dataclass(frozen=True)
class Example:
    """One case of a docstring."""

    type: str
    name: str
    """``Passing 1``."""
    columns: dict[str, list[Any]]
    kwargs: dict[str, Any]
    success: bool


def examples() -> Iterator[Example]:
    """Every example whose data and call can be read."""
    import great_expectations.expectations.core  # noqa: F401 - registers them
    from great_expectations.expectations.registry import (
        get_expectation_impl,
        list_registered_expectation_implementations,
    )

    for kind in sorted(list_registered_expectation_implementations()):
        text = inspect.cleandoc(get_expectation_impl(kind).__doc__ or "")
        columns = _table(text)
        for number, case in enumerate(_CASE.finditer(text), start=1):
            kwargs, success = _kwargs(case["call"]), re.search(r'"success":\s*(true|false)', case["output"])
            if columns and kwargs is not None and success is not None:
                yield Example(kind, f"{case[1]} {number}", columns, kwargs, success[1] == "true")


def _kwargs(call: str) -> dict[str, Any] | None:
    """The arguments, where each is a literal."""
    try:
        tree = ast.parse(inspect.cleandoc(call), mode="eval").body
        assert isinstance(tree, ast.Call)
        return {str(word.arg): _plain(ast.literal_eval(word.value)) for word in tree.keywords}
    except (SyntaxError, ValueError, AssertionError):
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list | set):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value


def _table(text: str) -> dict[str, list[Any]]:
    """``Example Data``: a header, and rows that begin with their number."""
    found = re.search(r"Example Data:\n(.*?)\n\s*(?:Code Examples|Passing Case)", text, re.S)
    if not found:
        return {}
    lines = [line.strip() for line in found[1].splitlines() if line.strip()]
    names = [name.strip('"') for name in _CELL.findall(lines[0])]
    rows = [_CELL.findall(line)[1:] for line in lines[1:]]
    if any(len(row) < len(names) for row in rows):
        return {}
    rows = [[_value(cell) for cell in row] for row in rows]
    columns = {name: [row[at] for row in rows] for at, name in enumerate(names)}
    return {name: _of_one_type(values) for name, values in columns.items()}


def _value(cell: str) -> Any:
    if cell in ("NaN", "None", "null", "NULL", "nan"):
        return None
    try:
        return ast.literal_eval(cell)
    except (SyntaxError, ValueError):
        return cell


def _of_one_type(values: list[Any]) -> list[Any]:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float}:
        return [None if value is None else float(value) for value in values] if float in kinds else values
    return values if len(kinds) < 2 else [None if value is None else str(value) for value in values]
