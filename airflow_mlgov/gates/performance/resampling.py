"""The bootstrap of metrics, many resamples at a time: of labels by drawing the counts of their confusion matrix, of
scores and quantities by drawing how often each row is taken. Tables that share rows are drawn together, so that the
change between two is known as well. Seeded, so the same rows give the same interval."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.limits import deadline
from airflow_mlgov.gates.performance.calibration import binned_residuals
from airflow_mlgov.gates.performance.predictions import Sample
from airflow_mlgov.gates.performance.two_classes import TwoClasses
from airflow_mlgov.progress import counted

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

SEED = 20
LABEL_RESAMPLES = 2000
ROW_RESAMPLES = 500
MOST_ROWS = 20_000
"""Of more rows this many are drawn at random and resampled, and the spread is narrowed by sqrt(drawn / rows) (the
m out of n bootstrap: Bickel, Goetze & van Zwet, Statistica Sinica 7 (1997) 1-31)."""

_AT_ONCE = 500_000
"""Numbers held at a time: few enough for a processor's cache."""
Weighted = Callable[["Array"], "Array"]
"""Weights of shape (resamples, rows) -> the metric of each resample."""


@dataclass(frozen=True)
class Draws:
    """One metric of one or more tables over the same resampled rows."""

    values: Array
    """Shape (tables, resamples)."""
    whole: Array
    """The metric without resampling, shape (tables,): what scikit-learn must say too."""


