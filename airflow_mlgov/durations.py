"""Time spans as people write them in policies and rules: ``7d``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from airflow_mlgov.errors import ConfigurationError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


LONGEST = timedelta(days=36_525)
"""A hundred years: whatever lasts longer ends at no date that a calendar has."""


def parse_duration(text: Any) -> timedelta:
    """``30s``, ``15m``, ``12h``, ``7d`` or ``2w`` as a time span.

    :raises ConfigurationError: anything else, or more than a hundred years
    """
    match = re.fullmatch(r"([1-9][0-9]{0,9})([smhdw])", text) if isinstance(text, str) else None
    if not match:
        raise ConfigurationError(
            f"{text!r} is not a duration: write a number and s, m, h, d or w, such as 7d", code="duration.form"
        )
    return span(int(match[1]), _UNITS[match[2]])


def seconds_of(text: Any) -> float:
    """A time limit as people write it: seconds as a number, or a duration.

    :raises ConfigurationError: it is neither
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)
    try:
        return float(text) if isinstance(text, str) else parse_duration(text).total_seconds()
    except ValueError:
        return parse_duration(text).total_seconds()


def span(number: float, unit: str) -> timedelta:
    """A number of ``days``, ``hours`` and the like as a time span.

    :raises ConfigurationError: it is not a finite number, or more than a hundred years
    """
    try:
        found = timedelta(**{unit: number})
    except (OverflowError, ValueError, TypeError):
        found = None
    if found is None or abs(found) > LONGEST:
        raise ConfigurationError(
            f"{number!r} {unit} are not a duration of at most a hundred years", code="duration.form"
        )
    return found
