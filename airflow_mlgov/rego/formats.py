"""What the embedded engine answers otherwise than OPA and can be told: ``sprintf``, ``lower`` and ``upper`` as OPA has
them. Where that would take more than is here, an error, so that nothing is answered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

_MOST_DIGITS = 21
"""From so many digits on, whether a number was written with an exponent decides how it is shown."""
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?")
_SHOWN_ALIKE = {ord(letter): " " for letter in "\n\r\t"}
_ORDER: tuple[type, ...] = (type(None), bool, int, float, str, list, dict, set)


def sprintf(text: str, values: list[Any]) -> str:
    """As Go formats, for ``%v``, ``%s``, ``%d`` and ``%%``.

    :raises ValueError: another verb, or a number of values that is not the number of verbs
    """
    parts = text.replace("%%", "\0").split("%")
    if "\0" in text or len(parts) != len(values) + 1:
        raise ValueError(f"sprintf has {len(parts) - 1} verbs and {len(values)} values")
    shown = [_verb(part[:1], value) + part[1:] for part, value in zip(parts[1:], values, strict=True)]
    return (parts[0] + "".join(shown)).replace("\0", "%")


def lower(text: str) -> str:
    """Lower case, letter by letter."""
    return _cased(text, str.lower)


def upper(text: str) -> str:
    """Upper case, letter by letter."""
    return _cased(text, str.upper)


def to_number(value: Any) -> int | float:
    """As OPA reads a number: with nothing around it.

    :raises ValueError: it is none
    """
    if value is None or isinstance(value, bool | int | float):
        return value if isinstance(value, float) else int(value or 0)
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        raise ValueError(f"to_number: {str(value)[:40]!r} is no number")
    return int(value) if value.lstrip("-").isdigit() else float(value)


MENDED: Mapping[str, tuple[int, Callable[..., Any]]] = {
    "lower": (1, lower),
    "sprintf": (2, sprintf),
    "to_number": (1, to_number),
    "upper": (1, upper),
}
"""Name of a built-in -> how many arguments it takes, and what it does."""


def _cased(text: str, change: Callable[[str], str]) -> str:
    if text.isascii():
        return change(text)
    found = [change(letter) for letter in text]
    if any(len(letter) != 1 for letter in found):
        raise ValueError(f"a letter of {text[:40]!r} has no one other case")
    return "".join(found)


def _verb(verb: str, value: Any) -> str:
    if verb == "v":
        return value if isinstance(value, str) else _shown(value)
    if isinstance(value, bool | list | dict | set) or value is None:
        if verb == "s":
            return _shown(value)
        raise ValueError(f"sprintf shows no such value by %{verb}: write %v")
    if (verb == "s" and isinstance(value, str)) or (verb == "d" and isinstance(value, int)):
        return value if isinstance(value, str) else _shown(value)
    what = "a text" if isinstance(value, str) else "a number"
    raise ValueError(f"sprintf shows {what} by %v{', a whole one by %d' if verb == 'd' else ''}, not by %{verb}")


def _shown(value: Any) -> str:
    """A value as OPA writes it inside of a text."""
    if isinstance(value, str):
        if not value.translate(_SHOWN_ALIKE).isprintable():
            raise ValueError("sprintf shows characters that are not printed differently")
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int | float):
        if abs(value) >= 10**_MOST_DIGITS:
            raise ValueError("sprintf shows numbers of more than 21 digits differently")
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_shown(key)}: {_shown(value[key])}" for key in sorted(value, key=_rank)) + "}"
    inside = ", ".join(_shown(item) for item in (value if isinstance(value, list) else sorted(value, key=_rank)))
    if isinstance(value, list):
        return f"[{inside}]"
    return f"{{{inside}}}" if value else "set()"


def _rank(value: Any) -> tuple[int, Any]:
    """Where a value stands in a set."""
    if isinstance(value, float):
        return (_ORDER.index(int), value)
    place = _ORDER.index(type(value))
    if isinstance(value, list | tuple | dict | set | frozenset):
        raise ValueError("sprintf shows sets of collections differently")
    return (place, 0 if value is None else value)
