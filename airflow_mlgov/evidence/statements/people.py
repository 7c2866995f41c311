"""What people sign: an answer, the terms of a waiver, a break-glass. Each is one person's, with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Self

from airflow_mlgov.evidence.digests import hash_json
from airflow_mlgov.evidence.statements.common import (
    Person,
    Signed,
    end_of,
    identity,
    moment_of,
    nanoseconds,
    read_common,
)
from airflow_mlgov.evidence.statements.typed import Typed, read_text, written


@dataclass(frozen=True)
class ApprovalStatement(Signed):
    """One person's answer, bound to what that person was shown."""

    kind: ClassVar[str] = "approval"
    predicate_type: ClassVar[str] = "urn:airflow-mlgov:predicate:approval:v1"
    duty: ClassVar[str] = "approval"
    typed: ClassVar[tuple[str, ...]] = ("reason",)
    target: str
    approver: Person
    approved: bool
    reason: str
    shown: tuple[str, ...]
    """SHA-256 of each evidence envelope whose content was in the form."""
    answered_at: datetime
    earlier: tuple[str, ...] = ()
    """SHA-256 of each answer that was given before, by anybody, also before a task was cleared."""
    requesters: tuple[str, ...] = ()
    """Who had asked for what was answered: their own answers may not count."""
    roles: tuple[str, ...] = ()
    """What the approver was in Airflow when the answer came, if the policy goes by roles."""

    @property
    def by(self) -> Person:
        """Who has answered."""
        return self.approver

    @property
    def answer(self) -> str:
        """``approved`` or ``rejected``."""
        return "approved" if self.approved else "rejected"

    def predicate(self) -> dict[str, Any]:
        """The in-toto predicate."""
        return {
            "target": self.target,
            "approver": self.approver.as_json(),
            "answer": self.answer,
            "reason": written(self.reason),
            "shown": sorted(self.shown),
            "answeredAt": self.date(self.answered_at),
            "earlier": list(self.earlier),
            "requesters": sorted(set(self.requesters)),
            **({"roles": sorted(self.roles)} if self.roles else {}),
            "mlgov": self.common(),
        }

    def as_input(self) -> dict[str, Any]:
        """As the rules see it."""
        return super().as_input() | {
            "target": self.target,
            "approver": self.approver.identity,
            "account": self.approver.as_json(),
            "answer": self.answer,
            "reason": written(self.reason),
            "shown": sorted(self.shown),
            "requesters": [identity(name) for name in sorted(set(self.requesters))],
            **({"roles": sorted(self.roles)} if self.roles else {}),
        }

    @classmethod
    def read(cls, predicate: Mapping[str, Any]) -> Self:
        """From a predicate of its form."""
        return cls(
            **read_common(predicate["mlgov"]),
            target=predicate["target"],
            approver=Person.read(predicate["approver"]),
            approved=predicate["answer"] == "approved",
            reason=read_text(predicate["reason"]),
            shown=tuple(predicate["shown"]),
            answered_at=moment_of(predicate["answeredAt"]),
            earlier=tuple(predicate.get("earlier", ())),
            requesters=tuple(predicate.get("requesters", ())),
            roles=tuple(predicate.get("roles", ())),
        )


@dataclass(frozen=True)
class Terms:
    """What is waived. Every signer signs the same terms."""

    typed: ClassVar[tuple[str, ...]] = ("reason", "ticket")
    """The fields that a person types: plain text in terms that were first signed in a form before 3."""
    gate: str
    check: str
    """Name of the one check, such as ``demographic_parity_ratio[race]``."""
    target: str
    observed: float
    """What was measured when it was asked for."""
    min: float | None
    """How far the bound is stretched; None: not on this side. A worse value than this is not waived."""
    max: float | None
    reason: str
    ticket: str
    risk_owner: str
    """Who answers for the risk."""
    requesters: tuple[str, ...]
    """Who asks for it; they may not sign."""
    expires: str
    """RFC 3339, as it is signed: the terms are named by their bytes."""
    subject: str | None = None
    """SHA-256 of what the check has judged: the model, or one of its data sets. None in terms that were signed before
    they said it; they are about the model."""

    @property
    def ends(self) -> datetime:
        """When it runs out; long ago if the date names no zone."""
        return end_of(self.expires)

    def as_dict(self) -> dict[str, Any]:
        """As it is signed."""
        said = {**asdict(self), "requesters": list(self.requesters)}
        said |= {name: written(getattr(self, name)) for name in self.typed}
        if self.subject is None:
            del said["subject"]
        return said

    def in_words(self) -> dict[str, Any]:
        """As people read it: the same whenever it is drafted, since no salt is in it."""
        return {**self.as_dict(), **{name: str(getattr(self, name)) for name in self.typed}}

    @property
    def sha256(self) -> str:
        """Names the terms."""
        return hash_json(self.as_dict())

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Self:
        """What :meth:`as_dict` has written."""
        texts = {name: read_text(said[name]) for name in cls.typed}
        return cls(**{**said, **texts, "requesters": tuple(said["requesters"])})


