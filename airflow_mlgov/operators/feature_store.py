"""The gate over a Feast feature service: owners, PII tags, freshness of the features that a model reads."""

from __future__ import annotations

from airflow_mlgov.gates.feature_service.spec import GATE
from airflow_mlgov.operators.base import GateOperator


class FeatureServiceGateOperator(GateOperator, gate=GATE):
    """Hold the feature views of a feature service against rules; the evidence names the registry by its digest."""
