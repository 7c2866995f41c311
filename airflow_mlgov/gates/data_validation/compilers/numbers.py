"""Compiles expectations about one number, or the different values, of a column. Refuses columns that are no numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from typing import Any

from airflow_mlgov.data.aggregates import count_where
from airflow_mlgov.data.quoting import identifier
from airflow_mlgov.data.relation import ColumnKind
from airflow_mlgov.gates.data_validation.columns import (
    MOMENTS,
    NUMERIC,
    Column,
    UnfitError,
    compared,
    fitting,
    member,
    require_kind,
)
from airflow_mlgov.gates.data_validation.compilers.strangers import strangers
from airflow_mlgov.gates.data_validation.compilers.totals import Spread, Total
from airflow_mlgov.gates.data_validation.dates import is_iso
from airflow_mlgov.gates.data_validation.expectations import Expectation
from airflow_mlgov.gates.data_validation.gx import Result
from airflow_mlgov.gates.data_validation.query_plan import (
    Answers,
    Finish,
    Plan,
    aggregate_result,
    exact,
)

_TIMES = '"mlgov: times"'
"""A name that no column has by chance."""


def _numeric(plan: Plan, item: Expectation) -> Column:
    """The column, whose values are numbers.

    :raises UnfitError: they are not; of a csv it is said with the answers what stands among them
    """
    column = plan.column(item.kwargs["column"])
    if column.kind is ColumnKind.TEXT and column.written:
        return column
    require_kind(column, NUMERIC, "numbers")
    return column


def _require_numbers(answers: Answers, column: Column) -> None:
    """Say what stands among the numbers of a csv column that is text for it."""
    if column.kind is not ColumnKind.TEXT or not answers.present(column):
        return
    found = strangers(answers, column, column.number, "number")
    if found:
        mend = "" if answers.remarked(column) else "; mend them, or declare what is missing (missing_values)"
        raise UnfitError(f'the column "{column.name}" is text: {found}{mend}')
    raise UnfitError(f'the column "{column.name}" is text that looks like numbers (codes such as 01): declare its type')


def _sum(plan: Plan, item: Expectation) -> Finish:
    column = _numeric(plan, item)
    total = Total(plan, column)

    def finish(answers: Answers) -> Result:
        _require_numbers(answers, column)
        present = answers.present(column)
        return aggregate_result(item.kwargs, total.of(answers) if present else 0.0, present)

    return finish


def _mean(plan: Plan, item: Expectation) -> Finish:
    column = _numeric(plan, item)
    total = Total(plan, column)

    def finish(answers: Answers) -> Result:
        _require_numbers(answers, column)
        present = answers.present(column)
        if not present:
            return aggregate_result(item.kwargs, None, 0)
        found = total.of(answers)
        return aggregate_result(item.kwargs, found / present, present)

    return finish


def _stdev(plan: Plan, item: Expectation) -> Finish:
    """Of the sample."""
    column = _numeric(plan, item)
    spread = Spread(plan, column)

    def finish(answers: Answers) -> Result:
        _require_numbers(answers, column)
        present = answers.present(column)
        return aggregate_result(item.kwargs, spread.of(answers) if present else None, present)

    return finish


def _extreme(plan: Plan, item: Expectation, *, function: str) -> Finish:
    column, kwargs = plan.column(item.kwargs["column"]), item.kwargs
    above, below = (">" if kwargs.get("strict_min") else ">="), ("<" if kwargs.get("strict_max") else "<=")
    signs = (("min_value", above), ("max_value", below))
    given = [(sign, kwargs[name]) for name, sign in signs if name in kwargs]
    texts = [value for _, value in given if isinstance(value, str)]
    dated = column.kind is ColumnKind.TEXT and bool(texts) and all(map(is_iso, texts))
    numbers = column.kind is ColumnKind.TEXT and not texts
    if numbers and not column.written:
        require_kind(column, NUMERIC, "numbers")
    if column.kind not in (*NUMERIC, *MOMENTS, ColumnKind.TEXT):
        require_kind(column, (*NUMERIC, *MOMENTS, ColumnKind.TEXT), "numbers, dates or texts")
    asked = []
    for sign, bound in given:
        if dated:
            asked.append(plan.ask(column, f"{function}({column.moment}) {sign} '{bound}'::TIMESTAMP"))
        elif not numbers:
            asked.append(plan.ask(column, _of_extreme(column, function, sign, bound)))
    unread = plan.ask(column, count_where(f"{column.sql} IS NOT NULL AND {column.moment} IS NULL")) if dated else ""
    endless = plan.ask(column, f"isinf({function}({column.sql}))") if column.kind is ColumnKind.FLOAT else ""

    def finish(answers: Answers) -> Result:
        present = answers.present(column)
        if numbers:
            _require_numbers(answers, column)
        if unread and answers[unread]:
            found = strangers(answers, column, column.moment, "ISO date")
            raise UnfitError(f'the column "{column.name}" is text: {found}')
        undefined = bool(present and endless and answers[endless])
        met = bool(present) and not undefined and all(answers[each] for each in asked)
        return Result(met, {}, withheld=True, undefined=undefined, nonnull=present)

    return finish


def _of_extreme(column: Column, function: str, sign: str, bound: Any) -> str:
    """The comparison of a value, made of the extreme value instead."""
    return compared(column, sign, bound).replace(column.sql, f"{function}({column.sql})", 1)


def _median(plan: Plan, item: Expectation) -> Finish:
    column = _numeric(plan, item)

    def finish(answers: Answers) -> Result:
        _require_numbers(answers, column)
        present = answers.present(column)
        if not present:
            return aggregate_result(item.kwargs, None, 0, shown=False)
        low, high = answers.placed(column, (present - 1) // 2, 2 - present % 2)
        return aggregate_result(item.kwargs, _between(low, high, Fraction(1, 2)), present, shown=False)

    return finish


def _between(low: Any, high: Any, share: Fraction) -> Any:
    """The number that lies so far from ``low`` to ``high``."""
    if isinstance(low, float):
        return low if low == high or not share else low + (high - low) * float(share)
    return Fraction(low) + (Fraction(high) - Fraction(low)) * share


def _quantiles(plan: Plan, item: Expectation) -> Finish:
    column = _numeric(plan, item)
    ranges, how = item.kwargs["quantile_ranges"], item.kwargs.get("allow_relative_error") or "nearest"

    def finish(answers: Answers) -> Result:
        _require_numbers(answers, column)
        present = answers.present(column)
        if not present:
            return Result(False, {}, withheld=True, nonnull=0)
        inside = [
            _is_within(_quantile(answers, column, exact(quantile) * (present - 1), how), low, high)
            for quantile, (low, high) in zip(ranges["quantiles"], ranges["value_ranges"], strict=True)
        ]
        return Result(all(inside), {}, withheld=True, nonnull=present)

    return finish


def _quantile(answers: Answers, column: Column, place: Fraction, how: str) -> Any:
    """The value at a place in the order of size, which may lie between two."""
    below = math.floor(place)
    if how in ("lower", "higher", "nearest"):
        at = {"lower": below, "higher": math.ceil(place), "nearest": round(place)}[how]
        return answers.placed(column, at)[0]
    low, high = answers.placed(column, below, 1 if place == below else 2)
    return _between(low, high, Fraction(1, 2) if how == "midpoint" and place != below else place - below)


def _is_within(value: Any, low: float | None, high: float | None) -> bool:
    """Great Expectations takes what is close to a bound for within."""
    number = float(value)
    close = any(bound is not None and abs(number - bound) <= 1e-8 + 1e-4 * abs(bound) for bound in (low, high))
    return close or ((low is None or low <= number) and (high is None or number <= high))


def _distinct_count(plan: Plan, item: Expectation) -> Finish:
    column = plan.column(item.kwargs["column"])
    plan.distinct(column)

    def finish(answers: Answers) -> Result:
        present = answers.present(column)
        return aggregate_result(item.kwargs, answers.distinct(column) if present else 0, present)

    return finish


def _distinct_share(plan: Plan, item: Expectation) -> Finish:
    column = plan.column(item.kwargs["column"])
    plan.distinct(column)

    def finish(answers: Answers) -> Result:
        present = answers.present(column)
        share = Fraction(answers.distinct(column), present) if present else 0
        return aggregate_result(item.kwargs, share, present)

    return finish


def _present_share(plan: Plan, item: Expectation) -> Finish:
    column = plan.column(item.kwargs["column"])

    def finish(answers: Answers) -> Result:
        share = Fraction(answers.present(column), answers.rows) if answers.rows else 0
        return aggregate_result(item.kwargs, share)

    return finish


def _distinct_set(plan: Plan, item: Expectation, *, strangers: bool, absent: bool) -> Finish:
    """The different values against a set: none outside it, none of it missing, or both."""
    column, items = plan.column(item.kwargs["column"]), item.kwargs["value_set"]
    usable = fitting(column, items)
    if not usable:
        member(column, items)  # says which item is of another kind
    unusable = len({repr(one) for one in items if one is not None and not fitting(column, [one])})
    known = member(column, usable)

    def finish(answers: Answers) -> Result:
        present = answers.present(column)
        outside = inside = 0
        if present:
            values = f"SELECT DISTINCT {column.sql} AS {identifier(column.name)} FROM {answers.source}"  # noqa: S608
            asked = f"{count_where(f'NOT {known}')}, {count_where(known)}"
            outside, inside = answers.one(f"SELECT {asked} FROM ({values}) WHERE {column.sql} IS NOT NULL")  # noqa: S608
        counts = {"unexpected_count": int(outside)} if strangers else {}
        counts |= {"missing_count": len(usable) + unusable - int(inside)} if absent else {}
        return Result(not any(counts.values()), counts, withheld=True, nonnull=present)

    return finish


def _most_common(plan: Plan, item: Expectation) -> Finish:
    column, items = plan.column(item.kwargs["column"]), item.kwargs["value_set"]
    usable = fitting(column, items)
    if not usable:
        member(column, items)
    known = member(column, usable)

    def finish(answers: Answers) -> Result:
        present = answers.present(column)
        if not present:
            return Result(False, {}, withheld=True, nonnull=0)
        counted = (
            f"SELECT {column.sql} AS {identifier(column.name)}, count(*) AS {_TIMES} FROM {answers.source} "  # noqa: S608
            f"WHERE {column.sql} IS NOT NULL GROUP BY 1 QUALIFY {_TIMES} = max({_TIMES}) OVER ()"
        )
        modes, within = answers.one(f"SELECT count(*), {count_where(known)} FROM ({counted})")  # noqa: S608
        met = within > 0 if item.kwargs.get("ties_okay") else modes == within == 1
        return Result(bool(met), {}, withheld=True, nonnull=present)

    return finish


COMPILERS: Mapping[str, Callable[[Plan, Expectation], Finish]] = {
    "expect_column_distinct_values_to_be_in_set": partial(_distinct_set, strangers=True, absent=False),
    "expect_column_distinct_values_to_contain_set": partial(_distinct_set, strangers=False, absent=True),
    "expect_column_distinct_values_to_equal_set": partial(_distinct_set, strangers=True, absent=True),
    "expect_column_max_to_be_between": partial(_extreme, function="max"),
    "expect_column_mean_to_be_between": _mean,
    "expect_column_median_to_be_between": _median,
    "expect_column_min_to_be_between": partial(_extreme, function="min"),
    "expect_column_most_common_value_to_be_in_set": _most_common,
    "expect_column_proportion_of_non_null_values_to_be_between": _present_share,
    "expect_column_proportion_of_unique_values_to_be_between": _distinct_share,
    "expect_column_quantile_values_to_be_between": _quantiles,
    "expect_column_stdev_to_be_between": _stdev,
    "expect_column_sum_to_be_between": _sum,
    "expect_column_unique_value_count_to_be_between": _distinct_count,
}
