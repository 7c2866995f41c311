"""Scores a table with an MLflow model in a child process that has no credentials, for teams that opt in to loading
models. Refuses models that bring code of their own; still, loading may run what the model's author put there."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.scratch import scratch_folder
from airflow_mlgov.data.source import Relation, source_of
from airflow_mlgov.data.values import Key, Sort, key_of, meant, shown
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.children.network import without_network
from airflow_mlgov.gates.children.process import ChildError, child_environment, clean, run_child
from airflow_mlgov.gates.performance._model_child import OF_MANY, OF_TWO, decided, objective
from airflow_mlgov.gates.performance.serialization import TRUSTED_TYPES, Stored, require_trusted, stored_model
from airflow_mlgov.strict_files import read_yaml

if TYPE_CHECKING:
    import pandas as pd

ALLOWED_LOADERS = frozenset({"mlflow.sklearn", "mlflow.xgboost", "mlflow.lightgbm"})
"""What may load a model. ``mlflow.pyfunc.model`` is not among them: it runs a class that the model brings along."""

_KEPT_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH", "TZ")
_MLMODEL_LIMIT = 1_000_000
_CODE_KEYS = ("code", "model_code_path", "python_model", "loader_code")
_OF_CLASS = "score:"
_FACTS_LIMIT = 10_000
_MOST_CLASSES = 200
_PATH_KEYS = ("model_path", "data", "pickled_model")


class ScoringError(ChildError):
    """The child process crashed, took too long or wrote no usable scores. Trying again helps only if the machine was
    short of time or memory; the message holds the child's last line."""


@dataclass(frozen=True)
class Latency:
    """How long the model's process took to predict, in milliseconds; measured by the process that holds the model, so
    believed as far as the model is."""

    calls: int
    rows: int
    """Of each call."""
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True)
class ModelRun:
    """A table that a model scored, and how that went."""

    path: Path
    stored: Stored
    network: str
    """Whether the child was cut off the network."""
    columns: tuple[str, ...]
    """The features."""
    has_score: bool
    class_scores: Mapping[str, str] = field(default_factory=dict)
    """Of more than two classes: label -> column."""
    latency: Mapping[str, Latency] = field(default_factory=dict)
    """``row`` and ``batch``; empty where it was not asked for."""
    trusted: tuple[str, ...] = ()
    """Types in a skops file that the gate's list allowed."""
    seconds: float = 0.0
    """How long the child ran, start, loading and timing with it; measured outside of it."""


def score_model(
    model_dir: str | Path,
    data: Any,
    output_path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    keep: Sequence[str] = (),
    positive_label: Any = None,
    timeout: float = 600,
    allowed_loaders: Collection[str] = ALLOWED_LOADERS,
) -> Path:
    """:func:`run_model` for its table alone.

    :param data: the features and the kept columns, as :func:`airflow_mlgov.data.source.source_of` takes them
    """
    with source_of(data).open() as features:
        return run_model(
            model_dir,
            features,
            output_path,
            columns=columns,
            keep=keep,
            positive_label=positive_label,
            timeout=timeout,
            allowed_loaders=allowed_loaders,
        ).path


