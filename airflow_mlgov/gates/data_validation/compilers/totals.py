"""Adds the values of a column, and the squares of their distances from the mean, so that neither the order of rows nor
the number of threads decides a digit: whole numbers and decimals exactly, floats as whole multiples of a power of two
that is chosen by the largest of them. Refuses nothing."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from functools import partial

from airflow_mlgov.data.aggregates import count_where, where
from airflow_mlgov.data.relation import ColumnKind
from airflow_mlgov.gates.data_validation.columns import Column
from airflow_mlgov.gates.data_validation.query_plan import Answers, Plan

_HALF = 10**18
_USUAL, _LEAST, _MOST = 60, 2.0**-8, 2.0**30
"""The power of two by which floats are multiplied before anything is known of them, and between which numbers the
largest must be, so that rounding is no more than a double's own and the sum of 2**37 rows fits into 128 bits."""
_BITS = 90
"""That a multiple has otherwise; 2**37 of them fit too."""
_STEEPEST = 1000
"""A power of two that is a double, as its inverse is."""


class Total:
    """The sum of a column of numbers: exact where its values are, and infinite where one of them is."""

    def __init__(self, plan: Plan, column: Column) -> None:
        self._column = column
        sql, ask = column.sql, partial(plan.ask, column)
        if column.kind is ColumnKind.FLOAT:
            self._value = f"{sql}::DOUBLE"
            self._ends = _ends(plan, column)
            self._usual = ask(_multiples(f"abs({self._value}) <= {_MOST!r}", self._value, _USUAL))
            self._endless = ask(count_where(f"isinf({sql})"))
            plan.ask_later(column, self._other)
        elif column.kind is ColumnKind.DECIMAL:
            self._parts = [ask(part) for part in _halves(f"trunc({sql})::HUGEINT")]
            self._rest = ask(f"sum(({sql} - trunc({sql}))::DECIMAL(38, {_scale(column)}))")
        elif column.stored in ("HUGEINT", "UHUGEINT"):
            self._parts = [ask(part) for part in _halves(sql)]
        elif column.kind is ColumnKind.INTEGER:
            self._parts = [ask(f"sum({sql}::HUGEINT)")]

    def of(self, answers: Answers) -> Fraction | float:
        """The sum of values of which there are some."""
        if self._column.kind is ColumnKind.FLOAT:
            if answers[self._endless]:
                return math.inf
            power = self._power(answers)
            return _as_float(Fraction(int(answers[self._other(answers) or self._usual])) / Fraction(2) ** power)
        found = [int(answers[part]) for part in self._parts]
        total = Fraction(found[0] * _HALF + found[1] if len(found) > 1 else found[0])
        if self._column.kind is ColumnKind.DECIMAL:
            total += Fraction(Decimal(answers[self._rest]))
        return total

    def _power(self, answers: Answers) -> int:
        largest = max(abs(answers[end] or 0.0) for end in self._ends)
        if not largest or _LEAST <= largest <= _MOST:
            return _USUAL
        return min(_BITS - math.frexp(largest)[1], _STEEPEST)

    def _other(self, answers: Answers) -> str:
        """The sum that is asked for where the usual one is too coarse, or leaves values out; empty where it is not."""
        power = self._power(answers)
        return "" if power == _USUAL else _multiples(f"isfinite({self._column.sql})", self._value, power)


class Spread:
    """The standard deviation of a sample of numbers."""

    def __init__(self, plan: Plan, column: Column) -> None:
        self._column, self._total = column, Total(plan, column)
        self._value = f"{column.sql}::DOUBLE"
        self._ends = _ends(plan, column)
        plan.ask_later(column, self._squares)

    def of(self, answers: Answers) -> float | None:
        """Of values of which there are some; None of one, NaN where one is infinite."""
        count = answers.present(self._column)
        low, high = (answers[end] for end in self._ends)
        if math.isinf(self._total.of(answers)):
            return math.nan
        if count < 2:
            return None
        if low == high:
            return 0.0
        squares = self._squares(answers)
        if not squares:
            return math.inf
        return math.ldexp(math.sqrt(Fraction(int(answers[squares]), count - 1)), -self._power(answers))

    def mean(self, answers: Answers) -> float:
        """Of values of which there are some."""
        total, count = self._total.of(answers), answers.present(self._column)
        return total / count if isinstance(total, float) else _as_float(total / count)

    def _reach(self, answers: Answers) -> float:
        """How far from the mean a value is at most; infinite where there is no telling."""
        low, high = (answers[end] for end in self._ends)
        if low is None:
            return math.inf
        mean = self.mean(answers)
        return float(max(high - mean, mean - low))

    def _power(self, answers: Answers) -> int:
        return min(_BITS // 2 - math.frexp(self._reach(answers))[1], _STEEPEST)

    def _squares(self, answers: Answers) -> str:
        """The sum of the squares; empty where there is none to tell."""
        if not answers.present(self._column) or not math.isfinite(self._reach(answers)):
            return ""
        distance = f"(({self._value} - '{self.mean(answers)!r}'::DOUBLE) * '{2.0 ** self._power(answers)!r}'::DOUBLE)"
        return f"sum(({distance} * {distance})::HUGEINT)"


def _ends(plan: Plan, column: Column) -> tuple[str, str]:
    """The least and the greatest value that is finite."""
    value = f"{column.sql}::DOUBLE"
    finite = where(f"isfinite({column.sql})", value) if column.kind is ColumnKind.FLOAT else value
    return plan.ask(column, f"min({finite})"), plan.ask(column, f"max({finite})")


def _multiples(condition: str, value: str, power: int) -> str:
    """SQL for the sum of the values as multiples of ``2**-power``."""
    return f"sum({where(condition, f'''({value} * '{2.0**power!r}'::DOUBLE)::HUGEINT''')})"


def _halves(whole: str) -> tuple[str, str]:
    return f"sum({whole} // {_HALF}::HUGEINT)", f"sum({whole} % {_HALF}::HUGEINT)"


def _scale(column: Column) -> int:
    return int(column.stored.rpartition(",")[2].rstrip(") ") or 0)


def _as_float(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)
