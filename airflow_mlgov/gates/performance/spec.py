"""The performance gate as the catalogue knows it: its settings, its metrics, its name. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from airflow_mlgov.gates.performance.scorers import BUDGETS, KNOWN_METRICS, Task
from airflow_mlgov.gates.protocol import (
    WEIGHT_FIELD,
    Column,
    Columns,
    Confidence,
    Count,
    CsvSettings,
    Findings,
    Gate,
    Label,
    Local,
    Option,
    Place,
    Question,
    SampleWeight,
    Share,
    Strict,
)


def _listed(names: Any) -> Any:
    return (names,) if isinstance(names, str) else names


class PerformanceSettings(CsvSettings):
    """Which columns mean what, and how bounds are held against estimates."""

    label: Column = Field(description="column of the truth")
    score: Column | None = Field(
        None,
        description="column of the score of the positive label; roc_auc, average_precision, log_loss and others need "
        "it",
    )
    prediction: Column | None = Field(
        None, description="column of the predicted label (or number); made from scores (and threshold) if omitted"
    )
    sample_weight: SampleWeight = WEIGHT_FIELD
    row_id: Column | None = Field(
        None,
        description="column that names a row, to align it with the baseline's; without it both must have the same "
        "labels in the same order",
    )
    positive_label: Label | None = Field(
        None, description="the label that counts as positive; needed unless labels are 0 and 1"
    )
    threshold: float = Field(0.5, strict=True, description="score from which a row counts as predicted positive")
    on_no_champion: Literal["record", "fail"] = Field(
        "record", description="what a bound against the champion says if there is none: a remark, or FAIL"
    )
    task: Task | None = Field(None, description="told by the bounded metrics if omitted")
    class_scores: Annotated[Mapping[Label, Column] | None, Option("--class-score", example="LABEL=COLUMN")] = Field(
        None, min_length=2, description="of more than two classes: label -> the column with its probability"
    )
    decide: Annotated[Literal["point", "interval"], Strict(order=("point", "interval"))] = Field(
        "point",
        description="point holds bounds against estimates, interval against their intervals, and one that straddles "
        "its bound is INCONCLUSIVE",
    )
    confidence: Annotated[Confidence, Strict()] = Field(
        0.95, description="level of the intervals that are recorded with every metric"
    )
    slices: Annotated[Columns | None, BeforeValidator(_listed), Option("--slice")] = Field(
        None,
        min_length=1,
        description="columns to cut the rows by, a*b crosses two; for bounds that end in _worst_slice",
        json_schema_extra={"uniqueItems": True},
    )
    min_slice_size: Annotated[Count, Strict()] = Field(30, description="rows below which a slice is not estimated")
    max_share_left_out: Annotated[Share, Strict(larger_is="looser")] = Field(
        0.05, description="share of the rows that may be in slices that cannot be estimated"
    )
    suppress_below: Annotated[Count, Strict()] = Field(
        5, description="slices with fewer rows are not named in the evidence, because a name could point at a person"
    )
    score_model: Annotated[bool, Local()] = Field(
        False,
        strict=True,
        description="load the model and score the data, which then has features, in a child process that has no "
        "credentials. Off by default, because loading a model can run its code; bounds on latency and on a clean "
        "process need it",
    )
    python: Annotated[Place | None, Local()] = Field(
        None, description="interpreter of an environment made for the model, for loads_in_clean_process"
    )
    trusted_types: Annotated[tuple[str, ...], Local(), Option("--trusted-type")] = Field(
        (), description="what a skops model may hold besides what the gate trusts itself"
    )
    timeout: Annotated[float, Local()] = Field(
        600, strict=True, gt=0, description="seconds that a child process with the model may take"
    )

    @classmethod
    def contradiction(cls, given: Mapping[str, Any]) -> str:
        """What is for loading the model needs ``score_model``."""
        loading = given.get("python") or given.get("trusted_types")
        if loading and not given.get("score_model"):
            return "python and trusted_types are for loading the model: set score_model=True (--score-model)"
        return ""


class PerformanceGate(Gate[PerformanceSettings]):
    """Metrics of a model's predictions against bounds, on slices, and against the current champion on the same rows."""

    name = "performance"
    about = "model"
    Settings = PerformanceSettings
    metrics = KNOWN_METRICS
    compares = True
    of_artifact = BUDGETS
    section: ClassVar[Mapping[str, Any]] = {
        "if": {"not": {"propertyNames": {"not": {"pattern": "_worst_slice$"}}}},
        "then": {"required": ["slices"]},
    }
    next_step = "Next: compare with the champion, retrain, and start the run again. The bound is in the policy."

    def judge(self, question: Question[PerformanceSettings]) -> Findings:
        """Compute the metrics, or first the predictions if ``score_model`` was opted in."""
        from airflow_mlgov.gates.performance.gate import judge

        return judge(question)


GATE = PerformanceGate()
