"""The fairness gate: rates by sensitive group and the disparities between groups against bounds, with Fairlearn, on a
table of counts. Refuses what Fairlearn lets through: groups too small to estimate, absent, unknown or only one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import BoundsLike, MetricBound, parse_bounds, settle
from airflow_mlgov.gates.columns import binary_columns, missing_problem, numeric_column
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Severity, Subject

if TYPE_CHECKING:
    import pandas as pd

RATES = ("selection_rate", "true_positive_rate", "false_positive_rate", "false_negative_rate", "accuracy", "precision")

_DENOMINATORS = {
    "selection_rate": "rows",
    "true_positive_rate": "positives",
    "false_positive_rate": "negatives",
    "false_negative_rate": "positives",
    "accuracy": "rows",
    "precision": "selected",
}
_RATES_OF = {
    "demographic_parity": ("selection_rate",),
    "equalized_odds": ("true_positive_rate", "false_positive_rate"),
    "equal_opportunity": ("true_positive_rate",),
    **{rate: (rate,) for rate in RATES},
}
METRICS = tuple(f"{family}_{how}" for family in _RATES_OF for how in ("difference", "ratio"))
"""The metrics that can be bounded. Differences are the largest rate less the smallest, ratios the smallest by the
largest; equalized odds takes the worse of its two rates."""

FOUR_FIFTHS = Bound(min=0.8, source="four-fifths rule, screening only")

_SHOWN = 10
_WORDS = {"rows": "rows", "positives": "positives", "negatives": "negatives", "selected": "predicted positives"}


@dataclass(frozen=True)
class Minimums:
    """How many a group needs of each before a rate over them counts as an estimate."""

    rows: int = 30
    """Of every group, whatever the rate."""
    positives: int = 10
    """Rows whose label is positive, for TPR and FNR; and rows selected, for precision."""
    negatives: int = 10
    """Rows whose label is negative, for FPR."""

    def __post_init__(self) -> None:
        _require_whole_number("min_group_size", self.rows)
        _require_whole_number("min_positives", self.positives)
        _require_whole_number("min_negatives", self.negatives)

    def of(self, counted: str) -> int:
        """The minimum of ``rows``, ``positives``, ``negatives`` or ``selected``."""
        return {"rows": self.rows, "negatives": self.negatives}.get(counted, self.positives)


@dataclass(frozen=True)
class Columns:
    """Which columns of a predictions table mean what."""

    label: str
    prediction: str | None = None
    """The predicted label; made from score and threshold where None."""
    score: str | None = None
    threshold: float = 0.5
    positive_label: Any = None
    """The favourable one; needed unless labels are 0 and 1."""


@dataclass(frozen=True)
class GroupRates:
    """One group of one sensitive feature."""

    group: str
    counts: Mapping[str, int]
    """``rows``, ``positives``, ``negatives``, ``selected``."""
    rates: Mapping[str, float]
    """Fairlearn's numbers; only those whose denominator is large enough."""
    too_few: Mapping[str, str]
    """Rate -> why it is not estimated: ``youth has 7 positives, 10 needed``."""


@dataclass(frozen=True)
class FeatureRates:
    """One sensitive feature, or why nothing can be said about it."""

    name: str
    groups: tuple[GroupRates, ...] = ()
    cells: tuple[Mapping[str, Any], ...] = ()
    """The table of counts: group, label, prediction, n."""
    problem: str = ""


