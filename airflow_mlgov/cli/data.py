"""``mlgov data``: what a data set is read as, before a gate reads it."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer

from airflow_mlgov.cli.common import AsJson, print_json, say
from airflow_mlgov.cli.configured import data_at

data_app = typer.Typer(no_args_is_help=True, help="Data sets, and how they are read.")


@data_app.callback()
def data() -> None:
    """Keeps ``describe`` a command of its own though it is the only one."""


def describe(**given: Any) -> None:
    """Columns, types as read, missing values, and what stands in the way of a number; drafts a declaration of types."""
    from airflow_mlgov.cli.options import csv_settings_of
    from airflow_mlgov.data.database import SqlSource
    from airflow_mlgov.data.description import as_text
    from airflow_mlgov.data.description import describe as described

    name, table, query = (given[option] for option in ("data", "table", "query"))
    source = data_at(name) if table is None and query is None else SqlSource(name, table=table, query=query)
    found = described(source, csv_settings_of(given).reading)
    if given["as_json"]:
        print_json(found.as_dict())
        return
    say(*as_text(found).splitlines())
    if found.draft:
        say("", "The declaration of this reading, for a gate's section of the policy or a suite's meta:", "")
        say(*found.draft.splitlines())


def _with_options() -> None:
    from airflow_mlgov.cli.options import csv_parameters

    keyword = inspect.Parameter.KEYWORD_ONLY
    own = {
        "data": Annotated[
            str, typer.Argument(metavar="DATA", help="csv or parquet file, a folder, a glob, or a SQLAlchemy URL.")
        ],
        "table": Annotated[str | None, typer.Option("--table", help="Table, if DATA is a SQLAlchemy URL.")],
        "query": Annotated[str | None, typer.Option("--query", help="SELECT, if DATA is a SQLAlchemy URL.")],
    }
    defaults: dict[str, Any] = {"data": inspect.Parameter.empty}
    parameters = [
        inspect.Parameter(name, keyword, default=defaults.get(name), annotation=kind) for name, kind in own.items()
    ]
    parameters += [*csv_parameters(), inspect.Parameter("as_json", keyword, default=False, annotation=AsJson)]
    describe.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    describe.__annotations__ = {item.name: item.annotation for item in parameters}


_with_options()
data_app.command("describe")(describe)
