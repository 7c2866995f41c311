"""Looks for columns by name. Refuses a name that is not there, with the nearest that is, and names
that differ in case alone."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from airflow_mlgov.errors import ConfigurationError


def require_columns(available: Iterable[Any], wanted: Iterable[str], where: str) -> None:
    """Refuse columns that are not there, with the ones that are and the nearest name.

    :raises ConfigurationError: a wanted column is missing
    """
    names = [str(name) for name in available]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ConfigurationError(f"{where} has no column {missing_columns_text(names, missing)}", code="column.missing")


def require_apart(names: Sequence[Any], where: str) -> None:
    """Refuse columns that an engine would take for each other.

    :raises ConfigurationError: names that differ in case alone, or not at all
    """
    lower = Counter(str(name).lower() for name in names)
    alike = [str(name) for name in names if lower[str(name).lower()] > 1]
    if alike:
        raise ConfigurationError(
            f"{where} has columns whose names differ in case alone, or not at all: {', '.join(alike)}; rename them, "
            "because SQL takes one for the other",
            code="column.twice",
        )


def missing_columns_text(available: Sequence[str], missing: Sequence[str]) -> str:
    """``"agee" (did you mean "age"?); it has: age, income``."""
    texts = []
    for name in missing:
        near = [other for other in available if other.lower() == name.lower()]
        near = near or difflib.get_close_matches(name, available, n=1)
        texts.append(f'"{name}"' + (f' (did you mean "{near[0]}"?)' if near else ""))
    shown = ", ".join(available[:60]) + (f" and {len(available) - 60} more" if len(available) > 60 else "")
    return f"{', '.join(texts)}; it has: {shown or 'no columns at all'}"
