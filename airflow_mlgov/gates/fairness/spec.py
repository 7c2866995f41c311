"""The fairness gate as the catalogue knows it: its settings, its metrics, its name. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.fairness.metrics import METRICS, Task
from airflow_mlgov.gates.protocol import (
    WEIGHT_FIELD,
    Column,
    Confidence,
    Count,
    CsvSettings,
    Findings,
    Gate,
    Label,
    Merge,
    Option,
    Question,
    SampleWeight,
    Share,
    Strict,
)

Groups = Mapping[Column, tuple[Label, ...] | None]
"""Feature -> the groups that must be there, or None to take them as they come."""


def _named(features: Any) -> Any:
    """Features without their groups, as a mapping."""
    if isinstance(features, str):
        features = [features]
    return dict.fromkeys(features) if isinstance(features, list | tuple) else features


class Features(Merge):
    """How the policy's features and a caller's become one: a caller may name them without groups, and no other."""

    def merge(self, name: str, stated: Mapping[str, Any], given: Any) -> Any:
        """The policy's.

        :raises ConfigurationError: the caller declares groups, or names another feature
        """
        if isinstance(given, Mapping) or set(_named(given)) - set(stated):
            raise ConfigurationError(
                f"{name} is {given!r} here, but the governance policy says {stated!r}: leave it out, or have the "
                "policy changed",
                code="setting.not_the_policys",
            )
        return stated


Edges = Annotated[tuple[float, ...], Field(min_length=1)]
Bins = Annotated[int, Field(strict=True, ge=2, le=20)] | Edges
"""How many groups of about equal size, or the edges between groups."""


def _cuts(bins: Any) -> Any:
    """``age=4`` of a command line is so many bins, ``age=25,45`` and ``age=65,`` are edges."""
    if not isinstance(bins, Mapping):
        return bins
    found = {}
    for name, cut in bins.items():
        words = [word for word in cut if word != ""] if isinstance(cut, list | tuple) else cut
        alone = isinstance(cut, list) and len(cut) == 1 and isinstance(cut[0], str) and cut[0].isdigit()
        found[name] = int(cut[0]) if alone else words
    return found


def _rising(bins: Mapping[str, int | tuple[float, ...]]) -> Mapping[str, int | tuple[float, ...]]:
    for name, cut in bins.items():
        if not isinstance(cut, int) and any(low >= high for low, high in pairwise(cut)):
            raise ValueError(f"must have edges that rise, and those of {name} are {', '.join(map(str, cut))}")
    return bins


class OfThePolicy(Merge):
    """Marks a setting that only the policy says where one governs the gate."""

    def merge(self, name: str, stated: Any, given: Any) -> Any:
        """Nothing else than what the policy says.

        :raises ConfigurationError: the caller says something else
        """
        raise ConfigurationError(
            f"{name} is {given!r} here, but the governance policy says {stated!r}: leave it out, or have the policy "
            "changed",
            code="setting.not_the_policys",
        )

    def added(self, name: str, given: Any) -> Any:
        """Nothing.

        :raises ConfigurationError: always
        """
        raise ConfigurationError(
            f"{name} is {given!r} here: how groups are cut is the governance policy's to say; leave it out, or have "
            "the policy changed",
            code="setting.not_the_policys",
        )


class FairnessSettings(CsvSettings):
    """How groups are found, estimated and compared."""

    label: Column = Field(description="column of the truth")
    prediction: Column | None = Field(
        None,
        description="column of the predicted label (of a regression, the number); made from score >= threshold if "
        "omitted",
    )
    score: Column | None = Field(
        None, description="column of the score of the positive label; roc_auc_* and the calibration metrics need it"
    )
    threshold: float = Field(0.5, strict=True, description="score from which a row counts as predicted positive")
    positive_label: Label | None = Field(None, description="the favourable label; needed unless labels are 0 and 1")
    sample_weight: SampleWeight = WEIGHT_FIELD
    sensitive_features: Annotated[
        Groups,
        BeforeValidator(_named),
        WithJsonSchema(
            {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {
                    "anyOf": [
                        {"type": "null"},
                        {"type": "array", "minItems": 2, "uniqueItems": True, "items": {"type": ["string", "number"]}},
                    ]
                },
            }
        ),
        Features(),
        Option("--sensitive", example="sex=female,male"),
    ] = Field(
        min_length=1,
        description="column (or columns joined by *, an intersection) -> the groups that must be there, or nothing to "
        "take them as they come; a list of columns will do too. The groups of an intersection are named female*black",
    )
    bins: Annotated[
        Mapping[Column, Bins],
        BeforeValidator(_cuts),
        AfterValidator(_rising),
        OfThePolicy(),
        Option("--bins", example="age=25,45,65"),
    ] = Field(
        {},
        description="sensitive column of numbers -> the edges that cut it into groups (25 to below 45), or the number "
        "of groups of about equal size; a column with more than 20 different numbers needs it, or declared groups",
    )
    task: Task = Field(
        "binary",
        description="multiclass judges each class against the rest, and the worst of them counts; regression judges "
        "errors",
    )
    method: Literal["between_groups", "to_overall"] = Field(
        "between_groups",
        description="between_groups compares the extreme groups with each other, to_overall each group with all rows",
    )
    reference: Annotated[Mapping[Column, Label], Option("--reference-group", example="sex=male")] = Field(
        {},
        description="sensitive feature -> the group that the others are compared with; *_disparity takes the largest "
        "group if omitted",
    )
    decide: Annotated[Literal["point", "interval"], Strict(order=("point", "interval"))] = Field(
        "interval",
        description="interval is INCONCLUSIVE if the confidence interval straddles the bound, point judges the "
        "estimate alone",
    )
    confidence: Annotated[Confidence, Strict()] = Field(0.95, description="level of the intervals")
    min_group_size: Annotated[Count, Strict()] = Field(
        30, description="rows below which nothing about a group is estimated"
    )
    min_positives: Annotated[Count, Strict()] = Field(
        10,
        description="positives below which a group's true positive and false negative rates are not estimated (and its "
        "precision, in rows predicted positive)",
    )
    min_negatives: Annotated[Count, Strict()] = Field(
        10, description="negatives below which a group's false positive rate is not estimated"
    )
    max_share_left_out: Annotated[Share, Strict(larger_is="looser")] = Field(
        0.0,
        description="share of the rows that groups too small to estimate may hold and be left out; 0 leaves none out, "
        "and a check that such a group belongs to is INCONCLUSIVE",
    )
    missing_sensitive: Annotated[Literal["error", "group"], Strict(order=("group", "error"))] = Field(
        "error", description="rows without a sensitive value are an error, or a group of their own"
    )
    suppress_below: Annotated[Count, Strict()] = Field(
        5, description="counts below this are left out of the evidence, because they could point at a person"
    )
    on_no_champion: Literal["record", "fail"] = Field(
        "record", description="what a bound against the champion says if there is none: a remark, or FAIL"
    )
    champion_prediction: Column | None = Field(
        None, description="column of the data with the champion's predictions, instead of a baseline"
    )
    champion_score: Column | None = Field(
        None, description="column of the data with the champion's scores, instead of a baseline"
    )
    row_id: Column | None = Field(None, description="column that names a row, to align it with the baseline's")
    engine: Literal["counts", "fairlearn"] = Field(
        "counts",
        description="counts is arithmetic on the counts, fairlearn asks its MetricFrame over the weighted counts, "
        "which gives the same numbers",
    )


class FairnessGate(Gate[FairnessSettings]):
    """Disparities between groups of people, with their intervals, if groups are large enough to say.

    Rows are counted where they are: files in DuckDB, a table in its database.
    """

    name = "fairness"
    about = "model"
    Settings = FairnessSettings
    metrics = METRICS
    compares = True
    section: ClassVar[Mapping[str, Any]] = {"required": ["sensitive_features"]}
    next_step = (
        "Next: look at the rates by group in the evidence, remove what stands in for the protected group or "
        "move the cut-off, retrain, and start the run again."
    )

    def check_names(self, bound: str, settings: Mapping[str, Any]) -> Sequence[str]:
        """One check for each sensitive feature."""
        return [f"{bound}[{feature}]" for feature in settings.get("sensitive_features", ())]

    def judge(self, question: Question[FairnessSettings]) -> Findings:
        """Count the rows and judge the groups."""
        from airflow_mlgov.gates.fairness.gate import judge

        return judge(question)


GATE = FairnessGate()
