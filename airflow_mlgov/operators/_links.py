"""Links to the board: from a task to its evidence, from a version in the registry to its story."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

from airflow_mlgov.configuration import board_link, board_page

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

    from airflow_mlgov.registry.protocol import ModelVersion


class EvidenceLink(BaseOperatorLink):
    """A button of a task in Airflow. Written when the task ends, whatever its end."""

    name = "Evidence"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's
        """The board's page about a task of a run."""
        return board_page("run", dag_id=ti_key.dag_id, run_id=ti_key.run_id, task_id=ti_key.task_id)


class ModelLink(BaseOperatorLink):
    """A button that leads to the version in MLflow."""

    name = "Model version"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's
        """Where the registry shows it; empty where it has no page, or the task has not come so far."""
        return str(getattr(operator, "pages", {}).get("model", ""))


class ReportLink(BaseOperatorLink):
    """A button that leads to the gate's report, where that is kept beside the model's run."""

    name = "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's
        """Where MLflow shows it; empty where there is none."""
        return str(getattr(operator, "pages", {}).get("report", ""))


def story_tag(version: ModelVersion) -> dict[str, str]:
    """A version's tag by which people come from the registry to its story; none where Airflow's address is not set."""
    where = board_link("story", model=version.name, version=version.version)
    return {"mlgov.story": where} if where else {}