def run_model(
    model_dir: str | Path,
    features: Relation,
    output_path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    keep: Sequence[str] = (),
    positive_label: Any = None,
    timeout: float = 600,
    allowed_loaders: Collection[str] = ALLOWED_LOADERS,
    trusted_types: Collection[str] = (),
    latency: bool = False,
) -> ModelRun:
    """Write a parquet file with ``prediction``, the kept columns, and what the model knows of probabilities: ``score``
    of two classes, ``score:<class>`` of more.

    The child sees ``columns`` only, so neither labels nor sensitive features, and none of this process's environment
    but a short list; it is cut off the network where the machine allows that. It runs as the same user, so it is no
    sandbox against an author who means harm.

    :param model_dir: a downloaded MLflow model, the folder that holds ``MLmodel``
    :param features: the features and the kept columns
    :param columns: the features, in the model's order; those of the model's signature if omitted
    :param keep: columns to carry over beside the scores: the label, sensitive features, a row id
    :param positive_label: the class whose probability is the score; the second of the model's classes if omitted
    :param timeout: seconds before the child is killed
    :param trusted_types: what a skops file may hold besides ``serialization.TRUSTED_TYPES``
    :param latency: time single rows and a batch too
    :raises ConfigurationError: the model is refused, or a column is missing
    :raises ScoringError: the child crashed, took too long or wrote something else than a score for every row
    """
    model_dir, output_path = Path(model_dir).absolute(), Path(output_path).absolute()
    description = inspect_model(model_dir, allowed_loaders)
    stored = stored_model(model_dir, description)
    trusted = require_trusted(stored.file, {*TRUSTED_TYPES, *trusted_types}) if stored.format == "skops" else []
    columns = signature_columns(description) if columns is None else list(columns)
    taken = sorted({"score", "prediction"} & set(keep))
    if taken or not columns:
        reason = f"the kept column {taken[0]} would be overwritten" if taken else "name the feature columns"
        raise ConfigurationError(f"cannot score: {reason}", code="model.not_scorable")
    table = features.frame_as_stored([*columns, *keep])
    with scratch_folder("scoring") as work:
        table[columns].to_parquet(work / "features.parquet", index=False)
        order = {
            "model": str(model_dir),
            "skops": str(stored.file) if stored.format == "skops" else None,
            "trusted": trusted,
            "positive_label": None if positive_label is None else str(positive_label),
            "latency": latency,
        }
        (work / "order.json").write_text(json.dumps(order))
        started = time.monotonic()
        network = _run_child(work, timeout)
        seconds = round(time.monotonic() - started, 1)
        scores = _read_scores(work / "scores.parquet", len(table))
        timed = _read_latency(work / "latency.json") if latency else {}
    result = table[list(keep)].assign(**{name: scores[name].to_numpy() for name in scores.columns})
    result.to_parquet(output_path, index=False)
    by_class = {name.removeprefix(_OF_CLASS): name for name in scores.columns if name.startswith(_OF_CLASS)}
    return ModelRun(
        output_path,
        stored,
        network,
        tuple(columns),
        "score" in scores.columns,
        by_class,
        timed,
        tuple(trusted),
        seconds,
    )


def inspect_model(model_dir: str | Path, allowed_loaders: Collection[str] = ALLOWED_LOADERS) -> Mapping[str, Any]:
    """The parsed ``MLmodel`` file of a model that may be loaded; nothing of the model is imported or run.

    :raises ConfigurationError: no readable MLmodel, a loader that is not allowed, code or links in the model
    """
    model_dir = Path(model_dir)
    file = model_dir / "MLmodel"
    if not file.is_file() or file.stat().st_size > _MLMODEL_LIMIT:
        raise ConfigurationError(
            f"{model_dir} is not an MLflow model: it holds no readable MLmodel file", code="model.unreadable"
        )
    try:
        description = read_yaml(file, "MLmodel").content
        flavors = description["flavors"]
        pyfunc = flavors["python_function"]
        loader = pyfunc["loader_module"]
    except (ConfigurationError, KeyError, TypeError):
        raise ConfigurationError(
            f"{file} names no python_function flavor with a loader_module", code="model.unreadable"
        ) from None
    if not isinstance(loader, str) or loader not in allowed_loaders:
        allowed = ", ".join(sorted(allowed_loaders))
        raise ConfigurationError(
            f'refused to load {model_dir.name}: its loader_module is "{clean(str(loader))}", allowed are {allowed}; '
            f"log the model with one of these flavors, or gate on a table of its predictions",
            code="model.untrusted",
        )
    _refuse_code(model_dir, flavors)
    return dict(description)


