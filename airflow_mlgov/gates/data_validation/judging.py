"""Holds a dataset that is open against a Great Expectations suite, one check for each expectation. Refuses to call
green what was not evaluated: a dropped rule, no rows, no values, a missing column, an answer not given."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from airflow_mlgov.data.duck import MemoryLimitError
from airflow_mlgov.data.file_tables import FileTable
from airflow_mlgov.data.names import missing_columns_text
from airflow_mlgov.data.source import Batch, Relation
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.data_validation import gx as _gx
from airflow_mlgov.gates.data_validation.expectations import Expectation, Suite
from airflow_mlgov.gates.data_validation.one_query import COMPILED_TYPES, QueryRun, run_query
from airflow_mlgov.gates.data_validation.sql_semantics import decided_otherwise
from airflow_mlgov.gates.protocol import Findings
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Severity, Subject, json_safe

GATE = "data_validation"

_NAMES = {"duckdb": "DuckDB", "great_expectations": "Great Expectations"}


@dataclass(frozen=True)
class _Data:
    """What was validated, and what is known of it without Great Expectations."""

    subject: Subject
    rows: int
    columns: tuple[str, ...]
    types: Mapping[str, str] = field(default_factory=dict)
    """Column -> pandas type, of the columns that pandas read."""


@dataclass(frozen=True)
class _Answers:
    """What the engines said."""

    data: _Data
    query: QueryRun | None = None
    run: _gx.Run | None = None


@dataclass(frozen=True)
class _Task:
    """The suite and how it is to be run."""

    suite: Suite
    sound: Sequence[Expectation]
    engine: str
    docs_dir: Path | None

    def great_expectations(self, batch: Batch, expectations: Sequence[Expectation]) -> _gx.Run | None:
        return _gx.run_suite(batch, self.suite, expectations, self.docs_dir) if expectations else None


def judge_suite(
    relation: Relation,
    suite: Suite,
    *,
    engine: str = "auto",
    min_rows: int = 1,
    docs_dir: Path | None = None,
) -> GateResult:
    """Hold a dataset that is open against a suite; see :func:`airflow_mlgov.gates.data_validation.validate_data`."""
    started_at = datetime.now(UTC)
    sound, unsound = _sort_out(suite)
    answers = _evaluate(relation, _Task(suite, sound, engine, docs_dir))
    table = answers.data
    docs = answers.run.docs if answers.run else None
    return GateResult(
        GATE,
        table.subject,
        _unique_names([_row_count(table.rows, min_rows), *unsound, *_judge_all(sound, answers)]),
        inputs=(Subject("suite", suite.source or suite.name, suite.digest),),
        details={
            "suite": suite.name,
            "expectations": len(suite.expectations),
            "rows": table.rows,
            "columns": list(table.columns),
            **_not_compiled(sound, answers),
        },
        suite_digest=suite.digest,
        libraries=_libraries(answers),
        started_at=started_at,
        reports={} if docs is None else {"Data Docs": docs},
    )


def findings_of(result: GateResult) -> Findings:
    """What a gate found, out of the result over its data alone."""
    return Findings(
        result.checks,
        result.details,
        inputs=result.inputs,
        read=(result.subject,),
        suite_digest=result.suite_digest,
        dataset_checks=result.dataset_checks,
        libraries=result.libraries,
        reports=result.reports,
    )


def _evaluate(relation: Relation, task: _Task) -> _Answers:
    if task.engine == "great_expectations" or task.docs_dir is not None:
        return _handed_over(relation, task)
    if not relation.is_local and task.engine == "auto":
        return _handed_over(relation, task)
    table = relation.in_duckdb().as_files()
    if table is not None:
        return _of_files(relation, table, task) if relation.is_local else _of_copy(relation, table, task)
    if task.engine == "duckdb":
        raise ConfigurationError(
            "engine duckdb is for csv and parquet files and tables; leave it at auto for a frame", code="engine.frame"
        )
    return _handed_over(relation, task)


def _handed_over(relation: Relation, task: _Task) -> _Answers:
    with relation.handed_over() as batch:
        run = task.great_expectations(batch, task.sound)
    return _Answers(_Data(relation.subject, batch.rows, batch.columns, batch.types), run=run)


def _of_copy(relation: Relation, table: FileTable, task: _Task) -> _Answers:
    """A database's rows, read once."""
    query = run_query(table, task.sound, close_calls=True)
    _refuse_left(task, {**query.left, **decided_otherwise(table, task.sound)})
    return _Answers(_Data(relation.subject, query.rows, tuple(table.types)), query)


def _of_files(relation: Relation, table: FileTable, task: _Task) -> _Answers:
    try:
        query = run_query(table, task.sound, close_calls=task.engine == "duckdb")
        subject, columns = table.subject, tuple(table.types)
    except ConfigurationError as error:
        if task.engine == "duckdb" or isinstance(error, MemoryLimitError) or error.code == "column.twice":
            raise
        return _handed_over(relation, task)  # pandas reads it, or says what is wrong with it
    rest = [item for item in task.sound if item.position in query.left]
    if task.engine == "duckdb":
        _refuse_left(task, query.left)
    if query.columns is None:
        return _handed_over(relation, task)
    if not rest:
        return _Answers(_Data(subject, query.rows, columns), query)
    with relation.handed_over(_needed(rest, columns)) as batch:
        if batch.rows == query.rows:
            data = _Data(subject, batch.rows, columns, batch.types)
            return _Answers(data, query, task.great_expectations(batch, rest))
    return _handed_over(relation, task)  # one of the two readers is wrong, and pandas' is the reference


