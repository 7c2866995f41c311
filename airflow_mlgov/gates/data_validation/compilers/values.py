"""Compiles expectations about the values of one column, each of which counts the values that do not meet it. Refuses a
column whose values the expectation is not about."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from airflow_mlgov.data.aggregates import count_where
from airflow_mlgov.data.quoting import literal
from airflow_mlgov.data.relation import ColumnKind
from airflow_mlgov.gates.data_validation import type_names
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
from airflow_mlgov.gates.data_validation.compilers.totals import Spread
from airflow_mlgov.gates.data_validation.dates import is_iso
from airflow_mlgov.gates.data_validation.expectations import Expectation
from airflow_mlgov.gates.data_validation.gx import Result
from airflow_mlgov.gates.data_validation.portable_regex import PortableRegex, portable_regex
from airflow_mlgov.gates.data_validation.query_plan import Answers, Finish, Plan, UncompiledError, map_result


def _nulls(plan: Plan, item: Expectation, *, wanted: bool) -> Finish:
    column = plan.column(item.kwargs["column"])

    def finish(answers: Answers) -> Result:
        rows, present = answers.rows, answers.present(column)
        unexpected = present if wanted else rows - present
        whole = map_result(rows, rows, unexpected, item.kwargs.get("mostly", 1))
        counts = {key: whole.counts[key] for key in ("element_count", "unexpected_count", "unexpected_percent")}
        return Result(whole.success, counts)

    return finish


def _values(
    plan: Plan, item: Expectation, column: Column, condition: str, guards: Sequence[str] = (), as_what: str = ""
) -> Finish:
    """:param guards: counts of values for which ``condition`` may not say what the expectation means
    :param as_what: what the texts of the column are read as; those that are none are unexpected, and told of
    """
    asked = plan.unexpected(column, condition)

    def finish(answers: Answers) -> Result:
        present = answers.present(column)
        if present and any(answers[guard] for guard in guards):
            raise UncompiledError("Python and RE2 may read its expression differently on some of these values")
        found = map_result(answers.rows, present, int(answers[asked]), item.kwargs.get("mostly", 1))
        if not as_what or not answers[asked]:
            return found
        readable = column.number if as_what == "number" else column.moment
        return replace(found, note=strangers(answers, column, readable, as_what))

    return finish


def _between(plan: Plan, item: Expectation) -> Finish:
    column, kwargs = plan.column(item.kwargs["column"]), item.kwargs
    signs = (("min_value", _above(kwargs)), ("max_value", _below(kwargs)))
    given = [(sign, kwargs[name]) for name, sign in signs if name in kwargs]
    texts = [value for _, value in given if isinstance(value, str)]
    if column.kind is ColumnKind.TEXT and texts and all(map(is_iso, texts)):
        ends = [f"{column.moment} {sign} {literal(bound)}::TIMESTAMP" for sign, bound in given]
        return _values(plan, item, column, " AND ".join(ends), as_what="ISO date")
    if column.kind is ColumnKind.TEXT and column.written and not texts:
        ends = [f"{column.number} {sign} '{float(bound)!r}'::DOUBLE" for sign, bound in given]
        return _values(plan, item, column, " AND ".join(ends), as_what="number")
    require_kind(column, (*NUMERIC, *MOMENTS, ColumnKind.TEXT), "numbers, dates or texts")
    return _values(plan, item, column, " AND ".join(compared(column, sign, bound) for sign, bound in given))


def _above(kwargs: Mapping[str, Any]) -> str:
    return ">" if kwargs.get("strict_min") else ">="


def _below(kwargs: Mapping[str, Any]) -> str:
    return "<" if kwargs.get("strict_max") else "<="


def _in_set(plan: Plan, item: Expectation, *, wanted: bool) -> Finish:
    column, items = plan.column(item.kwargs["column"]), item.kwargs["value_set"]
    usable = fitting(column, items)
    if not usable or (not wanted and len(usable) < len({repr(one) for one in items if one is not None})):
        member(column, items)  # says which item is of another kind
    within = member(column, usable)
    return _values(plan, item, column, within if wanted else f"NOT {within}")


def _regexes(plan: Plan, item: Expectation, *, wanted: bool) -> Finish:
    column = plan.column(item.kwargs["column"])
    patterns = [item.kwargs["regex"]] if "regex" in item.kwargs else item.kwargs["regex_list"]
    joint = " AND " if item.kwargs.get("match_on") == "all" else " OR "
    text, portable = column.text, [_portable(pattern) for pattern in patterns]
    matched = joint.join(f"regexp_matches({text}, {literal(one.pattern)})" for one in portable)
    guards = []
    if any(one.ascii_only for one in portable):
        guards.append(plan.ask(column, count_where(f"strlen({text}) <> length({text})")))
    if any(one.one_line for one in portable):
        guards.append(plan.ask(column, count_where(f"contains({text}, chr(10))")))
    return _values(plan, item, column, f"({matched})" if wanted else f"NOT ({matched})", guards)


def _portable(pattern: str) -> PortableRegex:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UnfitError(f"its regular expression is none: {error}") from None
    portable = portable_regex(pattern)
    if portable is None:
        raise UncompiledError("Python and RE2 may read its expression differently")
    return portable


def _like(plan: Plan, item: Expectation, *, wanted: bool) -> Finish:
    column = plan.column(item.kwargs["column"])
    patterns = item.kwargs.get("like_pattern_list") or [item.kwargs["like_pattern"]]
    escape = item.kwargs.get("escape")
    if escape is not None and len(escape) != 1:
        raise UnfitError("its escape is not one sign")
    if escape and any(re.sub(f"{re.escape(escape)}.", "", one, flags=re.DOTALL).endswith(escape) for one in patterns):
        raise UnfitError("its pattern ends with its escape, which escapes nothing there")
    how = f" ESCAPE {literal(escape)}" if escape else ""
    joint = " AND " if item.kwargs.get("match_on") == "all" else " OR "
    matched = joint.join(f"{column.text} LIKE {literal(pattern)}{how}" for pattern in patterns)
    return _values(plan, item, column, f"({matched})" if wanted else f"NOT ({matched})")


_DIRECTIVES = {
    "Y": "[0-9]{4}", "m": "(1[0-2]|0[1-9]|[1-9])", "d": "(3[01]|[12][0-9]|0[1-9]|[1-9])",
    "H": "(2[0-3]|[01][0-9]|[0-9])", "M": "([0-5][0-9]|[0-9])",
    "S": "(6[01]|[0-5][0-9]|[0-9])", "y": "[0-9]{2}", "%": "%",
}  # fmt: skip
"""What Python's strptime takes for each, as far as it can be said to RE2."""


