"""Scores a table with an MLflow model in a child process that has no credentials, for teams that opt in to loading
models. Refuses models that bring code of their own; still, loading may run what the model's author put there."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError, MlgovError
from airflow_mlgov.gates.columns import canonical

if TYPE_CHECKING:
    import pandas as pd

ALLOWED_LOADERS = frozenset({"mlflow.sklearn", "mlflow.xgboost", "mlflow.lightgbm"})
"""What may load a model. ``mlflow.pyfunc.model`` is not among them: it runs a class that the model brings along."""

_KEPT_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH", "TZ")
_MLMODEL_LIMIT = 1_000_000
_CODE_KEYS = ("code", "model_code_path", "python_model", "loader_code")
_PATH_KEYS = ("model_path", "data", "pickled_model")
_LINE_LIMIT = 300
_STDERR_TAIL = 16_384


class ScoringError(MlgovError):
    """The child process crashed, took too long or wrote no usable scores. Trying again helps only where the machine
    was short of time or memory; the message holds the child's last line."""


def score_model(
    model_dir: str | Path,
    features_path: str | Path,
    output_path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    keep: Sequence[str] = (),
    positive_label: Any = None,
    timeout: float = 600,
    allowed_loaders: Collection[str] = ALLOWED_LOADERS,
) -> Path:
    """Write a parquet file with ``prediction``, ``score`` where the model knows probabilities of two classes, and the
    kept columns, for the gates to read.

    The child sees ``columns`` only, so neither labels nor sensitive features, and none of this process's environment
    but a short list; it runs as the same user, so it is no sandbox against an author who means harm.

    :param model_dir: a downloaded MLflow model, the folder that holds ``MLmodel``
    :param features_path: csv or parquet with the features and the kept columns
    :param columns: the features, in the model's order; those of the model's signature where None
    :param keep: columns to carry over beside the scores: the label, sensitive features, a row id
    :param positive_label: the class whose probability is the score; the second of the model's classes where None
    :param timeout: seconds before the child is killed
    :raises ConfigurationError: the model is refused, or a column is missing
    :raises ScoringError: the child crashed, took too long or wrote something else than a score for every row
    """
    from airflow_mlgov.gates.inputs import read_table

    model_dir, output_path = Path(model_dir).absolute(), Path(output_path).absolute()
    description = inspect_model(model_dir, allowed_loaders)
    columns = signature_columns(description) if columns is None else list(columns)
    taken = sorted({"score", "prediction"} & set(keep))
    if taken or not columns:
        reason = f"the kept column {taken[0]} would be overwritten" if taken else "name the feature columns"
        raise ConfigurationError(f"cannot score: {reason}")
    table = read_table(str(features_path), [*columns, *keep])
    with tempfile.TemporaryDirectory(prefix="mlgov-scoring-", ignore_cleanup_errors=True) as scratch:
        work = Path(scratch)
        table[columns].to_parquet(work / "features.parquet", index=False)
        order = {"model": str(model_dir), "positive_label": None if positive_label is None else str(positive_label)}
        (work / "order.json").write_text(json.dumps(order))
        _run_child(work, timeout)
        scores = _read_scores(work / "scores.parquet", len(table))
    result = table[list(keep)].assign(**{name: scores[name].to_numpy() for name in scores.columns})
    result.to_parquet(output_path, index=False)
    return output_path


