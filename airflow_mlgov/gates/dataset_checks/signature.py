"""Holds a dataset against the inputs that a model's signature names: columns, types, what may be missing. Reads the
signature as text; nothing of the model is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from airflow_mlgov.data.names import missing_columns_text
from airflow_mlgov.data.quoting import identifier
from airflow_mlgov.errors import AccessError, ConfigurationError
from airflow_mlgov.gates.dataset_checks.settings import severity_of, text_of
from airflow_mlgov.gates.dataset_checks.workbench import Workbench
from airflow_mlgov.results import Check, Outcome, Severity, Subject
from airflow_mlgov.strict_files import parse_yaml

_LIMIT = 1_000_000

_SMALL = ("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT")
_TYPES = {
    "boolean": ("BOOLEAN",),
    "integer": _SMALL,
    "long": (*_SMALL, "UINTEGER", "BIGINT"),
    "float": ("FLOAT",),
    "double": (*_SMALL, "UINTEGER", "FLOAT", "DOUBLE"),
    "string": ("VARCHAR",),
    "datetime": ("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"),
    "binary": ("BLOB",),
}
"""MLflow's type -> what it takes without a loss, as its own schema enforcement does."""

_TEXT_TYPES = {
    "integer": ("BIGINT",),
    "float": ("BIGINT", "DOUBLE"),
    "double": ("BIGINT", "DOUBLE"),
    "string": ("BOOLEAN", "BIGINT", "DOUBLE", "VARCHAR"),
}
"""The same for csv, where a reader chooses the width, and digits may be text."""

_NO_MISSING = ("boolean", "integer", "long")
"""pandas turns such a column with missing values into floats or objects, which MLflow then refuses."""


@dataclass(frozen=True)
class SchemaSettings:
    """``checks.schema``."""

    model: str
    """An MLflow model's folder, its ``MLmodel``, a JSON file with the signature, or ``models:/name/7``."""
    severity: Any = Severity.CRITICAL

    def __post_init__(self) -> None:
        text_of("model", self.model)
        severity_of(self.severity)


@dataclass(frozen=True)
class InputColumn:
    """One input of a model."""

    name: str
    type: str
    """MLflow's word: ``double``, ``long``, ``string`` …"""
    required: bool = True


@dataclass(frozen=True)
class Signature:
    """A model's inputs, and the digest of the file that names them."""

    inputs: tuple[InputColumn, ...]
    subject: Subject


def read_signature(path: str | Path, name: str | None = None) -> Signature:
    """The signature in an MLflow model's folder, its ``MLmodel``, or a JSON file (``{"inputs": [...]}``).

    :param name: how evidence names it; the path if omitted
    :raises ConfigurationError: no such file, no signature in it, or one of tensors or without names
    :raises AccessError: the file system refuses to read it
    """
    file = Path(path) / "MLmodel" if Path(path).is_dir() else Path(path)
    shown = name or str(path)
    try:
        if not file.is_file():
            raise FileNotFoundError
        with file.open("rb") as stream:
            raw = stream.read(_LIMIT + 1)
    except PermissionError:
        raise AccessError(f"may not read {shown}: permission denied", code="file.refused") from None
    except OSError:
        raise ConfigurationError(
            f"{shown} holds no signature: there is no file {file.name}", code="file.missing"
        ) from None
    if len(raw) > _LIMIT:
        raise ConfigurationError(
            f"{shown} holds no signature: {file.name} is larger than {_LIMIT} bytes", code="file.too_large"
        )
    return Signature(_inputs(shown, _parse(shown, raw)), Subject("signature", shown, sha256(raw).hexdigest()))


def check_schema(bench: Workbench, signature: Signature, severity: Severity = Severity.CRITICAL) -> list[Check]:
    """A check for each input of the model, and one, for information, of the columns that are no input."""
    named = {column.name for column in signature.inputs}
    extra = [name for name in bench.types if name not in named]
    checks = [_judge(bench, column, severity) for column in signature.inputs]
    detail = f"columns that the model does not read: {', '.join(extra)}" if extra else ""
    return [*checks, Check("schema_extra_columns", Outcome.PASS, len(extra), None, Severity.INFO, detail)]


