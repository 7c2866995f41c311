"""Compiles the common expectations to SQL, by the kind of their columns. Refuses, with the reason, what might come out
differently in Great Expectations on pandas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from airflow_mlgov.data.quoting import literal
from airflow_mlgov.gates.data_validation.arguments import (
    EXACT,
    Uncompiled,
    bounds,
    is_flag,
    is_name,
    is_number,
    is_share,
    is_text,
    is_whole,
    list_of,
    one_of,
    or_none,
    take,
)
from airflow_mlgov.gates.data_validation.column_kinds import Column, Kind
from airflow_mlgov.gates.data_validation.expectations import Expectation
from airflow_mlgov.gates.data_validation.gx import Result
from airflow_mlgov.gates.data_validation.portable_regex import PortableRegex, portable_regex
from airflow_mlgov.gates.data_validation.query_plan import (
    Answers,
    Finish,
    Plan,
    aggregate_result,
    map_result,
    require_known,
)

_NUMERIC = (Kind.INTEGER, Kind.FLOAT)
_COMPARED = (*_NUMERIC, Kind.TEXT)
_HASHED = (*_COMPARED, Kind.BOOLEAN, Kind.MOMENT)

_RANGE = {"strict_min": is_flag, "strict_max": is_flag}
_MOSTLY = {"mostly": is_share}


# Values


def _nulls(plan: Plan, item: Expectation, *, wanted: bool) -> Finish:
    arguments = take(item, {"column": is_name}, _MOSTLY)
    column = plan.column(arguments["column"], tuple(Kind))

    def finish(answers: Answers) -> Result:
        rows, present = answers.rows, int(answers[f"count({column.sql})"])
        unexpected = present if wanted else rows - present
        counts = {
            "element_count": rows,
            "unexpected_count": unexpected,
            "unexpected_percent": unexpected / rows * 100 if rows else None,
        }
        return Result(not rows or (rows - unexpected) / rows >= arguments.get("mostly", 1), counts)

    return finish


def _values(plan: Plan, column: Column, condition: str, mostly: float, guards: Sequence[str] = ()) -> Finish:
    asked = plan.unexpected(column, condition)

    def finish(answers: Answers) -> Result:
        present = answers.present(column)
        if not present:
            return map_result(answers.rows, 0, 0, mostly)
        require_known(column)
        if any(answers[guard] for guard in guards):
            raise Uncompiled("Python and RE2 may read its expression differently on some of these values")
        return map_result(answers.rows, present, int(answers[asked]), mostly)

    return finish


def _between(plan: Plan, item: Expectation) -> Finish:
    bound = or_none(is_number)
    arguments = take(item, {"column": is_name}, {**_MOSTLY, **_RANGE, "min_value": bound, "max_value": bound})
    low, high, above, below = bounds(arguments)
    column = plan.column(arguments["column"], _NUMERIC)
    ends = [f"{column.sql} {above} {_constant(low, column)}"] if low is not None else []
    ends += [f"{column.sql} {below} {_constant(high, column)}"] if high is not None else []
    return _values(plan, column, " AND ".join(ends), arguments.get("mostly", 1))


def _constant(value: Any, column: Column) -> str:
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, bool):
        return str(value).upper()
    whole = isinstance(value, int) and column.kind is Kind.INTEGER
    return f"{value}::BIGINT" if whole else f"'{float(value)!r}'::DOUBLE"


def _in_set(plan: Plan, item: Expectation, *, wanted: bool) -> Finish:
    arguments = take(item, {"column": is_name, "value_set": _is_set}, _MOSTLY)
    column = plan.column(arguments["column"], _set_kinds(arguments["value_set"]))
    within = _member(column.sql, column, arguments["value_set"])
    return _values(plan, column, within if wanted else f"NOT {within}", arguments.get("mostly", 1))


def _is_set(value: Any) -> bool:
    return any(list_of(test)(value) for test in (is_text, is_whole, is_number, is_flag))


def _set_kinds(items: Sequence[Any]) -> tuple[Kind, ...]:
    """The columns whose values such items can be: a float among whole numbers is left to pandas."""
    if isinstance(items[0], str):
        return (Kind.TEXT,)
    if isinstance(items[0], bool):
        return (Kind.BOOLEAN,)
    return _NUMERIC if all(isinstance(item, int) for item in items) else (Kind.FLOAT,)


def _member(value: str, column: Column, items: Sequence[Any]) -> str:
    return f"({value} IN ({', '.join(_constant(item, column) for item in items)}))"


def _regex(plan: Plan, item: Expectation, *, wanted: bool) -> Finish:
    arguments = take(item, {"column": is_name, "regex": is_text}, _MOSTLY)
    return _matches(plan, arguments, [arguments["regex"]], " OR ", wanted=wanted)


def _regex_list(plan: Plan, item: Expectation, *, wanted: bool) -> Finish:
    optional = {**_MOSTLY, "match_on": one_of("any", "all")} if wanted else _MOSTLY
    arguments = take(item, {"column": is_name, "regex_list": list_of(is_text)}, optional)
    joint = " AND " if arguments.get("match_on") == "all" else " OR "
    return _matches(plan, arguments, arguments["regex_list"], joint, wanted=wanted)


def _matches(plan: Plan, arguments: Mapping[str, Any], patterns: Sequence[str], joint: str, *, wanted: bool) -> Finish:
    column = plan.column(arguments["column"], (Kind.TEXT,))
    portable = [_portable(pattern) for pattern in patterns]
    matched = joint.join(f"regexp_matches({column.sql}, {literal(one.pattern)})" for one in portable)
    guards = []
    if column.kind is Kind.TEXT and any(one.ascii_only for one in portable):
        guards.append(plan.ask(f"count(*) FILTER (strlen({column.sql}) <> length({column.sql}))"))
    if column.kind is Kind.TEXT and any(one.one_line for one in portable):
        guards.append(plan.ask(f"count(*) FILTER (contains({column.sql}, chr(10)))"))
    return _values(plan, column, matched if wanted else f"NOT ({matched})", arguments.get("mostly", 1), guards)


def _portable(pattern: str) -> PortableRegex:
    portable = portable_regex(pattern)
    if portable is None:
        raise Uncompiled("Python and RE2 may read its expression differently")
    return portable


def _length(plan: Plan, item: Expectation) -> Finish:
    whole = or_none(is_whole)
    arguments = take(item, {"column": is_name}, {**_MOSTLY, **_RANGE, "min_value": whole, "max_value": whole})
    low, high, above, below = bounds(arguments)
    column = plan.column(arguments["column"], (Kind.TEXT,))
    ends = [f"length({column.sql}) {above} {low}"] if low is not None else []
    ends += [f"length({column.sql}) {below} {high}"] if high is not None else []
    return _values(plan, column, " AND ".join(ends), arguments.get("mostly", 1))


def _length_equal(plan: Plan, item: Expectation) -> Finish:
    arguments = take(item, {"column": is_name, "value": is_whole}, _MOSTLY)
    column = plan.column(arguments["column"], (Kind.TEXT,))
    return _values(plan, column, f"length({column.sql}) = {arguments['value']}", arguments.get("mostly", 1))


def _unique(plan: Plan, item: Expectation) -> Finish:
    arguments = take(item, {"column": is_name}, _MOSTLY)
    column = plan.column(arguments["column"], _HASHED)

    def finish(answers: Answers) -> Result:
        present = answers.present(column)
        if present:
            require_known(column)
        repeated = answers.repeated(column) if present else 0
        return map_result(answers.rows, present, repeated, arguments.get("mostly", 1))

    return finish


def _in_order(plan: Plan, item: Expectation, *, sign: str) -> Finish:
    """Each value against the one before it that is not null; pandas makes nothing of two that are infinite alike."""
    arguments = take(item, {"column": is_name}, {**_MOSTLY, "strictly": or_none(is_flag)})
    column = plan.column(arguments["column"], _NUMERIC)
    follows = f"v {sign} before OR (v = before AND isinf(v::DOUBLE))"
    follows = follows if arguments.get("strictly") else f"v {sign}= before"

    def finish(answers: Answers) -> Result:
        require_known(column)
        present = answers.present(column)
        _require_exact(answers, column)
        misplaced = answers.misplaced(column, follows)
        return map_result(answers.rows, present, misplaced, arguments.get("mostly", 1))

    return finish


# Several columns


def _compound_unique(plan: Plan, item: Expectation) -> Finish:
    ignore = one_of("all_values_are_missing", "any_value_is_missing", "never")
    arguments = take(item, {"column_list": list_of(is_name, 2)}, {**_MOSTLY, "ignore_row_if": ignore})
    columns = [plan.column(name, _HASHED) for name in arguments["column_list"]]
    if len({column.name for column in columns}) < len(columns):
        raise Uncompiled("a column stands twice in its column_list")
    for column in columns:
        require_known(column)
    present = [f"{column.sql} IS NOT NULL" for column in columns]
    rule = arguments.get("ignore_row_if", "all_values_are_missing")
    keep = {"all_values_are_missing": " OR ".join(present), "any_value_is_missing": " AND ".join(present)}.get(
        rule, "true"
    )
    kept = plan.ask(f"count(*) FILTER ({keep})")

    def finish(answers: Answers) -> Result:
        for column in columns:
            answers.present(column)
        _, repeated = answers.groups(", ".join(column.sql for column in columns), keep)
        return map_result(answers.rows, int(answers[kept]), repeated, arguments.get("mostly", 1))

    return finish


def _pair(plan: Plan, item: Expectation, *, sign: str) -> Finish:
    ignore = one_of("both_values_are_missing", "either_value_is_missing", "neither")
    optional = {**_MOSTLY, "ignore_row_if": ignore, **({} if sign == "=" else {"or_equal": is_flag})}
    arguments = take(item, {"column_A": is_name, "column_B": is_name}, optional)
    kinds = _COMPARED if sign == "=" else _NUMERIC
    left, right = (plan.column(arguments[name], kinds) for name in ("column_A", "column_B"))
    for column in (left, right):
        require_known(column)
    if (left.kind is Kind.TEXT) != (right.kind is Kind.TEXT):
        raise Uncompiled("its columns are of unlike kinds")
    present = [f"{column.sql} IS NOT NULL" for column in (left, right)]
    rule = arguments.get("ignore_row_if", "both_values_are_missing")
    keep = {"both_values_are_missing": " OR ".join(present), "either_value_is_missing": " AND ".join(present)}.get(
        rule, "true"
    )
    compared = f"{left.sql} {'>=' if arguments.get('or_equal') else sign} {right.sql}"
    kept = plan.ask(f"count(*) FILTER ({keep})")
    unexpected = plan.ask(f"count(*) FILTER (({keep}) AND NOT coalesce({compared}, false))")

    def finish(answers: Answers) -> Result:
        for column in (left, right):
            answers.present(column)
            _require_exact(answers, column)
        return map_result(answers.rows, int(answers[kept]), int(answers[unexpected]), arguments.get("mostly", 1))

    return finish


def _require_exact(answers: Answers, column: Column) -> None:
    if column.kind is not Kind.INTEGER or not answers.present(column):
        return
    if answers[f"min({column.sql})"] < -EXACT or answers[f"max({column.sql})"] > EXACT:
        raise Uncompiled("its whole numbers are too large to be compared as floats")


# One number of a column


def _number(
    plan: Plan, item: Expectation, kinds: Sequence[Kind], bound: Callable[[Any], bool] = is_number
) -> tuple[dict[str, Any], Column]:
    limits = {"min_value": or_none(bound), "max_value": or_none(bound)}
    arguments = take(item, {"column": is_name}, {**_RANGE, **limits})
    bounds(arguments)
    return arguments, plan.column(arguments["column"], kinds)


def _known_present(answers: Answers, column: Column) -> int:
    present = answers.present(column)
    if present:
        require_known(column)
    return present


def _moment(plan: Plan, item: Expectation, *, function: str) -> Finish:
    """Mean, sum or sample standard deviation."""
    arguments, column = _number(plan, item, _NUMERIC)
    finite = f"isfinite({column.sql})" if column.kind is Kind.FLOAT else "true"
    if column.kind is not Kind.OPAQUE:
        value = plan.ask(f"{function}({column.sql}) FILTER ({finite})")
        size = plan.ask(f"sum(abs({column.sql}::DOUBLE)) FILTER ({finite})")
        most = plan.ask(f"max(abs({column.sql}::DOUBLE)) FILTER ({finite})")
        endless = plan.ask(f"count(*) FILTER ({column.sql} IS NOT NULL AND NOT {finite})")

    def finish(answers: Answers) -> Result:
        present = _known_present(answers, column)
        if not present:
            return aggregate_result(arguments, 0.0 if function == "sum" else None, 0)
        if answers[endless]:
            raise Uncompiled("there are infinite values in its column")
        observed = answers[value]
        if observed is None:
            return aggregate_result(arguments, None, present)
        whole = column.kind is Kind.INTEGER and answers[size] < EXACT
        if function == "sum" and column.kind is Kind.INTEGER:
            if not whole:
                raise Uncompiled("its sum is too large to be exact")
            observed = int(observed) if present == answers.rows else float(observed)
        if not (whole and function in ("sum", "avg")):
            answers.require_clear(observed, arguments, answers[size] if function == "sum" else answers[most])
        return aggregate_result(arguments, observed, present)

    return finish


def _extreme(plan: Plan, item: Expectation, *, function: str) -> Finish:
    arguments, column = _number(plan, item, _NUMERIC)
    value = plan.ask(f"{function}({column.sql})") if column.kind is not Kind.OPAQUE else ""

    def finish(answers: Answers) -> Result:
        present = _known_present(answers, column)
        return aggregate_result(arguments, answers[value] if present else None, present, shown=False)

    return finish


def _median(plan: Plan, item: Expectation) -> Finish:
    arguments, column = _number(plan, item, _NUMERIC)

    def finish(answers: Answers) -> Result:
        present = _known_present(answers, column)
        if not present:
            return aggregate_result(arguments, None, 0, shown=False)
        _require_exact(answers, column)
        low, high = answers.placed(column, (present - 1) // 2, 2 - present % 2)
        observed = low if low == high else (low + high) / 2
        answers.require_clear(observed, arguments, abs(observed)) if low != high else None
        return aggregate_result(arguments, observed, present, shown=False)

    return finish


def _quantiles(plan: Plan, item: Expectation) -> Finish:
    arguments = take(
        item,
        {"column": is_name, "quantile_ranges": _is_quantile_ranges},
        {"allow_relative_error": lambda value: value is False},
    )
    column = plan.column(arguments["column"], _NUMERIC)
    ranges = arguments["quantile_ranges"]

    def finish(answers: Answers) -> Result:
        require_known(column)
        present = answers.present(column)
        if not present:
            raise Uncompiled("its column has no value, of which pandas makes what its version makes")
        _require_exact(answers, column)
        inside = [
            _is_within(answers.placed(column, _nearest(quantile, present))[0], low, high)
            for quantile, (low, high) in zip(ranges["quantiles"], ranges["value_ranges"], strict=True)
        ]
        return Result(all(inside), {}, withheld=True, nonnull=present)

    return finish


def _is_quantile_ranges(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != {"quantiles", "value_ranges"}:
        return False
    quantiles, ranges = value["quantiles"], value["value_ranges"]
    return (
        list_of(lambda quantile: is_number(quantile) and 0 <= quantile <= 1)(quantiles)
        and list_of(lambda pair: list_of(or_none(is_number), 2)(pair) and len(pair) == 2)(ranges)
        and len(quantiles) == len(ranges)
        and all(None in pair or pair[0] <= pair[1] for pair in ranges)
    )


def _nearest(quantile: float, present: int) -> int:
    """The place of the nearest value, which half-way is the even one.

    :raises Uncompiled: versions of pandas, some of which go by percent, would take another
    """
    place = round((present - 1) * quantile)
    if place != round((present - 1) * (quantile * 100 / 100)):
        raise Uncompiled("its quantile lies half-way between two values")
    return place


def _is_within(value: float, low: float | None, high: float | None) -> bool:
    """Great Expectations takes what is close to a bound for within."""
    close = any(bound is not None and abs(value - bound) <= 1e-8 + 1e-4 * abs(bound) for bound in (low, high))
    return close or ((low is None or low <= value) and (high is None or value <= high))


def _distinct_count(plan: Plan, item: Expectation) -> Finish:
    arguments, column = _number(plan, item, _HASHED, is_whole)

    def finish(answers: Answers) -> Result:
        present = _known_present(answers, column)
        return aggregate_result(arguments, answers.distinct(column) if present else 0, present)

    return finish


def _distinct_share(plan: Plan, item: Expectation) -> Finish:
    arguments, column = _number(plan, item, _HASHED)

    def finish(answers: Answers) -> Result:
        present = _known_present(answers, column)
        return aggregate_result(arguments, answers.distinct(column) / present if present else 0, present)

    return finish


def _present_share(plan: Plan, item: Expectation) -> Finish:
    arguments, column = _number(plan, item, tuple(Kind))

    def finish(answers: Answers) -> Result:
        share = int(answers[f"count({column.sql})"]) / answers.rows if answers.rows else 0
        return aggregate_result(arguments, share)

    return finish


def _distinct_set(plan: Plan, item: Expectation, *, strangers: bool, absent: bool) -> Finish:
    """The different values against a set: none outside it, none of it missing, or both."""
    arguments = take(item, {"column": is_name, "value_set": _is_set}, {})
    items = list(dict.fromkeys(arguments["value_set"]))
    column = plan.column(arguments["column"], _set_kinds(items))
    known = _member("v", column, items)

    def finish(answers: Answers) -> Result:
        present = _known_present(answers, column)
        outside = inside = 0
        if present:
            values = f"SELECT DISTINCT {column.sql} AS v FROM data WHERE {column.sql} IS NOT NULL"  # noqa: S608
            counted = f"SELECT count(*) FILTER (NOT {known}), count(*) FILTER ({known}) FROM ({values})"  # noqa: S608
            outside, inside = answers.one(counted)
        counts = {"unexpected_count": outside} if strangers else {}
        counts |= {"missing_count": len(items) - inside} if absent else {}
        return Result(not any(counts.values()), counts, withheld=True, nonnull=present)

    return finish


# The table


def _table_number(plan: Plan, item: Expectation, *, of_columns: bool, equal: bool) -> Finish:
    whole = or_none(is_whole)
    if equal:
        value = take(item, {"value": is_whole}, {})["value"]
        arguments = {"min_value": value, "max_value": value}
    else:
        arguments = take(item, {}, {**_RANGE, "min_value": whole, "max_value": whole})
        bounds(arguments)

    def finish(answers: Answers) -> Result:
        return aggregate_result(arguments, len(plan.names) if of_columns else answers.rows)

    return finish


def _columns_set(plan: Plan, item: Expectation) -> Finish:
    arguments = take(item, {"column_set": list_of(is_text)}, {"exact_match": is_flag})
    there, wanted = set(plan.names), set(arguments["column_set"])
    success = wanted == there if arguments.get("exact_match", True) else wanted <= there
    return lambda _: Result(success, {}, ", ".join(sorted(there))[:300])


def _columns_list(plan: Plan, item: Expectation) -> Finish:
    arguments = take(item, {"column_list": list_of(is_text)}, {})
    success = list(plan.names) == arguments["column_list"]
    return lambda _: Result(success, {}, ", ".join(plan.names)[:300])


def _column_exists(plan: Plan, item: Expectation) -> Finish:
    place = or_none(lambda value: is_whole(value) and value >= 0)
    arguments = take(item, {"column": is_name}, {"column_index": place})
    name, index = arguments["column"], arguments.get("column_index")
    success = plan.names[index : index + 1] == (name,) if index else name in plan.names
    return lambda _: Result(success, {})


COMPILERS: Mapping[str, Callable[[Plan, Expectation], Finish]] = {
    "expect_column_distinct_values_to_be_in_set": partial(_distinct_set, strangers=True, absent=False),
    "expect_column_distinct_values_to_contain_set": partial(_distinct_set, strangers=False, absent=True),
    "expect_column_distinct_values_to_equal_set": partial(_distinct_set, strangers=True, absent=True),
    "expect_column_max_to_be_between": partial(_extreme, function="max"),
    "expect_column_mean_to_be_between": partial(_moment, function="avg"),
    "expect_column_median_to_be_between": _median,
    "expect_column_min_to_be_between": partial(_extreme, function="min"),
    "expect_column_pair_values_a_to_be_greater_than_b": partial(_pair, sign=">"),
    "expect_column_pair_values_to_be_equal": partial(_pair, sign="="),
    "expect_column_proportion_of_non_null_values_to_be_between": _present_share,
    "expect_column_proportion_of_unique_values_to_be_between": _distinct_share,
    "expect_column_quantile_values_to_be_between": _quantiles,
    "expect_column_stdev_to_be_between": partial(_moment, function="stddev_samp"),
    "expect_column_sum_to_be_between": partial(_moment, function="sum"),
    "expect_column_to_exist": _column_exists,
    "expect_column_unique_value_count_to_be_between": _distinct_count,
    "expect_column_value_lengths_to_be_between": _length,
    "expect_column_value_lengths_to_equal": _length_equal,
    "expect_column_values_to_be_between": _between,
    "expect_column_values_to_be_decreasing": partial(_in_order, sign="<"),
    "expect_column_values_to_be_in_set": partial(_in_set, wanted=True),
    "expect_column_values_to_be_increasing": partial(_in_order, sign=">"),
    "expect_column_values_to_be_null": partial(_nulls, wanted=True),
    "expect_column_values_to_be_unique": _unique,
    "expect_column_values_to_match_regex": partial(_regex, wanted=True),
    "expect_column_values_to_match_regex_list": partial(_regex_list, wanted=True),
    "expect_column_values_to_not_be_in_set": partial(_in_set, wanted=False),
    "expect_column_values_to_not_be_null": partial(_nulls, wanted=False),
    "expect_column_values_to_not_match_regex": partial(_regex, wanted=False),
    "expect_column_values_to_not_match_regex_list": partial(_regex_list, wanted=False),
    "expect_compound_columns_to_be_unique": _compound_unique,
    "expect_table_column_count_to_be_between": partial(_table_number, of_columns=True, equal=False),
    "expect_table_column_count_to_equal": partial(_table_number, of_columns=True, equal=True),
    "expect_table_columns_to_match_ordered_list": _columns_list,
    "expect_table_columns_to_match_set": _columns_set,
    "expect_table_row_count_to_be_between": partial(_table_number, of_columns=False, equal=False),
    "expect_table_row_count_to_equal": partial(_table_number, of_columns=False, equal=True),
}
"""How each expectation type that is known here is answered."""
