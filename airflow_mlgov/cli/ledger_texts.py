"""``mlgov ledger erase`` and ``person``: what people typed, beside the ledger, and what is held about a person."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from airflow_mlgov.cli.common import (
    AsJson,
    Environment,
    LedgerUrl,
    SignWith,
    TrustFile,
    context_of,
    environment_of,
    print_json,
    say,
    signer_for,
    who_asks,
)
from airflow_mlgov.cli.configured import ledger_at
from airflow_mlgov.cli.values import path, whole
from airflow_mlgov.errors import ConfigurationError, EvidenceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_mlgov.evidence.chain import Entry, Verified
    from airflow_mlgov.evidence.erasure import Account, Naming

_MOST_NAMED = 10


def erase(
    ledger: LedgerUrl,
    trust: TrustFile,
    sign: SignWith,
    ground: Annotated[
        str, typer.Option("--ground", help="request, not-needed, mistake or order: why it may go; it is signed.")
    ],
    entry: Annotated[int | None, typer.Option("--entry", parser=whole, help="Number of the entry.")] = None,
    person: Annotated[
        str | None, typer.Option("--person", help="All that this person typed, of whatever entry.")
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option("--text", help="Only this text of the entry: reason, terms.ticket … Repeatable.")
    ] = None,
    strays: Annotated[
        bool, typer.Option("--strays", help="The texts that no entry names: whoever put them there had the database.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", help="More of why; kept beside the notice.")] = "",
    by: Annotated[str | None, typer.Option("--by", help="Who erases it; if omitted, the user of this shell.")] = None,
    policy: Annotated[Path | None, typer.Option("--policy", parser=path, help="Governance policy, mlgov.yaml.")] = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Erase what was typed for an entry, or by a person, and sign a notice of it with the key of the duty `erasure`.

    The chain and all signatures hold as before; names stay. Packs, reports and messages that went out are not reached.
    """
    from airflow_mlgov.evidence import erasure
    from airflow_mlgov.evidence.signing import TrustRoot, refuse_local
    from airflow_mlgov.evidence.statements import Person
    from airflow_mlgov.governance.policy import load_policy

    if [entry is not None, person is not None, strays].count(True) != 1:
        raise ConfigurationError("name an --entry or a --person, or say --strays", code="erasure.which")
    read, signer, name = load_policy(policy) if policy else None, signer_for(sign, "erasure"), by or who_asks()
    refuse_local(signer, environment_of(environment), read.production if read else ())
    context, keys = context_of("ledger erase", environment, read), TrustRoot.load(trust)
    records = ledger_at(ledger, create=False)
    wanted: list[tuple[int, Sequence[str] | None]] = [(entry, text)] if entry is not None else []
    if person is not None:
        about = erasure.held_about(person, records.walk(), keys)
        theirs = {item.entry.seq: [one.field for one in item.texts if one.state != erasure.SIGNED] for item in about}
        wanted = [(seq, fields) for seq, fields in theirs.items() if fields]
    notices: list[Entry] = []
    given: dict[str, Any] = {"person": Person(name, name), "ground": ground, "reason": reason}
    if strays:
        notices += erasure.erase_strays(records, keys, signer, context, **given)
    for seq, fields in wanted:
        notices += erasure.erase(records, seq, keys, signer, context, fields=fields, **given)
    if as_json:
        print_json({"entries": [seq for seq, _ in wanted], "notices": [item.reference for item in notices]})
        return
    what = ", ".join(f"ledger:{seq}" for seq, _ in wanted) or ("the ledger" if strays else "nothing")
    signed = ", ".join(item.reference for item in notices) or "none that is new"
    say(f"erased beside {what}; notices: {signed}", *_held_by_airflow(records.read(seq for seq, _ in wanted)))


