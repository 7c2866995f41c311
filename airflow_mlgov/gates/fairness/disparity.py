"""Compares groups: the difference or ratio between them, to all rows, or to a declared group. Works on one set of
values and on thousands of resampled ones alike."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_mlgov.gates.fairness.metrics import How

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Method = Literal["between_groups", "to_overall"]
METHODS: tuple[Method, ...] = ("between_groups", "to_overall")


@dataclass(frozen=True)
class Values:
    """One measure of every group."""

    groups: Array
    """Shape (..., groups); NaN where it cannot be estimated."""
    against: Array | None = None
    """Shape (...): all rows together, or the reference group. None compares the groups with each other."""


def compare(values: Sequence[Values], how: How) -> Array:
    """The comparison of each set of values; of several measures the worse one.

    A ratio to a common value counts as its inverse where it is above 1, as Fairlearn's ``to_overall`` does. NaN where
    fewer than two groups have a value or a ratio is 0 / 0.

    :returns: shape (...)
    """
    import numpy as np

    found = np.stack([_one(each, how) for each in values])
    worst = found.min(0) if how in ("ratio", "group_min") else found.max(0)  # NaN wins in both
    return np.asarray(worst)


def disparities(values: Values) -> Array:
    """Every group's value by the reference's, shape (..., groups); NaN where the reference's is 0."""
    import numpy as np

    against = np.asarray(values.against)[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(against > 0, values.groups / against, np.nan)


def _one(values: Values, how: How) -> Array:
    import numpy as np

    groups = values.groups
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # all-NaN slices, which come out as NaN
        low, high = np.nanmin(groups, -1), np.nanmax(groups, -1)
        few = np.isfinite(groups).sum(-1) < 2
        if how in ("group_min", "group_max"):
            return np.asarray(low if how == "group_min" else high)
        if values.against is None:
            result = high - low if how == "difference" else np.where(high > 0, low / high, np.nan)
        else:
            against = np.asarray(values.against)[..., None]
            if how == "difference":
                result = np.nanmax(np.abs(groups - against), -1)
            else:
                ratio = groups / against
                result = np.nanmin(np.where(ratio > 1, 1 / ratio, ratio), -1)
                result = np.where(np.isnan(against[..., 0]) | (against[..., 0] == 0), np.nan, result)
    return np.where(few, np.nan, result)
