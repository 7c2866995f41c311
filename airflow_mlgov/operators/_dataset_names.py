"""Datasets, models and targets under the names that OpenLineage's conventions give them, so that they are the same
nodes as those of whoever else writes or reads them. Refuses to show what evidence does not: a user, a password."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from airflow_mlgov.data.files import public_name

if TYPE_CHECKING:
    from airflow_mlgov.governance.policy import Target
    from airflow_mlgov.results import Subject

_SCHEMES = {"postgresql": "postgres", "mariadb": "mysql", "s3a": "s3", "s3n": "s3", "gcs": "gs"}
"""As we write them -> as OpenLineage does."""
_PORTS = {"postgres": 5432, "mysql": 3306, "mssql": 1433, "redshift": 5439, "trino": 8080, "oracle": 1521}
DEFAULT_SCHEMAS = {"postgres": "public", "redshift": "public", "mssql": "dbo"}
_ROWS = re.compile(r"(?P<where>[a-z0-9+]+://.*)#(?P<kind>table|path|query)=(?P<what>.*)", re.DOTALL)
_STORED = re.compile(r"(?:delta|iceberg):(?P<place>.*?)(?:@(?P<version>[^@/]*))?", re.DOTALL)
_PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Node:
    """One node of the lineage graph."""

    namespace: str
    name: str
    kind: str
    """``FILE``, ``TABLE``, ``MODEL`` …: the standard facet's word."""
    version: str | None = None
    sha256: str | None = None
    """Of the bytes or rows that evidence is bound to."""


def node_of(subject: Subject) -> Node | None:
    """What evidence is about, or was computed from, as a node; None if it is neither data nor a model."""
    if subject.kind == "model":
        return model_node(subject.registry or "", subject.name, subject.version, subject.digest)
    if subject.kind not in ("dataset", "feature_registry"):
        return None
    return data_node(subject.name, subject.digest)


def model_node(registry: str, name: str, version: str | None = None, sha256: str | None = None) -> Node:
    """A registered model; its versions are versions of one node."""
    return Node(registry_namespace(registry), name, "MODEL", version, sha256)


def target_nodes(model: Subject, target: Target) -> tuple[Node, ...]:
    """The alias and the stage of a target, each as ``models:/`` spells it, held by a version.

    :param model: what was moved: the copy where the target is one
    """
    names = [f"{model.name}@{target.alias}"] if target.alias else []
    names += [f"{model.name}/{target.stage}"] if target.stage else []
    return tuple(model_node(model.registry or "", name, model.version, model.digest) for name in names)


def registry_namespace(registry: str) -> str:
    """``mlflow://host:port`` for a server; a registry of another kind, or with a name of its own, by that."""
    scheme, separator, rest = registry.partition("://")
    if separator:
        authority, slash, path = re.split("[?#]", rest, maxsplit=1)[0].partition("/")
        rest = f"{authority.rpartition('@')[2]}{slash}{path}"
        registry = f"{scheme}://{rest}"
    if separator and scheme not in ("http", "https"):
        return registry
    return f"mlflow://{rest if separator else registry}".rstrip("/")


def data_node(name: str, sha256: str | None = None) -> Node:
    """A data set, by the name that evidence has for it. A glob is the folder that holds all its files."""
    if rows := _ROWS.fullmatch(name):
        return _rows_node(rows["where"], rows["kind"], rows["what"], sha256)
    if name.startswith(("delta:", "iceberg:")) and (stored := _STORED.fullmatch(name)):
        place = data_node(stored["place"])
        return Node(place.namespace, place.name, "TABLE", stored["version"], sha256)
    if name.startswith("feast:"):
        project, _, service = name.removeprefix("feast:").partition("/")
        return Node(f"feast://{project}", service or project, "FEATURE_SERVICE", None, sha256)
    if "://" not in name:
        return _file_node(name, sha256)
    return _url_node(public_name(name), sha256)


def table_node(url: str, table: str) -> Node:
    """A table, by its database's URL without credentials."""
    return data_node(f"{url}#table={table}")


def _file_node(path: str, sha256: str | None) -> Node:
    if path.endswith((" DataFrame", " Table")):
        return Node("inmemory://", path, "DATAFRAME", None, sha256)
    return Node("file", str(Path(_without_pattern(path)).absolute()), "FILE", None, sha256)


def _url_node(url: str, sha256: str | None) -> Node:
    parts = urlsplit(_without_pattern(url))
    scheme = _SCHEMES.get(parts.scheme, parts.scheme)
    if scheme == "file":
        return _file_node(unquote(parts.path), sha256)
    whole_path = scheme in ("hdfs", "abfs", "abfss", "wasb", "wasbs", "dbfs")
    path = parts.path if whole_path else parts.path.lstrip("/")
    return Node(f"{scheme}://{parts.netloc}", path.rstrip("/") or "/", "FILE", None, sha256)


def _without_pattern(path: str) -> str:
    """To the last folder before a wildcard; all of it if there is none."""
    found = _PATTERN.search(path)
    return path[: path.rfind("/", 0, found.start()) + 1].rstrip("/") or "." if found else path


def _rows_node(where: str, kind: str, what: str, sha256: str | None) -> Node:
    if kind == "path":
        return data_node(what, sha256)
    parts = urlsplit(where)
    dialect = parts.scheme.partition("+")[0]
    scheme = _SCHEMES.get(dialect, dialect)
    database = parts.path.removeprefix("/").replace("/", ".")
    if scheme == "sqlite":
        namespace, names = f"sqlite://{parts.path.removeprefix('/')}", [what]
    elif scheme == "sc":
        namespace, names = f"spark://{parts.netloc.rpartition('@')[2]}", [what]
    elif scheme == "bigquery":
        namespace, names = "bigquery", [*filter(None, (parts.netloc.rpartition("@")[2], database)), what]
    else:
        port = parts.port or _PORTS.get(scheme)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        namespace = f"{scheme}://{host}{f':{port}' if port else ''}"
        schema = [DEFAULT_SCHEMAS[scheme]] if scheme in DEFAULT_SCHEMAS and "." not in what and kind == "table" else []
        names = [*filter(None, [database]), *schema, what]
    if kind == "query":
        return Node(namespace, ".".join([*names[:-1], f"query {what}"]), "QUERY", None, sha256)
    names_its_database = what.count(".") >= (1 if scheme == "mysql" else 2)
    return Node(namespace, what if names_its_database else ".".join(names), "TABLE", None, sha256)