def inspect_model(model_dir: str | Path, allowed_loaders: Collection[str] = ALLOWED_LOADERS) -> Mapping[str, Any]:
    """The parsed ``MLmodel`` file of a model that may be loaded; nothing of the model is imported or run.

    :raises ConfigurationError: no readable MLmodel, a loader that is not allowed, code or links in the model
    """
    import yaml

    model_dir = Path(model_dir)
    file = model_dir / "MLmodel"
    if not file.is_file() or file.stat().st_size > _MLMODEL_LIMIT:
        raise ConfigurationError(f"{model_dir} is not an MLflow model: it holds no readable MLmodel file")
    try:
        description = yaml.safe_load(file.read_text(encoding="utf-8"))
        flavors = description["flavors"]
        pyfunc = flavors["python_function"]
        loader = pyfunc["loader_module"]
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):
        raise ConfigurationError(f"{file} names no python_function flavor with a loader_module") from None
    if not isinstance(loader, str) or loader not in allowed_loaders:
        allowed = ", ".join(sorted(allowed_loaders))
        raise ConfigurationError(
            f'refused to load {model_dir.name}: its loader_module is "{_clean(str(loader))}", allowed are {allowed}; '
            f"log the model with one of these flavors, or gate on a table of its predictions"
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
            raise ConfigurationError(f"refused to load {model_dir.name}: its {name} flavor brings code ({brought[0]})")
        for key in _PATH_KEYS:
            inside = PurePosixPath(str(settings.get(key) or ""))
            if inside.is_absolute() or ".." in inside.parts:
                raise ConfigurationError(f"refused to load {model_dir.name}: {key} of {name} leaves the model's folder")
    for path in model_dir.rglob("*"):
        relative = path.relative_to(model_dir)
        if path.is_symlink():
            raise ConfigurationError(f"refused to load {model_dir.name}: {relative} is a link")
        if relative.parts[0] == "code" or path.suffix == ".py":
            raise ConfigurationError(f"refused to load {model_dir.name}: it brings code of its own ({relative})")


def _run_child(work: Path, timeout: float) -> None:
    command = [sys.executable, "-P", "-m", "airflow_mlgov.gates.scoring", str(work)]
    with (work / "stderr.txt").open("wb") as errors:
        child = subprocess.Popen(
            command,
            cwd=work,
            env=_child_environment(work),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            close_fds=True,
            start_new_session=True,
        )
        try:
            in_time = _wait(child.pid, timeout)
        finally:
            # before it is reaped, so that its id, which is also its session's, can be nobody else's yet
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            code = child.wait()
    if not in_time:
        raise ScoringError(f"scoring took longer than {timeout:g} s and was stopped; raise timeout")
    if code:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise ScoringError(f"scoring {how}: {_last_line(work / 'stderr.txt')}")


def _wait(pid: int, timeout: float) -> bool:
    """Whether the process ended within ``timeout`` seconds; it is left to be reaped."""
    deadline = time.monotonic() + timeout
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _child_environment(work: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    package = str(Path(__file__).resolve().parents[2])
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, [package, kept.get("PYTHONPATH")]))
    return {**kept, "HOME": str(work), "TMPDIR": str(work), "MLFLOW_DISABLE_TELEMETRY": "true"}


def _read_scores(path: Path, rows: int) -> pd.DataFrame:
    """What the child wrote, believed only where it is one plain value for every row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.is_symlink() or not path.is_file():
        raise ScoringError("the model's process wrote no scores")
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ScoringError(f"the model's process wrote scores that cannot be read: {_clean(str(error))}") from None
    names = [name for name in ("score", "prediction") if name in table.column_names]
    if "prediction" not in names or table.num_rows != rows:
        raise ScoringError(f"the model gave {table.num_rows} predictions for {rows} rows")
    for name in names:
        kind = table.schema.field(name).type
        plain = pa.types.is_floating(kind) or (name == "prediction" and _is_plain(kind))
        if not plain:
            raise ScoringError(f"the model's process wrote a {name} of type {_clean(str(kind))}")
    return table.select(names).to_pandas(ignore_metadata=True)


def _is_plain(kind: Any) -> bool:
    import pyarrow as pa

    tests = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_string, pa.types.is_large_string)
    return any(test(kind) for test in tests)


def _last_line(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _STDERR_TAIL))
        lines = file.read().decode("utf-8", "replace").strip().splitlines()
    return _clean(lines[-1]) if lines else "it said nothing"


def _clean(text: str) -> str:
    """One printable line without what looks like a credential."""
    text = "".join(sign if sign.isprintable() else " " for sign in text)
    text = re.sub(r"://[^\s/@]+@", "://***@", text)
    text = re.sub(
        r"(?i)([\w-]*(?:password|passwd|secret|token|api_?key|authorization)[\w-]*)(['\"]?\s*[=:]\s*)\S+(\s+\S+)?",
        r"\1\2***",
        text,
    )
    return text[:_LINE_LIMIT] + ("…" if len(text) > _LINE_LIMIT else "")


def _score_in_child(work: Path) -> None:
    """The child's whole life: features in, scores out."""
    import mlflow.pyfunc
    import pandas as pd

    order = json.loads((work / "order.json").read_text())
    features = pd.read_parquet(work / "features.parquet")
    model = mlflow.pyfunc.load_model(order["model"])
    scores = pd.DataFrame({"prediction": pd.Series(model.predict(features))})
    raw = model.get_raw_model()
    classes = [canonical(name) for name in getattr(raw, "classes_", ())]
    if hasattr(raw, "predict_proba") and len(classes) == 2:
        wanted = order["positive_label"]
        if wanted is not None and canonical(wanted) not in classes:
            raise SystemExit(f"positive_label {wanted!r} is not a class of the model: {', '.join(map(str, classes))}")
        scores["score"] = raw.predict_proba(features)[:, 1 if wanted is None else classes.index(canonical(wanted))]
    scores.to_parquet(work / "scores.parquet", index=False)


if __name__ == "__main__":
    _score_in_child(Path(sys.argv[1]))