@dataclass(frozen=True)
class WaiverStatement(Signed):
    """One person's signature under the terms of a waiver, or its revocation."""

    kind: ClassVar[str] = "waiver"
    predicate_type: ClassVar[str] = "urn:airflow-mlgov:predicate:waiver:v1"
    duty: ClassVar[str] = "waiver"
    typed: ClassVar[tuple[str, ...]] = ("reason",)
    terms: Terms
    state: str
    """``signed`` or ``revoked``."""
    signer: Person
    reason: str
    """Why this person signs, or revokes."""

    @property
    def by(self) -> Person:
        """Who signs, or revokes."""
        return self.signer

    def texts(self) -> dict[str, Typed]:
        """Its own, and those of the terms."""
        of_terms = {name: getattr(self.terms, name) for name in Terms.typed}
        return super().texts() | {f"terms.{name}": text for name, text in of_terms.items() if isinstance(text, Typed)}

    def with_texts(self, told: Mapping[str, Typed]) -> Self:
        """With what was found beside it."""
        of_terms: dict[str, Any] = {name: told[f"terms.{name}"] for name in Terms.typed if f"terms.{name}" in told}
        own: dict[str, Any] = {name: text for name, text in told.items() if name in self.typed}
        return replace(self, terms=replace(self.terms, **of_terms), **own)

    def predicate(self) -> dict[str, Any]:
        """The in-toto predicate."""
        return {
            "terms": self.terms.as_dict(),
            "terms_sha256": self.terms.sha256,
            "state": self.state,
            "signer": self.signer.as_json(),
            "reason": written(self.reason),
            "mlgov": self.common(),
        }

    def as_input(self) -> dict[str, Any]:
        """As the rules see it."""
        terms = self.terms.as_dict()
        return super().as_input() | {
            "state": self.state,
            "signer": self.signer.identity,
            "account": self.signer.as_json(),
            "terms_sha256": self.terms.sha256,
            "terms": {
                "subject": None,
                **terms,
                "requesters": [identity(name) for name in self.terms.requesters],
                "expires_ns": nanoseconds(self.terms.ends),
            },
        }

    @classmethod
    def read(cls, predicate: Mapping[str, Any]) -> Self:
        """From a predicate of its form.

        :raises ValueError: its digest names other terms
        """
        if hash_json(predicate["terms"]) != predicate["terms_sha256"]:
            raise ValueError("the waiver's terms are not those that its digest names")
        terms = Terms.read(predicate["terms"])
        terms.ends  # noqa: B018 - refuses what is not a date
        return cls(
            **read_common(predicate["mlgov"]),
            terms=terms,
            state=predicate["state"],
            signer=Person.read(predicate["signer"]),
            reason=read_text(predicate["reason"]),
        )


@dataclass(frozen=True)
class EmergencyStatement(Signed):
    """A break-glass: one person lets a model go to a target in an emergency, for a time."""

    kind: ClassVar[str] = "emergency"
    predicate_type: ClassVar[str] = "urn:airflow-mlgov:predicate:emergency:v1"
    duty: ClassVar[str] = "waiver"
    typed: ClassVar[tuple[str, ...]] = ("reason",)
    target: str
    person: Person
    reason: str
    expires: datetime

    @property
    def by(self) -> Person:
        """Who breaks the glass."""
        return self.person

    def predicate(self) -> dict[str, Any]:
        """The in-toto predicate."""
        return {
            "target": self.target,
            "person": self.person.as_json(),
            "reason": written(self.reason),
            "expires": self.date(self.expires),
            "mlgov": self.common(),
        }

    def as_input(self) -> dict[str, Any]:
        """As the rules see it."""
        return super().as_input() | {
            "target": self.target,
            "person": self.person.identity,
            "account": self.person.as_json(),
            "reason": written(self.reason),
            "expires_ns": nanoseconds(self.expires),
        }

    @classmethod
    def read(cls, predicate: Mapping[str, Any]) -> Self:
        """From a predicate of its form."""
        return cls(
            **read_common(predicate["mlgov"]),
            target=predicate["target"],
            person=Person.read(predicate["person"]),
            reason=read_text(predicate["reason"]),
            expires=end_of(predicate["expires"]),
        )
