"""From a ledger row to something a decision may rest on: signature, key's duty and dates, form, subject.

What does not verify is not dropped: it is returned with the reason, so that a refusal can name it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Generic, Protocol, cast

from airflow_mlgov.addresses import one_spelling
from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.chain import Entry, Head, Verified
from airflow_mlgov.evidence.digests import hash_json
from airflow_mlgov.evidence.external import DETAIL, require_external
from airflow_mlgov.evidence.signing import TrustedKey, TrustRoot
from airflow_mlgov.evidence.statements import (
    CLASSES,
    FORM,
    STATEMENT,
    ApprovalStatement,
    Context,
    ErasureStatement,
    GateStatement,
    Person,
    QuarantineStatement,
    Statement,
    Typed,
    form_of,
    read_statement,
)
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    from securesystemslib.signer import Signer
    from typing_extensions import TypeVar

    from airflow_mlgov.evidence.ledger import Ledger

    S = TypeVar("S", bound=Statement, default=Statement, covariant=True)
    T = TypeVar("T", bound=Statement)
else:
    from typing import TypeVar

    S, T = TypeVar("S"), TypeVar("T")


class Records(Protocol):
    """Where evidence is read from: a ledger, or a pack that was exported from one."""

    def walk(self, checkpoints: Iterable[Head] = ()) -> Verified:
        """Walk the whole chain; what was walked is all that may be decided on."""


_MOST_KEPT = 4096
_LARGEST_KEPT = 64 * 1024
"""Envelopes that a trust root keeps opened, and the characters of one."""


@dataclass(frozen=True)
class Evidence(Generic[S]):
    """One verified statement and where it stands in the ledger."""

    seq: int
    sha256: str
    """Of the envelope."""
    statement: S
    document: Mapping[str, Any]
    """The statement as JSON, as it was signed."""

    @property
    def kind(self) -> str:
        """The word for its kind."""
        return self.statement.kind

    @property
    def subject(self) -> Subject:
        """What it is about."""
        return self.statement.subject

    @property
    def environment(self) -> str:
        """Where it counts."""
        return self.statement.context.environment

    @property
    def gate(self) -> str | None:
        """The gate's name, for gate results."""
        return self.statement.gate if isinstance(self.statement, GateStatement) else None

    @property
    def digest(self) -> str:
        """SHA-256 of the subject."""
        return self.statement.subject.digest

    @property
    def issued_at(self) -> datetime:
        """When it was signed, by the signer's own word."""
        return self.statement.context.issued_at

    @property
    def expires_at(self) -> datetime:
        """After this it is worth nothing, whatever the policy says."""
        return self.statement.context.expires_at

    @cached_property
    def statement_sha256(self) -> str:
        """Of the statement, whatever envelope it came in."""
        return hash_json(self.document)

    @property
    def reference(self) -> str:
        """How people and tags name it."""
        return f"ledger:{self.seq}@{self.sha256[:12]}"

    def as_input(self) -> dict[str, Any]:
        """As the rules of promotion see it."""
        return {"seq": self.seq, "sha256": self.sha256, **self.statement.as_input()}


def only(evidence: Iterable[Evidence], cls: type[T]) -> list[Evidence[T]]:
    """The evidence of one kind, in order.

    :param cls: the class of its statements
    """
    return [cast("Evidence[T]", item) for item in evidence if isinstance(item.statement, cls)]


@dataclass(frozen=True)
class Unverified:
    """An entry that does not verify, and why."""

    seq: int
    kind: str
    problem: str


def verify_entry(entry: Entry, trust: TrustRoot) -> Evidence:
    """The evidence in a ledger entry.

    :raises EvidenceError: the signature, the key's duty, its dates, or the statement's form does not hold
    """
    return verify_envelope(entry.envelope, trust, entry.seq, entry.envelope_sha256)


def verify_envelope(envelope: str, trust: TrustRoot, seq: int = 0, sha256: str = "") -> Evidence:
    """The evidence in an envelope, wherever it was kept. The same text under the same trust root is opened once.

    :raises EvidenceError: the signature, the key's duty, its dates, or the statement's form does not hold
    """
    known = trust.opened.get(envelope)
    if known is None:
        document, keys = trust.open_envelope(envelope)
        statement, written = _read(document)
        _require_one_subject(document, written, statement.form)
        _require_duty(keys, statement)
        if isinstance(statement, GateStatement) and DETAIL in statement.result.details:
            require_external(statement, trust)
        known = Evidence(seq, sha256, _spelt(statement), document)
        if len(envelope) <= _LARGEST_KEPT:
            if len(trust.opened) >= _MOST_KEPT:
                trust.opened.clear()
            trust.opened[envelope] = known
    return known if (known.seq, known.sha256) == (seq, sha256) else replace(known, seq=seq, sha256=sha256)


