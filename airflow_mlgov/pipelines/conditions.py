"""Boolean expressions over words (``a.Succeeded && (b || !c)``), as clauses that must all hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

_TOKEN = re.compile(r"\s*(?:(&&|\|\||!|\(|\))|([A-Za-z0-9_.\-]+))")
_MOST = 200
_DEEP = 50


@dataclass(frozen=True)
class Formula:
    """A word, or others joined."""

    kind: Literal["word", "and", "or", "not"]
    word: str = ""
    parts: tuple[Formula, ...] = ()


Clause = tuple[tuple[str, bool], ...]
"""Words of which one suffices, each with whether it is wanted or must not be."""


def parse(text: str) -> Formula | None:
    """The formula that a text writes; None if it is none."""
    tokens: list[str] = []
    at = 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            return None
        tokens.append(match.group(1) or match.group(2))
        at = match.end()
    try:
        reader = iter(tokens)
        found, rest = _either(next(reader), reader, 0)
    except (StopIteration, RecursionError, ValueError):
        return None
    return found if rest is None else None


def clauses(formula: Formula) -> list[Clause]:
    """Clauses that must all hold; one clause of every word, none wanted, if there are too many."""
    found = _clauses(formula, wanted=True)
    if len(found) > _MOST:
        return [tuple((word, False) for word in sorted(set(_words(formula))))]
    return found


def _clauses(formula: Formula, *, wanted: bool) -> list[Clause]:
    if formula.kind == "word":
        return [((formula.word, wanted),)]
    if formula.kind == "not":
        return _clauses(formula.parts[0], wanted=not wanted)
    inner = [_clauses(part, wanted=wanted) for part in formula.parts]
    if (formula.kind == "and") is wanted:
        return [clause for one in inner for clause in one]
    joined: list[Clause] = [()]
    for one in inner:
        joined = [tuple(dict.fromkeys((*left, *right))) for left in joined for right in one]
        if len(joined) > _MOST:
            return joined
    return joined


def _words(formula: Formula) -> Iterator[str]:
    if formula.kind == "word":
        yield formula.word
    for part in formula.parts:
        yield from _words(part)


def _either(token: str | None, rest: Iterator[str], depth: int) -> tuple[Formula, str | None]:
    found, after = _both(token, rest, depth)
    parts = [found]
    while after == "||":
        one, after = _both(next(rest), rest, depth)
        parts.append(one)
    return (Formula("or", parts=tuple(parts)) if len(parts) > 1 else found), after


def _both(token: str | None, rest: Iterator[str], depth: int) -> tuple[Formula, str | None]:
    found, after = _one(token, rest, depth)
    parts = [found]
    while after == "&&":
        one, after = _one(next(rest), rest, depth)
        parts.append(one)
    return (Formula("and", parts=tuple(parts)) if len(parts) > 1 else found), after


def _one(token: str | None, rest: Iterator[str], depth: int) -> tuple[Formula, str | None]:
    if depth > _DEEP:
        raise ValueError
    if token == "!":
        found, after = _one(next(rest), rest, depth + 1)
        return Formula("not", parts=(found,)), after
    if token == "(":
        found, after = _either(next(rest), rest, depth + 1)
        if after != ")":
            raise ValueError
        return found, next(rest, None)
    if token is None or token in ("&&", "||", ")"):
        raise ValueError
    return Formula("word", token), next(rest, None)
