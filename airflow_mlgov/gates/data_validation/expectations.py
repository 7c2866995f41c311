"""A suite as it was written: its expectations, and the digest of its bytes. Refuses nothing: who reads one does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_ABOUT_NAMES = ("expect_column_to_exist", "expect_table_columns_to_match_ordered_list")
"""Whether a column is there is what these ask."""


@dataclass(frozen=True)
class Expectation:
    """One entry of a suite, as written."""

    position: int
    """From 1, as people count."""
    type: str
    kwargs: Mapping[str, Any]
    severity: Any
    """As written; ``critical`` where nothing is. Not yet known to be one that exists."""
    where: str
    """``suite.json:12 (expectation 3)``."""
    problem: str = ""
    """Why it cannot be evaluated as it is written; empty where nothing is known to be wrong with it."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the expectation needs to be there."""
        if self.type in _ABOUT_NAMES:
            return ()
        single = [self.kwargs.get(key) for key in ("column", "column_A", "column_B")]
        several = self.kwargs.get("column_list")
        return tuple(
            name for name in [*single, *(several if isinstance(several, list) else ())] if isinstance(name, str)
        )


@dataclass(frozen=True)
class Suite:
    """A suite and the digest of the bytes it was read from."""

    name: str
    digest: str
    expectations: tuple[Expectation, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What ``{"$PARAMETER": name}`` stands for."""
    source: str = ""
    """Its file, as it was named; empty if it was a mapping."""
    converted: tuple[str, ...] = ()
    """What was renamed or left out of a suite of Great Expectations 0.x, each with its place."""
