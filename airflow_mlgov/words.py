"""Text that somebody or some file has said, made fit to stand among the product's own words: in a line, in Markdown, in
HTML, on a terminal.

Nothing of it can end a line, move a cursor, turn the direction of writing, hide what comes after it, or become a link.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from html import escape
from typing import Any

LONGEST = 2_000
"""Characters of one said thing that are shown; how many more there are is said behind them."""
_LONGEST_LINE = 20_000
UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
"""Letters and marks that count as printable and show nothing."""
_STACKED = 4
"""Combining marks on one letter that are drawn; more would reach into the lines above."""
_WIDE_GAP = re.compile(r"(?<=\S) {13,}")
"""Blanks that would push what follows into the next row of a terminal."""
_PLAIN_MARKDOWN = re.compile(
    r"(?!\d+[.)](?: |$))[^\W_](?:[^\W_]|(?<=[^\W_])_(?=[^\W_])|[ ,;()/%'\"?+=-]|:(?= |$)|\.(?!\w)|(?<=\d)\.(?=\d))*"
)
"""What means itself wherever it stands within a line of Markdown, also of GitHub's."""
_TICKS = re.compile("`+")


def plain(said: Any, longest: int = LONGEST) -> str:
    """One said thing within a line: white space of any kind is one blank, what cannot be seen is shown as ``\\x1b``.

    :param longest: characters to show
    """
    text = " ".join(str(said).split())
    more = len(text) - longest
    shown = _visible(text[:longest])
    return f"{shown}… ({more} more characters)" if more > 0 else shown


def line(text: Any) -> str:
    """One line of the product's that may hold said things: its blanks are kept, no other white space is."""
    kept = str(text)
    more = len(kept) - _LONGEST_LINE
    shown = _WIDE_GAP.sub(" " * 12, _visible("".join(" " if char.isspace() else char for char in kept[:_LONGEST_LINE])))
    return f"{shown}… ({more} more characters)" if more > 0 else shown


def lines(parts: Iterable[Any]) -> str:
    """Lines of the product's, each made :func:`line`."""
    return "\n".join(map(line, parts))


def screened(text: str) -> str:
    """What may go to a terminal whoever wrote it: line ends and tabs stay, every other control is shown."""
    return "".join(char if char in "\n\t" else _visible(char) for char in text) if not _is_clean(text) else text


def markdown(said: Any, longest: int = LONGEST) -> str:
    """One said thing within a line of Markdown, also in a cell of a table: written as code where any of it could be
    markup, so that it holds no heading, table, list, emphasis, image, link, mention or HTML."""
    text = plain(said, longest)
    if _PLAIN_MARKDOWN.fullmatch(text):
        return text
    if not text:
        return ""
    ticks = "`" * (1 + max((len(run) for run in _TICKS.findall(text)), default=0))
    room = " " if "`" in text else ""
    # The cells of a table are cut before code is looked for, so a bar would end one.
    return f"{ticks}{room}{text.replace('|', '¦')}{room}{ticks}"


def html(said: Any, longest: int = LONGEST) -> str:
    """One said thing within HTML, in an element or an attribute."""
    return escape(plain(said, longest))


def chat(text: Any) -> str:
    """Lines of plain text for Slack and what writes like it: no mention, link or emphasis is made of them."""
    flat = lines(str(text).split("\n")).translate(_CHAT)
    return escape(re.sub(r"(?<!\w)_|_(?!\w)", "ˍ", flat), quote=False)


_CHAT = str.maketrans({"*": "∗", "~": "∼", "`": "ˋ"})


def _is_clean(text: str) -> bool:
    return text.isascii() and text.replace("\n", "").replace("\t", "").isprintable()


def _visible(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    found, stacked = [], 0
    for char in text:
        stacked = stacked + 1 if unicodedata.combining(char) else 0
        hidden = not char.isprintable() or UNSEEN.match(char) or stacked > _STACKED
        found.append(_escape(char) if hidden else char)
    return "".join(found)


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
