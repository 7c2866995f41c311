"""The data gate: a suite over files, a table or a frame, and what is checked beyond it. Refuses an engine that cannot
evaluate what is asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlgov.gates.data_validation.judging import GATE as GATE
from airflow_mlgov.gates.data_validation.judging import findings_of, judge_suite
from airflow_mlgov.gates.data_validation.suite import load_suite
from airflow_mlgov.gates.dataset_checks import add_checks, parse_checks
from airflow_mlgov.gates.protocol import Findings, Question
from airflow_mlgov.gates.run import require_writable
from airflow_mlgov.results import Outcome

if TYPE_CHECKING:
    from airflow_mlgov.data.relation import Relation
    from airflow_mlgov.gates.data_validation.spec import DataValidationSettings


def judge(question: Question[DataValidationSettings]) -> Findings:
    """Hold a dataset against a suite, and against the checks beyond it.

    :raises ConfigurationError: the data, the suite or a directory is not what it should be
    :raises AccessError: the file system or the database refuses
    :raises DependencyError: the database is down, or the data changed while it was being validated
    """
    settings, relation, checks = question.settings, question.data, question.settings.all_checks
    if settings.data_docs_dir is not None:
        require_writable(settings.data_docs_dir)
    if checks is not None:
        parse_checks(checks)  # a mistake in them is told before a row is read
    rules = load_suite(settings.suite)
    if _is_tfdv_schema(settings.suite) and relation.is_local and relation.in_duckdb().as_files():
        from airflow_mlgov.gates.data_validation.tfdv import judge_schema

        # over files its types are DuckDB's, which Great Expectations' type lists cannot name
        result = judge_schema(relation, Path(str(settings.suite)), min_rows=settings.min_rows)
    else:
        docs_dir = None if settings.data_docs_dir is None else Path(settings.data_docs_dir)
        result = judge_suite(
            relation,
            rules,
            engine=settings.engine,
            min_rows=settings.min_rows,
            docs_dir=docs_dir,
        )
    return _remarked(findings_of(add_checks(result, relation, checks, question.lookup)), relation)


def _remarked(findings: Findings, relation: Relation) -> Findings:
    """What does not hold of a csv's column says too which word makes it text, if one does."""
    named = ((check, re.search(r"\((.+)\)(?: #[0-9]+)?$", check.name)) for check in findings.checks)
    columns = {
        check.name: found[1] for check, found in named if found and check.outcome in (Outcome.ERROR, Outcome.FAIL)
    }
    if not columns or not relation.read_as:
        return findings
    remarks = {name: relation.remark(column) for name, column in columns.items() if column in relation.columns}
    checks = tuple(
        replace(check, detail="; ".join(filter(None, [check.detail, remarks[check.name]])))
        if remarks.get(check.name)
        else check
        for check in findings.checks
    )
    return replace(findings, checks=checks)


def _is_tfdv_schema(suite: str | Path | Mapping[str, Any]) -> bool:
    return not isinstance(suite, Mapping) and Path(suite).suffix.lower() == ".pbtxt"
