"""Estimates of groups that are nearly normal, of one model or of two on the same rows, beside that of all rows: means
and AUCs with their covariances, and draws of them. Knows no rows, only sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlgov.gates.fairness.disparity import Values
from airflow_mlgov.gates.fairness.resampling import SEED, resamples_of

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Whole:
    """The estimate of all rows together, whose rows are the groups' rows."""

    values: Array
    """Shape (models,)."""
    covariance: Array
    """Shape (models, models)."""
    across: Array
    """Covariance of a group's estimate of one model with this one of another, shape (groups, models, models)."""


@dataclass(frozen=True)
class Joint:
    """One measure of every group, independent between groups and paired between models: the candidate, and the
    champion where it is compared."""

    values: Array
    """Shape (models, groups); NaN where a group has none."""
    covariance: Array
    """Shape (groups, models, models)."""
    whole: Whole | None = None

    def measured(self) -> list[tuple[Values, Values]]:
        """Values and resampled values of each model.

        The draws are multivariate normal: independent noise by group, mixed by the Cholesky factor of the group's
        covariance; what all rows have in common with the groups is regressed on that noise, the rest added. Source:
        Anderson, An Introduction to Multivariate Statistical Analysis (3rd ed. 2003), section 2.5.
        """
        import numpy as np

        models, groups = self.values.shape
        generator = np.random.default_rng(SEED)
        size = resamples_of(groups)
        noise = np.stack([generator.standard_normal((size, groups)) for _ in range(models)])
        factor = _cholesky(self.covariance)
        samples = self.values[:, None] + np.einsum("gab,bng->ang", factor, noise)
        if self.whole is None:
            return [(Values(self.values[at]), Values(samples[at])) for at in range(models)]
        known = np.isfinite(self.covariance).all((1, 2), keepdims=True)
        loading = np.where(known, np.swapaxes(self.whole.across, 1, 2), 0.0) @ np.linalg.pinv(
            np.swapaxes(np.where(known, factor, 0.0), 1, 2), rcond=1e-9
        )
        rest = _cholesky(self.whole.covariance - np.einsum("gab,gcb->ac", loading, loading))
        whole = self.whole.values[:, None] + np.einsum("gab,bng->an", loading, noise)
        whole = whole + rest @ generator.standard_normal((models, size))
        return [
            (Values(self.values[at], np.asarray(self.whole.values[at])), Values(samples[at], whole[at]))
            for at in range(models)
        ]


def joint_means(rows: Array, sums: Array, products: Array) -> Joint:
    """Means by group, with the covariance of two means over the same rows: that of the rows, by their number.

    :param rows: shape (groups,)
    :param sums: of each model's values, shape (models, groups)
    :param products: sums of one model's value times another's, shape (models, models, groups)
    """
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        means, covariance = mean_of(rows, sums, products)
        mean, of_all = mean_of(rows.sum(keepdims=True), sums.sum(-1, keepdims=True), products.sum(-1, keepdims=True))
        across = covariance * (rows / rows.sum())[:, None, None]  # a group's mean is that share of the whole's
    return Joint(means, covariance, Whole(mean[:, 0], of_all[0], np.nan_to_num(across)))


def mean_of(rows: Array, sums: Array, products: Array) -> tuple[Array, Array]:
    """Means, shape (values, groups), and their covariance, shape (groups, values, values); see :func:`joint_means`."""
    import numpy as np

    means = sums / rows
    spread = (products / rows - means * means[:, None]) / np.maximum(rows - 1, 1)
    return means, np.moveaxis(spread, -1, 0)


def _cholesky(covariance: Array) -> Array:
    """The lower factor, of matrices that may be singular: two models may err alike. Shape (..., models, models)."""
    import numpy as np

    factor = np.zeros_like(covariance)
    for row in range(covariance.shape[-1]):
        for column in range(row + 1):
            done = (factor[..., row, :column] * factor[..., column, :column]).sum(-1)
            rest = covariance[..., row, column] - done
            if row == column:
                factor[..., row, row] = np.sqrt(np.maximum(rest, 0.0))
            else:
                pivot = factor[..., column, column]
                factor[..., row, column] = np.divide(rest, pivot, out=np.zeros_like(rest), where=pivot != 0)
    return factor
