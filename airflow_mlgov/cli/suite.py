"""``mlgov suite``: suites of expectations, for people to edit."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from airflow_mlgov.cli.common import print_json, say
from airflow_mlgov.cli.configured import data_at
from airflow_mlgov.cli.values import path
from airflow_mlgov.errors import AccessError, ConfigurationError

suite_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Suites of expectations for the data gate.")


@suite_app.callback()
def suite() -> None:
    """Keeps ``propose`` a command of its own though it is the only one."""


def propose(**given: Any) -> None:
    """Draft a Great Expectations suite from trusted data; edit it before you use it."""
    from airflow_mlgov.cli.options import csv_settings_of
    from airflow_mlgov.gates.data_validation.propose import propose_suite

    reading, out = csv_settings_of(given).reading, given["out"]
    draft = propose_suite(data_at(given["data"]), name=given["name"], types=given["types"], reading=reading)
    if out is None:
        print_json(draft)
        return
    text = json.dumps(draft, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigurationError(
            f"{out} exists, and somebody may have edited it: write to another file", code="file.exists"
        ) from None
    except PermissionError:
        raise AccessError(f"may not write {out}: permission denied", code="file.refused") from None
    except OSError as error:
        raise ConfigurationError(f"cannot write {out}: {error.strerror or error}", code="file.not_writable") from None
    say(f"{len(draft['expectations'])} expectations in {out}: a draft, read and edit every line", to=sys.stderr)


def _with_options() -> None:
    from airflow_mlgov.cli.options import csv_parameters

    keyword = inspect.Parameter.KEYWORD_ONLY
    own = {
        "data": Annotated[
            str, typer.Option("--data", help="csv or parquet file, a glob or a folder, that is trusted.")
        ],
        "out": Annotated[
            Path | None, typer.Option("--out", parser=path, help="File to write; if omitted, stdout. Not overwritten.")
        ],
        "name": Annotated[str | None, typer.Option("--name", help="Name of the suite.")],
        "types": Annotated[bool, typer.Option("--types", help="Also pin pandas' types; slower to evaluate.")],
    }
    defaults: dict[str, Any] = {"data": inspect.Parameter.empty, "types": False}
    parameters = [
        inspect.Parameter(name, keyword, default=defaults.get(name), annotation=kind) for name, kind in own.items()
    ]
    parameters += csv_parameters()
    propose.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    propose.__annotations__ = {item.name: item.annotation for item in parameters}


_with_options()
suite_app.command("propose")(propose)
