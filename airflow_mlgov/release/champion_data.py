"""Finds the data that a champion was trained on: by the ledger's promotions and provenance, not by a tag. Refuses a
champion without provenance, and one that was trained on several datasets, for which of them is meant is not guessed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.scope import Scope
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.statements import ProvenanceStatement
from airflow_mlgov.evidence.verification import Evidence, Records, only
from airflow_mlgov.governance.policy import Target
from airflow_mlgov.release.champion import holders_of
from airflow_mlgov.release.places import Elsewhere, place_at
from airflow_mlgov.release.timeline import Timeline, history_of, version_of
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    from airflow_mlgov.registry.protocol import Registry


@dataclass(frozen=True)
class RegistryLookup:
    """Answers what the data gate asks of the registry and the ledger, see ``gates.dataset_checks.Lookup``."""

    registry: Registry
    records: Records
    trust: TrustRoot
    environment: str
    model: str
    """The registered model that the data is for."""
    goal: Target
    """Whose champion is meant."""
    elsewhere: Elsewhere | None = None
    """Opens the registry where that target is, if it is another."""

    def champion_data(self) -> Subject | None:
        """The dataset that the champion was trained on, as its provenance names it; None where there is no champion.

        :raises ConfigurationError: the ledger has no provenance of the champion, or it names more than one dataset
        :raises EvidenceError: the ledger's chain is broken
        """
        history = history_of(self.records.walk(), self.trust, Scope(self.model, self.registry.identity, None))
        timeline = Timeline(history, self.model, self.registry.uri, self.environment, self.goal.name)
        promoted = timeline.current
        holders = [version_of(promoted)] if promoted else self._holders()
        version = next(iter(holders), None)
        if version is None:
            return None
        champion = f"models:/{version if '/' in version else f'{self.model}/{version}'}"
        made = [
            item
            for item in only(history, ProvenanceStatement)
            if self._is_of(item, version) and (promoted is None or item.digest == promoted.digest)
        ]
        if not made:
            raise ConfigurationError(
                f"the ledger has no verified provenance of the champion {champion}, so what it was trained on is not "
                "known: give the path of a dataset as the reference",
                code="champion.no_provenance",
            )
        datasets = made[-1].statement.datasets
        if len(datasets) != 1:
            names = ", ".join(item.name for item in datasets) or "none"
            raise ConfigurationError(
                f"the champion {champion} was trained on {len(datasets)} datasets ({names}): give the path of the one "
                "that is meant as the reference",
                code="champion.several_datasets",
            )
        return datasets[0]

    def _holders(self) -> list[str]:
        return holders_of(place_at(self.registry, self.model, self.goal, self.elsewhere), self.model, self.goal)

    @contextmanager
    def signature_of(self, model: str) -> Iterator[Path]:
        """The folder of the version that ``models:/…`` names."""
        with self.registry.download(self.registry.resolve(model)) as folder:
            yield folder

    def _is_of(self, item: Evidence, version: str) -> bool:
        return (version_of(item), item.environment) == (version, self.environment)
