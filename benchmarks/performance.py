"""Who measures a model's predictions: the performance gate, scikit-learn by hand."""

from __future__ import annotations

from benchmarks.contender import Steps

METRICS = ("roc_auc", "average_precision", "log_loss", "brier_score", "accuracy", "precision", "recall", "f1")


def gate(path: str) -> Steps:
    """The performance gate with eight bounded metrics, and the intervals that it always has."""
    from airflow_mlgov.gates.performance import evaluate_performance
    from airflow_mlgov.results import Subject

    yield None
    result = evaluate_performance(
        path,
        subject=Subject("model", "credit", "0" * 64, "1"),
        label="label",
        score="score",
        prediction="prediction",
        bounds={metric: {"min": 0.0, "max": 10.0} for metric in METRICS},
    )
    return {check.name: check.observed for check in result.checks if check.name in METRICS}


def sklearn_by_hand(path: str) -> Steps:
    """The same metrics of the same columns."""
    import pandas as pd
    from sklearn import metrics

    yield None
    rows = pd.read_parquet(path, columns=["label", "score", "prediction"])
    label, score, prediction = rows["label"], rows["score"], rows["prediction"]
    return {
        "roc_auc": float(metrics.roc_auc_score(label, score)),
        "average_precision": float(metrics.average_precision_score(label, score)),
        "log_loss": float(metrics.log_loss(label, score)),
        "brier_score": float(metrics.brier_score_loss(label, score)),
        "accuracy": float(metrics.accuracy_score(label, prediction)),
        "precision": float(metrics.precision_score(label, prediction)),
        "recall": float(metrics.recall_score(label, prediction)),
        "f1": float(metrics.f1_score(label, prediction)),
    }
