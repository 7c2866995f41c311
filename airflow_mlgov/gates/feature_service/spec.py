"""The feature service's gate as the catalogue knows it: its settings and its name. Imports nothing heavy."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from airflow_mlgov.gates.protocol import Findings, Gate, GateSettings, Local, Option, Place, Question, Rules


class FeatureService(GateSettings):
    """A feature service, and how it is asked for."""

    repo: Annotated[Place, Local()] = Field(description="folder that holds feature_store.yaml")
    service: Annotated[str, Local()] = Field(min_length=1, description="name of the feature service")
    python: Annotated[Place | None, Local()] = Field(
        None,
        description="interpreter of an environment with Feast, which needs pandas < 3; the worker's own if omitted",
    )
    environment: Annotated[tuple[str, ...], Local(), Option("--env")] = Field(
        (),
        description="names of environment variables that Feast may see, such as those that feature_store.yaml "
        "mentions; it sees no other",
    )
    timeout: Annotated[float, Local()] = Field(300, strict=True, gt=0, description="seconds that Feast may take")


class FeatureServiceSettings(FeatureService):
    """Which feature service, and what is asked of it."""

    rules: Rules = Field(
        description="owner, description, ttl, max_age, pii: path of a YAML file, or the rules themselves; the policy's "
        "if omitted, whose digest evidence must have"
    )


class FeatureServiceGate(Gate[FeatureServiceSettings]):
    """Owners, personal data, freshness and descriptions of the feature views of a Feast feature service."""

    name = "feature_service"
    command = "features"
    about = "dataset"
    listed_as = "feature_services"
    Settings = FeatureServiceSettings
    reads = False
    next_step = "Next: mend the feature views that are named above, apply the repository, and start the run again."

    def judge(self, question: Question[FeatureServiceSettings]) -> Findings:
        """Ask Feast, then judge."""
        from airflow_mlgov.gates.feature_service.gate import judge_service

        return judge_service(question.settings)


GATE = FeatureServiceGate()
