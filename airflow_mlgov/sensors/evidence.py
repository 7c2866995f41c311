"""Waits until everything that a promotion needs of a model version but people's approval stands in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_mlgov.duty import Duty
from airflow_mlgov.operators.base import ModelRef, task_errors
from airflow_mlgov.sensors._deferring import LedgerSensor, Seen
from airflow_mlgov.words import line

if TYPE_CHECKING:
    from airflow.sdk import Context


class EvidenceSensor(LedgerSensor):
    """Succeed once all evidence that the policy demands of a version for a target is there and good, whatever DAG, CI
    system or person it is from; what is missing is said in the log.

    It makes the decision that a promotion would make now, of verified evidence and the artifact's bytes, and signs
    nothing. A gate that failed is waited for too, until a newer result passes, or the time is out.

    :param model: the version; an XCom or conf only names it
    :param target: a target of the model in the governance policy
    :param mlflow_conn_id: connection to the model registry; if omitted, ``[mlgov] mlflow_conn_id``
    :param deferrable: wait in the triggerer; if omitted, ``[operators] default_deferrable``
    """

    template_fields: Sequence[str] = ("model", "target", "mlflow_conn_id")
    ui_color = "#e6e0f0"

    def __init__(
        self,
        *,
        model: ModelRef,
        target: str,
        mlflow_conn_id: str | None = None,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.target = target
        self.mlflow_conn_id = mlflow_conn_id
        self.deferrable = deferrable
        self._name = ""

    def look(self, context: Context) -> Seen:
        """Decide once."""
        from airflow_mlgov.evidence.statements import ProvenanceStatement
        from airflow_mlgov.evidence.verification import only
        from airflow_mlgov.release.case import build_case

        with task_errors():
            desk = Duty("approval", self.mlflow_conn_id).desk(context)
            version = desk.registry.resolve(self.model)
            case = build_case(desk, version, self.target)
        self._name = version.name
        missing = [reason for reason in case.decision.reasons if not reason[0].startswith("approval.")]
        for code, message in missing:
            self.log.info("still missing: %s", line(f"{code}: {message}"))
        made = only(case.dossier.good, ProvenanceStatement)
        about = {str(case.model.digest), *(part.digest for item in made for part in item.statement.parts)}
        found = {"name": version.name, "version": version.version, "run_id": version.run_id}
        return Seen(not missing, found, case.records.head.size, tuple(sorted(about)))

    @property
    def model_name(self) -> str:
        """The name of the model whose version it is."""
        return self._name
