"""The performance gate: metrics of a predictions table against bounds, on slices of it, and against the champion on the
same rows, each with its confidence interval. Refuses to drop rows, to guess the positive label, to compare unlike rows,
and to pass where no champion was there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from airflow_mlgov.data.counted import count_rows
from airflow_mlgov.data.fingerprint import aggregate_subject
from airflow_mlgov.data.source import Relation, compared_together, evaluation_digest
from airflow_mlgov.data.values import explained, require_numbers, require_plain
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import VS_CHAMPION, WORST_SLICE, MetricBound, settle
from airflow_mlgov.gates.performance.budgets import Measurement, score, weigh
from airflow_mlgov.gates.performance.calibration import calibration_error, spiegelhalter
from airflow_mlgov.gates.performance.comparison import Change, churn, compare_all, mcnemar, paired_draws
from airflow_mlgov.gates.performance.counting import count_elsewhere, count_two
from airflow_mlgov.gates.performance.estimates import Estimate, covered, estimate_all, point
from airflow_mlgov.gates.performance.predictions import Columns, Sample, align, classes_of, prepare, require_columns_for
from airflow_mlgov.gates.performance.resampling import LABEL_RESAMPLES, ROW_RESAMPLES, SEED
from airflow_mlgov.gates.performance.scorers import (
    BUDGETS,
    CHURN,
    CLEAN_PROCESS,
    EXTREMES,
    UNWEIGHTED,
    Task,
    recorded,
    task_of,
    without_ending,
)
from airflow_mlgov.gates.performance.slices import LEAST_OF_A_CLASS, cut, held
from airflow_mlgov.gates.performance.two_classes import TwoClasses
from airflow_mlgov.gates.protocol import Findings, Question
from airflow_mlgov.gates.slices import Sliced, SliceRules, slice_rules, worst_slice_check
from airflow_mlgov.gates.statistics.intervals import Decide, require_confidence
from airflow_mlgov.gates.statistics.intervals import judge as judge_interval
from airflow_mlgov.gates.statistics.weights import SOURCE, effective_size, not_weighted, sound_weights
from airflow_mlgov.results import Check, Outcome, Severity

if TYPE_CHECKING:
    import pandas as pd

    from airflow_mlgov.gates.performance.spec import PerformanceSettings

_TASK_NAMES: dict[Task, str] = {
    "binary": "binary classification",
    "multiclass": "multiclass classification",
    "regression": "regression",
}

_OF_ONE_ROW = "the largest error of these rows, judged as it is: no interval of it can be estimated"


@dataclass(frozen=True)
class Judging:
    """How bounds are held against estimates."""

    confidence: float = 0.95
    decide: Decide = "point"
    """``point``: the estimate alone, its interval is recorded. ``interval``: one that straddles is INCONCLUSIVE."""
    on_no_champion: Literal["record", "fail"] = "record"
    task: Task | None = None
    """None: told by the bounded metrics and the columns, see ``scorers.task_of``."""
    slices: SliceRules = field(default_factory=SliceRules)

    def __post_init__(self) -> None:
        require_confidence(self.confidence, self.decide)
        if self.on_no_champion not in ("record", "fail"):
            raise ConfigurationError(
                f'on_no_champion must be "record" or "fail", not {self.on_no_champion!r}', code="setting.wrong"
            )


def judge(question: Question[PerformanceSettings]) -> Findings:
    """Judge a model's predictions on held-out rows; with ``score_model`` the rows are features, and the model predicts.

    A database or Spark counts rows of two classes where they are, unless their different scores are many, or slices, a
    baseline or weights need the rows: those are copied to a temporary file.

    :raises ConfigurationError: a bound, a column, the labels, the baseline or the model are not what the gate can judge
    :raises ScoringError: the child that scores crashed, took too long or wrote no usable scores
    :raises AccessError: the file system or the database refuses
    :raises DependencyError: the database is down, or a file changed while it was being read
    """
    settings = question.settings
    columns, judging = _columns(settings), _judging(settings)
    if settings.score_model:
        with score(question, columns, judging.slices.needed) as scored:
            findings = _judge_rows(question, scored.table, scored.columns, judging, scored.measured)
        return replace(findings, details={**findings.details, "model": scored.described})
    measured = weigh(question.bounds, question.artifact)
    counted = _counted_elsewhere(question, columns, judging, measured)
    return counted or _judge_rows(question, question.data.in_duckdb(), columns, judging, measured)


def _counted_elsewhere(
    question: Question[PerformanceSettings], columns: Columns, judging: Judging, measured: Mapping[str, Measurement]
) -> Findings | None:
    """What a database or Spark has counted, judged; None if its rows are to be copied. It is bound by its counts,
    because no row was read."""
    data, task = question.data, _task(question.bounds, columns, judging)
    if data.is_local:
        return None
    if not _is_counted(question, columns, judging, task):
        return _labels_counted_elsewhere(question, columns, judging, measured, task)
    _require_sound([data], columns, judging, task)
    found = count_elsewhere(data, columns)
    if found is None:
        return None
    checks, details = _judged(found.two, None, None, columns, question.bounds, judging, measured)
    digest = found.case_digest if columns.row_id is None else evaluation_digest(data, [columns.label, columns.row_id])
    return Findings(
        checks,
        details,
        read=(aggregate_subject(data.name, found.cells),),
        evaluation_digest=digest,
        libraries=("numpy", *_asked(details)),
    )


def _labels_counted_elsewhere(
    question: Question[PerformanceSettings],
    columns: Columns,
    judging: Judging,
    measured: Mapping[str, Measurement],
    task: Task,
) -> Findings | None:
    """The same of labels alone, also of many classes and on slices: whatever order equal rows have changes nothing."""
    data, scored = question.data, columns.score is not None or bool(columns.class_scores)
    named = question.baseline is not None or columns.row_id is not None or columns.sample_weight is not None
    if task == "regression" or scored or named:
        return None
    _require_sound([data], columns, judging, task)
    counted = count_rows(data, list(dict.fromkeys([*columns.needed, *judging.slices.needed])))
    if counted is None:
        return None
    checks, details = judge_predictions(
        counted.frame(), None, columns, question.bounds, judging=judging, measured=measured
    )
    return Findings(
        checks,
        details,
        read=(counted.subject,),
        evaluation_digest=evaluation_digest(data, [columns.label]),
        libraries=("pandas", "numpy", *_asked(details)),
    )


def _judge_rows(
    question: Question[PerformanceSettings],
    data: Relation,
    columns: Columns,
    judging: Judging,
    measured: Mapping[str, Measurement],
) -> Findings:
    task = _task(question.bounds, columns, judging)
    sides = [data, *([question.baseline] if question.baseline is not None else [])]
    _require_sound(sides, columns, judging, task)
    if len(sides) > 1 and columns.row_id is None and not all(side.is_local for side in sides):
        raise ConfigurationError(
            f"the rows of {data.name} have no order, so that nobody knows which is the champion's on the same case: "
            "name row_id, the column that names a row in both",
            code="setting.missing",
        )
    with explained(data, [columns.label, columns.prediction]):
        two = count_two(data.in_duckdb(), columns) if _is_counted(question, columns, judging, task) else None
        if two is not None:
            checks, details = _judged(two, None, None, columns, question.bounds, judging, measured)
        else:
            table = data.frame(list(dict.fromkeys([*columns.weighted, *judging.slices.needed])))
            champion = None if question.baseline is None else question.baseline.frame(columns.needed)
            checks, details = judge_predictions(
                table, champion, columns, question.bounds, judging=judging, measured=measured
            )
    return Findings(
        checks,
        details,
        evaluation_digest=evaluation_digest(data, [columns.label, *([columns.row_id] if columns.row_id else [])]),
        libraries=("duckdb" if two is not None else "pandas", "numpy", *_asked(details)),
    )


def _asked(details: Mapping[str, Any]) -> list[str]:
    return ["scikit-learn"] if "asked_of_scikit_learn" in details else []


def _is_counted(question: Question[PerformanceSettings], columns: Columns, judging: Judging, task: Task) -> bool:
    """Whether counts and sorted scores suffice, because nothing else of the rows is asked."""
    slices, weighted = judging.slices.columns, columns.sample_weight is not None
    return task == "binary" and question.baseline is None and not slices and not weighted


def _require_sound(sides: Sequence[Relation], columns: Columns, judging: Judging, task: Task) -> None:
    """Refuse columns that cannot be what they serve as, and have csv's names as they are written."""
    for at, side in enumerate(sides):
        side.require(*columns.needed, *(judging.slices.needed if at == 0 else ()))
        plain = {columns.label: "label"} | ({columns.prediction: "prediction"} if columns.prediction else {})
        require_plain(side, plain | (dict.fromkeys(judging.slices.needed, "slice") if at == 0 else {}))
        scores = [columns.score] if columns.score else []
        numbers = dict.fromkeys([*scores, *(columns.class_scores or {}).values()], "score")
        if task == "regression":
            numbers |= plain
        require_numbers(side, numbers)
    if task != "regression":
        names = [columns.label, *([columns.prediction] if columns.prediction else [])]
        compared_together([(side, name) for side in sides for name in names], "labels")
    if columns.row_id is not None:
        compared_together([(side, columns.row_id) for side in sides])
    for name in judging.slices.needed:
        compared_together([(sides[0], name)])


