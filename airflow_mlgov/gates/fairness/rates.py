"""Turns counts into rates by group, and says which groups are too small to estimate which rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.fairness.metrics import NEEDS

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_WORDS = {
    "rows": "rows",
    "positives": "positives",
    "negatives": "negatives",
    "selected": "predicted positives",
    "unselected": "predicted negatives",
}

_TN, _FP, _FN, _TP = range(4)
_SUMS = {
    "rows": (_TN, _FP, _FN, _TP),
    "positives": (_FN, _TP),
    "negatives": (_TN, _FP),
    "selected": (_FP, _TP),
    "unselected": (_TN, _FN),
    "right": (_TN, _TP),
    "true positives": (_TP,),
    "false positives": (_FP,),
    "false negatives": (_FN,),
    "true negatives": (_TN,),
}
"""Which cells are added up, in this order."""
_SHARES = {
    "selection_rate": ("selected", "rows"),
    "true_positive_rate": ("true positives", "positives"),
    "false_positive_rate": ("false positives", "negatives"),
    "false_negative_rate": ("false negatives", "positives"),
    "precision": ("true positives", "selected"),
    "true_negative_rate": ("true negatives", "negatives"),
    "false_omission_rate": ("false negatives", "unselected"),
    "false_discovery_rate": ("false positives", "selected"),
    "negative_predictive_value": ("true negatives", "unselected"),
    "accuracy": ("right", "rows"),
}
"""Rate -> what is a share of what."""


@dataclass(frozen=True)
class Minimums:
    """How many a group needs of each before a rate over them counts as an estimate."""

    rows: int = 30
    """Of every group, whatever the rate."""
    positives: int = 10
    """Rows whose label is positive, for TPR and FNR; rows predicted positive or negative, for shares of those."""
    negatives: int = 10
    """Rows whose label is negative, for FPR and TNR."""

    def __post_init__(self) -> None:
        require_whole_number("min_group_size", self.rows)
        require_whole_number("min_positives", self.positives)
        require_whole_number("min_negatives", self.negatives)

    def of(self, counted: str) -> int:
        """The minimum of ``rows``, ``positives``, ``negatives``, ``selected`` or ``unselected``."""
        return {"rows": self.rows, "negatives": self.negatives}.get(counted, self.positives)


def totals(confusion: Array) -> dict[str, Array]:
    """What rates are shares of.

    :param confusion: counts, shape (..., groups, 2, 2): label x prediction
    :returns: ``rows``, ``positives``, ``negatives``, ``selected``, ``unselected``, each of shape (..., groups)
    """
    cells = _cells(confusion)
    return {what: _sum(cells, what) for what in _WORDS}


def rates_of(confusion: Array, names: tuple[str, ...]) -> dict[str, Array]:
    """Rates by group, NaN where there is nothing to divide by.

    :param confusion: counts, shape (..., groups, 2, 2): label x prediction
    :returns: rate -> shape (..., groups)
    """
    import numpy as np

    cells = _cells(confusion)
    of = cache(partial(_sum, cells))
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            name: of("selected") / of("selected").sum(-1, keepdims=True)
            if name == "predicted_positive_rate"
            else np.divide(of(_SHARES[name][0]), of(_SHARES[name][1]))
            for name in names
        }


def fairlearn_rates(confusion: Array, names: tuple[str, ...]) -> dict[str, Array]:
    """The same by Fairlearn's ``MetricFrame`` over one weighted row for each cell.

    :param confusion: counts, shape (groups, 2, 2)
    """
    import numpy as np
    from fairlearn.metrics import MetricFrame

    functions = {name: function for name, function in _fairlearn_functions().items() if name in names}
    group, label, prediction = (axis.ravel() for axis in np.indices(confusion.shape))
    weight = confusion.ravel()
    there = weight > 0
    frame = MetricFrame(
        metrics=functions,
        y_true=label[there],
        y_pred=prediction[there],
        sensitive_features=group[there],
        sample_params={name: {"sample_weight": weight[there]} for name in functions},
    )
    found = frame.by_group.reindex(range(len(confusion)))
    given = {name: found[name].to_numpy(dtype=float) for name in functions}
    rest = tuple(name for name in names if name not in given)
    return {**given, **rates_of(confusion, rest)}


def too_few(
    rate: str,
    groups: tuple[str, ...],
    counts: Mapping[str, Array],
    minimums: Minimums,
    suppress_below: int,
    effective: Mapping[str, Array] | None = None,
) -> dict[int, str]:
    """Position of each group that is too small for ``rate`` -> why: ``youth has 7 positives, 10 needed``.

    :param effective: of rows with weights, what ``counts`` are worth by Kish's effective sample size
    """
    reasons: dict[int, str] = {}
    for what in ("rows", *NEEDS.get(rate, ())):
        needed = minimums.of(what)
        enough = counts if effective is None else effective
        for at in (enough[what] < needed).nonzero()[0].tolist():
            worth = None if effective is None else float(effective[what][at])
            reasons.setdefault(at, _shortage(groups[at], what, int(counts[what][at]), needed, suppress_below, worth))
    return dict(sorted(reasons.items()))


def require_whole_number(name: str, value: Any) -> None:
    """Refuse what is no count.

    :raises ConfigurationError: not a whole number of at least 1
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{name} must be a whole number of at least 1, not {value!r}", code="setting.wrong")


def _cells(confusion: Array) -> tuple[Array, Array, Array, Array]:
    """TN, FP, FN, TP; added one by one because summing over axes of two is slow."""
    return confusion[..., 0, 0], confusion[..., 0, 1], confusion[..., 1, 0], confusion[..., 1, 1]


def _sum(cells: Sequence[Array], what: str) -> Array:
    first, *others = (cells[at] for at in _SUMS[what])
    return sum(others, first)


def _shortage(group: str, what: str, count: int, needed: int, suppress_below: int, worth: float | None) -> str:
    if what == "rows" and not count:
        return f"{group} has no rows"
    if worth is not None and count >= suppress_below:
        return f"{group} has {count} {_WORDS[what]} that are worth {worth:.1f} by their weights, {needed} needed"
    many = "no" if not count else str(count) if count >= suppress_below else f"fewer than {suppress_below}"
    return f"{group} has {many} {_WORDS[what]}, {needed} needed"


def _fairlearn_functions() -> dict[str, Any]:
    from fairlearn import metrics
    from sklearn.metrics import accuracy_score, precision_score

    def precision(y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        return float(precision_score(y_true, y_pred, sample_weight=sample_weight, zero_division=0))

    return {
        "selection_rate": metrics.selection_rate,
        "true_positive_rate": metrics.true_positive_rate,
        "false_positive_rate": metrics.false_positive_rate,
        "false_negative_rate": metrics.false_negative_rate,
        "true_negative_rate": metrics.true_negative_rate,
        "accuracy": accuracy_score,
        "precision": precision,
    }
