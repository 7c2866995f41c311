"""Draws values with their intervals, a row each, against what is allowed, as one SVG element: the one figure of reports
and pages. An outcome is told by shape and colour; whoever shows a figure shows its numbers as a table too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_mlgov.words import html

_LEFT, _WIDTH, _RIGHT, _ROW, _TOP, _BOTTOM = 180, 460, 90, 24, 10, 34
_MOST = 40
"""Rows that a figure shows; of more, those at both ends."""
_COLOURS = {"PASS": "#1a7f37", "FAIL": "#cf222e", "INCONCLUSIVE": "#9a6700", "ERROR": "#8250df"}


@dataclass(frozen=True)
class Mark:
    """One row: a value, and the interval that it lies in."""

    label: str
    value: float
    low: float
    high: float
    outcome: str
    """``PASS``, ``FAIL``, ``INCONCLUSIVE`` or ``ERROR``."""


def state_in(least: float | None, most: float | None, value: float, ends: tuple[float, float]) -> str:
    """What one row is by itself, against what is allowed: inside, outside, or both by its interval."""

    def lies(low: float, high: float) -> bool:
        return (least is None or low >= least - 1e-9) and (most is None or high <= most + 1e-9)

    if not lies(value, value):
        return "FAIL"
    return "PASS" if lies(*ends) else "INCONCLUSIVE"


def draw(label: str, marks: Sequence[Mark], band: tuple[float, float] | None, start: float | None = 0.0) -> str:
    """The figure.

    :param label: what it is called by who cannot see it
    :param marks: in their order, finite numbers; not empty
    :param band: what is allowed, shaded
    :param start: a value that is on the axis whatever is drawn; with 0, so is 1
    """
    shown = [*marks[: _MOST // 2], *marks[-_MOST // 2 :]] if len(marks) > _MOST else marks
    ends = [end for mark in shown for end in (mark.low, mark.high)] + ([] if start is None else [start])
    low, high = min(ends), max(ends)
    if start == 0.0:
        high = max(1.0 if low >= 0 else 0.0, high)
    elif band is not None:
        low, high = min(low, band[0]), max(high, band[1])
    scale = _WIDTH / ((high - low) or 1.0)

    def x(value: float) -> float:
        return round(_LEFT + (min(max(value, low), high) - low) * scale, 1)

    height = _TOP + _ROW * len(shown) + _BOTTOM
    bottom = height - _BOTTOM
    parts: list[str] = []
    if band is not None:
        left, right = x(band[0]), x(band[1])
        parts.append(
            f'<rect class="band" x="{left}" y="{_TOP}" width="{max(right - left, 1):.1f}" height="{bottom - _TOP}" '
            'fill="#1a7f37" fill-opacity=".14"/>'
        )
    for tick in range(5):
        value = low + (high - low) * tick / 4
        parts.append(f'<path d="M{x(value)} {_TOP}V{bottom}" stroke="currentColor" stroke-opacity=".2"/>')
        parts.append(_text(x(value), bottom + 18, f"{value:.3g}", "middle"))
    for row, mark in enumerate(shown):
        y = _TOP + _ROW * row + _ROW / 2
        colour = _COLOURS.get(mark.outcome, _COLOURS["ERROR"])
        parts.append(_text(_LEFT - 10, y + 4, mark.label if len(mark.label) <= 22 else f"{mark.label[:21]}…", "end"))
        parts.append(
            f'<g class="{html(mark.outcome)}" stroke="{colour}" fill="{colour}"><path d="M{x(mark.low)} '
            f'{y}H{x(mark.high)}" stroke-width="2"/>{_point(x(mark.value), y, mark.outcome)}</g>'
        )
        parts.append(_text(_LEFT + _WIDTH + 10, y + 4, f"{mark.value:.4g}", "start"))
    total = _LEFT + _WIDTH + _RIGHT
    return (
        f'<svg role="img" aria-label="{html(label)}" viewBox="0 0 {total} {height}" width="{total}" '
        f'height="{height}" font-family="system-ui, sans-serif" font-size="12">{"".join(parts)}</svg>'
    )


def _point(x: float, y: float, outcome: str) -> str:
    if outcome == "PASS":
        return f'<circle cx="{x}" cy="{y}" r="4"/>'
    if outcome == "FAIL":
        return f'<path d="M{x - 5} {y - 5}l10 10m0 -10l-10 10" fill="none" stroke-width="2.5"/>'
    return f'<path d="M{x} {y - 5.5}l5.5 5.5l-5.5 5.5l-5.5 -5.5z"/>'


def _text(x: float, y: float, words: Any, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="currentColor" stroke="none">{html(words)}</text>'