def evaluate_fairness(
    data: str,
    *,
    subject: Subject,
    label: str,
    sensitive_features: Mapping[str, Sequence[Any] | None] | Sequence[str],
    bounds: BoundsLike,
    prediction: str | None = None,
    score: str | None = None,
    threshold: float = 0.5,
    positive_label: Any = None,
    min_group_size: int = 30,
    min_positives: int = 10,
    min_negatives: int = 10,
    suppress_below: int = 5,
) -> GateResult:
    """Judge a model's predictions for disparities between groups of people.

    :param data: csv or parquet file(s) with one row per prediction
    :param subject: the model version that made the predictions
    :param sensitive_features: column -> the groups that are expected in it, or None to take them as they come;
        ``"sex*race"`` is the intersection of two columns, its groups are named ``"female*black"``
    :param bounds: metric -> bound, held for every feature: ``{"demographic_parity_ratio": {"min": 0.8}}``
    :param prediction: column with the predicted label; made from ``score >= threshold`` where None
    :param positive_label: the favourable label; needed unless labels are 0 and 1
    :param min_group_size: rows below which nothing about a group is estimated
    :param min_positives: positives below which a group's TPR and FNR are not estimated (and its precision, in rows
        predicted positive)
    :param min_negatives: negatives below which a group's FPR is not estimated
    :param suppress_below: counts below this are left out of the evidence, for they could point at a person
    :raises ConfigurationError: a bound, a column, the labels or the groups are not what the gate can judge
    """
    from airflow_mlgov.gates.inputs import evaluation_digest, read_dataset

    started_at = datetime.now(UTC)
    parsed = parse_bounds(bounds, METRICS)
    features = declared_features(sensitive_features)
    minimums = Minimums(min_group_size, min_positives, min_negatives)
    columns = Columns(label, prediction, score, threshold, positive_label)
    predictor = _predictor(columns)
    sensitive = [column for name in features for column in _parts(name)]
    case = list(dict.fromkeys([label, *sensitive]))
    table, dataset = read_dataset(data, list(dict.fromkeys([*case, predictor])))
    checks, details = judge_disparities(table, columns, features, parsed, minimums, suppress_below=suppress_below)
    return GateResult(
        gate="fairness",
        subject=subject,
        checks=checks,
        inputs=(dataset,),
        details={**details, "evaluation_sha256": evaluation_digest(table, case)},
        libraries=_libraries(),
        started_at=started_at,
    )


def judge_disparities(
    table: pd.DataFrame,
    columns: Columns,
    features: Mapping[str, tuple[str, ...] | None],
    bounds: Sequence[MetricBound],
    minimums: Minimums,
    *,
    suppress_below: int = 5,
) -> tuple[tuple[Check, ...], dict[str, Any]]:
    """The gate without its files: predictions in, checks and details out.

    :param features: as :func:`declared_features` returns them
    :raises ConfigurationError: a column, the labels or the groups are not what the gate can judge
    """
    _require_whole_number("suppress_below", suppress_below)
    if table.empty:
        raise ConfigurationError("the predictions table has no rows")
    problems = _label_problems(table, columns)
    if problems:
        judged = [FeatureRates(name, problem="; ".join(problems)) for name in features]
    else:
        coded = _coded(table, columns)
        judged = [
            rates_by_group(table, coded, name, groups, features, minimums, suppress_below)
            for name, groups in features.items()
        ]
    checks = [Check("data", Outcome.ERROR, detail=f"{problem}; the gate drops no rows") for problem in problems]
    for feature in judged:
        if feature.problem and not problems:
            checks.append(Check(f"groups[{feature.name}]", Outcome.ERROR, detail=feature.problem))
        checks += [_check(f"{b.metric}[{feature.name}]", b.metric, b.bound, b.severity, feature) for b in bounds]
        screened = f"four_fifths[{feature.name}]"
        checks.append(_check(screened, "demographic_parity_ratio", FOUR_FIFTHS, Severity.INFO, feature))
    return tuple(checks), _details(len(table), columns, judged, minimums, suppress_below)


def declared_features(
    features: Mapping[str, Sequence[Any] | None] | Sequence[str],
) -> dict[str, tuple[str, ...] | None]:
    """Sensitive features as names, each with the names of the groups it must have, or None.

    :raises ConfigurationError: none is given, or the groups are not a list of different names
    """
    if isinstance(features, str):
        features = [features]
    named = dict(features) if isinstance(features, Mapping) else dict.fromkeys(features)
    if not named:
        raise ConfigurationError("name at least one sensitive feature")
    for name in named:
        if not isinstance(name, str) or not all(_parts(name)):
            raise ConfigurationError(f"a sensitive feature is a column, or columns joined by *, not {name!r}")
    return {name: None if groups is None else _declared_groups(name, groups) for name, groups in named.items()}


