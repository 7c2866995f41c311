"""The grammar of what the evaluation gate bounds: a statistic of a column's scores. Refuses names that mean none."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import VS_CHAMPION, WORST_SLICE, MetricBound
from airflow_mlgov.gates.protocol import OpenMetrics
from airflow_mlgov.results import Bound

How = Literal["rate", "mean", "quantile", "abstention"]
Ending = Literal["", "_vs_champion", "_worst_slice"]

ABSTENTION = "abstention_rate"
"""The share of examples that lack a score in some judged column; ``<column>_abstention_rate`` is of one column."""
ABSTENTION_ALLOWED = Bound(max=0.05, source="default")
"""What bounds :data:`ABSTENTION` if nobody bounds it otherwise."""

_METRIC = re.compile(
    r"(?P<column>.+?)_(?:(?P<abstention>abstention_rate)|(?P<rate>rate)(?:\[(?P<category>.+)\])?|(?P<mean>mean)"
    r"|p(?P<quantile>0[1-9]|[1-9][0-9]))"
)

_BOUNDED = r".+(?:_rate(?:\[.+\])?|_mean|_p(?:0[1-9]|[1-9][0-9]))"
METRICS = OpenMetrics(
    [f"{_BOUNDED}(?:{WORST_SLICE})?", f"{_BOUNDED}{VS_CHAMPION}"],
    ["<column>_rate", "<column>_rate[<category>]", "<column>_mean", "<column>_p95", ABSTENTION],
)
"""What may be bounded, each also with ``_worst_slice`` and ``_vs_champion``."""


@dataclass(frozen=True)
class Statistic:
    """What one bound is about."""

    how: How
    column: str | None
    """None: all judged columns together, of ``abstention_rate``."""
    category: str | None = None
    """Whose share is meant; None: that of true, of yes, of pass."""
    quantile: float | None = None
    """Such as 0.95."""
    ending: Ending = ""

    @property
    def name(self) -> str:
        """As a bound names it, without the ending."""
        if self.column is None:
            return ABSTENTION
        if self.how == "rate":
            return f"{self.column}_rate" + (f"[{self.category}]" if self.category is not None else "")
        if self.how == "quantile" and self.quantile is not None:
            return f"{self.column}_p{round(100 * self.quantile):02d}"
        return f"{self.column}_{'mean' if self.how == 'mean' else ABSTENTION}"


def statistic_of(metric: str) -> Statistic:
    """What a bound's name means. Of several readings the shortest column counts: ``a_rate[b_rate[c]]`` is the share of
    ``b_rate[c]`` in ``a``.

    :raises ConfigurationError: it names no statistic
    """
    ending: Ending = ""
    for known in (VS_CHAMPION, WORST_SLICE):
        if metric.endswith(known):
            ending = "_vs_champion" if known == VS_CHAMPION else "_worst_slice"
    base = metric.removesuffix(ending)
    if base == ABSTENTION:
        return Statistic("abstention", None, ending=ending)
    found = _METRIC.fullmatch(base)
    if found is None:
        raise ConfigurationError(
            f'"{metric}" names no statistic of a column: write <column>_rate, <column>_rate[<category>], '
            f"<column>_mean, <column>_p05 to _p99, or {ABSTENTION}",
            code="bound.unknown",
        )
    if found["abstention"]:
        return Statistic("abstention", found["column"], ending=ending)
    if found["rate"]:
        return Statistic("rate", found["column"], found["category"], ending=ending)
    if found["mean"]:
        return Statistic("mean", found["column"], ending=ending)
    return Statistic("quantile", found["column"], quantile=int(found["quantile"]) / 100, ending=ending)


def judged_columns(bounds: Iterable[MetricBound]) -> tuple[str, ...]:
    """The columns that some bound is about, in the order of the bounds."""
    found = (statistic_of(item.metric).column for item in bounds)
    return tuple(dict.fromkeys(column for column in found if column is not None))


def compared_columns(bounds: Iterable[MetricBound]) -> tuple[str, ...]:
    """The columns of which the champion's scores are needed."""
    given = tuple(bounds)
    relative = [item for item in given if item.relative_to_champion]
    together = any(statistic_of(item.metric).column is None for item in relative)
    return judged_columns(given if together else relative)


def with_default(bounds: Iterable[MetricBound]) -> tuple[MetricBound, ...]:
    """The bounds, and the default one of abstentions if there is none."""
    given = tuple(bounds)
    if any(item.metric == ABSTENTION for item in given):
        return given
    return (*given, MetricBound(ABSTENTION, ABSTENTION_ALLOWED))


def nearest(word: Any, known: Iterable[str]) -> str | None:
    """The known word that is so near that the other is probably a slip of it."""
    folded = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(str(word).casefold(), folded, n=1, cutoff=0.75)
    return folded[near[0]] if near else None
