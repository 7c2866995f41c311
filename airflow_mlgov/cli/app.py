"""The commands: each a few lines over the function that the operator calls too."""

from __future__ import annotations

import json
import os
import sys
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.results import GateResult, Outcome

if TYPE_CHECKING:
    from airflow_mlgov.registry.explanation import Explanation
    from airflow_mlgov.registry.mlflow_registry import Registry
    from airflow_mlgov.results import Subject

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
gate_app = typer.Typer(no_args_is_help=True, help="Run one gate over a file or a table.")
ledger_app = typer.Typer(no_args_is_help=True, help="The audit trail.")
app.add_typer(gate_app, name="gate")
app.add_typer(ledger_app, name="ledger")

_EXIT = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 3, Outcome.ERROR: 2}

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Ledger = Annotated[str | None, typer.Option("--ledger", help="SQLAlchemy URL: record the evidence there.")]
Sign = Annotated[str | None, typer.Option("--sign", help="local:PATH or vault:KEY (VAULT_ADDR, VAULT_TOKEN).")]
Model = Annotated[str | None, typer.Option("--model", help="models:/name/7 that the result is about.")]
Environment = Annotated[str, typer.Option("--environment", help="The name that evidence is bound to.")]
Uri = Annotated[str | None, typer.Option("--registry", envvar="MLFLOW_TRACKING_URI", help="MLflow server.")]
PolicyFile = Annotated[Path | None, typer.Option("--policy", help="Governance policy, mlgov.yaml.")]
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
    policy: PolicyFile = None,
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
    registry: Uri = None,
    ledger: Ledger = None,
    sign: Sign = None,
    environment: Environment = "default",
    policy: PolicyFile = None,
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
    registry: Uri = None,
    ledger: Ledger = None,
    sign: Sign = None,
    environment: Environment = "default",
    policy: PolicyFile = None,
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


@app.command()
def verify(
    model: Annotated[str, typer.Argument(help="models:/name@alias or models:/name/7")],
    ledger: Annotated[str, typer.Option(help="SQLAlchemy URL of the ledger.")],
    trust: Annotated[Path, typer.Option(help="Trust root, JSON.")],
    policy: Annotated[Path | None, typer.Option(help="Decide again under this policy, mlgov.yaml.")] = None,
    registry: Uri = None,
    environment: Annotated[str | None, typer.Option(help="Environment it is to serve in.")] = None,
    target: Annotated[str | None, typer.Option(help="Target it is to serve as.")] = None,
    as_json: AsJson = False,
) -> None:
    """May this artifact be served, and why? Asks the registry, the ledger and the trust root; not Airflow."""
    from airflow_mlgov.evidence.ledger import open_ledger
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.governance.policy import load_policy
    from airflow_mlgov.registry.explanation import explain

    client = _registry(registry)
    answer = explain(
        client,
        client.resolve(model),
        open_ledger(ledger),
        TrustRoot.load(trust),
        policy=load_policy(policy) if policy else None,
        environment=environment,
        target=target,
    )
    if as_json:
        _print_json({"allowed": answer.allowed, "facts": answer.facts, "reasons": answer.reasons})
    else:
        typer.echo(render_explanation(model, answer))
    raise typer.Exit(0 if answer.allowed else 1)


@ledger_app.command("verify")
def ledger_verify(ledger: Annotated[str, typer.Option(help="SQLAlchemy URL.")], as_json: AsJson = False) -> None:
    """Walk the whole chain."""
    from airflow_mlgov.evidence.ledger import open_ledger

    size, head, *_ = open_ledger(ledger).verify()
    if as_json:
        _print_json({"size": size, "head": head})
    else:
        typer.echo(f"the chain holds: {size} entries, head {head}")


@ledger_app.command("show")
def ledger_show(seq: int, ledger: Annotated[str, typer.Option(help="SQLAlchemy URL.")]) -> None:
    """Print one entry with its statement."""
    from airflow_mlgov.evidence.digests import parse_json
    from airflow_mlgov.evidence.ledger import open_ledger

    entry = open_ledger(ledger).get(seq)
    envelope = parse_json(entry.envelope)
    _print_json(
        {
            "seq": entry.seq,
            "hash": entry.hash,
            "recorded_at": entry.recorded_at,
            "envelope_sha256": entry.envelope_sha256,
            "signed_by": [item["keyid"] for item in envelope["signatures"]],
            "statement": parse_json(b64decode(envelope["payload"])),
        }
    )


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything up and print addresses and log-ins.")] = False,
    work_dir: Annotated[Path | None, typer.Option(help="Folder to work in; a new temporary one where absent.")] = None,
) -> None:
    """The whole story on this machine: Vault, MLflow, Airflow, and five scenes."""
    from airflow_mlgov.demo.story import run_demo

    raise typer.Exit(run_demo(work_dir, keep))


def render_explanation(model: str, answer: Explanation) -> str:
    """The explanation as text for a terminal."""
    head = f"{model} ({answer.model}): " + ("may serve, because" if answer.allowed else "MAY NOT SERVE")
    lines = [f"  + {fact}" for fact in answer.facts] + [f"  - {code}: {message}" for code, message in answer.reasons]
    return "\n".join([head, *lines])


def _rules(
    gate: str, model: str | None, policy: Path | None, bound: Sequence[str] | None
) -> tuple[dict[str, Any], Any]:
    from airflow_mlgov.gates.rules import gate_rules
    from airflow_mlgov.governance.policy import load_policy

    governed = None
    if policy is not None and model is not None:
        governed = load_policy(policy).model(model.removeprefix("models:/").split("/")[0].split("@")[0])
    return gate_rules(gate, governed, list(bound or ()), "the command line")


def _registry(uri: str | None) -> Registry:
    from airflow_mlgov.registry.mlflow_registry import Registry

    if not uri:
        raise ConfigurationError("which registry? pass --registry or set MLFLOW_TRACKING_URI")
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{word}") for word in ("USERNAME", "PASSWORD"))
    return Registry(uri, username=user, password=password)


def _subject(model: str | None, uri: str | None, data: str) -> Subject:
    from airflow_mlgov.gates.inputs import dataset_subject

    if model is None:
        return dataset_subject(data)
    registry = _registry(uri)
    return registry.subject(registry.resolve(model))


def _conclude(
    result: GateResult, ledger: str | None, sign: str | None, environment: str, policy: Path | None, as_json: bool
) -> None:
    record = _record(result, ledger, sign, environment, policy) if ledger else None
    if as_json:
        checks = [check.as_dict() for check in result.checks]
        _print_json({"gate": result.gate, "verdict": str(result.verdict), "checks": checks, "evidence": record})
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
    from airflow_mlgov.evidence.signing import open_signer
    from airflow_mlgov.evidence.statements import Context, gate_statement
    from airflow_mlgov.governance.policy import load_policy

    if not sign:
        raise ConfigurationError("evidence is signed: pass --sign local:PATH or --sign vault:KEY with --ledger")
    vault = None
    if sign.startswith("vault:"):
        import hvac

        vault = hvac.Client()
    descriptor = load_policy(policy).descriptor() if policy else {}
    context = Context(environment, descriptor, {"cli": f"mlgov gate {result.gate}"})
    return open_ledger(ledger).attest(gate_statement(result, context), open_signer(sign, vault)).reference


def _print_json(document: Any) -> None:
    json.dump(document, sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")