def _columns(given: PerformanceSettings) -> Columns:
    return Columns(
        given.label,
        given.score,
        given.prediction,
        given.positive_label,
        given.threshold,
        given.row_id,
        given.class_scores,
        given.sample_weight,
    )


def _judging(given: PerformanceSettings) -> Judging:
    cuts = slice_rules(given.slices, given.min_slice_size, given.max_share_left_out, given.suppress_below)
    return Judging(given.confidence, given.decide, given.on_no_champion, given.task, cuts)


def judge_predictions(
    table: pd.DataFrame,
    champion: pd.DataFrame | None,
    columns: Columns,
    bounds: Sequence[MetricBound],
    *,
    judging: Judging = Judging(),
    measured: Mapping[str, Measurement] | None = None,
) -> tuple[tuple[Check, ...], dict[str, Any]]:
    """The gate without its files: predictions in, checks and details out.

    :raises ConfigurationError: a column, the labels or the champion's rows are not what the gate can judge
    """
    task = _task(bounds, columns, judging)
    aligned = None if champion is None else align(table, champion, columns)
    tables = [table] if aligned is None else [table, aligned]
    classes = classes_of(tables, columns) if task == "multiclass" else ()
    candidate = prepare(table, columns, task, "candidate", classes)
    baseline = None if aligned is None else prepare(aligned, columns, task, "champion", classes)
    if columns.sample_weight is not None:
        weight = sound_weights(table[columns.sample_weight], columns.sample_weight)
        candidate = replace(candidate, weight=weight)
        baseline = None if baseline is None else replace(baseline, weight=weight)
    return _judged(candidate, baseline, table, columns, bounds, judging, measured or {})


