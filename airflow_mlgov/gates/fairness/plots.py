"""Draws rates by group with their intervals and what the bound allows, as SVG elements for the report. Draws nothing
that the evidence does not hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow_mlgov.figures import Mark, draw, state_in
from airflow_mlgov.gates.fairness.metrics import FAIRNESS_METRICS, FairnessMetric
from airflow_mlgov.results import Bound, Check


def draw_rates(checks: Iterable[Check], details: Mapping[str, Any], confidence: float) -> dict[str, str]:
    """Caption -> SVG, one for each feature and bounded measure.

    :param details: of the gate's evidence: rates and intervals by feature and group
    :param confidence: level of the intervals
    """
    figures: dict[str, str] = {}
    for check in checks:
        base, _, feature = check.name.removesuffix("]").partition("[")
        metric = FAIRNESS_METRICS.get(base)
        if metric is None or not isinstance(check.bound, Bound) or feature not in details["rates"]:
            continue
        for measure in metric.measures:
            rates = {group: of.get(measure) for group, of in details["rates"][feature].items()}
            known = {group: value for group, value in rates.items() if value is not None}
            if not known:
                continue
            intervals = {group: of.get(measure) for group, of in details["intervals"][feature].items()}
            caption = f"{measure} by {feature}, with intervals at {confidence}; {_band_text(metric, check)}"
            figures[caption] = _figure(known, intervals, _band(metric, check.bound, list(known.values())), check)
    return figures


def _figure(
    rates: Mapping[str, float],
    intervals: Mapping[str, Sequence[float] | None],
    band: tuple[float, float] | None,
    check: Check,
) -> str:
    marks = []
    for group in sorted(rates, key=lambda group: rates[group]):
        low, high = tuple(intervals.get(group) or (rates[group], rates[group]))
        marks.append(Mark(group, rates[group], low, high, _state(band, rates[group], (low, high), max(rates.values()))))
    return draw(check.name, marks, band)


def _state(band: tuple[float, float] | None, value: float, ends: tuple[float, float], top: float) -> str:
    """A group's own state. Where groups are held to the highest of them, nothing is too high."""
    least, most = band or (None, None)
    return state_in(least, None if most == top else most, value, ends)


def _band(metric: FairnessMetric, bound: Bound, values: Sequence[float]) -> tuple[float, float] | None:
    """Where every group must lie, given the largest value (of a difference or ratio between groups)."""
    top = max(values)
    if metric.how == "difference" and bound.max is not None:
        return top - bound.max, top
    if metric.how == "ratio" and bound.min is not None:
        return top * bound.min, top
    if metric.how == "group_min" and bound.min is not None:
        return bound.min, max(1.0, top)
    if metric.how == "group_max" and bound.max is not None:
        return min(0.0, min(values)), bound.max
    return None


def _band_text(metric: FairnessMetric, check: Check) -> str:
    shaded = ", shaded: where every group must lie, given the highest" if metric.how in ("difference", "ratio") else ""
    return f"{check.name} must be {check.bound}: {check.outcome}{shaded}"
