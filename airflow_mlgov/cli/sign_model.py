"""``mlgov sign-model``: an OpenSSF Model Signing bundle over what was promoted, for whoever verifies models without
this package."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from airflow_mlgov.cli.common import (
    Environment,
    LedgerUrl,
    PolicyFile,
    RegistryUri,
    SignWith,
    TrustFile,
    open_desk,
    say,
)
from airflow_mlgov.cli.release import explained
from airflow_mlgov.cli.values import path
from airflow_mlgov.errors import ConfigurationError


def sign_model(
    model: Annotated[str, typer.Argument(help="models:/name@alias or models:/name/7, as it was promoted.")],
    out: Annotated[Path, typer.Option("--out", parser=path, help="New file for the bundle: model.sig.")],
    ledger: LedgerUrl,
    trust: TrustFile,
    policy: PolicyFile,
    sign: SignWith,
    registry: RegistryUri = None,
    environment: Environment = None,
    public_key: Annotated[
        Path | None, typer.Option("--public-key", parser=path, help="New file for the public key, PEM.")
    ] = None,
    push: Annotated[
        bool, typer.Option("--push", help="Put the bundle among the files of the version's run too.")
    ] = False,
) -> None:
    """Sign the files of a version that may serve as an OpenSSF Model Signing bundle, with a key of the duty promotion.

    The version is verified first, as `mlgov verify` does; nothing is written if it is refused. The key is ECDSA.
    """
    from airflow_mlgov.evidence.digests import tree_files
    from airflow_mlgov.evidence.model_signature import IGNORED, public_pem, sign_model
    from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
    from airflow_mlgov.release.explanation import explain_bytes
    from airflow_mlgov.reports.pushing import put_file

    desk = open_desk(
        "sign-model", registry=registry, ledger=ledger, trust=trust, policy=policy, sign=sign, duty="promotion",
        environment=environment,
    )  # fmt: skip
    desk.require_signer("promotion")
    pem = public_pem(desk.signer.public_key)
    version = desk.registry.resolve(model)
    subject = desk.registry.subject(version)
    answer = explain_bytes(
        subject,
        desk.records,
        desk.trust,
        policy=desk.policy,
        environment=desk.environment,
        identity=desk.registry.identity,
    )
    if not answer.allowed:
        say(*explained(model, answer), to=sys.stderr)
        raise typer.Exit(1)
    with desk.registry.download(version, subject.digest) as folder:
        bundle = sign_model(subject, tree_files(folder, frozenset(IGNORED)), desk.signer)
    _write(out, bundle.encode())
    if public_key is not None:
        _write(public_key, pem)
    say(f"{out}: {subject}, for `model_signing verify key FOLDER --signature {out} --public_key KEY`")
    if push:
        assert isinstance(desk.registry, MlflowRegistry)  # noqa: S101 - the one that the command opens
        where = put_file(
            desk.registry, version, "mlgov/signatures", f"{version.name}-{version.version}.sig", bundle.encode()
        )
        say(f"in MLflow: {where}")


def _write(out: Path, content: bytes) -> None:
    try:
        with out.open("xb") as file:
            file.write(content)
    except OSError as error:
        raise ConfigurationError(f"cannot write {out}: {error.strerror}", code="file.not_writable") from error
