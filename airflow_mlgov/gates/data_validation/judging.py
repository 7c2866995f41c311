"""Holds a dataset that is open against a Great Expectations suite, one check for each expectation. Refuses to call
green what was not evaluated: a dropped rule, no rows, no values, a missing column, an answer not given."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow_mlgov.data.names import missing_columns_text
from airflow_mlgov.data.source import Relation
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.data_validation import gx as _gx
from airflow_mlgov.gates.data_validation.arguments import SIGNATURES, checked, near
from airflow_mlgov.gates.data_validation.expectations import Expectation, Suite
from airflow_mlgov.gates.data_validation.handed import ROWS_QUERY, Handed, answered_there, custom_module, hand_over
from airflow_mlgov.gates.data_validation.one_query import QueryRun, run_query
from airflow_mlgov.gates.data_validation.vacuity import vacuous
from airflow_mlgov.gates.protocol import Findings
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Severity, Subject, json_safe

GATE = "data_validation"

_NAMES = {"duckdb": "DuckDB", "great_expectations": "Great Expectations", "spark": "Spark"}


@dataclass(frozen=True)
class _Answers:
    """What was validated, and what the engines said."""

    subject: Subject
    columns: tuple[str, ...]
    types: Mapping[str, str]
    query: QueryRun
    handed: Handed
    engine: str
    """What answered the queries."""


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
    items = checked(suite)
    sound, unsound = _sort_out(items)
    answers = _evaluate(relation, suite, sound, engine, docs_dir)
    judged = {**unsound, **_judge_all(sound, answers)}
    docs = answers.handed.run.docs
    return GateResult(
        GATE,
        answers.subject,
        _unique_names(
            [
                _row_count(answers.query.rows, min_rows),
                *_about_the_suite(suite, answers),
                *(judged[item.position] for item in items),
            ]
        ),
        inputs=(Subject("suite", suite.source or suite.name, suite.digest),),
        details={
            "suite": suite.name,
            "expectations": len(suite.expectations),
            "rows": answers.query.rows,
            "columns": list(answers.columns),
            **_further_details(suite, sound, answers),
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


def _evaluate(
    relation: Relation,
    suite: Suite,
    sound: Sequence[Expectation],
    engine: str,
    docs_dir: Path | None,
) -> _Answers:
    table = relation.in_duckdb()
    compiles = engine != "great_expectations" and docs_dir is None
    if not (compiles or table.is_local):
        raise ConfigurationError(
            f"the rows of {relation.name} stay in Spark, and Great Expectations would need them here: leave engine at "
            "auto, and data_docs_dir out",
            code="engine.cannot",
        )
    query = run_query(table, sound, ordered=relation.is_local, compiles=compiles)
    rest = [item for item in sound if item.position in query.left]
    for item in rest:
        if engine == "duckdb" and item.type != ROWS_QUERY:
            raise ConfigurationError(
                f"{item.where}: {item.type} cannot be evaluated by engine duckdb: {query.left[item.position]}; "
                "leave engine at auto, which hands it to Great Expectations",
                code="engine.cannot",
            )
    if table.is_local:
        handed = hand_over(table, suite.name, rest, query.sources, docs_dir)
    else:
        handed = answered_there(table, rest, query.left)
    return _Answers(relation.subject, tuple(table.types), table.types, query, handed, table.engine)


def _further_details(suite: Suite, sound: Sequence[Expectation], answers: _Answers) -> dict[str, Any]:
    """Why DuckDB was not asked, where Great Expectations would say otherwise, and what was renamed, where there is
    any."""
    query, handed = answers.query, answers.handed
    found = {
        "left_to_great_expectations": _by_name([item for item in sound if item.type != ROWS_QUERY], query.left),
        "unlike_great_expectations": _by_name(sound, query.differences),
        "converted_from_great_expectations_0": list(suite.converted),
        "child": handed.child,
    }
    return {name: value for name, value in found.items() if value}


def _by_name(sound: Sequence[Expectation], reasons: Mapping[int, str]) -> dict[str, str]:
    return {f"{item.position}: {_name(item)}": reasons[item.position] for item in sound if item.position in reasons}


def _libraries(answers: _Answers) -> dict[str, str]:
    import duckdb

    versions = {name.replace("-", "_"): number for name, number in answers.handed.libraries.items() if name != "python"}
    return {**versions, "duckdb": str(duckdb.__version__)}


def _row_count(rows: int, min_rows: int) -> Check:
    bound = Bound(min=min_rows, source="min_rows")
    outcome = bound.judge(rows)
    detail = "" if outcome is Outcome.PASS else f"{rows} rows; at least {min_rows} are needed to judge the data"
    return Check("row_count", outcome, rows, bound, Severity.CRITICAL, detail)


def _about_the_suite(suite: Suite, answers: _Answers) -> list[Check]:
    found = []
    if not suite.expectations:
        detail = f"the suite {suite.name} holds no expectation, so nothing was decided; add at least one"
        found.append(Check("suite", Outcome.ERROR, 0, "at least 1 expectation", Severity.CRITICAL, detail))
    if surplus := answers.handed.run.surplus:
        detail = f"Great Expectations gave {surplus} results that belong to no expectation of the suite"
        found.append(Check("suite", Outcome.ERROR, surplus, "0 surplus results", Severity.CRITICAL, detail))
    return found


def _sort_out(items: Sequence[Expectation]) -> tuple[list[Expectation], dict[int, Check]]:
    """The expectations that an engine will take, and an ERROR by position for each that is not understood, or that any
    data would meet."""
    severities = [str(severity) for severity in Severity]
    sound, unsound = [], {}
    for item in items:
        if item.problem:
            problem = item.problem
        elif item.type not in SIGNATURES and not custom_module(item.type):
            problem = f'unknown expectation type "{item.type}"{near(item.type, SIGNATURES)}'
        elif item.severity not in severities:
            hint = near(str(item.severity), severities)
            problem = f'unknown severity "{item.severity}"{hint}; known: {", ".join(severities)}'
        elif item.type in SIGNATURES and (lacking := vacuous(item)):
            problem = f"it holds whatever the data is: {lacking}"
        elif item.type in _ELSEWHERE:
            problem = f"it is about other data than these rows: {_ELSEWHERE[item.type]}"
        else:
            sound.append(item)
            continue
        unsound[item.position] = _not_evaluated(item, f"{item.where}: {problem}")
    return sound, unsound


_ELSEWHERE = {
    "expect_query_results_to_match_comparison": "judge each data set by a gate of its own",
    "expect_table_row_count_to_equal_other_table": "bound the number of rows, or use the check `volume`",
}


def _not_evaluated(item: Expectation, detail: str) -> Check:
    """Critical whatever the suite says: that a rule is not understood or not answered is a fault of the gate's run."""
    return Check(_name(item), Outcome.ERROR, None, _bound(item), Severity.CRITICAL, detail)


