"""Compiles expectations about the table as a whole: how many rows and columns there are, and what they are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from airflow_mlgov.gates.data_validation.expectations import Expectation
from airflow_mlgov.gates.data_validation.gx import Result
from airflow_mlgov.gates.data_validation.query_plan import Answers, Finish, Plan, aggregate_result


def _count(plan: Plan, item: Expectation, *, of_columns: bool) -> Finish:
    kwargs = item.kwargs
    arguments = {"min_value": kwargs["value"], "max_value": kwargs["value"]} if "value" in kwargs else kwargs

    def finish(answers: Answers) -> Result:
        return aggregate_result(arguments, len(plan.columns) if of_columns else answers.rows)

    return finish


def _columns_set(plan: Plan, item: Expectation) -> Finish:
    there, wanted = set(plan.columns), set(item.kwargs["column_set"])
    success = wanted == there if item.kwargs.get("exact_match", True) else wanted <= there
    return lambda _: Result(success, {}, ", ".join(sorted(there))[:300])


def _columns_list(plan: Plan, item: Expectation) -> Finish:
    success = list(plan.columns) == item.kwargs["column_list"]
    return lambda _: Result(success, {}, ", ".join(plan.columns)[:300])


def _column_exists(plan: Plan, item: Expectation) -> Finish:
    name, index = item.kwargs["column"], item.kwargs.get("column_index")
    names = list(plan.columns)
    at = names.index(name) if name in names else None
    success = at is not None and (index is None or at == (index if index >= 0 else len(names) + index))
    return lambda _: Result(success, {})


COMPILERS: Mapping[str, Callable[[Plan, Expectation], Finish]] = {
    "expect_column_to_exist": _column_exists,
    "expect_table_column_count_to_be_between": partial(_count, of_columns=True),
    "expect_table_column_count_to_equal": partial(_count, of_columns=True),
    "expect_table_columns_to_match_ordered_list": _columns_list,
    "expect_table_columns_to_match_set": _columns_set,
    "expect_table_row_count_to_be_between": partial(_count, of_columns=False),
    "expect_table_row_count_to_equal": partial(_count, of_columns=False),
}
