"""What the ledger says has happened to a model: the evidence that bears on it, and who was moved where, in order.

Reads records only; it neither asks the registry nor decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from airflow_mlgov.addresses import RegistryIdentity
from airflow_mlgov.evidence.chain import Verified
from airflow_mlgov.evidence.scope import Scope
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.statements import IntentStatement, PromotionStatement, ProvenanceStatement
from airflow_mlgov.evidence.verification import Evidence, Unverified, collect, only
from airflow_mlgov.results import Subject


@dataclass(frozen=True)
class Dossier:
    """All evidence that a decision about a model version can rest on: about this model, here, and nothing else."""

    good: list[Evidence]
    """All that verifies about its bytes and the data they were made from, in ledger order."""
    bad: list[Unverified]
    """What is filed under the same bytes and data and does not verify."""
    history: list[Evidence]
    """All that verifies about any version of the registered model, of any environment."""


def evidence_for(
    records: Verified,
    trust: TrustRoot,
    model: Subject,
    environment: str,
    registry: RegistryIdentity | None = None,
) -> Dossier:
    """All evidence about a model, the data it was made from and its other versions.

    :param registry: whose model it is; if omitted, the registry that the subject names
    """
    scope = Scope.of(model, environment, registry)
    found, bad = collect(records, trust, [model.digest])
    good = scope.about_model(found)
    made = only(good, ProvenanceStatement)
    datasets = {item.digest for evidence in made for item in evidence.statement.parts} - {model.digest}
    if datasets:
        more, worse = collect(records, trust, datasets)
        good = sorted([*good, *scope.about_data(more, datasets)], key=lambda item: item.seq)
        bad = [*bad, *worse]
    return Dossier(good, bad, history_of(records, trust, scope))


def history_of(records: Verified, trust: TrustRoot, scope: Scope) -> list[Evidence]:
    """All that verifies about any version of a registered model, of any environment."""
    return replace(scope, environment=None).about_model(collect(records, trust, model=scope.model)[0])


@dataclass(frozen=True)
class Timeline:
    """Promotions and rollbacks of one registered model to one target, in ledger order.

    :param history: verified evidence about the model, see :class:`Dossier`
    :param registry: as evidence names it, without credentials
    """

    history: Sequence[Evidence]
    model: str
    registry: str | None
    environment: str
    target: str

    @cached_property
    def promotions(self) -> list[Evidence[PromotionStatement]]:
        """Every recorded move to the target."""
        return only(self._about, PromotionStatement)

    @property
    def current(self) -> Evidence[PromotionStatement] | None:
        """The newest of them: who should hold the target."""
        return self.promotions[-1] if self.promotions else None

    @property
    def unfinished(self) -> list[Evidence[IntentStatement]]:
        """Intents that were opened and neither completed nor abandoned: their process was killed."""
        intents = only(self._about, IntentStatement)
        completed = {item.statement.intent for item in self.promotions}
        abandoned = {item.statement.grounds for item in intents if item.statement.state == "abandoned"}
        opened = [item for item in intents if item.statement.state == "opened"]
        return [item for item in opened if item.sha256 not in completed | abandoned]

    def withdrawn_at(self, version: str, digest: str) -> int | None:
        """Ledger number of the last rollback from a version, or from its bytes under another number."""
        found = [seq for seq, number, left in self._withdrawn if number == version or left == digest]
        return found[-1] if found else None

    def earlier(self, version: str, digest: str) -> list[Evidence[PromotionStatement]]:
        """The newest promotion of each other version that was never rolled back from since, newest first; what has the
        same bytes is no other version."""
        found: dict[str, Evidence[PromotionStatement]] = {}
        for item in reversed(self.promotions):
            number = version_of(item)
            is_other = number != version and item.digest != digest
            if is_other and (self.withdrawn_at(number, item.digest) or 0) < item.seq:
                found.setdefault(number, item)
        return list(found.values())

    @cached_property
    def _withdrawn(self) -> list[tuple[int, str | None, str | None]]:
        """Of each rollback its ledger number, and number and digest of the version that it was from."""
        found, digests = [], dict[str | None, str]()
        for item in self.promotions:
            if item.statement.action == "rollback":
                found.append((item.seq, item.statement.replaces, digests.get(item.statement.replaces)))
            digests[version_of(item)] = item.digest
        return found

    @cached_property
    def _about(self) -> list[Evidence]:
        return [
            item
            for item in self.history
            if isinstance(item.statement, PromotionStatement | IntentStatement)
            and item.statement.target == self.target
            and item.subject.name == self.model
            and item.subject.registry == self.registry
            and item.environment == self.environment
        ]


def version_of(item: Evidence) -> str:
    """The number of the model version that evidence is about."""
    return str(item.subject.version)
