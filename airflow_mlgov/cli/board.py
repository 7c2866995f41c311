"""``mlgov board``: the pages without Airflow, on this machine alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from airflow_mlgov.cli.common import (
    Checkpoints,
    LedgerUrl,
    RegistryUri,
    TrustFile,
    open_checkpoints,
    open_registry,
    say,
)
from airflow_mlgov.cli.configured import configured_policy, ledger_at
from airflow_mlgov.cli.values import path, whole
from airflow_mlgov.errors import ConfigurationError

_HERE = ("127.0.0.1", "::1", "localhost")


def board(
    ledger: LedgerUrl,
    trust: TrustFile,
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy",
            parser=path,
            help="Governance policy, mlgov.yaml; MLGOV_POLICY or [mlgov] policy if omitted. Nothing has a verdict "
            "without one.",
        ),
    ] = None,
    environment: Annotated[
        str | None, typer.Option("--environment", help="Only this environment; every one if omitted.")
    ] = None,
    registry: RegistryUri = None,
    checkpoint: Checkpoints = None,
    host: Annotated[str, typer.Option("--host", help="Address of this machine to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", parser=whole, help="Port to listen at.")] = 8480,
) -> None:
    """Show the governance board in a browser: models, their stories, what is owed, the audit log. It changes nothing.

    It asks nobody who they are, so it listens on this machine alone; in Airflow each person sees what they may read.
    """
    from airflow_mlgov.board.app import Door, make_board
    from airflow_mlgov.board.keeper import Source
    from airflow_mlgov.board.readers import EVERYTHING
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.governance.policy import load_policy
    from airflow_mlgov.reports.serving import ReportDesk

    if host not in _HERE:
        raise ConfigurationError(
            f"the board asks nobody who they are, so it listens on this machine alone ({', '.join(_HERE)}), not at "
            f"{host}: put a proxy that asks before it, or use the board in Airflow",
            code="board.address",
        )
    TrustRoot.load(trust)  # whatever is wrong is told now
    policy = configured_policy(policy)
    rules = load_policy(policy) if policy else None
    ledger_at(ledger, create=False).close()
    source = Source(
        lambda: ledger_at(ledger, create=False),
        trust,
        policy,
        environment,
        lambda keys: open_checkpoints(checkpoint, keys),
    )

    async def who(_: object) -> object:
        return EVERYTHING

    door = Door(
        who,  # type: ignore[arg-type]
        (lambda: open_registry(registry, rules, "board")) if registry else None,
        reports=ReportDesk(),
        hosts=(*_HERE, "[::1]"),
    )
    _serve(make_board(source, door), host, port)


def _serve(app: object, host: str, port: int) -> None:
    import uvicorn

    say(f"the board is at http://{host}:{port}/ until you press Ctrl+C")
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False, server_header=False)
