"""The settings that decide how hard a gate is to pass, for the decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Strictness:
    """A setting that decides how hard a gate is to pass."""

    default: Any
    stricter: Literal["more", "less"] = "more"
    """Whether a larger value is stricter."""

    def allows(self, value: Any, held: Any) -> bool:
        """Whether ``value`` is at least as strict as ``held``; what is no value of the setting is left to the gate."""
        mine, theirs = rank(value), rank(held)
        if mine is None or theirs is None:
            return True
        return mine >= theirs if self.stricter == "more" else mine <= theirs


STRICTNESS: Mapping[str, Mapping[str, Strictness]] = {
    "fairness": {
        "decide": Strictness("interval"),
        "confidence": Strictness(0.95),
        "min_group_size": Strictness(30),
        "min_positives": Strictness(10),
        "min_negatives": Strictness(10),
        "max_share_left_out": Strictness(0.0, "less"),
        "missing_sensitive": Strictness("error"),
        "suppress_below": Strictness(5),
    },
    "performance": {
        "decide": Strictness("point"),
        "confidence": Strictness(0.95),
        "min_slice_size": Strictness(30),
        "max_share_left_out": Strictness(0.05, "less"),
        "suppress_below": Strictness(5),
    },
}
"""Gate -> setting. Evidence names these as they were applied, under ``details.settings``."""

_RANKS = {"point": 0, "interval": 1, "group": 0, "error": 1}


def rank(value: Any) -> float | None:
    """A setting's value as a number that can be compared; None where it is none."""
    if isinstance(value, str):
        return _RANKS.get(value)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