def _strftime(plan: Plan, item: Expectation) -> Finish:
    column, wanted = plan.column(item.kwargs["column"]), item.kwargs["strftime_format"]
    if column.kind in MOMENTS:
        raise UnfitError(
            f'the column "{column.name}" is {column.stored}: its values are dates already, and not texts in a format'
        )
    _require_format(wanted)
    parts = re.split(r"%(.)", wanted)
    if not set(parts[1::2]) <= _DIRECTIVES.keys() or any(re.search(r"\s", part) for part in parts[::2]):
        raise UncompiledError("Python and DuckDB may read its format differently")
    given = [part for part in parts[1::2] if part != "%"]
    if len(set(given)) < len(given) or not {"Y", "m", "d"} <= set(given):
        raise UncompiledError("its format does not say the year, the month and the day once each")
    form = "".join(_DIRECTIVES[part] if at % 2 else re.escape(part) for at, part in enumerate(parts))
    text = column.text
    valid = f"try_strptime({text}, {literal(wanted)}) IS NOT NULL"
    return _values(plan, item, column, f"(regexp_full_match({text}, {literal(form)}) AND {valid})")


def _require_format(wanted: str) -> None:
    try:
        datetime.strptime(datetime.now(UTC).strftime(wanted), wanted)
    except ValueError as error:
        raise UnfitError(f"its strftime_format is none: {error}") from None


def _lengths(plan: Plan, item: Expectation) -> Finish:
    column, kwargs = plan.column(item.kwargs["column"]), item.kwargs
    length = f"length({column.text})"
    if "value" in kwargs:
        return _values(plan, item, column, f"{length} = {kwargs['value']}")
    ends = [f"{length} {_above(kwargs)} {kwargs['min_value']}"] if "min_value" in kwargs else []
    ends += [f"{length} {_below(kwargs)} {kwargs['max_value']}"] if "max_value" in kwargs else []
    return _values(plan, item, column, " AND ".join(ends))


def _json(plan: Plan, item: Expectation) -> Finish:
    column = plan.column(item.kwargs["column"])
    require_kind(column, (ColumnKind.TEXT,), "texts")
    return _values(plan, item, column, f"json_valid({column.text})")


