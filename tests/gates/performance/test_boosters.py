"""Models of LightGBM and XGBoost, estimators and bare boosters, as MLflow logs them: judged like any other."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris

from airflow_mlgov.data.source import source_of
from airflow_mlgov.gates.performance import evaluate_performance
from airflow_mlgov.gates.performance.scoring import run_model
from airflow_mlgov.results import Check, GateResult, Outcome, Subject
from tests.gates.environments import interpreter

pytestmark = pytest.mark.slow

MODEL = Subject("model", "boosted", "ab" * 32, version="1", registry="http://mlflow")
TRAIN = """
import json
import lightgbm, mlflow.lightgbm, mlflow.xgboost, pandas, xgboost
from mlflow.models import infer_signature

def of(name, take=lambda y: y):
    table = pandas.read_parquet(f"{name}.parquet")
    return table[["a", "b", "c", "d"]], take(table.y)

def save(name, library, model, expected, features):
    needs = ["lightgbm", "pandas>=2"] if library is lightgbm else ["xgboost-cpu", "pandas>=2"]
    flavor = mlflow.lightgbm if library is lightgbm else mlflow.xgboost
    flavor.save_model(model, name, signature=infer_signature(features, expected), pip_requirements=needs)
    with open(f"{name}.json", "w") as file:
        json.dump(expected.tolist(), file)

x, y = of("cancer")
words = y.map({0: "benign", 1: "malign"})
held_out = [(x.iloc[::3], words.iloc[::3])]
early = lightgbm.LGBMClassifier(n_estimators=20, verbose=-1).fit(x, words, eval_set=held_out)
save("lightgbm_classifier", lightgbm, early, early.predict_proba(x)[:, 1], x)
booster = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(x, y), 20)
save("lightgbm_booster", lightgbm, booster, booster.predict(x), x)
booster = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(x, y), 20)
save("xgboost_booster", xgboost, booster, booster.predict(xgboost.DMatrix(x)), x)
x, y = of("iris")
classifier = xgboost.XGBClassifier(n_estimators=20).fit(x, y)
save("xgboost_classifier", xgboost, classifier, classifier.predict_proba(x), x)
booster = lightgbm.train({"objective": "multiclass", "num_class": 3, "verbose": -1}, lightgbm.Dataset(x, y), 20)
save("lightgbm_of_three", lightgbm, booster, booster.predict(x), x)
x, y = of("diabetes")
regressor = xgboost.XGBRegressor(n_estimators=20).fit(x, y)
save("xgboost_regressor", xgboost, regressor, regressor.predict(x), x)
"""


@pytest.fixture(scope="module")
def python() -> Path:
    """An interpreter with what this one has, and LightGBM and XGBoost."""
    return interpreter("boosting", beside=True)


@pytest.fixture(scope="module")
def logged(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("boosted")
    for name, load in (("cancer", load_breast_cancer), ("iris", load_iris), ("diabetes", load_diabetes)):
        data = load(as_frame=True)
        data.data.iloc[:, :4].set_axis(list("abcd"), axis=1).assign(y=data.target).to_parquet(
            folder / f"{name}.parquet"
        )
    done = subprocess.run([python, "-c", TRAIN], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.fixture(autouse=True)
def _beside_the_libraries(python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the gate runs in an environment that has them."""
    monkeypatch.setattr(sys, "executable", str(python))


def _judge(logged: Path, name: str, data: str, bounds: Any, **settings: Any) -> GateResult:
    table = str(logged / f"{data}.parquet")
    given = {"label": "y", "score_model": True, **settings}
    return evaluate_performance(
        table, subject=MODEL, bounds=bounds, artifact=lambda: nullcontext(logged / name), **given
    )


def _by_name(result: GateResult) -> dict[str, Check]:
    return {check.name: check for check in result.checks}


def _expected(logged: Path, name: str) -> Any:
    return json.loads((logged / f"{name}.json").read_text())


@pytest.mark.parametrize(
    ("name", "stored"),
    [("lightgbm_classifier", "skops"), ("lightgbm_booster", "lightgbm"), ("xgboost_booster", "xgboost")],
)
def test_of_two_classes(logged: Path, tmp_path: Path, name: str, stored: str) -> None:
    """A bare booster predicts the probability: it is the score, and the prediction is made from it."""
    with source_of(logged / "cancer.parquet").open() as features:
        run = run_model(logged / name, features, tmp_path / "out.parquet", keep=["y"])
    table = pd.read_parquet(run.path)
    assert table.score.to_numpy() == pytest.approx(_expected(logged, name), abs=1e-6)
    likely = table.score >= 0.5
    if name == "lightgbm_classifier":
        assert list(table.prediction) == list(likely.map({True: "malign", False: "benign"}))
    else:
        assert list(table.prediction) == list(likely.astype(int))
    assert (run.stored.format, run.stored.runs_code) == (stored, False)


@pytest.mark.parametrize("name", ["xgboost_classifier", "lightgbm_of_three"])
def test_of_more_classes(logged: Path, name: str) -> None:
    bounds = ["accuracy>=0.9", "roc_auc_ovr>=0.9", "loads_in_clean_process>=1"]
    result = _judge(logged, name, "iris", bounds, task="multiclass")
    assert result.verdict is Outcome.PASS, result.summary()
    probabilities, label = pd.DataFrame(_expected(logged, name)), pd.read_parquet(logged / "iris.parquet").y
    accuracy = (probabilities.idxmax(axis=1) == label).mean()
    assert _by_name(result)["accuracy"].observed == pytest.approx(accuracy)


def test_a_regressor(logged: Path) -> None:
    result = _judge(logged, "xgboost_regressor", "diabetes", ["r2>=0.2", "latency_p95_ms<=60000"])
    label = pd.read_parquet(logged / "diabetes.parquet").y
    off = (label - _expected(logged, "xgboost_regressor")).abs().mean()
    assert result.verdict is Outcome.PASS, result.summary()
    assert _by_name(result)["mae"].observed == pytest.approx(off, rel=1e-6)


def test_a_booster_is_judged_like_its_classifier(logged: Path) -> None:
    bounds = ["roc_auc>=0.9", "accuracy>=0.9", "loads_in_clean_process>=1"]
    result = _judge(logged, "xgboost_booster", "cancer", bounds)
    assert result.verdict is Outcome.PASS, result.summary()
    assert result.details["model"]["serialization"] == "xgboost"
