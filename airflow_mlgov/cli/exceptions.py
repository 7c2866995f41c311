"""``mlgov waive``, ``break-glass`` and ``obligations``: exceptions that people sign, and what is owed for them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

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
    records_at,
    say,
    who_asks,
)
from airflow_mlgov.cli.values import number, whole
from airflow_mlgov.durations import span
from airflow_mlgov.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_mlgov.evidence.statements import Person, Terms
    from airflow_mlgov.release.case import Case
    from airflow_mlgov.release.desk import Desk

Version = Annotated[str, typer.Argument(help="models:/name/7")]
Target = Annotated[str, typer.Option("--target", help="A target of the model in the policy.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is signed.")]
Signer = Annotated[
    str | None,
    typer.Option("--person", help="Who signs; if omitted, whose own key it is, else the user of this shell."),
]


def waive(
    model: Version,
    target: Target,
    reason: Reason,
    ledger: LedgerUrl,
    trust: TrustFile,
    policy: PolicyFile,
    sign: SignWith,
    gate: Annotated[str | None, typer.Option(help="The gate that failed.")] = None,
    check: Annotated[str | None, typer.Option(help="The one check, such as 'demographic_parity_ratio[race]'.")] = None,
    least: Annotated[float | None, typer.Option("--min", parser=number, help="Stretch the bound down to this.")] = None,
    most: Annotated[float | None, typer.Option("--max", parser=number, help="Stretch the bound up to this.")] = None,
    ticket: Annotated[str, typer.Option(help="Where it is discussed.")] = "",
    risk_owner: Annotated[str, typer.Option(help="Who answers for the risk.")] = "",
    data: Annotated[
        str | None,
        typer.Option("--dataset", help="Of a gate over data, the data set: its name, or its SHA-256."),
    ] = None,
    days: Annotated[int, typer.Option(parser=whole, help="How long; the policy's max_days at most.")] = 14,
    requester: Annotated[list[str] | None, typer.Option(help="Who asks for it, and may not sign. Repeatable.")] = None,
    cosign: Annotated[str | None, typer.Option(help="Sign terms that another has signed: their SHA-256.")] = None,
    revoke: Annotated[str | None, typer.Option(help="Take a waiver back: the SHA-256 of its terms.")] = None,
    person: Signer = None,
    registry: RegistryUri = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Sign a time-bound exception for one failed check of one model; --cosign as the second; --revoke to end it."""
    from airflow_mlgov.release.waivers import draft_terms, find_terms, revoke_waiver, sign_waiver, signers_of

    desk = open_desk(
        "waive", registry=registry, ledger=ledger, trust=trust, policy=policy, sign=sign, duty="waiver",
        environment=environment,
    )  # fmt: skip
    case = _case(desk, model, target)
    known = cosign or revoke
    if known:
        terms = find_terms(case, known)
    elif gate and check and (least is not None or most is not None):
        stretch = {name: value for name, value in (("min", least), ("max", most)) if value is not None}
        terms = draft_terms(
            case,
            gate=gate,
            check=check,
            stretch=stretch,
            reason=reason,
            ticket=ticket,
            risk_owner=risk_owner,
            requesters=tuple(requester or ()),
            lifetime=span(days, "days"),
            now=desk.now,
            data=data,
        )
    else:
        raise ConfigurationError(
            "a new waiver needs --gate, --check and --min or --max; or pass --cosign or --revoke", code="option.missing"
        )
    who = _who_signs(desk, person)
    act = revoke_waiver if revoke else sign_waiver
    entry = act(desk, case, terms, who, reason)
    signers = [*signers_of(case, terms), *([] if revoke else [who.name])]
    _tell_waiver(case, terms, "revoked" if revoke else "signed", signers, entry.reference, as_json)


def break_glass(
    model: Version,
    target: Target,
    reason: Reason,
    ledger: LedgerUrl,
    trust: TrustFile,
    policy: PolicyFile,
    sign: SignWith,
    hours: Annotated[float, typer.Option(parser=number, help="How long; the policy's max_hours at most.")] = 8,
    person: Signer = None,
    registry: RegistryUri = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Let a model go past its gates in an emergency, for a time; then `mlgov promote`. An audit is owed for it."""
    from airflow_mlgov.release.waivers import break_glass

    desk = open_desk(
        "break-glass", registry=registry, ledger=ledger, trust=trust, policy=policy, sign=sign, duty="waiver",
        environment=environment,
    )  # fmt: skip
    case = _case(desk, model, target)
    who = _who_signs(desk, person)
    entry = break_glass(desk, case, who, reason, span(hours, "hours"))
    excused = [f"{code}: {message}" for code, message in case.decision.reasons]
    if as_json:
        print_json({"evidence": entry.reference, "excused": excused})
        return
    say(f"{case.model}: {who.name} broke the glass for {target!r} for {hours:g} h ({entry.reference})")
    for reason_excused in excused:
        say(f"  - {reason_excused}")


def obligations(
    ledger: LedgerUrl,
    trust: TrustFile,
    model: Annotated[str | None, typer.Option("--model", help="Only this registered model.")] = None,
    as_json: AsJson = False,
) -> None:
    """The audits that are owed for what is promoted now, soonest first; exit code 1 if one was not kept."""
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.release.obligations import list_obligations

    keys = TrustRoot.load(trust)
    found = list_obligations(records_at(ledger, keys).walk(), keys, datetime.now(UTC), model)
    if as_json:
        print_json([item.as_dict() for item in found])
    else:
        for item in found:
            say(f"{item.id}  {item}")
        if not found:
            say("nothing is owed")
    raise typer.Exit(1 if any(item.state.violated for item in found) else 0)


def _who_signs(desk: Desk, said: str | None) -> Person:
    """Who is said to sign; else whose own key it is, else the user of this shell."""
    from airflow_mlgov.evidence.statements import Person

    owner = desk.trust.owner_of(desk.signer.public_key, "waiver", desk.now)
    if owner is not None and said in (None, owner.name):
        return owner
    name = said or who_asks()
    return Person(name, name)


def _case(desk: Desk, model: str, target: str) -> Case:
    from airflow_mlgov.release.case import build_case

    return build_case(desk, desk.registry.resolve(model), target)


def _tell_waiver(case: Case, terms: Terms, state: str, signers: list[str], reference: str, as_json: bool) -> None:
    needed = case.goal.waivers.signers if case.goal.waivers else 0
    document: dict[str, Any] = {
        "waiver": terms.sha256,
        "state": state,
        "signers": signers,
        "needed": needed,
        "expires": terms.expires,
        "evidence": reference,
    }
    if as_json:
        print_json(document)
        return
    what = f"waiver of {terms.check} of the gate {terms.gate} until {terms.expires}"
    say(f"{case.model}: {what}: {state} ({reference})")
    say(f"  terms {terms.sha256}")
    if state == "signed":
        say(f"  {len(signers)} of {needed} signatures: {', '.join(signers)}")
