"""Metrics on slices of the rows: one column's values, or the crossed values of several. Refuses to judge slices with
too few rows, and to pass where too many rows are in such."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.labels import canonical
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import settle
from airflow_mlgov.gates.performance.estimates import Estimate, estimate_all
from airflow_mlgov.gates.statistics.intervals import Decide, judge
from airflow_mlgov.results import WORST_FIRST, Bound, Check, Outcome, Severity

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from airflow_mlgov.gates.performance.predictions import Sample

MISSING = "(missing)"
"""The slice of the rows without a value."""
LEAST_OF_A_CLASS = 10
"""Rows of a class that a slice needs before a rate over them, or a ranking of them, counts as an estimate."""
_OF_BOTH = (
    "roc_auc", "calibration_slope", "calibration_intercept", "balanced_accuracy", "matthews_corrcoef",
    "positive_likelihood_ratio", "neg_negative_likelihood_ratio", "d2_log_loss_score", "d2_brier_score",
)  # fmt: skip
_OF_POSITIVES = ("average_precision", "recall", "f1", "jaccard")
_LISTED = 50
_MOST_SLICES = 1000


@dataclass(frozen=True)
class SliceRules:
    """How the rows are cut, and what a slice needs."""

    columns: tuple[str, ...] = ()
    """Each a column, or columns joined by ``*``."""
    min_size: int = 30
    """Rows below which nothing about a slice is estimated."""
    max_share_left_out: float = 0.05
    """The share of rows that may be in slices without an estimate."""
    suppress_below: int = 5
    """Slices with fewer rows are not named in the evidence, for a name could point at a person."""

    def __post_init__(self) -> None:
        for name, value in (("min_slice_size", self.min_size), ("suppress_below", self.suppress_below)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigurationError(f"{name} must be a whole number of at least 1, not {value!r}")
        share = self.max_share_left_out
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
            raise ConfigurationError(f"max_share_left_out must be a share of rows from 0 to below 1, not {share!r}")
        if any(not isinstance(name, str) or not all(parts(name)) for name in self.columns):
            raise ConfigurationError(f"a slice is a column, or columns joined by *, not {list(self.columns)!r}")

    @property
    def least(self) -> int:
        """Rows that a slice needs."""
        return max(self.min_size, self.suppress_below)

    @property
    def needed(self) -> list[str]:
        """The columns to read."""
        return list(dict.fromkeys(part for name in self.columns for part in parts(name)))


@dataclass(frozen=True)
class Slice:
    """Rows with one value."""

    name: str
    """``region=north``, or ``sex=female*age_band=youth``."""
    rows: int
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    """Empty where the slice has too few rows."""


@dataclass(frozen=True)
class Sliced:
    """All the rows cut by one column, or by columns crossed."""

    by: str
    slices: tuple[Slice, ...]


def slice_rules(
    slices: Sequence[str] | str | None, min_size: int, max_share_left_out: float, suppress_below: int
) -> SliceRules:
    """Rules as people write them.

    :raises ConfigurationError: a name or a number is not what it should be
    """
    named = [slices] if isinstance(slices, str) else list(slices or ())
    return SliceRules(tuple(dict.fromkeys(named)), min_size, max_share_left_out, suppress_below)


def cut(
    table: pd.DataFrame, sample: Sample, metrics: Sequence[str], rules: SliceRules, confidence: float
) -> list[Sliced]:
    """Estimate the metrics on every slice that has enough rows.

    :param table: the rows of ``sample``, in its order
    """
    return [Sliced(by, _slices(table, sample, by, metrics, rules, confidence)) for by in rules.columns]


def worst_slice_check(
    name: str, metric: str, bound: Bound, severity: Severity, cuts: Sequence[Sliced], rules: SliceRules, decide: Decide
) -> Check:
    """Hold every slice against the bound; what is observed is the slice that is nearest to it or farthest past it.

    INCONCLUSIVE too where a cut has one slice alone, or leaves out more rows than the rules allow.
    """
    if not cuts:
        detail = "no slices are named: name columns as slices"
        return Check(name, Outcome.ERROR, None, bound, severity, detail)
    judged = [(item, item.estimates[metric]) for one in cuts for item in one.slices if metric in item.estimates]
    worst = min(judged, key=lambda pair: _badness(bound, pair[1], decide), default=None)
    problems = [problem for one in cuts if (problem := _too_little(one, metric, rules))]
    values: dict[str, Any] = {"slices": {one.by: _recorded(one, metric, rules) for one in cuts}}
    broken = [(item, e) for item, e in judged if e.value is None and e.outcome is Outcome.ERROR]
    if broken:
        return Check(name, Outcome.ERROR, None, bound, severity, f"{broken[0][0].name}: {broken[0][1].reason}", values)
    if worst is None or worst[1].value is None:
        return Check(name, Outcome.INCONCLUSIVE, None, bound, severity, "; ".join(problems), values)
    item, estimate = worst
    observed, outcome = settle(worst[1].value), _outcome(bound, estimate, decide)
    estimated = [item for item, known in judged if known.value is not None]
    values |= {"worst": item.name, "n": item.rows, "interval": estimate.interval and estimate.interval.as_dict()}
    detail = f"{item.name}, {item.rows} rows, the worst of {len(estimated)} slices"
    if outcome is Outcome.PASS and problems:
        outcome = Outcome.INCONCLUSIVE
    return Check(name, outcome, observed, bound, severity, "; ".join([detail, *problems]), values)


def parts(name: str) -> list[str]:
    """The columns of a crossing."""
    return [part.strip() for part in name.split("*")]


def _slices(
    table: pd.DataFrame, sample: Sample, by: str, metrics: Sequence[str], rules: SliceRules, confidence: float
) -> tuple[Slice, ...]:
    import numpy as np

    names, codes = _codes(table, parts(by))
    counts = np.bincount(codes, minlength=len(names))
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(counts)
    found = []
    for at, (name, rows) in enumerate(zip(names, counts, strict=True)):
        estimates = {}
        if rows >= rules.least:
            estimates = _estimates(sample.take(order[ends[at] - rows : ends[at]]), metrics, confidence)
        found.append(Slice(name, int(rows), estimates))
    return tuple(found)


def _estimates(part: Sample, metrics: Sequence[str], confidence: float) -> dict[str, Estimate]:
    reasons = {metric: _too_few(metric, part) for metric in metrics}
    found = estimate_all(part, [metric for metric, reason in reasons.items() if not reason], confidence)
    return {metric: Estimate(None, reason) if reason else found[metric] for metric, reason in reasons.items()}


def _too_few(metric: str, part: Sample) -> str:
    """Why so few rows of a class say nothing; how many there are is not said, for they are few."""
    import numpy as np

    counts = np.bincount(part.label, minlength=len(part.classes)) if part.task != "regression" else np.array([])
    if part.task == "multiclass" and metric.startswith("roc_auc_ov") and counts.min() < LEAST_OF_A_CLASS:
        return f"fewer than {LEAST_OF_A_CLASS} rows of a class"
    if part.task != "binary":
        return ""
    if metric in (*_OF_BOTH, *_OF_POSITIVES) and counts[1] < LEAST_OF_A_CLASS:
        return f"fewer than {LEAST_OF_A_CLASS} rows with a positive label"
    if metric in _OF_BOTH and counts[0] < LEAST_OF_A_CLASS:
        return f"fewer than {LEAST_OF_A_CLASS} rows with a negative label"
    if metric == "precision" and int(part.prediction.sum()) < LEAST_OF_A_CLASS:
        return f"fewer than {LEAST_OF_A_CLASS} rows predicted positive"
    return ""


def _codes(table: pd.DataFrame, columns: Sequence[str]) -> tuple[list[str], np.ndarray[Any, Any]]:
    """Names of the slices, and the number of each row's."""
    import pandas as pd

    texts = [_texts(table[column]) for column in columns]
    joined = texts[0] if len(texts) == 1 else texts[0].str.cat(texts[1:], sep="*")
    codes, names = pd.factorize(joined, sort=True)
    if len(names) > _MOST_SLICES:
        raise ConfigurationError(
            f"{'*'.join(columns)} makes {len(names)} slices, more than {_MOST_SLICES}: group its values first"
        )
    return list(names), codes


