"""A report beside the model in MLflow: a file of the version's run, and a few lines in the version's description. Both
are for people to read; whatever else stands in the description stays."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.reports.document import NEVER, Report
from airflow_mlgov.reports.rendering import ENDINGS
from airflow_mlgov.words import markdown

if TYPE_CHECKING:
    from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
    from airflow_mlgov.registry.protocol import ModelVersion

FOLDER = "mlgov/reports"
"""Where they are among the run's files."""
_BEGIN, _END = "<!-- mlgov report {} -->", "<!-- mlgov report end -->"


def push_report(registry: MlflowRegistry, report: Report, form: str, content: bytes) -> str:
    """Log a report as a file of the version's run, and describe the version; where the file is.

    :param form: which of the formats it is of
    :raises ConfigurationError: the version has no run, so that there is no place for files
    :raises EvidenceError: it reads back otherwise
    """
    model = report.matter.model
    version = registry.resolve({"name": model.name, "version": model.version or ""})
    name = f"{report.framework.name}-{model.version}{ENDINGS[form]}"
    where = put_file(registry, version, FOLDER, name, content)
    with registry.calling(f"describe {version}") as client:
        before = client.get_model_version(version.name, version.version).description or ""
        said = _with(before, report.framework.name, _described(report, f"{FOLDER}/{name}"))
        client.update_model_version(version.name, version.version, description=said)
        seen = client.get_model_version(version.name, version.version).description
    if seen != said:
        raise EvidenceError(
            f"the description of {version} was set and reads back otherwise", code="registry.not_read_back"
        )
    return where


def put_file(registry: MlflowRegistry, version: ModelVersion, folder: str, name: str, content: bytes) -> str:
    """Log a file of a version's run; where it is.

    :raises ConfigurationError: the version has no run, so that there is no place for files
    """
    if version.run_id is None:
        raise ConfigurationError(
            f"{version} comes from no run, so MLflow has no place for a file beside it: hand {name} over yourself",
            code="report.no_run",
        )
    with (
        TemporaryDirectory(prefix="mlgov-report-") as scratch,
        registry.calling(f"put {name} beside {version}") as client,
    ):
        file = Path(scratch) / name
        file.write_bytes(content)
        client.log_artifact(version.run_id, str(file), folder)
    return f"runs:/{version.run_id}/{folder}/{name}"


def _described(report: Report, path: str) -> str:
    counts = ", ".join(f"{count} {state}" for state, count in report.counts.items())
    gaps = ", ".join(line.control.id for line in report.gaps[:20])
    lines = [
        f"**{markdown(report.framework.title)}**, {report.made_at:%Y-%m-%d}: {markdown(report.verdict)}.",
        "",
        f"Controls: {markdown(counts)}." + (f" Gaps: {markdown(gaps)}." if gaps else ""),
        "",
        f"The report is among the run's files: `{path}`. {NEVER}",
    ]
    return "\n".join(lines)


def _with(before: str, framework: str, text: str) -> str:
    """A description with our part of it anew."""
    begin = _BEGIN.format(framework)
    ours = f"{begin}\n{text}\n{_END}"
    known = re.compile(re.escape(begin) + r".*?" + re.escape(_END), re.DOTALL)
    if known.search(before):
        return known.sub(lambda _: ours, before, count=1)
    return f"{before.rstrip()}\n\n{ours}" if before.strip() else ours