def _judged(
    candidate: Sample | TwoClasses,
    champion: Sample | None,
    table: pd.DataFrame | None,
    columns: Columns,
    bounds: Sequence[MetricBound],
    judging: Judging,
    measured: Mapping[str, Measurement],
) -> tuple[tuple[Check, ...], dict[str, Any]]:
    """Checks and details.

    :param table: the candidate's rows, where slices or a champion need them
    """
    rows = candidate if isinstance(candidate, Sample) else None
    metrics = _metrics(bounds, columns, candidate.task)
    theirs = {} if champion is None else {metric: point(metric, champion) for metric in metrics}
    draws = {} if champion is None or rows is None else paired_draws(rows, champion, theirs)
    estimates = estimate_all(candidate, metrics, judging.confidence, draws)
    checks = [_data_check("data", problem) for problem in candidate.problems]
    changes: dict[str, Change] | None = None
    if champion is not None and rows is not None:
        checks += [_data_check("baseline", problem) for problem in champion.problems]
        changes = compare_all(rows, champion, estimates, theirs, draws, judging.confidence)
        changes |= _decisions(rows, champion, judging)
    sliced = [without_ending(item.metric) for item in bounds if item.metric.endswith(WORST_SLICE)]
    cuts = []
    if table is not None and rows is not None and not rows.problems:
        cuts = cut(table, rows, sliced, judging.slices, judging.confidence)
    for item in bounds:
        if item.metric in BUDGETS:
            checks.append(_budget_check(item, measured))
        elif item.metric.endswith(WORST_SLICE):
            checks.append(_slice_check(item, candidate, cuts, judging))
        elif item.relative_to_champion:
            checks.append(_relative_check(item, estimates, changes, judging))
        else:
            checks.append(_absolute_check(item, estimates[item.metric], judging))
    bounded = {item.metric for item in bounds}
    checks += [_info_check(name, estimate) for name, estimate in estimates.items() if name not in bounded]
    checks += [_measured_check(name, found) for name, found in measured.items() if name not in bounded]
    details = _details(candidate, columns, judging)
    asked = sorted(metric for metric, found in estimates.items() if found.asked)
    if asked:
        details["asked_of_scikit_learn"] = asked
    if champion is not None and rows is not None and changes is not None:
        checks += _comparison_checks(rows, champion, changes, bounded)
        details["changes"] = {metric: change.as_dict() for metric, change in changes.items() if metric != CHURN}
    return tuple(checks), details


