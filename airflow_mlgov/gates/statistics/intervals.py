"""Confidence intervals and how a bound is held against one: wholly inside passes, wholly outside fails, and one that
straddles the bound decides nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.results import Bound, Outcome

if TYPE_CHECKING:
    import numpy as np

Decide = Literal["interval", "point"]
DECIDE: tuple[Decide, ...] = ("interval", "point")


@dataclass(frozen=True)
class Interval:
    """A two-sided confidence interval; an end is NaN where it cannot be computed."""

    low: float
    high: float
    confidence: float = 0.95
    method: str = "bootstrap"
    """``bootstrap``, ``delong``, ``wilson`` …"""

    @property
    def is_defined(self) -> bool:
        """Whether both ends are numbers."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def as_dict(self) -> dict[str, Any]:
        """JSON form, for ``Check.values``."""
        return {"low": self.low, "high": self.high, "confidence": self.confidence, "method": self.method}

    def __str__(self) -> str:
        return f"{self.confidence:.4g} interval {self.low:.4g} to {self.high:.4g}"


def judge(bound: Bound, observed: float | None, interval: Interval | None, decide: Decide = "interval") -> Outcome:
    """How a bound ends on an estimate.

    :param decide: ``interval``: PASS where all of the interval lies within the bound, FAIL where none of it does,
        INCONCLUSIVE where it straddles an end or is not defined. ``point``: the estimate alone is held against it
    """
    if decide == "point":
        return bound.judge(observed)
    if observed is None or interval is None or not interval.is_defined:
        return Outcome.INCONCLUSIVE
    low = -math.inf if bound.min is None else bound.min
    high = math.inf if bound.max is None else bound.max
    if low <= interval.low and interval.high <= high:
        return bound.judge(observed)
    if interval.high < low or interval.low > high:
        return Outcome.FAIL
    return Outcome.INCONCLUSIVE


def percentile(samples: np.ndarray[Any, Any], confidence: float, method: str = "bootstrap") -> Interval:
    """The percentile interval of resampled estimates, shape (resamples,); samples that are NaN are left out, and where
    they are more than one in twenty nothing is claimed.

    Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
    """
    import numpy as np

    known = samples[np.isfinite(samples)]
    if len(known) < 0.95 * len(samples) or not len(known):
        return Interval(math.nan, math.nan, confidence, method)
    known = np.sort(known)
    low, high = (quantile(known, share) for share in ((1 - confidence) / 2, (1 + confidence) / 2))
    return Interval(low, high, confidence, method)


def quantile(values: np.ndarray[Any, Any], share: float) -> float:
    """What NumPy's ``quantile`` says of sorted numbers, to the bit; without the tenth of a second that it takes to
    import masked arrays.

    :param values: shape (n,), n >= 1, finite and in order
    """
    at = (len(values) - 1) * share
    below = int(at)
    part, low, high = at - below, float(values[below]), float(values[min(below + 1, len(values) - 1)])
    return high - (high - low) * (1 - part) if part >= 0.5 else low + (high - low) * part


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """The score interval of a proportion.

    Source: Wilson, J. Am. Stat. Assoc. 22 (1927) 209-212.
    """
    if not trials:
        return Interval(math.nan, math.nan, confidence, "wilson")
    z = z_of(confidence)
    share, scale = successes / trials, 1 + z * z / trials
    middle = (share + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return Interval(max(0.0, middle - half), min(1.0, middle + half), confidence, "wilson")


@cache
def z_of(confidence: float) -> float:
    """The normal quantile of a two-sided interval: 1.96 for 0.95."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def require_confidence(confidence: Any, decide: Any) -> None:
    """Refuse what is no confidence level, or no way to decide.

    :raises ConfigurationError: ``confidence`` is not within 0.5 to 1, or ``decide`` is neither interval nor point
    """
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0.5 <= confidence < 1:
        raise ConfigurationError(
            f"confidence must be at least 0.5 and below 1, such as 0.95, not {confidence!r}", code="setting.wrong"
        )
    if decide not in DECIDE:
        raise ConfigurationError(f'decide must be "interval" or "point", not {decide!r}', code="setting.wrong")
