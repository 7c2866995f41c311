"""All that the metrics of two classes are made of: how many rows have which label and prediction, and the sorted scores
of either label. Holds no rows, so it can be counted where they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from airflow_mlgov.gates.performance.calibration import Fit, recalibrated
from airflow_mlgov.gates.statistics.ranked import Ranked

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

NAMES = ("negative", "positive")


@dataclass(frozen=True)
class TwoClasses:
    """Rows that are judged together, each counting once."""

    counts: Array
    """How many rows have a label and a prediction, shape (2, 2)."""
    ranked: Ranked | None = None
    """None if there are no scores."""
    problems: tuple[str, ...] = ()
    """Missing or infinite values: nothing is computed then."""
    task: Literal["binary"] = "binary"
    classes: tuple[str, ...] = NAMES

    def __len__(self) -> int:
        return int(self.counts.sum())

    @property
    def positives(self) -> int:
        """Rows with a positive label."""
        return int(self.counts[1].sum())

    @property
    def predicted(self) -> int:
        """Rows that are predicted positive."""
        return int(self.counts[:, 1].sum())

    @property
    def scores(self) -> Ranked:
        """The scores, once it is known that there are some."""
        if self.ranked is None:
            raise ValueError("there are no scores")
        return self.ranked

    @cached_property
    def fit(self) -> Fit | None:
        """The recalibration of the scores, if there is one."""
        return recalibrated(self.scores)

    @property
    def cells(self) -> tuple[Array, Array]:
        """The pairs of label and prediction that occur, as ``2 * label + prediction``, and how often."""
        import numpy as np

        flat = self.counts.ravel()
        found = np.flatnonzero(flat)
        return found, flat[found]
