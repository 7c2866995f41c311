"""``mlgov ledger search``: entries by a text, a person, a gate or a time. It reads what they say, and judges none."""

from __future__ import annotations

import sys
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airflow_mlgov.cli.common import AsJson, LedgerUrl, print_json, records_at, say
from airflow_mlgov.cli.configured import ledger_at
from airflow_mlgov.cli.values import whole
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.strict_files import nearest

if TYPE_CHECKING:
    from airflow_mlgov.evidence.chain import Entry, Verified
    from airflow_mlgov.evidence.statements import Statement

Last = Annotated[int, typer.Option("--last", parser=whole, help="At most so many, the newest; 0: all.")]
Model = Annotated[str | None, typer.Option("--model", help="Only about versions of this registered model.")]
Kinds = Annotated[list[str] | None, typer.Option("--kind", help="Only gate, decision, promotion … Repeatable.")]


def search(
    ledger: LedgerUrl,
    text: Annotated[str | None, typer.Option("--text", help="Only what has this text anywhere, in any case.")] = None,
    person: Annotated[
        str | None, typer.Option("--person", help="Only what this person has signed, trained, or asked for.")
    ] = None,
    gate: Annotated[str | None, typer.Option("--gate", help="Only results of this gate.")] = None,
    after: Annotated[str | None, typer.Option("--after", help="Recorded since: 2026-11-30, or RFC 3339.")] = None,
    before: Annotated[str | None, typer.Option("--before", help="Recorded until then.")] = None,
    model: Model = None,
    kind: Kinds = None,
    last: Last = 20,
    as_json: AsJson = False,
) -> None:
    """Find entries, the newest last; all that is asked for has to fit. Judges no signature. Walks the chain first, of
    a model what is not proven to be all about it."""
    wanted = _Wanted(text, person, gate, _moment(after, "--after"), _moment(before, "--before"))
    require_kinds(kind)
    walked = (records_at(ledger) if model else ledger_at(ledger, create=False)).walk()
    found = walked.entries(model=model)
    show([entry for entry in found if (not kind or entry.kind in kind) and wanted.fits(entry, walked)], last, as_json)


def require_kinds(kinds: list[str] | None) -> None:
    """Refuse kinds that no entry is of.

    :raises ConfigurationError: one is none
    """
    from airflow_mlgov.evidence.statements import CLASSES

    known = sorted({cls.kind for cls in CLASSES.values()})
    unknown = next((word for word in kinds or () if word not in known), None)
    if unknown is not None:
        raise ConfigurationError(f"no entry is a {unknown!r}{nearest(unknown, known)}", code="ledger.kind_unknown")


def show(found: list[Entry], last: int, as_json: bool) -> None:
    """Number, when, kind, what it is about."""
    shown = found[-last:] if last > 0 else found
    if as_json:
        print_json([{name: value for name, value in asdict(entry).items() if name != "envelope"} for entry in shown])
        return
    for entry in shown:
        when = entry.recorded_at[:19].replace("T", " ")
        say(f"{entry.seq:>7}  {when}  {entry.kind:12}  {entry.subject_name}  sha256:{entry.subject_digest[:12]}")
    if len(shown) < len(found):
        say(f"{len(found) - len(shown)} more: pass --last or name more", to=sys.stderr)


@dataclass(frozen=True)
class _Wanted:
    """What is asked for."""

    text: str | None
    person: str | None
    gate: str | None
    after: datetime | None
    before: datetime | None

    def fits(self, entry: Entry, walked: Verified) -> bool:
        """Whether an entry has all of it, in its statement or beside it."""
        recorded = datetime.fromisoformat(entry.recorded_at)
        recorded = recorded if recorded.tzinfo else recorded.replace(tzinfo=UTC)
        if (self.after and recorded < self.after) or (self.before and recorded > self.before):
            return False
        if not (self.text or self.person or self.gate):
            return True
        document = _document(entry)
        if self.text and not any(self.text.casefold() in said.casefold() for said in _said(entry, document, walked)):
            return False
        return self._is_by_and_of(document)

    def _is_by_and_of(self, document: Any) -> bool:
        from airflow_mlgov.evidence.statements import GateStatement, identity, read_statement

        if not (self.person or self.gate):
            return True
        try:
            statement = read_statement(document)
        except (KeyError, TypeError, ValueError, AttributeError):  # what somebody put in who could
            return False
        if self.gate and not (isinstance(statement, GateStatement) and statement.gate == self.gate):
            return False
        return self.person is None or identity(self.person) in set(map(identity, _people(statement)))


def _people(statement: Statement) -> Iterator[str]:
    """Everybody whom a statement names."""
    if statement.by is not None:
        yield statement.by.name
    for holder in (statement, getattr(statement, "terms", None)):
        yield from getattr(holder, "trainers", ())
        yield from getattr(holder, "requesters", ())
        if owner := getattr(holder, "risk_owner", None):
            yield owner


def _document(entry: Entry) -> Any:
    from airflow_mlgov.evidence.digests import parse_json

    return parse_json(b64decode(parse_json(entry.envelope)["payload"]))


def _said(entry: Entry, document: Any, walked: Verified) -> Iterator[str]:
    from airflow_mlgov.evidence.erasure import beside

    yield from _texts(document)
    yield from (text.shown for text in beside(entry, walked) if text.state == "kept")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _moment(said: str | None, option: str) -> datetime | None:
    if said is None:
        return None
    try:
        found = datetime.fromisoformat(said)
    except ValueError:
        raise ConfigurationError(
            f"{option} is a date, 2026-11-30 or 2026-11-30T09:00:00+00:00, not {said!r}", code="option.date"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
