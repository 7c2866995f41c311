"""Sums of floats to the last digit, whatever the order of the rows and however many threads add: in DuckDB each value
is taken as a whole multiple of a power of two that is chosen by the largest of them. A database and Spark add in an
order of their own; what they say stays as it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from airflow_mlgov.data.aggregates import count_where
from airflow_mlgov.data.relation import Relation

_BITS = 90
"""Of the largest multiple, of which 2**37 fit into 128 bits: all of a double's digits, and of one a thousand million
times smaller too."""
_STEEPEST = 1000
"""A power of two that is a double, as its inverse is."""


class SteadySums:
    """How the sums of some values are asked for, and what they come to.

    :param source: what stands after FROM
    :param values: SQL of floats
    """

    def __init__(self, relation: Relation, source: str, values: Sequence[str]) -> None:
        self._powers: list[int | None] = [None] * len(values)
        if relation.is_local:
            ends = [part for value in values for part in (count_where(f"NOT isfinite({value})"), f"max(abs({value}))")]
            (found,) = relation.rows(f"SELECT {', '.join(ends)} FROM {source}")  # noqa: S608 - ours
            self._powers = [
                None if endless else _power(largest) for endless, largest in zip(found[::2], found[1::2], strict=True)
            ]
        self.sql = [_sum(value, power) for value, power in zip(values, self._powers, strict=True)]

    def read(self, at: int, found: Sequence[Any]) -> tuple[Any, ...]:
        """The sums that were found.

        :param at: which of the values
        """
        power = self._powers[at]
        if power is None:
            return tuple(found)
        return tuple(None if each is None else math.ldexp(int(each), -power) for each in found)


def _power(largest: float | None) -> int:
    return min(_BITS - math.frexp(largest or 1.0)[1], _STEEPEST)


def _sum(value: str, power: int | None) -> str:
    return f"SUM({value})" if power is None else f"SUM((({value}) * '{2.0**power!r}'::DOUBLE)::HUGEINT)"
