"""Hands the rows that DuckDB read to Great Expectations, or to the SQL of a suite, in a process that can be killed.
Refuses to hand over credentials, a network, files or a second reading: the child gets Arrow files of what is judged."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from airflow_mlgov.data.duck import DuckTable, in_order
from airflow_mlgov.data.limits import TIME_LIMIT, deadline
from airflow_mlgov.data.quoting import identifier
from airflow_mlgov.data.relation import bytes_of
from airflow_mlgov.data.scratch import scratch_folder
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.children.environment import Backend, ExternalError, ask
from airflow_mlgov.gates.data_validation.arguments import SIGNATURES
from airflow_mlgov.gates.data_validation.columns import UnfitError
from airflow_mlgov.gates.data_validation.expectations import Expectation
from airflow_mlgov.gates.data_validation.gx import Result, Run
from airflow_mlgov.gates.data_validation.rows_query import checked_query

ROWS_QUERY = "unexpected_rows_expectation"
ALL = "data"
_ROWS = 8_192
"""Rows that are written at a time; each may be long."""

_CHILD = Backend(
    name="Great Expectations",
    script="suite_run.py",
    libraries=("great-expectations", "pandas", "duckdb"),
    requirements="'mlgov-core[great-expectations]'",
    schema={
        "type": "object",
        "required": ["runs", "queries"],
        "properties": {
            "runs": {"type": "array", "items": {"type": "object"}},
            "queries": {"type": "array", "items": {"type": "object"}},
        },
        "additionalProperties": False,
    },
)


@dataclass
class Handed:
    """What the child said."""

    run: Run = field(default_factory=Run)
    queries: dict[int, Result] = field(default_factory=dict)
    """By position in the suite."""
    libraries: dict[str, str] = field(default_factory=dict)
    child: dict[str, Any] = field(default_factory=dict)


def hand_over(
    table: DuckTable,
    name: str,
    expectations: Sequence[Expectation],
    sources: Mapping[int, str],
    docs_dir: Path | None = None,
) -> Handed:
    """Evaluate ``expectations`` in the child.

    :param name: of the suite
    :param sources: position -> what stands after FROM for the rows that it is about
    :raises ConfigurationError: the rows cannot be read, or memory_limit is too small for them
    """
    queries = [item for item in expectations if item.type == ROWS_QUERY]
    others = [item for item in expectations if item.type != ROWS_QUERY]
    handed, asked = _checked(queries)
    if not others and not asked:
        return handed
    with scratch_folder("rows") as folder:
        files: dict[tuple[str, ...], str] = {}
        groups: dict[str, list[Expectation]] = {}
        for item in others:
            groups.setdefault(sources.get(item.position, ALL), []).append(item)
        request = {
            "folder": str(folder),
            "memory": bytes_of(table.duck.memory_limit),
            "suite": name,
            "modules": sorted({module for item in others if (module := custom_module(item.type))}),
            "path": [entry for entry in sys.path if entry],
            "runs": [
                {
                    "rows": _written(table, source, folder, files, _needed(table, items)),
                    "expectations": [_plain(item) for item in items],
                    "docs": _docs(docs_dir, at),
                }
                for at, (source, items) in enumerate(groups.items())
            ],
            "queries": [{"rows": _written(table, ALL, folder, files), "sql": sql} for sql in asked.values()],
        }
        try:
            answer = ask(_CHILD, sys.executable, request, timeout=_seconds())
        except ExternalError as error:
            crash = _crash(error)
            return replace(handed, run=Run(crash=crash), queries={**handed.queries, **_stopped(asked, crash)})
    runs = [_run(found) for found in answer.content["runs"]]
    found = {position: _counted(said) for position, said in zip(asked, answer.content["queries"], strict=True)}
    versions = dict(answer.libraries)
    if not runs:
        versions = {}
    return Handed(_joined(runs), {**handed.queries, **found}, versions, answer.child)


def custom_module(kind: str) -> str:
    """The module of an expectation that is registered in this process and is not Great Expectations' own; empty for any
    other. Only who has imported Great Expectations can have registered one."""
    registry: Any = sys.modules.get("great_expectations.expectations.registry")
    if registry is None or kind not in registry.list_registered_expectation_implementations():
        return ""
    module = str(registry.get_expectation_impl(kind).__module__)
    return "" if module.startswith("great_expectations.") else module


def _checked(queries: Sequence[Expectation]) -> tuple[Handed, dict[int, str]]:
    handed, asked = Handed(), {}
    for item in queries:
        try:
            asked[item.position] = checked_query(item.kwargs["unexpected_rows_query"])
        except UnfitError as error:
            handed.queries[item.position] = Result(False, {}, error=str(error))
    return handed, asked


def _needed(table: DuckTable, items: Sequence[Expectation]) -> tuple[str, ...]:
    """The columns that are looked at; none for all."""
    if not all(item.type in SIGNATURES and item.columns for item in items):
        return ()
    named = {name for item in items for name in item.columns}
    return tuple(name for name in table.types if name in named)


def _written(
    table: DuckTable, source: str, folder: Path, files: dict[tuple[str, ...], str], columns: tuple[str, ...] = ()
) -> str:
    """The name of an Arrow file of these rows, each written once.

    :param columns: all if empty
    """
    import pyarrow as pa

    key = (source, *columns)
    if key not in files:
        name = f"rows-{len(files)}.arrow"
        select = f"SELECT {_listed(table, columns)} FROM {source}"  # noqa: S608 - ours
        with in_order(table.connection):
            reader = pa.RecordBatchReader.from_batches(table.arrow_schema(select), table.batches(select, _ROWS))
            with pa.OSFile(str(folder / name), "wb") as file, pa.ipc.new_stream(file, reader.schema) as stream:
                for batch in reader:
                    stream.write_batch(batch)
        files[key] = name
    return files[key]


def _listed(table: DuckTable, columns: Sequence[str]) -> str:
    """The columns as SQL; one without any value has no type of its own."""
    quoted = {name: identifier(name) for name in columns or table.types}
    bare = {name for name, kind in table.types.items() if kind.strip('"') == "NULL"}
    return ", ".join(f"{sql}::VARCHAR AS {sql}" if name in bare else sql for name, sql in quoted.items())


def _plain(item: Expectation) -> dict[str, Any]:
    """Without what was put into effect already, so that nothing of it is left to evaluate."""
    kwargs = {name: value for name, value in item.kwargs.items() if name not in ("row_condition", "condition_parser")}
    severity = item.severity
    return {"position": item.position, "type": item.type, "kwargs": kwargs, "severity": severity, "where": item.where}


def _docs(docs_dir: Path | None, at: int) -> str | None:
    if docs_dir is None:
        return None
    return str((docs_dir if at == 0 else docs_dir / f"condition-{at}").absolute())


def _run(found: Mapping[str, Any]) -> Run:
    results = {int(position): Result(**said) for position, said in found["results"].items()}
    dropped = {int(position): str(why) for position, why in found["dropped"].items()}
    return Run(results, dropped, int(found["surplus"]), str(found["crash"]), found["docs"])


def _joined(runs: Sequence[Run]) -> Run:
    return Run(
        {position: result for run in runs for position, result in run.results.items()},
        {position: why for run in runs for position, why in run.dropped.items()},
        sum(run.surplus for run in runs),
        next((run.crash for run in runs if run.crash), ""),
        next((run.docs for run in runs if run.docs), None),
    )


def _counted(said: Mapping[str, Any]) -> Result:
    if "error" in said:
        return Result(False, {}, error=f"its query cannot be evaluated: {said['error']}")
    count = int(said["rows"])
    return Result(count == 0, {}, count)


def answered_there(table: DuckTable, expectations: Sequence[Expectation], reasons: Mapping[int, str]) -> Handed:
    """Of rows that stay where they are: the SQL of a suite is asked there, and anything else is an error of its
    expectation.

    :param reasons: position -> why it was not compiled
    """
    handed, asked = _checked([item for item in expectations if item.type == ROWS_QUERY])
    found = dict(handed.queries)
    for position, sql in asked.items():
        try:
            ((rows,),) = table.rows(f"SELECT count(*) FROM ({sql}) AS asked")  # noqa: S608 - checked
            found[position] = Result(rows == 0, {}, int(rows))
        except ConfigurationError as error:
            if error.code not in ("spark.cannot", "spark.query", "data.unreadable"):
                raise
            found[position] = Result(False, {}, error=f"its query cannot be evaluated: {error}")
    for item in expectations:
        if item.type != ROWS_QUERY:
            why = f"{reasons[item.position]}, and Great Expectations is not asked, because the rows stay where they are"
            found[item.position] = Result(False, {}, error=f"{why}: give them as files, or leave it out")
    return replace(handed, queries=found)


def _seconds() -> float:
    """Most of the time that is left, so that what was answered before can still be told."""
    left = deadline().left
    return math.floor(9 * left) / 10 if math.isfinite(left) else TIME_LIMIT


def _crash(error: ExternalError) -> str:
    if error.code == "child.timeout":
        return "it took too long and was stopped; make its expression simpler, or raise time_limit"
    return str(error)


def _stopped(asked: Mapping[int, str], crash: str) -> dict[int, Result]:
    return {position: Result(False, {}, error=crash) for position in asked}
