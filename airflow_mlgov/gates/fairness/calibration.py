"""Whether the scores of each group are calibrated: counts and sums by bin of score, taken where the data is. Refuses
scores that are no probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.steady_sums import SteadySums
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.fairness.counting import Columns, Pair, group_sql
from airflow_mlgov.gates.fairness.disparity import Values
from airflow_mlgov.gates.fairness.features import Feature, columns_of
from airflow_mlgov.gates.fairness.joint import Joint, joint_means
from airflow_mlgov.gates.fairness.resampling import resample
from airflow_mlgov.gates.fairness.scores import require_scores, score_names, scored

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

BINS = 10
"""Of equal width over 0 to 1, for the calibration error."""


@dataclass(frozen=True)
class Calibration:
    """Rows by group, label and the bins of each model's score: cells, in a fixed order."""

    groups: int
    member: Array
    """The group's position, shape (cells,)."""
    truth: Array
    """1 or 0, shape (cells,)."""
    bins: Array
    """Shape (models, cells)."""
    rows: Array
    """Shape (cells,)."""
    scores: Array
    """Sums of each model's scores, shape (models, cells)."""
    products: Array
    """Sums of one model's score times another's, shape (models, models, cells)."""

    @property
    def expected_error(self) -> list[tuple[Values, Values]]:
        """The expected calibration error of each model, and resampled: the mean over rows of |mean score - share of
        positives| of the row's bin. Rows are drawn again by cell, so for both models at once, and each bin keeps its
        mean score. Source: Naeini et al., AAAI 2015."""
        drawn = resample(self.rows)
        return [(self._gaps(at, self.rows), self._gaps(at, drawn)) for at in range(len(self.bins))]

    @property
    def in_the_large(self) -> Joint:
        """Mean score less the share of positives."""
        import numpy as np

        off = self.scores - self.rows * self.truth
        products = self.products - self.truth * (self.scores + self.scores[:, None]) + self.rows * self.truth
        rows = np.bincount(self.member, self.rows, self.groups)
        return joint_means(rows, _gather(off, self.member, self.groups), _gather(products, self.member, self.groups))

    def _gaps(self, at: int, rows: Array) -> Values:
        """Of one model, with so many rows in each cell, shape (..., cells)."""
        import numpy as np

        bin_of, size = self.member * BINS + self.bins[at], self.groups * BINS
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.nan_to_num(np.bincount(bin_of, self.scores[at], size) / np.bincount(bin_of, self.rows, size))
            drawn = _gather(rows, bin_of, size)
            gaps = (drawn * mean - _gather(rows * self.truth, bin_of, size)).reshape(*rows.shape[:-1], -1, BINS)
            drawn = drawn.reshape(gaps.shape)
            of_all = np.abs(gaps.sum(-2)).sum(-1) / drawn.sum((-2, -1))
            return Values(np.abs(gaps).sum(-1) / drawn.sum(-1), of_all)


def calibrate(
    pair: Pair, columns: Columns, feature: Feature, positive: Mapping[Any, int], *, paired: bool = False
) -> Calibration:
    """The rows of each of the feature's groups by bin of score.

    :param paired: with the champion's, where its scores are there
    :raises ConfigurationError: a score is missing or not within 0 to 1, or the champion's scores are not named
    """
    import numpy as np

    scores, relation = scored(pair, columns, paired)
    pairs = [(one, other) for one in range(len(scores)) for other in range(one + 1)]
    keys = [group_sql(pair, columns, name) for name in columns_of(feature.name)]
    keys.append(f"c.{pair.data.quote(columns.label)}")
    listing = ", ".join([*keys, *map(_bin, scores)])
    asked = [f"{function}({score})" for score in scores for function in ("COUNT", "MIN", "MAX")]
    added = [f"1e0 * {score}" for score in scores]
    steady = SteadySums(pair.data, relation, [*added, *(f"{added[one]} * {scores[other]}" for one, other in pairs)])
    asked += steady.sql
    found = pair.data.rows(f"SELECT {listing}, COUNT(*), {', '.join(asked)} FROM {relation} GROUP BY {listing}")  # noqa: S608
    taken = iter(zip(*found, strict=True))
    cells, labels = [next(taken) for _ in keys[1:]], next(taken)
    bins, rows = np.array([next(taken) for _ in scores]), np.array(next(taken))
    for name in score_names(columns)[: len(scores)]:
        require_scores({name: int(rows.sum()) - sum(next(taken))}, int(rows.sum()))
        if not all(low >= 0 and high <= 1 for low, high in zip(next(taken), next(taken), strict=True)):
            raise ConfigurationError(
                f'score column "{name}" holds values outside 0 to 1, so they are no probabilities: calibration cannot '
                "be judged",
                code="score.not_a_probability",
            )
    read = (steady.read(at, column) for at, column in enumerate(taken))
    sums = np.array([next(read) for _ in scores], dtype=float)
    products = np.empty((len(scores), *sums.shape))
    for one, other in pairs:
        products[one, other] = products[other, one] = np.array(next(read), dtype=float)
    member = np.array(feature.positions(cells))
    truth = np.array([positive[label] for label in labels])
    order = np.lexsort((truth, *bins[::-1], member))
    return Calibration(
        len(feature.groups),
        member[order],
        truth[order],
        bins[:, order],
        rows[order],
        sums[:, order],
        products[..., order],
    )


def _bin(score: str) -> str:
    """SQL for the bin of a score, which holds its upper edge; the edges are scikit-learn's."""
    import numpy as np

    edges = enumerate(np.linspace(0.0, 1.0, BINS + 1)[1:-1].tolist())
    ladder = " ".join(f"WHEN {score} <= {edge!r}e0 THEN {bin}" for bin, edge in edges)
    return f"CASE {ladder} ELSE {BINS - 1} END"


def _gather(values: Array, at: Array, size: int) -> Array:
    """Sums of values, shape (..., cells), by position: shape (..., size)."""
    import numpy as np

    order = np.argsort(at, kind="stable")
    there, starts = np.unique(at[order], return_index=True)
    sums = np.zeros((*values.shape[:-1], size), dtype=values.dtype)
    sums[..., there] = np.add.reduceat(values[..., order], starts, axis=-1)
    return sums
