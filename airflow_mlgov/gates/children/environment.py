"""Lets a script answer in a Python environment that the user names, for libraries that cannot live beside Airflow.
Refuses an answer that is too large, malformed or not there; hands down no credential that is not named, and no network
that is not asked for."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_mlgov.data.memory import exceeded
from airflow_mlgov.data.scratch import scratch_folder
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.children.network import OPEN, without_network
from airflow_mlgov.gates.children.process import ChildError, child_environment, clean, run_child, wants_memory

_KEPT_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ")
_SCRIPTS = Path(__file__).parent / "scripts"
_ANSWER_LIMIT = 16_000_000
_ENVELOPE = {
    "type": "object",
    "required": ["libraries"],
    "properties": {
        "libraries": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 100}},
        "answer": {"type": "object"},
        "missing": {"type": "array", "items": {"type": "string", "maxLength": 1000}, "minItems": 1},
        "refused": {"type": "string"},
        "failed": {"type": "string"},
    },
    "additionalProperties": False,
    "minProperties": 2,
    "maxProperties": 2,
}


class ExternalError(ChildError):
    """The process in the other environment crashed, took too long or gave no sound answer. Trying again helps only
    if the machine was short of time or memory; the message holds what is known of the reason."""


@dataclass(frozen=True)
class Backend:
    """What can be asked of another environment."""

    name: str
    """For messages: ``TensorFlow Data Validation``."""
    script: str
    """A file of ``scripts/``, or a path."""
    libraries: tuple[str, ...]
    """Distributions that must be there; their versions are part of the answer."""
    requirements: str
    """What ``pip install`` is told where they are not."""
    schema: Mapping[str, Any]
    """JSON Schema of the answer."""


@dataclass(frozen=True)
class Answer:
    """What the other environment said."""

    content: dict[str, Any]
    """Valid by the backend's schema; its numbers are finite."""
    libraries: dict[str, str]
    """Name -> version there, ``python`` among them."""
    child: dict[str, Any]
    """For the evidence: how it was with the network, and which environment variables were handed down by name."""


def ask(
    backend: Backend,
    python: str | Path,
    request: Mapping[str, Any],
    *,
    timeout: float = 600,
    environment: Sequence[str] = (),
    network: bool = False,
) -> Answer:
    """Let ``backend`` answer ``request`` with another interpreter.

    :param python: path of the interpreter, such as ``/opt/feast/bin/python``
    :param request: JSON values
    :param timeout: seconds before the process and what it started are killed
    :param environment: names of environment variables to hand down; without them the child sees no credential
    :param network: whether it needs one; otherwise it is cut off, where Linux allows that
    :raises ConfigurationError: no such interpreter or none that starts, a library is missing there, or the request
        cannot be met
    :raises MemoryLimitError: it needs more than ``memory_limit`` beside its libraries
    :raises TimeLimitError: the deadline came
    :raises ExternalError: it crashed, took too long, or its answer is not one
    """
    interpreter = _interpreter(python)
    script = _SCRIPTS / backend.script
    with scratch_folder("external") as work:
        order = {"libraries": list(backend.libraries), "request": request}
        (work / "request.json").write_text(json.dumps(order, allow_nan=False), encoding="utf-8")
        command = [str(interpreter), "-I", str(_SCRIPTS / "run.py"), str(work), str(script)]
        command, reach = (command, OPEN) if network else without_network(command)
        variables = child_environment(work, [*_KEPT_ENVIRONMENT, *environment])
        run_child(command, work, variables, what=backend.name, timeout=timeout, error=ExternalError)
        said = _read(work / "answer.json", backend.name)
    _require_valid(said, _ENVELOPE, backend.name)
    if "missing" in said:
        raise ConfigurationError(
            f"{backend.name} cannot run with {interpreter}: {clean(', '.join(said['missing']))} is missing there; "
            f"install it: {interpreter} -m pip install {backend.requirements}",
            code="environment.incomplete",
        )
    if "refused" in said:
        raise ConfigurationError(f"{backend.name}: {clean(said['refused'])}", code="child.refused")
    if "failed" in said:
        if wants_memory(said["failed"]):
            raise exceeded(backend.name)
        raise ExternalError(f"{backend.name} failed: {clean(said['failed'])}", code="child.failed")
    _require_valid(said["answer"], backend.schema, backend.name)
    child = {"network": reach, "credentials": list(environment) or "none", "same_user": True}
    return Answer(said["answer"], said["libraries"], child)


def _interpreter(python: str | Path) -> Path:
    """Not resolved: an environment's ``python`` is a link, and the environment is where the link is."""
    path = Path(python)
    if path.is_dir():
        inside = path / "bin" / "python"
        raise ConfigurationError(
            f"{path} is a folder; name the interpreter in it, such as {inside}", code="environment.missing"
        )
    if not path.is_file():
        raise ConfigurationError(
            f"no such Python interpreter: {path} (looked in {path.absolute().parent})", code="environment.missing"
        )
    if not os.access(path, os.X_OK):
        raise ConfigurationError(
            f"{path} is not executable, so it is no Python interpreter", code="environment.unusable"
        )
    try:  # unshare(1) would hand to a shell what the system cannot execute
        tried = subprocess.Popen([path.absolute(), "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be started: {error.strerror or error}", code="environment.unusable"
        ) from None
    tried.kill()
    tried.wait()
    return path.absolute()


def _read(path: Path, name: str) -> Any:
    """The child's file, believed to be one only where it is: it runs code that is not ours."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        raise ExternalError(
            f"{name} ended without an answer; is it a Python interpreter that was named?", code="child.answer"
        ) from None
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ExternalError(f"{name} gave an answer that is not a file", code="child.answer")
        content = file.read(_ANSWER_LIMIT + 1)
    if len(content) > _ANSWER_LIMIT:
        raise ExternalError(f"{name} gave an answer of more than {_ANSWER_LIMIT} bytes", code="child.answer")
    try:
        return json.loads(content, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ExternalError(f"{name} gave an answer that is not JSON", code="child.answer") from None


def _no_constant(word: str) -> Any:
    raise ValueError(word)


def _require_valid(content: Any, schema: Mapping[str, Any], name: str) -> None:
    import jsonschema

    problem = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(dict(schema)).iter_errors(content))
    if problem is not None:
        where = clean(problem.json_path)
        raise ExternalError(
            f"{name} gave an answer that is not one: {where} breaks the rule {problem.validator}", code="child.answer"
        )
