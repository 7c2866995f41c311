"""What every statement has: an in-toto envelope's subject and predicate type, who made it where and when, its form.

Plain frozen data; signs nothing and stores nothing. Aggregates only: no row of data and no secret goes in.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Protocol, Self

from airflow_mlgov.evidence.statements import typed
from airflow_mlgov.evidence.statements.typed import Typed
from airflow_mlgov.results import Subject, json_safe
from airflow_mlgov.words import UNSEEN

STATEMENT = "https://in-toto.io/Statement/v1"
FORM = 3
"""The form that statements are made in. Every form that was ever shipped is read: see ``evidence/schemas``."""
FORMS = (1, 2, 3)
"""1 has no ``form`` inside ``mlgov``. 2 has one, and every date in it is RFC 3339 with a zone. 3 holds no text that a
person typed, but its salted digest: the text stands beside it."""
DEFAULT_LIFETIME = timedelta(days=90)
"""How long evidence says of itself that it is good; the policy's ``evidence_max_age`` is usually far shorter."""
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""When something has ended whose end names no zone: nobody can say when, so it does not count any more."""


@dataclass(frozen=True)
class Context:
    """Where and under what a statement is made; all of it ends up inside the signed bytes."""

    environment: str
    """``[mlgov] environment``: evidence of one environment is worth nothing in another."""
    policy: Mapping[str, str] = field(default_factory=dict)
    """``uri`` and ``sha256`` of the governance policy; empty if none is configured."""
    run: Mapping[str, Any] = field(default_factory=dict)
    """Airflow's ``dag_id``, ``run_id``, ``task_id``, ``try_number``, ``map_index``; or ``{"cli": "mlgov gate"}``."""
    issued_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    lifetime: timedelta = DEFAULT_LIFETIME

    @property
    def expires_at(self) -> datetime:
        """After this a statement is worth nothing, whatever the policy says."""
        return self.issued_at + self.lifetime


@dataclass(frozen=True)
class LedgerMark:
    """What the ledger was when a statement was signed: whoever rewrites the past breaks all that was signed since."""

    size: int
    head: str
    """Hash of its last entry."""


@dataclass(frozen=True)
class Person:
    """Somebody as Airflow knows them."""

    id: str
    name: str

    @property
    def identity(self) -> str:
        """The name in the one form in which people are compared."""
        return identity(self.name)

    def as_json(self) -> dict[str, str]:
        """As it is signed."""
        return {"id": self.id, "name": self.name}

    @classmethod
    def read(cls, said: Mapping[str, str]) -> Person:
        """From ``id`` and ``name``."""
        return cls(said["id"], said["name"])


class Statement(Protocol):
    """One signed statement, whatever its kind. Its classes are in :data:`airflow_mlgov.evidence.statements.CLASSES`."""

    kind: ClassVar[str]
    """The short word for it in the ledger, the policy and the messages."""
    predicate_type: ClassVar[str]

    @property
    def subject(self) -> Subject:
        """What it is about."""

    @property
    def context(self) -> Context:
        """Who made it where and when."""

    @property
    def form(self) -> int:
        """The version of its form, one of :data:`FORMS`."""

    @property
    def duty(self) -> str:
        """What a key must be allowed to sign for."""

    @property
    def by(self) -> Person | None:
        """The one person whose word it is, if it is a person's."""

    def predicate(self) -> dict[str, Any]:
        """The in-toto predicate."""

    def as_json(self) -> dict[str, Any]:
        """The whole in-toto Statement."""

    def as_input(self) -> dict[str, Any]:
        """As the rules of promotion see it."""

    def texts(self) -> dict[str, Typed]:
        """Each text that a person typed and that stands beside it, by the name of its field."""

    def with_texts(self, told: Mapping[str, Typed]) -> Self:
        """With what was found beside it."""


