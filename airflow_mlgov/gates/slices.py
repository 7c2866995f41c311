"""Rows cut by a column's values, or by the crossed values of several, and one bound held against every slice. Refuses
to judge slices with too few rows, and to pass if too many rows are in such."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from airflow_mlgov.data.labels import distinct
from airflow_mlgov.data.limits import deadline
from airflow_mlgov.data.values import keys_of
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import settle
from airflow_mlgov.gates.statistics.intervals import Interval
from airflow_mlgov.results import WORST_FIRST, Bound, Check, Outcome, Severity

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MISSING = "(missing)"
"""The slice of the rows without a value."""

_LISTED = 50
_MOST_SLICES = 1000


class Estimated(Protocol):
    """A number with its interval, or the reason why there is none."""

    @property
    def value(self) -> float | None:
        """The number."""

    @property
    def interval(self) -> Interval | None:
        """How sure it is."""

    @property
    def reason(self) -> str:
        """Why there is no number."""

    @property
    def outcome(self) -> Outcome:
        """How a check on it ends when there is no number."""


@dataclass(frozen=True)
class SliceRules:
    """How the rows are cut, and what a slice needs."""

    columns: tuple[str, ...] = ()
    """Each a column, or columns joined by ``*``."""
    min_size: int = 30
    """Rows below which nothing about a slice is estimated."""
    max_share_left_out: float = 0.05
    """The share of the rows that may be in slices without an estimate."""
    suppress_below: int = 5
    """Slices with fewer rows are not named in the evidence, because a name could point at a person."""

    def __post_init__(self) -> None:
        for name, value in (("min_slice_size", self.min_size), ("suppress_below", self.suppress_below)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigurationError(
                    f"{name} must be a whole number of at least 1, not {value!r}", code="setting.wrong"
                )
        share = self.max_share_left_out
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
            raise ConfigurationError(
                f"max_share_left_out must be a share of rows from 0 to below 1, not {share!r}", code="setting.wrong"
            )
        if any(not isinstance(name, str) or not all(parts(name)) for name in self.columns):
            raise ConfigurationError(
                f"a slice is a column, or columns joined by *, not {list(self.columns)!r}", code="setting.wrong"
            )

    @property
    def least(self) -> int:
        """Rows that a slice needs."""
        return max(self.min_size, self.suppress_below)

    @property
    def needed(self) -> list[str]:
        """The columns to read."""
        return list(dict.fromkeys(part for name in self.columns for part in parts(name)))


@dataclass(frozen=True)
class Slice:
    """Rows with one value."""

    name: str
    """``region=north``, or ``sex=female*age_band=youth``; in a crossing, a value's own ``*`` is ``\\*``."""
    rows: int
    estimates: Mapping[str, Estimated] = field(default_factory=dict)
    """By metric; empty if the slice has too few rows."""


@dataclass(frozen=True)
class Sliced:
    """All the rows cut by one column, or by columns crossed."""

    by: str
    slices: tuple[Slice, ...]


def slice_rules(
    slices: Sequence[str] | str | None, min_size: int, max_share_left_out: float, suppress_below: int
) -> SliceRules:
    """Rules as people write them.

    :raises ConfigurationError: a name or a number is not what it should be
    """
    named = [slices] if isinstance(slices, str) else list(slices or ())
    return SliceRules(tuple(dict.fromkeys(named)), min_size, max_share_left_out, suppress_below)


def parts(name: str) -> list[str]:
    """The columns of a crossing."""
    return [part.strip() for part in name.split("*")]


def cut_by(
    table: pd.DataFrame,
    by: str,
    rules: SliceRules,
    estimates: Callable[[np.ndarray[Any, Any]], Mapping[str, Estimated]],
) -> Sliced:
    """Estimate on every slice that has enough rows.

    :param estimates: positions of a slice's rows -> metric -> estimate
    """
    found, until = [], deadline()
    for name, rows in positions(table, by):
        until.check(f"estimating the slices of {by}")
        found.append(Slice(name, len(rows), estimates(rows) if len(rows) >= rules.least else {}))
    return Sliced(by, tuple(found))


def positions(table: pd.DataFrame, by: str) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """The name of each slice and its rows' positions.

    :raises ConfigurationError: there are so many slices that the column must be something else
    """
    import numpy as np
    import pandas as pd

    columns = parts(by)
    texts = [_texts(table[column], crossed=len(columns) > 1) for column in columns]
    joined = texts[0] if len(texts) == 1 else texts[0].str.cat(texts[1:], sep="*")
    codes, names = pd.factorize(joined, sort=True)
    if len(names) > _MOST_SLICES:
        raise ConfigurationError(
            f"{by} makes {len(names)} slices, more than {_MOST_SLICES}: group its values first", code="slice.too_many"
        )
    order, ends = np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes, minlength=len(names)))
    for name, rows in zip(names, np.split(order, ends[:-1]), strict=True):
        yield str(name), rows


