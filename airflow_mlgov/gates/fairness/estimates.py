"""Estimates the measures of every group, and how far they would scatter: from counts for labels, from ranks and sums
for scores and for regressions. One shape for all, so that they are compared and judged alike."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from airflow_mlgov.gates.fairness.counting import Cells
from airflow_mlgov.gates.fairness.disparity import Values
from airflow_mlgov.gates.fairness.features import Feature
from airflow_mlgov.gates.fairness.rates import Minimums, fairlearn_rates, rates_of, too_few, totals
from airflow_mlgov.gates.fairness.resampling import FEW, resample_in_parts, resample_weights

if TYPE_CHECKING:
    import numpy as np

    from airflow_mlgov.gates.fairness.calibration import Calibration
    from airflow_mlgov.gates.fairness.joint import Joint
    from airflow_mlgov.gates.fairness.regression import ErrorSums

    Array = np.ndarray[Any, Any]

Engine = Literal["counts", "fairlearn"]
ENGINES: tuple[Engine, ...] = ("counts", "fairlearn")
MOST_LISTED = 200
"""Groups of a feature up to which evidence lists all."""
_OF_EITHER_END = 10
_OF_PREDICTIONS = {"selection_rate", "predicted_positive_rate"}
"""Rates that no label changes."""


@dataclass(frozen=True)
class Measured:
    """One measure of a feature's groups."""

    values: Values
    """Shape (groups,), against all rows together (of an AUC only where that is asked)."""
    samples: Values
    """The same resampled, shape (resamples, groups); no resamples of what nothing is decided by."""
    too_few: Mapping[int, str] = field(default_factory=dict)
    """Position of a group -> why it has no estimate."""
    of_class: str = ""
    """``class 3`` of a multiclass model."""
    champion: tuple[Values, Values] | None = None
    """Values and samples of the champion on the same rows."""

    def without(self, left_out: Collection[int]) -> Measured:
        """The same, with some groups unknown."""
        if not left_out:
            return self
        champion = self.champion
        return replace(
            self,
            values=_without(self.values, left_out),
            samples=_without(self.samples, left_out),
            champion=champion and (_without(champion[0], left_out), _without(champion[1], left_out)),
        )


@dataclass(frozen=True)
class Estimates:
    """Everything that is known of one feature's groups."""

    feature: Feature
    counts: Mapping[str, Array]
    """``rows`` and, where they exist, ``positives``, ``negatives``, ``selected``, ``unselected``: shape (groups,)."""
    measures: Mapping[str, Sequence[Measured]]
    """Measure -> one entry, or one for each class."""
    confusion: Array | None = None
    """Counts of label x prediction, shape (groups, 2, 2); of a binary model."""
    weights: Mapping[str, Array] | None = None
    """What ``counts`` has, by the rows' weights; None if they have none."""

    def listed(self, reference: int | None) -> list[tuple[int, str]]:
        """Position and name of the groups that evidence lists: all that may be named; of more than
        :data:`MOST_LISTED` the lowest and the highest of each measure, the largest and the reference.

        :param reference: the position of the group that others are compared with
        """
        import numpy as np

        named = self.feature.positioned
        if len(named) <= MOST_LISTED:
            return named
        positions = np.array([at for at, _ in named])
        kept = {int(self.counts["rows"].argmax()), reference}
        for measured in self.measures.values():
            for item in measured:
                values = item.values.groups[positions]
                known = positions[np.isfinite(values)]
                order = known[np.argsort(item.values.groups[known], kind="stable")].tolist()
                kept |= {*order[:_OF_EITHER_END], *order[-_OF_EITHER_END:]}
        return [(at, group) for at, group in named if at in kept]


@dataclass(frozen=True)
class Weighed:
    """The rows' weights by label x prediction (x the champion's)."""

    sums: Array
    """Shape (groups, 2, 2) or (groups, 2, 2, 2)."""
    squares: Array
    """Sums of their squares."""
    drawn: Array
    """The sums of resampled rows, shape (resamples, groups, 2, 2) and so on."""


