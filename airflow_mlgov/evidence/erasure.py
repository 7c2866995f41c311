"""What people typed, beside the ledger: whose it is, whether it is there, and the one door through which it is erased.

Names stay: who decided is what the ledger is for. What was typed in a form before 3 is inside the signed bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.chain import GENESIS, Entry, Verified, read_envelope
from airflow_mlgov.evidence.statements import (
    CLASSES,
    GROUNDS,
    ErasureStatement,
    Person,
    Statement,
    Typed,
    WaiverStatement,
    identity,
    read_statement,
)
from airflow_mlgov.evidence.statements.typed import SINCE
from airflow_mlgov.evidence.verification import notice_of, verify_entry
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

    from airflow_mlgov.evidence.ledger import Ledger
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.evidence.statements import Context


KINDS = frozenset(cls.kind for cls in CLASSES.values() if cls.typed)
"""Of the statements that people type for."""
OF_NO_ENTRY = "of no entry"
"""In the place of an entry and of a field, for a text that no entry names."""
SIGNED = "signed word for word"
"""How a text stands that is inside a statement of an old form: for good."""


_DIGEST = re.compile("[0-9a-f]{64}")
_NAMED = re.compile('"saltedSha256": "([^"]*)"')
_WORD = re.compile(r"[\w.@-]+")


@dataclass(frozen=True)
class Beside:
    """One text beside a statement."""

    field: str
    """``reason``, ``terms.ticket`` …"""
    state: str
    """``kept``, ``erased``, ``missing``, ``altered``, or :data:`SIGNED`."""
    shown: str
    """The text, or in brackets why it is not there."""


@dataclass(frozen=True)
class Account:
    """How the texts beside a ledger stand: entries and fields, as ``ledger:7 reason``."""

    kept: int = 0
    erased: int = 0
    missing: tuple[str, ...] = ()
    """Not there, and no notice says that they were erased."""
    altered: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    """There, though a notice says that they were erased: erasing them again finishes it."""
    stray: tuple[str, ...] = ()
    """Salted digests of those that no entry names: put there by whoever can write to the database."""


@dataclass(frozen=True)
class Naming:
    """An entry that names a person."""

    entry: Entry
    where: tuple[str, ...]
    """Paths in its statement: ``predicate/approver/name``."""
    texts: tuple[Beside, ...]
    """What that person typed for it."""


def typed_in(entry: Entry) -> list[str]:
    """Salted digests of the texts that stand beside an entry's statement."""
    return [text.sha256 for text in _texts_of(entry).values()]


def beside(entry: Entry, records: Verified, trust: TrustRoot | None = None) -> list[Beside]:
    """Each text beside an entry.

    :param trust: of the keys that may sign a notice; if omitted, a notice is taken as it is
    """
    return [_standing(name, text, records, trust) for name, text in _texts_of(entry).items()]


def account(records: Verified, trust: TrustRoot | None = None) -> Account:
    """How the texts beside all entries stand; parameters as of :func:`beside`."""
    states: dict[str, list[str]] = {}
    for entry in records.entries():
        for name, text in _texts_of(entry).items():
            found, place = _standing(name, text, records, trust), f"ledger:{entry.seq} {name}"
            states.setdefault(found.state, []).append(place)
            if found.state == "erased" and records.text(text.sha256) is not None:
                states.setdefault("left", []).append(place)
    missing, altered, left = (tuple(states.get(name, ())) for name in ("missing", "altered", "left"))
    return Account(len(states.get("kept", ())), len(states.get("erased", ())), missing, altered, left, strays(records))


def strays(records: Verified) -> tuple[str, ...]:
    """Salted digests of the texts that no entry names, in whatever statement; nobody else would find them."""
    if not records.texts():
        return ()
    typed = [entry for entry in records.entries() if entry.kind in KINDS]
    named = {sha256 for entry in typed for sha256 in _NAMED.findall(_payload(entry))}
    return tuple(sorted(sha256 for sha256 in records.texts() if sha256 not in named))


def _payload(entry: Entry) -> str:
    return json.dumps(read_envelope(entry.envelope)[1])


def held_about(person: str, records: Verified, trust: TrustRoot) -> list[Naming]:
    """Every entry that names a person, and what that person typed for it.

    :param person: id or name of an account, in any spelling that is seen as the same
    """
    wanted, found = identity(person), []
    for entry in records.entries():
        where = tuple(_naming(read_envelope(entry.envelope)[1], wanted))
        if where:
            found.append(Naming(entry, where, tuple(_typed_by(wanted, entry, records, trust))))
    return found


def erase(
    ledger: Ledger,
    seq: int,
    trust: TrustRoot,
    signer: Signer,
    context: Context,
    *,
    person: Person,
    ground: str,
    reason: str = "",
    fields: Iterable[str] | None = None,
) -> list[Entry]:
    """Sign a notice for each text beside an entry, and erase the text and its salt; the notices that are new.

    :param ground: one of ``statements.GROUNDS``
    :param fields: only these texts
    :raises ConfigurationError: there is no such entry, nothing stands beside it, or the trust root does not know who
        signs for erasures
    :raises EvidenceError: the ledger's chain is broken
    """
    trust.require_signer(signer, ErasureStatement.duty, context.issued_at)
    _require_ground(ground)
    walked = ledger.walk()
    entry = walked.get(seq)
    found = _erasable(entry, walked, trust)
    texts = {name: text for name, text in found.items() if fields is None or name in set(fields)}
    if not texts:
        raise ConfigurationError(_why_none(entry), code="erasure.nothing")
    notices = []
    for name, text in texts.items():
        if notice_of(text, walked, trust) is None:
            subject = Subject("ledger", f"ledger:{seq}", text.sha256)
            said = ErasureStatement(subject, context, seq, entry.envelope_sha256, name, ground, person, reason.strip())
            notices.append(ledger.attest(said, signer))
    ledger.forget(text.sha256 for text in texts.values())
    return notices


