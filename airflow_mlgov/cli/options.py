"""The options of ``mlgov gate NAME``, made from the gate: its settings, what every gate is given, and how a result is
recorded and reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import Parameter
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import typer

from airflow_mlgov.cli.common import AsJson, DecisionLog, Environment, RegistryUri
from airflow_mlgov.cli.values import number, path, whole
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.protocol import CsvSettings, GateSettings, Option, mark_of, shown_default

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from airflow_mlgov.gates.protocol import Gate

_OF_EVERY_GATE = frozenset(GateSettings.model_fields)
SETTING = "setting_"
"""Before a setting's name, so that it is nobody else's."""


def _text(flag: str, help_text: str) -> Any:
    return Annotated[str | None, typer.Option(flag, help=help_text)]


def _path(flag: str, help_text: str) -> Any:
    return Annotated[Path | None, typer.Option(flag, parser=path, help=help_text)]


_DATA = {
    "data": Annotated[
        str,
        typer.Option(
            "--data",
            help="File (csv, tsv, jsonl, parquet, Arrow), folder, glob, URL, delta: or iceberg: table, SQLAlchemy URL, "
            "or sc://host:15002 of Spark Connect (sc://host:15002#PATH of a path that Spark reads).",
        ),
    ],
    "table": _text("--table", "Table, if --data is a SQLAlchemy URL or Spark's."),
    "query": _text("--query", "SELECT, if --data is a SQLAlchemy URL or Spark's."),
}
_BASELINE = {
    "baseline": _text("--baseline", "The champion's rows, in columns of the same names."),
    "baseline_table": _text("--baseline-table", "Table with them, in the database of --baseline, or of --data."),
    "baseline_query": _text("--baseline-query", "SELECT that gives them, in the database of --baseline, or of --data."),
}
_MODEL = {"model": _text("--model", "models:/name/7 that the result is about.")}
_FOR_MODEL = {
    "model": _text("--model", "Registered model that the data is for."),
    "target": Annotated[str, typer.Option("--target", help="Whose champion is meant.")],
    "trust": _path("--trust", "Trust root, to find the champion's data."),
}
_RECORDING = {
    "registry": RegistryUri,
    "policy": _path("--policy", "Governance policy; if a model is named, MLGOV_POLICY or [mlgov] policy if omitted."),
    "record": Annotated[bool, typer.Option("--record", help="Record the evidence in the ledger of [mlgov].")],
    "ledger": _text("--ledger", "SQLAlchemy URL, or conn:ID of Airflow's: record the evidence there."),
    "sign": _text("--sign", "local:PATH or vault:KEY (VAULT_ADDR, VAULT_TOKEN)."),
    "environment": Environment,
    "as_json": AsJson,
    "what_if": Annotated[bool, typer.Option("--what-if", help="Out of curiosity: it makes no decision better.")],
    "junit": _path("--junit", "File for a JUnit report, as CI systems read it."),
    "markdown": _path("--markdown", "File for a report in Markdown."),
    "sarif": _path("--sarif", "File for a report in SARIF, as code scanners show it."),
    "report_dir": _text("--report-dir", "Folder for an HTML report."),
}
_DEFAULTS = {
    "data": Parameter.empty,
    "target": "production",
    "record": False,
    "as_json": False,
    "what_if": False,
}


def parameters_of(gate: Gate[Any]) -> list[Parameter]:
    """The parameters of the gate's command."""
    options = dict(_DATA) if gate.reads else {}
    for name, info in gate.Settings.model_fields.items():
        options[SETTING + name] = _of_setting(name, info)
    if gate.metrics:
        flag = typer.Option("--bound", help=f"Such as '{next(iter(gate.metrics))}>=0.75'. Repeatable.")
        options["bound"] = Annotated[list[str] | None, flag]
    if gate.compares:
        options |= _BASELINE
    options |= _FOR_MODEL if gate.about == "dataset" else _MODEL
    if gate.about == "pipeline":
        options["decision_log"] = DecisionLog
    defaults = _DEFAULTS | ({"data": None} if gate.names_data else {})
    return [
        Parameter(name, Parameter.KEYWORD_ONLY, default=defaults.get(name), annotation=option)
        for name, option in (options | _RECORDING).items()
    ]


