"""The desk at which a release is decided: the registry that is read and moved, the ledger, whom to trust, the policy,
who signs, and where and when. It decides nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, cast

from airflow_mlgov.errors import AccessError, ConfigurationError
from airflow_mlgov.evidence.chain import Entry, Head, Verified
from airflow_mlgov.evidence.ledger import Ledger
from airflow_mlgov.evidence.proven import ProvenLedger
from airflow_mlgov.evidence.scope import Scope
from airflow_mlgov.evidence.signing import TrustRoot, refuse_local
from airflow_mlgov.evidence.statements import Context, Person, PromotionStatement, Signed
from airflow_mlgov.evidence.verification import Evidence
from airflow_mlgov.rego.protocol import PolicyEngine
from airflow_mlgov.release.places import Elsewhere, Place, place_at
from airflow_mlgov.release.timeline import Dossier, Timeline, evidence_for, history_of
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

    from airflow_mlgov.evidence.statements import Statement
    from airflow_mlgov.governance.policy import GovernancePolicy, Target
    from airflow_mlgov.registry.protocol import Registry


@dataclass(frozen=True)
class Desk:
    """What everything that people do with evidence needs, together."""

    registry: Registry
    ledger: Ledger
    trust: TrustRoot
    policy: GovernancePolicy
    signer: Signer
    """Of the duty that is at the desk."""
    context: Context
    """Where and when: it goes into the signed bytes, and its moment is the one that is decided at."""
    engine: PolicyEngine | None = None
    """What evaluates the rules; the embedded one if None."""
    checkpoints: tuple[Head, ...] = ()
    """What the ledger was at some sizes, kept elsewhere: a ledger that was not so is decided on by nobody."""
    elsewhere: Elsewhere | None = None
    """Opens the registries into which the policy has versions copied; None: nobody can here."""
    proven: bool = True
    """Whether the ledger is read by proofs; else it is walked from its first entry for each decision."""
    _opened: dict[str, Registry] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        refuse_local(self.signer, self.context.environment, self.policy.production)

    @property
    def environment(self) -> str:
        """The environment that evidence has to be of."""
        return self.context.environment

    @property
    def now(self) -> datetime:
        """The moment that is decided at."""
        return self.context.issued_at

    def walk(self, since: Verified | None = None) -> Verified:
        """The ledger, read now: all that may be decided on.

        :param since: what was read before, which is gone on with
        :raises EvidenceError: the chain is broken, the database does not show what is signed over, or the ledger is not
            what a checkpoint says
        """
        return self.records.walk(self.checkpoints, since=since)

    @property
    def records(self) -> Ledger | ProvenLedger:
        """The ledger, read by proofs if that is asked for."""
        return ProvenLedger(self.ledger, self.trust) if self.proven else self.ledger

    def require_signer(self, duty: str, by: Person | None = None) -> None:
        """Refuse to act where the trust root does not have who signs at this desk.

        :param by: whose word is signed
        :raises ConfigurationError: see :meth:`TrustRoot.require_signer`
        """
        self.trust.require_signer(self.signer, duty, self.now, by)

    def attest(self, statement: Signed, seen: Head | None = None) -> Entry:
        """Sign a statement into the ledger.

        :param seen: what the ledger was when it was decided on
        :raises ConfigurationError: the trust root does not have who signs
        """
        self.require_signer(cast("Statement", statement).duty, statement.by)
        return self.ledger.attest(statement, self.signer, seen)

    def dossier(self, records: Verified, model: Subject) -> Dossier:
        """All evidence about a model version; see :func:`~airflow_mlgov.release.timeline.evidence_for`."""
        return evidence_for(records, self.trust, model, self.environment, self.registry.identity)

    def history(self, records: Verified, name: str) -> list[Evidence]:
        """All that verifies about any version of a registered model of this registry, of any environment."""
        return history_of(records, self.trust, Scope(name, self.registry.identity, None))

    def timeline(self, history: Sequence[Evidence], name: str, target: str) -> Timeline:
        """What has happened to a registered model at a target of this registry and environment."""
        return Timeline(history, name, self.registry.uri, self.environment, target)

    def place(self, name: str, goal: Target) -> Place:
        """Where a target of a registered model is.

        :raises ConfigurationError: it is in another registry, which cannot be opened here; or in a model that the
            policy governs itself
        """
        place = place_at(self.registry, name, goal, self.elsewhere and self._open)
        if goal.copy_to:
            self._require_own(name, goal, place)
        return place

    def _require_own(self, name: str, goal: Target, place: Place) -> None:
        """Another target may have the same place under another spelling of its registry, which a policy does not show.

        :raises ConfigurationError: one has
        """
        governed = {model.casefold() for model in self.policy.models}  # some of MLflow's databases tell no case apart
        if place.registry is self.registry and place.model.casefold() in governed:
            raise _taken(name, f"{place.model}, which the policy governs itself in {self.registry.uri}")
        for model in self.policy.models.values():
            for other in model.targets.values():
                if other is goal or not self._is_at(place, other):
                    continue
                if model.name != name:
                    raise _taken(name, f"{place.model}, which has the copies of {model.name} already")
                if _meet(goal.alias, other.alias) or _meet(goal.stage, other.stage):
                    raise ConfigurationError(
                        f"the targets {goal.name} and {other.name} of {name} share a place in {place.model}: give each "
                        "one of its own",
                        code="policy.place_shared",
                    )

    def _is_at(self, place: Place, goal: Target) -> bool:
        if goal.copy_to is None or goal.copy_to.model.casefold() != place.model.casefold():
            return False
        try:
            there = place_at(self.registry, place.model, goal, self.elsewhere and self._open)
        except (AccessError, ConfigurationError):  # whoever cannot open it moves nothing there
            return False
        return there.registry.uri == place.registry.uri

    def copied_into(self, name: str) -> list[tuple[str, Target]]:
        """Each model, with the target, whose copies are versions of a registered model of this registry, however the
        policy spells its name and the registry's address."""
        models = self.policy.models.values()
        goals = [(model.name, goal) for model in models for goal in model.targets.values()]
        return [(made_of, goal) for made_of, goal in goals if self._holds_copies(name, goal)]

    def _holds_copies(self, name: str, goal: Target) -> bool:
        if not self._is_at(Place(self.registry, name), goal) or goal.copy_to is None:
            return False
        spelt = goal.copy_to.model
        # a registry may tell no case apart; in one that does, it is another model, with copies of nothing
        return spelt == name or any(item.name == name for item in self.registry.versions(spelt))

    def place_of(self, promotion: Evidence[PromotionStatement]) -> Place:
        """Where a promotion has moved its version, or the copy, to.

        :raises ConfigurationError: that is in a registry that no target of the model names any more
        """
        placed, name = promotion.statement.placed, promotion.subject.name
        if promotion.statement.copy is None:
            return Place(self.registry, name)
        if self.registry.identity.of(placed.registry) == self.registry.uri:
            return Place(self.registry, placed.name)
        goals = self.policy.models[name].targets.values() if name in self.policy.models else ()
        for registry in (self.place(name, goal).registry for goal in goals):
            if registry.identity.of(placed.registry) == registry.uri:
                return Place(registry, placed.name)
        raise ConfigurationError(
            f"{promotion.reference} was of a copy in {placed.registry}, and no target of {name} copies there any more",
            code="copy.elsewhere",
        )

    def _open(self, named: str) -> Registry:
        """Another registry, opened once."""
        if named not in self._opened and self.elsewhere:
            self._opened[named] = self.elsewhere(named)
        return self._opened[named]

    @contextmanager
    def one_at_a_time(self, name: str) -> Iterator[Callable[[], None]]:
        """Nobody else promotes, rolls back or reconciles the model in this block; see :meth:`Ledger.exclusive`."""
        with self.ledger.exclusive(self.lock_name(name)) as confirm:
            yield confirm

    def lock_name(self, name: str) -> str:
        """What nobody else may change meanwhile: the model in the registry, whatever its address is spelt like."""
        return f"the model {name} in {self.registry.identity.name}"


def _taken(name: str, what: str) -> ConfigurationError:
    return ConfigurationError(f"{name} is to be copied into {what}: copy into another model", code="policy.copy")


def _meet(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one.casefold() == other.casefold()