def signature_columns(description: Mapping[str, Any]) -> list[str]:
    """The names of the model's inputs by its signature; empty where it has none or does not name them.

    :param description: what :func:`inspect_model` returns
    """
    try:
        return [str(column["name"]) for column in json.loads(description["signature"]["inputs"])]
    except (KeyError, TypeError, ValueError):
        return []


def _refuse_code(model_dir: Path, flavors: Mapping[str, Any]) -> None:
    for name, flavor in flavors.items():
        settings = flavor if isinstance(flavor, Mapping) else {}
        brought = [key for key in _CODE_KEYS if settings.get(key)]
        if brought:
            raise ConfigurationError(
                f"refused to load {model_dir.name}: its {name} flavor brings code ({brought[0]})",
                code="model.untrusted",
            )
        for key in _PATH_KEYS:
            inside = PurePosixPath(str(settings.get(key) or ""))
            if inside.is_absolute() or ".." in inside.parts:
                raise ConfigurationError(
                    f"refused to load {model_dir.name}: {key} of {name} leaves the model's folder",
                    code="model.untrusted",
                )
    for path in model_dir.rglob("*"):
        relative = path.relative_to(model_dir)
        if path.is_symlink():
            raise ConfigurationError(f"refused to load {model_dir.name}: {relative} is a link", code="model.untrusted")
        if relative.parts[0] == "code" or path.suffix == ".py":
            raise ConfigurationError(
                f"refused to load {model_dir.name}: it brings code of its own ({relative})", code="model.untrusted"
            )


def _run_child(work: Path, timeout: float) -> str:
    """Run the child; returns how it was with the network."""
    command = [sys.executable, "-P", "-m", "airflow_mlgov.gates.performance.scoring", str(work)]
    command, network = without_network(command)
    run_child(command, work, _child_environment(work), what="scoring", timeout=timeout, error=ScoringError)
    return network


def _child_environment(work: Path) -> dict[str, str]:
    kept = child_environment(work, _KEPT_ENVIRONMENT)
    package = str(Path(__file__).resolve().parents[3])
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, [package, kept.get("PYTHONPATH")]))
    return {**kept, "MLFLOW_DISABLE_TELEMETRY": "true"}


def _read_scores(path: Path, rows: int) -> pd.DataFrame:
    """What the child wrote, believed only where it is one plain value for every row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.is_symlink() or not path.is_file():
        raise ScoringError("the model's process wrote no scores", code="child.answer")
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ScoringError(
            f"the model's process wrote scores that cannot be read: {clean(str(error))}", code="child.answer"
        ) from None
    names = [name for name in ("score", "prediction") if name in table.column_names]
    names += [name for name in table.column_names if name.startswith(_OF_CLASS)]
    if "prediction" not in names or table.num_rows != rows:
        raise ScoringError(f"the model gave {table.num_rows} predictions for {rows} rows", code="child.answer")
    for name in names:
        kind = table.schema.field(name).type
        plain = pa.types.is_floating(kind) or (name == "prediction" and _is_plain(kind))
        if not plain:
            raise ScoringError(
                f"the model's process wrote a {clean(name)} of type {clean(str(kind))}", code="child.answer"
            )
    return table.select(names).to_pandas(ignore_metadata=True)


def _is_plain(kind: Any) -> bool:
    import pyarrow as pa

    tests = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_string, pa.types.is_large_string)
    return any(test(kind) for test in tests)


def _read_latency(path: Path) -> dict[str, Latency]:
    """What the child wrote, believed only where it is positive numbers."""
    try:
        if path.is_symlink() or path.stat().st_size > _FACTS_LIMIT:
            raise ValueError
        found = {how: Latency(**values) for how, values in json.loads(path.read_text()).items()}
        numbers = [number for one in found.values() for number in vars(one).values()]
        if set(found) != {"row", "batch"} or not all(math.isfinite(number) and number > 0 for number in numbers):
            raise ValueError
    except (OSError, ValueError, TypeError, AttributeError):
        raise ScoringError("the model's process wrote no usable latencies", code="child.answer") from None
    return found


def _score_in_child(work: Path) -> None:
    """The child's whole life: features in, scores out."""
    import pandas as pd

    order = json.loads((work / "order.json").read_text())
    features = pd.read_parquet(work / "features.parquet")
    predict, raw = _load(order)
    predicted = predict(features)
    scores = pd.DataFrame({"prediction": pd.Series(decided(raw, predicted))})
    classes, probabilities = _probabilities(raw, predicted, features)
    if len(classes) == 2:
        wanted = order["positive_label"]
        positive = classes[1] if wanted is None else meant(wanted, classes)
        if positive not in classes:
            raise SystemExit(f"positive_label {wanted!r} is not a class of the model: {shown(classes)}")
        scores["score"] = probabilities[:, classes.index(positive)]
    elif classes:
        names = [_OF_CLASS + key.written for key in classes]
        scores[names] = probabilities
    scores.to_parquet(work / "scores.parquet", index=False)
    if order.get("latency") and len(features):
        (work / "latency.json").write_text(json.dumps(_time(predict, features)))