def believer(trust: TrustRoot | None, now: datetime | None = None) -> Callable[[Entry], bool]:
    """Whether an entry verifies; without a trust root, nobody is asked.

    :param now: its key has to be valid then too
    """

    def believed(entry: Entry) -> bool:
        if trust is None:
            return True
        try:
            duty = verify_entry(entry, trust).statement.duty
            return now is None or trust.still_holds(entry.envelope, duty, now)
        except EvidenceError:
            return False

    return believed


def _spelt(statement: Statement) -> Statement:
    """With the registry in its one spelling: evidence was signed under others before."""
    registry = statement.subject.registry
    if registry is None or one_spelling(registry) == registry:
        return statement
    subject = replace(statement.subject, registry=one_spelling(registry))
    return replace(statement, subject=subject)  # type: ignore[type-var]


def _read(document: Mapping[str, Any]) -> tuple[Statement, dict[str, Any]]:
    """The typed statement in a document that has the form of its kind, and how we would write it."""
    if document.get("_type") != STATEMENT:
        raise EvidenceError(f"not an in-toto Statement v1 but {document.get('_type')!r}", code="evidence.unknown_type")
    cls = CLASSES.get(str(document.get("predicateType")))
    if cls is None:
        raise EvidenceError(f"unknown predicate type {document.get('predicateType')!r}", code="evidence.unknown_type")
    try:
        form = form_of(document)
        fits = has_form(document, form, cls.kind)
        error = None if fits else next(_validator(form, cls.kind).iter_errors(document), None)
        if error is not None:
            where = "/".join(str(part) for part in error.absolute_path) or "statement"
            raise EvidenceError(
                f"the statement is not of the form of a {cls.kind}: {where}: {error.message[:200]}",
                code="evidence.form",
            )
        statement = read_statement(document)
        return statement, statement.as_json()  # a date so far away that it cannot be written in UTC is none
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise EvidenceError(f"the {cls.kind} cannot be read: {error}", code="evidence.form") from error


def _require_one_subject(document: Mapping[str, Any], written: Mapping[str, Any], form: int) -> None:
    """What in-toto's readers see is what we see. Form 1 was held to the digest alone."""
    (named,), ours = document["subject"], written["subject"][0]
    same = named["digest"]["sha256"] == ours["digest"]["sha256"] if form == 1 else named == ours
    if not same:
        raise EvidenceError("the statement names more than one subject", code="evidence.subject")


def _require_duty(keys: Iterable[TrustedKey], statement: Statement) -> None:
    duty = statement.duty
    fitting = [key for key in keys if duty in key.duties]
    if not fitting:
        allowed = ", ".join(sorted({word for key in keys for word in key.duties}))
        raise EvidenceError(f"signed by a key for {allowed}, which may not sign for {duty}", code="evidence.duty")
    if not any(key.covers(statement.context.issued_at) for key in fitting):
        raise EvidenceError(f"signed by a key for {duty} outside its dates", code="evidence.key_dates")
    owners = [key.person for key in fitting]
    if not any(owner in (None, statement.by) for owner in owners):
        said = statement.by.name if statement.by else "nobody"
        own = ", ".join(owner.name for owner in owners if owner)
        raise EvidenceError(f"the word of {said}, signed by the key of {own}", code="evidence.person")
    if isinstance(statement, ApprovalStatement) and statement.roles and None not in owners:
        raise EvidenceError(f"{statement.approver.name} signs what they are in Airflow", code="evidence.person")


def collect(
    records: Verified,
    trust: TrustRoot,
    digests: Iterable[str] | None = None,
    *,
    kind: str | None = None,
    model: str | None = None,
) -> tuple[list[Evidence], list[Unverified]]:
    """Evidence in ledger order, and what did not verify; parameters as for
    :meth:`~airflow_mlgov.evidence.chain.Verified.entries`.

    What does not verify and was quarantined is neither; what verifies counts, whoever has quarantined it.

    A statement beside which a text was altered counts all the same, for the text is not what was signed: else whoever
    may write texts could make a rollback vanish. That it was altered is told beside it.

    A statement that stands in the ledger again counts where it stood first: an old PASS that was put in once more is
    not the newest.
    """
    good: list[Evidence] = []
    bad: list[Unverified] = []
    seen: set[str] = set()
    set_aside: Mapping[int, str] | None = None
    for entry in records.entries(digests, kind=kind, model=model):
        evidence, problem = None, ""
        try:
            evidence = verify_entry(entry, trust)
        except EvidenceError as error:
            problem = str(error)
        if evidence is not None:  # a fault of the ledger's is raised: it says nothing of this entry
            evidence, problem = _with_texts(evidence, records, trust)
            if evidence.statement_sha256 not in seen:
                good.append(evidence)
            seen.add(evidence.statement_sha256)
        if problem:
            set_aside = quarantined(records, trust) if set_aside is None else set_aside
            if set_aside.get(entry.seq) != entry.envelope_sha256:
                bad.append(Unverified(entry.seq, entry.kind, problem))
    return good, bad