def rates_by_group(
    table: pd.DataFrame,
    coded: pd.DataFrame,
    name: str,
    expected: tuple[str, ...] | None,
    features: Mapping[str, tuple[str, ...] | None],
    minimums: Minimums,
    suppress_below: int,
) -> FeatureRates:
    """Count one feature's groups and have Fairlearn compute their rates from the counts.

    :param coded: columns ``label`` and ``prediction`` as 0 and 1, in the table's rows
    """
    parts = _parts(name)
    problems = [_missing_groups(table[part]) for part in parts]
    if any(problems):
        return FeatureRates(name, problem="; ".join(problem for problem in problems if problem))
    groups = _group_names(table, parts)
    seen = sorted(groups.unique())
    unknown = sorted(set(seen) - set(expected)) if expected is not None else []
    if expected is None and len(parts) > 1:
        expected, unknown = _crossed(table, parts, features)
    if unknown:
        return FeatureRates(name, problem=f"{name} has undeclared groups: {_listed(unknown)}; declare or repair them")
    counts = coded.assign(group=groups).groupby(["group", "label", "prediction"], observed=True).size()
    cells = counts.rename("n").reset_index()
    rates = _fairlearn_rates(cells)
    found = [
        _group_rates(group, cells[cells["group"] == group], rates, minimums, suppress_below)
        for group in sorted({*seen, *(expected or ())})
    ]
    return FeatureRates(name, tuple(found), tuple(cells.to_dict("records")))


def disparity(metric: str, groups: Iterable[GroupRates]) -> float | None:
    """The difference or ratio over the groups that have an estimate; None where fewer than two have one.

    NaN where a ratio is 0 / 0.
    """
    family, _, how = metric.rpartition("_")
    found: list[float] = []
    for rate in _RATES_OF[family]:
        values = [group.rates[rate] for group in groups if rate in group.rates]
        if len(values) < 2:
            return None
        low, high = min(values), max(values)
        if how == "difference":
            found.append(high - low)
        else:
            found.append(low / high if high > 0 else math.nan)
    if any(math.isnan(value) for value in found):
        return math.nan
    return max(found) if how == "difference" else min(found)


def _check(name: str, metric: str, bound: Bound, severity: Severity, feature: FeatureRates) -> Check:
    if feature.problem:
        return Check(name, Outcome.ERROR, None, bound, severity, feature.problem)
    rates = _RATES_OF[metric.rpartition("_")[0]]
    values: dict[str, Any] = {
        "by_group": {group.group: {rate: group.rates.get(rate) for rate in rates} for group in feature.groups}
    }
    observed = disparity(metric, feature.groups)
    reason = _inestimable(metric, rates, feature)
    if reason:
        if observed is not None and math.isfinite(observed):
            values["over_estimable_groups"] = settle(observed)
        return Check(name, Outcome.INCONCLUSIVE, None, bound, severity, reason, values)
    if observed is None or not math.isfinite(observed):
        detail = f"{' or '.join(rates)} is 0 in every group, so the ratio is undefined; bound the difference instead"
        return Check(name, Outcome.INCONCLUSIVE, None, bound, severity, detail, values)
    observed = settle(observed)
    return Check(name, bound.judge(observed), observed, bound, severity, _extremes(rates, feature), values)


def _inestimable(metric: str, rates: Sequence[str], feature: FeatureRates) -> str:
    """Why a number would mean nothing, although Fairlearn gives one."""
    if len(feature.groups) < 2:
        return f"only one group in {feature.name} ({feature.groups[0].group}): nothing to compare with"
    too_few = list(
        dict.fromkeys(group.too_few[rate] for group in feature.groups for rate in rates if rate in group.too_few)
    )
    if too_few:
        return f"cannot be estimated: {_listed(too_few)}"
    if not metric.startswith("accuracy") and not any(group.counts["selected"] for group in feature.groups):
        return "nobody is predicted positive in any group, so the groups cannot differ"
    return ""


