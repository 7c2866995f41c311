"""A DAG with every operator and sensor of this provider, for measuring what a DAG file pays for importing them."""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import DAG

from airflow_mlgov.operators.approval import ApprovalGateOperator
from airflow_mlgov.operators.audit import EnforceObligationsOperator, PostDeploymentAuditOperator
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
from airflow_mlgov.operators.sinks import DeliverAuditTrailOperator
from airflow_mlgov.operators.tfdv import TfdvGateOperator
from airflow_mlgov.operators.waiver import RequestWaiverOperator
from airflow_mlgov.sensors.audit_due import AuditDueSensor
from airflow_mlgov.sensors.evidence import EvidenceSensor
from airflow_mlgov.sensors.model_version import ModelVersionSensor

MODEL = "models:/credit/1"

with DAG("every_operator", schedule=None, start_date=datetime(2026, 1, 1)):
    DataValidationGateOperator(task_id="data", data="people.parquet", suite="suite.json")
    TfdvGateOperator(task_id="tfdv", data="people.parquet", schema="schema.pbtxt")
    FeatureServiceGateOperator(task_id="features", repo="features", service="credit", rules="rules.yaml")
    RegisterModelOperator(task_id="register", model="credit", run_id="run", datasets=["people.parquet"])
    PerformanceGateOperator(task_id="performance", model=MODEL, data="predictions.parquet")
    FairnessGateOperator(task_id="fairness", model=MODEL, data="predictions.parquet")
    EvaluationGateOperator(task_id="evaluation", model=MODEL, data="scores.parquet")
    PolicyGateOperator(task_id="policy", model=MODEL)
    RequestWaiverOperator(
        task_id="waiver",
        model=MODEL,
        target="production",
        gate="fairness",
        check="demographic_parity_ratio[sex]",
        stretch={"min": 0.75},
        reason="a small group",
        ticket="RISK-1",
        risk_owner="olga",
    )
    ApprovalGateOperator(task_id="approve", model=MODEL, target="production")
    PromoteModelOperator(task_id="promote", model=MODEL, target="production")
    RollbackModelOperator(task_id="roll_back", model="credit", target="production", reason="an incident")
    ReconcileRegistryOperator(task_id="reconcile")
    PostDeploymentAuditOperator(task_id="audit", model="credit", target="production", data={"fairness": "live.parquet"})
    EnforceObligationsOperator(task_id="enforce")
    MonitorModelOperator(task_id="monitor", model="credit", target="production", data={"fairness": "live.parquet"})
    DeliverAuditTrailOperator(task_id="deliver")
    EvidenceSensor(task_id="evidence", model=MODEL, target="production")
    AuditDueSensor(task_id="due", model="credit", target="production")
    ModelVersionSensor(task_id="new_version", model="credit", newer_than=1)