def worst_slice_check(
    name: str,
    metric: str,
    bound: Bound,
    severity: Severity,
    cuts: Sequence[Sliced],
    rules: SliceRules,
    judged: Callable[[Bound, Estimated], Outcome],
) -> Check:
    """Hold every slice against the bound; what is observed is the slice that is nearest to it or farthest past it.

    INCONCLUSIVE too if a cut has one slice alone, or leaves out more rows than the rules allow.

    :param judged: how the bound ends on an estimate that has a number
    """
    if not cuts:
        detail = "no slices are named: name columns as slices"
        return Check(name, Outcome.ERROR, None, bound, severity, detail)
    known = [(item, item.estimates[metric]) for one in cuts for item in one.slices if metric in item.estimates]
    problems = [problem for one in cuts if (problem := _too_little(one, metric, rules))]
    values: dict[str, Any] = {"slices": {one.by: _recorded(one, metric, rules) for one in cuts}}
    broken = [(item, found) for item, found in known if found.value is None and found.outcome is Outcome.ERROR]
    if broken:
        item, found = broken[0]
        return Check(name, Outcome.ERROR, None, bound, severity, f"{item.name}: {found.reason}", values)
    numbered = [(item, found) for item, found in known if found.value is not None]
    if not numbered:
        return Check(name, Outcome.INCONCLUSIVE, None, bound, severity, "; ".join(problems), values)
    item, worst = min(numbered, key=lambda pair: _badness(bound, pair[1], judged))
    outcome = judged(bound, worst)
    values |= {"worst": item.name, "n": item.rows, "interval": worst.interval and worst.interval.as_dict()}
    detail = f"{item.name}, {item.rows} rows, the worst of {len(numbered)} slices"
    if outcome is Outcome.PASS and problems:
        outcome = Outcome.INCONCLUSIVE
    observed = settle(worst.value or 0.0)
    return Check(name, outcome, observed, bound, severity, "; ".join([detail, *problems]), values)


def _texts(column: pd.Series, *, crossed: bool) -> pd.Series:
    keys = keys_of(distinct(column.dropna(), "slice"))
    named = {value: f"{column.name}={_apart(key.written, crossed=crossed)}" for value, key in keys.items()}
    return column.map(named).astype(object).where(column.notna(), f"{column.name}={MISSING}")


def _apart(text: str, *, crossed: bool) -> str:
    """A value's name, told from every other value's, from a crossing and from :data:`MISSING` by backslashes."""
    if crossed:
        text = text.replace("\\", "\\\\").replace("*", "\\*")
    return f"\\{text}" if text.lstrip("\\") == MISSING else text


def _badness(bound: Bound, estimate: Estimated, judged: Callable[[Bound, Estimated], Outcome]) -> tuple[int, float]:
    """Smaller is worse: first by outcome, then by how far inside the bound the value lies."""
    value = estimate.value or 0.0
    inside = [
        value - bound.min if bound.min is not None else math.inf,
        bound.max - value if bound.max is not None else math.inf,
    ]
    return WORST_FIRST.index(judged(bound, estimate)), min(inside)


def _too_little(cut: Sliced, metric: str, rules: SliceRules) -> str:
    """Why the slices say too little about the rows."""
    rows = sum(item.rows for item in cut.slices)
    without = [item for item in cut.slices if not _has_value(item, metric)]
    left_out = sum(item.rows for item in without)
    if len(cut.slices) < 2:
        return f"{cut.by} has one slice only: nothing is cut"
    if len(without) == len(cut.slices):
        return f"no slice of {cut.by} can be estimated"
    if left_out > rules.max_share_left_out * rows:
        return (
            f"{left_out} of {rows} rows are in slices of {cut.by} that cannot be estimated, more than the share of "
            f"{rules.max_share_left_out:g} that may be left out"
        )
    return ""


def _has_value(item: Slice, metric: str) -> bool:
    return metric in item.estimates and item.estimates[metric].value is not None


def _recorded(cut: Sliced, metric: str, rules: SliceRules) -> dict[str, Any]:
    """The slices for the evidence: values, and which are left out and why."""
    known = sorted(
        (item for item in cut.slices if _has_value(item, metric)), key=lambda item: item.estimates[metric].value or 0
    )
    without = [item for item in cut.slices if not _has_value(item, metric)]
    named = [item for item in without if item.rows >= rules.suppress_below]
    hidden = [item for item in without if item.rows < rules.suppress_below]
    shown = known if len(known) <= _LISTED else [*known[: _LISTED // 2], *known[-_LISTED // 2 :]]
    left_out = [{"slice": item.name, "n": item.rows, "why": _why(item, metric, rules)} for item in named[:_LISTED]]
    return {
        "estimated": len(known),
        "values": [_entry(item, item.estimates[metric]) for item in shown],
        "left_out": left_out,
        "left_out_slices": len(without),
        "left_out_rows": sum(item.rows for item in without),
        "unnamed": {"slices": len(hidden), "why": f"fewer than {rules.suppress_below} rows each"},
    }


def _entry(item: Slice, estimate: Estimated) -> dict[str, Any]:
    interval = None if estimate.interval is None else estimate.interval.as_dict()
    return {"slice": item.name, "n": item.rows, "value": estimate.value, "interval": interval}


def _why(item: Slice, metric: str, rules: SliceRules) -> str:
    if metric not in item.estimates:
        return f"fewer than {rules.least} rows"
    return item.estimates[metric].reason
