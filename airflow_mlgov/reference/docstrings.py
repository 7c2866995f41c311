"""What a docstring says, as Markdown: its text, and what it says of each parameter."""

from __future__ import annotations

import inspect
import re
from typing import Any, NamedTuple

_FIELD = re.compile(r"^:(param|raises|returns|ivar)\b ?([^:]*): ?", re.MULTILINE)
_ROLE = re.compile(r":[a-z:]+:`~?(?:[\w.]*\.)?([\w]+)`")


class Said(NamedTuple):
    """A docstring in parts."""

    text: str
    parameters: dict[str, str]
    """Name -> description."""


def said(thing: Any) -> Said:
    """The docstring of a class or function."""
    text = inspect.cleandoc(thing.__doc__ or "")
    starts = [*_FIELD.finditer(text)]
    ends = [found.start() for found in starts] + [len(text)]
    fields = {
        found[2].split()[-1]: markdown(text[found.end() : end])
        for found, end in zip(starts, ends[1:], strict=True)
        if found[1] == "param"
    }
    return Said(markdown(text[: ends[0]], keep_paragraphs=True), fields)


def markdown(text: str, *, keep_paragraphs: bool = False) -> str:
    """Words of reStructuredText as Markdown.

    :param keep_paragraphs: whether an empty line parts paragraphs, and is no mere space
    """
    text = _ROLE.sub(r"`\1`", text).replace("``", "`")
    parts = re.split(r"\n\s*\n", text.strip()) if keep_paragraphs else [text]
    return "\n\n".join(" ".join(part.split()) for part in parts)


def cell(text: str) -> str:
    """Words that end no cell of a table."""
    return text.replace("|", "\\|")
