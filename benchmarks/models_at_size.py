"""Who judges a model's predictions where rows, slices, groups, features, classes or bounds are many: the gates, and the
same work by hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from benchmarks.contender import Steps
from benchmarks.performance import METRICS

SLICED = ("roc_auc", "average_precision", "log_loss", "f1")


def _model() -> Any:
    from airflow_mlgov.results import Subject

    return Subject("model", "credit", "0" * 64, "1")


def performance(path: str, memory_limit: str | None = None, bounds: int = 8) -> Steps:
    """The performance gate with eight metrics, or so many bounds on what two classes have."""
    from airflow_mlgov.gates.performance import evaluate_performance
    from airflow_mlgov.gates.performance.scorers import METRICS as ALL
    from airflow_mlgov.gates.performance.scorers import MULTICLASS_SCORE_METRICS, REGRESSION_METRICS

    yield None
    of_two = [name for name in ALL if name not in (*REGRESSION_METRICS, *MULTICLASS_SCORE_METRICS)]
    names = METRICS if bounds <= len(METRICS) else of_two
    result = evaluate_performance(
        path,
        subject=_model(),
        label="label",
        score="score",
        prediction="prediction",
        bounds={metric: {"min": -1e9} for metric in list(names)[:bounds]},
        memory_limit=memory_limit,
    )
    return {check.name: check.observed for check in result.checks if check.name in METRICS}


def slices(path: str) -> Steps:
    """Four metrics that are bootstrapped or ranked, on a thousand slices."""
    from airflow_mlgov.gates.performance import evaluate_performance

    yield None
    result = evaluate_performance(
        path,
        subject=_model(),
        label="label",
        score="score",
        prediction="prediction",
        slices=["cell"],
        bounds={f"{metric}_worst_slice": {"min": 0.0} for metric in SLICED},
    )
    check = next(check for check in result.checks if check.name == "roc_auc_worst_slice")
    return {"worst": check.observed, "slices": check.values["slices"]["cell"]["estimated"]}


def slices_by_sklearn(path: str) -> Steps:
    """The area alone, slice by slice."""
    import pandas as pd
    from sklearn.metrics import roc_auc_score

    yield None
    rows = pd.read_parquet(path, columns=["label", "score", "cell"])
    found = [roc_auc_score(part["label"], part["score"]) for _, part in rows.groupby("cell")]
    return {"worst": float(min(found)), "slices": len(found)}


def fairness(
    path: str, features: Sequence[str], label: str = "label", prediction: str = "prediction", task: str = "binary"
) -> Steps:
    """The fairness gate over features of one or several columns."""
    from airflow_mlgov.gates.fairness import evaluate_fairness

    yield None
    result = evaluate_fairness(
        path,
        subject=_model(),
        label=label,
        prediction=prediction,
        task=task,
        sensitive_features=list(features),
        bounds={"demographic_parity_difference": {"max": 1.0}},
    )
    return {check.name: check.observed for check in result.checks if check.name.startswith("demographic")}


def grouping_sets(
    path: str, features: Sequence[str], label: str = "label", prediction: str = "prediction", classes: int = 2
) -> Steps:
    """One query, and the widest gap of selection rates from its rows."""
    import duckdb

    yield None
    sets = [[*feature.split("*"), label, prediction] for feature in features]
    names = list(dict.fromkeys(name for each in sets for name in each[:-2]))
    listed = ", ".join(f"({', '.join(each)})" for each in sets)
    marks = ", ".join(f"GROUPING({name})" for name in names)
    query = f"SELECT {', '.join(names)}, {prediction}, {marks}, count(*) FROM read_parquet(?) "
    query += f"GROUP BY GROUPING SETS ({listed})"
    with duckdb.connect() as connection:
        found = connection.execute(query, [path]).fetchall()
    answer = {}
    for feature, each in zip(features, sets, strict=True):
        there = tuple(int(name not in each) for name in names)
        sums: dict[Any, dict[Any, int]] = {}
        for row in found:
            if row[len(names) + 1 : -1] == there:
                group = sums.setdefault(tuple(row[: len(names)]), {})
                group[row[len(names)]] = group.get(row[len(names)], 0) + row[-1]
        wanted = range(classes) if classes > 2 else [1]
        gaps = []
        for one in wanted:
            rates = [of.get(one, 0) / sum(of.values()) for of in sums.values()]
            gaps.append(max(rates) - min(rates))
        answer[f"demographic_parity_difference[{feature}]"] = max(gaps)
    return answer


def areas(path: str, memory_limit: str | None = None) -> Steps:
    """The fairness gate's AUC of twenty groups."""
    from airflow_mlgov.gates.fairness import evaluate_fairness

    yield None
    result = evaluate_fairness(
        path,
        subject=_model(),
        label="label",
        prediction="prediction",
        score="distinct",
        sensitive_features=["race"],
        bounds={"roc_auc_difference": {"max": 1.0}},
        memory_limit=memory_limit,
    )
    return {check.name: check.observed for check in result.checks if check.name.startswith("roc_auc")}


def areas_by_argsort(path: str) -> Steps:
    """The same by one argsort of all scores, and sums."""
    import duckdb
    import numpy as np

    yield None
    with duckdb.connect() as connection:
        found = connection.execute(
            "SELECT label::TINYINT AS label, \"distinct\" AS score, split_part(race, ' ', 2)::TINYINT AS race "
            "FROM read_parquet(?)",
            [path],
        ).fetchnumpy()
    order = np.argsort(found["score"])
    label, race = found["label"][order], found["race"][order]
    areas = []
    for group in range(20):
        positive = label[race == group] == 1
        ranks = np.flatnonzero(positive) + 1
        m, n = len(ranks), len(positive) - len(ranks)
        areas.append((ranks.sum() - m * (m + 1) / 2) / (m * n))
    return {"roc_auc_difference[race]": float(max(areas) - min(areas))}


INTERSECTIONS = [f"{one}*{other}" for one, other in product(["sex"], ["race", "district"])] + ["race*district"]
"""Three of them."""
