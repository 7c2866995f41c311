"""``mlgov gate``: one gate over a file or a table, recorded where a ledger is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
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
Python = Annotated[Path | None, typer.Option("--python", help="Interpreter of an environment with the library.")]
Bounds = Annotated[list[str] | None, typer.Option("--bound", help="Such as 'roc_auc>=0.75'. Repeatable.")]


@gate_app.command("data")
def gate_data(
    data: Annotated[str, typer.Option("--data", help="csv or parquet file, a glob, or a SQLAlchemy URL.")],
    suite: Annotated[str, typer.Option("--suite", help="Great Expectations suite, JSON or YAML.")],
    table: Annotated[str | None, typer.Option(help="Table, where --data is a URL.")] = None,
    query: Annotated[str | None, typer.Option(help="SELECT, where --data is a URL.")] = None,
    engine: Annotated[str, typer.Option(help="auto, duckdb or great_expectations.")] = "auto",
    memory_limit: Annotated[str, typer.Option(help="What the DuckDB query may hold before it spills.")] = "512MB",
    report_dir: Annotated[str | None, typer.Option(help="Folder for an HTML report.")] = None,
    checks: Annotated[Path | None, typer.Option("--checks", help="YAML or JSON: drift, overlap, leakage …")] = None,
    reference: Annotated[str | None, typer.Option(help="What drift and volume compare with; or `champion`.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Registered model that the data is for.")] = None,
    target: Annotated[str, typer.Option(help="Whose champion is meant.")] = "production",
    trust: Annotated[Path | None, typer.Option("--trust", help="Trust root, to find the champion's data.")] = None,
    registry: RegistryUri = None,
    ledger: Ledger = None,
    sign: Sign = None,
    environment: Environment = "default",
    policy: Policy = None,
    as_json: AsJson = False,
) -> None:
    """The data gate: a Great Expectations suite, and checks beyond it."""
    from airflow_mlgov.cli.dataset_checks import Asked
    from airflow_mlgov.gates.data_validation import validate_data

    asked = Asked(checks, reference, model, target, policy, trust, ledger, registry, environment)
    beyond = asked.checks()
    lookup = asked.lookup(beyond)
    result = validate_data(
        _source(data, table, query),
        suite,
        engine=engine,
        memory_limit=memory_limit,
        report_dir=report_dir,
        checks=beyond,
        lookup=lookup,
    )
    _conclude(result, ledger, sign, environment, policy, as_json)


@gate_app.command("performance")
def gate_performance(
    data: Data,
    label: Annotated[str, typer.Option(help="Column of the truth.")],
    bound: Bounds = None,
    score: Annotated[str | None, typer.Option(help="Column of the score of the positive class.")] = None,
    prediction: Annotated[str | None, typer.Option(help="Column of the prediction.")] = None,
    class_score: Annotated[list[str] | None, typer.Option(help="LABEL=COLUMN, for each of many. Repeatable.")] = None,
    task: Annotated[str | None, typer.Option(help="binary, multiclass or regression.")] = None,
    positive_label: Annotated[str | None, typer.Option(help="The label that counts as positive.")] = None,
    baseline: Annotated[str | None, typer.Option(help="The champion's predictions on the same rows.")] = None,
    row_id: Annotated[str | None, typer.Option(help="Column that names a row in both tables.")] = None,
    slices: Annotated[list[str] | None, typer.Option("--slice", help="Column, or a*b. Repeatable.")] = None,
    min_slice_size: Annotated[int | None, typer.Option(help="Rows a slice needs.")] = None,
    confidence: Annotated[float | None, typer.Option(help="Of the intervals, such as 0.95.")] = None,
    decide: Annotated[str | None, typer.Option(help="point or interval.")] = None,
    score_model: Annotated[bool, typer.Option(help="Load --model in a child process; --data has features.")] = False,
    python: Annotated[str | None, typer.Option(help="Interpreter for loads_in_clean_process.")] = None,
    model: Model = None,
    registry: RegistryUri = None,
    ledger: Ledger = None,
    sign: Sign = None,
    environment: Environment = "default",
    policy: Policy = None,
    as_json: AsJson = False,
) -> None:
    """The performance gate over a table of predictions."""
    from airflow_mlgov.gates.performance.budgets import evaluate_model, evaluate_predictions
    from airflow_mlgov.gates.rules import merge_settings

    settings, bounds = _rules("performance", model, policy, bound)
    given: dict[str, Any] = {"label": label, "score": score, "prediction": prediction, "positive_label": positive_label}
    given |= {"task": task, "class_scores": _class_scores(class_score), "row_id": row_id, "slices": slices}
    given |= {"min_slice_size": min_slice_size, "confidence": confidence, "decide": decide}
    judged: dict[str, Any] = {"subject": _subject(model, registry, data), "bounds": bounds, "baseline": baseline}
    judged["settings"] = merge_settings(settings, given, "performance" if policy and model else None)
    if (score_model and model is None) or (python and not score_model):
        raise ConfigurationError("the model that --model names is loaded by --score-model; --python is for that alone")
    download = _downloads(model, registry) if model else None
    if score_model and download:
        with download() as folder:
            result = evaluate_model(folder, data, python=python, **judged)
    else:
        result = evaluate_predictions(data, download, **judged)
    _conclude(result, ledger, sign, environment, policy, as_json)


@gate_app.command("fairness")
def gate_fairness(
    data: Annotated[str, typer.Option("--data", help="csv or parquet file, a glob, or a SQLAlchemy URL.")],
    label: Annotated[str, typer.Option(help="Column of the truth.")],
    sensitive: Annotated[list[str], typer.Option(help="Sensitive feature; a*b for an intersection. Repeatable.")],
    bound: Bounds = None,
    prediction: Annotated[str | None, typer.Option(help="Column of the predicted class.")] = None,
    score: Annotated[str | None, typer.Option(help="Column of the score of the positive class.")] = None,
    positive_label: Annotated[str | None, typer.Option(help="The label that counts as positive.")] = None,
    task: Annotated[str | None, typer.Option(help="binary, multiclass or regression.")] = None,
    reference: Annotated[list[str] | None, typer.Option(help="FEATURE=GROUP to compare with. Repeatable.")] = None,
    decide: Annotated[str | None, typer.Option(help="interval (default) or point.")] = None,
    min_group_size: Annotated[int | None, typer.Option(help="Rows a group needs.")] = None,
    max_share_left_out: Annotated[float | None, typer.Option(help="Share of rows in groups too small.")] = None,
    baseline: Annotated[str | None, typer.Option(help="The champion's predictions on the same rows.")] = None,
    row_id: Annotated[str | None, typer.Option(help="Column that aligns the two.")] = None,
    table: Annotated[str | None, typer.Option(help="Table, where --data is a URL.")] = None,
    query: Annotated[str | None, typer.Option(help="SELECT, where --data is a URL.")] = None,
    report_dir: Annotated[str | None, typer.Option(help="Folder for an HTML report with charts.")] = None,
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
    given: dict[str, Any] = {"label": label, "prediction": prediction, "positive_label": positive_label, "task": task}
    given |= {"score": score, "min_group_size": min_group_size, "sensitive_features": sensitive, "decide": decide}
    given |= {"max_share_left_out": max_share_left_out, "row_id": row_id, "reference": _references(reference)}
    settings = merge_settings(settings, given, "fairness" if policy and model else None)
    source = _source(data, table, query)
    result = evaluate_fairness(
        source,
        subject=_subject(model, registry, source),
        bounds=bounds,
        baseline=baseline,
        report_dir=report_dir,
        **settings,
    )
    _conclude(result, ledger, sign, environment, policy, as_json)


def _references(given: Sequence[str] | None) -> dict[str, str] | None:
    if not given:
        return None
    pairs = [text.partition("=") for text in given]
    wrong = [text for text, (_, sign, group) in zip(given, pairs, strict=True) if not sign or not group]
    if wrong:
        raise ConfigurationError(f"--reference must look like sex=male, not {wrong[0]!r}")
    return {feature: group for feature, _, group in pairs}


def _source(data: str, table: str | None, query: str | None) -> Any:
    """A database where a table or query is named, files otherwise."""
    from airflow_mlgov.data.database import SqlSource

    return data if table is None and query is None else SqlSource(data, table=table, query=query)


@gate_app.command("features")
def gate_features(
    repo: Annotated[Path, typer.Option("--repo", help="Folder with feature_store.yaml.")],
    service: Annotated[str, typer.Option("--service", help="Feature service.")],
    rules: Annotated[Path, typer.Option("--rules", help="Rules, YAML: owner, description, ttl, max_age, pii.")],
    python: Python = None,
    env: Annotated[list[str] | None, typer.Option(help="Variable that Feast may see. Repeatable.")] = None,
    ledger: Ledger = None,
    sign: Sign = None,
    environment: Environment = "default",
    policy: Policy = None,
    as_json: AsJson = False,
) -> None:
    """The data gate over a Feast feature service."""
    from airflow_mlgov.gates.feature_store import judge_feature_service

    result = judge_feature_service(repo, service, rules, python=python, environment=env or ())
    _conclude(result, ledger, sign, environment, policy, as_json)


def _class_scores(given: Sequence[str] | None) -> dict[str, str] | None:
    pairs = [item.partition("=") for item in given or ()]
    if any(not (label and column) for label, _, column in pairs):
        raise ConfigurationError(f"--class-score must look like LABEL=COLUMN, not {', '.join(given or ())}")
    return {label: column for label, _, column in pairs} or None


def _downloads(model: str, uri: str | None) -> Callable[[], AbstractContextManager[Path]]:
    registry = open_registry(uri)
    return lambda: registry.download(registry.resolve(model))


@gate_app.command("tfdv")
def gate_tfdv(
    data: Data,
    schema: Annotated[Path | None, typer.Option("--schema", help="schema.pbtxt that the data is held against.")] = None,
    anomalies: Annotated[
        Path | None, typer.Option("--anomalies", help="anomalies.pbtxt that a TFX pipeline found in the data.")
    ] = None,
    python: Python = None,
    schema_environment: Annotated[str | None, typer.Option(help="Environment of the schema.")] = None,
    previous: Annotated[str | None, typer.Option(help="Data before, for drift; with --python.")] = None,
    serving: Annotated[str | None, typer.Option(help="Data as served, for skew; with --python.")] = None,
    ledger: Ledger = None,
    sign: Sign = None,
    environment: Environment = "default",
    policy: Policy = None,
    as_json: AsJson = False,
) -> None:
    """The data gate by a TFDV schema: enforced here, or by TFDV itself with --python; or anomalies that are there."""
    from airflow_mlgov.gates.data_validation import tfdv

    if (schema is None) == (anomalies is None):
        raise ConfigurationError("give either --schema or --anomalies")
    if python is None and (previous is not None or serving is not None):
        raise ConfigurationError("--previous and --serving are for TFDV itself: name its interpreter with --python")
    if schema is None:
        result = tfdv.validate_anomalies(data, str(anomalies))
    elif python is None:
        result = tfdv.validate_schema(data, schema, environment=schema_environment)
    else:
        result = tfdv.validate_with_tfdv(
            data, schema, python, environment=schema_environment, previous=previous, serving=serving
        )
    _conclude(result, ledger, sign, environment, policy, as_json)


def _rules(
    gate: str, model: str | None, policy: Path | None, bound: Sequence[str] | None
) -> tuple[dict[str, Any], Any]:
    from airflow_mlgov.gates.rules import gate_rules
    from airflow_mlgov.governance.policy import load_policy

    governed = None
    if policy is not None and model is not None:
        governed = load_policy(policy).model(model.removeprefix("models:/").split("/")[0].split("@")[0])
    return gate_rules(gate, governed, list(bound or ()), "the command line")


def _subject(model: str | None, uri: str | None, data: Any) -> Subject:
    from airflow_mlgov.data.database import fingerprint
    from airflow_mlgov.data.files import dataset_subject

    if model is None:
        return dataset_subject(data) if isinstance(data, str) else fingerprint(data).subject(data.name)
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
