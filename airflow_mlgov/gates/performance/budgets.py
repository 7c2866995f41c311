"""Judges a model by its own files: it scores a table in a child process, is timed, weighed, and tried in a clean
process. Refuses to measure by loading where nobody opted in to that."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.scratch import scratch_folder
from airflow_mlgov.data.source import Relation, open_beside, source_of
from airflow_mlgov.data.values import key_of, meant
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import MetricBound
from airflow_mlgov.gates.performance.clean_process import require_interpreter, run_in_clean_process
from airflow_mlgov.gates.performance.predictions import Columns
from airflow_mlgov.gates.performance.scorers import CLEAN_PROCESS
from airflow_mlgov.gates.performance.scoring import ModelRun, run_model
from airflow_mlgov.results import Outcome

if TYPE_CHECKING:
    from airflow_mlgov.gates.performance.spec import PerformanceSettings
    from airflow_mlgov.gates.protocol import Question

NEEDS_LOADING = ("latency_p95_ms", "batch_latency_p95_ms", CLEAN_PROCESS)
"""Budgets that cannot be measured without loading the model."""

_LATENCIES = {"latency_p95_ms": "row", "batch_latency_p95_ms": "batch"}
_CLEAN_ROWS = 1000


@dataclass(frozen=True)
class Measurement:
    """What was measured of the model itself, see ``scorers.BUDGETS``."""

    value: float | None
    detail: str = ""
    values: Mapping[str, Any] | None = None
    outcome: Outcome = Outcome.INCONCLUSIVE
    """How a check on it ends when there is no number."""


@dataclass(frozen=True)
class Scored:
    """A table that the model has scored, and what was measured of the model meanwhile."""

    table: Relation
    columns: Columns
    """Those of :attr:`table`, with the columns that the model's scores are in."""
    measured: Mapping[str, Measurement]
    described: Mapping[str, Any]
    """The model and its child process, for the evidence."""


@contextmanager
def score(question: Question[PerformanceSettings], columns: Columns, also: Sequence[str]) -> Iterator[Scored]:
    """Score a table of features with the model, and measure the model itself.

    :param columns: as the settings, and so the champion's table, name them
    :param also: columns to carry over beside the label and the row id, such as those of slices
    :raises ConfigurationError: no model is named, or the model or the table is refused
    :raises ScoringError: the child crashed, took too long or wrote no usable scores
    """
    settings = question.settings
    if question.artifact is None:
        raise ConfigurationError(
            "the model that --model names is loaded by --score-model: name it", code="model.not_named"
        )
    if settings.python is not None:
        require_interpreter(settings.python)
    asked = {item.metric for item in question.bounds}
    features = question.data.in_duckdb()
    with question.artifact() as model_dir, scratch_folder("scores") as folder:
        run = run_model(
            model_dir,
            features,
            folder / "scored.parquet",
            keep=list(dict.fromkeys(filter(None, [columns.label, columns.row_id, columns.sample_weight, *also]))),
            positive_label=columns.positive_label,
            timeout=settings.timeout,
            trusted_types=settings.trusted_types,
            latency=bool(asked & set(_LATENCIES)),
        )
        measured = {"model_size_mb": model_size(model_dir), **_latencies(run)}
        if CLEAN_PROCESS in asked or settings.python is not None:
            measured[CLEAN_PROCESS] = _clean(model_dir, run, features, settings.python, settings.timeout)
        renamed = source_of(str(_renamed(run, columns)))
        with open_beside(features, {"scored": renamed}) as tables:
            yield Scored(tables["scored"], _with_scores(run, columns), measured, _described(run))


def weigh(
    bounds: Sequence[MetricBound], artifact: Callable[[], AbstractContextManager[Path]] | None
) -> dict[str, Measurement]:
    """What can be measured of a model without loading it: its size, if that is bounded.

    :param artifact: gives the model's folder; None if no model is at hand
    :raises ConfigurationError: a bound needs the model loaded
    """
    asked = {item.metric for item in bounds}
    needing = [metric for metric in NEEDS_LOADING if metric in asked]
    if needing:
        raise ConfigurationError(
            f"{needing[0]} is measured by loading the model, which is off by default because loading a model can run "
            "its code: set score_model, and give features as data",
            code="setting.missing",
        )
    if "model_size_mb" not in asked or artifact is None:
        return {}
    with artifact() as folder:
        return {"model_size_mb": model_size(folder)}


def model_size(model_dir: Path) -> Measurement:
    """The size of the model's files in MB of 1,000,000 bytes; none is read."""
    sizes = [path.stat().st_size for path in model_dir.rglob("*") if path.is_file() and not path.is_symlink()]
    return Measurement(sum(sizes) / 1e6, f"{len(sizes)} files")


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


def _renamed(run: ModelRun, columns: Columns) -> Path:
    """The scored table, with its columns named as the settings (and so the champion's table) name them."""
    import pandas as pd

    names = {own: name for own, name in (("score", columns.score), ("prediction", columns.prediction)) if name}
    for label, column in run.class_scores.items():
        key = key_of(label)
        given = columns.class_scores or {}
        meant_so = [own for name, own in given.items() if key is not None and key == meant(name, {key})]
        names[column] = meant_so[0] if meant_so else column
    if all(own == name for own, name in names.items()):
        return run.path
    target = run.path.with_name("renamed.parquet")
    pd.read_parquet(run.path).rename(columns=names).to_parquet(target, index=False)
    return target


def _with_scores(run: ModelRun, columns: Columns) -> Columns:
    """The columns, with those that the model's scores are in."""
    if run.has_score:
        return replace(columns, score=columns.score or "score")
    if run.class_scores:
        return replace(columns, class_scores=columns.class_scores or dict(run.class_scores))
    return replace(columns, prediction=columns.prediction or "prediction")


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
