"""Evaluates the common expectations over files in one aggregate query of DuckDB, with the counts that Great
Expectations gives on pandas. Leaves to it, with the reason, whatever might come out differently there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from airflow_mlgov.data.file_tables import FileTable
from airflow_mlgov.gates.data_validation.arguments import Uncompiled
from airflow_mlgov.gates.data_validation.column_kinds import NotAFrame, columns_of
from airflow_mlgov.gates.data_validation.compilers import COMPILERS
from airflow_mlgov.gates.data_validation.expectations import Expectation
from airflow_mlgov.gates.data_validation.gx import Result
from airflow_mlgov.gates.data_validation.query_plan import Answers, Finish, NoColumn, Plan

COMPILED_TYPES = frozenset(COMPILERS)
"""The expectation types that are evaluated here where nothing speaks against it."""


@dataclass(frozen=True)
class QueryRun:
    """What the query answered, and what it leaves to Great Expectations."""

    rows: int
    results: Mapping[int, Result] = field(default_factory=dict)
    """By position in the suite."""
    left: Mapping[int, str] = field(default_factory=dict)
    """Position -> why it was not compiled."""
    columns: tuple[str, ...] | None = None
    """The columns; None where pandas would give the files other columns or rows."""


def run_query(table: FileTable, expectations: Sequence[Expectation], *, close_calls: bool) -> QueryRun:
    """Evaluate those of ``expectations`` that can be, over the view ``data``.

    :param close_calls: decide an aggregate of floats also where it is so near its bound that the order of additions
        would decide; otherwise it is left to Great Expectations
    :raises ConfigurationError: the files cannot be read
    """
    # It answers from a parquet file's footer, where anybody can write that there are no nulls.
    table.connection.execute("SET disabled_optimizers = 'statistics_propagation'")
    try:
        return _run(table, expectations, close_calls)
    finally:
        table.connection.execute("SET disabled_optimizers = ''")


def _run(table: FileTable, expectations: Sequence[Expectation], close_calls: bool) -> QueryRun:
    try:
        columns = columns_of(table, [name for item in expectations for name in item.columns])
    except NotAFrame as error:
        return _all_left(table, expectations, str(error), None)
    plan = Plan(columns, tuple(table.types))
    finishes: dict[int, Finish] = {}
    left: dict[int, str] = {}
    results: dict[int, Result] = {}
    for item in expectations:
        try:
            if item.type not in COMPILERS:
                raise Uncompiled("its type is not compiled")
            finishes[item.position] = COMPILERS[item.type](plan, item)
        except NoColumn as error:
            results[item.position] = Result(False, {}, error=str(error))
        except Uncompiled as error:
            left[item.position] = str(error)
    (values,) = table.rows(plan.query)
    if table.loosely_written:
        return _all_left(
            table,
            expectations,
            "a csv has spaces between quotes and the ends of fields, or carriage returns alone",
            plan.names,
        )
    answers = Answers(table, plan.asked, values, close_calls)
    for position, finish in finishes.items():
        try:
            results[position] = finish(answers)
        except Uncompiled as error:
            left[position] = str(error)
    return QueryRun(answers.rows, results, left, plan.names)


def _all_left(
    table: FileTable, expectations: Sequence[Expectation], why: str, columns: tuple[str, ...] | None
) -> QueryRun:
    rows = table.rows("SELECT count(*) FROM data")[0][0]
    return QueryRun(int(rows), {}, {item.position: why for item in expectations}, columns)
