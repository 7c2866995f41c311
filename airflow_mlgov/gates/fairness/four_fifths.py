"""The four-fifths rule with its significance test: a ratio below 0.8 that chance alone explains is no adverse impact
yet, and one above it may still be significant. Screening only."""

from __future__ import annotations

import math
from dataclasses import dataclass

from airflow_mlgov.results import Bound

BOUND = Bound(min=0.8, source="four-fifths rule, screening only")
"""Source: Uniform Guidelines on Employee Selection Procedures (1978), 29 CFR 1607.4 D."""

SIGNIFICANCE = 0.05
_SMALL = 10
"""An expected count below this makes the test exact."""


@dataclass(frozen=True)
class Significance:
    """Whether two selection rates differ by more than chance."""

    test: str
    p_value: float
    """Two-sided."""
    deviations: float
    """The difference in standard deviations, as courts put it."""

    @property
    def is_significant(self) -> bool:
        """At 5 %."""
        return self.p_value < SIGNIFICANCE


def significance(selected: tuple[int, int], rows: tuple[int, int]) -> Significance:
    """Test two groups' selection rates: Fisher's exact test where an expected count is below 10, otherwise the
    two-proportion z-test with a pooled variance.

    :param selected: how many are selected in each group
    :param rows: how many there are in each group
    """
    (a, b), (n, m) = selected, rows
    pooled = (a + b) / (n + m)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    deviations = (a / n - b / m) / spread if spread else 0.0
    expected = min(size * share for size in (n, m) for share in (pooled, 1 - pooled))
    if expected < _SMALL:
        return Significance("Fisher's exact test", fisher(a, n, b, m), deviations)
    return Significance("two-proportion z-test", math.erfc(abs(deviations) / math.sqrt(2)), deviations)


def fisher(a: int, n: int, b: int, m: int) -> float:
    """The two-sided p-value of Fisher's exact test for ``a`` of ``n`` against ``b`` of ``m``: the probability, given
    the margins, of all tables that are no likelier than this one."""
    drawn = a + b

    def log_choose(size: int, taken: int) -> float:
        return math.lgamma(size + 1) - math.lgamma(taken + 1) - math.lgamma(size - taken + 1)

    everything = log_choose(n + m, drawn)
    chances = [
        math.exp(log_choose(n, k) + log_choose(m, drawn - k) - everything)
        for k in range(max(0, drawn - m), min(n, drawn) + 1)
    ]
    this = chances[a - max(0, drawn - m)]
    return min(1.0, sum(chance for chance in chances if chance <= this * (1 + 1e-7)))
