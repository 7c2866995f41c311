"""Whether versions may serve, told from the ledger and the trust root alone, without their bytes: by the judgement of
``mlgov verify``, over a walk of the ledger that is gone on with from request to request."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlgov.addresses import RegistryIdentity
from airflow_mlgov.admission.served import Named
from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.proven import ProvenLedger
from airflow_mlgov.evidence.scope import Scope
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.statements import DecisionStatement, PromotionStatement, ProvenanceStatement
from airflow_mlgov.evidence.verification import Evidence, collect, only
from airflow_mlgov.governance.policy import GovernancePolicy
from airflow_mlgov.release.explanation import judge_now, said_of_copy
from airflow_mlgov.release.timeline import Timeline, evidence_for, history_of, version_of
from airflow_mlgov.results import Subject
from airflow_mlgov.urls import place_of

if TYPE_CHECKING:
    from airflow_mlgov.evidence.chain import Head, Verified
    from airflow_mlgov.evidence.ledger import Ledger

LOOKS_AGAIN = 2.0
"""Seconds after which the ledger is asked whether it has grown, and the trust root whether it was changed."""
JUDGES_AGAIN = 5.0
"""Seconds after which a version is judged again, and an object told of again, though nothing was written: waivers end,
audits fall due. An answer is older by twice that at most."""


_MOST_KEPT = 1_000


@dataclass(frozen=True)
class Standing:
    """Whether a version stands at one target of one environment."""

    name: str
    version: str
    environment: str
    target: str
    record: str
    """The promotion, as the ledger names it."""
    reasons: tuple[tuple[str, str], ...] = ()
    """``(code, message)`` of each thing against it; empty if it stands."""
    grounds: frozenset[str] = frozenset()
    """SHA-256 of the envelope of all that its bytes were ever allowed to this target on."""


@dataclass
class Book:
    """What one walk of the ledger says under one trust root."""

    walked: Verified
    trust: TrustRoot
    policy: GovernancePolicy
    identity: RegistryIdentity
    now: Callable[[], datetime]
    _places: dict[str, list[Evidence]] = field(default_factory=dict)
    _images: dict[str, list[Evidence[ProvenanceStatement]]] = field(default_factory=dict)
    _judged: dict[tuple[str, str | None, str | None], tuple[float, list[Standing]]] = field(default_factory=dict)
    _kept: dict[str, tuple[float, Mapping[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        made = only(collect(self.walked, self.trust, kind=ProvenanceStatement.kind)[0], ProvenanceStatement)
        for item in made:
            if self.identity.of(item.subject.registry) != self.identity.name:
                continue
            if item.statement.place:
                self._places.setdefault(place_of(item.statement.place), []).append(item)
            for image in item.statement.images:
                self._images.setdefault(image.digest, []).append(item)
        for copied in self._copies:
            if copied.statement.copy and copied.statement.copy.place:
                self._places.setdefault(place_of(copied.statement.copy.place), []).append(copied)

    @property
    def images(self) -> Collection[str]:
        """Digests of the images in which models were shipped."""
        return self._images.keys()

    def versions(self, named: Named) -> list[tuple[str, str | None, str | None]]:
        """Name, version and alias of each version that a workload may mean; none if nobody has registered it."""
        if named.kind == "registry":
            return [(named.name, named.version, named.alias)]
        subjects = [subject for item in self._signed(named) for subject in (item.subject, *self._copies_of(item))]
        return list(dict.fromkeys((subject.name, subject.version, None) for subject in subjects))

    def _copies_of(self, item: Evidence) -> list[Subject]:
        """The copies that were promoted instead of a version, by the bytes that its evidence is about."""
        return [
            moved.statement.placed
            for moved in self._copies
            if (moved.subject.name, version_of(moved), moved.digest)
            == (item.subject.name, version_of(item), item.digest)
        ]

    @cached_property
    def _copies(self) -> list[Evidence[PromotionStatement]]:
        """The promotions of copies."""
        found = only(collect(self.walked, self.trust, kind=PromotionStatement.kind)[0], PromotionStatement)
        return [
            item
            for item in found
            if item.statement.copy and self.identity.of(item.subject.registry) == self.identity.name
        ]

    def kept(self, key: str, make: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """What was told of an object, for as long as a judgement is kept; nobody may change it.

        :param key: of all that it was told from, but this book
        """
        now = time.monotonic()
        until, found = self._kept.get(key, (0.0, {}))
        if now >= until:
            found = make()
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = (now + JUDGES_AGAIN, found)
        return found

    def standings(self, named: Named) -> list[Standing]:
        """How whatever a workload means stands, at every target at which it was ever promoted."""
        if named.kind == "registry":
            return [one for meant in self.versions(named) for one in self._of(*meant)]
        said = [item.sha256 for item in self._signed(named)]
        return [
            one if one.grounds.intersection(said) else _undecided(one, named)
            for meant in self.versions(named)
            for one in self._of(*meant)
        ]

    def _signed(self, named: Named) -> Sequence[Evidence]:
        """The registrations, and promotions of copies, that name an image or a place; of a place those of what lies
        there by the newest word."""
        if named.kind == "image":
            return self._images.get(named.digest, [])
        found = self._places.get(named.said, [])
        return [item for item in found if item.digest == found[-1].digest]

    def _of(self, name: str, version: str | None, alias: str | None) -> list[Standing]:
        now, key = time.monotonic(), (name, version, alias)
        until, found = self._judged.get(key, (0.0, []))
        if now >= until:
            found = list(self._judge(name, version, alias))
            if len(self._judged) >= _MOST_KEPT:
                self._judged.clear()
            self._judged[key] = (now + JUDGES_AGAIN, found)
        return found

    def _judge(self, name: str, version: str | None, alias: str | None) -> Iterable[Standing]:
        for model in self._made_of(name):
            history = history_of(self.walked, self.trust, Scope(model, self.identity, None))
            moves = only(history, PromotionStatement)
            for environment, target in sorted({(item.environment, item.statement.target) for item in moves}):
                if alias is not None and not self._holds(name, model, target, alias):
                    continue
                timeline = Timeline(history, model, self.identity.name, environment, target)
                mine = [item for item in timeline.promotions if _is_meant(item, name, version)]
                if mine:
                    yield self._standing(mine[-1], name)

    def _made_of(self, name: str) -> list[str]:
        """The model itself, and those of which it has copies."""
        return sorted({name, *(item.subject.name for item in self._copies if item.statement.placed.name == name)})

    def _holds(self, name: str, model: str, target: str, alias: str) -> bool:
        """Whether an alias of a model stands for a target of what it has copies of, or its own, by the policy."""
        goal = self.policy.models[model].targets.get(target) if model in self.policy.models else None
        if goal is None or goal.alias != alias:
            return False
        return name == (goal.copy_to.model if goal.copy_to else model)

    def _standing(self, promotion: Evidence[PromotionStatement], name: str) -> Standing:
        """How a promotion stands.

        :param name: the model that was asked for: what was promoted as a copy may not serve itself
        """
        said = promotion.subject
        model = Subject("model", said.name, promotion.digest, said.version, self.identity.name)
        dossier = evidence_for(self.walked, self.trust, model, promotion.environment, self.identity)
        _, reasons = judge_now(promotion, dossier, in_force=self.policy, now=self.now())
        target = promotion.statement.target
        made = [item.statement for item in only(dossier.good, DecisionStatement) if item.digest == promotion.digest]
        grounds = [set(item.inputs.values()) for item in made if item.allowed and item.target == target]
        placed = said if name == said.name else promotion.statement.placed
        if promotion.statement.copy and placed is said:
            reasons = [*reasons, ("promotion.copied", said_of_copy(promotion))]
        return Standing(
            placed.name, str(placed.version), promotion.environment, target, promotion.reference, tuple(reasons),
            frozenset({promotion.sha256}).union(*grounds),
        )  # fmt: skip


def _is_meant(promotion: Evidence[PromotionStatement], name: str, version: str | None) -> bool:
    """Whether a promotion has moved a version of a model, or a copy of it. A copy of the same name is in another
    registry, which a workload does not say: its name means the version."""
    meant = promotion.subject if name == promotion.subject.name else promotion.statement.placed
    return meant.name == name and version in (None, meant.version)


def _undecided(standing: Standing, named: Named) -> Standing:
    """Nobody has decided on what a registration said later, or of other bytes under the same number."""
    said = (
        f"no decision that allowed version {standing.version} to {standing.target!r} rests on a registration that "
        f"names this {named.kind}: register the version with it, and promote it then"
    )
    return replace(standing, reasons=(*standing.reasons, ("evidence.missing", said)))


class Standings:
    """A ledger, whom to trust and which policy, kept in step with what is written.

    What was walked once is held to: entries that are changed, cut off or replaced later are found, and refused until
    they are back.

    :param open_ledger: opens the ledger; asked once, when it is first needed
    :param trust: the trust root's file, read again when it was changed
    :param identity: the registry whose models they are
    :param checkpoints: what the ledger was at some sizes, kept elsewhere; given the trust root
    :param now: the moment that is judged at
    :param proven: whether the ledger is read by proofs; else it is walked from its first entry
    """

    def __init__(
        self,
        open_ledger: Callable[[], Ledger],
        trust: Path,
        policy: GovernancePolicy,
        identity: RegistryIdentity,
        checkpoints: Callable[[TrustRoot], Iterable[Head]] = lambda _: (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        proven: bool = True,
    ) -> None:
        self._open, self._trust, self._policy, self._identity = open_ledger, trust, policy, identity
        self._checkpoints, self._now, self._proven = checkpoints, now, proven
        self._ledger: Ledger | None = None
        self._book: Book | None = None
        self._looked = 0.0
        self._lock = threading.Lock()

    def book(self) -> Book:
        """What the ledger says now, not older than :data:`LOOKS_AGAIN`.

        :raises EvidenceError: its chain is broken, or it is not any more what was walked before
        :raises DependencyError: it is down
        :raises ConfigurationError: the trust root cannot be read, or there is no ledger
        """
        with self._lock:
            if self._book is None or time.monotonic() - self._looked >= LOOKS_AGAIN:
                self._book = self._read(self._book)
                self._looked = time.monotonic()
            return self._book

    def _read(self, before: Book | None) -> Book:
        trust = TrustRoot.load(self._trust)
        if self._ledger is None:
            self._ledger = self._open()
        if before is None:
            return self._opened(trust, self._ledger, self._checkpoints(trust))
        if trust.keys == before.trust.keys:
            trust = before.trust  # which keeps what it has verified
            size, head = self._ledger.last()
            if (size, head) == (before.walked.head.size, before.walked.head.head):
                return before
            if size < before.walked.head.size:
                raise EvidenceError(
                    f"the ledger has {size} entries and had {before.walked.head.size}: its tail was cut",
                    code="ledger.tail_cut",
                )
        elif self._proven:  # nothing is proven by whom nobody trusts any more
            return self._opened(trust, self._ledger, [*self._checkpoints(trust), before.walked.head])
        return self._opened(trust, self._ledger, since=before.walked)

    def _opened(self, trust: TrustRoot, ledger: Ledger, *given: Iterable[Head], since: Verified | None = None) -> Book:
        records = ProvenLedger(ledger, trust) if self._proven else ledger
        return Book(records.walk(*given, since=since), trust, self._policy, self._identity, self._now)
