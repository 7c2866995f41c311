"""The TFDV gate as the catalogue knows it: its settings and its name. Imports nothing heavy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from airflow_mlgov.gates.protocol import Count, CsvSettings, Findings, Gate, Local, Place, Question

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message='Field name "schema"')  # of pydantic's own, which it calls deprecated

    class TfdvSettings(CsvSettings):
        """Which of TFDV's files, and who enforces them."""

        schema: Annotated[Place | None, Local(in_policy=True)] = Field(  # type: ignore[assignment]
            None,
            description="schema.pbtxt that the data is held against; the policy's if omitted, whose digest "
            "evidence must have",
        )
        anomalies: Annotated[Place | None, Local()] = Field(
            None, description="anomalies.pbtxt or SchemaDiff.pb that a TFX pipeline wrote of the data, instead"
        )
        python: Annotated[Place | None, Local()] = Field(
            None,
            description="interpreter of an environment with TFDV, which cannot live beside Airflow; the schema is "
            "enforced without TensorFlow if omitted",
        )
        schema_environment: Annotated[str | None, Local()] = Field(
            None, description="environment of the schema, such as TRAINING: only its features are expected"
        )
        previous: Annotated[Place | None, Local()] = Field(
            None, description="data of the span before, for the schema's drift comparators; with python"
        )
        serving: Annotated[Place | None, Local()] = Field(
            None, description="data as it is served, for the schema's skew comparators; with python"
        )
        min_rows: Annotated[Count, Local()] = Field(1, description="fewer rows fail the gate; without python")
        timeout: Annotated[float, Local()] = Field(
            3600, strict=True, gt=0, description="seconds that TFDV may take; with python"
        )

        @classmethod
        def contradiction(cls, given: Mapping[str, Any]) -> str:
            """One file is judged, and only TFDV itself compares."""
            if ("schema" in given) == ("anomalies" in given):
                return "give either --schema or --anomalies (schema= or anomalies=)"
            if "python" not in given and ("previous" in given or "serving" in given):
                return "previous and serving are for TFDV itself: name its interpreter with --python (python=)"
            return ""


class TfdvGate(Gate[TfdvSettings]):
    """Data held against a TFDV schema, or the anomalies that a TFX pipeline found in it."""

    name = "tfdv"
    about = "dataset"
    Settings = TfdvSettings
    next_step = "Next: mend the data at its source and start the run again; the model was not trained on it."

    def judge(self, question: Question[TfdvSettings]) -> Findings:
        """Read what the pipeline found, or hold the data against the schema."""
        from airflow_mlgov.gates.data_validation.tfdv import judge

        return judge(question)


GATE = TfdvGate()
