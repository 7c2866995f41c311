"""One life for every gate: time, open, judge, settings as applied, versions, report."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import MetricBound
from airflow_mlgov.gates.protocol import MEMORY_LIMIT, Findings, Gate, Lookup, Question, S
from airflow_mlgov.results import GateResult, Subject

Artifact = Callable[[], AbstractContextManager[Path]]
"""Fetches a model's own files."""


@dataclass(frozen=True)
class Run(Generic[S]):
    """What a gate that opens its data itself is run with."""

    data: Any
    settings: S
    bounds: tuple[MetricBound, ...]
    subject: Subject | None
    baseline: Any
    lookup: Lookup | None
    artifact: Artifact | None
    memory_limit: str
    report_dir: str | Path | None

    def judged(self) -> Subject:
        """What the verdict is about: the model version, the data itself if there is none."""
        from airflow_mlgov.data.database import fingerprint
        from airflow_mlgov.data.files import dataset_subject

        if self.subject is not None:
            return self.subject
        if isinstance(self.data, str):
            return dataset_subject(self.data)
        return fingerprint(self.data).subject(self.data.name)

    def need_artifact(self) -> Artifact:
        """The model's files.

        :raises ConfigurationError: no model is named
        """
        if self.artifact is None:
            raise ConfigurationError(
                "the model that --model names is loaded by --score-model: name it", code="model.not_named"
            )
        return self.artifact


class WholeGate(Gate[S]):
    """A gate that opens its data itself and makes its own result."""

    @abstractmethod
    def evaluate(self, run: Run[S]) -> GateResult:
        """Judge."""

    def judge(self, question: Question[S]) -> Findings:
        """Not asked of such a gate."""
        raise NotImplementedError(type(self).__name__)


def run_gate(
    gate: Gate[S],
    data: Any,
    settings: S,
    bounds: Iterable[MetricBound] = (),
    *,
    subject: Subject | None = None,
    baseline: Any = None,
    lookup: Lookup | None = None,
    artifact: Artifact | None = None,
    report_dir: str | Path | None = None,
    memory_limit: str | None = None,
) -> GateResult:
    """Run a gate.

    :param data: whatever :func:`airflow_mlgov.data.source.source_of` takes
    :param subject: the model version that is judged; None: the data itself
    :param baseline: the champion's rows, for gates that compare
    :param lookup: needed if ``gate.needs_lookup(settings)``
    :param artifact: fetches the model's own files, for gates that measure or load them
    :param report_dir: folder for a self-contained HTML report
    :param memory_limit: what a query over the data may hold in memory before it spills to disk, such as ``512MB``
    :raises ConfigurationError: a column, a setting or a bound is not what the gate can judge
    :raises AccessError: a file system, a database or a registry refuses
    :raises DependencyError: one is down, or the data changed while it was being judged
    """
    limit = memory_limit or MEMORY_LIMIT
    if isinstance(gate, WholeGate):
        return gate.evaluate(Run(data, settings, tuple(bounds), subject, baseline, lookup, artifact, limit, report_dir))
    raise NotImplementedError
