"""The fairness gate: measures of groups of people and the disparities between them against bounds, with intervals.
Refuses what the libraries let through: groups too small to estimate, absent, unknown or only one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.fingerprint import aggregate_subject
from airflow_mlgov.data.labels import binary_codes, classes_among
from airflow_mlgov.data.source import ColumnKind, Relation, evaluation_digest
from airflow_mlgov.data.values import Key, Sort, explained, key_of
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import MetricBound
from airflow_mlgov.gates.fairness.counting import (
    Cells,
    Columns,
    Counted,
    Pair,
    as_written,
    bin_names,
    count_by_feature,
    edges_of,
)
from airflow_mlgov.gates.fairness.estimates import (
    Engine,
    Estimates,
    Weighed,
    confusion_of,
    estimate_errors,
    estimate_rates,
    estimate_scores,
    weighed_of,
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
from airflow_mlgov.gates.fairness.judging import Rules, judge_bound, judge_four_fifths
from airflow_mlgov.gates.fairness.metrics import (
    ERROR_MEASURES,
    FAIRNESS_METRICS,
    RATES,
    SCORE_MEASURES,
    Task,
    is_binary,
)
from airflow_mlgov.gates.fairness.published import every_group, published
from airflow_mlgov.gates.fairness.rates import Minimums
from airflow_mlgov.gates.protocol import Findings, Question
from airflow_mlgov.gates.statistics.weights import SOURCE, not_weighted
from airflow_mlgov.results import Check, Outcome

if TYPE_CHECKING:
    from airflow_mlgov.gates.fairness.regression import ErrorSums
    from airflow_mlgov.gates.fairness.spec import FairnessSettings

_MAX_CLASSES = 100
_SEEN = 1000
"""Values by which a column is told that a database has no type for."""
_LIBRARIES = {
    "counts": ("duckdb", "numpy"),
    "fairlearn": ("duckdb", "numpy", "fairlearn", "scikit-learn", "pandas"),
}


@dataclass(frozen=True)
class Settings:
    """How groups are found, estimated and compared; see :class:`airflow_mlgov.gates.fairness.spec.FairnessSettings`."""

    columns: Columns
    features: Declared
    task: Task
    minimums: Minimums
    on_missing: OnMissing
    engine: Engine
    suppress_below: int
    rules: Rules
    numbers: frozenset[str] = frozenset()
    """Sensitive columns that hold numbers and are not cut into bins."""

    @property
    def sensitive(self) -> list[str]:
        """Every column that a feature needs."""
        return list(dict.fromkeys(column for name in self.features for column in columns_of(name)))


def judge(question: Question[FairnessSettings]) -> Findings:
    """Judge a model's predictions for disparities between groups of people.

    :raises ConfigurationError: a bound, a column, the labels or the groups are not what the gate can judge
    :raises AccessError: the file system or the database refuses
    :raises DependencyError: the database is down, or a file changed while it was being read
    """
    given = question.settings
    settings = _plan(given)
    _require_sound(settings, question.bounds)
    pair = Pair(question.data if given.sample_weight is None else question.data.in_duckdb(), question.baseline)
    if pair.baseline is None:
        _confine(pair.data, given, settings, question.bounds)
    settings = _cut(settings, given.bins, pair.data)
    as_written(pair, settings.columns, settings.sensitive, labels=given.task != "regression")
    evaluate = _judge_errors if given.task == "regression" else _judge_labels
    with explained(pair.data, [given.label, given.prediction, given.champion_prediction]):
        checks, judged, counted = evaluate(pair, settings, question.bounds)
    details = published(sum(counted.rows), settings.rules, judged, given.suppress_below)
    if given.sample_weight is not None and isinstance(counted, Counted):
        details["sample_weight"] = _weights_of(given.sample_weight, counted.first, judged, given.suppress_below)
    figures = {}
    if question.report:
        from airflow_mlgov.gates.fairness.plots import draw_rates

        figures = draw_rates(checks, details, given.confidence)
        for each in judged:
            if each.feature.name in details.get("groups", {}):
                lines = escape("\n".join(every_group(each, given.suppress_below)))
                figures[f"all groups of {each.feature.name}"] = f"<pre>{lines}</pre>"
    if bins := settings.columns.bins:
        details["bins"] = {name: {"edges": list(edges), "groups": bin_names(edges)} for name, edges in bins.items()}
    digest = None if bins else counted.case_digest  # other bins are other groups of the same rows
    if digest is None:
        digest = evaluation_digest(question.data, [given.label, *sorted(settings.sensitive)])
    if given.task != "regression" and given.prediction is None:
        details["prediction"] = f"{given.score} >= {given.threshold:g}"
    return Findings(
        checks,
        details,
        read=pair.subjects or (aggregate_subject(pair.data.name, counted.table),),
        evaluation_digest=digest,
        libraries=_LIBRARIES[given.engine],
        figures=figures,
    )


def _confine(data: Relation, given: FairnessSettings, settings: Settings, bounds: Sequence[MetricBound]) -> None:
    """Tell the relation what it is asked about, and whether by the one question that counts the rows."""
    roles = {*_roles_of(settings), given.champion_prediction, given.champion_score, given.row_id, given.sample_weight}
    more = given.task == "regression" or given.sample_weight is not None or bool(given.bins)
    more = more or any(measure in SCORE_MEASURES for item in bounds for measure in _measures_of(item))
    data.confine(sorted(filter(None, roles)), one_question=not more)


def _plan(given: FairnessSettings) -> Settings:
    return Settings(
        Columns(
            given.label,
            given.prediction,
            given.score,
            given.threshold,
            given.positive_label,
            given.champion_prediction,
            given.row_id,
            given.champion_score,
            given.sample_weight,
        ),
        declared_features(given.sensitive_features),
        given.task,
        Minimums(given.min_group_size, given.min_positives, given.min_negatives),
        given.missing_sensitive,
        given.engine,
        given.suppress_below,
        Rules(
            given.decide,
            given.confidence,
            given.max_share_left_out,
            given.method,
            {feature: group_name(group) or "" for feature, group in given.reference.items()},
            given.on_no_champion,
        ),
    )


def _cut(settings: Settings, bins: Mapping[str, int | tuple[float, ...]], data: Relation) -> Settings:
    """The settings with the edges of the bins; refuses bins of what is no sensitive column.

    :raises ConfigurationError: so it is, or the column holds no numbers
    """
    other = sorted(set(bins) - set(settings.sensitive))
    if other:
        raise ConfigurationError(
            f"bins cut {other[0]!r}, which is no sensitive column of this gate: {', '.join(settings.sensitive)}",
            code="group.unknown",
        )
    data.require(*settings.sensitive)
    edges = {name: edges_of(data, name, wanted) for name, wanted in bins.items()}
    numbers = frozenset(name for name in settings.sensitive if name not in edges and _holds_numbers(data, name))
    return replace(settings, columns=replace(settings.columns, bins=edges), numbers=numbers)


def _holds_numbers(data: Relation, name: str) -> bool:
    kind = data.columns.get(name, ColumnKind.UNKNOWN)
    if kind is not ColumnKind.UNKNOWN:
        return kind in (ColumnKind.INTEGER, ColumnKind.DECIMAL, ColumnKind.FLOAT)
    column = f"c.{data.quote(name)}"
    some = f"SELECT {column} AS v FROM {data.sql} c WHERE {column} IS NOT NULL LIMIT {_SEEN}"  # noqa: S608 - quoted
    ((least,),) = data.rows(f"SELECT MIN(s.v) FROM ({some}) s")  # noqa: S608 - quoted
    key = key_of(least)
    return key is not None and key.sort is Sort.NUMBER


def _judge_labels(
    pair: Pair, settings: Settings, bounds: Sequence[MetricBound]
) -> tuple[tuple[Check, ...], list[Estimates], Counted]:
    import numpy as np

    counted = count_by_feature(pair, settings.columns, {name: columns_of(name) for name in settings.features})
    judged: list[Estimates] = []
    coded: dict[int, tuple[dict[str, list[Any]], Any]] = {}
    for name, cells in counted.by_feature.items():
        feature = _feature(name, settings, cells.groups, cells.rows, cells.problems)
        if feature.problem:
            judged.append(Estimates(feature, {}, {}))
            continue
        if id(cells) not in coded:  # features that were counted together have the same cells
            coded[id(cells)] = _codes(cells, settings), np.asarray(cells.rows, dtype=np.int64)
        codes, rows = coded[id(cells)]
        tables = {name: confusion_of(feature, each, rows) for name, each in codes.items()}
        weighed = {name: weighed_of(feature, each, cells) for name, each in codes.items()}
        judged.append(_estimated(pair, settings, bounds, feature, tables, weighed, _positive(cells, codes)))
    checks = _checks(counted.problems, judged, bounds, settings)
    if settings.task == "binary" and not counted.first.weights:
        checks += [judge_four_fifths(each, settings.rules) for each in judged]
    return tuple(checks), judged, counted


def _judge_errors(
    pair: Pair, settings: Settings, bounds: Sequence[MetricBound]
) -> tuple[tuple[Check, ...], list[Estimates], ErrorSums]:
    from airflow_mlgov.gates.fairness.regression import sum_errors

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
    return [_feature(name, settings, groups, rows, problems) for name in settings.features]


def _feature(
    name: str,
    settings: Settings,
    groups: Mapping[str, Sequence[str | None]],
    rows: Sequence[int],
    problems: Sequence[str],
) -> Feature:
    if problems:
        return Feature(name, problem="; ".join(problems))
    return find_groups(
        name,
        groups,
        rows,
        settings.features,
        settings.on_missing,
        suppress_below=settings.suppress_below,
        numbers=settings.numbers,
    )


def _estimated(
    pair: Pair,
    settings: Settings,
    bounds: Sequence[MetricBound],
    feature: Feature,
    tables: Mapping[str, Any],
    weighed: Mapping[str, Weighed | None],
    positive: Mapping[Any, int],
) -> Estimates:
    asked = {measure for item in bounds for measure in _measures_of(item)}
    rates = list(dict.fromkeys([*RATES, *(measure for measure in asked if is_binary(measure))]))
    few = settings.minimums, settings.suppress_below
    found = estimate_rates(feature, tables, rates, *few, settings.engine, weighed, bounded=asked)
    of_scores = asked.intersection(SCORE_MEASURES)
    if not of_scores:
        return found
    paired = {measure for item in bounds if item.relative_to_champion for measure in _measures_of(item)}
    ranking = calibration = None
    if "roc_auc" in of_scores:
        from airflow_mlgov.gates.fairness.scores import rank_groups

        whole = settings.rules.method == "to_overall"
        ranking = rank_groups(pair, settings.columns, feature, positive, paired="roc_auc" in paired, whole=whole)
    if of_scores - {"roc_auc"}:
        from airflow_mlgov.gates.fairness.calibration import calibrate

        pairs = bool(paired & of_scores - {"roc_auc"})
        calibration = calibrate(pair, settings.columns, feature, positive, paired=pairs)
    return estimate_scores(found, ranking, calibration, settings.minimums, settings.suppress_below)


def _codes(cells: Cells, settings: Settings) -> dict[str, list[Any]]:
    """``""`` (or each class) -> for the label, the prediction and the champion's prediction, each cell's 0 or 1."""
    import numpy as np

    columns = settings.columns
    values = {"label": cells.label, "prediction": cells.prediction}
    if cells.champion:
        values["champion's prediction"] = cells.champion
    names = {"label": columns.label, "prediction": columns.predictor}
    names["champion's prediction"] = columns.champion_prediction or columns.predictor
    if settings.task == "multiclass":
        different = {role: {(type(value), value): value for value in found} for role, found in values.items()}
        classes = classes_among({f'{role} column "{names[role]}"': found.values() for role, found in different.items()})
        if len(classes) > _MAX_CLASSES:
            raise ConfigurationError(
                f"{len(classes)} different labels and predictions: more than {_MAX_CLASSES} are no classes",
                code="label.too_many_classes",
            )
        at: dict[Key | None, int] = {key: position for position, key in enumerate(classes)}
        places = []
        for role, found in values.items():
            known = {kind: at.get(key_of(value), -1) for kind, value in different[role].items()}
            places.append(np.array([known[type(value), value] for value in found]))
        return {f"class {key.written}": [(each == at[key]).astype(int) for each in places] for key in classes}
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
    unknown = sorted(set(rules.reference) - set(settings.features))
    if unknown:
        raise ConfigurationError(
            f"reference names {unknown[0]!r}, which is no sensitive feature of this gate", code="group.unknown"
        )
    if columns.sample_weight is not None and columns.sample_weight in _roles_of(settings):
        raise ConfigurationError(
            f'column "{columns.sample_weight}" is named as sample_weight and as something else',
            code="setting.contradiction",
        )
    if columns.predictor == columns.label and settings.task == "regression":
        raise ConfigurationError(
            f'column "{columns.label}" is named as the label and as what predicts it', code="setting.contradiction"
        )
    for item in bounds:
        _require_measurable(item, settings)


def _roles_of(settings: Settings) -> set[str | None]:
    columns = settings.columns
    return {columns.label, columns.predictor, columns.score, *settings.sensitive}


def _weights_of(column: str, cells: Cells, judged: Sequence[Estimates], suppress_below: int) -> dict[str, Any]:
    """What evidence says of the weights; the share of a group of few rows could point at a person."""
    total, squares = sum(cells.weights), sum(cells.squares)
    return {
        "column": column,
        "sum": total,
        "effective_sample_size": total**2 / squares,
        "method": SOURCE,
        "shares": {
            each.feature.name: {
                group: float(each.weights["rows"][at]) / total if each.counts["rows"][at] >= suppress_below else None
                for at, group in each.feature.positioned
            }
            for each in judged
            if each.weights is not None
        },
    }


def _require_measurable(item: MetricBound, settings: Settings) -> None:
    metric = FAIRNESS_METRICS[item.base_metric]
    if settings.columns.sample_weight is not None and not all(map(is_binary, metric.measures)):
        raise not_weighted(metric.name)
    of_errors = any(measure in ERROR_MEASURES for measure in metric.measures)
    of_scores = any(measure in SCORE_MEASURES for measure in metric.measures)
    if of_errors != (settings.task == "regression"):
        other = "regression" if of_errors else "classification"
        raise ConfigurationError(
            f"{metric.name} is of a {other}, and the task is {settings.task}: set task", code="bound.other_task"
        )
    if of_scores and settings.task != "binary":
        raise ConfigurationError(
            f"{metric.name} is of binary scores, and the task is {settings.task}", code="bound.other_task"
        )
    if of_scores and settings.columns.score is None:
        raise ConfigurationError(
            f"{metric.name} needs scores, not predicted labels: name the column as score", code="bound.needs_scores"
        )
    if metric.how == "disparity" and settings.task == "multiclass":
        raise ConfigurationError(
            f"{metric.name} is of two classes, and the task is multiclass", code="bound.other_task"
        )


def _measures_of(item: MetricBound) -> tuple[str, ...]:
    return FAIRNESS_METRICS[item.base_metric].measures
