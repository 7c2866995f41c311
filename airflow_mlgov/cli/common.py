"""What the commands share: their options, and how they open a registry, a signer, and a context."""

from __future__ import annotations

import getpass
import io
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from airflow_mlgov import words
from airflow_mlgov.cli.configured import (
    configured,
    filled,
    from_environment,
    ledger_at,
    registry_at,
    registry_elsewhere,
    required,
    vault_client,
)
from airflow_mlgov.cli.values import path

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

    from airflow_mlgov.evidence.chain import Head
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.evidence.statements import Context
    from airflow_mlgov.evidence.verification import Records
    from airflow_mlgov.evidence.witnesses import Quorum
    from airflow_mlgov.governance.policy import GovernancePolicy
    from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
    from airflow_mlgov.rego.protocol import PolicyEngine
    from airflow_mlgov.release.desk import Desk

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def _found(name: str, said: str) -> dict[str, Any]:
    """An option that ``[mlgov]`` fills in."""
    help_text = f"{said}; MLGOV_{name.upper()} or [mlgov] {name} if omitted."
    return {"default_factory": required(name), "show_default": False, "help": help_text}


LedgerUrl = Annotated[
    str, typer.Option("--ledger", **_found("ledger", "SQLAlchemy URL of the ledger, or conn:ID of Airflow's"))
]
SignWith = Annotated[str, typer.Option("--sign", **_found("sign", "local:PATH or vault:KEY (VAULT_ADDR, VAULT_TOKEN)"))]
TrustFile = Annotated[Path, typer.Option("--trust", parser=path, **_found("trust_root", "Trust root, JSON"))]
PolicyFile = Annotated[Path, typer.Option("--policy", parser=path, **_found("policy", "Governance policy, mlgov.yaml"))]
Environment = Annotated[
    str | None,
    typer.Option(
        "--environment",
        help="The name that evidence is bound to; MLGOV_ENVIRONMENT or [mlgov] environment, or 'default', if omitted.",
    ),
]
RegistryUri = Annotated[
    str | None,
    typer.Option("--registry", envvar="MLFLOW_TRACKING_URI", help="MLflow server, or conn:ID of Airflow's."),
]
DecisionLog = Annotated[
    Path | None,
    typer.Option("--decision-log", parser=path, help="Add what the rules are asked and answer, as OPA logs it."),
]
Checkpoints = Annotated[
    list[str] | None,
    typer.Option("--checkpoint", help="A signed checkpoint, envelope or note: file, folder or URL. Repeatable."),
]
Origin = Annotated[
    str | None,
    typer.Option(
        "--origin",
        help="How tools are to know the ledger, such as bank.example/models; MLGOV_ORIGIN or [mlgov] origin, or the "
        "ledger's own id, if omitted.",
    ),
]


def open_registry(uri: str | None, policy: GovernancePolicy | None = None, duty: str | None = None) -> MlflowRegistry:
    """The MLflow registry, see :func:`~airflow_mlgov.cli.configured.registry_at`.

    :param policy: may say which registry it has to be
    :param duty: what the command does
    :raises ConfigurationError: none is named, or it is another registry
    """
    return registry_at(uri, policy.registry if policy else None, duty)


def signer_for(uri: str, duty: str | None = None, *, make_key: bool = False) -> Signer:
    """The signer that ``--sign`` names; Vault's address and token come from the environment, as Vault's own tool does,
    else the connection from ``vault_conn_id`` of ``[mlgov]``.

    :param duty: what is signed; it fills ``{duty}``
    :param make_key: make the file of a ``local:`` key where it is not there
    :raises ConfigurationError: it does not name a signer, or a key file that is not there
    """
    from airflow_mlgov.vault import signer_of

    return signer_of(filled(uri, duty), vault_client(duty), make_key=make_key)


def origin_of(said: str | None) -> str:
    """The name of the ledger in notes; empty for its own id."""
    return said or from_environment("origin")


def environment_of(said: str | None) -> str:
    """The name that evidence is bound to."""
    return said or configured("environment") or "default"


def context_of(command: str, environment: str | None, policy: GovernancePolicy | None = None) -> Context:
    """What goes into the signed bytes about where this was run."""
    from airflow_mlgov.evidence.statements import Context

    bound_to = environment_of(environment)
    return Context(bound_to, policy.descriptor() if policy else {}, {"cli": f"mlgov {command}"})


