"""What every operator that signs has in common: the duty whose identity it works with, and that it touches no model of
tier high on a worker where an answer could be forged or another duty be signed for."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from airflow_mlgov.duty import Duty
from airflow_mlgov.exposure import require_own_worker
from airflow_mlgov.operators._lineage import TellsLineage

if TYPE_CHECKING:
    from airflow_mlgov.governance.policy import GovernancePolicy


class OfDuty(TellsLineage):
    """An operator that signs under one duty."""

    duty: ClassVar[str]
    mlflow_conn_id: str | None

    @property
    def governance(self) -> Duty:
        """What ``[mlgov]`` says, under this duty."""
        return Duty(self.duty, self.mlflow_conn_id)

    def require_own_worker(self, policy: GovernancePolicy | None, model: str | None, *also: str) -> None:
        """Asked before anything is judged, signed or moved, by each operator for itself: only it knows the model.

        :param also: duties that this task signs for besides its own
        :raises ConfigurationError: the model is of tier high, and this worker is not one for it (``worker.forgeable``,
            ``worker.other_duties``)
        """
        if policy is not None and model in policy.models:
            require_own_worker((self.duty, *also), policy.models[model])
