"""``mlgov sinks``: the audit trail, delivered where others look."""

from __future__ import annotations

import typer

from airflow_mlgov.cli.common import AsJson, LedgerUrl, print_json, say
from airflow_mlgov.cli.configured import from_environment, ledger_at, password_of
from airflow_mlgov.errors import DependencyError

sinks_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The audit trail where others look.")


@sinks_app.command("deliver")
def sinks_deliver(ledger: LedgerUrl, as_json: AsJson = False) -> None:
    """Hand every sink of [mlgov] sinks what was recorded since the last time; exit code 4 if one is down."""
    from airflow_mlgov.sinks.delivery import deliver
    from airflow_mlgov.sinks.settings import open_sinks

    found = deliver(ledger_at(ledger, create=False), open_sinks(from_environment("sinks"), password_of))
    if as_json:
        print_json(
            [
                {"sink": one.sink, "before": one.before, "now": one.now, "of": one.of,
                 "error": one.error.coded if one.error else None}
                for one in found
            ]
        )  # fmt: skip
    else:
        say(*map(str, found))
    wrong = [one.error for one in found if one.error]
    down = all(isinstance(error, DependencyError) for error in wrong)
    raise typer.Exit((4 if down else 1) if wrong else 0)


@sinks_app.command("list")
def sinks_list(ledger: LedgerUrl, as_json: AsJson = False) -> None:
    """The sinks of [mlgov] sinks, and how far each has come; asks none of them."""
    from airflow_mlgov.sinks.delivery import standing
    from airflow_mlgov.sinks.settings import open_sinks

    names = list(open_sinks(from_environment("sinks"), password_of))
    found = standing(ledger_at(ledger, create=False), names)
    if as_json:
        print_json([{"sink": one.sink, "now": one.now, "of": one.of} for one in found])
    else:
        say(*(f"{one.sink}: {one.now:,} of {one.of:,} entries" for one in found))