def _judge(bench: Workbench, column: InputColumn, severity: Severity) -> Check:
    label, kind = f"schema({column.name})", bench.types.get(column.name)
    bound = column.type if column.required else f"{column.type}, optional"
    if kind is None:
        outcome = Outcome.FAIL if column.required else Outcome.PASS
        missing = missing_columns_text(list(bench.types), [column.name])
        detail = f"there is no column {missing}" if column.required else "the optional column is not there"
        return Check(label, outcome, None, bound, severity, detail)
    if column.type not in _TYPES:
        detail = f"columns of type {column.type} are not judged: leave the schema check out"
        return Check(label, Outcome.ERROR, kind, bound, severity, detail)
    problem = _problem(bench, column, kind)
    return Check(label, Outcome.FAIL if problem else Outcome.PASS, kind, bound, severity, problem)


def _problem(bench: Workbench, column: InputColumn, kind: str) -> str:
    """Why the column is not what the model takes; empty where it is."""
    name, is_text = identifier(column.name), bench.is_text
    allowed = (*_TYPES[column.type], *(_TEXT_TYPES.get(column.type, ()) if is_text else ()))
    (rows, given) = bench.row(f"SELECT count(*), count({name}) FROM data")  # noqa: S608 - quoted
    if is_text and not given:
        return "it holds no value at all" if rows else ""
    if is_text and column.type == "datetime":
        (read,) = bench.row(f"SELECT count(try_cast({name} AS TIMESTAMPTZ)) FROM data")  # noqa: S608 - quoted
        return "" if read == given else f"{given - read} of {given} values are no timestamps"
    if kind not in allowed:
        return f"it is {kind}, and the model takes {column.type}: convert it, or train the model on this type"
    if is_text and column.type == "integer":
        (wide,) = bench.row(f"SELECT count(*) FROM data WHERE {name} NOT BETWEEN -2147483648 AND 2147483647")  # noqa: S608
        return f"{wide} values do not fit into 32 bits" if wide else ""
    if column.type in _NO_MISSING and given < rows:
        return (
            f"{rows - given} of {rows} values are missing, and the model takes none missing in a {column.type} column"
        )
    return ""


def _parse(shown: str, raw: bytes) -> Any:
    try:
        return parse_yaml(raw.decode("utf-8"), shown, "signature")  # JSON is YAML too
    except (ConfigurationError, UnicodeDecodeError):
        raise ConfigurationError(
            f"{shown} holds no signature: it is neither JSON nor YAML", code="signature.unreadable"
        ) from None


def _inputs(shown: str, content: Any) -> tuple[InputColumn, ...]:
    signature = content.get("signature", content) if isinstance(content, Mapping) else None
    inputs = signature.get("inputs") if isinstance(signature, Mapping) else None
    try:
        listed = json.loads(inputs) if isinstance(inputs, str) else inputs
    except ValueError:
        listed = None
    if not isinstance(listed, list) or not listed:
        raise ConfigurationError(
            f"{shown} names no inputs: log the model with a signature (mlflow infer_signature)",
            code="signature.no_inputs",
        )
    columns = tuple(_column(shown, item) for item in listed)
    if len({column.name for column in columns}) < len(columns):
        raise ConfigurationError(f"{shown} names an input twice", code="column.twice")
    return columns


def _column(shown: str, item: Any) -> InputColumn:
    kind, name = (item.get("type"), item.get("name")) if isinstance(item, Mapping) else (None, None)
    if not isinstance(kind, str) or not isinstance(name, str) or kind == "tensor":
        raise ConfigurationError(
            f"{shown} has a signature of tensors or of columns without names; a table needs names",
            code="signature.no_inputs",
        )
    required = item.get("required", not item.get("optional", False))
    return InputColumn(name, kind, bool(required))
