"""About this model, here, and nothing else: the one predicate for all that a decision, an obligation, a waiver or an
explanation may rest on. What the same bytes were found to be elsewhere counts nowhere here."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_mlgov.addresses import RegistryIdentity
from airflow_mlgov.evidence.verification import Evidence

if TYPE_CHECKING:
    from airflow_mlgov.results import Subject


@dataclass(frozen=True)
class Scope:
    """One registered model of one registry in one environment."""

    model: str
    registry: RegistryIdentity
    environment: str | None
    """None: of any environment. Only who lists what has happened asks so."""

    @classmethod
    def of(cls, model: Subject, environment: str | None, registry: RegistryIdentity | None = None) -> Scope:
        """That of a model version.

        :param registry: if omitted, the one that the version names
        """
        return cls(model.name, registry or RegistryIdentity.at(model.registry or ""), environment)

    def about_model(self, evidence: Iterable[Evidence], digest: str | None = None) -> list[Evidence]:
        """What is about the model, with the registry called by its one name.

        :param digest: only about these bytes
        """
        return [
            _called(item, self.registry)
            for item in evidence
            if item.subject.name == self.model
            and self._is_here(item)
            and item.subject.registry is not None
            and self.registry.of(item.subject.registry) == self.registry.name
            and digest in (None, item.digest)
        ]

    def about_data(self, evidence: Iterable[Evidence], digests: Collection[str]) -> list[Evidence]:
        """What is about these data sets, each by its digest."""
        return [
            item
            for item in evidence
            if item.subject.registry is None and self._is_here(item) and item.digest in digests
        ]

    def _is_here(self, item: Evidence) -> bool:
        return self.environment in (None, item.environment)


def _called(item: Evidence, registry: RegistryIdentity) -> Evidence:
    statement = item.statement
    subject = replace(statement.subject, registry=registry.name)
    if subject == statement.subject:
        return item
    return replace(item, statement=replace(statement, subject=subject))  # type: ignore[type-var]
