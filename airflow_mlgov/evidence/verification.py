"""From a ledger row to something a decision may rest on: signature, key's duty and dates, form, subject.

What does not verify is not dropped: it is returned with the reason, so that a refusal can name it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Protocol

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.chain import Entry, Head
from airflow_mlgov.evidence.digests import hash_json
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.statements import KINDS, STATEMENT

_DUTY = {
    "provenance": "registration",
    "approval": "approval",
    "decision": "promotion",
    "intent": "promotion",
    "promotion": "promotion",
    "policy": "promotion",
    "incident": "reconcile",
    "checkpoint": "checkpoint",
    "waiver": "waiver",
    "emergency": "waiver",
    "audit": "audit",
}
"""Kind of statement -> the duty that signs it; a gate's result is signed under the gate's own name."""


class Records(Protocol):
    """Where evidence is read from: a ledger, or a pack that was exported from one."""

    def verify(self, checkpoints: Iterable[Head] = ()) -> Head:
        """Walk the whole chain."""

    def entries(
        self, digests: Iterable[str] | None = None, *, kind: str | None = None, model: str | None = None
    ) -> list[Entry]:
        """Entries in order, about some subjects, of one kind, about versions of one model."""


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
    return verify_envelope(entry.envelope, trust, entry.seq, entry.envelope_sha256)


def verify_envelope(envelope: str, trust: TrustRoot, seq: int = 0, sha256: str = "") -> Evidence:
    """The evidence in an envelope, wherever it was kept.

    :raises EvidenceError: the signature, the key's duty, its dates, or the statement's form does not hold
    """
    statement, keys = trust.open_envelope(envelope)
    evidence = Evidence(seq, sha256, _kind(statement), statement)
    try:
        issued, expires = evidence.issued_at, evidence.expires_at
    except ValueError as error:
        raise EvidenceError(f"the statement's dates are none: {error}") from error
    if issued.tzinfo is None or expires.tzinfo is None:
        raise EvidenceError("the statement's dates lack a time zone")
    if evidence.ours["subject"]["digest"] != evidence.digest:
        raise EvidenceError("the statement names more than one subject")
    if evidence.kind == "waiver" and hash_json(evidence.predicate["terms"]) != evidence.predicate["terms_sha256"]:
        raise EvidenceError("the waiver's terms are not those that its digest names")
    duty = evidence.gate if evidence.kind == "gate" else _DUTY[evidence.kind]
    fitting = [key for key in keys if duty in key.duties]
    if not fitting:
        allowed = ", ".join(sorted({word for key in keys for word in key.duties}))
        raise EvidenceError(f"signed by a key for {allowed}, which may not sign for {duty}")
    if not any(key.covers(issued) for key in fitting):
        raise EvidenceError(f"signed by a key for {duty} outside its dates")
    return evidence


def collect(
    records: Records,
    trust: TrustRoot,
    digests: Iterable[str] | None = None,
    *,
    kind: str | None = None,
    model: str | None = None,
) -> tuple[list[Evidence], list[Unverified]]:
    """Evidence in ledger order, and what did not verify; parameters as for :meth:`Records.entries`.

    A statement that stands in the ledger again counts where it stood first: an old PASS that was put in once more is
    not the newest.
    """
    good: list[Evidence] = []
    bad: list[Unverified] = []
    seen: set[str] = set()
    for entry in records.entries(digests, kind=kind, model=model):
        try:
            evidence = verify_entry(entry, trust)
        except EvidenceError as error:
            bad.append(Unverified(entry.seq, entry.kind, str(error)))
            continue
        statement = hash_json(evidence.statement)
        if statement not in seen:
            good.append(evidence)
        seen.add(statement)
    return good, bad


def is_fresh(evidence: Evidence, now: datetime | None = None) -> bool:
    """Whether it has not expired by its own date, and is not from the future by more than five minutes."""
    moment = now or datetime.now(UTC)
    return evidence.issued_at.timestamp() <= moment.timestamp() + 300 and moment < evidence.expires_at


def statement_schema() -> dict[str, Any]:
    """The JSON Schema of every statement that this package signs."""
    schema: dict[str, Any] = json.loads((files("airflow_mlgov.evidence") / "statement.schema.json").read_text())
    return schema


def _kind(statement: Mapping[str, Any]) -> str:
    """The kind of a statement that has the form of its kind."""
    if statement.get("_type") != STATEMENT:
        raise EvidenceError(f"not an in-toto Statement v1 but {statement.get('_type')!r}")
    kind = KINDS.get(str(statement.get("predicateType")))
    if kind is None:
        raise EvidenceError(f"unknown predicate type {statement.get('predicateType')!r}")
    error = next(_validator(kind).iter_errors(statement), None)
    if error is not None:
        where = "/".join(str(part) for part in error.absolute_path) or "statement"
        raise EvidenceError(f"the statement is not of the form of a {kind}: {where}: {error.message[:200]}")
    return kind


@cache
def _validator(kind: str) -> Any:
    from jsonschema import Draft202012Validator

    schema = statement_schema()
    del schema["oneOf"]
    return Draft202012Validator({**schema, "$ref": f"#/$defs/{kind}"})
