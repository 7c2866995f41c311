"""That a person answers for a document about a model version: its digest, dated and signed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from airflow_mlgov.evidence.statements.common import Person, Signed, read_common


@dataclass(frozen=True)
class ReportStatement(Signed):
    """A report about a model version, by the digest of its bytes."""

    kind: ClassVar[str] = "report"
    predicate_type: ClassVar[str] = "urn:airflow-mlgov:predicate:report:v1"
    duty: ClassVar[str] = "registration"
    framework: str
    """``annex-iv``, ``model-card`` …, or that of an organisation's own file."""
    framework_sha256: str
    target: str
    """Which target it is about."""
    media_type: str
    document_sha256: str
    """Of the document's bytes."""
    states: Mapping[str, int]
    """How many controls stand how, as the document says."""
    person: Person
    """Who answers for it."""

    def predicate(self) -> dict[str, Any]:
        """The in-toto predicate."""
        return {
            "framework": {"name": self.framework, "digest": {"sha256": self.framework_sha256}},
            "target": self.target,
            "document": {"mediaType": self.media_type, "digest": {"sha256": self.document_sha256}},
            "states": dict(self.states),
            "person": self.person.as_json(),
            "mlgov": self.common(),
        }

    @classmethod
    def read(cls, predicate: Mapping[str, Any]) -> Self:
        """From a predicate of its form."""
        framework, document = predicate["framework"], predicate["document"]
        return cls(
            **read_common(predicate["mlgov"]),
            framework=framework["name"],
            framework_sha256=framework["digest"]["sha256"],
            target=predicate["target"],
            media_type=document["mediaType"],
            document_sha256=document["digest"]["sha256"],
            states=predicate["states"],
            person=Person.read(predicate["person"]),
        )
