"""``mlgov gate``: one gate over a file or a table, recorded if a ledger is given. Each gate of the catalogue is a
command; its options are made from its settings."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from airflow_mlgov import catalogue
from airflow_mlgov.cli.common import (
    context_of,
    environment_of,
    open_engine,
    open_registry,
    print_json,
    records_at,
    say,
    signer_for,
)
from airflow_mlgov.cli.configured import configured_policy, data_at, ledger_at, registry_elsewhere, required
from airflow_mlgov.cli.examples import with_examples
from airflow_mlgov.cli.progress import progress
from airflow_mlgov.cli.spare import spared
from airflow_mlgov.errors import AccessError, ConfigurationError
from airflow_mlgov.results import GateResult, Outcome

if TYPE_CHECKING:
    from airflow_mlgov.gates.protocol import Gate
    from airflow_mlgov.governance.policy import ModelPolicy
    from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
    from airflow_mlgov.release.champion_data import RegistryLookup

_SPARK_TOKEN = "MLGOV_SPARK_TOKEN"
"""Name of the environment variable with the bearer token of a Spark Connect server."""
_EXIT = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 3, Outcome.ERROR: 2}


class _Gates(TyperGroup):
    """The gates of the catalogue, each loaded when it is asked for."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is named first; one that there is not is told with what is near to it."""
        self.commands: Any = dict.fromkeys(self.list_commands(ctx)) if self.get_command(ctx, args[0]) is None else {}
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer's
        """What each gate is called."""
        return [_called(gate) for gate in catalogue.load_all()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - typer's
        """One gate's command, by its name or by what the command line calls it; None if there is none."""
        name = cmd_name.replace("-", "_")
        if name in catalogue.names():
            return _command(catalogue.load(name), cmd_name)
        found = [gate for gate in catalogue.load_all() if _called(gate) == cmd_name]
        return _command(found[0], cmd_name) if found else None


gate_app = typer.Typer(
    cls=_Gates, no_args_is_help=True, rich_markup_mode=None, help="Run one gate over a file or a table."
)


@gate_app.callback()
def _gates() -> None:
    """Run one gate over a file or a table."""


def _called(gate: Gate[Any]) -> str:
    return gate.command or gate.name.replace("_", "-")


def _command(gate: Gate[Any], name: str) -> Any:
    from airflow_mlgov.cli.options import parameters_of

    def command(**given: Any) -> None:
        run(gate, given)

    parameters = parameters_of(gate)
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {item.name: item.annotation for item in parameters}
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name, help=inspect.cleandoc(gate.__doc__ or ""))(command)
    return with_examples(spared(typer.main.get_command(app)), f"gate {name}")


def run(gate: Gate[Any], given: Mapping[str, Any]) -> None:
    """Judge, record, report; ends with the verdict's exit code.

    :param given: the options by name
    """
    from airflow_mlgov.cli.options import settings_of
    from airflow_mlgov.gates.protocol import Elsewhere
    from airflow_mlgov.gates.run import run_gate
    from airflow_mlgov.gates.strictness import held_to
    from airflow_mlgov.governance.rulebook import Packs

    given = _completed(given)
    given["model"] = _versioned(given, gate.name)
    policy = _policy(given["policy"], given["model"])
    settings, bounds = held_to(gate, policy, settings_of(gate, given), given.get("bound") or [], "the command line")
    subject = artifact = source = None
    if gate.about != "dataset" and given["model"]:
        registry = _registry(given, gate.name)
        version = registry.resolve(given["model"])
        subject, source = registry.subject(version), version.source
        artifact = partial(registry.download, version, subject.digest)
    with progress(f"the gate {gate.name} is at work"):
        result = run_gate(
            gate,
            _source(given) if gate.reads else None,
            settings,
            bounds,
            subject=subject,
            baseline=_baseline(given),
            lookup=_lookup(given, gate.name) if gate.needs_lookup(settings) else None,
            artifact=artifact,
            elsewhere=Elsewhere(lambda: _registry(given, gate.name), source),
            rulebook=Packs(partial(open_engine, given.get("decision_log"))),
            report_dir=given["report_dir"],
        )
    _conclude(replace(result, purpose="what_if") if given.get("what_if") else result, given)