def with_texts(evidence: Evidence, records: Verified, trust: TrustRoot) -> Evidence:
    """Evidence with the texts that people typed for it, as far as they stand beside it; in the place of one that does
    not it says why.

    :raises EvidenceError: one was altered (``text.altered``), or the ledger does not hold
    """
    found, problem = _with_texts(evidence, records, trust)
    if problem:
        raise EvidenceError(problem, code="text.altered")
    return found


def _with_texts(evidence: Evidence, records: Verified, trust: TrustRoot) -> tuple[Evidence, str]:
    """The same; and what is wrong with a text, if one was altered.

    :raises EvidenceError: the ledger does not hold
    """
    told, problem = dict[str, Typed](), ""
    for name, text in evidence.statement.texts().items():
        notice = notice_of(text, records, trust)
        kept = None if notice else records.text(text.sha256)
        if notice is not None:  # whatever somebody has put back since
            told[name] = text.without(f"erased on {notice.issued_at:%Y-%m-%d}, notice ledger:{notice.seq}")
        elif kept is None:
            told[name] = text.without(_MISSING)
        else:
            try:
                told[name] = text.opened(*kept)
            except EvidenceError as error:
                told[name], problem = text.without("altered since it was signed"), str(error)
    return (replace(evidence, statement=evidence.statement.with_texts(told)) if told else evidence), problem


_MISSING = "missing: this text was typed, is not beside the ledger, and no notice says it was erased"


def notice_of(text: Typed, records: Verified, trust: TrustRoot) -> Evidence[ErasureStatement] | None:
    """The first notice that verifies of the erasure of a text; None if there is none."""
    for entry in records.entries([text.sha256], kind=ErasureStatement.kind):
        try:
            return only([verify_entry(entry, trust)], ErasureStatement)[0]
        except EvidenceError:
            continue
    return None


def quarantined(records: Verified, trust: TrustRoot) -> dict[int, str]:
    """Number of each entry that somebody has quarantined -> SHA-256 of its envelope."""
    found = {}
    for entry in records.entries(kind=QuarantineStatement.kind):
        try:
            evidence = verify_entry(entry, trust)
        except EvidenceError:
            continue
        if isinstance(evidence.statement, QuarantineStatement):
            found[evidence.statement.entry] = evidence.digest
    return found


def quarantine(
    ledger: Ledger, seq: int, trust: TrustRoot, signer: Signer, context: Context, person: Person, reason: str
) -> Entry:
    """Sign that an entry which does not verify counts for nothing any more.

    :raises ConfigurationError: there is no such entry, it verifies, no reason is given, or the trust root does not know
        who signs
    :raises EvidenceError: the ledger's chain is broken
    """
    trust.require_signer(signer, QuarantineStatement.duty, context.issued_at)
    entry = ledger.get(seq)
    try:
        verify_entry(entry, trust)
    except EvidenceError as error:
        problem = str(error)
    else:
        raise ConfigurationError(
            f"ledger:{seq} verifies, and nothing that verifies can be taken away", code="quarantine.verifies"
        )
    if not reason.strip() or not person.name.strip():
        raise ConfigurationError("a quarantine needs a person and a reason", code="quarantine.reason_missing")
    statement = QuarantineStatement.of(seq, entry.envelope_sha256, problem, person, reason.strip(), context)
    return ledger.attest(statement, signer)


def is_fresh(evidence: Evidence, now: datetime | None = None) -> bool:
    """Whether it has not expired by its own date, and is not from the future by more than five minutes."""
    moment = now or datetime.now(UTC)
    return evidence.issued_at.timestamp() <= moment.timestamp() + 300 and moment < evidence.expires_at


def statement_schema(form: int = FORM) -> dict[str, Any]:
    """The JSON Schema of every statement of a form that this package signs, or has signed."""
    text = (files("airflow_mlgov.evidence") / "schemas" / f"form{form}.json").read_text()
    schema: dict[str, Any] = json.loads(text)
    return schema


def has_form(document: Mapping[str, Any], form: int, kind: str) -> bool:
    """Whether a statement surely has its form, told quickly by JSON Schema in Rust. What is not told so, and everything
    where no wheel of that is to be had, is for :func:`_validator`, which also says why."""
    quick = _quick_validator(form, kind)
    try:
        return quick is not None and bool(quick.is_valid(document))
    except (ValueError, OverflowError, RecursionError):  # what Rust cannot hold
        return False


@cache
def _quick_validator(form: int, kind: str) -> Any:
    try:
        from jsonschema_rs import Draft202012Validator
    except ModuleNotFoundError:
        return None
    return Draft202012Validator(_schema_of(form, kind))


@cache
def _validator(form: int, kind: str) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(_schema_of(form, kind))


def _schema_of(form: int, kind: str) -> dict[str, Any]:
    schema = statement_schema(form)
    if kind not in schema["$defs"]:  # there is no statement of this kind in an old form
        schema = statement_schema()
    del schema["oneOf"]
    return {**schema, "$ref": f"#/$defs/{kind}"}
