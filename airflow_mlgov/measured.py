"""What a check has measured and what it allows, in the words that every place shares: forms, reports, logs, commands,
messages and the board. The one place that rounds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_mlgov.results import Check

_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')
_MOSTLY = re.compile(r"(?:^|, )mostly=(\d+(?:\.\d+)?(?:e-?\d+)?)(?=, |$)")
_COUNTED = re.compile(r"\d+ of \d+ values \(\S+ %\) do not meet the expectation|mostly=\S+ allows \S+ %")


def number(value: Any) -> str:
    """A value for people: four figures of a fraction, thousands apart; empty if there is none."""
    if value is None or isinstance(value, bool | str):
        return "" if value is None else str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if abs(value) < 10_000 or value != value else f"{value:,.0f}"


def interval(check: Check) -> str:
    """The interval of a value, ``0.81 to 0.86``; empty if it has none."""
    ends = check.values.get("interval")
    low, high = (ends.get("low"), ends.get("high")) if isinstance(ends, Mapping) else (None, None)
    return "" if low is None or high is None else f"{number(low)} to {number(high)}"


def observed(check: Check) -> str:
    """What was measured: of an expectation about each value, how many are unexpected of how many."""
    counts = _counted(check)
    return number(check.observed) if counts is None else f"{counts[0]:,} of {counts[1]:,} unexpected"


def allowed(check: Check) -> str:
    """What it was held to."""
    if check.bound is None:
        return ""
    if _counted(check) is None:
        return str(check.bound)
    share = _allowed_share(str(check.bound))
    return "" if share is None else f"at most {number(share)} % allowed"


def demand(check: Check) -> str:
    """What each value was held to, of an expectation about each value; empty of other checks."""
    return "" if _counted(check) is None else str(check.bound)


def sentence(check: Check) -> str:
    """Both: ``0.83 (bound >= 0.75)``, or ``0 of 8,000 unexpected; at most 0 % allowed``."""
    said, held = observed(check), allowed(check)
    if _counted(check) is not None:
        return f"{said}; {held}" if held else said
    return f"{said or 'nothing'} (bound {held})" if held else said or "nothing"


def detail(check: Check) -> str:
    """Why it ended so, without what :func:`observed` and :func:`allowed` say."""
    if _counted(check) is None:
        return check.detail
    return "; ".join(part for part in check.detail.split("; ") if not _COUNTED.fullmatch(part))


def _counted(check: Check) -> tuple[int, int] | None:
    """How many values were unexpected, of how many that were judged."""
    bad, rows, missing = (check.values.get(name) for name in ("unexpected_count", "element_count", "missing_count"))
    if not all(isinstance(count, int | float) and count == count for count in (bad, rows)):
        return None
    return int(bad), int(rows) - int(missing if isinstance(missing, int | float) else 0)  # type: ignore[arg-type]


def _allowed_share(bound: str) -> float | None:
    """The percentage of unexpected values that the arguments of an expectation allow; None if they were cut."""
    found = _MOSTLY.search(_QUOTED.sub('""', bound))
    if found is None and bound.endswith("…"):
        return None
    return 0 if found is None else round(100 * (1 - float(found[1])), 10)
