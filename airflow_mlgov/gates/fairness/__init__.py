"""The fairness gate: counts rows by group where the data is, estimates rates with intervals, and judges the disparities
between groups. Begin with :func:`evaluate_fairness`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_mlgov.gates.bounds import BoundsLike
    from airflow_mlgov.results import GateResult, Subject


def evaluate_fairness(
    data: Any,
    *,
    subject: Subject | None = None,
    bounds: BoundsLike,
    baseline: Any = None,
    memory_limit: str | None = None,
    time_limit: float | str | None = None,
    report_dir: str | Path | None = None,
    **settings: Any,
) -> GateResult:
    """Judge a model's predictions for disparities between groups of people.

    :param settings: those of :class:`airflow_mlgov.gates.fairness.spec.FairnessSettings`
    :raises ConfigurationError: a setting, a bound, a column, the labels or the groups are not what the gate can judge;
        other parameters and errors as of :func:`airflow_mlgov.gates.run.run_gate`
    """
    from airflow_mlgov.gates.bounds import parse_bounds
    from airflow_mlgov.gates.fairness.spec import GATE, FairnessSettings
    from airflow_mlgov.gates.run import run_gate

    return run_gate(
        GATE,
        data,
        FairnessSettings.read(settings, "the gate fairness"),
        parse_bounds(bounds, GATE.metrics),
        subject=subject,
        baseline=baseline,
        memory_limit=memory_limit,
        time_limit=time_limit,
        report_dir=report_dir,
    )
