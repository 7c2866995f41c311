"""Evidence of others: an in-toto statement in the envelope that its maker has signed, kept whole inside a gate's
result of ours, so that whoever verifies ours verifies theirs. It takes from their predicate what a pointer names, and
evaluates nothing in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow_mlgov import catalogue
from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.digests import parse_json
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Severity, Subject, is_finite

if TYPE_CHECKING:
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.evidence.statements import GateStatement

DETAIL = "external"
"""The part of a result's details that holds the envelope."""
WITNESS = "witness"
"""The duty of a key whose statements are taken."""
LARGEST = 1024 * 1024
"""Bytes of an envelope."""
_PLACE = re.compile("0|[1-9][0-9]{0,8}")
"""Of an item in a list, as RFC 6901 writes it."""
_TYPES = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")


@dataclass(frozen=True)
class External:
    """A statement of somebody else's, as it verified."""

    envelope: str
    key: str
    """Id of the key that signed it."""
    predicate_type: str
    predicate: Mapping[str, Any]
    subjects: frozenset[str]
    """SHA-256 of each thing that it is about."""

    @property
    def sha256(self) -> str:
        """Of the envelope."""
        return sha256(self.envelope.encode()).hexdigest()


@dataclass(frozen=True)
class Rule:
    """What the policy takes from a predicate, and what it allows."""

    pointer: str
    """JSON Pointer (RFC 6901) into the predicate."""
    bound: Bound
    severity: Severity = Severity.CRITICAL


def open_external(envelope: str, trust: TrustRoot, at: datetime | None = None) -> External:
    """The statement in an envelope.

    :param at: when it was added, for the key has to be valid then; now if omitted
    :raises EvidenceError: it is too large, no DSSE envelope with an in-toto statement, or not signed by a key that the
        trust root has for the duty ``witness``
    """
    if len(envelope.encode()) > LARGEST:
        raise EvidenceError(f"the envelope has more than {LARGEST} bytes", code="external.malformed")
    document, keys = trust.open_envelope(envelope)
    if document.get("_type") not in _TYPES:
        raise EvidenceError("the envelope holds no in-toto statement", code="external.malformed")
    fitting = [key for key in keys if WITNESS in key.duties]
    if not fitting:
        raise EvidenceError(
            f"signed by the key {keys[0].key.keyid[:16]}, which the trust root does not have as a witness: `mlgov "
            f"trust add --duty {WITNESS}`",
            code="external.key",
        )
    fitting = [key for key in fitting if key.covers(at or datetime.now(UTC))]
    if not fitting:
        raise EvidenceError(
            f"signed by the key {keys[0].key.keyid[:16]}, which is no witness any more, or not yet, when this is "
            "added: have it signed with the key of today",
            code="external.key",
        )
    predicate, subjects = document.get("predicate"), document.get("subject")
    if not isinstance(predicate, dict) or not isinstance(subjects, list):
        raise EvidenceError("the statement has no predicate, or no subject", code="external.malformed")
    digests = (item.get("digest") for item in subjects if isinstance(item, dict))
    named = (digest.get("sha256") for digest in digests if isinstance(digest, dict))
    return External(
        envelope,
        fitting[0].key.keyid,
        str(document.get("predicateType")),
        predicate,
        frozenset(item for item in named if isinstance(item, str)),
    )


def judge_external(name: str, said: External, model: Subject, rules: Mapping[str, Rule]) -> GateResult:
    """Hold a statement about a model version against the policy's rules; nothing that is missing passes.

    :raises ConfigurationError: it is about something else, or the name is one of our gates'
    """
    if name in catalogue.names():
        raise ConfigurationError(f"{name} is a gate of its own: no statement stands for it", code="external.shadow")
    if model.digest not in said.subjects:
        about = ", ".join(sorted(digest[:12] for digest in said.subjects)) or "nothing"
        raise ConfigurationError(f"the statement is about {about}, and not about {model}", code="external.subject")
    checks = []
    for check, rule in rules.items():
        value = value_at(said.predicate, rule.pointer)
        outcome = rule.bound.judge(float(value)) if is_finite(value) else Outcome.ERROR
        why = "" if is_finite(value) else f"the statement has no number at {rule.pointer}"
        observed = value if is_finite(value) else None
        checks.append(Check(check, outcome, observed, rule.bound, rule.severity, why, {"pointer": rule.pointer}))
    kept = {"envelope": said.envelope, "key": said.key, "predicateType": said.predicate_type, "sha256": said.sha256}
    return GateResult(name, model, tuple(checks), details={DETAIL: kept})


def value_at(document: Any, pointer: str) -> Any:
    """What a JSON Pointer names; True and False are 1 and 0, a list is its length; None if there is nothing."""
    found = document
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping) and step in found:
            found = found[step]
        elif isinstance(found, list) and _PLACE.fullmatch(step) and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    if isinstance(found, list):
        return len(found)
    return int(found) if isinstance(found, bool) else found


def payload_sha256(result: GateResult) -> str:
    """Of what was signed in the envelope that a result holds: the envelope itself may be written in many ways.

    :param result: one that :func:`require_external` has let pass
    """
    from securesystemslib.dsse import Envelope

    kept = result.details[DETAIL]
    return sha256(Envelope.from_dict(parse_json(kept["envelope"])).payload).hexdigest()


def require_external(statement: GateStatement, trust: TrustRoot) -> None:
    """Refuse a result that says more than the envelope in it.

    :raises EvidenceError: the envelope does not verify, is about something else, or has another value for a check
    """
    kept = statement.result.details[DETAIL]
    if statement.gate in catalogue.names():
        raise EvidenceError(f"no statement of others stands for the gate {statement.gate}", code="external.shadow")
    if not isinstance(kept, Mapping) or not isinstance(kept.get("envelope"), str):
        raise EvidenceError("the result holds no envelope", code="external.malformed")
    said = open_external(kept["envelope"], trust, statement.context.issued_at)
    stated = (kept.get("key"), kept.get("predicateType"), kept.get("sha256"))
    if stated != (said.key, said.predicate_type, said.sha256):
        raise EvidenceError("the result names another envelope than it holds", code="external.differs")
    if statement.subject.digest not in said.subjects:
        raise EvidenceError("the envelope is about something else", code="external.subject")
    for check in statement.result.checks:
        pointer = check.values.get("pointer")
        value = value_at(said.predicate, pointer) if isinstance(pointer, str) else None
        if check.observed != (value if is_finite(value) else None) or (check.outcome is Outcome.PASS and value is None):
            raise EvidenceError(f"the envelope has another value for {check.name}", code="external.differs")
