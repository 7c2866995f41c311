"""The data gate: a suite over files, a table or a frame, and what is checked beyond it. Refuses an engine that cannot
evaluate what is asked."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from airflow_mlgov.data.source import MEMORY_LIMIT, require_memory_limit, source_of
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.data_validation.judging import GATE as GATE
from airflow_mlgov.gates.data_validation.judging import judge_suite
from airflow_mlgov.gates.data_validation.suite import load_suite
from airflow_mlgov.gates.dataset_checks import Lookup, add_checks, parse_checks
from airflow_mlgov.gates.report import write_report
from airflow_mlgov.results import GateResult

ENGINES = ("auto", "duckdb", "great_expectations")


def validate_data(
    data: Any,
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
        fsspec knows; a :class:`~airflow_mlgov.data.database.SqlSource`; or a DataFrame of pandas or Spark, which is
        named by a fingerprint of its rows
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
    :param checks: drift, overlap, leakage and the like over the same rows, see
        :mod:`airflow_mlgov.gates.dataset_checks`
    :param lookup: finds the champion's training data and a registered model's signature, where ``checks`` name them
    :raises ConfigurationError: the data, the suite or a directory is not what it should be
    :raises AccessError: the file system or the database refuses
    :raises DependencyError: the database is down, or the data changed while it was being validated
    """
    if isinstance(min_rows, bool) or not isinstance(min_rows, int) or min_rows < 1:
        raise ConfigurationError(f"min_rows must be a whole number of at least 1, not {min_rows!r}")
    _require_engine(engine, memory_limit, data_docs_dir)
    for directory in (report_dir, data_docs_dir):
        if directory is not None:
            _require_writable(Path(directory))
    if checks is not None:
        parse_checks(checks)  # a mistake in them is told before a row is read
    rules = load_suite(suite)
    with source_of(data).open(memory_limit=memory_limit) as relation:
        if _is_tfdv_schema(suite) and relation.is_local and relation.in_duckdb().as_files():
            from airflow_mlgov.gates.data_validation.tfdv import judge_schema

            # over files its types are DuckDB's, which Great Expectations' type lists cannot name
            result = judge_schema(relation, Path(str(suite)), min_rows=min_rows, gate=GATE)
        else:
            docs_dir = None if data_docs_dir is None else Path(data_docs_dir)
            if checks is not None:
                relation.in_duckdb()  # the rows that are bound are those that the checks read
            result = judge_suite(relation, rules, engine=engine, min_rows=min_rows, docs_dir=docs_dir)
        result = add_checks(result, relation, checks, lookup)
    if report_dir is None:
        return result
    report = {"Data validation report": str(write_report(result, report_dir))}
    return replace(result, reports={**result.reports, **report})


def _is_tfdv_schema(suite: str | Path | Mapping[str, Any]) -> bool:
    return not isinstance(suite, Mapping) and Path(suite).suffix.lower() == ".pbtxt"


def _require_engine(engine: str, memory_limit: str, data_docs_dir: str | Path | None) -> None:
    if engine not in ENGINES:
        raise ConfigurationError(f"engine must be one of {', '.join(ENGINES)}, not {engine!r}")
    require_memory_limit(memory_limit)
    if engine == "duckdb" and data_docs_dir is not None:
        raise ConfigurationError("Data Docs are made by Great Expectations: leave engine at auto, or data_docs_dir out")


def _require_writable(directory: Path) -> None:
    """Found out before the work rather than after it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise ConfigurationError(f"cannot write into {os.fspath(directory)}: {error.strerror or error}") from None
