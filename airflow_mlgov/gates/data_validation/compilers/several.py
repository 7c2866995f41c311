"""Compiles expectations about the values of several columns in one row. Refuses columns of unlike kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from airflow_mlgov.data.aggregates import count_where
from airflow_mlgov.data.relation import ColumnKind
from airflow_mlgov.gates.data_validation.columns import MOMENTS, NUMERIC, Column, UnfitError, member, require_kind
from airflow_mlgov.gates.data_validation.expectations import Expectation
from airflow_mlgov.gates.data_validation.gx import Result
from airflow_mlgov.gates.data_validation.query_plan import Answers, Finish, Plan, exact, map_result

_FAMILIES = (NUMERIC, MOMENTS, (ColumnKind.TEXT,), (ColumnKind.BOOLEAN,))


def _kept(columns: Sequence[Column], rule: str) -> str:
    """SQL for the rows that are looked at at all."""
    present = [f"{column.sql} IS NOT NULL" for column in columns]
    if rule in ("all_values_are_missing", "both_values_are_missing"):
        return f"({' OR '.join(present)})"
    if rule in ("any_value_is_missing", "either_value_is_missing"):
        return f"({' AND '.join(present)})"
    return "true"


def _require_alike(columns: Sequence[Column]) -> None:
    if not any(all(column.kind in family for column in columns) for family in _FAMILIES):
        kinds = ", ".join(f'"{column.name}" is {column.stored}' for column in columns)
        raise UnfitError(f"its columns are of unlike kinds: {kinds}")


def _rows(plan: Plan, item: Expectation, columns: Sequence[Column], condition: str, default: str) -> Finish:
    keep = _kept(columns, item.kwargs.get("ignore_row_if", default))
    kept = plan.ask(columns[0], count_where(keep))
    unexpected = plan.ask(columns[0], count_where(f"{keep} AND NOT coalesce({condition}, false)"))

    def finish(answers: Answers) -> Result:
        return map_result(answers.rows, int(answers[kept]), int(answers[unexpected]), item.kwargs.get("mostly", 1))

    return finish


def _pair(plan: Plan, item: Expectation, *, sign: str) -> Finish:
    columns = [plan.column(item.kwargs[name]) for name in ("column_A", "column_B")]
    _require_alike(columns)
    if sign == ">" and columns[0].kind is ColumnKind.BOOLEAN:
        require_kind(columns[0], (*NUMERIC, *MOMENTS, ColumnKind.TEXT), "what has an order")
    compared = f"{columns[0].sql} {'>=' if item.kwargs.get('or_equal') else sign} {columns[1].sql}"
    return _rows(plan, item, columns, compared, "both_values_are_missing")


def _pair_in_set(plan: Plan, item: Expectation) -> Finish:
    columns = [plan.column(item.kwargs[name]) for name in ("column_A", "column_B")]
    pairs = []
    for values in item.kwargs["value_pairs_set"]:
        parts = [
            f"{column.sql} IS NULL" if value is None else member(column, [value])
            for column, value in zip(columns, values, strict=True)
        ]
        pairs.append(f"({parts[0]} AND {parts[1]})")
    return _rows(plan, item, columns, f"({' OR '.join(pairs)})", "both_values_are_missing")


def _listed(plan: Plan, item: Expectation) -> list[Column]:
    return [plan.column(name) for name in item.kwargs["column_list"]]


def _multicolumn_sum(plan: Plan, item: Expectation) -> Finish:
    columns = _listed(plan, item)
    for column in columns:
        require_kind(column, NUMERIC, "numbers")
    total, wanted = exact(item.kwargs["sum_total"]), float(item.kwargs["sum_total"])
    if all(column.kind is ColumnKind.INTEGER for column in columns):
        added = " + ".join(f"{column.sql}::HUGEINT" for column in columns)
        condition = f"({added}) = {total}::HUGEINT" if total.denominator == 1 else "false"
    elif any(column.kind is ColumnKind.FLOAT for column in columns):
        condition = f"({' + '.join(f'{column.sql}::DOUBLE' for column in columns)}) = '{wanted!r}'::DOUBLE"
    else:
        condition = f"({' + '.join(column.sql for column in columns)}) = '{item.kwargs['sum_total']}'::DECIMAL(38,18)"
    return _rows(plan, item, columns, condition, "all_values_are_missing")


def _multicolumn_equal(plan: Plan, item: Expectation) -> Finish:
    columns = _listed(plan, item)
    _require_alike(columns)
    condition = " AND ".join(f"{columns[0].sql} = {column.sql}" for column in columns[1:])
    return _rows(plan, item, columns, f"({condition})", "all_values_are_missing")


def _unique_within_record(plan: Plan, item: Expectation) -> Finish:
    columns = _listed(plan, item)
    _require_alike(columns)
    unlike = [
        f"{left.sql} IS DISTINCT FROM {right.sql}" for at, left in enumerate(columns) for right in columns[at + 1 :]
    ]
    return _rows(plan, item, columns, f"({' AND '.join(unlike)})", "all_values_are_missing")


def _compound_unique(plan: Plan, item: Expectation) -> Finish:
    columns = _listed(plan, item)
    keep = _kept(columns, item.kwargs.get("ignore_row_if", "all_values_are_missing"))
    kept = plan.ask(columns[0], count_where(keep))

    def finish(answers: Answers) -> Result:
        _, repeated = answers.groups(", ".join(column.sql for column in columns), keep)
        return map_result(answers.rows, int(answers[kept]), repeated, item.kwargs.get("mostly", 1))

    return finish


COMPILERS: Mapping[str, Callable[[Plan, Expectation], Finish]] = {
    "expect_column_pair_values_a_to_be_greater_than_b": partial(_pair, sign=">"),
    "expect_column_pair_values_to_be_equal": partial(_pair, sign="="),
    "expect_column_pair_values_to_be_in_set": _pair_in_set,
    "expect_compound_columns_to_be_unique": _compound_unique,
    "expect_multicolumn_sum_to_equal": _multicolumn_sum,
    "expect_multicolumn_values_to_be_equal": _multicolumn_equal,
    "expect_select_column_values_to_be_unique_within_record": _unique_within_record,
}
