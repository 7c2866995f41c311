"""What a command line may say in place of a number or a path, read in one place. A ``ValueError`` becomes the usage
error that names the option."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.lookalikes import why_no_argument
from airflow_mlgov.words import plain

_LONGEST_PATH = 4_096
_LARGEST = 2**63 - 1
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")


def number(text: str) -> float:
    """A finite number."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{plain(text, 60)} is not a finite number")
    return value


def whole(text: str) -> int:
    """A whole number that a database can keep."""
    if not _WHOLE.fullmatch(str(text)) or abs(int(text)) > _LARGEST:
        raise ValueError(f"{plain(text, 60)} is not a whole number that can be kept")
    return int(text)


def path(text: str) -> Path:
    """A path that a file system can have."""
    if not text or "\0" in text or len(text.encode()) > _LONGEST_PATH:
        raise ValueError(f"{plain(text, 60)} is not a path")
    return Path(text)


def require_text(arguments: Iterable[str]) -> None:
    """Every argument is text, and the text that it looks like; the system hands over whatever bytes it was given.

    :raises ConfigurationError: one is not UTF-8, or begins with a quote or a dash that is none to a shell
    """
    for argument in arguments:
        if any("\ud800" <= char <= "\udfff" for char in argument):
            raise ConfigurationError(
                f"an argument is not UTF-8: {plain(argument, 200)}; name the file by a link with another name, or mend "
                "the shell's locale",
                code="option.not_text",
            )
        if why := why_no_argument(argument):
            raise ConfigurationError(f"{plain(argument, 200)} {why}", code="word.lookalike")
