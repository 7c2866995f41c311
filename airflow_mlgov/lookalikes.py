"""Signs that look like ASCII and are none, as editors and chats put them in place of what was typed: quotes, dashes,
blanks, letters of another script. A word with one is another word, and nobody sees it.

Refuses nothing itself, and takes what is quoted in ASCII for what is meant.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_DOUBLE, _SINGLE, _DASHES = "“”„‟«»″‶＂", "‘’‚‛‹›′‵＇", "‐‑‒–—―−﹘﹣－"
_LETTERS = dict(
    zip("аеорсухіјѕһԁԛԝАВЕКМНОРСТУХЅІЈΑΒΕΖΗΙΚΜΝΟΡΤΥΧο", "aeopcyxijshdqwABEKMHOPCTYXSIJABEZHIKMNOPTYXo", strict=True)
)
_OTHERS = {"≥": ">=", "≤": "<=", "…": "..."}
_ASCII = str.maketrans(
    {**dict.fromkeys(_DOUBLE, '"'), **dict.fromkeys(_SINGLE, "'"), **dict.fromkeys(_DASHES, "-"), **_LETTERS, **_OTHERS}
)
_QUOTES = f"[{_DOUBLE}{_SINGLE}]"
_QUOTED = re.compile(rf"{_QUOTES}\S*")
_OPTION = re.compile(rf"[-{_DASHES}]{{1,2}}[A-Za-z]\S*")
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def ascii_of(text: str) -> str:
    """What a text looks like, as far as that can be typed in ASCII."""
    return unicodedata.normalize("NFKC", text.translate(_ASCII)).translate(_ASCII)


def why_no_word(word: str) -> str | None:
    """Why a word that stands without quotes is not what it looks like, and what to type; None where it is."""
    if word.isascii():
        return None
    looks = ascii_of(word)
    if re.match(_QUOTES, word):
        return f"begins with {_named(word[0])}, which quotes nothing: type {looks}"
    for sign in word:
        if unicodedata.category(sign) in ("Cf", "Cc") or (sign.isspace() and sign != " "):
            return f"holds {_named(sign)}, which nobody sees: type it anew"
    strange = [sign for sign in word if not sign.isascii()]
    if _NUMBER.fullmatch(looks) or (set(strange) <= _LETTERS.keys() and re.search("[A-Za-z]", word)):
        return f"holds {_named(strange[0])}, which only looks like {looks[word.index(strange[0])]!r}: type {looks}"
    return None


def why_no_argument(word: str) -> str | None:
    """The same of a word of a command line: a quote that no shell takes for one, an option whose dash is none."""
    if word.isascii():
        return None
    name = word.partition("=")[0]
    if _OPTION.fullmatch(name) and not name.isascii():
        strange = next(sign for sign in name if not sign.isascii())
        return f"holds {_named(strange)}, so it is no option: type --{ascii_of(word).lstrip('-')}"
    if _QUOTED.fullmatch(word):
        return f"begins with {_named(word[0])}, which quotes nothing in a shell: type {ascii_of(word)}"
    return None


def in_yaml(text: str) -> Iterator[tuple[int, str, str]]:
    """Line, word and why, of the words without quotes in a YAML text that are not what they look like."""
    if text.isascii():
        return
    import yaml

    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.ScalarEvent) and not event.style and (why := why_no_word(event.value)):
            yield mark.line + 1 if (mark := event.start_mark) else 0, event.value, why


def after(line: str) -> str:
    """What to say after the complaint of a parser about a line; nothing where no quote in it is a typographic one."""
    found = re.search(_QUOTES, line)
    return f"; it holds {_named(found[0])}, which quotes nothing: type {ascii_of(found[0])}" if found else ""


def _named(sign: str) -> str:
    return f"{sign if sign.isprintable() else ''} (U+{ord(sign):04X})".strip()
