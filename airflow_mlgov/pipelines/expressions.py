"""GitHub's expressions, as far as they say after what a job or a step starts: ``always() && needs.check.result ==
'success'``. What cannot be read asks for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|(&&|\|\||==|!=|<=|>=|[!<>()\[\],.*])|([A-Za-z_][\w-]*)|(-?\d[\w.]*))")
_WHOLE = re.compile(r"\$\{\{((?:'[^']*'|[^'}]|\}(?!\}))*)\}\}", re.S)
_STATUS = frozenset({"always", "failure", "cancelled", "success"})
_LONG, _DEEP = 5_000, 40
ALL = "*"
"""In place of a name: everything that stands before."""

Node = tuple[Any, ...]


@dataclass(frozen=True)
class Asked:
    """What a condition asks for."""

    status: bool = False
    """Whether it holds a status function, so that it may start after a failure."""
    succeeded: frozenset[str] = frozenset()
    """Jobs (``check``) or steps that must have succeeded; :data:`ALL` for all."""
    unfailed: bool = False
    """Whether none that is needed may have failed or been cancelled; a skipped one will do."""
    read: frozenset[str] = frozenset()
    """What it reads: ``steps.check.outputs.x``, ``hashFiles()``."""


def asked(condition: str) -> Asked:
    """What a condition asks for before it lets something start."""
    if "${{" in condition:
        match = _WHOLE.fullmatch(condition)
        if match is None:  # a text with an expression in it is never empty, so always true
            return Asked(status=any(re.search(rf"\b{name}\s*\(", condition, re.I) for name in _STATUS))
        condition = match.group(1)
    try:
        tree = _Reader(condition).read() if len(condition) <= _LONG else None
    except (StopIteration, ValueError, RecursionError):
        tree = None
    if tree is None:
        return Asked(
            status=any(re.search(rf"\b{name}\s*\(", condition, re.I) for name in _STATUS), read=frozenset({"?"})
        )
    facts = _facts(tree, wanted=True)
    return Asked(
        any(node[0] == "call" and node[1] in _STATUS for node in _walked(tree)),
        frozenset(name for kind, name in facts if kind == "ok"),
        {("none", "failure"), ("none", "cancelled")} <= facts,
        frozenset(
            node[1] if node[0] == "ref" else f"{node[1]}()" for node in _walked(tree) if node[0] in ("ref", "call")
        ),
    )


def _walked(node: Node) -> Iterator[Node]:
    yield node
    for part in node[1:]:
        if isinstance(part, tuple):
            yield from _walked(part)


def _facts(node: Node, *, wanted: bool) -> frozenset[tuple[str, str]]:
    """What holds wherever a condition does; wherever it does not, if it is not wanted."""
    kind = node[0]
    if kind == "not":
        return _facts(node[1], wanted=not wanted)
    if kind in ("and", "or"):
        inner = [_facts(part, wanted=wanted) for part in node[1:]]
        return frozenset().union(*inner) if (kind == "and") is wanted else frozenset.intersection(*inner)
    if kind == "call" and node[1] == "success" and wanted:
        return frozenset({("ok", ALL)})
    if kind == "call" and node[1] == "contains" and not wanted and node[2:3] == (("ref", "needs.*.result"),):
        return frozenset({("none", node[3][1].lower())}) if len(node) == 4 and node[3][0] == "text" else frozenset()
    if kind == "==" and wanted:
        sides = {node[1], node[2]}
        for side in sides:
            match = re.fullmatch(r"needs\.([\w-]+)\.result|steps\.([\w-]+)\.(?:outcome|conclusion)", str(side[1]))
            if side[0] == "ref" and match and ("text", "success") in sides:
                return frozenset({("ok", match.group(1) or match.group(2))})
    return frozenset()


class _Reader:
    """A reader of one expression; ``||`` binds weakest, ``!`` strongest."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text.rstrip()):
            match = _TOKEN.match(text, at)
            if match is None:
                raise ValueError
            kind = ("text", "sign", "name", "number")[match.lastindex - 1 if match.lastindex else 0]
            self._tokens.append((kind, match.group(match.lastindex or 0)))
            at = match.end()
        self._at = 0
        self._depth = 0

    def read(self) -> Node:
        found = self._joined("or", "||", lambda: self._joined("and", "&&", self._compared))
        if self._at < len(self._tokens):
            raise ValueError
        return found

    def _sign(self, *signs: str) -> str:
        if self._at < len(self._tokens) and self._tokens[self._at][0] == "sign" and self._tokens[self._at][1] in signs:
            self._at += 1
            return self._tokens[self._at - 1][1]
        return ""

    def _joined(self, kind: str, sign: str, inner: Any) -> Node:
        parts = [inner()]
        while self._sign(sign):
            parts.append(inner())
        return parts[0] if len(parts) == 1 else (kind, *parts)

    def _compared(self) -> Node:
        left = self._one()
        while sign := self._sign("==", "!=", "<", ">", "<=", ">="):
            left = (sign, left, self._one())
        return left

    def _one(self) -> Node:
        self._depth += 1
        if self._depth > _DEEP * 10 or self._at >= len(self._tokens):
            raise ValueError
        if self._sign("!"):
            return ("not", self._one())
        if self._sign("("):
            found = self._joined("or", "||", lambda: self._joined("and", "&&", self._compared))
            if not self._sign(")"):
                raise ValueError
            return found
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "text":
            return ("text", text[1:-1].replace("''", "'"))
        if kind == "number":
            return ("number", text)
        if kind != "name":
            raise ValueError
        return self._called(text.lower()) if self._sign("(") else self._reference(text)

    def _called(self, name: str) -> Node:
        args: list[Node] = []
        while not self._sign(")"):
            if args and not self._sign(","):
                raise ValueError
            args.append(self._joined("or", "||", lambda: self._joined("and", "&&", self._compared)))
        return ("call", name, *args)

    def _reference(self, text: str) -> Node:
        parts = [text]
        while sign := self._sign(".", "["):
            kind, word = self._tokens[self._at] if self._at < len(self._tokens) else ("", "")
            self._at += 1
            if sign == "." and (kind == "name" or word == "*"):
                parts.append(word)
            elif sign == "[" and kind == "text" and self._sign("]"):
                parts.append(word[1:-1])
            else:
                raise ValueError
        return ("ref", ".".join(parts))
