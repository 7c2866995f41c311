"""From a ledger row to something a decision may rest on: the signature, the key's duty and dates, the subject.

What does not verify is not dropped: it is returned with the reason, so that a refusal can name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.ledger import Entry, Ledger
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.statements import KINDS, STATEMENT

_DUTY = {"provenance": "registration", "approval": "approval", "decision": "promotion", "promotion": "promotion"}


@dataclass(frozen=True)
class Evidence:
    """One verified statement and where it stands in the ledger."""

    seq: int
    sha256: str
    """Of the envelope."""
    kind: str
    statement: Mapping[str, Any]

    @property
    def predicate(self) -> Mapping[str, Any]:
        """The predicate of the statement."""
        predicate: Mapping[str, Any] = self.statement["predicate"]
        return predicate

    @property
    def ours(self) -> Mapping[str, Any]:
        """The part of the predicate that this package defines."""
        part: Mapping[str, Any] = self.predicate["mlgov"]
        return part

    @property
    def gate(self) -> str | None:
        """The gate's name, for gate results."""
        return self.ours.get("gate")

    @property
    def digest(self) -> str:
        """SHA-256 of the subject."""
        digest: str = self.statement["subject"][0]["digest"]["sha256"]
        return digest

    @property
    def issued_at(self) -> datetime:
        """When it was signed, by the signer's own word."""
        return datetime.fromisoformat(self.ours["issuedAt"])

    @property
    def expires_at(self) -> datetime:
        """After this it is worth nothing, whatever the policy says."""
        return datetime.fromisoformat(self.ours["expiresAt"])

    @property
    def reference(self) -> str:
        """How people and tags name it."""
        return f"ledger:{self.seq}@{self.sha256[:12]}"


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
    statement, keys = trust.open_envelope(entry.envelope)
    evidence = Evidence(entry.seq, entry.envelope_sha256, _kind(statement), statement)
    try:
        duty = evidence.gate if evidence.kind == "gate" else _DUTY[evidence.kind]
        issued, expires, digest = evidence.issued_at, evidence.expires_at, evidence.digest
        inner = evidence.ours["subject"]["digest"]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise EvidenceError(f"the statement is not of the form it claims: {error!r}") from error
    if issued.tzinfo is None or expires.tzinfo is None:
        raise EvidenceError("the statement's dates lack a time zone")
    if len(statement["subject"]) != 1 or inner != digest:
        raise EvidenceError("the statement names more than one subject")
    fitting = [key for key in keys if duty in key.duties]
    if not fitting:
        allowed = ", ".join(sorted({word for key in keys for word in key.duties}))
        raise EvidenceError(f"signed by a key for {allowed}, which may not sign for {duty}")
    if not any(key.covers(issued) for key in fitting):
        raise EvidenceError(f"signed by a key for {duty} outside its dates")
    return evidence


def collect(ledger: Ledger, trust: TrustRoot, digests: Iterable[str]) -> tuple[list[Evidence], list[Unverified]]:
    """All evidence about some subjects, in ledger order, and what did not verify."""
    good: list[Evidence] = []
    bad: list[Unverified] = []
    for entry in ledger.entries(digests):
        try:
            good.append(verify_entry(entry, trust))
        except EvidenceError as error:
            bad.append(Unverified(entry.seq, entry.kind, str(error)))
    return good, bad


def is_fresh(evidence: Evidence, now: datetime | None = None) -> bool:
    """Whether it has not expired by its own date, and is not from the future by more than five minutes."""
    moment = now or datetime.now(UTC)
    return evidence.issued_at.timestamp() <= moment.timestamp() + 300 and moment < evidence.expires_at


def _kind(statement: Mapping[str, Any]) -> str:
    if statement.get("_type") != STATEMENT:
        raise EvidenceError(f"not an in-toto Statement v1 but {statement.get('_type')!r}")
    kind = KINDS.get(str(statement.get("predicateType")))
    if kind is None or not isinstance(statement.get("predicate"), Mapping):
        raise EvidenceError(f"unknown predicate type {statement.get('predicateType')!r}")
    return kind
