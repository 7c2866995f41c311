"""Reads ISO dates and time stamps of a suite, exactly as written and in no other form. Refuses whatever SQL or a parser
would guess at."""

from __future__ import annotations

import re
from datetime import date, datetime

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?"
_ZONE = r"(Z|[+-][0-9]{2}:?[0-9]{2})?"
ISO = f"{_DATE}([T ]{_TIME}{_ZONE})?"
"""The form, for RE2 and Python alike."""

_FORM = re.compile(ISO)


def is_iso(text: str) -> bool:
    """Whether it is a date, or a date and a time, that the calendar has."""
    if not _FORM.fullmatch(text):
        return False
    try:
        date.fromisoformat(text[:10])
        datetime.fromisoformat(re.sub(r"([.][0-9]{6})[0-9]+", r"\1", text))
    except ValueError:
        return False
    return True


def has_zone(text: str) -> bool:
    """Whether an ISO time stamp says how far from UTC it is."""
    return re.search(r"(Z|[+-][0-9]{2}:?[0-9]{2})$", text[10:]) is not None
