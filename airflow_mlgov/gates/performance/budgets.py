"""Judges a model by its own files: it scores a table in a child process, is timed, weighed, and tried in a clean
process. Refuses to measure by loading where nobody opted in to that."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from airflow_mlgov.data.labels import canonical
from airflow_mlgov.data.source import Relation, source_of
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import BoundsLike, parse_bounds
from airflow_mlgov.gates.performance.clean_process import require_interpreter, run_in_clean_process
from airflow_mlgov.gates.performance.gate import Measurement, evaluate_performance
from airflow_mlgov.gates.performance.scorers import CLEAN_PROCESS, KNOWN_METRICS
from airflow_mlgov.gates.performance.scoring import ModelRun, run_model
from airflow_mlgov.gates.slices import parts
from airflow_mlgov.results import GateResult, Outcome, Subject

NEEDS_LOADING = ("latency_p95_ms", "batch_latency_p95_ms", CLEAN_PROCESS)
"""Budgets that cannot be measured without loading the model."""

_LATENCIES = {"latency_p95_ms": "row", "batch_latency_p95_ms": "batch"}
_CLEAN_ROWS = 1000


def evaluate_model(
    model_dir: Path,
    data: Any,
    *,
    subject: Subject,
    bounds: BoundsLike,
    settings: Mapping[str, Any],
    baseline: Any = None,
    python: str | None = None,
    trusted_types: Collection[str] = (),
    timeout: float = 600,
) -> GateResult:
    """Score a table of features with the model, then judge its predictions and the model itself.

    :param model_dir: the downloaded MLflow model
    :param data: the features, the label, and the columns of slices, as :func:`airflow_mlgov.data.source.source_of`
        takes them
    :param settings: those of :func:`airflow_mlgov.gates.performance.evaluate_performance`
    :param baseline: the champion's predictions on the same rows
    :param python: interpreter of an environment made for the model, for ``loads_in_clean_process``
    :param trusted_types: what a skops file may hold besides what the gate trusts itself
    :param timeout: seconds for each child process
    :raises ConfigurationError: the model or the table is refused
    :raises ScoringError: the child crashed, took too long or wrote no usable scores
    """
    _require_label(settings)
    asked = {item.metric for item in parse_bounds(bounds, KNOWN_METRICS)}
    slices = settings.get("slices") or ()
    sliced = [part for name in ([slices] if isinstance(slices, str) else slices) for part in parts(name)]
    kept = list(dict.fromkeys(filter(None, [settings.get("label"), settings.get("row_id"), *sliced])))
    if python is not None:
        require_interpreter(python)
    with TemporaryDirectory(prefix="mlgov-scores-") as folder, source_of(data).open() as features:
        run = run_model(
            model_dir,
            features,
            Path(folder) / "scored.parquet",
            keep=kept,
            positive_label=settings.get("positive_label"),
            timeout=timeout,
            trusted_types=trusted_types,
            latency=bool(asked & set(_LATENCIES)),
        )
        measured = {"model_size_mb": model_size(model_dir), **_latencies(run)}
        if CLEAN_PROCESS in asked or python is not None:
            measured[CLEAN_PROCESS] = _clean(model_dir, run, features, python, timeout)
        result = evaluate_performance(
            str(_renamed(run, settings)),
            subject=subject,
            bounds=bounds,
            baseline=baseline,
            measured=measured,
            **_with_columns(run, settings),
        )
        judged_on = features.subject
    return replace(
        result,
        inputs=(judged_on, *result.inputs[1:]),
        details={**result.details, "model": _described(run)},
    )


def evaluate_predictions(
    data: Any,
    download: Callable[[], AbstractContextManager[Path]] | None,
    *,
    subject: Subject,
    bounds: BoundsLike,
    settings: Mapping[str, Any],
    baseline: Any = None,
) -> GateResult:
    """Judge a table of predictions; the model itself is fetched only where its size is bounded, and never loaded.

    :param data: one row per prediction, as :func:`airflow_mlgov.data.source.source_of` takes it
    :param download: gives the model's folder; None where no model is at hand
    :param settings: those of :func:`airflow_mlgov.gates.performance.evaluate_performance`
    :raises ConfigurationError: a bound needs the model loaded, or the table is refused
    """
    _require_label(settings)
    asked = {item.metric for item in parse_bounds(bounds, KNOWN_METRICS)}
    needing = [metric for metric in NEEDS_LOADING if metric in asked]
    if needing:
        raise ConfigurationError(
            f"{needing[0]} is measured by loading the model, which is off by default because loading a model can run "
            "its code: set score_model, and give features as data",
            code="setting.missing",
        )
    measured = {}
    if "model_size_mb" in asked and download is not None:
        with download() as folder:
            measured["model_size_mb"] = model_size(folder)
    return evaluate_performance(data, subject=subject, bounds=bounds, baseline=baseline, measured=measured, **settings)


def model_size(model_dir: Path) -> Measurement:
    """The size of the model's files in MB of 1,000,000 bytes; none is read."""
    sizes = [path.stat().st_size for path in model_dir.rglob("*") if path.is_file() and not path.is_symlink()]
    return Measurement(sum(sizes) / 1e6, f"{len(sizes)} files")


