"""Evaluates a suite in DuckDB: few aggregate queries for the rows of each ``row_condition``. Leaves to
Great Expectations what it does not compile, with the reason; what cannot be so is an error of that expectation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_mlgov.data.duck import DuckTable
from airflow_mlgov.data.memory import MemoryLimitError
from airflow_mlgov.data.relation import ColumnKind
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.data_validation.arguments import SIGNATURES
from airflow_mlgov.gates.data_validation.columns import NUMERIC, Column, UnfitError, as_written, columns_of
from airflow_mlgov.gates.data_validation.compilers import COMPILERS
from airflow_mlgov.gates.data_validation.conditions import condition_sql
from airflow_mlgov.gates.data_validation.differences import difference_of
from airflow_mlgov.gates.data_validation.expectations import Expectation
from airflow_mlgov.gates.data_validation.gx import Result
from airflow_mlgov.gates.data_validation.query_plan import (
    Answers,
    Finish,
    Plan,
    UncompiledError,
    in_batches,
    map_result,
    without_distinct,
)

TYPE_TESTS = ("_of_type", "_type_list", "_type_to_be")
"""How the names of expectations about types end; they are never left to pandas, whose types are other ones."""

ABOUT_TEXT = frozenset(
    f"expect_column_{name}"
    for name in (
        "value_lengths_to_be_between",
        "value_lengths_to_equal",
        "values_to_be_dateutil_parseable",
        "values_to_match_like_pattern",
        "values_to_match_like_pattern_list",
        "values_to_match_regex",
        "values_to_match_regex_list",
        "values_to_match_strftime_format",
        "values_to_not_match_like_pattern",
        "values_to_not_match_like_pattern_list",
        "values_to_not_match_regex",
        "values_to_not_match_regex_list",
    )
)
ALL = "data"
"""The rows without a condition."""
_FAILED, _CANNOT = "data.unreadable", "spark.cannot"
_DIVERGENCE = "expect_column_kl_divergence_to_be_less_than"


@dataclass
class QueryRun:
    """What the queries answered, and what they leave."""

    rows: int = 0
    results: dict[int, Result] = field(default_factory=dict)
    """By position in the suite."""
    left: dict[int, str] = field(default_factory=dict)
    """Position -> why it was not compiled."""
    sources: dict[int, str] = field(default_factory=dict)
    """Position -> what stands after FROM for the rows that it is about, of those that are left."""
    differences: dict[int, str] = field(default_factory=dict)
    """Position -> why Great Expectations on pandas may say something else."""


def run_query(
    table: DuckTable, expectations: Sequence[Expectation], *, ordered: bool = True, compiles: bool = True
) -> QueryRun:
    """Evaluate those of ``expectations`` that can be, over the view ``data``.

    :param ordered: whether the rows have an order
    :param compiles: false leaves all but the types of columns to Great Expectations
    :raises ConfigurationError: the rows cannot be read
    """
    columns = columns_of(table)
    run = QueryRun()
    files = table.as_files()
    is_text = files is not None and files.is_text
    plans = {ALL: Plan(columns, ALL, ordered, is_text)}
    finishes: dict[str, list[tuple[Expectation, Finish]]] = {ALL: []}
    for item in expectations:
        try:
            source, there = _source(table, item, columns)
            plan = plans.setdefault(source, Plan(there, source, ordered, is_text))
            run.sources[item.position] = source
            finishes.setdefault(source, []).append((item, _compiled(plan, item, compiles)))
        except UnfitError as error:
            run.results[item.position] = Result(False, {}, error=str(error))
        except UncompiledError as error:
            run.left[item.position] = str(error)
    for source, plan in plans.items():
        _answer(table, plan, finishes.get(source, []), run)
    return run


def _source(table: DuckTable, item: Expectation, columns: Mapping[str, Column]) -> tuple[str, Mapping[str, Column]]:
    """What stands after FROM, and its columns: what is judged by length or pattern is judged as a csv has it."""
    condition = item.kwargs.get("row_condition")
    files = table.as_files()
    if files is not None and item.type in ABOUT_TEXT and any(_is_read(columns.get(name)) for name in item.columns):
        if condition is not None:
            raise UnfitError(
                "its column is read as no text, and it has a row_condition: declare the column's type text"
            )
        return f"({files.written})", as_written(columns)
    wanted = [] if condition is None else [condition_sql(condition, columns)]
    if item.type == _DIVERGENCE:  # Great Expectations stops at a missing value among numbers; it counts none
        numbers = [columns[name] for name in item.columns if name in columns and columns[name].kind in NUMERIC]
        wanted += [f"{column.sql} IS NOT NULL" for column in numbers]
    if not wanted:
        return ALL, columns
    return f"(SELECT * FROM {ALL} WHERE {' AND '.join(wanted)})", columns  # noqa: S608 - written by us


def _is_read(column: Column | None) -> bool:
    """Whether a text of a csv was read as something else."""
    return column is not None and column.written and column.kind is not ColumnKind.TEXT


def _compiled(plan: Plan, item: Expectation, compiles: bool) -> Finish:
    if item.type not in COMPILERS:
        raise UncompiledError("not compiled: its type")
    if not compiles and not item.type.endswith(TYPE_TESTS):
        raise UncompiledError("not compiled: Great Expectations is asked for")
    try:
        return COMPILERS[item.type](plan, item)
    except UnfitError as error:
        if error.column is None:
            raise
        counts_values = "mostly" in SIGNATURES[item.type].optional and not item.type.endswith(TYPE_TESTS)
        return _unless_empty(error, error.column, counts_values)


def _unless_empty(error: UnfitError, column: Column, counts_values: bool) -> Finish:
    """The error, but where the column has no value: then there is nothing to judge."""

    def finish(answers: Answers) -> Result:
        if answers.present(column):
            raise error
        return map_result(answers.rows, 0, 0, 1) if counts_values else Result(False, {}, nonnull=0)

    return finish


def _answer(table: DuckTable, plan: Plan, finishes: Sequence[tuple[Expectation, Finish]], run: QueryRun) -> None:
    try:
        answers = Answers(table, plan, _asked(table, plan, plan.batches()))
        answers.add(_asked(table, plan, plan.later(answers)))
    except ConfigurationError as error:
        if plan.source == ALL:
            raise
        run.results.update({item.position: _failed(error) for item, _ in finishes})
        return
    if plan.source == ALL:
        run.rows = answers.rows
        if (files := table.as_files()) is not None:
            answers.tell(files)
    for item, finish in finishes:
        try:
            run.results[item.position] = finish(answers)
            if difference := difference_of(item, plan.columns, answers):
                run.differences[item.position] = difference
        except UnfitError as error:
            run.results[item.position] = Result(False, {}, error=str(error))
        except UncompiledError as error:
            run.left[item.position] = str(error)
        except ConfigurationError as error:
            run.results[item.position] = _failed(error)


def _asked(table: DuckTable, plan: Plan, batches: Iterable[Sequence[str]]) -> dict[str, Any]:
    """What the plan's queries say, which are over the same rows: a relation in DuckDB is a private copy. Without those
    that fail though every column can be read: a part of such a query does, for one expectation, so each is to be asked
    for by itself.

    :raises ConfigurationError: the rows cannot be read
    """
    found: dict[str, Any] = {}
    for aggregates in batches:
        try:
            found.update(_row(table, plan, aggregates))
        except ConfigurationError as error:
            if error.code == _CANNOT:  # a part of the query, for one expectation
                continue
            if error.code != _FAILED:
                raise
            for counts in in_batches(["count(*)", *(f"count({column.sql})" for column in plan.columns.values())]):
                table.rows(plan.query(counts))
    return found


def _row(table: DuckTable, plan: Plan, aggregates: Sequence[str]) -> dict[str, Any]:
    """What one query says; without the counts of different values if they are too many to be kept together."""
    light = without_distinct(aggregates)
    try:
        return dict(zip(aggregates, table.rows(plan.query(aggregates))[0], strict=True))
    except MemoryLimitError:
        if len(light) == len(aggregates):
            raise
        return dict(zip(light, table.rows(plan.query(light))[0], strict=True))


def _failed(error: ConfigurationError) -> Result:
    """Of an expectation whose query failed: why, in the words of the error, which quotes no value.

    :raises ConfigurationError: it was stopped by a limit
    """
    if error.code == _CANNOT:
        return Result(False, {}, error=str(error))
    if error.code != _FAILED:
        raise error
    why = str(error).rpartition(": ")[2]
    said = f"DuckDB stops at a value that it cannot compute with ({why}): look at the least and the greatest"
    return Result(False, {}, error=said)
