"""The data that a project of Great Expectations names, as a source: files that its pandas assets read, tables and
queries of its SQL assets. Refuses, by name, every other kind of data source, asset, batch and option."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlgov.gates.data_validation.gx_project import Asked, listed, section, wrong
from airflow_mlgov.strict_files import read_yaml

if TYPE_CHECKING:
    from airflow_mlgov.data.relation import DataSource

_VARIABLE = re.compile(r"(?<!\\)\$\{([^{}]{1,200})\}|(?<!\\)\$([_a-zA-Z][_a-zA-Z0-9]{0,199})")
_OF_ANY_ASSET = frozenset({"id", "name", "type", "batch_definitions", "batch_metadata", "order_by", "connect_options"})
_PATHS = {"csv": "filepath_or_buffer", "parquet": "path"}
"""Type of an asset of pandas -> the option that names its file."""
_SHOWN = frozenset(
    {"base_directory", "data_context_root_directory", "table_name", "schema_name", "query", *_PATHS.values()}
)
"""Where variables are filled in that evidence and messages show: a secret has no business there."""
_URL = "connection_string"
_SECRET = re.compile(
    "pass|pwd|secret|token|fernet|credential|private|(api|access|signing|_)_?key|^key|dsn|conn|^airflow__|^vault_|^bao_",
    re.IGNORECASE,
)
"""Names of variables whose values are never shown."""
_MOST_FILES = 100_000
_MISSING = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"),
    *("NULL", "NaN", "None", "n/a", "nan", "null"),
)
"""What pandas takes for a missing value if nobody says otherwise."""
_TYPES = {
    **dict.fromkeys(("str", "string", "object"), "text"),
    **{name: name for name in ("int64", "float64")},
    **dict.fromkeys(("bool", "boolean"), "boolean"),
    **{"int": "int64", "float": "float64", "Int64": "int64"},
}


@dataclass(frozen=True)
class Asset:
    """An asset with one of its batch definitions, as the project writes them; variables are filled in."""

    where: str
    source: Mapping[str, Any]
    asset: Mapping[str, Any]
    partitioner: Mapping[str, Any] | None

    @property
    def kind(self) -> str:
        """``pandas_filesystem``, ``postgres`` …."""
        return str(self.source.get("type"))

    @property
    def type(self) -> str:
        """``csv``, ``parquet``, ``table``, ``query``."""
        return str(self.asset.get("type"))


def source_of(asked: Asked) -> DataSource:
    """The data.

    :raises ConfigurationError: it is of a kind that is not served here; no file matches
    """
    asset = _asset(asked)
    if asset.kind in ("pandas", "pandas_filesystem"):
        return _files(asset)
    if "connection_string" in asset.source and asset.type in ("table", "query"):
        return _rows(asset)
    raise wrong(
        f"{asset.where} is of type {asset.kind}/{asset.type}, which is not served here: csv and parquet assets of "
        "pandas and pandas_filesystem are, and tables and queries of SQL data sources with a connection_string; give "
        "the suite's own file and --data instead"
    )


def reading_of(asked: Asked) -> dict[str, Any]:
    """How the project reads csv, by the names of :class:`airflow_mlgov.data.reading.Reading`; nothing of other data.

    :raises ConfigurationError: an option that cannot be taken over
    """
    asset = _asset(asked)
    if asset.type != "csv" or asset.kind not in ("pandas", "pandas_filesystem"):
        return {}
    said = {
        name: value
        for name, value in asset.asset.items()
        if name not in _OF_ANY_ASSET and name != _PATHS["csv"] and (value is not None or name == "header")
    }
    found = dict(_read_as(said, asset.where))
    found.setdefault("missing_values", _MISSING)
    return found


def _read_as(said: dict[str, Any], where: str) -> Iterator[tuple[str, Any]]:
    """Options of pandas -> settings of ours."""
    plain = {"sep": "delimiter", "delimiter": "delimiter", "encoding": "encoding", "decimal": "decimal"}
    plain |= {"thousands": "thousands", "quotechar": "quote"}
    names, header, defaults = said.pop("names", None), said.pop("header", "infer"), said.pop("keep_default_na", True)
    if names is not None:
        yield "header", tuple(map(str, listed(names)))
    elif header is None:
        yield "header", False
    if (header not in ("infer", 0, None)) or (names is not None and header == 0):
        raise _unserved(where, "header", header)
    for name, value in said.items():
        if name in plain and isinstance(value, str):
            yield plain[name], value
        elif name == "na_values":
            more = value if isinstance(value, list) else [value]
            yield "missing_values", tuple(dict.fromkeys([*(_MISSING if defaults else ("",)), *map(str, more)]))
        elif name == "dtype" and isinstance(value, Mapping) and all(kind in _TYPES for kind in value.values()):
            yield "types", {str(column): _TYPES[kind] for column, kind in value.items()}
        else:
            raise _unserved(where, name, value)
    if not defaults and "na_values" not in said:
        yield "missing_values", ()


def _unserved(where: str, name: str, value: Any) -> Exception:
    return wrong(
        f"{where} reads csv with {name}={value!r}, which is not served here: sep, encoding, decimal, thousands, "
        "quotechar, header, names, na_values, keep_default_na and a dtype by column are"
    )


def _files(asset: Asset) -> DataSource:
    from airflow_mlgov.data.file_tables import Files

    if asset.type not in _PATHS:
        raise wrong(f"{asset.where} is a {asset.type} asset; csv and parquet are served here")
    option = _PATHS[asset.type]
    if asset.type == "parquet":
        other = sorted(set(asset.asset) - _OF_ANY_ASSET - {option, "engine"})
        if other:
            raise wrong(f"{asset.where} reads parquet with {', '.join(other)}, which is not served here")
    if asset.kind == "pandas":
        return Files(str(_absolute(asset, asset.asset.get(option))))
    base = _absolute(asset, asset.source.get("base_directory"))
    return Files(str(_newest(asset, base)))


def _absolute(asset: Asset, path: Any) -> Path:
    """As Great Expectations reads it: relative to where it is called, unless the project says to what."""
    if not isinstance(path, str) or not path:
        raise wrong(f"{asset.where} names no file")
    return Path(str(asset.source.get("data_context_root_directory") or ".")) / path


def _newest(asset: Asset, base: Path) -> Path:
    """The file that a batch definition means: the last one by what its expression names."""
    partitioner = asset.partitioner or {}
    expression, names = partitioner.get("regex"), [str(name) for name in listed(partitioner.get("param_names"))]
    options = section(asset.asset.get("connect_options") or {}, f"{asset.where}: connect_options")
    if not isinstance(expression, str) or options.get("glob_directive", "**/*") != "**/*":
        raise wrong(
            f"{asset.where} names files in a way that is not served here: a path, or a regex, by year, month or day is"
        )
    found = _matching(_listed(asset, base), expression, names, asset.where)
    if not found:
        raise wrong(f"no file in {base} matches {expression!r} of {asset.where}")
    ordered = sorted(found, reverse=not partitioner.get("sort_ascending", True))
    return base / ordered[-1][1]


def _listed(asset: Asset, base: Path) -> list[str]:
    found: list[str] = []
    for folder, _, files in os.walk(base):
        found += [Path(folder, name).relative_to(base).as_posix() for name in files]
        if len(found) > _MOST_FILES:
            raise wrong(f"{base} of {asset.where} holds more than {_MOST_FILES:,} files")
    return found


def _matching(paths: list[str], expression: str, names: list[str], where: str) -> list[tuple[tuple[str, ...], str]]:
    """What an expression names in each path that it matches from its beginning; DuckDB's expressions take time that
    grows with the text alone."""
    import duckdb

    try:
        groups = re.compile(expression).groupindex
        at = [groups[name] for name in names]
    except (re.error, KeyError, RecursionError, OverflowError):
        raise wrong(f"{where}: {expression!r} is no regular expression with the groups {', '.join(names)}") from None
    anchored = f"^(?:{expression})"
    named = "".join(f", regexp_extract(path, $expression, {number})" for number in at)
    query = (
        f"SELECT path{named} FROM (SELECT unnest($paths::VARCHAR[]) AS path) WHERE regexp_matches(path, $expression)"  # noqa: S608
    )
    try:
        with duckdb.connect() as connection:
            rows = connection.execute(query, {"paths": paths, "expression": anchored}).fetchall()
    except duckdb.Error:
        raise wrong(f"{where}: {expression!r} is not of a kind that is served here (RE2)") from None
    return [(tuple(values), path) for path, *values in rows]


def _rows(asset: Asset) -> DataSource:
    from airflow_mlgov.data.database import SqlSource

    url = asset.source["connection_string"]
    if not isinstance(url, str):
        raise wrong(f"{asset.where}: its connection_string is no URL of SQLAlchemy, which alone is served here")
    if asset.partitioner:
        raise wrong(
            f"{asset.where} takes batches by {asset.partitioner.get('method_name', 'a partitioner')}, which is not "
            "served here: name a batch definition of the whole table, or a query asset"
        )
    extra = sorted(name for name in ("kwargs", "create_temp_table") if asset.source.get(name))
    if extra and extra != ["create_temp_table"]:
        raise wrong(f"{asset.where}: the data source has {extra[-1]}, which is not served here")
    if asset.type == "query":
        return SqlSource(url, query=str(asset.asset.get("query") or ""))
    parts = [asset.asset.get("schema_name"), asset.asset.get("table_name")]
    return SqlSource(url, ".".join(str(part) for part in parts if part))


def _asset(asked: Asked) -> Asset:
    """What the names mean, with the variables filled in."""
    name, asset_name, batch = asked.data
    config, file = asked.project.config, asked.project.document.source
    sources = section(config.get("fluent_datasources") or {}, f"{file}: fluent_datasources")
    source = _one(sources, name, f"{file}: fluent_datasources")
    where = f"the asset {asset_name!r} of the data source {name!r}"
    asset = _one(section(source.get("assets") or {}, where), asset_name, where)
    found = _one(section(asset.get("batch_definitions") or {}, where), batch, f"{where}: batch_definitions")
    partitioner = _plain(found.get("partitioner"), f"{where}: partitioner")
    variables = _variables(asked)
    return Asset(
        where,
        {key: _part(key, value, variables, f"{file}: {name}") for key, value in source.items() if key != "assets"},
        {key: _part(key, value, variables, where) for key, value in asset.items() if key != "batch_definitions"},
        None if partitioner is None else section(partitioner, where),
    )


def _one(sections: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    if name not in sections:
        raise wrong(f"{where}: there is no {name!r}")
    return section(sections[name] or {}, f"{where}: {name}")


def _variables(asked: Asked) -> dict[str, Any]:
    """Those of the project's file, and those of the environment, which go before."""
    file = asked.project.config.get("config_variables_file_path")
    said: Mapping[str, Any] = {}
    if isinstance(file, str) and file:
        path = asked.project.folder / str(_filled(file, os.environ, "config_variables_file_path"))
        if path.is_file():
            said = section(read_yaml(path, "variables", plain=True).content or {}, str(path))
    return {**{name: _VARIABLE.sub(_of_environment, str(value)) for name, value in said.items()}, **os.environ}