def _refuse_left(task: _Task, left: Mapping[int, str]) -> None:
    for item in task.sound:
        if item.position in left:
            raise ConfigurationError(
                f"{item.where}: {item.type} cannot be evaluated by engine duckdb: {left[item.position]}; "
                "leave engine at auto, which hands it to Great Expectations",
                code="engine.cannot",
            )


def _needed(expectations: Sequence[Expectation], columns: Sequence[str]) -> list[str] | None:
    """The columns that pandas must read; None for all."""
    if not all(map(_gx.reads_only_its_columns, expectations)):
        return None
    named = {name for item in expectations for name in item.columns}
    return [name for name in columns if name in named] or None


def _not_compiled(sound: Sequence[Expectation], answers: _Answers) -> dict[str, Any]:
    """Why DuckDB was not asked, by expectation; nothing where it was not to be asked at all."""
    left = answers.query.left if answers.query else {}
    reasons = {f"{item.position}: {_name(item)}": left[item.position] for item in sound if item.position in left}
    return {"left_to_great_expectations": reasons} if reasons else {}


def _libraries(answers: _Answers) -> dict[str, str]:
    versions = {}
    if answers.query is not None:
        import duckdb

        versions["duckdb"] = str(duckdb.__version__)
    if answers.run is not None:
        versions |= {"great_expectations": _gx.version(), "pandas": _pandas_version()}
    return versions


def _row_count(rows: int, min_rows: int) -> Check:
    bound = Bound(min=min_rows, source="min_rows")
    outcome = bound.judge(rows)
    detail = "" if outcome is Outcome.PASS else f"{rows} rows; at least {min_rows} are needed to judge the data"
    return Check("row_count", outcome, rows, bound, Severity.CRITICAL, detail)


def _sort_out(suite: Suite) -> tuple[list[Expectation], list[Check]]:
    """The expectations that an engine will take, and an ERROR for each that Great Expectations would quietly drop."""
    if not suite.expectations:
        detail = f"the suite {suite.name} holds no expectation, so nothing was decided; add at least one"
        return [], [Check("suite", Outcome.ERROR, 0, "at least 1 expectation", Severity.CRITICAL, detail)]
    kinds = {item.type for item in suite.expectations}
    types = sorted(COMPILED_TYPES) if kinds <= COMPILED_TYPES else _gx.known_types()
    severities = [str(severity) for severity in Severity]
    sound, unsound = [], []
    for item in suite.expectations:
        if item.type not in types:
            problem = f'unknown expectation type "{item.type}"{_near(item.type, types)}'
        elif item.severity not in severities:
            near = _near(str(item.severity), severities)
            problem = f'unknown severity "{item.severity}"{near}; known: {", ".join(severities)}'
        else:
            sound.append(item)
            continue
        unsound.append(_not_evaluated(item, f"{item.where}: {problem}; Great Expectations would drop it silently"))
    return sound, unsound


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f' (did you mean "{near[0]}"?)' if near else ""


def _not_evaluated(item: Expectation, detail: str) -> Check:
    """Critical whatever the suite says: that a rule is not understood or not answered is a fault of the gate's run."""
    return Check(_name(item), Outcome.ERROR, None, _bound(item), Severity.CRITICAL, detail)


def _judge_all(sound: Sequence[Expectation], answers: _Answers) -> list[Check]:
    queried = answers.query.results if answers.query else {}
    run = answers.run or _gx.Run()
    checks = []
    for item in sound:
        if item.position in queried:
            checks.append(_judge(item, queried[item.position], answers.data, "duckdb"))
        elif item.position in run.dropped:
            detail = f"{item.where}: Great Expectations did not take it: {run.dropped[item.position]}"
            checks.append(_not_evaluated(item, detail))
        elif item.position in run.results:
            checks.append(_judge(item, run.results[item.position], answers.data, "great_expectations"))
        else:
            why = f"it stopped with {run.crash}" if run.crash else "it gave no result for this one"
            checks.append(_not_evaluated(item, f"{item.where}: Great Expectations did not evaluate it: {why}"))
    if run.surplus:
        detail = f"Great Expectations gave {run.surplus} results that belong to no expectation of the suite"
        checks.append(Check("suite", Outcome.ERROR, run.surplus, "0 surplus results", Severity.CRITICAL, detail))
    return checks