def _task(bounds: Sequence[MetricBound], columns: Columns, judging: Judging) -> Task:
    asked = [without_ending(item.metric) for item in bounds]
    refused = next((metric for metric in asked if metric in UNWEIGHTED), None)
    if columns.sample_weight is not None and refused is not None:
        raise not_weighted(refused)
    task = task_of(asked, judging.task, columns.class_scores is not None)
    require_columns_for(asked, columns, task)
    if judging.slices.columns == () and any(item.metric.endswith(WORST_SLICE) for item in bounds):
        raise ConfigurationError(
            "a bound on the worst slice needs slices: name the columns to cut the rows by", code="setting.missing"
        )
    return task


def _metrics(bounds: Sequence[MetricBound], columns: Columns, task: Task) -> tuple[str, ...]:
    """What is estimated of the whole table: what a task records anyway, and what is bounded."""
    has_scores = columns.score is not None if task == "binary" else bool(columns.class_scores)
    asked = [without_ending(item.metric) for item in bounds if item.metric not in BUDGETS]
    wanted = dict.fromkeys([*recorded(task, has_scores), *(metric for metric in asked if metric != CHURN)])
    return tuple(metric for metric in wanted if columns.sample_weight is None or metric not in UNWEIGHTED)


def _decisions(candidate: Sample, champion: Sample, judging: Judging) -> dict[str, Change]:
    """The churn, where there are decisions."""
    problems = candidate.problems or champion.problems
    if problems:
        return {CHURN: Change(None, None, None, "; ".join(problems), Outcome.ERROR)}
    if candidate.task == "regression":
        return {}
    differing = churn(candidate, champion, judging.confidence)
    weighted = candidate.weight is not None
    interval = differing.interval
    return {CHURN: Change(None, None, differing.value, interval=interval, rows=differing.rows, weighted=weighted)}


def _data_check(name: str, problem: str) -> Check:
    mend = "remove or repair those rows before predictions are judged; the gate drops none"
    return Check(name, Outcome.ERROR, detail=f"{problem}: {mend}")


