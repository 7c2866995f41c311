"""``mlgov demo``: the whole story on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from airflow_mlgov.cli.values import path


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything up and print addresses and log-ins.")] = False,
    work_dir: Annotated[
        Path | None,
        typer.Option(parser=path, help="Folder to work in; if omitted, a new temporary one."),
    ] = None,
) -> None:
    """The whole story on this machine: Vault, MLflow, Airflow, and five scenes."""
    from airflow_mlgov.demo.story import run_demo

    raise typer.Exit(run_demo(work_dir, keep))
