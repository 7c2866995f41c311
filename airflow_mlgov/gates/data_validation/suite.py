"""Reads a Great Expectations 1.x suite from JSON, the same in YAML, or a mapping. Refuses what a reader could take
two ways: unknown or repeated keys, NaN, suites of the 0.x format."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from airflow_mlgov.data.files import read_file
from airflow_mlgov.errors import ConfigurationError

_SUITE_KEYS = frozenset({"name", "expectations", "suite_parameters", "meta", "notes", "id"})
_EXPECTATION_KEYS = frozenset(
    {"type", "kwargs", "severity", "meta", "notes", "description", "id", "rendered_content", "success_on_last_run"}
    | {"expectation_context"}
)


@dataclass(frozen=True)
class Expectation:
    """One entry of a suite, as written."""

    position: int
    """From 1, as people count."""
    type: str
    kwargs: Mapping[str, Any]
    severity: Any
    """As written; ``critical`` where nothing is. Not yet known to be one that exists."""
    where: str
    """``suite.json:12 (expectation 3)``."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the expectation needs to be there."""
        if self.type == "expect_column_to_exist":
            return ()
        single = [self.kwargs.get(key) for key in ("column", "column_A", "column_B")]
        several = self.kwargs.get("column_list")
        return tuple(
            name for name in [*single, *(several if isinstance(several, list) else ())] if isinstance(name, str)
        )


