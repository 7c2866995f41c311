"""Runs Aequitas' Group, Bias and Fairness over counts of outcomes by group."""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

READS_ROWS = True

_CELLS = {"tp": (1, 1), "fp": (1, 0), "fn": (0, 1), "tn": (0, 0)}
"""Cell -> prediction and label."""
_DISPARITY = "_disparity"


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What Aequitas gives for each group.

    :param request: ``counts`` (pairs of a group and its cells), ``reference`` (a group, or None for the largest) and
        ``tau``
    """
    pandas = import_module("pandas")
    counted = [(group, *_CELLS[cell], count) for group, cells in request["counts"] for cell, count in cells.items()]
    cells = pandas.DataFrame(counted, columns=["group", "score", "label_value", "count"])
    rows = cells.loc[cells.index.repeat(cells["count"]), ["group", "score", "label_value"]].reset_index(drop=True)
    metrics, _ = import_module("aequitas.group").Group().get_crosstabs(rows, attr_cols=["group"])
    bias = import_module("aequitas.bias").Bias()
    if request["reference"] is None:
        table = bias.get_disparity_major_group(metrics, rows)
    else:
        table = bias.get_disparity_predefined_groups(metrics, rows, {"group": request["reference"]})
    fairness = import_module("aequitas.fairness").Fairness(tau=request["tau"])
    judged = fairness.get_group_value_fairness(table)
    overall = fairness.get_overall_fairness(judged)
    return {
        "groups": [_group(row) for row in judged.to_dict(orient="records")],
        "overall": {str(name): _truth(value) for name, value in overall.items()},
    }


def _group(row: dict[str, Any]) -> dict[str, Any]:
    named = {str(name): value for name, value in row.items()}
    numbers = {name: _number(value) for name, value in named.items() if isinstance(value, (int, float))}
    return {
        "group": str(named["attribute_value"]),
        "reference": str(named["fpr_ref_group_value"]),
        "metrics": {
            name: value
            for name, value in numbers.items()
            if not name.endswith(_DISPARITY) and name not in ("model_id", "k") and not isinstance(named[name], bool)
        },
        "disparities": {name: value for name, value in numbers.items() if name.endswith(_DISPARITY)},
        "parities": {
            name: _truth(value) for name, value in named.items() if name.endswith((" Parity", " Fairness", " Odds"))
        },
    }


def _number(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def _truth(value: Any) -> bool | None:
    """None where Aequitas does not say."""
    return bool(value) if value in (True, False) else None