def erase_strays(
    ledger: Ledger, trust: TrustRoot, signer: Signer, context: Context, *, person: Person, ground: str, reason: str = ""
) -> list[Entry]:
    """Sign a notice for each text that no entry names, and erase it; the notices. Parameters and errors as of
    :func:`erase`."""
    trust.require_signer(signer, ErasureStatement.duty, context.issued_at)
    _require_ground(ground)
    walked = ledger.walk()
    found = strays(walked)
    notices = []
    for sha256 in found:
        if not walked.entries([sha256], kind=ErasureStatement.kind):  # else an erasure broke off
            subject = Subject("ledger", OF_NO_ENTRY, sha256)
            said = ErasureStatement(subject, context, 0, GENESIS, OF_NO_ENTRY, ground, person, reason.strip())
            notices.append(ledger.attest(said, signer))
    ledger.forget(found)
    return notices


def _require_ground(ground: str) -> None:
    if ground not in GROUNDS:
        raise ConfigurationError(f"{ground!r} is no ground: {', '.join(GROUNDS)}", code="erasure.ground")


def _erasable(entry: Entry, records: Verified, trust: TrustRoot) -> dict[str, Typed]:
    """The texts beside an entry, also beside one that does not verify: what was typed is kept all the same. But that
    one may name a text of another entry, which is not its to take away."""
    texts = _texts_of(entry)
    if _verifies(entry, trust):
        return texts
    others = [other for other in records.entries() if other.seq != entry.seq]
    theirs = {sha256: other for other in others for sha256 in typed_in(other)}
    return {
        name: text
        for name, text in texts.items()
        if text.sha256 not in theirs or not _verifies(theirs[text.sha256], trust)
    }


def _verifies(entry: Entry, trust: TrustRoot) -> bool:
    try:
        verify_entry(entry, trust)
    except EvidenceError:
        return False
    return True


def _texts_of(entry: Entry) -> dict[str, Typed]:
    statement = _read(entry) if entry.kind in KINDS else None
    found = {} if statement is None else statement.texts()
    return {name: text for name, text in found.items() if _is_digest(text.sha256)}  # whatever somebody put in


def _is_digest(said: Any) -> bool:
    return isinstance(said, str) and _DIGEST.fullmatch(said) is not None


def _read(entry: Entry) -> Statement | None:
    try:
        return read_statement(read_envelope(entry.envelope)[1])
    except (KeyError, TypeError, ValueError, AttributeError):  # what somebody put in who could
        return None


def _typed_by(wanted: str, entry: Entry, records: Verified, trust: TrustRoot) -> Iterator[Beside]:
    """Whoever signs gives the reason, and whoever asks for a waiver its terms."""
    statement = _read(entry)
    if statement is None:
        return
    terms = statement.terms if isinstance(statement, WaiverStatement) else None
    author: Person | None = statement.by or getattr(statement, "person", None)
    is_author = author is not None and wanted in map(identity, (author.name, author.id))
    is_asking = terms is not None and wanted in map(identity, terms.requesters)
    for item in beside(entry, records, trust):
        if is_asking if item.field.startswith("terms.") else is_author:
            yield item
    for holder, prefix, is_theirs in ((statement, "", is_author), (terms, "terms.", is_asking)):
        for name in getattr(holder, "typed", ()) if is_theirs else ():
            text = getattr(holder, name)
            if text and not isinstance(text, Typed):
                yield Beside(f"{prefix}{name}", SIGNED, text)


def _standing(name: str, text: Typed, records: Verified, trust: TrustRoot | None) -> Beside:
    if trust is None:
        notices = records.entries([text.sha256], kind=ErasureStatement.kind)
        notice = f"notice ledger:{notices[0].seq}, its signature unchecked" if notices else ""
    else:
        found = notice_of(text, records, trust)
        notice = f"on {found.issued_at:%Y-%m-%d}, notice ledger:{found.seq}" if found else ""
    if notice:
        return Beside(name, "erased", f"[erased {notice}]")
    kept = records.text(text.sha256)
    if kept is None:
        return Beside(name, "missing", "[missing, and no notice says that it was erased]")
    try:
        return Beside(name, "kept", str(text.opened(*kept)))
    except EvidenceError:
        return Beside(name, "altered", "[altered since it was signed]")


def _naming(value: Any, wanted: str, path: str = "") -> Iterator[str]:
    """Where a document names a person: a text that is the name, or one of a policy's files that has it in it."""
    if isinstance(value, str):
        in_policy = path.startswith("predicate/files/") and wanted in _WORD.findall(identity(value))
        if in_policy or identity(value) == wanted:
            yield path
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _naming(item, wanted, f"{path}/{name}".lstrip("/"))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _naming(item, wanted, f"{path}/{number}")


def _why_none(entry: Entry) -> str:
    statement = _read(entry)
    if statement is not None and statement.form < SINCE:
        return (
            f"ledger:{entry.seq} was signed in form {statement.form}, which holds what was typed word for word: it "
            "cannot be erased without breaking the chain"
        )
    return f"no such text stands beside ledger:{entry.seq}"
