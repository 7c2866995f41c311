"""Registers a run's model as a version and signs what it was made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_mlgov.duty import requester
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.operators._lineage import Flow, data_named, made
from airflow_mlgov.operators._links import EvidenceLink
from airflow_mlgov.operators._of_duty import OfDuty
from airflow_mlgov.operators._telling import told_how_far
from airflow_mlgov.operators.base import several, task_errors
from airflow_mlgov.words import line

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_mlgov.results import Subject


class RegisterModelOperator(OfDuty, BaseOperator):  # type: ignore[misc]  # Airflow hands it over untyped
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

    duty = "registration"
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

    def planned(self) -> Flow:
        """The data that the model was trained on."""
        return Flow(data_named(several(self.datasets)))

    def execute(self, context: Context) -> dict[str, Any]:
        """Register, hash, sign; returns ``name``, ``version``, ``run_id``, ``digest`` and the evidence."""
        from airflow_mlgov.data.source import subject_of
        from airflow_mlgov.hooks.object_store import stored
        from airflow_mlgov.release.registration import MadeFrom, image_of, register_model

        duty = self.governance
        with task_errors(), told_how_far("the model and its data are hashed"):
            self.require_own_worker(duty.policy, self.model)
            datasets = tuple(subject_of(stored(path)) for path in several(self.datasets))
            features = tuple(self._feature_services())
            images = tuple(image_of(said) for said in several(self.images))
            done = register_model(
                duty.mlflow.registry(),
                duty.ledger,
                duty.signer,
                duty.evidence_context(context),
                model=self.model,
                run_id=self.run_id,
                artifact_path=self.artifact_path,
                made_from=MadeFrom(datasets, features, images),
                requesters=requester(context),
            )
        self.flow = partial(made, (*datasets, *features), done.subject, done.entry.reference, duty)
        self.log.info("registered %s (%s)", line(done.subject), line(done.entry.reference))
        return done.as_dict()

    def _feature_services(self) -> Iterator[Subject]:
        from airflow_mlgov.gates.feature_service.gate import subject_of
        from airflow_mlgov.gates.feature_service.spec import FeatureService

        for said in several(self.feature_services):
            if not isinstance(said, Mapping):
                raise ConfigurationError(
                    f'feature_services lists {{"repo": …, "service": …}} for each, not {said!r}', code="setting.wrong"
                )
            yield subject_of(FeatureService.read(said, "feature_services"))