def _completed(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options with what ``[mlgov]`` says: the policy where a model is named, and what recording takes where the
    evidence is recorded.

    :raises ConfigurationError: evidence is to be recorded, and nothing says where, or who signs
    """
    filled = {**given, "environment": environment_of(given["environment"])}
    filled["policy"] = configured_policy(given["policy"]) if given["model"] else given["policy"]
    if given["record"] or given["ledger"]:
        filled["ledger"] = given["ledger"] or required("ledger")()
        filled["sign"] = given["sign"] or required("sign")()
    return filled


def _registry(given: Mapping[str, Any], duty: str | None = None) -> MlflowRegistry:
    """The registry, which has to be the policy's."""
    from airflow_mlgov.governance.policy import load_policy

    return open_registry(given["registry"], load_policy(given["policy"]) if given["policy"] else None, duty)


def _versioned(given: Mapping[str, Any], duty: str) -> str | None:
    """The model's reference; of a logged model, that of the version it is registered as."""
    from airflow_mlgov.registry.protocol import LOGGED

    model: str | None = given["model"]
    return _registry(given, duty).resolve(model).uri if model and LOGGED.fullmatch(model) else model


def _policy(path: Path | None, model: str | None) -> ModelPolicy | None:
    if path is None or not model:
        return None
    from airflow_mlgov.governance.policy import load_policy
    from airflow_mlgov.registry.protocol import name_in

    return load_policy(path).model(name_in(model))


def _source(given: Mapping[str, Any]) -> Any:
    """The data."""
    return _named(*(given[name] for name in ("data", "table", "query")))


def _baseline(given: Mapping[str, Any]) -> Any:
    """The champion's rows, in the same database as the data if no other is named; None if there are none."""
    named, table, query = (given.get(name) for name in ("baseline", "baseline_table", "baseline_query"))
    if table is None and query is None:
        return None if named is None else _named(named, None, None)
    return _named(named or given["data"], table, query)


def _named(data: Any, table: str | None, query: str | None) -> Any:
    """Spark if its address is given, a database if a table or query is named, files otherwise."""
    if data is not None and data.startswith("sc://"):
        from airflow_mlgov.data.spark import SparkSource

        address, _, path = data.partition("#")
        path = "" if table or query else path
        return SparkSource(address, table=table, query=query, path=path or None, token=os.environ.get(_SPARK_TOKEN))
    if table is None and query is None:
        return None if data is None else data_at(data)
    from airflow_mlgov.data.database import SqlSource

    return SqlSource(data, table=table, query=query)


def _lookup(given: Mapping[str, Any], duty: str) -> RegistryLookup:
    """The registry and the ledger, for a check that names the champion or a registered model.

    :raises ConfigurationError: nothing says which, or where they are
    """
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.governance.policy import load_policy
    from airflow_mlgov.registry.protocol import name_in
    from airflow_mlgov.release.champion_data import RegistryLookup

    model = given["model"]
    if not model:
        raise ConfigurationError(
            "a check names the champion or a registered model: pass --model", code="option.missing"
        )
    goal = load_policy(given["policy"] or required("policy")()).model(name_in(model)).target(given["target"])
    keys, registry = TrustRoot.load(given["trust"] or required("trust_root")()), _registry(given, duty)
    # who signs, records in it afterwards
    records = records_at(given["ledger"] or required("ledger")(), keys, create=bool(given["sign"]))
    elsewhere = partial(registry_elsewhere, duty)
    return RegistryLookup(registry, records, keys, given["environment"], name_in(model), goal, elsewhere)


def _conclude(result: GateResult, given: Mapping[str, Any]) -> None:
    record = _record(result, given) if given["ledger"] else None
    for form in ("junit", "markdown", "sarif"):
        if given[form] is not None:
            from airflow_mlgov.gates import report

            _write(given[form], getattr(report, f"render_{form}")(result))
    if given["as_json"]:
        checks = [check.as_dict() for check in result.checks]
        print_json({"gate": result.gate, "verdict": str(result.verdict), "checks": checks, "evidence": record})
    else:
        say(*result.summary().split("\n"))
        for check in result.checks:
            if check.outcome is Outcome.PASS:
                say(f"  [{check.severity}] {check}")
        if record:
            say(f"  evidence: {record}")
    raise typer.Exit(_EXIT[result.verdict])


def _record(result: GateResult, given: Mapping[str, Any]) -> str:
    from airflow_mlgov.evidence.signing import refuse_local
    from airflow_mlgov.evidence.statements import GateStatement
    from airflow_mlgov.governance.policy import load_policy

    policy = load_policy(given["policy"]) if given["policy"] else None
    context = context_of(f"gate {result.gate}", given["environment"], policy)
    signer = signer_for(given["sign"], result.gate)
    refuse_local(signer, given["environment"], policy.production if policy else ())
    return ledger_at(given["ledger"]).attest(GateStatement.of(result, context), signer).reference


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except PermissionError:
        raise AccessError(f"may not write {path}: permission denied", code="file.refused") from None
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror or error}", code="file.not_writable") from None