def _extremes(rates: Sequence[str], feature: FeatureRates) -> str:
    texts = []
    for rate in rates:
        ordered = sorted(feature.groups, key=lambda group: group.rates[rate])
        low, high = ordered[0], ordered[-1]
        texts.append(f"{rate} from {low.rates[rate]:.4g} ({low.group}) to {high.rates[rate]:.4g} ({high.group})")
    return ", ".join(texts)


def _predictor(columns: Columns) -> str:
    predictor = columns.score if columns.prediction is None else columns.prediction
    if predictor is None:
        raise ConfigurationError("name a prediction column, or a score column with a threshold")
    if isinstance(columns.threshold, bool) or not math.isfinite(columns.threshold):
        raise ConfigurationError(f"the threshold must be a number, not {columns.threshold!r}")
    return predictor


def _label_problems(table: pd.DataFrame, columns: Columns) -> list[str]:
    role = "score" if columns.prediction is None else "prediction"
    found = [missing_problem(table[columns.label], "label"), missing_problem(table[_predictor(columns)], role)]
    return [problem for problem in found if problem]


def _coded(table: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    import pandas as pd

    label, predictor = table[columns.label], table[_predictor(columns)]
    if columns.prediction is not None:
        return pd.DataFrame(binary_columns({"label": label, "prediction": predictor}, columns.positive_label))
    coded = binary_columns({"label": label}, columns.positive_label)
    selected = numeric_column(predictor, "score") >= columns.threshold
    return pd.DataFrame({"label": coded["label"], "prediction": selected.astype("int64")})


def _parts(name: str) -> list[str]:
    return [part.strip() for part in name.split("*")]


def _declared_groups(name: str, groups: Any) -> tuple[str, ...]:
    if isinstance(groups, str | bytes) or not isinstance(groups, Sequence) or not groups:
        raise ConfigurationError(f"the groups of {name} must be a list such as [female, male], not {groups!r}")
    names = tuple(_group_name(group) for group in groups)
    if len(set(names)) < len(names):
        raise ConfigurationError(f"the groups of {name} name one twice: {', '.join(names)}")
    return names


def _group_name(value: Any) -> str:
    """One name for 1, 1.0 and "1": a csv column of whole numbers comes as either."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _missing_groups(column: pd.Series) -> str:
    blank = [value for value in column.unique() if isinstance(value, str) and not value.strip()]
    count = int((column.isna() | column.isin(blank)).sum())
    if not count:
        return ""
    return (
        f'sensitive column "{column.name}" has {count} missing values in {len(column)} rows; '
        f'fill them with a group of their own, such as "unknown", or repair them'
    )


def _named(column: pd.Series) -> pd.Series:
    return column.astype(object).map({value: _group_name(value) for value in column.unique()})


def _group_names(table: pd.DataFrame, parts: Sequence[str]) -> pd.Series:
    names = [_named(table[part]) for part in parts]
    if len(parts) == 1:
        return names[0]
    joined = names[0]
    for part, column in zip(parts, names, strict=True):
        if any("*" in name for name in column.unique()):
            raise ConfigurationError(f'a group of "{part}" has * in its name, which joins the names of intersections')
    for column in names[1:]:
        joined = joined + "*" + column
    return joined


def _crossed(
    table: pd.DataFrame, parts: Sequence[str], features: Mapping[str, tuple[str, ...] | None]
) -> tuple[tuple[str, ...], list[str]]:
    """The intersections that must exist when none are declared: every declared (or seen) group with every other."""
    seen = {part: sorted(_named(table[part]).unique()) for part in parts}
    declared = {part: features.get(part) or tuple(seen[part]) for part in parts}
    unknown = [f"{part} {group}" for part in parts for group in seen[part] if group not in declared[part]]
    return tuple("*".join(combination) for combination in product(*declared.values())), unknown


def _rate_functions() -> dict[str, Callable[..., float]]:
    from fairlearn import metrics
    from sklearn.metrics import accuracy_score, precision_score

    def precision(y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        return float(precision_score(y_true, y_pred, sample_weight=sample_weight, zero_division=0))

    return {
        "selection_rate": metrics.selection_rate,
        "true_positive_rate": metrics.true_positive_rate,
        "false_positive_rate": metrics.false_positive_rate,
        "false_negative_rate": metrics.false_negative_rate,
        "accuracy": accuracy_score,
        "precision": precision,
    }


def _fairlearn_rates(cells: pd.DataFrame) -> pd.DataFrame:
    """Group x rate, from counts: Fairlearn walks over cells instead of rows and returns the same numbers."""
    from fairlearn.metrics import MetricFrame

    functions = _rate_functions()
    frame = MetricFrame(
        metrics=functions,
        y_true=cells["label"],
        y_pred=cells["prediction"],
        sensitive_features=cells["group"],
        sample_params={name: {"sample_weight": cells["n"]} for name in functions},
    )
    return frame.by_group


def _group_rates(
    group: str, cells: pd.DataFrame, rates: pd.DataFrame, minimums: Minimums, suppress_below: int
) -> GroupRates:
    counts = {
        "rows": int(cells["n"].sum()),
        "positives": int(cells.loc[cells["label"] == 1, "n"].sum()),
        "negatives": int(cells.loc[cells["label"] == 0, "n"].sum()),
        "selected": int(cells.loc[cells["prediction"] == 1, "n"].sum()),
    }
    too_few: dict[str, str] = {}
    estimated: dict[str, float] = {}
    for rate in RATES:
        value = float(rates.loc[group, rate]) if counts["rows"] else math.nan
        short = [what for what in ("rows", _DENOMINATORS[rate]) if counts[what] < minimums.of(what)]
        if short:
            too_few[rate] = _too_few(group, short[0], counts[short[0]], minimums, suppress_below)
        elif 0 <= value <= 1:
            estimated[rate] = value
        else:
            too_few[rate] = f"{rate} of {group} came out as {value}"
    return GroupRates(group, counts, estimated, too_few)


def _too_few(group: str, what: str, count: int, minimums: Minimums, suppress_below: int) -> str:
    if what == "rows" and not count:
        return f"{group} has no rows"
    many = "no" if not count else str(count) if count >= suppress_below else f"fewer than {suppress_below}"
    return f"{group} has {many} {_WORDS[what]}, {minimums.of(what)} needed"


def _details(
    rows: int, columns: Columns, judged: Sequence[FeatureRates], minimums: Minimums, suppress_below: int
) -> dict[str, Any]:
    details: dict[str, Any] = {
        "rows": rows,
        "minimums": {"rows": minimums.rows, "positives": minimums.positives, "negatives": minimums.negatives},
        "rates": {
            feature.name: {group.group: {rate: group.rates.get(rate) for rate in RATES} for group in feature.groups}
            for feature in judged
        },
        "counts": {feature.name: _published(feature, suppress_below) for feature in judged},
        "counts_note": f"n is null where it is below {suppress_below}, so that no cell points at a person",
    }
    if columns.prediction is None:
        details["prediction"] = f"{columns.score} >= {columns.threshold:g}"
    return details


def _published(feature: FeatureRates, suppress_below: int) -> list[dict[str, Any]]:
    known = {(cell["group"], cell["label"], cell["prediction"]): int(cell["n"]) for cell in feature.cells}
    return [
        {
            "group": group.group,
            "label": label,
            "prediction": prediction,
            "n": n if (n := known.get((group.group, label, prediction), 0)) >= suppress_below else None,
        }
        for group in feature.groups
        for label, prediction in product((0, 1), repeat=2)
    ]


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more


def _require_whole_number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{name} must be a whole number of at least 1, not {value!r}")


def _libraries() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("fairlearn", "scikit-learn", "pandas", "numpy")}
