"""``mlgov admission``: the cluster's webhook."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from airflow_mlgov.cli.common import Checkpoints, LedgerUrl, PolicyFile, RegistryUri, TrustFile, open_checkpoints, say
from airflow_mlgov.cli.configured import from_environment, ledger_at
from airflow_mlgov.cli.values import path, whole
from airflow_mlgov.errors import ConfigurationError


def admission(
    ledger: LedgerUrl,
    trust: TrustFile,
    policy: PolicyFile,
    opa: Annotated[str, typer.Option("--opa", help="URL of the OPA server with the bundle, http://127.0.0.1:8181.")],
    bundle_revision: Annotated[
        str, typer.Option("--bundle-revision", help="Revision that the bundle must have: sha256:…")
    ],
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", parser=path, help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", parser=path, help="Its private key, PEM.")] = None,
    client_ca: Annotated[
        Path | None, typer.Option("--client-ca", parser=path, help="Authority of the API server's own certificate.")
    ] = None,
    opa_ca: Annotated[
        Path | None,
        typer.Option("--opa-ca", parser=path, help="Authority of OPA's certificate; the system's if omitted."),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", parser=whole, help="Port to listen at.")] = 8443,
    registry: RegistryUri = None,
    checkpoint: Checkpoints = None,
) -> None:
    """Answer a cluster's admission reviews: what may be served, told from the ledger, judged by rules on OPA."""
    from airflow_mlgov.addresses import RegistryIdentity
    from airflow_mlgov.admission.opa import OpaServer
    from airflow_mlgov.admission.server import Door, make_app, serve
    from airflow_mlgov.admission.standing import Standings
    from airflow_mlgov.evidence.proven import reads_proven
    from airflow_mlgov.governance.policy import load_policy

    rules = load_policy(policy)
    identity = rules.registry or (RegistryIdentity.at(registry) if registry else None)
    if identity is None:
        raise ConfigurationError(
            "whose models? say registry_id in the policy, or pass --registry: it names the registry, and is not asked",
            code="option.missing",
        )
    if (tls_cert is None) != (tls_key is None) or (client_ca and not tls_cert):
        raise ConfigurationError(
            "--tls-cert and --tls-key go together, and --client-ca needs both", code="option.missing"
        )
    if tls_cert is None and host not in ("127.0.0.1", "::1", "localhost"):
        raise ConfigurationError(
            f"an API server asks over HTTPS alone: pass --tls-cert and --tls-key to listen at {host}",
            code="option.missing",
        )
    for file in (tls_cert, tls_key, client_ca, opa_ca):
        if file is not None and not file.is_file():
            raise ConfigurationError(f"no such file: {file}", code="file.missing")
    standings = Standings(
        lambda: ledger_at(ledger, create=False),
        trust,
        rules,
        identity,
        lambda keys: open_checkpoints(checkpoint, keys),
        proven=reads_proven(from_environment("ledger_reads")),
    )
    door = Door(standings, OpaServer(opa, bundle_revision, ca=str(opa_ca) if opa_ca else None))
    standings.book()  # a ledger or a trust root that is wrong is told now
    say(f"listening at {'https' if tls_cert else 'http'}://{host}:{port}, asking OPA at {door.opa.url}")
    serve(
        make_app(door.judge, door.check), host=host, port=port, certificate=tls_cert, key=tls_key, client_ca=client_ca
    )
