"""The evaluation gate as the catalogue knows it: its settings, what it bounds, its name. Imports nothing heavy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import WORST_SLICE, MetricBound
from airflow_mlgov.gates.evaluation.grammar import METRICS, judged_columns, nearest, statistic_of, with_default
from airflow_mlgov.gates.protocol import (
    Column,
    Columns,
    Confidence,
    Count,
    Findings,
    Gate,
    GateSettings,
    Option,
    Question,
    Share,
    Strict,
)


class EvaluationSettings(GateSettings):
    """Everything that may be said about the gate besides its bounds."""

    row_id: Column | None = Field(None, description="column that names an example, to pair with the champion's")
    slices: Annotated[Columns, Option("slice")] = Field((), description="columns to cut the examples by; a*b crosses")
    missing: Annotated[tuple[str | int | float, ...], Field()] = Field(
        (), description="values that stand for a missing score, such as not_rated or -1"
    )
    categories: Annotated[Mapping[str, tuple[str, ...]], Option(file=True)] = Field(
        default_factory=dict, description="column -> all its categories: another one is an error"
    )
    ranges: Annotated[Mapping[str, tuple[float, float]], Option(file=True)] = Field(
        default_factory=dict, description="column -> its lowest and highest possible score: one outside is an error"
    )
    decide: Annotated[Literal["point", "interval"], Strict(order=("point", "interval"))] = Field(
        "interval", description="interval: a bound that it straddles is INCONCLUSIVE; point: the estimate alone"
    )
    confidence: Annotated[Confidence, Strict()] = Field(0.95, description="level of the intervals")
    min_examples: Annotated[Count, Strict()] = Field(30, description="scores below which nothing is estimated")
    min_slice_size: Annotated[Count, Strict()] = Field(30, description="scores that a slice needs")
    max_share_left_out: Annotated[Share, Strict("looser")] = Field(
        0.05, description="share of the examples that slices without an estimate, or pairs without a score, may hold"
    )
    max_share_unmatched: Annotated[Share, Strict("looser")] = Field(
        0.0, description="share of the examples that only one of candidate and champion may have"
    )
    suppress_below: Annotated[Count, Strict()] = Field(5, description="slices with fewer examples are not named")
    on_no_champion: Annotated[Literal["record", "fail"], Strict(order=("record", "fail"))] = Field(
        "record", description="what a comparison says if there is no champion"
    )
    overridden: Annotated[Literal["use", "missing"], Strict(order=("use", "missing"))] = Field(
        "missing", description="what a score counts as that somebody corrected by hand in MLflow"
    )

    @field_validator("ranges")
    @classmethod
    def _ordered(cls, ranges: Mapping[str, tuple[float, float]]) -> Mapping[str, tuple[float, float]]:
        for column, (low, high) in ranges.items():
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(f"must have a lowest score below the highest, and {column} has {low:g} and {high:g}")
        return ranges

    @field_validator("slices")
    @classmethod
    def _crossings(cls, slices: tuple[str, ...]) -> tuple[str, ...]:
        if any(not part.strip() for name in slices for part in name.split("*")):
            raise ValueError("must be columns, or columns joined by *")
        return tuple(dict.fromkeys(slices))

    @property
    def slice_columns(self) -> tuple[str, ...]:
        """The columns that the examples are cut by, each once."""
        return tuple(dict.fromkeys(part.strip() for name in self.slices for part in name.split("*")))


def require_sensible(bounds: Iterable[MetricBound], settings: EvaluationSettings) -> None:
    """Refuse bounds that the settings cannot give.

    :raises ConfigurationError: slices or a row's name are wanted, or a bounded category is none of the declared ones,
        or stands for a missing score
    """
    for item in bounds:
        wanted = statistic_of(item.metric)
        if wanted.ending == WORST_SLICE and not settings.slices:
            raise ConfigurationError(
                f"{item.metric} needs slices: name the columns to cut the examples by", code="setting.missing"
            )
        if wanted.category is None or wanted.column is None:
            continue
        if wanted.category in map(str, settings.missing):
            raise ConfigurationError(
                f'{item.metric} bounds the category "{wanted.category}", which stands for a missing score',
                code="setting.contradiction",
            )
        declared = settings.categories.get(wanted.column)
        if declared is not None and wanted.category not in declared:
            near = nearest(wanted.category, declared)
            hint = f'; did you mean "{near}"?' if near else ""
            raise ConfigurationError(
                f'{item.metric}: "{wanted.category}" is none of the categories that are declared of {wanted.column}: '
                f"{', '.join(declared)}{hint}",
                code="bound.unknown_category",
            )


class EvaluationGate(Gate[EvaluationSettings]):
    """Scores by example (of GenAI evaluations, judges, red teams) against bounds, on slices, and against the current
    champion on the same examples."""

    name = "evaluation"
    about = "model"
    Settings = EvaluationSettings
    metrics = METRICS
    compares = True
    next_step = "Next: read the failed examples where they were scored, mend the model, and start the run again."

    def judge(self, question: Question[EvaluationSettings]) -> Findings:
        """Hold the scores against the bounds."""
        from airflow_mlgov.gates.evaluation.gate import judge_scores

        bounds, settings = with_default(question.bounds), question.settings
        require_sensible(bounds, settings)
        named = [settings.row_id] if settings.row_id is not None else []
        wanted = list(dict.fromkeys([*named, *judged_columns(bounds)]))
        champion = None
        if question.baseline is not None and any(item.relative_to_champion for item in bounds):
            champion = question.baseline.frame(wanted)
        table = question.data.frame([*wanted, *(name for name in settings.slice_columns if name not in wanted)])
        checks, details = judge_scores(table, champion, bounds, settings)
        return Findings(checks, details, libraries=("numpy", "pandas", "scipy"))


GATE = EvaluationGate()
