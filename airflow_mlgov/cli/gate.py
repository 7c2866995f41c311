"""``mlgov gate``: one gate over a file or a table, recorded where a ledger is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airflow_mlgov.cli.common import AsJson, Environment, RegistryUri, context_of, open_registry, print_json, signer_for
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.results import GateResult, Outcome

if TYPE_CHECKING:
    from airflow_mlgov.results import Subject

gate_app = typer.Typer(no_args_is_help=True, help="Run one gate over a file or a table.")

_EXIT = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 3, Outcome.ERROR: 2}

Ledger = Annotated[str | None, typer.Option("--ledger", help="SQLAlchemy URL: record the evidence there.")]
Sign = Annotated[str | None, typer.Option("--sign", help="local:PATH or vault:KEY (VAULT_ADDR, VAULT_TOKEN).")]
Model = Annotated[str | None, typer.Option("--model", help="models:/name/7 that the result is about.")]
Policy = Annotated[Path | None, typer.Option("--policy", help="Governance policy, mlgov.yaml.")]
Data = Annotated[str, typer.Option("--data", help="csv or parquet file, or a glob.")]
Bounds = Annotated[list[str] | None, typer.Option("--bound", help="Such as 'roc_auc>=0.75'. Repeatable.")]


@gate_app.command("data")
def gate_data(
    data: Annotated[str, typer.Option("--data", help="csv or parquet file, a glob, or a SQLAlchemy URL.")],
    suite: Annotated[str, typer.Option("--suite", help="Great Expectations suite, JSON or YAML.")],
    table: Annotated[str | None, typer.Option(help="Table, where --data is a URL.")] = None,
    query: Annotated[str | None, typer.Option(help="SELECT, where --data is a URL.")] = None,
    report_dir: Annotated[str | None, typer.Option(help="Folder for an HTML report.")] = None,
    ledger: Ledger = None,
    sign: Sign = None,
    environment: Environment = "default",
    policy: Policy = None,
    as_json: AsJson = False,
) -> None:
    """The data gate: a Great Expectations suite."""
    from airflow_mlgov.gates.data_validation import validate_data
    from airflow_mlgov.gates.sql_source import SqlSource

    source: Any = SqlSource(data, table=table, query=query) if "://" in data else data
    _conclude(validate_data(source, suite, report_dir=report_dir), ledger, sign, environment, policy, as_json)


@gate_app.command("performance")
def gate_performance(
    data: Data,
    label: Annotated[str, typer.Option(help="Column of the truth.")],
    bound: Bounds = None,
    score: Annotated[str | None, typer.Option(help="Column of the score of the positive class.")] = None,
    prediction: Annotated[str | None, typer.Option(help="Column of the prediction.")] = None,
    positive_label: Annotated[str | None, typer.Option(help="The label that counts as positive.")] = None,
    baseline: Annotated[str | None, typer.Option(help="The champion's predictions on the same rows.")] = None,
    model: Model = None,
    registry: RegistryUri = None,
    ledger: Ledger = None,
    sign: Sign = None,
    environment: Environment = "default",
    policy: Policy = None,
    as_json: AsJson = False,
) -> None:
    """The performance gate over a table of predictions."""
    from airflow_mlgov.gates.performance import evaluate_performance
    from airflow_mlgov.gates.rules import merge_settings

    settings, bounds = _rules("performance", model, policy, bound)
    given = {"label": label, "score": score, "prediction": prediction, "positive_label": positive_label}
    settings = merge_settings(settings, given)
    subject = _subject(model, registry, data)
    result = evaluate_performance(data, subject=subject, bounds=bounds, baseline=baseline, **settings)
    _conclude(result, ledger, sign, environment, policy, as_json)


@gate_app.command("fairness")
def gate_fairness(
    data: Data,
    label: Annotated[str, typer.Option(help="Column of the truth.")],
    sensitive: Annotated[list[str], typer.Option(help="Sensitive feature; a*b for an intersection. Repeatable.")],
    bound: Bounds = None,
    prediction: Annotated[str | None, typer.Option(help="Column of the predicted class.")] = None,
    score: Annotated[str | None, typer.Option(help="Column of the score, where there is no prediction.")] = None,
    positive_label: Annotated[str | None, typer.Option(help="The label that counts as positive.")] = None,
    min_group_size: Annotated[int | None, typer.Option(help="Rows a group needs.")] = None,
    model: Model = None,
    registry: RegistryUri = None,
    ledger: Ledger = None,
    sign: Sign = None,
    environment: Environment = "default",
    policy: Policy = None,
    as_json: AsJson = False,
) -> None:
    """The fairness gate over a table of predictions."""
    from airflow_mlgov.gates.fairness import evaluate_fairness
    from airflow_mlgov.gates.rules import merge_settings

    settings, bounds = _rules("fairness", model, policy, bound)
    given: dict[str, Any] = {"label": label, "prediction": prediction, "positive_label": positive_label}
    given |= {"score": score, "min_group_size": min_group_size, "sensitive_features": sensitive}
    settings = merge_settings(settings, given)
    subject = _subject(model, registry, data)
    _conclude(
        evaluate_fairness(data, subject=subject, bounds=bounds, **settings), ledger, sign, environment, policy, as_json
    )


def _rules(
    gate: str, model: str | None, policy: Path | None, bound: Sequence[str] | None
) -> tuple[dict[str, Any], Any]:
    from airflow_mlgov.gates.rules import gate_rules
    from airflow_mlgov.governance.policy import load_policy

    governed = None
    if policy is not None and model is not None:
        governed = load_policy(policy).model(model.removeprefix("models:/").split("/")[0].split("@")[0])
    return gate_rules(gate, governed, list(bound or ()), "the command line")


def _subject(model: str | None, uri: str | None, data: str) -> Subject:
    from airflow_mlgov.gates.inputs import dataset_subject

    if model is None:
        return dataset_subject(data)
    registry = open_registry(uri)
    return registry.subject(registry.resolve(model))


def _conclude(
    result: GateResult, ledger: str | None, sign: str | None, environment: str, policy: Path | None, as_json: bool
) -> None:
    record = _record(result, ledger, sign, environment, policy) if ledger else None
    if as_json:
        checks = [check.as_dict() for check in result.checks]
        print_json({"gate": result.gate, "verdict": str(result.verdict), "checks": checks, "evidence": record})
    else:
        typer.echo(result.summary())
        for check in result.checks:
            if check.outcome is Outcome.PASS:
                typer.echo(f"  [{check.severity}] {check}")
        if record:
            typer.echo(f"  evidence: {record}")
    raise typer.Exit(_EXIT[result.verdict])


def _record(result: GateResult, ledger: str, sign: str | None, environment: str, policy: Path | None) -> str:
    from airflow_mlgov.evidence.ledger import open_ledger
    from airflow_mlgov.evidence.statements import gate_statement
    from airflow_mlgov.governance.policy import load_policy

    if not sign:
        raise ConfigurationError("evidence is signed: pass --sign local:PATH or --sign vault:KEY with --ledger")
    context = context_of(f"gate {result.gate}", environment, load_policy(policy) if policy else None)
    return open_ledger(ledger).attest(gate_statement(result, context), signer_for(sign)).reference
