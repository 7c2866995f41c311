"""A gate operator's arguments, made from the gate: what every gate is given, and its own settings by name."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from textwrap import wrap
from types import GenericAlias, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from airflow_mlgov.gates.protocol import shown_default

if TYPE_CHECKING:
    from airflow_mlgov.gates.protocol import Gate

_WIDTH = 116


@dataclass(frozen=True)
class Argument:
    """One keyword argument."""

    name: str
    description: str
    annotation: Any = str | None
    default: Any = None
    """``inspect.Parameter.empty`` if it must be given."""
    templated: bool = True

    def as_parameter(self) -> inspect.Parameter:
        """As a signature shows it."""
        kind = inspect.Parameter.KEYWORD_ONLY
        return inspect.Parameter(self.name, kind, default=self.default, annotation=self.annotation)


_MODEL = Argument(
    "model",
    "the version that is judged: models:/name/7, models:/name@alias, or the XCom of RegisterModelOperator. It only "
    "names the subject",
    str | Mapping[str, Any],
    inspect.Parameter.empty,
)
_ALSO_MODEL = Argument(
    "model",
    "the version that the evidence is about: models:/name/7 or the XCom of RegisterModelOperator, so that a promotion "
    "can require it; the pipeline alone if omitted",
    str | Mapping[str, Any] | None,
)
_FOR_MODEL = Argument(
    "model",
    "name of the registered model (or models:/name/7) that the data is for: what the policy says of its gates applies",
)
_TARGET = Argument("target", "whose champion is meant, where something is compared with it", str, "production")
_SOURCE = (
    Argument(
        "data",
        "path, folder or glob of files (csv, tsv, JSON lines, parquet, Arrow, also packed), a URL of them, also with "
        "an Airflow connection (s3://conn_id@bucket/key), delta:PLACE@VERSION or iceberg:PLACE@SNAPSHOT; with conn_id "
        "a path that Spark reads; omit it for a table or a query",
    ),
    Argument(
        "conn_id",
        "Airflow connection of a database, with table or query: postgres, sqlite, or any type whose hook gives a "
        "SQLAlchemy engine (mysql, snowflake, gcpbigquery, databricks, trino and the like); or spark_connect, with "
        "table, query or data",
        templated=False,
    ),
    Argument("table", "name of the table in it"),
    Argument("query", "a SELECT over it"),
    Argument(
        "vault_database_role",
        "role of Vault's database engine: user and password are then made for this task and revoked at its end, and "
        "the connection needs neither",
        templated=False,
    ),
)
_BASELINE = (
    Argument(
        "baseline",
        "path of the champion's rows, in columns of the same names, for bounds that end in _vs_champion; in a database "
        "baseline_table or baseline_query; beside data in Spark, a path or a table there",
    ),
    Argument("baseline_table", "name of the table with the champion's rows, by conn_id too"),
    Argument("baseline_query", "a SELECT that gives them, by conn_id too"),
)
_BOUNDS = Argument(
    "bounds",
    "metric -> {min, max}; may tighten the governance policy's, never loosen them",
    Mapping[str, Mapping[str, Any]] | None,
)
_REPORT = Argument("report_dir", "folder for a self-contained HTML report")


def arguments_of(gate: Gate[Any]) -> tuple[Argument, ...]:
    """What every gate of this kind is given, without its own settings."""
    found = [_FOR_MODEL if gate.about == "dataset" else _MODEL if gate.about == "model" else _ALSO_MODEL]
    if gate.reads:
        found += _SOURCE
    if gate.about == "dataset":
        found.append(_TARGET)
    if gate.compares:
        found += _BASELINE
    if gate.metrics:
        found.append(_BOUNDS)
    return (*found, _REPORT)


def settings_of(gate: Gate[Any]) -> Iterator[Argument]:
    """The gate's own settings; None stands for the policy's value, or else for the default."""
    for name, info in gate.Settings.model_fields.items():
        yield Argument(name, f"{info.description}{shown_default(info)}", _plain(info.annotation) | None)


def _plain(annotation: Any) -> Any:
    """A type as a person would write it, without what pydantic was told beside it."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _plain(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return reduce(or_, map(_plain, get_args(annotation)))
    if origin in (None, Literal):
        return annotation
    parts = tuple(_plain(part) for part in get_args(annotation) if part is not Ellipsis)
    return GenericAlias(Sequence if origin is tuple else origin, parts)


def described(arguments: Mapping[str, Argument]) -> str:
    """The arguments as ``:param x:`` lines, for a class docstring of one indentation."""
    lines: list[str] = []
    for name, argument in arguments.items():
        first, *rest = wrap(f":param {name}: {argument.description}", _WIDTH - 4)
        lines += [first, *(f"    {line}" for line in rest)]
    return "".join(f"    {line}\n" for line in lines)