def _held_by_airflow(entries: Sequence[Entry]) -> list[str]:
    """Where Airflow may hold the same words, and what takes them away there: nothing of ours may."""
    from airflow_mlgov.evidence.chain import read_envelope

    runs = [read_envelope(entry.envelope)[1]["predicate"].get("mlgov", {}).get("run", {}) for entry in entries]
    found = dict.fromkeys((str(run["dag_id"]), str(run["run_id"])) for run in runs if {"dag_id", "run_id"} <= set(run))
    if not found:
        return []
    return [
        "Airflow holds the answered form as well, in its database and in its audit log. Ask whoever runs it for",
        *(f"  DELETE /api/v2/dags/{quote(dag, safe='')}/dagRuns/{quote(run, safe='')}" for dag, run in found),
        *(
            f"  airflow db clean --tables log --dag-ids {shlex.quote(dag)} --skip-archive --clean-before-timestamp WHEN"
            for dag in dict.fromkeys(dag for dag, _ in found)
        ),
    ]


def person(
    name: Annotated[str, typer.Argument(help="Id or name of the account.")],
    ledger: LedgerUrl,
    trust: TrustFile,
    as_json: AsJson = False,
) -> None:
    """All that the ledger holds about a person: each entry that names them, where, and what they typed."""
    from airflow_mlgov.evidence.erasure import held_about
    from airflow_mlgov.evidence.signing import TrustRoot

    found = held_about(name, ledger_at(ledger, create=False).walk(), TrustRoot.load(trust))
    if as_json:
        print_json({"person": name, "entries": [_as_json(item) for item in found]})
        return
    say(f"{len(found)} entries name {name}")
    for item in found:
        when = item.entry.recorded_at[:19].replace("T", " ")
        say(f"{item.entry.seq:>7}  {when}  {item.entry.kind:12}  {item.entry.subject_name}")
        say(f"         named in {', '.join(item.where)}")
        for one in item.texts:
            say(f"         typed as {one.field}: {one.shown}")


def _as_json(item: Naming) -> dict[str, Any]:
    return {
        "seq": item.entry.seq,
        "reference": item.entry.reference,
        "recorded_at": item.entry.recorded_at,
        "kind": item.entry.kind,
        "subject": item.entry.subject_name,
        "named_in": list(item.where),
        "typed": [vars(one) for one in item.texts],
    }


def show_beside(entry: Entry, walked: Verified) -> dict[str, Any]:
    """The texts beside an entry, for ``mlgov ledger show``; nothing where there are none."""
    from airflow_mlgov.evidence.erasure import beside

    found = beside(entry, walked)
    return {"typed": [vars(one) for one in found]} if found else {}


def lines_of(texts: Account, *, checked: bool) -> list[str]:
    """How the texts beside a ledger stand, for ``mlgov ledger verify``."""
    if not (texts.kept or texts.erased or texts.missing or texts.altered or texts.stray):
        return []
    how = "" if checked else " (their signatures unchecked: give --trust)"
    lines = [f"what people typed: {texts.kept} texts as they were signed, {texts.erased} erased by a notice{how}"]
    if texts.left:
        lines.append(
            f"erased by a notice, and there: {_listed(texts.left)}: somebody put it back, or the erasure broke off; "
            "`mlgov ledger erase` again finishes it"
        )
    if texts.stray:
        lines.append(
            f"texts that no entry names: {len(texts.stray)}: somebody put them there; `mlgov ledger erase --strays` "
            "takes them away"
        )
    return lines


def require_whole(texts: Account) -> None:
    """Refuse texts that are neither as they were signed nor erased by a notice.

    :raises EvidenceError: there is one
    """
    if texts.altered:
        raise EvidenceError(
            f"altered beside the ledger since it was signed: {_listed(texts.altered)}: put the text back from a pack "
            "or a backup, or take it away with `mlgov ledger erase`",
            code="text.altered",
        )
    if texts.missing:
        raise EvidenceError(
            f"missing beside the ledger, and no notice says that it was erased: {_listed(texts.missing)}: put the text "
            "back from a pack or a backup; if it is to stay away, sign that with `mlgov ledger erase`",
            code="text.missing",
        )


def _listed(places: Sequence[str]) -> str:
    more = f" and {len(places) - _MOST_NAMED} more" if len(places) > _MOST_NAMED else ""
    return ", ".join(places[:_MOST_NAMED]) + more