def _of_environment(match: re.Match[str]) -> str:
    return os.environ.get(match[1] or match[2], match[0])


def _part(key: str, value: Any, variables: Mapping[str, Any], where: str) -> Any:
    """A part of a data source or an asset, with its variables filled in if it is one that takes them."""
    where = f"{where}: {key}"
    if key == _URL:
        return _without_secrets(_filled(value, variables, where), _secrets_in(value, variables), where)
    if key not in _SHOWN:
        return _plain(value, where)
    secret = next(iter(_secrets_in(value, variables)), None)
    if secret is not None:
        raise _shown(where, secret)
    return _filled(value, variables, where)


def _secrets_in(value: Any, variables: Mapping[str, Any]) -> dict[str, str]:
    """Name of each variable in a text that is a secret -> its value."""
    names = [match[1] or match[2] for match in _VARIABLE.finditer(value)] if isinstance(value, str) else []
    return {name: str(variables.get(name) or "") for name in names if _SECRET.search(name)}


def _without_secrets(url: Any, secrets: Mapping[str, str], where: str) -> Any:
    """A URL that has secrets as user, password or options alone."""
    from airflow_mlgov.urls import database_url

    parsed = database_url(url) if isinstance(url, str) else None
    shown = (parsed.host or "", str(parsed.port or ""), parsed.database or "") if parsed is not None else ()
    for name, value in secrets.items():
        if value and any(value in part for part in shown):
            raise _shown(where, name)
    return url


def _shown(where: str, name: str) -> Exception:
    return wrong(
        f"{where} has ${name}, which is a secret by its name, where evidence and messages would show it: give what is "
        "to be seen under another name"
    )


def _plain(value: Any, where: str) -> Any:
    """A part that takes no variables: its values are shown, or decide how data is read.

    :raises ConfigurationError: there is one in it
    """
    if isinstance(value, Mapping):
        return {key: _plain(item, where) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, where) for item in value]
    if not isinstance(value, str):
        return value
    match = _VARIABLE.search(value)
    if match is not None:
        raise wrong(f"{where} has {match[0]}, and no variable is filled in there: write the value")
    return value.replace(r"\$", "$")


def _filled(value: Any, variables: Mapping[str, Any], where: str) -> Any:
    """``${NAME}`` and ``$NAME`` in a text replaced by their values, once."""
    if not isinstance(value, str):
        return value

    def known(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in variables:
            raise wrong(f"{where}: ${name} has no value, neither in the environment nor in the project's variables")
        return str(variables[name])

    text = _VARIABLE.sub(known, value)
    if text.startswith("secret|"):
        raise wrong(f"{where}: a value is in a secret store, which is not asked here: give it in the environment")
    return text.replace(r"\$", "$")