def _absolute_check(item: MetricBound, estimate: Estimate, judging: Judging) -> Check:
    values = _values(estimate)
    if estimate.value is None:
        return Check(item.metric, estimate.outcome, None, item.bound, item.severity, estimate.reason, values)
    observed = settle(estimate.value)
    if item.metric in EXTREMES:
        values["covered"] = covered(estimate.rows, judging.confidence)
        detail = (
            f"{_OF_ONE_ROW}; at least {100 * values['covered']:.4g} % of all such rows are no further off, with "
            f"{judging.confidence:.4g} confidence"
        )
        return Check(item.metric, item.bound.judge(observed), observed, item.bound, item.severity, detail, values)
    outcome = judge_interval(item.bound, observed, estimate.interval, judging.decide)
    detail = _straddling(estimate, outcome)
    return Check(item.metric, outcome, observed, item.bound, item.severity, detail, values)


def _relative_check(
    item: MetricBound, estimates: Mapping[str, Estimate], changes: Mapping[str, Change] | None, judging: Judging
) -> Check:
    if changes is None:
        candidate = estimates.get(item.base_metric, Estimate(None))
        return _no_champion_check(item, candidate, judging.on_no_champion)
    change = changes[item.base_metric]
    values: dict[str, Any] = _values(change)
    if item.base_metric != CHURN:
        values |= {"candidate": change.candidate, "champion": change.champion}
    if change.value is None:
        return Check(item.metric, change.outcome, None, item.bound, item.severity, change.reason, values)
    observed = settle(change.value)
    extreme = item.base_metric in EXTREMES
    outcome = judge_interval(item.bound, observed, change.interval, "point" if extreme else judging.decide)
    if change.candidate is None and change.weighted:
        said = f"{100 * change.value:.4g} % of the decisions by weight differ from the champion's"
    elif change.candidate is None:
        said = f"{round(change.value * change.rows)} of {change.rows} decisions differ from the champion's"
    else:
        said = f"candidate {change.candidate:.4g}, champion {change.champion:.4g} on the same rows"
    detail = "; ".join(filter(None, [said, _OF_ONE_ROW if extreme else _straddling(change, outcome)]))
    return Check(item.metric, outcome, observed, item.bound, item.severity, detail, values)


def _no_champion_check(item: MetricBound, candidate: Estimate, on_no_champion: str) -> Check:
    values = {"candidate": candidate.value, "champion": None}
    detail = "no champion yet: nothing to compare with"
    if on_no_champion == "fail":
        detail += '; give the champion\'s predictions as baseline, or set on_no_champion to "record"'
        return Check(item.metric, Outcome.FAIL, None, item.bound, item.severity, detail, values)
    return Check(item.metric, Outcome.INCONCLUSIVE, None, item.bound, Severity.INFO, detail, values)


def _slice_check(item: MetricBound, candidate: Sample | TwoClasses, cuts: Sequence[Sliced], judging: Judging) -> Check:
    if candidate.problems:
        detail = "; ".join(candidate.problems)
        return Check(item.metric, Outcome.ERROR, None, item.bound, item.severity, detail)
    metric = without_ending(item.metric)
    decide: Decide = "point" if metric in EXTREMES else judging.decide
    held_to = partial(held, decide=decide)
    return worst_slice_check(item.metric, metric, item.bound, item.severity, cuts, judging.slices, held_to)


def _budget_check(item: MetricBound, measured: Mapping[str, Measurement]) -> Check:
    unmeasured = Measurement(None, "not measured: the model itself was not given to the gate")
    found = measured.get(item.metric, unmeasured)
    values = dict(found.values or {})
    if found.value is None:
        return Check(item.metric, found.outcome, None, item.bound, item.severity, found.detail, values)
    observed = settle(found.value)
    fails = item.metric == CLEAN_PROCESS and observed != 1  # whatever bound somebody wrote for a yes or no
    outcome = Outcome.FAIL if fails else item.bound.judge(observed)
    return Check(item.metric, outcome, observed, item.bound, item.severity, found.detail, values)


