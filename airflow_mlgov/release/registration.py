"""Registration: a run's model becomes a version, and what it was made from is signed. Judges nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.statements import ProvenanceStatement
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

    from airflow_mlgov.evidence.chain import Entry
    from airflow_mlgov.evidence.ledger import Ledger
    from airflow_mlgov.evidence.statements import Context
    from airflow_mlgov.registry.protocol import ModelVersion

_IMAGE = re.compile(r"(?P<name>[^@\s]+)@sha256:(?P<digest>[0-9a-f]{64})")


class Registrar(Protocol):
    """What registration asks of a registry."""

    def register(self, model: str, run_id: str, artifact_path: str = "model") -> ModelVersion:
        """A version made from a run's model; the one that exists if this was registered before."""

    def run(self, run_id: str) -> dict[str, Any]:
        """A training run as plain data."""

    def subject(self, version: ModelVersion) -> Subject:
        """The version bound to its bytes as they are now."""

    def place(self, version: ModelVersion) -> str:
        """Where the version's files are, as it may be signed."""

    def set_tags(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        """Write tags on a version: for people to read."""


@dataclass(frozen=True)
class MadeFrom:
    """What a model was made from, by its digests, and in what it is shipped."""

    datasets: Sequence[Subject]
    feature_services: Sequence[Subject] = ()
    images: Sequence[Subject] = ()


@dataclass(frozen=True)
class Registered:
    """A registered version and the evidence of its origin."""

    version: ModelVersion
    run_id: str
    subject: Subject
    entry: Entry

    def as_dict(self) -> dict[str, Any]:
        """``name``, ``version``, ``run_id``, ``digest`` and the evidence."""
        return {
            "name": self.version.name,
            "version": self.version.version,
            "run_id": self.run_id,
            "digest": self.subject.digest,
            "evidence": {"seq": self.entry.seq, "sha256": self.entry.envelope_sha256},
        }


def register_model(
    registry: Registrar,
    ledger: Ledger,
    signer: Signer,
    context: Context,
    *,
    model: str,
    run_id: str,
    artifact_path: str,
    made_from: MadeFrom,
    requesters: Iterable[str],
) -> Registered:
    """Register a run's model, hash its bytes, sign its origin. A run that is registered already gives the same version.

    :param requesters: who asks for it: beside the run's own user they count as its trainers
    :raises ConfigurationError: no such run, or it logged no model under that name
    """
    version = registry.register(model, run_id, artifact_path)
    subject = registry.subject(version)
    trainers = tuple(name for name in (registry.run(run_id).get("user"), *requesters) if name)
    statement = ProvenanceStatement(
        subject, context, tuple(made_from.datasets), trainers, {"run_id": run_id}, tuple(made_from.feature_services),
        registry.place(version), tuple(made_from.images),
    )  # fmt: skip
    entry = ledger.attest(statement, signer)
    registry.set_tags(
        version,
        {
            "mlgov.status": "registered",
            "mlgov.digest": f"sha256:{subject.digest}",
            "mlgov.provenance": entry.reference,
        },
    )
    return Registered(version, run_id, subject, entry)


def image_of(said: str) -> Subject:
    """A container image by its digest.

    :raises ConfigurationError: it is named by something else
    """
    match = _IMAGE.fullmatch(said)
    if match is None:
        raise ConfigurationError(
            f"images lists registry/name@sha256:… for each, not {said!r}: a tag may move", code="setting.wrong"
        )
    return Subject("image", match["name"], match["digest"])
