"""Turns label, prediction and score columns into 0/1 and finite numbers. Refuses to guess which of two labels is the
positive one, and counts what is missing instead of dropping it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 10


def missing_problem(column: pd.Series, role: str) -> str | None:
    """``label column "y" has 3 missing values``, also for infinite ones; None where the column is whole."""
    import pandas as pd

    missing = int(column.isna().sum())
    infinite = 0
    if pd.api.types.is_float_dtype(column):
        infinite = int(column.abs().eq(math.inf).sum())
    found = [
        f"{count} {word} value{'s' if count > 1 else ''}"
        for count, word in ((missing, "missing"), (infinite, "infinite"))
        if count
    ]
    return f'{role} column "{column.name}" has {" and ".join(found)} in {len(column)} rows' if found else None


def binary_columns(columns: dict[str, pd.Series], positive_label: Any) -> dict[str, pd.Series]:
    """Each column as integers, 1 where it holds ``positive_label`` (1 where the values are 0 and 1 already).

    :param columns: role (``label``, ``prediction``) -> a column without missing values; all share one set of labels
    :raises ConfigurationError: see :func:`binary_codes`
    """
    seen = {role: list(column.unique()) for role, column in columns.items()}
    codes = binary_codes(seen, {role: str(column.name) for role, column in columns.items()}, positive_label)
    return {role: column.map(codes[role]).astype("int64") for role, column in columns.items()}


def binary_codes(
    values: Mapping[str, Sequence[Any]], names: Mapping[str, str], positive_label: Any
) -> dict[str, dict[Any, int]]:
    """For each role, its values as 1 (positive) and 0.

    :param values: role -> the different values of its column, none missing
    :param names: role -> the column's name, for messages
    :raises ConfigurationError: more than two labels, scores in place of labels, or a positive label that is not there
    """
    for role, found in values.items():
        _refuse_scores(role, names[role], found)
    labels = {canonical(value): value for found in values.values() for value in found}
    where = " and ".join(f'{role} column "{name}"' for role, name in names.items())
    if len(labels) > 2:
        raise ConfigurationError(
            f"labels are not binary: {where} hold {_shown(labels.values())}", code="label.not_binary"
        )
    positive = 1.0 if positive_label is None else canonical(positive_label)
    zero_one = set(labels) <= {0.0, 1.0}
    if positive_label is None and not zero_one:
        raise ConfigurationError(
            f"declare positive_label: {where} hold {_shown(labels.values())}, and which one is positive is not guessed",
            code="label.positive_undeclared",
        )
    if positive not in labels and not (zero_one and positive in (0.0, 1.0)):
        raise ConfigurationError(
            f"positive_label {positive_label!r} is in neither: {where} hold {_shown(labels.values())}",
            code="label.positive_unknown",
        )
    return {role: {value: int(canonical(value) == positive) for value in found} for role, found in values.items()}


def numeric_column(column: pd.Series, role: str) -> pd.Series:
    """The column as floats.

    :raises ConfigurationError: it holds something else than numbers
    """
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        raise ConfigurationError(
            f'{role} column "{column.name}" must hold numbers, not {column.dtype}', code="column.not_numeric"
        )
    return column.astype("float64")


def canonical(value: Any) -> float | str:
    """What two spellings of one label share, so that 1, 1.0, True and the command line's "1" are the same."""
    text = str(value).strip()
    if text.lower() in ("true", "false"):
        return float(text.lower() == "true")
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _refuse_scores(role: str, name: str, values: Sequence[Any]) -> None:
    fractions = [v for v in values if isinstance(number := canonical(v), float) and not number.is_integer()]
    if role == "prediction" and fractions:
        raise ConfigurationError(
            f'prediction column "{name}" holds scores ({_shown(fractions)}), not binary predictions: '
            f"name it as the score with a threshold, or give the predicted labels",
            code="prediction.not_binary",
        )


def _shown(values: Iterable[Any]) -> str:
    names = [canonical(value) for value in values]
    texts = sorted({f"{name:g}" if isinstance(name, float) else name for name in names})
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more