def _judge(item: Expectation, result: _gx.Result, table: _Data, engine: str) -> Check:
    missing = [name for name in item.columns if name not in table.columns]
    counts = result.counts
    observed = counts.get("unexpected_percent") if "unexpected_percent" in counts else result.observed
    if missing:
        outcome, detail = Outcome.ERROR, f"{table.subject.name} has no column {_missing(table, missing)}"
    elif result.error:
        outcome, detail = Outcome.ERROR, f"could not be evaluated: {result.error}{_types(item, table)}"
    elif problem := _contradiction(item, result):
        outcome, detail = Outcome.ERROR, f"{_NAMES[engine]} contradicts itself: {problem}"
    elif problem := _nothing_to_judge(item, result):
        outcome, detail = Outcome.INCONCLUSIVE, problem
    else:
        outcome = Outcome.PASS if result.success else Outcome.FAIL
        detail = "" if result.success else _why(item, result)
    values: dict[str, Any] = {"engine": engine, **counts}
    if result.nonnull is not None:
        values["nonnull_count"] = result.nonnull
    if result.withheld:
        values["observed_value"] = "withheld: it may be a row's value"
    return Check(_name(item), outcome, observed, _bound(item), Severity(item.severity), detail, values)


def _missing(table: _Data, missing: Sequence[str]) -> str:
    return missing_columns_text(table.columns, missing)


def _types(item: Expectation, table: _Data) -> str:
    known = [f'"{name}" is of type {table.types[name]}' for name in item.columns if name in table.types]
    return f" (the column {', '.join(known)})" if known else ""


def _evaluated(counts: Mapping[str, Any]) -> int | None:
    """How many values a map expectation was held against; None for other kinds."""
    total = counts.get("element_count")
    return None if total is None else int(total) - int(counts.get("missing_count") or 0)


def _contradiction(item: Expectation, result: _gx.Result) -> str:
    """What cannot be so, if anything: a count out of range, a success that the counts deny."""
    evaluated, unexpected = _evaluated(result.counts), result.counts.get("unexpected_count")
    if evaluated is None or (evaluated == 0 and unexpected is None):
        return ""
    if unexpected is None:
        return f"no count of unexpected values among {evaluated}"
    if evaluated < 0 or not 0 <= unexpected <= evaluated:
        return f"{unexpected} unexpected of {evaluated} values"
    mostly = item.kwargs.get("mostly", 1)
    if not isinstance(mostly, int | float) or not evaluated:
        return ""
    holds = 1 - unexpected / evaluated >= mostly - 1e-9
    if result.success and not holds:
        return f"success with {unexpected} unexpected of {evaluated} values and mostly={mostly:g}"
    return ""


def _nothing_to_judge(item: Expectation, result: _gx.Result) -> str:
    selected = " that row_condition selects" if item.kwargs.get("row_condition") else ""
    evaluated = _evaluated(result.counts)
    if evaluated == 0:
        total = int(result.counts.get("element_count") or 0)
        return (
            f"no value to judge: all {total} values{selected} are null; add expect_column_values_to_not_be_null"
            if total
            else f"no value to judge: there are no rows{selected}"
        )
    if result.nonnull == 0:
        return f"no value to judge: the column has no value that is not null{selected and ' among the rows'}{selected}"
    return "the aggregate is not a finite number, so it cannot be compared" if result.undefined else ""


def _why(item: Expectation, result: _gx.Result) -> str:
    unexpected, evaluated = result.counts.get("unexpected_count"), _evaluated(result.counts)
    if evaluated is not None and unexpected is not None:
        allowed = item.kwargs.get("mostly")
        most = f"; mostly={allowed:g} allows {100 * (1 - allowed):.4g} %" if isinstance(allowed, int | float) else ""
        share = 100 * unexpected / evaluated
        return f"{int(unexpected)} of {evaluated} values ({share:.4g} %) do not meet the expectation{most}"
    if result.observed is not None:
        shown = f"{result.observed:.6g}" if isinstance(result.observed, float) else result.observed
        return f"observed {shown}"
    if item.type == "expect_column_to_exist":
        return f'there is no column "{item.kwargs.get("column")}"'
    return "not met" + ("; the observed value is withheld, for it may be a row's value" if result.withheld else "")


def _name(item: Expectation) -> str:
    column = item.kwargs.get("column")
    columns = item.columns or ((column,) if isinstance(column, str) else ())
    return f"{item.type}({', '.join(columns)})" if columns else item.type


def _bound(item: Expectation) -> str:
    """The arguments as the suite has them; the expectation's own words where it has none."""
    arguments = {
        key: value
        for key, value in item.kwargs.items()
        if key not in ("column", "column_A", "column_B", "column_list") and value is not None
    }
    texts = (f"{key}={json.dumps(json_safe(value), ensure_ascii=False)}" for key, value in arguments.items())
    sentence = ", ".join(texts) or item.type.removeprefix("expect_").replace("_", " ")
    return sentence if len(sentence) <= 300 else f"{sentence[:299]}…"


def _unique_names(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Two checks of one name (one expectation under two conditions) get numbers because a waiver names its check."""
    seen: Counter[str] = Counter()
    named = []
    for check in checks:
        seen[check.name] += 1
        number = seen[check.name]
        named.append(check if number == 1 else replace(check, name=f"{check.name} #{number}"))
    return tuple(named)


def _pandas_version() -> str:
    import pandas as pd

    return str(pd.__version__)
