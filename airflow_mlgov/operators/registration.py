"""Registers a run's model as a version and signs what it was made from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_mlgov.duty import Duty, requester
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.operators._links import EvidenceLink
from airflow_mlgov.operators.base import several, task_errors
from airflow_mlgov.words import line

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_mlgov.results import Subject

_IMAGE = re.compile(r"(?P<name>[^@\s]+)@sha256:(?P<digest>[0-9a-f]{64})")


class RegisterModelOperator(BaseOperator):  # type: ignore[misc]  # Airflow hands it over untyped
    """Register a run's model and sign its provenance: the model's digest linked to the digests of its datasets.

    Idempotent: a run that is registered already gives the same version.

    :param model: name of the registered model; made where it does not exist
    :param run_id: MLflow run that logged it
    :param datasets: paths or globs of the data it was trained on; their digests let data evidence count for it
    :param feature_services: Feast feature services that its features come from, each ``{"repo": …, "service": …}`` and,
        where Feast lives elsewhere, ``python``, ``environment`` and ``timeout`` as ``FeatureServiceGateOperator`` takes
        them; the digests of their definitions let that gate's evidence count for the model
    :param images: container images in which the model is shipped, each ``registry/name@sha256:…``; a cluster's
        admission tells by their digests which version is served
    :param artifact_path: name under which the run logged the model
    :param mlflow_conn_id: connection to the model registry; ``[mlgov] mlflow_conn_id`` where None
    """

    template_fields: Sequence[str] = ("model", "run_id", "datasets", "feature_services", "images", "artifact_path")
    operator_extra_links = (EvidenceLink(),)
    ui_color = "#e6e0f0"

    def __init__(
        self,
        *,
        model: str,
        run_id: str,
        datasets: Sequence[str],
        feature_services: Sequence[Mapping[str, Any]] = (),
        images: Sequence[str] = (),
        artifact_path: str = "model",
        mlflow_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.run_id = run_id
        self.datasets = datasets
        self.feature_services = feature_services
        self.images = images
        self.artifact_path = artifact_path
        self.mlflow_conn_id = mlflow_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Register, hash, sign; returns ``name``, ``version``, ``run_id``, ``digest`` and the evidence."""
        from airflow_mlgov.data.source import subject_of
        from airflow_mlgov.evidence.statements import ProvenanceStatement
        from airflow_mlgov.hooks.object_store import stored

        duty = Duty("registration", self.mlflow_conn_id)
        with task_errors():
            datasets = tuple(subject_of(stored(path)) for path in several(self.datasets))
            services, images = tuple(self._feature_services()), tuple(self._images())
            registry = duty.mlflow.registry()
            version = registry.register(self.model, self.run_id, self.artifact_path)
            subject = registry.subject(version)
            trainers = [name for name in (registry.run(self.run_id).get("user"), *requester(context)) if name]
            signed_in = duty.evidence_context(context)
            statement = ProvenanceStatement(
                subject, signed_in, datasets, tuple(trainers), {"run_id": self.run_id}, services,
                registry.place(version), images,
            )  # fmt: skip
            entry = duty.ledger.attest(statement, duty.signer)
            registry.set_tags(
                version,
                {
                    "mlgov.status": "registered",
                    "mlgov.digest": f"sha256:{subject.digest}",
                    "mlgov.provenance": entry.reference,
                },
            )
        self.log.info("registered %s (%s)", line(subject), line(entry.reference))
        return {
            "name": version.name,
            "version": version.version,
            "run_id": self.run_id,
            "digest": subject.digest,
            "evidence": {"seq": entry.seq, "sha256": entry.envelope_sha256},
        }

    def _feature_services(self) -> Iterator[Subject]:
        from airflow_mlgov.gates.feature_service.gate import subject_of
        from airflow_mlgov.gates.feature_service.spec import FeatureService

        for said in several(self.feature_services):
            if not isinstance(said, Mapping):
                raise ConfigurationError(
                    f'feature_services lists {{"repo": …, "service": …}} for each, not {said!r}', code="setting.wrong"
                )
            yield subject_of(FeatureService.read(said, "feature_services"))

    def _images(self) -> Iterator[Subject]:
        from airflow_mlgov.results import Subject

        for said in several(self.images):
            match = _IMAGE.fullmatch(said)
            if match is None:
                raise ConfigurationError(
                    f"images lists registry/name@sha256:… for each, not {said!r}: a tag may move", code="setting.wrong"
                )
            yield Subject("image", match["name"], match["digest"])