@dataclass(frozen=True)
class Suite:
    """A suite and the digest of the bytes it was read from."""

    name: str
    digest: str
    expectations: tuple[Expectation, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What ``{"$PARAMETER": name}`` stands for."""


def load_suite(suite: str | Path | Mapping[str, Any]) -> Suite:
    """The suite in a file or a mapping, with the line of each expectation where it is known; a ``.pbtxt`` file is a
    schema of TensorFlow Data Validation.

    :raises ConfigurationError: no such file, not JSON or YAML, unknown keys, no list of expectations
    :raises AccessError: the file system refuses to read it
    """
    if isinstance(suite, Mapping):
        try:
            text = json.dumps(suite, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"the suite is not plain JSON data: {error}") from None
        return _suite("the suite", json.loads(json.dumps(suite)), hashlib.sha256(text.encode()).hexdigest(), [])
    path = Path(suite)
    if path.suffix.lower() == ".pbtxt":
        from airflow_mlgov.gates.data_validation.tfdv import load_schema

        return load_schema(path)
    raw = read_file(path, "suite")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"the suite {path} cannot be read: {error}") from None
    content = _parse_yaml(path, text) if path.suffix.lower() in (".yaml", ".yml") else _parse_json(path, text)
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}: a suite is a mapping with an `expectations` list, not {_kind(content)}")
    return _suite(str(path), content, hashlib.sha256(raw).hexdigest(), _lines(text))


def _suite(source: str, content: Mapping[str, Any], digest: str, lines: list[int]) -> Suite:
    if "expectation_suite_name" in content or "data_asset_type" in content:
        raise ConfigurationError(
            f"{source} is a suite of Great Expectations 0.x; save it again with 1.x (`name`, `type`)"
        )
    _refuse_unknown(source, content, _SUITE_KEYS)
    entries = content.get("expectations")
    if not isinstance(entries, list):
        raise ConfigurationError(f"{source} has no `expectations` list; it is where a suite says what to check")
    parameters = content.get("suite_parameters") or {}
    if not isinstance(parameters, Mapping):
        raise ConfigurationError(f"{source}: `suite_parameters` must be a mapping, not {_kind(parameters)}")
    expectations = []
    for position, entry in enumerate(entries, start=1):
        line = f":{lines[position - 1]}" if len(lines) == len(entries) else ""
        expectations.append(_expectation(f"{source}{line} (expectation {position})", position, entry))
    return Suite(str(content.get("name") or source), digest, tuple(expectations), dict(parameters))


def _expectation(where: str, position: int, entry: Any) -> Expectation:
    if not isinstance(entry, Mapping):
        raise ConfigurationError(f"{where}: an expectation is a mapping with `type` and `kwargs`, not {_kind(entry)}")
    if "expectation_type" in entry:
        raise ConfigurationError(f"{where}: `expectation_type` is of Great Expectations 0.x; in 1.x it is `type`")
    _refuse_unknown(where, entry, _EXPECTATION_KEYS)
    kwargs = entry.get("kwargs", {})
    if not isinstance(entry.get("type"), str):
        raise ConfigurationError(f"{where}: `type` must be the name of an expectation, not {_kind(entry.get('type'))}")
    if not isinstance(kwargs, Mapping):
        raise ConfigurationError(f"{where}: `kwargs` must be a mapping, not {_kind(kwargs)}")
    if lacking := _asks_nothing(entry["type"], kwargs):
        raise ConfigurationError(f"{where}: {entry['type']} holds whatever the data is: {lacking}")
    severity = entry.get("severity")
    return Expectation(position, entry["type"], dict(kwargs), "critical" if severity is None else severity, where)


_NEEDS_ITEMS = {
    "expect_column_distinct_values_to_contain_set": "value_set",
    "expect_column_values_to_be_in_type_list": "type_list",
    "expect_column_values_to_not_be_in_set": "value_set",
    "expect_table_columns_to_match_ordered_list": "column_list",
}


def _asks_nothing(kind: str, kwargs: Mapping[str, Any]) -> str:
    """What an expectation lacks that Great Expectations passes on any data; empty where it asks for something."""
    if kwargs.get("mostly") == 0:
        return "mostly is 0"
    if kind in _NEEDS_ITEMS and not kwargs.get(_NEEDS_ITEMS[kind]):
        return f"give it a {_NEEDS_ITEMS[kind]} that is not empty"
    if kind == "expect_column_quantile_values_to_be_between":
        ranges = kwargs.get("quantile_ranges")
        empty = not isinstance(ranges, Mapping) or not ranges.get("quantiles")
        return "give it quantile_ranges that are not empty" if empty else ""
    unbounded = kwargs.get("min_value") is None and kwargs.get("max_value") is None
    return "give it a min_value or a max_value" if kind.endswith("_to_be_between") and unbounded else ""


def _refuse_unknown(where: str, content: Mapping[str, Any], known: frozenset[str]) -> None:
    unknown = sorted(str(key) for key in content if key not in known)
    if unknown:
        raise ConfigurationError(f"{where}: unknown key {', '.join(unknown)}; known: {', '.join(sorted(known))}")


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def _parse_json(path: Path, text: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ConfigurationError(f"{path}: the key {', '.join(twice)} is given twice in one object")
        return dict(pairs)

    def no_constant(name: str) -> Any:
        raise ConfigurationError(f"{path}: {name} is not JSON; write a finite number")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=no_constant)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{path}:{error.lineno}: the suite is not JSON: {error.msg}") from None


class _Loader(yaml.SafeLoader):
    """YAML that means what JSON would: ``no`` and ``2024-01-01`` are text, a key may stand once."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own name

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping, refused where a key stands twice (PyYAML would keep the last)."""
        keys = [key.value for key, _ in node.value]
        for position, (key, _) in enumerate(node.value):
            if key.value in keys[:position]:
                raise yaml.constructor.ConstructorError(
                    None, None, f'the key "{key.value}" stands twice', key.start_mark
                )
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:null|~|)$"), ["n", "~", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), ["t", "f"])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9]\d*)$"), list("-0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^-?(?:0|[1-9]\d*)(?:\.\d+(?:[eE][-+]?\d+)?|[eE][-+]?\d+)$"),
    list("-0123456789"),
)


def _construct_float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)


def _parse_yaml(path: Path, text: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader, only stricter
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigurationError(f"{path}{line}: the suite is not YAML that is accepted: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigurationError(f"{path}: the suite is not YAML: {str(error).splitlines()[0]}") from None


def _lines(text: str) -> list[int]:
    """The line of each expectation (JSON is YAML too, but for tabs); empty where it cannot be told."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return []
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
        if key.value == "expectations" and isinstance(value, yaml.SequenceNode):
            return [item.start_mark.line + 1 for item in value.value]
    return []