def _unique(plan: Plan, item: Expectation) -> Finish:
    column = plan.column(item.kwargs["column"])
    plan.distinct(column)

    def finish(answers: Answers) -> Result:
        present = answers.present(column)
        repeated = answers.repeated(column) if present else 0
        return map_result(answers.rows, present, repeated, item.kwargs.get("mostly", 1))

    return finish


def _in_order(plan: Plan, item: Expectation, *, sign: str) -> Finish:
    """Each value against the one before it that is not null."""
    column = plan.column(item.kwargs["column"])
    require_kind(column, (*NUMERIC, *MOMENTS, ColumnKind.BOOLEAN), "numbers or dates")
    if not plan.ordered:
        raise UnfitError("the rows of a table have no order")
    equal = "" if item.kwargs.get("strictly") else "="

    def finish(answers: Answers) -> Result:
        misplaced = answers.misplaced(column, f"v {sign}{equal} before")
        return map_result(answers.rows, answers.present(column), misplaced, item.kwargs.get("mostly", 1))

    return finish


def _z_scores(plan: Plan, item: Expectation) -> Finish:
    column = plan.column(item.kwargs["column"])
    require_kind(column, NUMERIC, "numbers")
    spread = Spread(plan, column)

    def finish(answers: Answers) -> Result:
        present = answers.present(column)
        found = spread.of(answers) if present else None
        if not found or not math.isfinite(found):  # then no value has a score
            return map_result(answers.rows, present, present, item.kwargs.get("mostly", 1))
        score = f"(({column.sql}::DOUBLE - '{spread.mean(answers)!r}'::DOUBLE) / '{found!r}'::DOUBLE)"
        score = f"abs({score})" if item.kwargs["double_sided"] else score
        beyond = count_where(f"{column.sql} IS NOT NULL AND NOT {score} < {float(item.kwargs['threshold'])!r}")
        return map_result(answers.rows, present, int(answers[beyond]), item.kwargs.get("mostly", 1))

    return finish


def _of_type(plan: Plan, item: Expectation) -> Finish:
    column = plan.column(item.kwargs["column"])
    names = item.kwargs["type_list"] if "type_list" in item.kwargs else [item.kwargs["type_"]]
    known = [name for name in names if type_names.is_known(name)]
    if not known:
        raise UnfitError(f"{', '.join(names)[:100]} names no type that is known")

    def finish(answers: Answers) -> Result:
        present = answers.present(column)
        missing = present < answers.rows
        fits = any(type_names.is_of_type(column, name, missing=missing) for name in known)
        nonnull = present if item.type != "expect_column_type_to_be" else None
        return Result(fits, {}, f"{column.stored} ({column.kind})", nonnull=nonnull)

    return finish


COMPILERS: Mapping[str, Callable[[Plan, Expectation], Finish]] = {
    "expect_column_type_to_be": _of_type,
    "expect_column_value_lengths_to_be_between": _lengths,
    "expect_column_value_lengths_to_equal": _lengths,
    "expect_column_value_z_scores_to_be_less_than": _z_scores,
    "expect_column_values_to_be_between": _between,
    "expect_column_values_to_be_decreasing": partial(_in_order, sign="<"),
    "expect_column_values_to_be_in_set": partial(_in_set, wanted=True),
    "expect_column_values_to_be_in_type_list": _of_type,
    "expect_column_values_to_be_increasing": partial(_in_order, sign=">"),
    "expect_column_values_to_be_json_parseable": _json,
    "expect_column_values_to_be_null": partial(_nulls, wanted=True),
    "expect_column_values_to_be_of_type": _of_type,
    "expect_column_values_to_be_unique": _unique,
    "expect_column_values_to_match_like_pattern": partial(_like, wanted=True),
    "expect_column_values_to_match_like_pattern_list": partial(_like, wanted=True),
    "expect_column_values_to_match_regex": partial(_regexes, wanted=True),
    "expect_column_values_to_match_regex_list": partial(_regexes, wanted=True),
    "expect_column_values_to_match_strftime_format": _strftime,
    "expect_column_values_to_not_be_in_set": partial(_in_set, wanted=False),
    "expect_column_values_to_not_be_null": partial(_nulls, wanted=False),
    "expect_column_values_to_not_match_like_pattern": partial(_like, wanted=False),
    "expect_column_values_to_not_match_like_pattern_list": partial(_like, wanted=False),
    "expect_column_values_to_not_match_regex": partial(_regexes, wanted=False),
    "expect_column_values_to_not_match_regex_list": partial(_regexes, wanted=False),
}
