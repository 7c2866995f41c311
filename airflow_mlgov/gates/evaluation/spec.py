"""The evaluation gate as the catalogue knows it: its settings, what it bounds, its name. Imports nothing heavy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import VS_CHAMPION, WORST_SLICE, MetricBound
from airflow_mlgov.gates.evaluation.grammar import (
    ABSTENTION,
    METRICS,
    compared_columns,
    judged_columns,
    nearest,
    statistic_of,
    with_default,
)
from airflow_mlgov.gates.protocol import (
    WEIGHT_FIELD,
    Column,
    Columns,
    Confidence,
    Count,
    CsvSettings,
    Elsewhere,
    Findings,
    Gate,
    Local,
    Option,
    Question,
    SampleWeight,
    Share,
    Strict,
)
from airflow_mlgov.gates.statistics.weights import not_weighted

if TYPE_CHECKING:
    from airflow_mlgov.data.relation import DataSource


class EvaluationSettings(CsvSettings):
    """Everything that may be said about the gate besides its bounds."""

    row_id: Column | None = Field(None, description="column that names an example, to pair with the champion's")
    sample_weight: SampleWeight = WEIGHT_FIELD
    slices: Annotated[Columns, Option("slice")] = Field((), description="columns to cut the examples by; a*b crosses")
    missing: Annotated[tuple[str | int | float, ...], Field()] = Field(
        (), description="values that stand for a missing score, such as not_rated or -1"
    )
    categories: Annotated[Mapping[str, tuple[str, ...]], Option("category", example="verdict=safe,harmful")] = Field(
        {}, description="column -> all its categories: another one is an error"
    )
    ranges: Annotated[Mapping[str, tuple[float, float]], Option("range", example="relevance=0,1")] = Field(
        {}, description="column -> its lowest and highest possible score: one outside is an error"
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
    mlflow_run: Annotated[str | None, Local()] = Field(
        None, description="id of the run whose evaluation is read from MLflow, in place of data"
    )
    mlflow_model: Annotated[str | None, Local()] = Field(
        None,
        description="logged model (m-…) that the examples must be of; its one evaluation run is read if none is named",
    )
    mlflow_champion_run: Annotated[str | None, Local()] = Field(
        None, description="id of the run with the champion's evaluation, in place of a baseline"
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

    @property
    def weight_columns(self) -> tuple[str, ...]:
        """The column of weights, if there is one."""
        return () if self.sample_weight is None else (self.sample_weight,)


def require_sensible(bounds: Iterable[MetricBound], settings: EvaluationSettings) -> None:
    """Refuse bounds that the settings cannot give.

    :raises ConfigurationError: nothing but abstentions is bounded, slices or a row's name are wanted, or a bounded
        category is not declared, or stands for a missing score
    """
    bounds = tuple(bounds)
    if not judged_columns(bounds):
        raise ConfigurationError(
            f"{ABSTENTION} is of the columns that other bounds judge, and there are none: bound a rate, a mean or a "
            "quantile of a column too",
            code="bound.nothing_judged",
        )
    for item in bounds:
        wanted = statistic_of(item.metric)
        if settings.sample_weight is not None and wanted.ending == VS_CHAMPION:
            raise not_weighted(item.metric)
        if settings.sample_weight is not None and settings.sample_weight in (wanted.column, *settings.slice_columns):
            raise ConfigurationError(
                f'column "{settings.sample_weight}" is named as sample_weight and as something else',
                code="setting.contradiction",
            )
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
                f'{item.metric}: "{wanted.category}" is not among the categories that are declared of {wanted.column}: '
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
    names_data = ("mlflow_run", "mlflow_model")
    compares = True
    next_step = "Next: read the failed examples where they were scored, mend the model, and start the run again."

    def completed(self, bounds: tuple[MetricBound, ...]) -> tuple[MetricBound, ...]:
        """Abstentions are bounded if nobody says otherwise."""
        return with_default(bounds)

    def named_data(
        self, settings: EvaluationSettings, bounds: tuple[MetricBound, ...], elsewhere: Elsewhere
    ) -> tuple[DataSource | None, DataSource | None]:
        """Evaluations that MLflow keeps."""
        from airflow_mlgov.gates.evaluation.mlflow_results import Wanted
        from airflow_mlgov.gates.evaluation.mlflow_source import MlflowResults

        model_id, source = settings.mlflow_model, elsewhere.version_source or ""
        if model_id and source.startswith("models:/m-") and source != f"models:/{model_id}":
            raise ConfigurationError(
                f"the judged version was registered from {source}, and not from the logged model {model_id}",
                code="mlflow.other_model",
            )
        named = [settings.row_id] if settings.row_id is not None else []
        others = tuple(dict.fromkeys([*named, *settings.slice_columns, *settings.weight_columns]))
        scores, overridden = judged_columns(bounds), settings.overridden
        data = champion = None
        if settings.mlflow_run or model_id:
            data = MlflowResults(
                elsewhere.tracking(), Wanted(settings.mlflow_run, model_id, scores, others, overridden)
            )
        if settings.mlflow_champion_run:
            compared = compared_columns(bounds)
            wanted = Wanted(settings.mlflow_champion_run, None, compared, tuple(named), overridden)
            champion = MlflowResults(elsewhere.tracking(), wanted)
        return data, champion

    def judge(self, question: Question[EvaluationSettings]) -> Findings:
        """Hold the scores against the bounds. A database or Spark counts them where they are, unless their different
        combinations are many or examples are named: then the rows are copied to a temporary file."""
        from airflow_mlgov.data.counted import count_rows
        from airflow_mlgov.data.source import compared_together, evaluation_digest
        from airflow_mlgov.data.values import explained, require_plain
        from airflow_mlgov.gates.evaluation.gate import judge_scores
        from airflow_mlgov.gates.evaluation.mlflow_source import MlflowTable

        bounds, settings, data = with_default(question.bounds), question.settings, question.data
        require_sensible(bounds, settings)
        named = [settings.row_id] if settings.row_id is not None else []
        champion, compared = None, compared_columns(bounds)
        sides = [data, *([question.baseline] if question.baseline is not None and compared else [])]
        for column in named:
            for side in sides:
                side.require(column)
            compared_together([(side, column) for side in sides])
        data.require(*settings.slice_columns)
        require_plain(data, dict.fromkeys(settings.slice_columns, "slice"))
        for column in settings.slice_columns:
            compared_together([(data, column)])
        if question.baseline is not None and compared:
            champion = question.baseline.frame(list(dict.fromkeys([*named, *compared])))
        also = [*settings.slice_columns, *settings.weight_columns]
        needed = list(dict.fromkeys([*named, *judged_columns(bounds), *also]))
        counted = None if named or question.baseline is not None else count_rows(data, needed)
        table = data.frame(needed) if counted is None else counted.frame()
        with explained(data, judged_columns(bounds)):
            checks, details = judge_scores(table, champion, bounds, settings)
        if isinstance(data, MlflowTable):
            details["mlflow"] = data.notes
        digest = evaluation_digest(data, named) if named else None
        read = None if counted is None else (counted.subject,)
        return Findings(checks, details, read=read, evaluation_digest=digest, libraries=("numpy", "pandas", "scipy"))


GATE = EvaluationGate()