def weighed_of(feature: Feature, codes: Sequence[Any], cells: Cells) -> Weighed | None:
    """The weights of the cells; None if they have none.

    :param codes: as :func:`confusion_of` takes them
    """
    import numpy as np

    if not cells.weights:
        return None
    shape = (len(feature.groups), *(2 for _ in codes))
    at = (feature.places, *map(np.asarray, codes))
    rows, weights = np.asarray(cells.rows), np.asarray(cells.weights, dtype=float)
    sums, squares = np.zeros(shape), np.zeros(shape)
    np.add.at(sums, at, weights)
    np.add.at(squares, at, np.asarray(cells.squares, dtype=float))
    drawn = resample_weights(np.ravel_multi_index(at, shape), rows, weights, shape)
    return Weighed(sums, squares, drawn)


def confusion_of(feature: Feature, codes: Sequence[Any], rows: Array) -> Array:
    """Counts, shape (groups, 2, 2) or (groups, 2, 2, 2): label x prediction (x the champion's).

    :param codes: 0 or 1 for each cell, of the label, the prediction and the champion's prediction
    :param rows: how many rows each cell stands for
    """
    import numpy as np

    place = feature.places
    for each in codes:
        place = 2 * place + np.asarray(each, dtype=np.int64)
    counts = np.zeros(len(feature.groups) * 2 ** len(codes), dtype=np.int64)
    np.add.at(counts, place, rows)
    return counts.reshape(len(feature.groups), *(2 for _ in codes))


def estimate_rates(
    feature: Feature,
    tables: Mapping[str, Array],
    names: Collection[str],
    minimums: Minimums,
    suppress_below: int,
    engine: Engine,
    weighed: Mapping[str, Weighed | None] | None = None,
    bounded: Collection[str] = (),
) -> Estimates:
    """The rates of a feature's groups.

    :param tables: ``""`` -> counts as :func:`confusion_of` gives them; of a multiclass model, class -> counts of that
        class against the rest
    :param names: rates of a confusion matrix
    :param weighed: the weights of the same, by which rates are then computed and groups found large enough
    :param bounded: rates that are compared, and so resampled; of rows with weights all are
    """
    wanted = tuple(names)
    measures: dict[str, list[Measured]] = {name: [] for name in wanted}
    compute = fairlearn_rates if engine == "fairlearn" else rates_of
    weights = None
    for of_class, counted in tables.items():
        paired = counted.ndim == 4
        candidate = counted.sum(3) if paired else counted
        weight = (weighed or {}).get(of_class)
        table = counted if weight is None else weight.sums
        sampled = wanted if weight is not None else tuple(name for name in wanted if name in bounded)
        parts = _drawn(counted, sampled) if weight is None else iter([weight.drawn])
        point = _rates(table.sum(3) if paired else table, wanted, compute)
        theirs = _rates(table.sum(2), wanted, rates_of) if paired else {}
        samples, their_samples = _resampled(parts, sampled, paired)
        none = _no_samples(len(feature.groups))
        counts = totals(candidate)
        effective = None
        if weight is not None:
            weights, effective = _totals_by_weight(weight, paired)
        for name in wanted:
            short = too_few(name, feature.labels, counts, minimums, suppress_below, effective)
            short |= _unbelievable(name, feature, point[name], short)
            champion = (theirs[name], their_samples.get(name, none)) if paired else None
            drawn = samples.get(name, none)
            measures[name].append(Measured(point[name], drawn, short, of_class, champion).without(short))
    if len(tables) > 1:
        return Estimates(feature, {"rows": counts["rows"]}, measures, weights=weights)
    return Estimates(feature, counts, measures, candidate, weights)


def estimate_scores(
    estimates: Estimates,
    ranking: Joint | None,
    calibration: Calibration | None,
    minimums: Minimums,
    suppress_below: int,
) -> Estimates:
    """The same estimates with the measures of scores added."""
    found: dict[str, list[tuple[Values, Values]]] = {}
    if ranking is not None:
        found["roc_auc"] = ranking.measured()
    if calibration is not None:
        found["calibration_in_the_large"] = calibration.in_the_large.measured()
        found["expected_calibration_error"] = calibration.expected_error
    feature, counts = estimates.feature, estimates.counts
    measures = dict(estimates.measures)
    for name, of_models in found.items():
        measures[name] = [_measured(of_models, too_few(name, feature.labels, counts, minimums, suppress_below))]
    return replace(estimates, measures=measures)


