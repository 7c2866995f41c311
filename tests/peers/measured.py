"""Holds the performance gate against the numbers that the installed scikit-learn documents for its metrics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
import pytest

from airflow_mlgov.gates.performance import evaluate_performance
from airflow_mlgov.gates.performance.scorers import REGRESSION_METRICS, needs_score
from airflow_mlgov.results import Subject
from tests.peers.held import Held
from tests.peers.metrics import FUNCTIONS, Printed

_ONE_LABEL = "all labels are one number, of which there is no variance to explain: the gate gives no number"
DIFFERENT: dict[tuple[str, int], str] = {
    ("explained_variance_score", 3): _ONE_LABEL,
    ("f1_score", 5): "no label is positive and nothing is predicted positive: the gate gives no number",
    ("mean_absolute_percentage_error", 4): "a label is 0, of which nothing is a percentage: the gate gives no number",
    ("r2_score", 6): _ONE_LABEL,
}
"""Function and call -> why we say something else."""
_MODEL = Subject("model", "peer", "ab" * 32, version="1", registry="http://mlflow")


def measure(examples: Iterable[Printed]) -> Held:
    """Have the gate compute each example."""
    held = Held()
    for example in examples:
        name, key = f"{example.function} {example.number}", (example.function, example.number)
        held.types[example.function] += 1
        found = _observed(example)
        if found == pytest.approx(example.value, abs=example.within):
            held.agreed += 1
        elif key in DIFFERENT:
            held.explained[name] = DIFFERENT[key]
        else:
            held.differing[name] = f"{example.call} is {found} and not {example.value}"
    return held


def _observed(example: Printed) -> float | str:
    """What the gate says, with scikit-learn's sign; its words if it says no number."""
    metric = FUNCTIONS[example.function]
    columns, settings = _columns(example, metric)
    if average := example.options.get("average"):
        metric = f"{metric}_{average}"
    elif metric == "roc_auc" and "class_scores" in settings:
        metric = "roc_auc_ovr"
    try:
        result = evaluate_performance(
            pd.DataFrame(columns), subject=_MODEL, bounds={metric: {"min": -1e300}}, label="y", **settings
        )
    except ValueError as error:
        return str(error)
    (check,) = (check for check in result.checks if check.name == metric)
    if check.observed is None:
        return check.detail
    return -check.observed if metric.startswith("neg_") else check.observed


def _columns(example: Printed, metric: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A table, and which of its columns is what."""
    columns: dict[str, Any] = {"y": example.truth}
    positive = example.options.get("pos_label", 1 if isinstance(example.truth[0], int) else max(example.truth))
    if metric in REGRESSION_METRICS:
        return columns | {"p": example.predicted}, {"prediction": "p"}
    classes = sorted({*example.truth, *example.options.get("labels", ())})
    if not needs_score(metric):
        classes = sorted({*classes, *example.predicted})
        settings: dict[str, Any] = {"prediction": "p", "task": "binary" if len(classes) <= 2 else "multiclass"}
        if settings["task"] == "binary":
            settings["positive_label"] = positive
        return columns | {"p": example.predicted}, settings
    scores = example.predicted
    if isinstance(scores[0], list) and len(scores[0]) == 2:
        scores = [row[1] for row in scores]
    if not isinstance(scores[0], list):
        return columns | {"s": scores}, {"score": "s", "task": "binary", "positive_label": positive}
    columns |= {f"s{at}": [row[at] for row in scores] for at in range(len(scores[0]))}
    by_class = {label: f"s{at}" for at, label in enumerate(classes)}
    return columns, {"class_scores": by_class, "task": "multiclass"}
