"""What of a fairness evaluation goes into the evidence: aggregates, with the counts that could point at a person left
out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

from airflow_mlgov.gates.fairness.estimates import Estimates
from airflow_mlgov.gates.fairness.judging import Rules
from airflow_mlgov.gates.fairness.metrics import DENOMINATORS
from airflow_mlgov.gates.statistics.intervals import percentile, wilson


def published(rows: int, rules: Rules, judged: Sequence[Estimates], suppress_below: int) -> dict[str, Any]:
    """The details of the gate's result."""
    sound = [each for each in judged if not each.feature.problem]
    unnamed = {each.feature.name: len(each.feature.hidden) for each in sound if each.feature.hidden}
    details: dict[str, Any] = {
        "rows": rows,
        "method": rules.method,
        "reference": dict(rules.reference),
        "rates": {each.feature.name: _rates(each) for each in sound},
        "intervals": {each.feature.name: _intervals(each, rules.confidence) for each in sound},
        "counts": {each.feature.name: _counts(each, suppress_below) for each in sound},
        "counts_note": f"n is null where it is below {suppress_below}, so that no cell points at a person",
    }
    if unnamed:
        why = f"fewer than {suppress_below} rows each, so that no name points at a person"
        details["unnamed_groups"] = {"groups": unnamed, "why": why}
    return details


def _rates(each: Estimates) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {group: {} for group in each.feature.named}
    for name, measured in each.measures.items():
        for item in measured:
            key = f"{name} of {item.of_class}" if item.of_class else name
            for at, group in each.feature.positioned:
                value = float(item.values.groups[at])
                found[group][key] = value if math.isfinite(value) else None
    return found


def _intervals(each: Estimates, confidence: float) -> dict[str, dict[str, list[float]]]:
    """Wilson's interval of a rate, the resampled one of anything else and of rows with weights; of the groups that
    have an estimate."""
    found: dict[str, dict[str, list[float]]] = {group: {} for group in each.feature.named}
    for name, measured in each.measures.items():
        for item in measured:
            key = f"{name} of {item.of_class}" if item.of_class else name
            for at, group in each.feature.positioned:
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


def _counts(each: Estimates, suppress_below: int) -> list[dict[str, Any]]:
    if each.confusion is None:
        rows = each.counts["rows"]
        return [
            {"group": group, "n": int(rows[at]) if rows[at] >= suppress_below else None}
            for at, group in each.feature.positioned
        ]
    return [
        {
            "group": group,
            "label": label,
            "prediction": prediction,
            "n": n if (n := int(each.confusion[at, label, prediction])) >= suppress_below else None,
        }
        for at, group in each.feature.positioned
        for label, prediction in product((0, 1), repeat=2)
    ]
