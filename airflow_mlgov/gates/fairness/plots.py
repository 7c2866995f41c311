"""Draws rates by group with their intervals and what the bound allows, as SVG elements for the report. Draws nothing
that the evidence does not hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow_mlgov.gates.fairness.metrics import FAIRNESS_METRICS, FairnessMetric
from airflow_mlgov.results import Bound, Check
from airflow_mlgov.words import html

_LEFT, _WIDTH, _RIGHT, _ROW, _TOP, _BOTTOM = 180, 460, 90, 24, 10, 34
_MOST = 40
"""Groups that a figure shows; of more, those at both ends."""
_COLOURS = {"PASS": "#1a7f37", "FAIL": "#cf222e", "INCONCLUSIVE": "#9a6700", "ERROR": "#8250df"}


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
    ordered = sorted(rates, key=lambda group: rates[group])
    if len(ordered) > _MOST:
        ordered = ordered[: _MOST // 2] + ordered[-_MOST // 2 :]
    spans = [tuple(intervals.get(group) or (rates[group], rates[group])) for group in ordered]
    low = min(0.0, *(span[0] for span in spans))
    high = max(1.0 if low >= 0 else 0.0, *(span[1] for span in spans))
    scale = _WIDTH / ((high - low) or 1.0)

    def x(value: float) -> float:
        return round(_LEFT + (min(max(value, low), high) - low) * scale, 1)

    height = _TOP + _ROW * len(ordered) + _BOTTOM
    bottom = height - _BOTTOM
    parts: list[str] = []
    if band is not None:
        left, right = x(band[0]), x(band[1])
        parts.append(
            f'<rect x="{left}" y="{_TOP}" width="{max(right - left, 1):.1f}" height="{bottom - _TOP}" fill="#1a7f37" '
            'fill-opacity=".14"/>'
        )
    for tick in range(5):
        value = low + (high - low) * tick / 4
        parts.append(f'<path d="M{x(value)} {_TOP}V{bottom}" stroke="currentColor" stroke-opacity=".2"/>')
        parts.append(_text(x(value), bottom + 18, f"{value:.3g}", "middle"))
    colour = _COLOURS[str(check.outcome)]
    for row, (group, span) in enumerate(zip(ordered, spans, strict=True)):
        y = _TOP + _ROW * row + _ROW / 2
        parts.append(_text(_LEFT - 10, y + 4, group if len(group) <= 24 else f"{group[:23]}…", "end"))
        parts.append(f'<path d="M{x(span[0])} {y}H{x(span[1])}" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<circle cx="{x(rates[group])}" cy="{y}" r="4" fill="{colour}"/>')
        parts.append(_text(_LEFT + _WIDTH + 10, y + 4, f"{rates[group]:.4g}", "start"))
    total = _LEFT + _WIDTH + _RIGHT
    return (
        f'<svg role="img" aria-label="{html(check.name)}" viewBox="0 0 {total} {height}" width="{total}" '
        f'height="{height}" font-family="system-ui, sans-serif" font-size="12">{"".join(parts)}</svg>'
    )


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


def _text(x: float, y: float, words: Any, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="currentColor">{html(words)}</text>'