def _judge_all(sound: Sequence[Expectation], answers: _Answers) -> dict[int, Check]:
    queried, run = answers.query.results, answers.handed.run
    checks = {}
    for item in sound:
        if item.position in queried:
            checks[item.position] = _judge(item, queried[item.position], answers, answers.engine)
        elif item.position in answers.handed.queries:
            checks[item.position] = _judge(item, answers.handed.queries[item.position], answers, answers.engine)
        elif item.position in run.dropped:
            detail = f"{item.where}: Great Expectations did not take it: {run.dropped[item.position]}"
            checks[item.position] = _not_evaluated(item, detail)
        elif item.position in run.results:
            checks[item.position] = _judge(item, run.results[item.position], answers, "great_expectations")
        else:
            why = run.crash or "it gave no result for this one"
            detail = f"{item.where}: Great Expectations did not evaluate it: {why}"
            checks[item.position] = _not_evaluated(item, detail)
    return checks


def _judge(item: Expectation, result: _gx.Result, table: _Answers, engine: str) -> Check:
    missing = [name for name in item.columns if name not in table.columns]
    counts = result.counts
    observed = counts.get("unexpected_percent") if "unexpected_percent" in counts else result.observed
    if missing:
        outcome, detail = Outcome.ERROR, f"{table.subject.name} has no column {_missing(table, missing)}"
    elif result.error and result.nonnull != 0:
        outcome, detail = Outcome.ERROR, f"could not be evaluated: {_explained(item, result, table, engine)}"
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


def _explained(item: Expectation, result: _gx.Result, table: _Answers, engine: str) -> str:
    """What went wrong; of Great Expectations with the types of the columns, for its error is often no more than a
    class."""
    if engine != "great_expectations":
        return result.error
    known = [f'"{name}" is of type {table.types[name]}' for name in item.columns if name in table.types]
    said = f"Great Expectations stopped with {result.error}" if result.error.isidentifier() else result.error
    return f"{said} (the column {', '.join(known)})" if known else said


def _missing(table: _Answers, missing: Sequence[str]) -> str:
    return missing_columns_text(table.columns, missing)


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
        note = f"; {result.note}" if result.note else ""
        return f"{int(unexpected)} of {evaluated} values ({share:.4g} %) do not meet the expectation{most}{note}"
    if result.observed is not None:
        shown = f"{result.observed:.6g}" if isinstance(result.observed, float) else result.observed
        return f"observed {shown}"
    if item.type == "expect_column_to_exist":
        place = item.kwargs.get("column_index")
        return f'there is no column "{item.kwargs.get("column")}"' + ("" if place is None else f" in place {place}")
    return "not met" + ("; the observed value is withheld, for it may be a row's value" if result.withheld else "")


def _name(item: Expectation) -> str:
    column = item.kwargs.get("column")
    columns = item.columns or ((column,) if isinstance(column, str) else ())
    return f"{item.type}({', '.join(columns)})" if columns else item.type


_COLUMNS = ("column", "column_A", "column_B")


def _bound(item: Expectation) -> str:
    """The arguments as the suite has them; the expectation's own words where it has none."""
    arguments = {
        key: value
        for key, value in item.kwargs.items()
        if value is not None and (key == "column_list") <= (not item.columns) and key not in _COLUMNS
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