def open_desk(
    command: str,
    *,
    registry: str | None,
    ledger: str,
    trust: Path,
    policy: Path,
    sign: str,
    duty: str,
    environment: str | None,
    decision_log: Path | None = None,
) -> Desk:
    """Registry, ledger, trust root, policy, signer and engine, open.

    :param command: the command that is at the desk, as evidence names it
    :param duty: of whoever signs there
    :param decision_log: file to which what the rules are asked and answer is added
    """
    from airflow_mlgov.evidence.proven import reads_proven
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.governance.policy import load_policy
    from airflow_mlgov.release.desk import Desk

    read = load_policy(policy)
    client = open_registry(registry, read, duty)
    context = context_of(command, environment, read)
    keys = TrustRoot.load(trust)
    signer, engine = signer_for(sign, duty), open_engine(decision_log)
    marks, elsewhere = tuple(open_checkpoints(None, keys)), partial(registry_elsewhere, duty)
    proven = reads_proven(from_environment("ledger_reads"))
    return Desk(client, ledger_at(ledger), keys, read, signer, context, engine, marks, elsewhere, proven)


def records_at(ledger: str, trust: TrustRoot | None = None, *, create: bool = False) -> Records:
    """A ledger that is read, in the way that ``[mlgov] ledger_reads`` says.

    :param trust: the trust root; if omitted, the one of the settings, and where there is none all is walked
    """
    from airflow_mlgov.evidence.proven import reads_proven, records_of
    from airflow_mlgov.evidence.signing import TrustRoot

    opened, said = ledger_at(ledger, create=create), from_environment("ledger_reads")
    known = configured("trust_root") if trust is None and reads_proven(said) else None
    keys = TrustRoot.load(known) if known else trust
    return records_of(opened, keys, said) if keys else opened


def open_engine(decision_log: Path | None = None) -> PolicyEngine:
    """What evaluates rules: the embedded engine, or what ``MLGOV_POLICY_ENGINE`` or ``[mlgov] policy_engine`` names.

    :param decision_log: file to which what it is asked and answers is added
    :raises ConfigurationError: it names no engine, or the engine lacks what it needs
    """
    from airflow_mlgov.rego.choice import engine_of, logged

    return logged(engine_of(from_environment), decision_log or from_environment("decision_log"))


def open_checkpoints(where: Sequence[str] | None, trust: TrustRoot, quorum: Quorum | None = None) -> list[Head]:
    """What the checkpoints say that are named, and those of ``[mlgov] checkpoint``.

    :param quorum: witnesses who must have cosigned each; those of ``[mlgov] witnesses`` if omitted
    :raises EvidenceError: one does not verify, or too few have cosigned it
    """
    from airflow_mlgov.evidence.checkpoints import heads_at

    asked = quorum or quorum_of(None, None)
    return heads_at([*(where or ()), *from_environment("checkpoint").split()], trust, asked)


def quorum_of(witnesses: Sequence[str] | None, least: str | None) -> Quorum:
    """The witnesses who must have cosigned a checkpoint: those that are said, else those of ``[mlgov]``.

    :param least: how many of them; all if nobody says it
    :raises ConfigurationError: a key is none of a witness, or there are not as many
    """
    from airflow_mlgov.evidence.witnesses import Quorum

    if witnesses:
        return Quorum.read(witnesses, least)
    return Quorum.read(from_environment("witnesses").split(), least or from_environment("witness_quorum"))


def who_asks() -> str:
    """The user of this shell, as the requester of a promotion."""
    return getpass.getuser()


class Screen(io.TextIOBase):
    """A stream that shows the control characters that are written to it and does not obey them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write; see :func:`airflow_mlgov.words.screened`."""
        self._stream.write(words.screened(text))
        return len(text)

    def flush(self) -> None:
        """Flush what is behind it."""
        self._stream.flush()

    def isatty(self) -> bool:
        """No: nobody is to draw here."""
        return False

    def fileno(self) -> int:
        """Of what is behind it."""
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of what is behind it."""
        return self._stream.encoding


def say(*text: Any, to: TextIO | None = None) -> None:
    """Lines for a person, on stdout if not elsewhere: what a line quotes cannot make it two, nor move a cursor."""
    print(words.lines(text), file=to or sys.stdout)


def print_json(document: Any) -> None:
    """One JSON document on stdout; whatever is not ASCII is escaped."""
    json.dump(document, sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")
