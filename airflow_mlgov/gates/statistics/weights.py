"""Sample weights of surveys and exposures: what makes a column of them sound, and how many equally weighted rows they
are worth. Refuses weights that are missing, negative, infinite, or all zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

SOURCE = (
    "weighted row bootstrap: rows are drawn with replacement and keep their weights (Efron & Tibshirani 1993, chapter "
    "6; Rao & Wu, JASA 83 (1988) 231-241, of one stratum); effective sample size: Kish, Survey Sampling (1965), 11.7"
)
"""What evidence says of the methods."""


def sound_weights(column: pd.Series, name: str) -> Array:
    """A column of weights as floats, shape (rows,).

    :param name: the column's, for messages
    :raises ConfigurationError: a weight is no number, missing, negative or infinite, or they sum to 0
    """
    import numpy as np
    from pandas.api.types import is_bool_dtype

    missing = int(column.isna().sum())
    try:
        if is_bool_dtype(column.dtype) or any(isinstance(value, str) for value in column.head(1000)):
            raise ValueError
        weights: Array = column.fillna(0).to_numpy(dtype=float)
    except (TypeError, ValueError):
        raise unsound(name, "holds something else than numbers") from None
    refuse_unsound(name, missing, int((weights < 0).sum()), int(np.isinf(weights).sum()), float(weights.sum()))
    return weights


def refuse_unsound(name: str, missing: int, negative: int, infinite: int, total: float) -> None:
    """Refuse a column of weights by its counts.

    :raises ConfigurationError: one of the first three is not 0, or the total is
    """
    for count, what in ((missing, "missing"), (negative, "negative"), (infinite, "infinite")):
        if count:
            raise unsound(name, f"has {count} {what} weight{'s' if count > 1 else ''}")
    if not total > 0:
        raise unsound(name, "has weights that sum to 0")


def unsound(name: str, why: str) -> ConfigurationError:
    """What to raise."""
    return ConfigurationError(
        f'the sample_weight column "{name}" {why}: every row needs a weight of at least 0, and some more than that',
        code="weight.unsound",
    )


def not_weighted(metric: str) -> ConfigurationError:
    """What to raise for a metric that takes no weights."""
    return ConfigurationError(
        f"{metric} takes no sample_weight: bound another metric, or leave sample_weight out", code="weight.no_metric"
    )


def effective_size(weights: Array) -> float:
    """How many rows of one weight estimate a mean as surely: ``(sum w)^2 / sum w^2``; 0 if there is no weight.

    Source: Kish, Survey Sampling (1965), section 11.7.
    """
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0
