"""Time spans as people write them in policies and rules: ``7d``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from airflow_mlgov.errors import ConfigurationError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(text: Any) -> timedelta:
    """``30s``, ``15m``, ``12h``, ``7d`` or ``2w`` as a time span.

    :raises ConfigurationError: anything else
    """
    match = re.fullmatch(r"([1-9][0-9]{0,5})([smhdw])", text) if isinstance(text, str) else None
    if not match:
        raise ConfigurationError(
            f"{text!r} is not a duration: write a number and s, m, h, d or w, such as 7d", code="duration.form"
        )
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