def _texts(column: pd.Series) -> pd.Series:
    named = {value: f"{column.name}={_text(value)}" for value in column.dropna().unique()}
    return column.map(named).astype(object).where(column.notna(), f"{column.name}={MISSING}")


def _text(value: Any) -> str:
    known = canonical(value)
    return f"{known:g}" if isinstance(known, float) and not isinstance(value, str | bool) else str(value)


def _outcome(bound: Bound, estimate: Estimate, decide: Decide) -> Outcome:
    return judge(bound, estimate.value and settle(estimate.value), estimate.interval, decide)


def _badness(bound: Bound, estimate: Estimate, decide: Decide) -> tuple[int, float]:
    """Smaller is worse: first by outcome, then by how far inside the bound the value lies; without a value last."""
    if estimate.value is None:
        return len(WORST_FIRST), 0.0
    inside = [
        estimate.value - bound.min if bound.min is not None else math.inf,
        bound.max - estimate.value if bound.max is not None else math.inf,
    ]
    return WORST_FIRST.index(_outcome(bound, estimate, decide)), min(inside)


def _too_little(cut_by: Sliced, metric: str, rules: SliceRules) -> str:
    """Why the slices say too little about the rows."""
    rows = sum(item.rows for item in cut_by.slices)
    without = [item for item in cut_by.slices if not _has_value(item, metric)]
    left_out = sum(item.rows for item in without)
    if len(cut_by.slices) < 2:
        return f"{cut_by.by} has one slice only: nothing is cut"
    if len(without) == len(cut_by.slices):
        return f"no slice of {cut_by.by} can be estimated"
    if left_out > rules.max_share_left_out * rows:
        return (
            f"{left_out} of {rows} rows are in slices of {cut_by.by} that cannot be estimated, more than the share of "
            f"{rules.max_share_left_out:g} that may be left out"
        )
    return ""


