"""Looks for columns by name. Refuses a name that is not there, with the nearest that is."""

from __future__ import annotations

import difflib
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


def missing_columns_text(available: Sequence[str], missing: Sequence[str]) -> str:
    """``"agee" (did you mean "age"?); it has: age, income``."""
    texts = []
    for name in missing:
        near = difflib.get_close_matches(name, available, n=1)
        texts.append(f'"{name}"' + (f' (did you mean "{near[0]}"?)' if near else ""))
    shown = ", ".join(available[:60]) + (f" and {len(available) - 60} more" if len(available) > 60 else "")
    return f"{', '.join(texts)}; it has: {shown or 'no columns at all'}"
