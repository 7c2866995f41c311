"""The command line's tree of commands: each a few lines over the function that the operator calls too, and imported
when it is asked for. What the list of them says is said here, so that it imports none."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from airflow_mlgov import __version__
from airflow_mlgov.cli.examples import with_examples
from airflow_mlgov.cli.spare import spared

_HELP = "ML governance: gates, evidence and promotion, as Airflow's operators do them, from a shell."


class _Command(NamedTuple):
    module: str
    """Below ``airflow_mlgov.cli``."""
    attribute: str
    """A function, or a tree of commands of its own."""
    help: str
    """The beginning of what its own help says."""


COMMANDS = {
    "init": _Command(
        "init",
        "init",
        "Draft a policy, a suite, a DAG on your own training function, a trust root, and the script for Vault.",
    ),
    "register": _Command(
        "registration",
        "register",
        "Register a run's model as a version, and sign what it was made from, as RegisterModelOperator does.",
    ),
    "approve": _Command(
        "approval",
        "approve",
        "Read the evidence for a model, and sign your answer with your own key. It counts as the form's in Airflow.",
    ),
    "promote": _Command("release", "promote", "Verify the evidence, decide, move stage and alias, read back, sign."),
    "rollback": _Command(
        "release",
        "rollback",
        "Back to the previous version whose artifact still hashes and whose evidence still verifies.",
    ),
    "reconcile": _Command(
        "release", "reconcile", "Hold the registry against the ledger; exit code 1 while something is unsettled."
    ),
    "verify": _Command(
        "release",
        "verify",
        "May this artifact be served, and why? Asks registry, ledger and trust root, or a pack alone; never Airflow.",
    ),
    "replay": _Command(
        "release",
        "replay",
        "Make every decision again: the same answer years later; or what another policy would change, before it is",
    ),
    "admission": _Command(
        "admission",
        "admission",
        "Answer a cluster's admission reviews: what may be served, told from the ledger, judged by rules on OPA.",
    ),
    "board": _Command(
        "board",
        "board",
        "Show the governance board in a browser: models, their stories, what is owed, the audit log. It changes",
    ),
    "report": _Command(
        "report",
        "report",
        "Say what the ledger holds for each control of a framework, gaps first: fresh, stale, missing or waived",
    ),
    "sign-model": _Command(
        "sign_model",
        "sign_model",
        "Sign the files of a version that may serve as an OpenSSF Model Signing bundle, with a key of the duty",
    ),
    "waive": _Command(
        "exceptions",
        "waive",
        "Sign a time-bound exception for one failed check of one model; --cosign as the second; --revoke to end it.",
    ),
    "break-glass": _Command(
        "exceptions",
        "break_glass",
        "Let a model go past its gates in an emergency, for a time; then `mlgov promote`. An audit is owed for it.",
    ),
    "obligations": _Command(
        "exceptions",
        "obligations",
        "The audits that are owed for what is promoted now, soonest first; exit code 1 if one was not kept.",
    ),
    "vault-policy": _Command(
        "trust",
        "vault_policy",
        "Print the Vault policy of a duty's identity, for `vault policy write mlgov-fairness -`.",
    ),
    "explain": _Command(
        "about", "explain", "Say what the code of an error or of a reason to refuse means, and what to do."
    ),
    "completion": _Command("about", "completion", "Print what lets a shell complete commands and options:"),
    "doctor": _Command("doctor", "doctor", "Say what is wrong with the set-up and how to mend it."),
    "demo": _Command("demo", "demo", "The whole story on this machine: Vault, MLflow, Airflow, and five scenes."),
    "gate": _Command("gate", "gate_app", "Run one gate over a file or a table."),
    "policy": _Command("policy", "policy_app", "Governance policies, and packs of rules."),
    "suite": _Command("suite", "suite_app", "Suites of expectations for the data gate."),
    "data": _Command("data", "data_app", "Data sets, and how they are read."),
    "ledger": _Command("ledger", "ledger_app", "The audit trail."),
    "sinks": _Command("sinks", "sinks_app", "The audit trail where others look."),
    "trust": _Command("trust", "trust_app", "The trust root: every public key that was ever allowed to sign."),
}


class _Commands(TyperGroup):
    """The commands, each imported when it is asked for."""

    _listing = False

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands: Any = dict.fromkeys(COMMANDS)  # for what is near to a word that is none
        spared(self)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer's
        """What each command is called."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - typer's
        """One command; None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        return _listed(COMMANDS[cmd_name].help) if self._listing else _loaded(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list of them, without their modules."""
        self._listing = True
        try:
            super().format_commands(ctx, formatter)
        finally:
            self._listing = False


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=_HELP,
)


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"mlgov {__version__}")
        raise typer.Exit


@app.callback()
def _mlgov(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_tell_version, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


def _nothing() -> None:
    pass


@cache
def _loaded(name: str) -> Any:
    found = getattr(import_module(f"airflow_mlgov.cli.{COMMANDS[name].module}"), COMMANDS[name].attribute)
    tree = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)
    if isinstance(found, typer.Typer):
        tree.add_typer(found, name=name)
        group = typer.main.get_group(tree)
        return with_examples(spared(group.get_command(None, name)), name)  # type: ignore[arg-type]  # needs no context
    tree.command(name)(found)
    return with_examples(spared(typer.main.get_command(tree)), name)


def app_command(name: str) -> Any:
    """One of the commands, as click has it."""
    return _loaded(name)


def _listed(said: str) -> Any:
    tree = typer.Typer(rich_markup_mode=None, add_completion=False)
    tree.command(help=said)(_nothing)
    return typer.main.get_command(tree)