def _has_value(item: Slice, metric: str) -> bool:
    return metric in item.estimates and item.estimates[metric].value is not None


def _recorded(cut_by: Sliced, metric: str, rules: SliceRules) -> dict[str, Any]:
    """The slices for the evidence: values, and which are left out and why."""
    known = sorted(
        (item for item in cut_by.slices if _has_value(item, metric)), key=lambda item: item.estimates[metric].value or 0
    )
    without = [item for item in cut_by.slices if not _has_value(item, metric)]
    named = [item for item in without if item.rows >= rules.suppress_below]
    hidden = [item for item in without if item.rows < rules.suppress_below]
    shown = known if len(known) <= _LISTED else [*known[: _LISTED // 2], *known[-_LISTED // 2 :]]
    left_out = [{"slice": item.name, "n": item.rows, "why": _why(item, metric, rules)} for item in named[:_LISTED]]
    return {
        "estimated": len(known),
        "values": [_entry(item, item.estimates[metric]) for item in shown],
        "left_out": left_out,
        "left_out_slices": len(without),
        "left_out_rows": sum(item.rows for item in without),
        "unnamed": {"slices": len(hidden), "why": f"fewer than {rules.suppress_below} rows each"},
    }


def _entry(item: Slice, estimate: Estimate) -> dict[str, Any]:
    interval = None if estimate.interval is None else estimate.interval.as_dict()
    return {"slice": item.name, "n": item.rows, "value": estimate.value, "interval": interval}


def _why(item: Slice, metric: str, rules: SliceRules) -> str:
    if metric not in item.estimates:
        return f"fewer than {rules.least} rows"
    return item.estimates[metric].reason
