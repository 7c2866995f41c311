"""``mlgov report``: what the ledger says of a model by the controls of a framework, or of all models, as a file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airflow_mlgov.cli.common import (
    Checkpoints,
    LedgerUrl,
    RegistryUri,
    TrustFile,
    context_of,
    open_checkpoints,
    open_registry,
    records_at,
    say,
    signer_for,
    who_asks,
)
from airflow_mlgov.cli.configured import configured_policy, ledger_at
from airflow_mlgov.cli.values import path
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.strict_files import nearest

if TYPE_CHECKING:
    from airflow_mlgov.board.judging import Bench
    from airflow_mlgov.evidence.chain import Head
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.evidence.verification import Records
    from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
    from airflow_mlgov.reports.document import Report
    from airflow_mlgov.reports.matter import Matter

FLEET = "fleet"


def report(
    ledger: LedgerUrl,
    trust: TrustFile,
    framework: Annotated[
        str,
        typer.Option(
            "--framework",
            help="annex-iv, ccpa, eu-ai-act, gdpr, iso-42001, model-card, nist-ai-rmf, sr-11-7, fleet, or the path of "
            "a framework file of your own.",
        ),
    ],
    model: Annotated[
        str | None, typer.Argument(help="models:/name/7, models:/name@alias, or a name; all models for the fleet.")
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", help="Of a name; if omitted, what serves, else the newest.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format", help="html, md, json, pdf, oscal or cyclonedx; if omitted, by the end of --out, else md."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", parser=path, help="New file to write; on stdout if omitted.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Of the policy; if omitted, the one that was promoted to last.")
    ] = None,
    environment: Annotated[
        str | None, typer.Option("--environment", help="Needed where there is evidence of several.")
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy", parser=path, help="Governance policy, mlgov.yaml; MLGOV_POLICY or [mlgov] policy if omitted."
        ),
    ] = None,
    registry: RegistryUri = None,
    checkpoint: Checkpoints = None,
    words: Annotated[
        Path | None,
        typer.Option("--words", parser=path, help="YAML of what the organisation says of each control: {'1(e)': …}."),
    ] = None,
    sign: Annotated[
        str | None,
        typer.Option("--sign", help="Sign the document's digest into the ledger, with a key of the duty registration."),
    ] = None,
    person: Annotated[
        str | None, typer.Option("--person", help="Who answers for it; if omitted, the user of this shell.")
    ] = None,
    push: Annotated[
        bool,
        typer.Option("--push", help="Put it into MLflow too: a file of the version's run, and its description."),
    ] = False,
) -> None:
    """Say what the ledger holds for each control of a framework, gaps first: fresh, stale, missing or waived evidence.

    It says which evidence is there and where it stands, never that a control is met. With --registry the version's
    files are hashed again; without, they are those that evidence names.
    """
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.reports.rendering import form_of, render_report

    chosen = form_of(form, out)
    keys = TrustRoot.load(trust)
    records = ledger_at(ledger, create=False) if framework == FLEET else records_at(ledger, keys)
    bench, marks = _bench(records, keys, configured_policy(policy), checkpoint)
    if framework == FLEET:
        _refuse_for_fleet(model, chosen, sign, push)
        _put(_fleet(bench, environment, chosen), out)
        return
    if model is None:
        raise ConfigurationError("name the model of the report: models:/name/7, or its name", code="option.missing")
    client = open_registry(registry, bench.policy, "registration") if registry or push else None
    matter = _matter(bench, model, version, target, environment, client, marks)
    made = _report(framework, matter, words)
    signer = signer_for(sign, "registration") if sign is not None else None
    if signer is not None:  # before anything is written
        bench.trust.require_signer(signer, "registration", bench.now)
    content = render_report(chosen, made)
    _put(content, out)
    if signer is not None:
        from airflow_mlgov.reports.answering import answer_for

        context = context_of("report", matter.standing.environment, bench.policy)
        entry = answer_for(
            made, chosen, content, ledger_at(ledger, create=False), bench.trust, signer, context,
            person or who_asks(),
        )  # fmt: skip
        say(f"{person or who_asks()} answers for it ({entry.reference})", to=sys.stderr)
    if push:
        from airflow_mlgov.reports.pushing import push_report

        assert client is not None  # noqa: S101 - opened above
        say(f"in MLflow: {push_report(client, made, chosen, content)}", to=sys.stderr)


def _bench(
    records: Records, keys: TrustRoot, policy: Path | None, checkpoint: list[str] | None
) -> tuple[Bench, list[Head]]:
    from airflow_mlgov.board.judging import Bench
    from airflow_mlgov.governance.policy import load_policy

    rules, marks = load_policy(policy) if policy else None, open_checkpoints(checkpoint, keys)
    return Bench(records.walk(marks), keys, rules, datetime.now(UTC)), marks


def _matter(
    bench: Bench,
    model: str,
    version: str | None,
    target: str | None,
    environment: str | None,
    client: MlflowRegistry | None,
    marks: Sequence[Head],
) -> Matter:
    from airflow_mlgov.registry.protocol import REFERENCE, name_in
    from airflow_mlgov.reports.matter import find

    said = REFERENCE.fullmatch(model)
    name, number = name_in(model), said["which"] if said else None
    if number and version and number != version:
        raise ConfigurationError(f"{model} and --version {version} are two versions: name one", code="option.missing")
    subject = None
    if client is not None:
        if not (said and said["alias"]):
            number = number or version or find(bench, name, target=target, environment=environment).model.version
        subject = client.subject(client.resolve({"name": name, "version": number} if number else model))
    elif said and said["alias"]:
        raise ConfigurationError(
            f"what the alias {said['alias']!r} is on is for the registry to say: pass --registry, or name the version",
            code="option.missing",
        )
    return find(
        bench, name, number or version, target=target, environment=environment, model=subject, checkpoints=marks
    )


def _report(framework: str, matter: Matter, words: Path | None) -> Report:
    from airflow_mlgov.reports.document import make_report, read_words
    from airflow_mlgov.reports.frameworks import framework as framework_of
    from airflow_mlgov.reports.frameworks import frameworks

    if not framework.endswith((".yaml", ".yml")) and framework not in frameworks():
        known = (*frameworks(), FLEET)
        raise ConfigurationError(
            f"there is no framework {framework!r}{nearest(framework, known)}; there are {', '.join(known)}, and one of "
            "your own is the path of its file, which ends with .yaml",
            code="framework.unknown",
        )
    said, sha256 = read_words(words) if words else ({}, "")
    return make_report(framework_of(framework), matter, said, sha256)


def _fleet(bench: Bench, environment: str | None, form: str) -> bytes:
    from airflow_mlgov.reports.fleet import page_of_fleet, said, standings
    from airflow_mlgov.reports.rendering import rendered

    found = standings(bench, environment)
    return rendered(form, lambda: page_of_fleet(bench, found), lambda: said(bench, found))


def _refuse_for_fleet(model: str | None, form: str, sign: str | None, push: bool) -> None:
    from airflow_mlgov.reports.rendering import OF_MANY

    if model or sign or push:
        raise ConfigurationError(
            "the fleet is of all models: a model, --sign and --push are for a report about one", code="report.fleet"
        )
    if form not in OF_MANY:
        raise ConfigurationError(f"{form} is of one model, not of the fleet", code="report.fleet")


def _put(content: bytes, out: Path | None) -> None:
    """Into a new file, or onto stdout."""
    if out is None:
        print(content.decode(), end="")
        return
    try:
        with out.open("xb") as file:
            file.write(content)
    except OSError as error:
        raise ConfigurationError(f"cannot write {out}: {error.strerror}", code="file.not_writable") from error
    say(f"{out}", to=sys.stderr)
