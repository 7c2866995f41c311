"""Copies of model versions in MLflow: within a registry, and of files that come from another one. Whether they are the
right bytes is for whoever asked to find out: nothing here is hashed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_mlgov.registry.mlflow_errors import said_by_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from airflow_mlgov.registry.protocol import ModelVersion

COPY_OF = "mlgov.copy_of"
"""Tag of a copy: registry, version and digest of what it was made of."""
EXPERIMENT = "mlgov copies"
"""Whose runs hold the files that came from another registry."""


def make_from(client: MlflowClient, version: ModelVersion, model: str, key: str) -> str:
    """Copy a version into another model of its registry, as MLflow's ``copy_model_version`` does, but with the tag from
    the first moment; the copy's number."""
    source = client.get_model_version(version.name, version.version)
    made = client.create_model_version(
        model, version.uri, source.run_id, tags={COPY_OF: key}, model_id=source.model_id or None
    )
    return str(made.version)


def make_of_files(client: MlflowClient, folder: Path, model: str, key: str) -> str:
    """Put files into a run of their own and make a version of them; its number."""
    run = client.create_run(_experiment(client), run_name=f"copy for {model}", tags={COPY_OF: key})
    client.log_artifacts(run.info.run_id, str(folder), "model")
    client.set_terminated(run.info.run_id)
    source = f"{run.info.artifact_uri}/model"
    return str(client.create_model_version(model, source, run.info.run_id, tags={COPY_OF: key}).version)


def is_made_of_files(client: MlflowClient, version: ModelVersion) -> bool:
    """Whether a version's files are in a run that copies are put into, and not wherever somebody wanted."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None or version.run_id is None:
        return False
    run = client.get_run(version.run_id).info
    return run.experiment_id == experiment.experiment_id and version.source == f"{run.artifact_uri}/model"


def _experiment(client: MlflowClient) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(EXPERIMENT))
    except Exception as error:
        if said_by_mlflow(error) not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
            raise
        return str(client.get_experiment_by_name(EXPERIMENT).experiment_id)