@dataclass(frozen=True)
class Signed:
    """What the classes of statements share."""

    kind: ClassVar[str]
    predicate_type: ClassVar[str]
    typed: ClassVar[tuple[str, ...]] = ()
    """Names of the fields that a person types."""
    subject: Subject
    context: Context
    form: int = field(default=FORM, kw_only=True)
    ledger: LedgerMark | None = field(default=None, kw_only=True)
    """Set when the statement is attested to a ledger."""

    def __post_init__(self) -> None:
        """What was typed just now gets its salt."""
        for name in self.typed if self.form >= typed.SINCE else ():
            text = getattr(self, name)
            if text and not isinstance(text, Typed):
                object.__setattr__(self, name, Typed.of(text))

    def texts(self) -> dict[str, Typed]:
        """Each text that a person typed and that stands beside it, by the name of its field."""
        return {name: text for name in self.typed if isinstance(text := getattr(self, name), Typed)}

    def with_texts(self, told: Mapping[str, Typed]) -> Self:
        """With what was found beside it."""
        fields: dict[str, Any] = {**told}
        return replace(self, **fields)

    @property
    def by(self) -> Person | None:
        """The one person whose word it is, if it is a person's."""
        return None

    def predicate(self) -> dict[str, Any]:
        """The in-toto predicate: what the class says, and ``mlgov`` with what all say."""
        raise NotImplementedError

    def as_json(self) -> dict[str, Any]:
        """The whole in-toto Statement."""
        return {
            "_type": STATEMENT,
            "subject": [{"name": subject_name(self.subject), "digest": digest_set(self.subject)}],
            "predicateType": self.predicate_type,
            "predicate": self.predicate(),
        }

    def as_input(self) -> dict[str, Any]:
        """As the rules of promotion see it: what all have. Times are nanoseconds since 1970."""
        return {
            "kind": self.kind,
            "form": self.form,
            "digest": self.subject.digest,
            "name": self.subject.name,
            "registry": self.subject.registry,
            "environment": self.context.environment,
            "issued_at_ns": nanoseconds(self.context.issued_at),
            "expires_at_ns": nanoseconds(self.context.expires_at),
        }

    def date(self, moment: datetime) -> str:
        """A date as this form writes it.

        :raises ValueError: it has no zone
        """
        return moment.isoformat() if self.form == 1 else rfc3339(moment)

    def common(self) -> dict[str, Any]:
        """What stands in ``mlgov`` in every statement."""
        form = {} if self.form == 1 else {"form": self.form}
        ledger = {} if self.ledger is None else {"ledger": {"size": self.ledger.size, "head": self.ledger.head}}
        return {
            **form,
            "subject": {
                "kind": self.subject.kind,
                "name": self.subject.name,
                "version": self.subject.version,
                "digest": self.subject.digest,
                "registry": self.subject.registry,
            },
            "environment": self.context.environment,
            "policy": dict(self.context.policy) or None,
            "run": json_safe(self.context.run),
            "issuedAt": self.date(self.context.issued_at),
            "expiresAt": self.date(self.context.expires_at),
            **ledger,
        }


def read_common(ours: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of :class:`Signed` from ``mlgov``.

    :raises ValueError: a date cannot be read, or has no zone: every form has refused that
    """
    issued, expires = (datetime.fromisoformat(ours[name]) for name in ("issuedAt", "expiresAt"))
    if issued.tzinfo is None or expires.tzinfo is None:
        raise ValueError("the statement's dates lack a time zone")
    run, seen = ours.get("run") or {}, ours.get("ledger")
    return {
        "subject": Subject(**ours["subject"]),
        "context": Context(ours["environment"], ours["policy"] or {}, run, issued, expires - issued),
        "form": ours.get("form", 1),
        "ledger": None if seen is None else LedgerMark(seen["size"], seen["head"]),
    }


# -- dates ------------------------------------------------------------------------------------------------------------


def rfc3339(moment: datetime) -> str:
    """A moment in UTC.

    :raises ValueError: it has no zone, so nobody could say which moment it is
    """
    if moment.tzinfo is None:
        raise ValueError(f"the date {moment.isoformat()} has no time zone")
    return moment.astimezone(UTC).isoformat()


def moment_of(text: str) -> datetime:
    """A date of any form; without a zone (form 1 allowed it) it is read as UTC.

    :raises ValueError: it is not a date
    """
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def end_of(text: str) -> datetime:
    """When something ends that counts until then; :data:`LONG_AGO` if the date has no zone (form 1 allowed it).

    :raises ValueError: it is not a date
    """
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else LONG_AGO


def nanoseconds(moment: datetime) -> int:
    """Since 1970."""
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000


# -- names ------------------------------------------------------------------------------------------------------------


_LOOK_ALIKES = str.maketrans(
    "авесԁһіјӏкмнорԛгѕтухԝαβεηικνορτυχγωıɡɑʏᴢ",
    "abecdhijlkmhopqrstyxwabenikvoptuxywigayz",
)
"""Letters of other scripts that nobody can tell from Latin ones."""
_UNSEEN = ("Cc", "Cf", "Mn", "Me")
"""What changes a name and is not seen, or hardly, by Unicode's categories."""


def identity(name: str) -> str:
    """One person's name in one form, so that ``Olga`` and ``olga `` are not two people.

    It serves to count people once, and to keep out whoever may not; never to let somebody in, for that takes the very
    account that the policy names.
    """
    seen = UNSEEN.sub("", unicodedata.normalize("NFKC", name))
    shown = "".join(sign for sign in seen if unicodedata.category(sign) not in _UNSEEN)
    return " ".join(unicodedata.normalize("NFKC", shown.casefold()).split()).translate(_LOOK_ALIKES)


def subject_name(subject: Subject) -> str:
    """How the ledger and in-toto name a subject."""
    return f"models:/{subject.name}/{subject.version}" if subject.kind == "model" else subject.name


def digest_set(subject: Subject) -> dict[str, str]:
    """in-toto's DigestSet of a subject; a model's is a tree's."""
    if subject.kind == "model":
        return {"sha256": subject.digest, "dirHash": subject.digest}
    return {"sha256": subject.digest}


def descriptor(subject: Subject) -> dict[str, Any]:
    """in-toto's ResourceDescriptor of something that was read."""
    return {"name": subject.name, "digest": digest_set(subject), "annotations": {"kind": subject.kind}}


def read_descriptor(said: Mapping[str, Any]) -> Subject:
    """What :func:`descriptor` has written."""
    return Subject(said["annotations"]["kind"], said["name"], said["digest"]["sha256"])
