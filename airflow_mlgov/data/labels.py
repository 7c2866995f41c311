"""Turns label, prediction and score columns into 0/1 and finite numbers. Refuses to guess which of two labels is the
positive one, and counts what is missing instead of dropping it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.values import Key, Sort, in_order, keys_of, meant, require_one_sort, shown
from airflow_mlgov.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd

_TWO_OF = {
    Sort.NUMBER: (Key(Sort.NUMBER, 0), Key(Sort.NUMBER, 1)),
    Sort.TRUTH: (Key(Sort.TRUTH, False), Key(Sort.TRUTH, True)),
    Sort.TEXT: (),
    Sort.MOMENT: (),
    Sort.OTHER: (),
}


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
    seen = {role: distinct(column, role) for role, column in columns.items()}
    codes = binary_codes(seen, {role: str(column.name) for role, column in columns.items()}, positive_label)
    return {role: column.map(codes[role]).astype("int64") for role, column in columns.items()}


def distinct(column: pd.Series, role: str) -> list[Any]:
    """The different values of a column, also missing ones.

    :raises ConfigurationError: it holds lists or structs
    """
    try:
        return list(column.unique())
    except TypeError:
        raise ConfigurationError(
            f'the {role} column "{column.name}" holds lists or structs, and a {role} is one value: name a column of '
            "single values",
            code="column.nested",
        ) from None


def binary_codes(
    values: Mapping[str, Sequence[Any]], names: Mapping[str, str], positive_label: Any
) -> dict[str, dict[Any, int]]:
    """For each role, its values as 1 (positive) and 0.

    :param values: role -> the different values of its column, none missing
    :param names: role -> the column's name, for messages
    :raises ConfigurationError: labels of two types, more than two labels, scores in place of labels, or a positive
        label that is not there
    """
    keys = {role: keys_of(found) for role, found in values.items()}
    for role, found in keys.items():
        _refuse_scores(role, names[role], found.values())
    keys = _as_numbers(keys)
    titles = {role: f'{role} column "{name}"' for role, name in names.items()}
    require_one_sort({titles[role]: found.values() for role, found in keys.items()}, "labels")
    labels = {key for found in keys.values() for key in found.values()}
    where = " and ".join(titles.values())
    if len(labels) > 2:
        raise ConfigurationError(f"labels are not binary: {where} hold {shown(labels)}", code="label.not_binary")
    sort = next((key.sort for key in labels), Sort.NUMBER)
    zero_one = labels <= {Key(Sort.NUMBER, 0), Key(Sort.NUMBER, 1)} or sort is Sort.TRUTH
    if positive_label is None and not zero_one:
        raise ConfigurationError(
            f"declare positive_label: {where} hold {shown(labels)}, and which one is positive is not guessed",
            code="label.positive_undeclared",
        )
    positive = meant(True if sort is Sort.TRUTH else 1, labels) if positive_label is None else None
    positive = positive or meant(positive_label, labels)
    if positive not in labels and not (zero_one and positive in _TWO_OF[sort]):
        raise ConfigurationError(
            f"positive_label {positive_label!r} is in neither: {where} hold {shown(labels)}",
            code="label.positive_unknown",
        )
    return {role: {value: int(key == positive) for value, key in found.items()} for role, found in keys.items()}


def classes_among(columns: Mapping[str, Iterable[Any]]) -> list[Key]:
    """The classes of several columns, numbers first.

    :param columns: how messages call a column -> its different values
    :raises ConfigurationError: they are of two types
    """
    keys = {name: set(keys_of(values).values()) for name, values in columns.items()}
    require_one_sort(keys, "labels")
    return in_order(set().union(*keys.values()))


def numeric_column(column: pd.Series, role: str) -> pd.Series:
    """The column as floats.

    :raises ConfigurationError: it holds something else than numbers
    """
    import pandas as pd

    if column.dtype == object and pd.api.types.infer_dtype(column, skipna=True) in ("decimal", "integer"):
        return column.astype("float64")
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        raise ConfigurationError(
            f'{role} column "{column.name}" must hold numbers, not {column.dtype}', code="column.not_numeric"
        )
    return column.astype("float64")


def _as_numbers(keys: Mapping[str, Mapping[Any, Key]]) -> dict[str, dict[Any, Key]]:
    """Truth values beside 0 and 1 as numbers: of two labels true is the positive one, as 1 is."""
    sorts = {role: {key.sort for key in found.values()} for role, found in keys.items()}
    mixed = set().union(*sorts.values()) == {Sort.NUMBER, Sort.TRUTH}
    return {
        role: {
            value: Key(Sort.NUMBER, int(key.value)) if mixed and key.sort is Sort.TRUTH else key
            for value, key in found.items()
        }
        for role, found in keys.items()
    }


def _refuse_scores(role: str, name: str, keys: Iterable[Key]) -> None:
    fractions = [key for key in keys if key.sort is Sort.NUMBER and key.value != key.value // 1]
    if role == "prediction" and fractions:
        raise ConfigurationError(
            f'prediction column "{name}" holds scores ({shown(fractions)}), not binary predictions: '
            f"name it as the score with a threshold, or give the predicted labels",
            code="prediction.not_binary",
        )
