"""Regular expressions that Go and Rust read alike: a closed grammar, and whatever is outside of it is refused with the
mend. ``\\w`` is ASCII in one and Unicode in the other; ``[a&&b]`` is three letters in one and an intersection in the
other."""

from __future__ import annotations

_PLAIN_ESCAPES = frozenset("tnrfvaAz")
_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;=?@[\\]^_`{|}~ ")
_NAMES = "alnum alpha ascii blank cntrl digit graph lower print punct space upper word xdigit"
_POSIX = tuple(f"[:{mark}{name}:]" for name in _NAMES.split() for mark in ("", "^"))
_OPENINGS = ("(?:", "(?i)", "(?s)", "(?i:", "(?s:", "(")
_LONGEST = 2000
"""Characters."""
_MOST_REPEATED = 1000


def why_not_alike(pattern: str) -> str:
    """Why engines may read a pattern differently; empty if they do not."""
    if len(pattern) > _LONGEST:
        return f"it is longer than {_LONGEST} characters"
    try:
        _Reader(pattern).read()
    except _Unlike as error:
        return str(error)
    return ""


class _Unlike(Exception):
    pass


class _Reader:
    """Goes through a pattern once, from left to right."""

    def __init__(self, pattern: str) -> None:
        self.text, self.at, self.depth = pattern, 0, 0
        self.repeatable = False
        """Whether what stands before may be repeated."""

    def read(self) -> None:
        """:raises _Unlike: it is outside of the grammar"""
        while self.at < len(self.text):
            self._one()
        if self.depth:
            raise _Unlike("a bracket ( is not closed")

    def _one(self) -> None:
        char = self.text[self.at]
        if char == "(":
            self._open()
        elif char == ")":
            self._close()
        elif char in "*+?{":
            self._repeat(char)
        elif char == "[":
            self._class()
        elif char == "\\":
            self._escape()
            self.repeatable = True
        elif char in "]}":
            raise _Unlike(f"write \\{char} for a {char}")
        else:
            self.at += 1
            self.repeatable = char not in "^$|"

    def _open(self) -> None:
        opening = next((one for one in _OPENINGS if self.text.startswith(one, self.at)), "(")
        if opening == "(" and self.text.startswith("(?", self.at):
            raise _Unlike(f"write (, (?:, (?i) or (?s), not {self.text[self.at : self.at + 4]}")
        self.at += len(opening)
        self.depth += not opening.endswith(")")
        self.repeatable = False

    def _close(self) -> None:
        if not self.depth:
            raise _Unlike("a bracket ) is not opened")
        self.depth -= 1
        self.at += 1
        self.repeatable = True

    def _repeat(self, char: str) -> None:
        if not self.repeatable:
            raise _Unlike(f"nothing stands before {char} that is repeated once; write \\{char} for the character")
        if char == "{":
            end = self.text.find("}", self.at)
            least, comma, most = self.text[self.at + 1 : max(end, 0)].partition(",")
            counts = [least, most] if comma and most else [least]
            if not all(part.isascii() and part.isdigit() and int(part) <= _MOST_REPEATED for part in counts):
                raise _Unlike("write {n}, {n,} or {n,m}, with numbers up to 1000, and \\{ for the character")
            self.at = end + 1
        else:
            self.at += 1
        self.at += self.text.startswith("?", self.at)
        self.repeatable = False

    def _class(self) -> None:
        self.at += 1
        self.at += self.text.startswith("^", self.at)
        first = True
        while not self.text.startswith("]", self.at) or first:
            if self.at >= len(self.text):
                raise _Unlike("a bracket [ is not closed")
            self._member(first)
            first = False
        self.at += 1
        self.repeatable = True

    def _member(self, first: bool) -> None:
        char, pair = self.text[self.at], self.text[self.at : self.at + 2]
        posix = next((name for name in _POSIX if self.text.startswith(name, self.at)), "")
        if posix:
            self.at += len(posix)
        elif char == "[" or (char == "]" and first):
            raise _Unlike(f"write \\{char} for a {char} inside of [ ]")
        elif pair in ("&&", "--", "~~"):
            raise _Unlike(f"write one {char} inside of [ ], or \\{char}")
        elif char == "\\":
            self._escape()
        else:
            self.at += 1

    def _escape(self) -> None:
        what = self.text[self.at + 1 : self.at + 2]
        if what == "x":
            digits = self.text[self.at + 2 : self.at + 4]
            if len(digits) != 2 or not all(digit in "0123456789abcdefABCDEF" for digit in digits):
                raise _Unlike("write \\x and two hexadecimal digits")
            self.at += 4
            return
        if what not in _PLAIN_ESCAPES | _PUNCTUATION or not what:
            raise _Unlike(f"\\{what} is read differently: write the characters, such as [0-9A-Za-z_] or [ \\t\\n]")
        self.at += 2
