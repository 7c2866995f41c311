"""The blocks and calls of a Groovy script as far as a declarative Jenkinsfile needs them: names, texts, braces, lines.

It is no parser of Groovy: it knows comments, texts and braces, so that none of them is taken for another. Runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from airflow_mlgov.errors import ConfigurationError

MAX_CHARACTERS = 1 << 20
_DEEP = 80
_OPEN, _CLOSE = "([", ")]"


@dataclass
class Call:
    """``name(…)``, ``name …`` or ``name … { … }``."""

    name: str
    line: int
    text: str = ""
    """What stands between the name and the block or the end, without comments."""
    texts: list[tuple[str, str, int]] = field(default_factory=list)
    """Key (empty if there is none), value and line of each text among the arguments."""
    body: list[Call] | None = None
    """What the block holds; None if there is none."""

    def first(self, name: str) -> Call | None:
        """The first call of a name within the block."""
        return next(self.all(name), None)

    def all(self, name: str) -> Iterator[Call]:
        """The calls of a name within the block."""
        return (call for call in self.body or () if call.name == name)

    def said(self, key: str = "") -> str:
        """The text of an argument; of the one without a key if none is named."""
        return next((value for name, value, _ in self.texts if name == key), "")


def read_groovy(text: str, source: str) -> list[Call]:
    """The calls of a script, outermost first.

    :raises ConfigurationError: it is too large, a text or a block does not end, or blocks lie too deep in each other
    """
    if len(text) > MAX_CHARACTERS:
        raise ConfigurationError(f"{source} is larger than {MAX_CHARACTERS >> 20} MiB", code="file.too_large")
    # as the compiler does before it reads anything else
    text = re.sub(
        r"(?<!\\)((?:\\\\)*)\\u+([0-9a-fA-F]{4})", lambda one: one.group(1) + chr(int(one.group(2), 16)), text
    )
    reader = _Reader(text, source)
    found = reader.block(0)
    if reader.at < len(text):
        raise ConfigurationError(f"{source}:{reader.line}: a brace too many", code="file.not_groovy")
    return found


class _Reader:
    def __init__(self, text: str, source: str) -> None:
        self._text = text
        self._source = source
        self.at = 0
        self.line = 1

    def block(self, depth: int) -> list[Call]:
        """Calls up to the brace that closes the block, or the end."""
        if depth > _DEEP:
            raise ConfigurationError(f"{self._source}:{self.line}: nested too deeply", code="file.too_deep")
        found: list[Call] = []
        while self._skip(";"):
            if self._peek() == "}":
                if depth == 0:
                    return found
                return found
            found.append(self._call(depth))
        if depth:
            raise ConfigurationError(f"{self._source}:{self.line}: a block does not end", code="file.not_groovy")
        return found

    # -- characters -------------------------------------------------------------------------------------------------

    def _peek(self, length: int = 1) -> str:
        return self._text[self.at : self.at + length]

    def _step(self, count: int = 1) -> str:
        taken = self._text[self.at : self.at + count]
        self.at += count
        self.line += taken.count("\n")
        return taken

    def _skip(self, more: str = "") -> bool:
        """Past blanks, line ends and comments; whether anything is left."""
        while self.at < len(self._text):
            if self._peek().isspace() or self._peek() in more:
                self._step()
            elif not self._comment():
                return True
        return False

    def _comment(self) -> bool:
        if self._peek(2) == "//" or (self.at == 0 and self._peek(2) == "#!"):
            end = self._text.find("\n", self.at)
            self._step((end if end >= 0 else len(self._text)) - self.at)
            return True
        if self._peek(2) == "/*":
            end = self._text.find("*/", self.at + 2)
            if end < 0:
                raise ConfigurationError(f"{self._source}:{self.line}: a comment does not end", code="file.not_groovy")
            self._step(end + 2 - self.at)
            return True
        return False

    def _quoted(self) -> tuple[str, int]:
        """A text, and the line on which it begins."""
        line = self.line
        mark = self._peek(3) if self._peek(3) in ("'''", '"""') else self._peek()
        self._step(len(mark))
        kept: list[str] = []
        while self.at < len(self._text):
            if self._peek() == "\\":
                taken = self._step(2)
                kept.append({"n": "\n", "t": "\t", "\n": ""}.get(taken[1:], taken[1:]))
            elif self._peek(len(mark)) == mark:
                self._step(len(mark))
                return "".join(kept), line
            elif mark.startswith('"') and self._peek(2) == "${":
                kept.append(self._expression())
            elif len(mark) == 1 and self._peek() == "\n":
                break
            else:
                kept.append(self._step())
        raise ConfigurationError(f"{self._source}:{line}: a text does not end", code="file.not_groovy")

    def _slashed(self) -> tuple[str, int]:
        """A text between slashes, or between ``$/`` and ``/$``, and the line on which it begins."""
        line, start, mark = self.line, self.at, "/$" if self._peek() == "$" else "/"
        self._step(len(mark))
        while self.at < len(self._text):
            if self._peek(2) == ("$$" if mark == "/$" else "\\/"):
                self._step(2)
            elif self._peek(len(mark)) == mark:
                self._step(len(mark))
                return self._text[start + len(mark) : self.at - len(mark)].replace("\\/", "/"), line
            elif self._peek(2) == "${":
                self._expression()
            else:
                self._step()
        raise ConfigurationError(f"{self._source}:{line}: a text does not end", code="file.not_groovy")

    def _begins_slashed(self, said: list[str]) -> bool:
        """Whether a slash begins a text here, and does not divide."""
        if self._peek(2) == "$/":
            return True
        last = next((part for part in reversed(said) if not part.isspace()), "")
        blank = bool(said) and said[-1].isspace()
        words = (
            last == "TEXT" or last in (")", "]", "{}") or (bool(last) and (last[-1].isalnum() or last[-1] in "_.$@"))
        )
        # ``echo /a/`` is a call with a text, ``a / b`` divides, and so does ``a/b``
        return self._peek() == "/" and (not words or (not last and blank))

    def _expression(self) -> str:
        """``${…}``, as the word that stands for it."""
        depth = 0
        while self.at < len(self._text):
            if depth and self._peek() in "'\"":
                self._quoted()
                continue
            if depth and self._comment():
                continue
            one = self._step()
            depth += (one == "{") - (one == "}")
            if one == "}" and depth == 0:
                return "EXPRESSION"
        return ""

    def _name(self) -> str:
        start = self.at
        while self.at < len(self._text) and (self._peek().isalnum() or self._peek() in "_.$@"):
            self._step()
        return self._text[start : self.at]

    # -- calls --------------------------------------------------------------------------------------------------------

    def _call(self, depth: int) -> Call:
        call = Call(self._name(), self.line)
        brackets = 0
        key = ""
        said: list[str] = []
        while self.at < len(self._text) and not self._ends(said, brackets):
            one = self._peek()
            if one in "'\"":
                value, line = self._quoted()
                call.texts.append((key, value, line))
                said.append("TEXT")
                key = ""
            elif self._comment():
                continue
            elif one in "/$" and self._begins_slashed(said):
                value, line = self._slashed()
                call.texts.append((key, value, line))
                said.append("TEXT")
                key = ""
            elif one == "{":
                if not self._braces(call, said, brackets, depth):
                    break
            elif one in _OPEN or one in _CLOSE:
                brackets += 1 if one in _OPEN else -1
                said.append(self._step())
            elif one.isalnum() or one in "_$@":
                word = self._name()
                said.append(word)
                key = word if self._peek() == ":" else ""
            else:
                said.append(self._step())
        call.text = " ".join("".join(f" {part} " for part in said).split())
        if not call.name and not call.body and not said:
            self._step()
        return call

    def _ends(self, said: list[str], brackets: int) -> bool:
        """Whether a call ends here: at a brace or a bracket that is not its own, or with its line."""
        if brackets < 0:
            return True
        one = self._peek()
        return brackets == 0 and (one == "}" or (one in "\n;" and not self._goes_on(said)))

    def _goes_on(self, said: list[str]) -> bool:
        """Whether a line that ends here is continued by the next one."""
        last = next((part for part in reversed(said) if not part.isspace()), "")
        if last in (",", ":", "+", "&", "|", "?"):
            self._step()
            return True
        return False

    def _braces(self, call: Call, said: list[str], brackets: int, depth: int) -> bool:
        """A block or a closure; whether the call goes on behind it."""
        self._step()
        inner = self.block(depth + 1)
        if self._peek() == "}":
            self._step()
        call.body = [*(call.body or []), *inner]
        said.append("{}")
        if brackets > 0:
            return True
        start, line = self.at, self.line
        self._skip()
        rest = self._text[self.at : self.at + 7]
        if rest.startswith(("else", "catch", "finally")):
            return True
        self.at, self.line = start, line
        return False
