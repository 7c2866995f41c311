"""The fairness gate: measures of groups of people and the disparities between them against bounds, with intervals.
Refuses what the libraries let through: groups too small to estimate, absent, unknown or only one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow_mlgov.data.database import SqlSource
from airflow_mlgov.data.labels import binary_codes, canonical
from airflow_mlgov.data.source import MEMORY_LIMIT
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import BoundsLike, MetricBound, parse_bounds
from airflow_mlgov.gates.fairness.calibration import calibrate
from airflow_mlgov.gates.fairness.counting import Cells, Columns, Pair, aggregate_subject, count_cells, open_pair
from airflow_mlgov.gates.fairness.disparity import METHODS, Method
from airflow_mlgov.gates.fairness.estimates import (
    ENGINES,
    Engine,
    Estimates,
    confusion_of,
    estimate_errors,
    estimate_rates,
    estimate_scores,
)
from airflow_mlgov.gates.fairness.features import (
    Declared,
    Feature,
    OnMissing,
    columns_of,
    declared_features,
    find_groups,
    group_name,
)
from airflow_mlgov.gates.fairness.judging import OnNoChampion, Rules, judge_bound, judge_four_fifths
from airflow_mlgov.gates.fairness.metrics import (
    ERROR_MEASURES,
    FAIRNESS_METRICS,
    METRICS,
    RATES,
    SCORE_MEASURES,
    TASKS,
    Task,
    is_binary,
)
from airflow_mlgov.gates.fairness.published import published
from airflow_mlgov.gates.fairness.rates import Minimums, require_whole_number
from airflow_mlgov.gates.fairness.regression import ErrorSums, sum_errors
from airflow_mlgov.gates.fairness.scores import rank_groups
from airflow_mlgov.gates.statistics.intervals import Decide, require_confidence
from airflow_mlgov.results import Check, GateResult, Outcome, Subject

_MAX_CLASSES = 100


@dataclass(frozen=True)
class Settings:
    """How groups are found, estimated and compared; see :func:`evaluate_fairness`."""

    columns: Columns
    features: Declared
    task: Task
    minimums: Minimums
    on_missing: OnMissing
    engine: Engine
    suppress_below: int
    rules: Rules

    @property
    def sensitive(self) -> list[str]:
        """Every column that a feature needs."""
        return list(dict.fromkeys(column for name in self.features for column in columns_of(name)))


def evaluate_fairness(
    data: str | SqlSource | Any,
    *,
    subject: Subject,
    label: str,
    sensitive_features: Mapping[str, Sequence[Any] | None] | Sequence[str],
    bounds: BoundsLike,
    prediction: str | None = None,
    score: str | None = None,
    threshold: float = 0.5,
    positive_label: Any = None,
    task: Task = "binary",
    baseline: str | None = None,
    champion_prediction: str | None = None,
    champion_score: str | None = None,
    row_id: str | None = None,
    on_no_champion: OnNoChampion = "record",
    method: Method = "between_groups",
    reference: Mapping[str, Any] | None = None,
    decide: Decide = "interval",
    confidence: float = 0.95,
    min_group_size: int = 30,
    min_positives: int = 10,
    min_negatives: int = 10,
    max_share_left_out: float = 0.0,
    missing_sensitive: OnMissing = "error",
    suppress_below: int = 5,
    engine: Engine = "counts",
    memory_limit: str = MEMORY_LIMIT,
    report_dir: str | Path | None = None,
) -> GateResult:
    """Judge a model's predictions for disparities between groups of people.

    :param data: csv or parquet file(s) with one row per prediction, a database table or query, or a DataFrame of
        Spark; the last two are counted where they are
    :param subject: the model version that made the predictions
    :param sensitive_features: column -> the groups that are expected in it, or None to take them as they come;
        ``"sex*race"`` is the intersection of two columns, its groups are named ``"female*black"``
    :param bounds: metric -> bound, held for every feature: ``{"demographic_parity_ratio": {"min": 0.8}}``
    :param prediction: column with the predicted label (of a regression, the number); made from ``score >= threshold``
        where None
    :param score: column with the score of the positive label; wanted by ``roc_auc_*`` and the calibration metrics
    :param positive_label: the favourable label; needed unless labels are 0 and 1
    :param task: ``multiclass`` judges each class against the rest, and the worst of them counts; ``regression``
        judges errors
    :param baseline: the champion's predictions on the same rows, in columns of the same names, for
        ``*_vs_champion`` bounds; aligned by ``row_id``
    :param champion_prediction: a column of ``data`` with the champion's predictions instead
    :param champion_score: a column of ``data`` with the champion's scores instead
    :param on_no_champion: what a ``_vs_champion`` bound says without a champion: an info check, or FAIL
    :param method: ``between_groups``: the extreme groups with each other; ``to_overall``: each group with all rows
    :param reference: feature -> the group that the others are compared with, in place of ``method``. ``*_disparity``
        metrics (Aequitas') take the largest group where none is named
    :param decide: ``interval``: INCONCLUSIVE where the confidence interval straddles the bound; ``point``: the
        estimate alone
    :param confidence: level of the intervals
    :param min_group_size: rows below which nothing about a group is estimated
    :param min_positives: positives below which a group's TPR and FNR are not estimated (and its precision, in rows
        predicted positive)
    :param min_negatives: negatives below which a group's FPR is not estimated
    :param max_share_left_out: groups that are too small may be left out while they hold no more than this share of the
        rows; 0 leaves none out, and a check that such a group belongs to is INCONCLUSIVE
    :param missing_sensitive: rows without a sensitive value are an ``error``, or a ``group`` of their own
    :param suppress_below: counts below this are left out of the evidence, for they could point at a person
    :param engine: ``counts``: arithmetic on the counts; ``fairlearn``: its ``MetricFrame`` over the weighted counts,
        which gives the same numbers
    :param memory_limit: what counting may hold in memory before it spills to disk
    :param report_dir: where to write a self-contained HTML report with the rates as charts
    :raises ConfigurationError: a bound, a column, the labels or the groups are not what the gate can judge
    :raises AccessError: the file system or the database refuses
    :raises DependencyError: the database is down, or a file changed while it was being read
    """
    started_at = datetime.now(UTC)
    parsed = parse_bounds(bounds, METRICS)
    groups = {feature: group_name(group) or "" for feature, group in (reference or {}).items()}
    settings = Settings(
        Columns(label, prediction, score, threshold, positive_label, champion_prediction, row_id, champion_score),
        declared_features(sensitive_features),
        task,
        Minimums(min_group_size, min_positives, min_negatives),
        missing_sensitive,
        engine,
        suppress_below,
        Rules(decide, confidence, max_share_left_out, method, groups, on_no_champion),
    )
    _require_sound(settings, parsed)
    with open_pair(data, baseline, memory_limit) as pair:
        evaluate = _judge_errors if task == "regression" else _judge_labels
        checks, judged, counted = evaluate(pair, settings, parsed)
        inputs = pair.subjects or (aggregate_subject(pair.data.name, counted.table),)
    details = published(sum(counted.rows), settings.rules, judged, suppress_below)
    if task != "regression" and prediction is None:
        details["prediction"] = f"{score} >= {threshold:g}"
    result = GateResult(
        gate="fairness",
        subject=subject,
        checks=checks,
        inputs=inputs,
        details=details,
        settings={
            "decide": decide,
            "confidence": confidence,
            "min_group_size": min_group_size,
            "min_positives": min_positives,
            "min_negatives": min_negatives,
            "max_share_left_out": max_share_left_out,
            "missing_sensitive": missing_sensitive,
            "suppress_below": suppress_below,
        },
        evaluation_digest=counted.case_digest,
        libraries=_libraries(engine),
        started_at=started_at,
    )
    if report_dir is None:
        return result
    from airflow_mlgov.gates.fairness.plots import draw_rates
    from airflow_mlgov.gates.report import write_report

    return replace(result, reports={"Fairness report": str(write_report(result, report_dir, draw_rates(result)))})


def _judge_labels(
    pair: Pair, settings: Settings, bounds: Sequence[MetricBound]
) -> tuple[tuple[Check, ...], list[Estimates], Cells]:
    cells = count_cells(pair, settings.columns, settings.sensitive)
    features = _features(settings, cells.groups, cells.rows, cells.problems)
    codes = {} if cells.problems else _codes(cells, settings)
    judged = []
    for feature in features:
        if feature.problem:
            judged.append(Estimates(feature, {}, {}))
            continue
        tables = {name: confusion_of(feature, each, cells.rows) for name, each in codes.items()}
        judged.append(_estimated(pair, settings, bounds, feature, tables, _positive(cells, codes)))
    checks = _checks(cells.problems, judged, bounds, settings)
    if settings.task == "binary":
        checks += [judge_four_fifths(each, settings.rules) for each in judged]
    return tuple(checks), judged, cells


def _judge_errors(
    pair: Pair, settings: Settings, bounds: Sequence[MetricBound]
) -> tuple[tuple[Check, ...], list[Estimates], ErrorSums]:
    errors = sum_errors(pair, settings.columns, settings.sensitive)
    features = _features(settings, errors.groups, errors.rows, errors.problems)
    judged = [
        Estimates(feature, {}, {})
        if feature.problem
        else estimate_errors(feature, errors, settings.minimums, settings.suppress_below)
        for feature in features
    ]
    return tuple(_checks(errors.problems, judged, bounds, settings)), judged, errors


def _checks(
    problems: Sequence[str], judged: Sequence[Estimates], bounds: Sequence[MetricBound], settings: Settings
) -> list[Check]:
    checks = [Check("data", Outcome.ERROR, detail=f"{problem}; the gate drops no rows") for problem in problems]
    for each in judged:
        if each.feature.problem and not problems:
            checks.append(Check(f"groups[{each.feature.name}]", Outcome.ERROR, detail=each.feature.problem))
        checks += [judge_bound(item, each, settings.rules) for item in bounds]
    return checks


def _features(
    settings: Settings, groups: Mapping[str, Sequence[str | None]], rows: Sequence[int], problems: Sequence[str]
) -> list[Feature]:
    if problems:
        return [Feature(name, problem="; ".join(problems)) for name in settings.features]
    return [find_groups(name, groups, rows, settings.features, settings.on_missing) for name in settings.features]


def _estimated(
    pair: Pair,
    settings: Settings,
    bounds: Sequence[MetricBound],
    feature: Feature,
    tables: Mapping[str, Any],
    positive: Mapping[Any, int],
) -> Estimates:
    asked = {measure for item in bounds for measure in _measures_of(item)}
    rates = list(dict.fromkeys([*RATES, *(measure for measure in asked if is_binary(measure))]))
    found = estimate_rates(feature, tables, rates, settings.minimums, settings.suppress_below, settings.engine)
    of_scores = asked.intersection(SCORE_MEASURES)
    if not of_scores:
        return found
    paired = {measure for item in bounds if item.relative_to_champion for measure in _measures_of(item)}
    ranking = calibration = None
    if "roc_auc" in of_scores:
        whole = settings.rules.method == "to_overall"
        ranking = rank_groups(pair, settings.columns, feature, positive, paired="roc_auc" in paired, whole=whole)
    if of_scores - {"roc_auc"}:
        pairs = bool(paired & of_scores - {"roc_auc"})
        calibration = calibrate(pair, settings.columns, feature, positive, paired=pairs)
    return estimate_scores(found, ranking, calibration, settings.minimums, settings.suppress_below)


def _codes(cells: Cells, settings: Settings) -> dict[str, list[list[int]]]:
    """``""`` (or each class) -> for the label, the prediction and the champion's prediction, each cell's 0 or 1."""
    columns = settings.columns
    values = {"label": cells.label, "prediction": cells.prediction}
    if cells.champion:
        values["champion's prediction"] = cells.champion
    if settings.task == "multiclass":
        known = {role: [canonical(value) for value in found] for role, found in values.items()}
        classes = sorted({name for found in known.values() for name in found}, key=str)
        if len(classes) > _MAX_CLASSES:
            raise ConfigurationError(
                f"{len(classes)} different labels and predictions: more than {_MAX_CLASSES} are no classes"
            )
        return {
            f"class {_shown(name)}": [[int(v == name) for v in found] for found in known.values()] for name in classes
        }
    names = {"label": columns.label, "prediction": columns.predictor}
    names["champion's prediction"] = columns.champion_prediction or columns.predictor
    predicted = [role for role in values if columns.prediction is not None or role == "label"]
    codes = binary_codes(
        {role: list(dict.fromkeys(values[role])) for role in predicted},
        {role: names[role] for role in predicted},
        columns.positive_label,
    )
    return {"": [[codes[role][value] if role in codes else value for value in found] for role, found in values.items()]}


def _positive(cells: Cells, codes: Mapping[str, Sequence[Sequence[int]]]) -> dict[Any, int]:
    """Label as stored -> 1 or 0."""
    return dict(zip(cells.label, next(iter(codes.values()))[0], strict=True))


def _require_sound(settings: Settings, bounds: Sequence[MetricBound]) -> None:
    columns, rules = settings.columns, settings.rules
    require_whole_number("suppress_below", settings.suppress_below)
    require_confidence(rules.confidence, rules.decide)
    for name, value, known in (
        ("task", settings.task, TASKS),
        ("method", rules.method, METHODS),
        ("engine", settings.engine, ENGINES),
        ("missing_sensitive", settings.on_missing, ("error", "group")),
        ("on_no_champion", rules.on_no_champion, ("record", "fail")),
    ):
        if value not in known:
            raise ConfigurationError(f"{name} must be {' or '.join(known)}, not {value!r}")
    share = rules.max_share_left_out
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        raise ConfigurationError(f"max_share_left_out must be at least 0 and below 1, such as 0.05, not {share!r}")
    unknown = sorted(set(rules.reference) - set(settings.features))
    if unknown:
        raise ConfigurationError(f"reference names {unknown[0]!r}, which is no sensitive feature of this gate")
    if isinstance(columns.threshold, bool) or not math.isfinite(columns.threshold):
        raise ConfigurationError(f"the threshold must be a number, not {columns.threshold!r}")
    if columns.predictor == columns.label and settings.task == "regression":
        raise ConfigurationError(f'column "{columns.label}" is named as the label and as what predicts it')
    for item in bounds:
        _require_measurable(item, settings)


def _require_measurable(item: MetricBound, settings: Settings) -> None:
    metric = FAIRNESS_METRICS[item.base_metric]
    of_errors = any(measure in ERROR_MEASURES for measure in metric.measures)
    of_scores = any(measure in SCORE_MEASURES for measure in metric.measures)
    if of_errors != (settings.task == "regression"):
        other = "regression" if of_errors else "classification"
        raise ConfigurationError(f"{metric.name} is of a {other}, and the task is {settings.task}: set task")
    if of_scores and settings.task != "binary":
        raise ConfigurationError(f"{metric.name} is of binary scores, and the task is {settings.task}")
    if of_scores and settings.columns.score is None:
        raise ConfigurationError(f"{metric.name} needs scores, not predicted labels: name the column as score")
    if metric.how == "disparity" and settings.task == "multiclass":
        raise ConfigurationError(f"{metric.name} is of two classes, and the task is multiclass")


def _measures_of(item: MetricBound) -> tuple[str, ...]:
    return FAIRNESS_METRICS[item.base_metric].measures


def _shown(value: float | str) -> str:
    return f"{value:g}" if isinstance(value, float) else value


def _libraries(engine: Engine) -> dict[str, str]:
    from importlib.metadata import version

    names = ("duckdb", "numpy") if engine == "counts" else ("duckdb", "numpy", "fairlearn", "scikit-learn", "pandas")
    return {name: version(name) for name in names}
