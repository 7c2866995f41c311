"""Scores of two classes, each class sorted by itself: areas, precision and sums without an order of all rows. Works in
parts, so scores may lie in mapped files; whatever order the rows came in, the answers are the same to the last bit."""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.limits import deadline

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

PART = 1 << 17
"""Scores that are worked on at a time."""
_LOW_BITS = 17
_PAGES = 256
"""Pages of a mapped file that are read before they are let go."""


@dataclass(frozen=True)
class Area:
    """The area under a ROC curve, ties counted half."""

    value: float
    """NaN where there is only one class."""
    variance: float
    """DeLong's; NaN where a class has fewer than two rows."""


@dataclass(frozen=True)
class Ranked:
    """The scores of the rows with either label; finite, ascending."""

    positives: Array
    negatives: Array

    def __len__(self) -> int:
        return len(self.positives) + len(self.negatives)

    def outside(self, low: float, high: float) -> int:
        """How many scores are below or above."""
        import numpy as np

        sides = (self.positives, self.negatives)
        return sum(
            int(np.searchsorted(side, low)) + len(side) - int(np.searchsorted(side, high, "right")) for side in sides
        )

    @cached_property
    def area(self) -> Area:
        """The area, and its variance from the placements of the rows: exact, for twice a placement is a whole number.

        Source: DeLong, DeLong & Clarke-Pearson, Biometrics 44 (1988) 837-845, equations 4 to 6.
        """
        m, n = len(self.positives), len(self.negatives)
        if not m or not n:
            return Area(math.nan, math.nan)
        below, of_positives = _moments(self.positives, self.negatives)
        _, of_negatives = _moments(self.negatives, self.positives)
        variance = math.nan
        if min(m, n) > 1:
            variance = of_positives / (4 * n * n * m) + of_negatives / (4 * m * m * n)
        return Area(below / (2 * m * n), variance)

    @cached_property
    def average_precision(self) -> float:
        """The mean, over the positives, of the precision where their score is the threshold."""
        import numpy as np

        m, n = len(self.positives), len(self.negatives)
        sums = []
        for start, part in parts(self.positives):
            first = np.searchsorted(part, part) + start
            first[part == part[0]] = np.searchsorted(self.positives, part[0])
            true, false = m - first, n - _less(part, self.negatives)
            sums.append(float((true / (true + false)).sum()))
            _release(self.negatives)
        return math.fsum(sums) / m

    def total(self, of_positive: Callable[[Array], Array], of_negative: Callable[[Array], Array]) -> float:
        """The sum over all rows of a quantity of their score."""
        sides = ((self.positives, of_positive), (self.negatives, of_negative))
        return math.fsum(float(quantity(part).sum()) for side, quantity in sides for _, part in parts(side))

    def taken(self, positions: Array) -> tuple[Array, Array]:
        """Labels and scores of some of the rows: the negatives in their order, then the positives in theirs."""
        import numpy as np

        label = positions >= len(self.negatives)
        score = np.empty(len(positions))
        score[~label] = _at(self.negatives, positions[~label])
        score[label] = _at(self.positives, positions[label] - len(self.negatives))
        return label.astype(np.int8), score


def rank(label: Array, score: Array) -> Ranked:
    """Rows as they come, sorted.

    :param label: 0 and 1, shape (rows,)
    :param score: finite, shape (rows,)
    """
    import numpy as np

    positive = label.astype(bool)
    return Ranked(np.sort(score[positive]), np.sort(score[~positive]))


def parts(values: Array) -> Iterator[tuple[int, Array]]:
    """Where each part begins, and the part."""
    until = deadline()
    for start in range(0, len(values), PART):
        until.check("ranking")
        yield start, values[start : start + PART]
        _release(values)


def _release(values: Array) -> None:
    """Let go of the pages of a mapped file, which count as memory once they have been read."""
    mapped = getattr(values, "_mmap", None)
    if mapped is not None:
        mapped.madvise(mmap.MADV_DONTNEED)


def _moments(needles: Array, among: Array) -> tuple[int, float]:
    """Of twice the placements of ``needles`` among the other class: the sum, and the variance."""
    total = squares = 0
    for _, part in parts(needles):
        twice = _less(part, among) + _less(part, among, "right")
        high, low = twice >> _LOW_BITS, twice & ((1 << _LOW_BITS) - 1)  # so that no sum of squares overflows
        total += int(twice.sum())
        squares += int((high * high).sum()) << 2 * _LOW_BITS
        squares += (int((high * low).sum()) << _LOW_BITS + 1) + int((low * low).sum())
        _release(among)
    count = len(needles)
    return total, (count * squares - total * total) / (count * (count - 1)) if count > 1 else math.nan


def _less(part: Array, among: Array, side: Any = "left") -> Array:
    """How many of ``among`` are less than each (or, from the right, not more); both ascend."""
    import numpy as np

    low, high = np.searchsorted(among, part[0]), np.searchsorted(among, part[-1], "right")
    found: Array = low + np.searchsorted(among[low:high], part, side)
    return found


def _at(values: Array, positions: Array) -> Array:
    """Values by position, read in their order."""
    import numpy as np

    found = np.empty(len(positions))
    for some in np.array_split(np.argsort(positions), 1 + len(positions) // _PAGES):
        found[some] = values[positions[some]]
        _release(values)
    return found