def _info_check(name: str, estimate: Estimate) -> Check:
    values = _values(estimate)
    if estimate.value is None:
        return Check(name, estimate.outcome, severity=Severity.INFO, detail=estimate.reason, values=values)
    observed = settle(estimate.value)
    return Check(name, Outcome.PASS, observed, severity=Severity.INFO, detail="recorded, no bound", values=values)


def _measured_check(name: str, found: Measurement) -> Check:
    outcome = Outcome.PASS if found.value is not None else found.outcome
    values = dict(found.values or {})
    return Check(name, outcome, found.value, severity=Severity.INFO, detail=found.detail, values=values)


def _comparison_checks(
    candidate: Sample, champion: Sample, changes: Mapping[str, Change], bounded: Collection[str]
) -> list[Check]:
    """What is recorded of a champion whether it is bounded or not."""
    if candidate.task == "regression" or candidate.problems or champion.problems:
        return []
    checks = []
    if candidate.weight is None:
        test = mcnemar(candidate, champion)
        said = (
            f"{test.rule}: {test.candidate_only} rows right by the candidate alone, {test.champion_only} by the "
            "champion"
        )
        checks.append(Check("mcnemar_p_value", Outcome.PASS, test.p_value, None, Severity.INFO, said, test.as_dict()))
    if CHURN + VS_CHAMPION not in bounded:
        change = changes[CHURN]
        name, detail = CHURN + VS_CHAMPION, "recorded, no bound"
        checks.append(Check(name, Outcome.PASS, change.value, None, Severity.INFO, detail, _values(change)))
    return checks


def _values(estimate: Estimate | Change) -> dict[str, Any]:
    if estimate.value is None:
        return {}
    interval = None if estimate.interval is None else estimate.interval.as_dict()
    return {"interval": interval, "n": estimate.rows}


def _straddling(estimate: Estimate | Change, outcome: Outcome) -> str:
    if outcome is not Outcome.INCONCLUSIVE:
        return ""
    if estimate.interval is None or not estimate.interval.is_defined:
        return 'no interval can be estimated; set decide to "point" to judge the estimate alone'
    return f"the {estimate.interval} straddles the bound: judge it on more rows"


def _details(candidate: Sample | TwoClasses, columns: Columns, judging: Judging) -> dict[str, Any]:
    details: dict[str, Any] = {"rows": len(candidate), "task": _TASK_NAMES[candidate.task]}
    if columns.prediction is None:
        said = f"{columns.score} >= {columns.threshold:g}" if candidate.task == "binary" else "the most probable class"
        details["prediction"] = said
    details["intervals"] = {
        "confidence": judging.confidence,
        "decide": judging.decide,
        "resamples": {"labels": LABEL_RESAMPLES, "rows": ROW_RESAMPLES, "seed": SEED},
    }
    weight = candidate.weight if isinstance(candidate, Sample) else None
    if weight is not None and columns.sample_weight is not None:
        details["sample_weight"] = {
            "column": columns.sample_weight,
            "sum": float(weight.sum()),
            "effective_sample_size": effective_size(weight),
            "method": SOURCE,
        }
    if judging.slices.columns:
        details["slices"] = {**vars(judging.slices), "min_of_a_class": LEAST_OF_A_CLASS}
    if candidate.problems:
        return details
    if candidate.task == "multiclass":
        details["classes"] = list(candidate.classes)
    if candidate.task == "binary":
        two = candidate.two if isinstance(candidate, Sample) else candidate
        details["positives"] = two.positives
        if weight is None and two.ranked is not None:
            details |= _calibration(two)
    return details


def _calibration(two: TwoClasses) -> dict[str, Any]:
    """How the probabilities are calibrated, where the scores are such."""
    ranked = two.scores
    if ranked.outside(0, 1):
        return {}
    fit = two.fit
    found = {
        "expected_calibration_error": calibration_error(ranked),
        "spiegelhalter_z": spiegelhalter(ranked),
        "slope": fit and fit.slope,
        "intercept": fit and fit.intercept,
    }
    return {"calibration": found}
