"""Reads the settings of one dataset check into its dataclass. Refuses unknown keys (naming the nearest), missing ones,
and values of another kind than asked for."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, TypeVar

from airflow_mlgov.durations import parse_duration
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.results import Severity, is_finite

T = TypeVar("T")


def read_settings(kind: str, cls: type[T], given: Any) -> T:
    """``given`` as a ``cls``, whose fields are the keys (a trailing underscore keeps a field off Python's keywords).

    :param kind: the check's name, for messages
    :raises ConfigurationError: not a mapping, an unknown or a missing key, or what ``cls`` itself refuses
    """
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            f"checks.{kind} must be a mapping of its settings, not {given!r}", code="checks.no_mapping"
        )
    fields = {field.name.rstrip("_"): field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    refuse_unknown(f"checks.{kind}", given, fields)
    missing = [
        name
        for name, field in fields.items()
        if name not in given and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigurationError(f"checks.{kind} needs {' and '.join(missing)}", code="setting.missing")
    try:
        return cls(**{fields[name].name: value for name, value in given.items()})
    except ConfigurationError as error:
        raise type(error)(f"checks.{kind}: {error}", code=error.code) from None


def refuse_unknown(where: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse a key that nothing reads.

    :raises ConfigurationError: naming the key and the nearest known one
    """
    names = sorted(known)
    for key in given:
        if key not in names:
            near = get_close_matches(str(key), names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
            raise ConfigurationError(f"{where} has an unknown key {key!r}; {hint}", code="setting.unknown")


def names_of(key: str, value: Any) -> tuple[str, ...]:
    """A list of column names as a tuple.

    :raises ConfigurationError: it is something else
    """
    if isinstance(value, str) or not isinstance(value, list | tuple) or not all(isinstance(x, str) for x in value):
        raise ConfigurationError(f"{key} must be a list of column names, not {value!r}", code="setting.wrong")
    return tuple(value)


def number_of(key: str, value: Any, low: float, high: float = math.inf) -> float:
    """A number within ``low`` to ``high``.

    :raises ConfigurationError: it is something else
    """
    sound = is_finite(value)
    if not sound or not low <= value <= high:
        span = f"of at least {low:g}" if high == math.inf else f"within {low:g} to {high:g}"
        raise ConfigurationError(f"{key} must be a number {span}, not {value!r}", code="setting.wrong")
    return float(value)


def count_of(key: str, value: Any, low: int, high: float = math.inf) -> int:
    """A whole number within ``low`` to ``high``.

    :raises ConfigurationError: it is something else
    """
    if isinstance(value, float) or number_of(key, value, low, high) != int(value):
        raise ConfigurationError(f"{key} must be a whole number, not {value!r}", code="setting.wrong")
    return int(value)


def text_of(key: str, value: Any) -> str:
    """A text that is not empty.

    :raises ConfigurationError: it is something else
    """
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"{key} must be a text that is not empty, not {value!r}", code="setting.wrong")
    return value


def severity_of(value: Any) -> Severity:
    """A severity's word.

    :raises ConfigurationError: it is none
    """
    if value not in list(Severity):
        raise ConfigurationError(f"severity must be one of {', '.join(Severity)}, not {value!r}", code="setting.wrong")
    return Severity(value)


def duration_of(key: str, value: Any) -> timedelta:
    """``30s``, ``15m``, ``12h``, ``7d`` or ``2w`` as a time span.

    :raises ConfigurationError: anything else
    """
    try:
        return parse_duration(value)
    except ConfigurationError as error:
        raise type(error)(f"{key}: {error}", code=error.code) from None
