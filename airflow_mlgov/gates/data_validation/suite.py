"""Reads a suite of Great Expectations, 1.x or 0.x, from JSON, the same in YAML, or a mapping. Refuses what a reader
could take two ways: unknown or repeated keys of the suite, NaN. What is wrong with one expectation is its
own problem."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from airflow_mlgov.data.reading import NAMES
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.data_validation import gx_project, gx_sources, old_suites
from airflow_mlgov.gates.data_validation.expectations import Expectation, Suite
from airflow_mlgov.strict_files import Document, read_json, read_yaml

_SUITE_KEYS = frozenset({"name", "expectations", "suite_parameters", "meta", "notes", "id"})
_EXPECTATION_KEYS = frozenset(
    {"type", "kwargs", "severity", "meta", "notes", "description", "id", "rendered_content", "success_on_last_run"}
    | {"expectation_context"}
)


def load_suite(suite: str | Path | Mapping[str, Any]) -> Suite:
    """The suite in a file or a mapping, with the line of each expectation where it is known; a ``.pbtxt`` file is a
    schema of TensorFlow Data Validation, ``FOLDER:NAME`` what a project of Great Expectations has under this name.

    :raises ConfigurationError: no such file, not JSON or YAML, unknown keys, no list of expectations
    :raises AccessError: the file system refuses to read it
    """
    if isinstance(suite, Mapping):
        try:
            text = json.dumps(suite, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"the suite is not plain JSON data: {error}", code="suite.form") from None
        return _suite("the suite", json.loads(json.dumps(suite)), hashlib.sha256(text.encode()).hexdigest(), None)
    if gx_project.names_project(suite):
        return gx_project.open_project(str(suite)).suite(load_suite)
    path = Path(suite)
    if path.suffix.lower() == ".pbtxt":
        from airflow_mlgov.gates.data_validation.tfdv import load_schema

        return load_schema(path)
    plain = path.suffix.lower() in (".yaml", ".yml")
    read = read_yaml(path, "suite", plain=True) if plain else read_json(path, "suite")
    if not isinstance(read.content, dict):
        raise ConfigurationError(
            f"{path}: a suite is a mapping with an `expectations` list, not {_kind(read.content)}", code="suite.form"
        )
    return replace(_suite(str(path), read.content, read.sha256, read), source=str(suite))


def reading_of(suite: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """What the ``meta`` of a suite says of how csv is read, by the names of
    :class:`airflow_mlgov.data.reading.Reading`, and what a project says of its csv; nothing of a TFDV schema.

    :raises ConfigurationError: no such file, or not JSON or YAML
    :raises AccessError: the file system refuses to read it
    """
    if isinstance(suite, Mapping):
        content: Any = suite
    elif gx_project.names_project(suite):
        return gx_sources.reading_of(gx_project.open_project(str(suite)))
    elif Path(suite).suffix.lower() == ".pbtxt":
        return {}
    elif Path(suite).suffix.lower() in (".yaml", ".yml"):
        content = read_yaml(suite, "suite", plain=True).content
    else:
        content = read_json(suite, "suite").content
    meta = content.get("meta") if isinstance(content, Mapping) else None
    return {name: meta[name] for name in NAMES if name in meta} if isinstance(meta, Mapping) else {}


def _suite(source: str, content: Mapping[str, Any], digest: str, read: Document | None) -> Suite:
    content, converted = old_suites.suite_keys(content)
    _refuse_unknown(source, content, _SUITE_KEYS)
    entries = content.get("expectations")
    if not isinstance(entries, list):
        raise ConfigurationError(
            f"{source} has no `expectations` list; it is where a suite says what to check", code="suite.form"
        )
    parameters = content.get("suite_parameters") or {}
    if not isinstance(parameters, Mapping):
        raise ConfigurationError(
            f"{source}: `suite_parameters` must be a mapping, not {_kind(parameters)}", code="suite.form"
        )
    expectations = []
    parameters = dict(parameters)
    for position, entry in enumerate(entries, start=1):
        where = read.where("expectations", str(position - 1)) if read else source
        expectation, changes = _expectation(f"{where} (expectation {position})", position, entry, parameters)
        expectations.append(expectation)
        converted += [f"expectation {position}: {change}" for change in changes]
    name = str(content.get("name") or source)
    return Suite(name, digest, tuple(expectations), parameters, converted=tuple(converted))


def _expectation(where: str, position: int, entry: Any, parameters: dict[str, Any]) -> tuple[Expectation, list[str]]:
    """An entry, and what was renamed in it."""
    if not isinstance(entry, Mapping):
        raise ConfigurationError(
            f"{where}: an expectation is a mapping with `type` and `kwargs`, not {_kind(entry)}", code="suite.form"
        )
    entry, changes = old_suites.entry_keys(entry)
    unknown = sorted(str(key) for key in entry if key not in _EXPECTATION_KEYS)
    problem = f"unknown key {', '.join(unknown)}; known: {', '.join(sorted(_EXPECTATION_KEYS))}" if unknown else ""
    kwargs = entry.get("kwargs", {})
    if not isinstance(entry.get("type"), str):
        raise ConfigurationError(
            f"{where}: `type` must be the name of an expectation, not {_kind(entry.get('type'))}", code="suite.form"
        )
    if not isinstance(kwargs, Mapping):
        raise ConfigurationError(f"{where}: `kwargs` must be a mapping, not {_kind(kwargs)}", code="suite.form")
    severity = entry.get("severity")
    kind, kwargs, renamed = old_suites.arguments(entry["type"], kwargs, parameters)
    weight = "critical" if severity is None else severity
    return Expectation(position, kind, kwargs, weight, where, problem), [*changes, *renamed]


def _refuse_unknown(where: str, content: Mapping[str, Any], known: frozenset[str]) -> None:
    unknown = sorted(str(key) for key in content if key not in known)
    if unknown:
        raise ConfigurationError(
            f"{where}: unknown key {', '.join(unknown)}; known: {', '.join(sorted(known))}", code="suite.unknown_key"
        )


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