def csv_parameters() -> list[Parameter]:
    """The options that say how csv is read."""
    fields = CsvSettings.model_fields
    made = {SETTING + name: _of_setting(name, info) for name, info in fields.items() if name not in _OF_EVERY_GATE}
    return [Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=option) for name, option in made.items()]


def csv_settings_of(given: Mapping[str, Any]) -> CsvSettings:
    """What the command line says of how csv is read.

    :raises ConfigurationError: it is not what it should be
    """
    return CsvSettings.read(_said(CsvSettings, given), "the command line")


def settings_of(gate: Gate[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What the command line says of the gate's settings; what it does not say is left out.

    :raises ConfigurationError: a pair without its sign, or a file that does not hold
    :raises AccessError: a file may not be read
    """
    return _said(gate.Settings, given)


def _said(settings: type[GateSettings], given: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: given.get(SETTING + name) for name in settings.model_fields}
    return {
        name: _value(settings.model_fields[name], flag_of(name, settings.model_fields[name]), value)
        for name, value in said.items()
        if not (value is None or value is False or value == [])
    }


def flag_of(name: str, info: FieldInfo) -> str:
    """``--its-name``, or what it is called instead."""
    mark = mark_of(info, Option)
    return "--" + ((mark.name.lstrip("-") if mark else "") or name.replace("_", "-"))


def _of_setting(name: str, info: FieldInfo) -> Any:
    kind, mark = _kind(info.annotation), mark_of(info, Option)
    text = f"{str(info.description)[0].upper()}{str(info.description)[1:]}{shown_default(info)}."
    metavar = None
    if kind == "words":
        metavar = "|".join(_words(info.annotation))
    elif kind == "pairs":
        metavar = "FILE" if mark and mark.file else (mark.example if mark and mark.example else "NAME=VALUE")
    repeated = kind == "several" or (kind == "pairs" and not (mark and mark.file))
    python = {"number": float, "count": int, "yes": bool}.get(kind, str)
    checked: Any = {"number": number, "count": whole}.get(kind)
    said = f"{text} Repeatable." if repeated else text
    flag = typer.Option(flag_of(name, info), help=said, metavar=metavar, parser=checked)
    return Annotated[list[str] | None if repeated else python | None, flag]


def _kind(annotation: Any) -> str:
    """What a setting holds, as a shell can say it."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(parts[0])
    if origin in (Union, UnionType):
        kinds = [_kind(part) for part in parts if part is not type(None)]
        return kinds[0] if len(set(kinds)) == 1 else "text"
    if origin is Literal:
        return "words"
    if origin is tuple:
        return "several"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "pairs"
    return {bool: "yes", int: "count", float: "number"}.get(annotation, "text")


def _words(annotation: Any) -> Sequence[str]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return next((found for part in get_args(annotation) if (found := _words(part))), ())


def _value(info: FieldInfo, flag: str, value: Any) -> Any:
    mark = mark_of(info, Option)
    if mark is not None and mark.file:
        return read_mapping(value, flag.lstrip("-"))
    return _pairs(flag, value, mark, info.annotation) if _kind(info.annotation) == "pairs" else value


def _pairs(flag: str, given: Sequence[str], mark: Option | None, annotation: Any) -> Any:
    """``NAME=VALUE``, or ``NAME=A,B`` of a setting with several values for each name, or then a ``NAME`` alone."""
    several = "tuple" in str(annotation)
    pairs = [text.partition("=") for text in given]
    wrong = [text for text, (name, _, value) in zip(given, pairs, strict=True) if not name or not (value or several)]
    if wrong:
        example = mark.example if mark and mark.example else "NAME=VALUE"
        raise ConfigurationError(f"{flag} must look like {example}, not {wrong[0]!r}", code="option.pair")
    if not several:
        return {name: value for name, _, value in pairs}
    if not any(value for _, _, value in pairs):
        return [name for name, _, _ in pairs]
    return {name: value.split(",") if value else None for name, _, value in pairs}


def read_mapping(path: str | Path, what: str) -> dict[str, Any]:
    """The mapping in a YAML or JSON file.

    :param what: what it is, for messages: ``checks``
    :raises ConfigurationError: no such file, neither YAML nor JSON, no mapping, or a key that stands twice
    :raises AccessError: the file system refuses to read it
    """
    from airflow_mlgov.strict_files import read_yaml

    content = read_yaml(path, what).content
    if not isinstance(content, dict):
        raise ConfigurationError(f"the {what} {path} must map names to their settings", code="file.no_mapping")
    return content
