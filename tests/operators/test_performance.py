"""The performance gate's operator: what it measures of a model that it may load, and of predictions by slice."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from airflow_mlgov.operators.performance import PerformanceGateOperator
from tests.fixtures.mlflow_server import tracking
from tests.worlds.release import Release, people


def _checks(release: Release, xcom: dict[str, Any]) -> dict[str, Any]:
    envelope = json.loads(release.ledger.get(xcom["evidence"]["seq"]).envelope)
    ours = json.loads(base64.b64decode(envelope["payload"]))["predicate"]["mlgov"]
    return {check["name"]: check for check in ours["checks"]} | {"details": ours["details"]}


def test_a_model_with_budgets_is_scored_and_judged(release: Release) -> None:
    import mlflow
    from sklearn.linear_model import LogisticRegression

    frame = people()[["age", "score", "y", "sex"]].rename(columns={"score": "income"})
    features = frame[["age", "income"]]
    model = LogisticRegression(max_iter=500).fit(features, frame["y"])
    with tracking(release.server.registry), mlflow.start_run() as run:
        mlflow.sklearn.log_model(model, name="model", pip_requirements=["scikit-learn"], input_example=features.head(2))
    assert release.register(run_id=run.info.run_id).state == "success"
    data = release.write("features.parquet", frame)
    budgets = {"latency_p95_ms": {"max": 60_000}, "model_size_mb": {"max": 5}, "loads_in_clean_process": {"min": 1}}
    end = release.performance(data, bounds=budgets)
    assert end.state == "failed"
    assert "latency_p95_ms is measured by loading the model" in str(end.error)
    bounds = {**budgets, "roc_auc_worst_slice": {"min": 0.6}}
    end = release.performance(data, score_model=True, slices=["sex"], bounds=bounds)
    assert end.state == "success", end.error
    checks = _checks(release, end.xcom)
    assert {checks[name]["outcome"] for name in bounds} == {"PASS"}
    assert checks["details"]["model"]["serialization"] == "skops"
    assert checks["roc_auc"]["values"]["interval"]["method"] == "delong"


def test_slices_and_intervals_of_a_table(release: Release) -> None:
    assert release.register().state == "success"
    frame = people()
    spoilt = frame.assign(score=np.where(frame.sex == "female", 0.5, frame.score))
    data = release.write("spoilt.parquet", spoilt)
    bounds = {"roc_auc_worst_slice": {"min": 0.7}, "model_size_mb": {"max": 5}}
    end = release.performance(data, slices=["sex"], bounds=bounds)
    assert end.state == "failed"
    assert "roc_auc_worst_slice" in str(end.error)
    assert "sex=female" in str(end.error)
    good = release.performance(slices=["sex"], bounds=bounds, decide="interval", confidence=0.99)
    assert good.state == "success", good.error
    checks = _checks(release, good.xcom)
    assert checks["details"]["intervals"]["decide"] == "interval"
    assert 0 < checks["model_size_mb"]["observed"] < 5


def test_an_interpreter_without_loading_is_refused_when_the_dag_is_read() -> None:
    with pytest.raises(ValueError, match="set score_model=True"):
        PerformanceGateOperator(task_id="p", model="models:/m/1", data="d.csv", python="/opt/env/bin/python")
