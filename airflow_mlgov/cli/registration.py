"""``mlgov register``: a model version with its origin, where no Airflow registers it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from airflow_mlgov.cli.common import (
    AsJson,
    Environment,
    LedgerUrl,
    RegistryUri,
    SignWith,
    TrustFile,
    context_of,
    environment_of,
    open_registry,
    print_json,
    say,
    signer_for,
    who_asks,
)
from airflow_mlgov.cli.configured import configured_policy, data_at, ledger_at
from airflow_mlgov.cli.values import path


def register(
    model: Annotated[str, typer.Argument(help="Name of the registered model; made where it does not exist.")],
    run: Annotated[str, typer.Option("--run", help="Id of the MLflow run that logged it.")],
    dataset: Annotated[
        list[str], typer.Option("--dataset", help="Data that it was trained on: file, glob or URL. Repeatable.")
    ],
    ledger: LedgerUrl,
    trust: TrustFile,
    sign: SignWith,
    artifact_path: Annotated[
        str, typer.Option("--artifact-path", help="Name under which the run logged the model.")
    ] = "model",
    image: Annotated[
        list[str] | None,
        typer.Option("--image", help="Image in which it is shipped, registry/name@sha256:… Repeatable."),
    ] = None,
    trainer: Annotated[
        list[str] | None,
        typer.Option("--trainer", help="Who trained it, besides the run's user; you if omitted. Repeatable."),
    ] = None,
    registry: RegistryUri = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy", parser=path, help="Governance policy, mlgov.yaml; MLGOV_POLICY or [mlgov] policy if omitted."
        ),
    ] = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Register a run's model as a version, and sign what it was made from, as RegisterModelOperator does."""
    from airflow_mlgov.data.source import subject_of
    from airflow_mlgov.evidence.signing import TrustRoot, refuse_local
    from airflow_mlgov.governance.policy import load_policy
    from airflow_mlgov.release.registration import MadeFrom, image_of, register_model

    named = configured_policy(policy)
    rules = load_policy(named) if named else None
    context, signer = context_of("register", environment, rules), signer_for(sign, "registration")
    refuse_local(signer, environment_of(environment), rules.production if rules else ())
    TrustRoot.load(trust).require_signer(signer, "registration", context.issued_at)
    images = tuple(image_of(said) for said in image or ())
    made_from = MadeFrom(tuple(subject_of(data_at(said)) for said in dataset), images=images)
    done = register_model(
        open_registry(registry, rules, "registration"),
        ledger_at(ledger),
        signer,
        context,
        model=model,
        run_id=run,
        artifact_path=artifact_path,
        made_from=made_from,
        requesters=trainer or [who_asks()],
    )
    if as_json:
        print_json(done.as_dict())
        return
    say(f"{done.version.uri} is registered, sha256:{done.subject.digest[:12]} ({done.entry.reference})")
    say(*(f"  made from {item.name} sha256:{item.digest[:12]}" for item in made_from.datasets))
