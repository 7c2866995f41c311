"""Whether a model loads and predicts in a clean process whose packages are those it declares. Refuses to call that so
where the model declares nothing, or predicts something else there than it was judged by."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.scratch import scratch_folder
from airflow_mlgov.data.values import Sort, key_of
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.children.network import without_network
from airflow_mlgov.gates.children.process import ChildError, child_environment, clean, run_child
from airflow_mlgov.gates.performance.serialization import Stored

if TYPE_CHECKING:
    import pandas as pd
    from packaging.requirements import Requirement

_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ")
_CHILD = Path(__file__).with_name("_model_child.py")
_ANSWER_LIMIT = 50_000_000
_TEXT_LIMIT = 1_000_000


@dataclass(frozen=True)
class Declared:
    """What a model says that it needs."""

    requirements: tuple[Requirement, ...] = ()
    constraints: tuple[Requirement, ...] = ()
    """Hold only for what is installed."""
    unread: tuple[str, ...] = ()
    """Lines that name no package and version: options, local files, other files."""


@dataclass(frozen=True)
class CleanRun:
    """How the clean process went."""

    problems: tuple[str, ...]
    """Empty where it loads, predicts the same, and has what the model declares."""
    declared: int
    """How many requirements were compared."""
    python: str = ""
    """Version of the interpreter."""
    network: str = ""
    unread: tuple[str, ...] = ()
    versions: Mapping[str, str | None] = field(default_factory=dict)


def run_in_clean_process(
    model_dir: Path,
    stored: Stored,
    trusted: Iterable[str],
    features: pd.DataFrame,
    predicted: Sequence[Any],
    *,
    python: str | Path | None = None,
    timeout: float = 600,
) -> CleanRun:
    """Load the model in a fresh interpreter, predict, and compare packages and predictions.

    :param features: the rows to predict; only the model's columns
    :param predicted: what the model said for these rows when it was judged
    :param python: interpreter of an environment made for the model; this process's own if omitted
    :param timeout: seconds for each of two child processes
    :raises ConfigurationError: ``python`` is no interpreter that can be run
    """
    declared = declared_requirements(model_dir)
    names = sorted({item.name for item in (*declared.requirements, *declared.constraints)})
    interpreter = str(python or sys.executable)
    require_interpreter(interpreter)
    with scratch_folder("clean") as work:
        try:
            described, network = _ask(interpreter, work, {"do": "describe", "names": names}, timeout)
            known = {str(name): version for name, version in described["versions"].items()}
            markers = {str(name): str(value) for name, value in described["markers"].items()}
        except (ChildError, KeyError, AttributeError) as error:
            return CleanRun((f"the interpreter cannot be asked for its packages: {error}",), len(names))
        problems = mismatches(declared, known, markers)
        features.to_parquet(work / "features.parquet", index=False)
        order = {
            "do": "predict",
            "model": str(model_dir),
            "skops": str(stored.file) if stored.format == "skops" else None,
            "trusted": sorted(trusted),
        }
        try:
            answer, network = _ask(interpreter, work, order, timeout)
            problems += _compare(answer.get("predictions"), predicted)
        except ChildError as error:
            problems.append(str(error))
    version = markers.get("python_full_version", "")
    return CleanRun(tuple(problems), len(declared.requirements), version, network, declared.unread, known)


def require_interpreter(python: str | Path) -> None:
    """Refuse what cannot be run.

    :raises ConfigurationError: no such program, or none that this user may run
    """
    if shutil.which(str(python)) is None:
        raise ConfigurationError(
            f"cannot run python {python}: name the interpreter of an environment on this machine",
            code="environment.missing",
        )


def declared_requirements(model_dir: Path) -> Declared:
    """What the model's ``requirements.txt`` declares, with the constraints file that it names."""
    file = model_dir / "requirements.txt"
    return _read(file, model_dir, nested=False) if file.is_file() and file.stat().st_size < _TEXT_LIMIT else Declared()


def mismatches(declared: Declared, versions: Mapping[str, str | None], markers: Mapping[str, str]) -> list[str]:
    """``scikit-learn 1.9.1 is installed, scikit-learn==1.2 is declared`` for each that is not as declared.

    :param versions: name -> installed version, or None
    :param markers: of the interpreter, see PEP 508
    """
    found = []
    for item in (*declared.requirements, *declared.constraints):
        if item.marker is not None and not item.marker.evaluate(dict(markers)):
            continue
        version = versions.get(item.name)
        if version is None:
            found += [f"{item.name} is declared and not installed"] if item in declared.requirements else []
        elif not item.specifier.contains(version, prereleases=True):
            found.append(f"{item.name} {version} is installed, {item.name}{item.specifier} is declared")
    return found


def _read(file: Path, folder: Path, *, nested: bool) -> Declared:
    from packaging.requirements import InvalidRequirement, Requirement

    requirements, constraints, unread = [], [], []
    for raw in file.read_text(encoding="utf-8", errors="replace").splitlines():
        line = raw.split(" #")[0].strip()
        if not line or line.startswith("#"):
            continue
        option, _, named = line.replace("=", " ", 1).partition(" ")
        inside = folder / Path(named.strip()).name
        if option in ("-c", "--constraint") and not nested and inside.is_file():
            constraints += list(_read(inside, folder, nested=True).requirements)
            continue
        try:
            requirements.append(Requirement(line))
        except InvalidRequirement:
            unread.append(clean(line))
    return Declared(tuple(requirements), tuple(constraints), tuple(unread))


def _ask(python: str, work: Path, order: Mapping[str, Any], timeout: float) -> tuple[dict[str, Any], str]:
    """The child's answer to an order, and how it was with the network."""
    (work / "order.json").write_text(json.dumps(order))
    answer = work / "answer.json"
    answer.unlink(missing_ok=True)
    command, network = without_network([python, "-I", str(_CHILD)])
    environment = {**child_environment(work, _ENVIRONMENT), "MLFLOW_DISABLE_TELEMETRY": "true"}
    run_child(command, work, environment, what="the clean process", timeout=timeout)
    try:
        if answer.is_symlink() or answer.stat().st_size > _ANSWER_LIMIT:
            raise ValueError
        given = json.loads(answer.read_text())
        if not isinstance(given, dict):
            raise ValueError
    except (OSError, ValueError):
        raise ChildError("the clean process gave no usable answer", code="child.answer") from None
    return given, network


def _compare(given: Any, predicted: Sequence[Any]) -> list[str]:
    if not isinstance(given, list) or len(given) != len(predicted):
        return [f"it gave no prediction for each of {len(predicted)} rows"]
    unlike = sum(not _same(one, two) for one, two in zip(given, predicted, strict=True))
    return [f"it predicts otherwise there in {unlike} of {len(predicted)} rows"] if unlike else []


def _same(one: Any, two: Any) -> bool:
    # JSON and parquet tell truth values from 0 and 1, but a model's two versions need not
    first, second = (key_of(int(value) if isinstance(value, bool) else value) for value in (one, two))
    if first is not None and second is not None and first.sort is second.sort is Sort.NUMBER:
        return math.isclose(first.value, second.value, rel_tol=1e-6, abs_tol=1e-9)
    return first == second
