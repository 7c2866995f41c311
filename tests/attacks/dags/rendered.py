"""DAGs in which every template field of every operator and sensor holds what the conf of a run says."""

from datetime import datetime
from pathlib import Path

from airflow.sdk import DAG

from airflow_mlgov.operators.approval import ApprovalGateOperator
from airflow_mlgov.operators.audit import PostDeploymentAuditOperator
from airflow_mlgov.operators.data_validation import DataValidationGateOperator
from airflow_mlgov.operators.evaluation import EvaluationGateOperator
from airflow_mlgov.operators.fairness import FairnessGateOperator
from airflow_mlgov.operators.feature_store import FeatureServiceGateOperator
from airflow_mlgov.operators.monitoring import MonitorModelOperator
from airflow_mlgov.operators.performance import PerformanceGateOperator
from airflow_mlgov.operators.policy import PolicyGateOperator
from airflow_mlgov.operators.promotion import PromoteModelOperator
from airflow_mlgov.operators.reconcile import ReconcileRegistryOperator
from airflow_mlgov.operators.registration import RegisterModelOperator
from airflow_mlgov.operators.rollback import RollbackModelOperator
from airflow_mlgov.operators.tfdv import TfdvGateOperator
from airflow_mlgov.operators.waiver import RequestWaiverOperator
from airflow_mlgov.sensors.audit_due import AuditDueSensor
from airflow_mlgov.sensors.evidence import EvidenceSensor
from airflow_mlgov.sensors.model_version import ModelVersionSensor

SAID = "{{ params.said }}"
REPORTS = f"{Path(__file__).parent / 'reports'}/{SAID}"
SUBJECT = {"model": SAID, "target": SAID}
GATED = {"model": SAID, "data": SAID, "report_dir": REPORTS}
STORED = {"conn_id": "absent", "report_dir": REPORTS}
WAITING = {"deferrable": False, "timeout": 5, "poke_interval": 1}
TASKS = [
    (ApprovalGateOperator, SUBJECT),
    (PromoteModelOperator, SUBJECT),
    (RollbackModelOperator, {**SUBJECT, "reason": SAID, "version": SAID}),
    (PostDeploymentAuditOperator, {**SUBJECT, "version": SAID, "data": {"fairness": SAID}}),
    (
        RequestWaiverOperator,
        {
            **SUBJECT,
            **dict.fromkeys(("gate", "check", "reason", "ticket", "risk_owner", "data"), SAID),
            "stretch": {"min": SAID},
        },
    ),
    (RegisterModelOperator, {
        "model": SAID, "run_id": SAID, "datasets": [SAID], "artifact_path": SAID,
        "feature_services": [{"repo": SAID, "service": SAID}], "images": [SAID],
    }),
    (ReconcileRegistryOperator, {"models": [SAID]}),
    (DataValidationGateOperator, {**GATED, "target": SAID, "suite": SAID, "reference": SAID}),
    (DataValidationGateOperator, {**STORED, "table": SAID, "suite": SAID}),
    (TfdvGateOperator, {**GATED, "target": SAID, "schema": SAID}),
    (TfdvGateOperator, {**STORED, "query": SAID, "anomalies": SAID}),
    (FeatureServiceGateOperator, {
        "model": SAID, "target": SAID, "report_dir": REPORTS, "repo": SAID, "service": SAID, "rules": SAID,
    }),
    (PolicyGateOperator, {"model": SAID, "report_dir": REPORTS, "manifest": [SAID]}),
    (PerformanceGateOperator, {
        **GATED, "baseline": SAID, "label": SAID, "score": SAID, "bounds": {"roc_auc": {"min": SAID}},
    }),
    (PerformanceGateOperator, {"model": SAID, **STORED, "query": SAID}),
    (FairnessGateOperator, {**GATED, "baseline": SAID, "sensitive_features": {SAID: [SAID]}, "bounds": {SAID: {}}}),
    (FairnessGateOperator, {"model": SAID, **STORED, "table": SAID}),
    (EvaluationGateOperator, {**GATED, "baseline": SAID, "bounds": {SAID: {"min": SAID}}}),
    (EvaluationGateOperator, {"model": SAID, "report_dir": REPORTS, "mlflow_run": SAID}),
    (EvaluationGateOperator, {"model": SAID, **STORED, "table": SAID, "baseline_table": SAID}),
    (PerformanceGateOperator, {"model": SAID, **STORED, "query": SAID, "baseline_query": SAID}),
    (AuditDueSensor, {**SUBJECT, **WAITING}),
    (EvidenceSensor, {**SUBJECT, "mlflow_conn_id": SAID, **WAITING}),
    (MonitorModelOperator, {**SUBJECT, "data": {"fairness": SAID}}),
    (ModelVersionSensor, {
        "model": SAID, "newer_than": SAID, "stage": SAID, "alias": SAID, "mlflow_conn_id": SAID, **WAITING,
    }),
]  # fmt: skip
"""Each operator, and what it is given."""

for native in (False, True):
    with DAG(
        f"renders_{'native' if native else 'text'}",
        schedule=None,
        start_date=datetime(2026, 1, 1),
        catchup=False,
        params={"said": ""},
        max_active_tasks=3,  # other attacks are under way
        render_template_as_native_obj=native,
    ):
        for number, (kind, given) in enumerate(TASKS if not native else TASKS[:1] + TASKS[13:14]):
            kind(task_id=f"{kind.__name__}_{number}", **given)
