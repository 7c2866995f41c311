"""What of a fairness evaluation goes into the evidence: aggregates, with the counts that could point at a person left
out."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from itertools import product
from typing import Any

from airflow_mlgov.gates.fairness.estimates import Estimates
from airflow_mlgov.gates.fairness.judging import Rules
from airflow_mlgov.gates.fairness.metrics import DENOMINATORS
from airflow_mlgov.gates.statistics.intervals import percentile, wilson

Groups = Sequence[tuple[int, str]]
"""Positions and names."""


def published(rows: int, rules: Rules, judged: Sequence[Estimates], suppress_below: int) -> dict[str, Any]:
    """The details of the gate's result."""
    sound = [each for each in judged if not each.feature.problem]
    listed = [(each.feature.name, each, each.listed(rules.reference_of(each.feature))) for each in sound]
    unnamed = {each.feature.name: len(each.feature.hidden) for each in sound if each.feature.hidden}
    details: dict[str, Any] = {
        "rows": rows,
        "method": rules.method,
        "reference": dict(rules.reference),
        "rates": {name: _rates(each, groups) for name, each, groups in listed},
        "intervals": {name: _intervals(each, groups, rules.confidence) for name, each, groups in listed},
        "counts": {name: _counts(each, groups, suppress_below) for name, each, groups in listed},
        "counts_note": f"n is null where it is below {suppress_below}, so that no cell points at a person",
    }
    more = {name: _not_all(each, groups, suppress_below) for name, each, groups in listed}
    if any(more.values()):
        details["groups"] = {name: said for name, said in more.items() if said}
    if unnamed:
        why = f"fewer than {suppress_below} rows each, so that no name points at a person"
        details["unnamed_groups"] = {"groups": unnamed, "why": why}
    return details


def every_group(each: Estimates, suppress_below: int) -> list[str]:
    """A line of JSON for each group that may be named: its measures and, by label and prediction, its rows."""
    measured = [
        (f"{name} of {item.of_class}" if item.of_class else name, item.values.groups.tolist())
        for name, items in each.measures.items()
        for item in items
    ]
    cells = each.counts["rows"] if each.confusion is None else each.confusion
    rows: list[list[int]] = cells.reshape(len(cells), -1).tolist()
    lines = []
    for at, group in each.feature.positioned:
        values = {name: found[at] if math.isfinite(found[at]) else None for name, found in measured}
        lines.append(json.dumps([group, values, [n if n >= suppress_below else None for n in rows[at]]]))
    return lines


def _not_all(each: Estimates, groups: Groups, suppress_below: int) -> dict[str, Any]:
    """How many groups there are and what binds them, where not all are listed."""
    if len(groups) == len(each.feature.positioned):
        return {}
    text = "\n".join(every_group(each, suppress_below))
    return {
        "all": len(each.feature.positioned),
        "listed": len(groups),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }


def _rates(each: Estimates, groups: Groups) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {group: {} for _, group in groups}
    for name, measured in each.measures.items():
        for item in measured:
            key = f"{name} of {item.of_class}" if item.of_class else name
            for at, group in groups:
                value = float(item.values.groups[at])
                found[group][key] = value if math.isfinite(value) else None
    return found


def _intervals(each: Estimates, groups: Groups, confidence: float) -> dict[str, dict[str, list[float]]]:
    """Wilson's interval of a rate, the resampled one of anything else and of rows with weights; of the groups that
    have an estimate."""
    found: dict[str, dict[str, list[float]]] = {group: {} for _, group in groups}
    for name, measured in each.measures.items():
        for item in measured:
            key = f"{name} of {item.of_class}" if item.of_class else name
            for at, group in groups:
                value = float(item.values.groups[at])
                if not math.isfinite(value):
                    continue
                trials = each.counts.get(DENOMINATORS.get(name, "")) if each.weights is None else None
                interval = (
                    percentile(item.samples.groups[:, at], confidence)
                    if trials is None
                    else wilson(round(value * int(trials[at])), int(trials[at]), confidence)
                )
                found[group][key] = [interval.low, interval.high]
    return found


def _counts(each: Estimates, groups: Groups, suppress_below: int) -> list[dict[str, Any]]:
    if each.confusion is None:
        rows = each.counts["rows"]
        return [{"group": group, "n": int(rows[at]) if rows[at] >= suppress_below else None} for at, group in groups]
    return [
        {
            "group": group,
            "label": label,
            "prediction": prediction,
            "n": n if (n := int(each.confusion[at, label, prediction])) >= suppress_below else None,
        }
        for at, group in groups
        for label, prediction in product((0, 1), repeat=2)
    ]
