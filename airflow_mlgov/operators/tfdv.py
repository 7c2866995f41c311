"""The data gate by TensorFlow Data Validation's files: a schema for the data, or what a pipeline found in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_mlgov.operators.base import BaseGateOperator
from airflow_mlgov.results import GateResult


class TfdvGateOperator(BaseGateOperator):
    """Hold data against a ``schema.pbtxt``, or judge the ``anomalies.pbtxt`` that a TFX pipeline wrote of it.

    The schema is enforced without TensorFlow; with ``python``, by TFDV itself.

    :param data: path or glob of csv or parquet files
    :param schema: path of a ``schema.pbtxt``
    :param anomalies: path of an ``anomalies.pbtxt`` or ``SchemaDiff.pb`` instead
    :param python: interpreter of an environment with TFDV, which cannot live beside Airflow
    :param schema_environment: environment of the schema, such as ``TRAINING``: only its features are expected
    :param previous: data of the span before, for the schema's drift comparators; with ``python``
    :param serving: data as it is served, for its skew comparators; with ``python``
    """

    gate = "data_validation"
    template_fields: Sequence[str] = ("data", "schema", "anomalies", "python", "previous", "serving")

    def __init__(
        self,
        *,
        data: str,
        schema: str | None = None,
        anomalies: str | None = None,
        python: str | None = None,
        schema_environment: str | None = None,
        previous: str | None = None,
        serving: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (schema is None) == (anomalies is None):
            raise ValueError("give either schema= or anomalies=")
        if python is None and (previous is not None or serving is not None):
            raise ValueError("previous= and serving= are for TFDV itself: name its interpreter with python=")
        self.data = data
        self.schema = schema
        self.anomalies = anomalies
        self.python = python
        self.schema_environment = schema_environment
        self.previous = previous
        self.serving = serving

    def evaluate(self) -> GateResult:
        """Read what the pipeline found, or hold the data against the schema."""
        from airflow_mlgov.gates.data_validation import tfdv

        if self.schema is None:
            return tfdv.validate_anomalies(self.data, str(self.anomalies))
        if self.python is None:
            return tfdv.validate_schema(self.data, self.schema, environment=self.schema_environment)
        return tfdv.validate_with_tfdv(
            self.data,
            self.schema,
            self.python,
            environment=self.schema_environment,
            previous=self.previous,
            serving=self.serving,
        )
