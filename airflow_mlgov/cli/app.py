"""The command line's tree of commands: each a few lines over the function that the operator calls too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from airflow_mlgov.cli import exceptions, release
from airflow_mlgov.cli.data import data_app
from airflow_mlgov.cli.doctor import doctor
from airflow_mlgov.cli.gate import gate_app
from airflow_mlgov.cli.ledger import ledger_app
from airflow_mlgov.cli.suite import suite_app
from airflow_mlgov.cli.trust import trust_app, vault_policy
from airflow_mlgov.cli.values import path

_HELP = "ML governance: gates, evidence and promotion, as Airflow's operators do them, from a shell."

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False, help=_HELP
)
app.add_typer(gate_app, name="gate")
app.add_typer(suite_app, name="suite")
app.add_typer(data_app, name="data")
_COMMANDS: dict[str, Callable[..., None]] = {
    "promote": release.promote,
    "rollback": release.rollback,
    "reconcile": release.reconcile,
    "verify": release.verify,
    "replay": release.replay,
    "waive": exceptions.waive,
    "break-glass": exceptions.break_glass,
    "obligations": exceptions.obligations,
    "vault-policy": vault_policy,
    "doctor": doctor,
}
for name, command in _COMMANDS.items():
    app.command(name)(command)
app.add_typer(ledger_app, name="ledger")
app.add_typer(trust_app, name="trust")


@app.command()
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