def _require_label(settings: Mapping[str, Any]) -> None:
    if not settings.get("label"):
        raise ConfigurationError(
            "name the column of the truth as label, in the policy or where the gate is called", code="setting.missing"
        )


def _latencies(run: ModelRun) -> dict[str, Measurement]:
    found = {}
    for metric, how in _LATENCIES.items():
        if how in run.latency:
            one = run.latency[how]
            detail = f"of {one.calls} calls of {one.rows} rows after a warm-up" if one.rows > 1 else ""
            detail = detail or f"of {one.calls} calls of one row after a warm-up"
            found[metric] = Measurement(one.p95_ms, detail, {**vars(one), "machine": _machine()})
    return found


def _clean(model_dir: Path, run: ModelRun, data: Relation, python: str | None, timeout: float) -> Measurement:
    import pandas as pd

    features = data.frame_as_stored(list(run.columns)).head(_CLEAN_ROWS)
    predicted = pd.read_parquet(run.path, columns=["prediction"])["prediction"].head(_CLEAN_ROWS).tolist()
    done = run_in_clean_process(
        model_dir.absolute(), run.stored, run.trusted, features, predicted, python=python, timeout=timeout
    )
    values = {
        "python": done.python,
        "environment": "named interpreter" if python else "the gate's own",
        "requirements": done.declared,
        "not_compared": list(done.unread),
        "network": done.network,
        "rows": len(features),
    }
    if done.problems:
        return Measurement(0.0, "; ".join(done.problems[:5]), values)
    if not done.declared:
        detail = "it loads and predicts, but declares no requirements to compare with: log it with pip_requirements"
        return Measurement(None, detail, values, Outcome.INCONCLUSIVE)
    return Measurement(1.0, f"it loads and predicts, and has the {done.declared} packages that it declares", values)


def _renamed(run: ModelRun, settings: Mapping[str, Any]) -> Path:
    """The scored table, with its columns named as the settings (and so the champion's table) name them."""
    import pandas as pd

    names = {own: settings[own] for own in ("score", "prediction") if settings.get(own)}
    wanted = {canonical(label): column for label, column in (settings.get("class_scores") or {}).items()}
    for label, column in run.class_scores.items():
        names[column] = wanted.get(canonical(label), column)
    if all(own == name for own, name in names.items()):
        return run.path
    target = run.path.with_name("renamed.parquet")
    pd.read_parquet(run.path).rename(columns=names).to_parquet(target, index=False)
    return target


def _with_columns(run: ModelRun, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, with the columns that the model's scores are in."""
    filled = dict(settings)
    if run.has_score:
        filled.setdefault("score", "score")
    elif run.class_scores:
        filled.setdefault("class_scores", dict(run.class_scores))
    else:
        filled.setdefault("prediction", "prediction")
    return filled


def _described(run: ModelRun) -> dict[str, Any]:
    said = "loading it can run code of its author's" if run.stored.runs_code else "loading it runs no code of its own"
    return {
        "serialization": run.stored.format,
        "loading": said,
        "child": {"network": run.network, "credentials": "none", "same_user": True, "seconds": run.seconds},
        "machine": _machine(),
    }


def _machine() -> dict[str, Any]:
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
    }