def resample_labels(samples: Sequence[Sample] | TwoClasses, metrics: Collection[str]) -> dict[str, Draws]:
    """Metrics of labels, from multinomial draws of the table's counts: the same as taking rows with replacement.

    :param samples: tables of the same rows, which share one set of classes; or one of two classes
    """
    import numpy as np

    size, tables, (cells, counts) = _cells_of(samples)
    truth, predicted = cells // size**tables, []
    for at in range(tables):
        predicted.append(truth * size + cells // size ** (tables - 1 - at) % size)
    random, rows = np.random.default_rng(SEED), counts.sum()
    step = max(1, _AT_ONCE // max(len(cells), size * size))
    found: dict[str, list[Array]] = {metric: [] for metric in metrics}
    until = deadline()
    for start in range(0, LABEL_RESAMPLES, step):
        until.check("resampling")
        drawn = random.multinomial(rows, counts / rows, size=min(step, LABEL_RESAMPLES - start))
        matrices = [_matrices(drawn, where, size) for where in predicted]
        for metric in metrics:
            found[metric].append(np.stack([label_metric(metric, matrix) for matrix in matrices]))
    whole = [_matrices(counts[None, :], where, size) for where in predicted]
    return {
        metric: Draws(np.concatenate(parts, axis=1), np.array([label_metric(metric, matrix)[0] for matrix in whole]))
        for metric, parts in found.items()
    }


def _cells_of(samples: Sequence[Sample] | TwoClasses) -> tuple[int, int, tuple[Array, Array]]:
    """The number of classes and of tables; which values of label and predictions occur together, and how often."""
    import numpy as np

    if isinstance(samples, TwoClasses):
        return 2, 1, samples.cells
    size = max(2, len(samples[0].classes))
    codes = samples[0].label
    for sample in samples:
        codes = codes * size + sample.prediction
    return size, len(samples), np.unique(codes, return_counts=True)


def resample_rows(
    samples: Sequence[Sample] | TwoClasses,
    metrics: Collection[str],
    points: Mapping[str, Sequence[float]] | None = None,
) -> dict[str, Draws]:
    """Metrics of scores and quantities, from multinomial draws of how often each row is taken.

    :param samples: tables of the same rows; rows with weights keep them; or one of two classes, whose rows are drawn in
        the order of their labels and scores
    :param metrics: keys of :data:`ROW_METRICS`; of samples with weights also metrics of labels, ``roc_auc`` and
        ``churn``, see :func:`weighted`
    :param points: metrics of the tables that are known already, by the formulas that are resampled; of two classes all
    """
    import numpy as np

    rows, random = len(samples if isinstance(samples, TwoClasses) else samples[0]), np.random.default_rng(SEED)
    narrower = min(1.0, (MOST_ROWS / rows) ** 0.5)
    chosen = random.choice(rows, MOST_ROWS, replace=False) if narrower < 1 else np.arange(rows)
    tables: Sequence[Sample] = () if isinstance(samples, TwoClasses) else samples
    drawn = [sample.take(chosen) for sample in tables] if narrower < 1 else list(tables)
    if isinstance(samples, TwoClasses):
        label, score = samples.scores.taken(chosen)
        drawn = [Sample("binary", label, label, score, samples.classes)]
    known = points or {}
    whole = {
        metric: np.array(known[metric] if metric in known else [_once(metric, sample) for sample in tables])
        for metric in metrics
    }
    count, step = len(drawn[0]), max(1, _AT_ONCE // len(drawn[0]))
    functions = {metric: [weighted(metric, sample) for sample in drawn] for metric in metrics}
    found: dict[str, list[Array]] = {metric: [] for metric in metrics}
    until = deadline()
    for start in counted(range(0, ROW_RESAMPLES, step), "draws of a bootstrap", ROW_RESAMPLES, by=step):
        until.check("resampling")
        weights = np.empty((min(step, ROW_RESAMPLES - start), count))
        for at in range(len(weights)):
            weights[at] = np.bincount(random.integers(0, count, count), minlength=count)
        for metric, of_tables in functions.items():
            found[metric].append(np.stack([function(weights) for function in of_tables]))
    result = {}
    for metric, parts in found.items():
        values, middle = np.concatenate(parts, axis=1), whole[metric]
        if narrower < 1:
            centre = np.array([function(np.ones((1, count)))[0] for function in functions[metric]])
            values = middle[:, None] + (values - centre[:, None]) * narrower
        result[metric] = Draws(values, middle)
    return result


def _once(metric: str, sample: Sample) -> float:
    import numpy as np

    return float(weighted(metric, sample)(np.ones((1, len(sample))))[0])


def weighted(metric: str, sample: Sample) -> Weighted:
    """A metric as a function of how often each row is taken, times the row's weight if it has one."""
    if metric in ROW_METRICS:
        function = ROW_METRICS[metric](sample)
    elif metric == "roc_auc":
        function = _area(_binary_score(sample), sample.label == 1)
    else:
        function = _of_labels(metric, sample)
    weight = sample.weight
    return function if weight is None else lambda taken: function(taken * weight)


def _of_labels(metric: str, sample: Sample) -> Weighted:
    import numpy as np

    size = max(2, len(sample.classes))
    cells, place = np.unique(sample.label * size + sample.prediction, return_inverse=True)
    order, starts = _ties(place)

    def function(weights: Array) -> Array:
        matrices = np.zeros((len(weights), size * size))
        matrices[:, cells] = _summed(np.take(weights, order, axis=1), starts)
        return label_metric(metric, matrices.reshape(-1, size, size))

    return function


def label_metric(metric: str, matrices: Array) -> Array:
    """A metric of confusion matrices (row: truth, column: prediction), shape (matrices, classes, classes); NaN where
    its denominator is 0. The formulas are scikit-learn's."""
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        if metric in _OF_MATRICES:
            return _OF_MATRICES[metric](matrices.astype(float))
        family, _, average = metric.rpartition("_")
        return _averaged(family, average, matrices.astype(float)) if family else _of_two(metric, matrices.astype(float))


def _matrices(drawn: Array, where: Array, size: int) -> Array:
    """Counts of cells, shape (resamples, cells), as confusion matrices; ``where`` is each cell's place in them."""
    import numpy as np

    order = np.argsort(where, kind="stable")
    places, starts = np.unique(where[order], return_index=True)
    matrices = np.zeros((len(drawn), size * size), dtype=drawn.dtype)
    matrices[:, places] = np.add.reduceat(drawn[:, order], starts, axis=1)
    return matrices.reshape(-1, size, size)


def _accuracy(matrices: Array) -> Array:
    result: Array = _diagonal(matrices).sum(-1) / matrices.sum((-1, -2))
    return result


def _balanced_accuracy(matrices: Array) -> Array:
    import numpy as np

    true = matrices.sum(-1)
    result: Array = np.where(true > 0, _diagonal(matrices) / true, 0).sum(-1) / (true > 0).sum(-1)
    return result


def _matthews(matrices: Array) -> Array:
    import numpy as np

    true, predicted, rows = matrices.sum(-1), matrices.sum(-2), matrices.sum((-1, -2))
    agreed = _diagonal(matrices).sum(-1) * rows - (true * predicted).sum(-1)
    result: Array = agreed / np.sqrt((rows**2 - (true**2).sum(-1)) * (rows**2 - (predicted**2).sum(-1)))
    return result


def _positive_ratio(matrices: Array) -> Array:
    tn, fp, fn, tp = _cells(matrices)
    result: Array = (tp / (tp + fn)) / (fp / (fp + tn))
    return result


def _negative_ratio(matrices: Array) -> Array:
    tn, fp, fn, tp = _cells(matrices)
    result: Array = -(fn / (tp + fn)) / (tn / (fp + tn))
    return result


_OF_MATRICES: Mapping[str, Callable[[Array], Array]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "matthews_corrcoef": _matthews,
    "positive_likelihood_ratio": _positive_ratio,
    "neg_negative_likelihood_ratio": _negative_ratio,
}


def _of_two(family: str, matrices: Array) -> Array:
    _, fp, fn, tp = _cells(matrices)
    return _ratio(family, tp, tp + fn, tp + fp)


def _averaged(family: str, average: str, matrices: Array) -> Array:
    import numpy as np

    tp, true, predicted = _diagonal(matrices), matrices.sum(-1), matrices.sum(-2)
    if average == "micro":
        return _ratio(family, tp.sum(-1), true.sum(-1), predicted.sum(-1))
    by_class = np.nan_to_num(_ratio(family, tp, true, predicted), nan=0.0)
    weights = true if average == "weighted" else ((true + predicted) > 0).astype(float)
    result: Array = (by_class * weights).sum(-1) / weights.sum(-1)
    return result


def _ratio(family: str, tp: Array, true: Array, predicted: Array) -> Array:
    if family == "precision":
        return tp / predicted
    if family == "recall":
        return tp / true
    result: Array = 2 * tp / (true + predicted) if family == "f1" else tp / (true + predicted - tp)
    return result


def _diagonal(matrices: Array) -> Array:
    import numpy as np

    return np.diagonal(matrices, axis1=-2, axis2=-1)


def _cells(matrices: Array) -> tuple[Array, Array, Array, Array]:
    return matrices[..., 0, 0], matrices[..., 0, 1], matrices[..., 1, 0], matrices[..., 1, 1]


def _probabilities(sample: Sample) -> Array:
    """Shape (rows, classes)."""
    import numpy as np

    score: Array = np.asarray(sample.score, dtype=float)
    return np.column_stack([1 - score, score]) if score.ndim == 1 else score


def _mean(quantity: Array) -> Weighted:
    import numpy as np

    # einsum because matrix products wait on each other's threads where several tasks share a machine
    return lambda weights: np.einsum("ij,j->i", weights, quantity) / weights.sum(1)


def _transformed(quantity: Array, change: Callable[[Array], Array]) -> Weighted:
    mean = _mean(quantity)
    return lambda weights: change(mean(weights))


def _log_losses(sample: Sample) -> Array:
    import numpy as np

    given = _probabilities(sample)[np.arange(len(sample)), sample.label]
    smallest = np.finfo(float).eps
    losses: Array = -np.log(np.clip(given, smallest, 1 - smallest))
    return losses


def _brier_losses(sample: Sample) -> Array:
    """Summed over the classes, so of two classes twice what is usual."""
    import numpy as np

    truth = np.eye(len(sample.classes))[sample.label]
    losses: Array = ((_probabilities(sample) - truth) ** 2).sum(1)
    return losses


def _brier(sample: Sample) -> Array:
    return _brier_losses(sample) / (2 if sample.task == "binary" else 1)


def _entropy(shares: Array) -> Array:
    import numpy as np

    result: Array = -(shares * np.log(np.where(shares > 0, shares, 1))).sum(1)
    return result


def _gini(shares: Array) -> Array:
    result: Array = (shares * (1 - shares)).sum(1)
    return result


def _skill(losses: Callable[[Sample], Array], of_shares: Callable[[Array], Array], sample: Sample) -> Weighted:
    """1 - the loss / that of who predicts the share of each class for every row."""
    import numpy as np

    mean, truth = _mean(losses(sample)), np.eye(len(sample.classes))[sample.label]

    def weighted(weights: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return 1 - mean(weights) / of_shares(weights @ truth / weights.sum(1, keepdims=True))

    return weighted


def _explained(sample: Sample, centred: bool) -> Weighted:
    """R squared, or where the residuals are centred the explained variance."""
    import numpy as np

    label, residual = sample.label - sample.label.mean(), sample.label - sample.prediction
    means = [_mean(quantity) for quantity in (label, label**2, residual, residual**2)]

    def weighted(weights: Array) -> Array:
        y, yy, e, ee = (mean(weights) for mean in means)
        with np.errstate(divide="ignore", invalid="ignore"):
            result: Array = 1 - (ee - (e**2 if centred else 0)) / (yy - y**2)
            return result

    return weighted


def _average_precision(sample: Sample) -> Weighted:
    """Of more than two classes the mean of each against the rest, as scikit-learn's scorer has it."""
    import numpy as np

    if sample.task != "multiclass" or sample.score is None:
        return _precision_by_recall(_binary_score(sample), sample.label == 1)
    scores = sample.score
    parts = [_precision_by_recall(scores[:, at], sample.label == at) for at in range(len(sample.classes))]
    return lambda weights: np.mean([part(weights) for part in parts], axis=0)


def _precision_by_recall(score: Array, label: Array) -> Weighted:
    """The average precision of one score."""
    import numpy as np

    order, starts = _ties(-score)
    positive = label[order]

    def weighted(weights: Array) -> Array:
        sorted_weights = np.take(weights, order, axis=1)
        gained = _summed(sorted_weights * positive, starts)
        taken = np.cumsum(_summed(sorted_weights, starts), axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            precision = np.where(taken > 0, np.cumsum(gained, axis=1) / taken, 0)
            result: Array = (gained * precision).sum(1) / gained.sum(1)
            return result

    return weighted


def _area(score: Array, positive: Array) -> Weighted:
    """The area under the ROC curve."""
    import numpy as np

    order, starts = _ties(score)
    sorted_positive = positive[order]

    def weighted(weights: Array) -> Array:
        sorted_weights = np.take(weights, order, axis=1)
        up = _summed(sorted_weights * sorted_positive, starts)
        down = _summed(sorted_weights * ~sorted_positive, starts)
        below = np.cumsum(down, axis=1) - down / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            result: Array = (up * below).sum(1) / (up.sum(1) * down.sum(1))
            return result

    return weighted


def _one_against_rest(sample: Sample, by_prevalence: bool) -> Weighted:
    import numpy as np

    score, classes = _probabilities(sample), range(len(sample.classes))
    areas = [_area(score[:, one], sample.label == one) for one in classes]

    def weighted(weights: Array) -> Array:
        each = np.stack([area(weights) for area in areas])
        shares = np.stack([weights @ (sample.label == one) for one in classes]) if by_prevalence else np.ones_like(each)
        result: Array = (each * shares).sum(0) / shares.sum(0)
        return result

    return weighted


def _one_against_one(sample: Sample, by_prevalence: bool) -> Weighted:
    import numpy as np

    score, pairs = _probabilities(sample), []
    for one in range(len(sample.classes)):
        for other in range(one):
            rows = np.flatnonzero((sample.label == one) | (sample.label == other))
            first = sample.label[rows] == one
            pairs.append((rows, _area(score[rows, one], first), _area(score[rows, other], ~first)))

    def weighted(weights: Array) -> Array:
        each = np.stack([(a(weights[:, rows]) + b(weights[:, rows])) / 2 for rows, a, b in pairs])
        shares = np.stack([weights[:, rows].sum(1) for rows, *_ in pairs]) if by_prevalence else np.ones_like(each)
        result: Array = (each * shares).sum(0) / shares.sum(0)
        return result

    return weighted


def _in_top_two(sample: Sample) -> Weighted:
    import numpy as np

    top = np.argsort(_probabilities(sample), axis=1, kind="mergesort")[:, ::-1][:, :2]
    return _mean((top == sample.label[:, None]).any(1).astype(float))


def _calibration_error(sample: Sample) -> Weighted:
    import numpy as np

    bins, residual = binned_residuals(sample)
    order, starts = _ties(bins)
    sorted_residual = residual[order]

    def weighted(weights: Array) -> Array:
        summed = _summed(np.take(weights, order, axis=1) * sorted_residual, starts)
        result: Array = np.abs(summed).sum(1) / weights.sum(1)
        return result

    return weighted


def _medians(weights: Array, ordered: Array) -> Array:
    """The weighted median of sorted values, shape (resamples,); the middle of two where the weights part evenly."""
    import numpy as np

    found = np.empty(len(weights))
    for at, row in enumerate(weights):
        values, reached = ordered[row > 0], np.cumsum(row[row > 0])
        half = reached[-1] / 2
        place = int(np.searchsorted(reached, half))
        upper = place + 1 if reached[place] == half else place
        found[at] = (values[place] + values[upper]) / 2
    return found


def _median_error(sample: Sample) -> Weighted:
    import numpy as np

    errors = _absolute(sample)
    order = np.argsort(errors)
    ordered = errors[order]
    return lambda weights: -_medians(np.take(weights, order, axis=1), ordered)


def _absolute_skill(sample: Sample) -> Weighted:
    import numpy as np

    error, order = _mean(_absolute(sample)), np.argsort(sample.label)
    ordered = sample.label[order]

    def weighted(weights: Array) -> Array:
        sorted_weights = np.take(weights, order, axis=1)
        away = np.abs(ordered[None, :] - _medians(sorted_weights, ordered)[:, None])
        with np.errstate(divide="ignore", invalid="ignore"):
            result: Array = 1 - error(weights) / ((away * sorted_weights).sum(1) / weights.sum(1))
            return result

    return weighted


def _ties(values: Array) -> tuple[Array, Array]:
    """The order that sorts ``values``, and where each run of equal ones starts in it."""
    import numpy as np

    order = np.argsort(values, kind="stable")
    ordered = values[order]
    return order, np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))


def _summed(ordered: Array, starts: Array) -> Array:
    """Sums over each run of columns."""
    import numpy as np

    return ordered if len(starts) == ordered.shape[1] else np.add.reduceat(ordered, starts, axis=1)


def _binary_score(sample: Sample) -> Array:
    return _probabilities(sample)[:, 1]


def _squared(sample: Sample) -> Array:
    return (sample.label - sample.prediction) ** 2


def _absolute(sample: Sample) -> Array:
    import numpy as np

    result: Array = np.abs(sample.label - sample.prediction)
    return result


def _relative(sample: Sample) -> Array:
    import numpy as np

    return _absolute(sample) / np.abs(sample.label)


def _squared_logs(sample: Sample) -> Array:
    import numpy as np

    return (np.log1p(sample.label) - np.log1p(sample.prediction)) ** 2


def _poisson(sample: Sample) -> Array:
    import numpy as np

    label, predicted = sample.label, sample.prediction
    return 2 * (label * np.log(np.where(label > 0, label, 1) / predicted) - label + predicted)


def _gamma(sample: Sample) -> Array:
    import numpy as np

    ratio = sample.label / sample.prediction
    return 2 * (-np.log(ratio) + ratio - 1)


def _root(mean: Array) -> Array:
    return mean**0.5


def _less_root(mean: Array) -> Array:
    return -(mean**0.5)


ROW_METRICS: Mapping[str, Callable[[Sample], Weighted]] = {
    "average_precision": _average_precision,
    "log_loss": lambda sample: _mean(_log_losses(sample)),
    "neg_log_loss": lambda sample: _mean(-_log_losses(sample)),
    "brier_score": lambda sample: _mean(_brier(sample)),
    "neg_brier_score": lambda sample: _mean(-_brier(sample)),
    "d2_log_loss_score": lambda sample: _skill(_log_losses, _entropy, sample),
    "d2_brier_score": lambda sample: _skill(_brier_losses, _gini, sample),
    "expected_calibration_error": _calibration_error,
    "roc_auc_ovr": lambda sample: _one_against_rest(sample, False),
    "roc_auc_ovr_weighted": lambda sample: _one_against_rest(sample, True),
    "roc_auc_ovo": lambda sample: _one_against_one(sample, False),
    "roc_auc_ovo_weighted": lambda sample: _one_against_one(sample, True),
    "top_k_accuracy": _in_top_two,
    "rmse": lambda sample: _transformed(_squared(sample), _root),
    "neg_root_mean_squared_error": lambda sample: _transformed(_squared(sample), _less_root),
    "neg_mean_squared_error": lambda sample: _mean(-_squared(sample)),
    "mae": lambda sample: _mean(_absolute(sample)),
    "neg_mean_absolute_error": lambda sample: _mean(-_absolute(sample)),
    "neg_mean_absolute_percentage_error": lambda sample: _mean(-_relative(sample)),
    "neg_median_absolute_error": _median_error,
    "neg_mean_squared_log_error": lambda sample: _mean(-_squared_logs(sample)),
    "neg_root_mean_squared_log_error": lambda sample: _transformed(_squared_logs(sample), _less_root),
    "neg_mean_poisson_deviance": lambda sample: _mean(-_poisson(sample)),
    "neg_mean_gamma_deviance": lambda sample: _mean(-_gamma(sample)),
    "d2_absolute_error_score": _absolute_skill,
    "r2": lambda sample: _explained(sample, centred=False),
    "explained_variance": lambda sample: _explained(sample, centred=True),
}
"""Every metric that is no function of a confusion matrix, but the area under one ROC curve (see ``delong``), the fit of
``calibration`` and the largest error, whose spread a bootstrap does not show."""
