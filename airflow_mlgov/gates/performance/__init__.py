"""The performance gate: metrics of a predictions table, and of the model itself, against bounds. Begin with
:func:`evaluate_performance`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_mlgov.gates.bounds import BoundsLike
    from airflow_mlgov.gates.run import Artifact
    from airflow_mlgov.results import GateResult, Subject


def evaluate_performance(
    data: Any,
    *,
    subject: Subject | None = None,
    bounds: BoundsLike,
    baseline: Any = None,
    artifact: Artifact | None = None,
    memory_limit: str | None = None,
    time_limit: float | str | None = None,
    report_dir: str | Path | None = None,
    **settings: Any,
) -> GateResult:
    """Judge a model's predictions on held-out rows, or the model itself if ``score_model`` is set.

    :param bounds: metric -> bound. ``roc_auc_vs_champion`` bounds candidate minus champion, ``churn_vs_champion`` the
        share of decisions that differ, ``roc_auc_worst_slice`` every slice; ``scorers.KNOWN_METRICS`` has all names
    :param artifact: fetches the model's own files, for bounds on its size and for ``score_model``
    :param settings: those of :class:`airflow_mlgov.gates.performance.spec.PerformanceSettings`
    :raises ConfigurationError: a setting, a bound, a column, the labels, the baseline or the model are not what the
        gate can judge; other parameters and errors as of :func:`airflow_mlgov.gates.run.run_gate`
    :raises ScoringError: the child that scores crashed, took too long or wrote no usable scores
    """
    from airflow_mlgov.gates.bounds import parse_bounds
    from airflow_mlgov.gates.performance.spec import GATE, PerformanceSettings
    from airflow_mlgov.gates.run import run_gate

    return run_gate(
        GATE,
        data,
        PerformanceSettings.read(settings, "the gate performance"),
        parse_bounds(bounds, GATE.metrics),
        subject=subject,
        baseline=baseline,
        artifact=artifact,
        memory_limit=memory_limit,
        time_limit=time_limit,
        report_dir=report_dir,
    )