def estimate_errors(feature: Feature, errors: ErrorSums, minimums: Minimums, suppress_below: int) -> Estimates:
    """The measures of a regression's groups."""
    import numpy as np

    from airflow_mlgov.gates.fairness.joint import joint_means

    size, members = len(feature.groups), feature.places

    def by_group(values: Sequence[float]) -> Array:
        return np.bincount(members, np.asarray(values, dtype=float), size)

    rows = by_group(errors.rows)
    measures = {}
    for name, of_models in errors.sums.items():
        sums = np.stack([by_group(each) for each in of_models])
        products = np.empty((len(sums), *sums.shape))
        for (one, other), each in errors.products[name].items():
            products[one, other] = products[other, one] = by_group(each)
        short = too_few(name, feature.labels, {"rows": rows}, minimums, suppress_below)
        measures[name] = [_measured(joint_means(rows, sums, products).measured(), short)]
    return Estimates(feature, {"rows": rows.astype(np.int64)}, measures)


def _drawn(counted: Array, names: Collection[str]) -> Iterator[Array]:
    """Resampled tables, as far as the rates need them: of many groups the labels are not drawn for a share of
    predictions."""
    import numpy as np

    if not names:
        return
    if counted.ndim == 3 and counted.size > FEW and set(names) <= _OF_PREDICTIONS:
        for drawn in resample_in_parts(counted.sum(1)):
            table = np.zeros((*drawn.shape[:-1], 2, 2), dtype=np.int64)
            table[..., 0, :] = drawn
            yield table
        return
    yield from resample_in_parts(counted)


def _no_samples(groups: int) -> Values:
    import numpy as np

    return Values(np.empty((0, groups)), np.empty(0))


def _resampled(
    parts: Iterable[Array], names: tuple[str, ...], paired: bool
) -> tuple[dict[str, Values], dict[str, Values]]:
    """The rates of resampled tables, and the champion's."""
    mine, theirs = [], []
    for drawn in parts:
        mine.append(_rates(drawn.sum(4) if paired else drawn, names, rates_of))
        theirs.append(_rates(drawn.sum(3), names, rates_of) if paired else {})
    return _joined(mine), _joined(theirs)


def _joined(parts: Sequence[Mapping[str, Values]]) -> dict[str, Values]:
    import numpy as np

    return {
        name: Values(
            np.concatenate([part[name].groups for part in parts]),
            np.concatenate([part[name].against for part in parts]),
        )
        for name in (parts[0] if parts else ())
    }


def _totals_by_weight(weight: Weighed, paired: bool) -> tuple[dict[str, Array], dict[str, Array]]:
    """Sums of weights, and Kish's effective numbers of rows."""
    import numpy as np

    sums, squares = (totals(part.sum(3) if paired else part) for part in (weight.sums, weight.squares))
    with np.errstate(divide="ignore", invalid="ignore"):
        return sums, {what: np.where(squares[what] > 0, sums[what] ** 2 / squares[what], 0.0) for what in sums}


def _measured(of_models: Sequence[tuple[Values, Values]], short: Mapping[int, str]) -> Measured:
    """The candidate's estimates, with the champion's beside them where they are two."""
    (values, samples), *champion = of_models
    return Measured(values, samples, short, champion=champion[0] if champion else None).without(short)


def _rates(
    confusion: Array, names: tuple[str, ...], compute: Callable[[Array, tuple[str, ...]], Mapping[str, Array]]
) -> dict[str, Values]:
    rates = compute(confusion, names)
    overall = rates_of(confusion.sum(-3, keepdims=True), names)
    return {name: Values(rates[name], overall[name][..., 0]) for name in names}


def _unbelievable(name: str, feature: Feature, values: Values, known: Mapping[int, str]) -> dict[int, str]:
    """Groups that are large enough and have no rate within 0 to 1 all the same."""
    possible = (values.groups >= 0) & (values.groups <= 1)
    return {
        at: f"{name} of {feature.labels[at]} came out as {values.groups[at]}"
        for at in (~possible).nonzero()[0].tolist()
        if at not in known
    }


def _without(values: Values, left_out: Collection[int]) -> Values:
    import numpy as np

    groups = values.groups.astype(float)
    groups[..., list(left_out)] = np.nan
    return replace(values, groups=groups)
