"""``mlgov approve``: one person's answer, signed with that person's own key, where no form of Airflow's asks."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from airflow_mlgov.cli.common import (
    AsJson,
    Environment,
    LedgerUrl,
    PolicyFile,
    RegistryUri,
    SignWith,
    TrustFile,
    open_desk,
    print_json,
    say,
)
from airflow_mlgov.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_mlgov.evidence.statements import Person
    from airflow_mlgov.release.case import Case
    from airflow_mlgov.release.desk import Desk

_SHORTEST = 12
"""Characters by which evidence may be named."""


def approve(
    model: Annotated[str, typer.Argument(help="models:/name/7")],
    target: Annotated[str, typer.Option("--target", help="A target of the model in the policy.")],
    ledger: LedgerUrl,
    trust: TrustFile,
    policy: PolicyFile,
    sign: SignWith,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; it is signed. Asked for if omitted.")] = None,
    evidence: Annotated[
        str | None,
        typer.Option("--evidence", help="What you have read, by the digest that is shown with it: nothing is asked."),
    ] = None,
    reject: Annotated[bool, typer.Option("--reject", help="Reject it instead.")] = False,
    requester: Annotated[
        list[str] | None, typer.Option("--requester", help="Who asks for the promotion. Repeatable.")
    ] = None,
    registry: RegistryUri = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Read the evidence for a model, and sign your answer with your own key. It counts as the form's in Airflow.

    Whose key it is, the trust root says: `mlgov trust add --person olga --duty approval --sign …`. Without a terminal
    the evidence is shown once, and answered with --evidence.
    """
    from airflow_mlgov.release.approvals import refuse_approver, render_case, shown_digest, sign_answer
    from airflow_mlgov.release.case import build_case

    desk = open_desk(
        "approve", registry=registry, ledger=ledger, trust=trust, policy=policy, sign=sign, duty="approval",
        environment=environment,
    )  # fmt: skip
    who = _owner(desk)
    version = desk.registry.resolve(model)
    case = build_case(desk, version, target, requester or ())
    if not reject:
        refuse_approver(case, who)
    stands = shown_digest(case)
    if evidence is None:
        say(*render_case(case).split("\n"), f"evidence {stands}", to=sys.stderr if as_json else sys.stdout)
        reason = _asked(who, case, reason, reject)
    elif len(evidence) < _SHORTEST or not stands.startswith(evidence.removeprefix("sha256:")):
        raise ConfigurationError(
            f"the evidence that stands now is {stands}, and not {evidence}: read it, and answer that",
            code="approval.evidence",
        )
    if not (reason or "").strip():
        raise ConfigurationError("an answer needs a reason: pass --reason", code="approval.reason_missing")
    said = str(reason).strip()
    entry = sign_answer(desk, case, who, approved=not reject, reason=said, at=datetime.now(UTC))
    _tell(build_case(desk, version, target, requester or ()), who, reject, entry.reference, as_json)


def _owner(desk: Desk) -> Person:
    """Whose key signs.

    :raises ConfigurationError: it is no person's key
    """
    key = desk.signer.public_key
    owner = desk.trust.owner_of(key, "approval", desk.now)
    if owner is None:
        raise ConfigurationError(
            f"the key {key.keyid[:16]} is no person's by the trust root {desk.trust.source}, so nobody can tell whose "
            "answer it signs: `mlgov trust add --person NAME --duty approval` adds it, and --sign names it",
            code="approval.key",
        )
    return owner


def _asked(who: Person, case: Case, reason: str | None, reject: bool) -> str:
    """The reason, once the person at the terminal has said yes.

    :raises ConfigurationError: nobody is at a terminal
    """
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "nothing was signed: nobody at a terminal has answered; pass what you have read as --evidence, with "
            "--reason",
            code="option.missing",
        )
    word = "reject" if reject else "approve"
    question = f"{who.name}, do you {word} {case.model} for {case.goal.name}?"
    if not typer.confirm(question, err=True):
        raise typer.Exit(1)
    return reason or str(typer.prompt("why", err=True))


def _tell(case: Case, who: Person, reject: bool, reference: str, as_json: bool) -> None:
    word = "rejected" if reject else "approved"
    left = [{"code": code, "message": message} for code, message in case.decision.reasons]
    if as_json:
        print_json(
            {
                "model": f"models:/{case.model.name}/{case.model.version}",
                "target": case.goal.name,
                "by": who.as_json(),
                "answer": word,
                "evidence": reference,
                "reasons": left,
            }
        )
        return
    say(f"{case.model} was {word} for {case.goal.name!r} by {who.name} ({reference})")
    say(*(f"  - {item['code']}: {item['message']}" for item in left)) if left else say("  it may be promoted")
