"""Turns a regular expression of Python's ``re`` into one of RE2 that answers the same. Gives None for whatever the
two could read differently: look-arounds, back-references, flags, repetitions that RE2 will not hold."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from typing import Any

_MOST_REPETITIONS = 1000
_UNICODE_END = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)

_CLASSES = {
    "CATEGORY_DIGIT": ((0x30, 0x39),),
    "CATEGORY_SPACE": ((0x09, 0x0D), (0x1C, 0x20)),
    "CATEGORY_WORD": ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)),
}
"""The ASCII members of Python's classes, as ranges of code points."""

_ANCHORS = {
    "AT_BEGINNING": r"\A",
    "AT_BEGINNING_STRING": r"\A",
    "AT_BOUNDARY": r"\b",
    "AT_END": r"\z",
    "AT_END_STRING": r"\z",
}


@dataclass(frozen=True)
class PortableRegex:
    """An expression for RE2, and the values for which it answers as Python does."""

    pattern: str
    ascii_only: bool
    r"""Only for values of ASCII characters: ``\w`` and its like know all of Unicode in Python."""
    one_line: bool
    """Only for values without a line break: Python's ``$`` also stands before the last one."""


class _Unlike(Exception):
    """The two engines could differ here."""


def portable_regex(pattern: str) -> PortableRegex | None:
    """``pattern`` for RE2, to be searched anywhere in a value; None where it may answer differently, or is none."""
    parser: Any = importlib.import_module("re._parser")
    try:
        tree = parser.parse(pattern)
    except (re.error, RecursionError, OverflowError):
        return None
    if tree.state.flags & ~re.UNICODE:
        return None
    writer = _Writer()
    try:
        written = writer.sequence(tree, 1)
    except (_Unlike, RecursionError):
        return None
    return PortableRegex(written, writer.ascii_only, writer.one_line)


def matches_anything(pattern: str) -> bool:
    """Whether ``pattern`` is found in every text because nothing needs to be there: ``.*``, ``x?``, nothing. False
    where that is not certain."""
    parser: Any = importlib.import_module("re._parser")
    try:
        return _needs_nothing(parser.parse(pattern))
    except (re.error, RecursionError, OverflowError):
        return False


def _needs_nothing(tree: Any) -> bool:
    for kind, argument in tree:
        match str(kind):
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                needless = int(argument[0]) == 0 or _needs_nothing(argument[2])
            case "SUBPATTERN":
                needless = _needs_nothing(argument[3])
            case "ATOMIC_GROUP":
                needless = _needs_nothing(argument)
            case "BRANCH":
                needless = any(map(_needs_nothing, argument[1]))
            case "AT":
                needless = str(argument) in ("AT_BEGINNING_STRING", "AT_BEGINNING") and len(tree) == 1
            case _:
                needless = False
        if not needless:
            return False
    return True


class _Writer:
    """Writes a parsed expression anew, so that nothing depends on the syntax the two have in common."""

    def __init__(self) -> None:
        self.ascii_only = False
        self.one_line = False

    def sequence(self, tree: Any, repeated: int) -> str:
        return "".join(self._item(str(kind), argument, repeated) for kind, argument in tree)

    def _item(self, kind: str, argument: Any, repeated: int) -> str:
        match kind:
            case "LITERAL":
                return _point(argument)
            case "NOT_LITERAL":
                return f"[^{_point(argument)}]"
            case "ANY":
                return r"[^\n]"
            case "IN":
                return self._members(argument)
            case "AT":
                return self._anchor(str(argument))
            case "BRANCH":
                return f"(?:{'|'.join(self.sequence(one, repeated) for one in argument[1])})"
            case "SUBPATTERN":
                return self._group(argument, repeated)
            case "MAX_REPEAT" | "MIN_REPEAT":
                return self._repeat(argument, repeated)
        raise _Unlike(kind)

    def _anchor(self, kind: str) -> str:
        if kind not in _ANCHORS:  # ``\B`` among them: what it says of an empty text is a matter of Python's version
            raise _Unlike(kind)
        self.ascii_only = self.ascii_only or kind == "AT_BOUNDARY"
        self.one_line = self.one_line or kind == "AT_END"
        return _ANCHORS[kind]

    def _members(self, members: Any) -> str:
        """A character class as ranges of code points."""
        negated, ranges = "", []
        for kind, argument in members:
            match str(kind):
                case "NEGATE":
                    negated = "^"
                case "LITERAL":
                    ranges.append((argument, argument))
                case "RANGE":
                    ranges.append(argument)
                case "CATEGORY":
                    ranges += self._category(str(argument))
                case other:
                    raise _Unlike(other)
        return f"[{negated}{''.join(f'{_point(low)}-{_point(high)}' for low, high in ranges)}]"

    def _category(self, name: str) -> list[tuple[int, int]]:
        self.ascii_only = True
        if name in _CLASSES:
            return list(_CLASSES[name])
        inverse = _CLASSES.get(name.replace("CATEGORY_NOT_", "CATEGORY_"))
        if inverse is None:
            raise _Unlike(name)
        ranges, begin = [], 0
        for low, high in inverse:
            ranges.append((begin, low - 1))
            begin = high + 1
        return [*ranges, (begin, _UNICODE_END)]

    def _group(self, argument: Any, repeated: int) -> str:
        _, added, removed, tree = argument
        if added or removed:
            raise _Unlike("flags")
        return f"(?:{self.sequence(tree, repeated)})"

    def _repeat(self, argument: Any, repeated: int) -> str:
        low, high, tree = argument
        endless = str(high) == "MAXREPEAT"
        most = repeated * max(int(low) if endless else int(high), 1)
        if most > _MOST_REPETITIONS:
            raise _Unlike("repetitions")
        inner = self.sequence(tree, most)
        return f"(?:{inner}){{{int(low)},{'' if endless else int(high)}}}"


def _point(code: int) -> str:
    if code in _SURROGATES:
        raise _Unlike("surrogate")
    return f"\\x{{{code:X}}}"
