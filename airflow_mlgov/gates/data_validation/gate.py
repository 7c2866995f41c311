"""The data gate: a Great Expectations suite over files, a SQL table or a frame, one check for each expectation. Refuses
to call green what was not evaluated: a dropped rule, no rows, no values, a missing column, an answer not given."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.database import SqlSource, fingerprint
from airflow_mlgov.data.file_tables import MEMORY_LIMIT, MemoryLimitError, open_table, require_memory_limit
from airflow_mlgov.data.files import FileSet, opened, unchanged
from airflow_mlgov.data.fingerprint import fingerprint_frame, fingerprint_spark
from airflow_mlgov.data.frames import is_frame, is_spark_frame
from airflow_mlgov.data.names import missing_columns_text
from airflow_mlgov.data.pandas_files import read_files
from airflow_mlgov.data.snapshot import Snapshot, take_snapshot
from airflow_mlgov.errors import ConfigurationError, DependencyError
from airflow_mlgov.gates.data_validation import gx as _gx
from airflow_mlgov.gates.data_validation.expectations import Expectation, Suite
from airflow_mlgov.gates.data_validation.one_query import COMPILED_TYPES, QueryRun, run_query
from airflow_mlgov.gates.data_validation.sql_semantics import decided_otherwise
from airflow_mlgov.gates.data_validation.suite import load_suite
from airflow_mlgov.gates.dataset_checks import Lookup, add_checks, parse_checks
from airflow_mlgov.gates.report import write_report
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Severity, Subject, json_safe

if TYPE_CHECKING:
    import pandas as pd

GATE = "data_validation"

ENGINES = ("auto", "duckdb", "great_expectations")

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
    memory_limit: str
    docs_dir: Path | None
    snapshot: Snapshot | None = None
    """The rows of the table, where DuckDB is to read them."""

    def great_expectations(
        self, source: pd.DataFrame | SqlSource, expectations: Sequence[Expectation]
    ) -> _gx.Run | None:
        return _gx.run_suite(source, self.suite, expectations, self.docs_dir) if expectations else None


def validate_data(
    data: str | Path | SqlSource | pd.DataFrame,
    suite: str | Path | Mapping[str, Any],
    *,
    engine: str = "auto",
    memory_limit: str = MEMORY_LIMIT,
    min_rows: int = 1,
    report_dir: str | Path | None = None,
    data_docs_dir: str | Path | None = None,
    checks: Mapping[str, Any] | None = None,
    lookup: Lookup | None = None,
) -> GateResult:
    """Validate a dataset against a suite.

    :param data: csv or parquet: a file, a glob, a folder (of ``key=value`` folders too) or one of these at a URL that
        fsspec knows; a :class:`SqlSource`; or a DataFrame of pandas or Spark, which is named by a fingerprint of its
        rows
    :param suite: Great Expectations 1.x suite: a JSON file, the same in YAML, or a mapping; or a ``schema.pbtxt`` of
        TensorFlow Data Validation
    :param engine: ``auto`` evaluates the common expectations over files in one DuckDB query and the rest in Great
        Expectations, to the same results; ``duckdb`` refuses what it cannot evaluate; ``great_expectations`` evaluates
        all there. A table is Great Expectations' unless ``duckdb`` is asked for, which reads each row once, by way of a
        temporary file; frames and Data Docs are for Great Expectations alone
    :param memory_limit: what the DuckDB query may hold in memory before it spills to disk, such as ``512MB``
    :param min_rows: fewer rows than this fail the gate (most expectations hold for no rows at all); at least 1
    :param report_dir: where to write a self-contained HTML report
    :param data_docs_dir: where to build Great Expectations' Data Docs too (its pages load assets from the web)
    :param checks: drift, overlap, leakage and the like over files or a table, see
        :mod:`airflow_mlgov.gates.dataset_checks`
    :param lookup: finds the champion's training data and a registered model's signature, where ``checks`` name them
    :raises ConfigurationError: the data, the suite or a directory is not what it should be
    :raises AccessError: the file system or the database refuses
    :raises DependencyError: the database is down, or the data changed while it was being validated
    """
    if isinstance(min_rows, bool) or not isinstance(min_rows, int) or min_rows < 1:
        raise ConfigurationError(f"min_rows must be a whole number of at least 1, not {min_rows!r}")
    _require_engine(engine, memory_limit, data, data_docs_dir)
    for directory in (report_dir, data_docs_dir):
        if directory is not None:
            _require_writable(Path(directory))
    if isinstance(data, str | Path) and not isinstance(suite, Mapping) and Path(suite).suffix.lower() == ".pbtxt":
        from airflow_mlgov.gates.data_validation.tfdv import validate_schema

        # over files its types are DuckDB's, which Great Expectations' type lists cannot name
        result = validate_schema(
            data, suite, memory_limit=memory_limit, min_rows=min_rows, report_dir=report_dir, gate=GATE
        )
        return add_checks(result, data, checks, lookup, memory_limit)
    rules = load_suite(suite)
    started_at = datetime.now(UTC)
    sound, unsound = _sort_out(rules)
    docs_dir = Path(data_docs_dir) if data_docs_dir is not None else None
    with _snapshot(data, engine, checks) as snapshot:
        answers = _evaluate(data, _Task(rules, sound, engine, memory_limit, docs_dir, snapshot))
        table = answers.data
        result = GateResult(
            GATE,
            table.subject,
            _unique_names([_row_count(table.rows, min_rows), *unsound, *_judge_all(sound, answers)]),
            inputs=(Subject("suite", _suite_name(suite, rules), rules.digest),),
            details={
                "suite": rules.name,
                "expectations": len(rules.expectations),
                "rows": table.rows,
                "columns": list(table.columns),
                **_not_compiled(sound, answers),
            },
            suite_digest=rules.digest,
            libraries=_libraries(answers),
            started_at=started_at,
        )
        result = add_checks(result, snapshot or data, checks, lookup, memory_limit)
    docs = answers.run.docs if answers.run else None
    reports = {} if docs is None else {"Data Docs": docs}
    if report_dir is not None:
        reports["Data validation report"] = str(write_report(result, report_dir))
    return replace(result, reports=reports)


def _require_engine(engine: str, memory_limit: str, data: Any, data_docs_dir: str | Path | None) -> None:
    if engine not in ENGINES:
        raise ConfigurationError(f"engine must be one of {', '.join(ENGINES)}, not {engine!r}")
    require_memory_limit(memory_limit)
    if engine != "duckdb":
        if isinstance(data, SqlSource):
            data.sa_url()  # Great Expectations logs in by one
        return
    if not isinstance(data, str | Path | SqlSource):
        raise ConfigurationError("engine duckdb is for csv and parquet files and tables; leave it at auto for a frame")
    if data_docs_dir is not None:
        raise ConfigurationError("Data Docs are made by Great Expectations: leave engine at auto, or data_docs_dir out")


def _snapshot(data: Any, engine: str, checks: Mapping[str, Any] | None) -> AbstractContextManager[Snapshot | None]:
    """The rows of a table in a file, where something but Great Expectations is to read them."""
    if not isinstance(data, SqlSource) or (engine != "duckdb" and checks is None):
        return nullcontext()
    if checks is not None:
        parse_checks(checks)  # a mistake in them is told before every row is read
    return take_snapshot(data)


def _evaluate(data: Any, task: _Task) -> _Answers:
    if isinstance(data, SqlSource):
        return _of_table(data, task)
    if is_frame(data):
        marked = fingerprint_frame(data)
        run = task.great_expectations(data.copy(deep=False), task.sound)
        return _Answers(_of_pandas(data, Subject("dataset", "pandas DataFrame", marked.digest)), run=run)
    if is_spark_frame(data):
        return _of_spark(data, task)
    if not isinstance(data, str | Path):
        raise ConfigurationError(f"data must be a path, a URL, a SqlSource or a DataFrame, not {type(data)}")
    with opened(str(data)) as files, unchanged(files):
        return _of_files(files, task)


def _of_spark(frame: Any, task: _Task) -> _Answers:
    before = fingerprint_spark(frame)
    run = task.great_expectations(frame, task.sound)
    if fingerprint_spark(frame).digest != before.digest:
        raise DependencyError(
            "the Spark DataFrame gave other rows when it was computed again: persist it, or leave out what is random"
        )
    return _Answers(_Data(Subject("dataset", "Spark DataFrame", before.digest), before.rows, before.columns), run=run)


def _of_table(source: SqlSource, task: _Task) -> _Answers:
    if task.snapshot is not None and task.engine == "duckdb":
        return _of_snapshot(task.snapshot, task)
    before = task.snapshot.fingerprint if task.snapshot else fingerprint(source)
    run = task.great_expectations(source, task.sound)
    if fingerprint(source).digest != before.digest:
        raise DependencyError(
            f"{source.name} changed while it was being validated; try again when nobody writes to it "
            "(a query must give the same rows each time: no random(), no now())"
        )
    return _Answers(_Data(before.subject(source.name), before.rows, before.columns), run=run)


def _of_snapshot(rows: Snapshot, task: _Task) -> _Answers:
    with open_table(rows, memory_limit=task.memory_limit) as table:
        query = run_query(table, task.sound, close_calls=True)
        _refuse_left(task, {**query.left, **decided_otherwise(table, task.sound)})
        return _Answers(_Data(rows.subject, query.rows, tuple(table.columns)), query)


def _of_files(files: FileSet, task: _Task) -> _Answers:
    if task.engine == "great_expectations" or task.docs_dir is not None:
        return _of_frame(files, task)
    try:
        with open_table(files, memory_limit=task.memory_limit) as table:
            query = run_query(table, task.sound, close_calls=task.engine == "duckdb")
            subject, columns = table.subject, tuple(table.columns)
    except ConfigurationError as error:
        if task.engine == "duckdb" or isinstance(error, MemoryLimitError):
            raise
        return _of_frame(files, task)  # pandas reads it, or says what is wrong with it
    rest = [item for item in task.sound if item.position in query.left]
    if task.engine == "duckdb":
        _refuse_left(task, query.left)
    if query.columns is None:
        return _of_frame(files, task)
    if not rest:
        return _Answers(_Data(subject, query.rows, columns), query)
    frame = read_files(files, _needed(rest, columns))
    if len(frame) != query.rows:  # one of the two readers is wrong, and pandas' is the reference
        return _of_frame(files, task)
    data = replace(_of_pandas(frame, subject), columns=columns)
    return _Answers(data, query, task.great_expectations(frame, rest))


def _refuse_left(task: _Task, left: Mapping[int, str]) -> None:
    for item in task.sound:
        if item.position in left:
            raise ConfigurationError(
                f"{item.where}: {item.type} cannot be evaluated by engine duckdb: {left[item.position]}; "
                "leave engine at auto, which hands it to Great Expectations"
            )


def _needed(expectations: Sequence[Expectation], columns: Sequence[str]) -> list[str] | None:
    """The columns that pandas must read; None for all."""
    if not all(map(_gx.reads_only_its_columns, expectations)):
        return None
    named = {name for item in expectations for name in item.columns}
    return [name for name in columns if name in named] or None


def _of_frame(files: FileSet, task: _Task) -> _Answers:
    frame = read_files(files)
    return _Answers(_of_pandas(frame, files.subject), run=task.great_expectations(frame, task.sound))


def _of_pandas(frame: pd.DataFrame, subject: Subject) -> _Data:
    types = {str(name): str(kind) for name, kind in frame.dtypes.items()}
    return _Data(subject, len(frame), tuple(types), types)


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
    """Two checks of one name (the same expectation under two conditions) get numbers, for a waiver names its check."""
    seen: Counter[str] = Counter()
    named = []
    for check in checks:
        seen[check.name] += 1
        number = seen[check.name]
        named.append(check if number == 1 else replace(check, name=f"{check.name} #{number}"))
    return tuple(named)


def _suite_name(suite: str | Path | Mapping[str, Any], rules: Suite) -> str:
    return rules.name if isinstance(suite, Mapping) else str(suite)


def _require_writable(directory: Path) -> None:
    """Found out before the work rather than after it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise ConfigurationError(f"cannot write into {os.fspath(directory)}: {error.strerror or error}") from None


def _pandas_version() -> str:
    import pandas as pd

    return str(pd.__version__)