def _probabilities(raw: Any, predicted: Any, features: pd.DataFrame) -> tuple[list[Key], Any]:
    """The classes and their probabilities, shape (rows, classes); no classes where the model knows none, or too many.
    A bare booster predicts the probabilities themselves, and its classes are numbered."""
    import numpy as np

    goal = objective(raw)
    if goal in OF_TWO:
        return [Key(Sort.NUMBER, at) for at in (0, 1)], np.column_stack([1 - predicted, predicted])
    if goal in OF_MANY:
        classes = [Key(Sort.NUMBER, at) for at in range(predicted.shape[1])]
        return (classes, predicted) if len(classes) <= _MOST_CLASSES else ([], None)
    classes = [key for name in getattr(raw, "classes_", ()) if (key := key_of(name)) is not None]
    if hasattr(raw, "predict_proba") and 2 <= len(classes) <= _MOST_CLASSES:
        return classes, raw.predict_proba(features)
    return [], None


def _load(order: Mapping[str, Any]) -> tuple[Callable[[Any], Any], Any]:
    """What predicts, and the estimator itself."""
    if order.get("skops"):
        import skops.io

        estimator = skops.io.load(order["skops"], trusted=order["trusted"])
        return estimator.predict, estimator
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(order["model"])
    return model.predict, model.get_raw_model()


def _time(predict: Callable[[Any], Any], features: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Latencies of single rows and of a batch of up to 1,000, after a warm-up."""
    singles = [features.iloc[[at]] for at in range(min(len(features), 100))]
    batch = features.head(1000)
    return {
        "row": {"rows": 1, **_quantiles(predict, singles, warm_up=20, calls=300, seconds=20)},
        "batch": {"rows": len(batch), **_quantiles(predict, [batch], warm_up=3, calls=50, seconds=20)},
    }


def _quantiles(
    predict: Callable[[Any], Any], inputs: Sequence[Any], *, warm_up: int, calls: int, seconds: float
) -> dict[str, float]:
    for at in range(warm_up):
        predict(inputs[at % len(inputs)])
    taken: list[float] = []
    until = time.perf_counter() + seconds
    while len(taken) < calls and (not taken or time.perf_counter() < until):
        start = time.perf_counter()
        predict(inputs[len(taken) % len(inputs)])
        taken.append((time.perf_counter() - start) * 1000)
    taken.sort()
    ranks = {f"p{share}_ms": taken[math.ceil(len(taken) * share / 100) - 1] for share in (50, 95, 99)}
    return {"calls": len(taken), **ranks}


if __name__ == "__main__":
    _score_in_child(Path(sys.argv[1]))
