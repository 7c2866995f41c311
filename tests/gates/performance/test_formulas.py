"""scikit-learn is the reference: wherever a formula gives a number, scikit-learn gives the same, without a warning."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from airflow_mlgov.gates.performance import evaluate_performance, formulas
from airflow_mlgov.gates.performance.estimates import asked_of_scikit_learn, point
from airflow_mlgov.gates.performance.formulas import by_formula
from airflow_mlgov.gates.performance.predictions import Sample
from airflow_mlgov.gates.performance.scorers import METRICS as ALL_METRICS
from airflow_mlgov.gates.performance.scorers import MULTICLASS_SCORE_METRICS, REGRESSION_METRICS
from airflow_mlgov.results import Subject

FUNCTIONS = {
    "rmse": lambda sample: metrics.root_mean_squared_error(sample.label, sample.prediction),
    "mae": lambda sample: metrics.mean_absolute_error(sample.label, sample.prediction),
}
"""Those that are no scorer of scikit-learn's; the losses of probabilities are asked for as the gate asks for them."""
OF_TWO = [m for m in ALL_METRICS if m not in (*REGRESSION_METRICS, *MULTICLASS_SCORE_METRICS)]
OURS = ("expected_calibration_error", "calibration_slope", "calibration_intercept")
SUBJECT = Subject("model", "credit", "0" * 64, "1")

PROBABILITIES = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0, 1e-17]), st.floats(0, 1))
QUANTITIES = st.one_of(st.sampled_from([0.0, 1.0, -1.0, 1e-9]), st.floats(-1e6, 1e6))


@st.composite
def binary_samples(draw: Any) -> Sample:
    rows = draw(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), PROBABILITIES), min_size=1, max_size=40))
    label, prediction, score = (np.array(values) for values in zip(*rows, strict=True))
    return Sample("binary", label, prediction, score.astype(float), ("negative", "positive"))


@st.composite
def regression_samples(draw: Any) -> Sample:
    rows = draw(st.lists(st.tuples(QUANTITIES, QUANTITIES), min_size=2, max_size=40))
    label, prediction = (np.array(values) for values in zip(*rows, strict=True))
    return Sample("regression", label, prediction)


@pytest.mark.slow
@given(binary_samples())
@settings(max_examples=60, deadline=None)
def test_of_two_classes(sample: Sample) -> None:
    for metric in OF_TWO:
        if metric not in OURS:
            _compare(metric, sample)


@pytest.mark.slow
@given(regression_samples())
@settings(max_examples=60, deadline=None)
def test_of_quantities(sample: Sample) -> None:
    for metric in REGRESSION_METRICS:
        _compare(metric, sample)


def _compare(metric: str, sample: Sample) -> None:
    found = point(metric, sample)
    if found.value is None or found.asked:
        return
    if metric in FUNCTIONS:
        expected = FUNCTIONS[metric](sample)
    else:
        reference = asked_of_scikit_learn(metric, sample)
        assert reference.value is not None, f"{metric}: {found.value}, but scikit-learn says {reference.reason}"
        expected = reference.value
    assert found.value == pytest.approx(expected, rel=1e-9, abs=1e-9), metric


def test_every_formula_is_a_metric_and_gives_a_number_somewhere() -> None:
    rng = np.random.default_rng(0)
    label, score = rng.integers(0, 2, 200), rng.uniform(0.01, 0.99, 200)
    two = Sample("binary", label, (score > 0.5).astype(int), score, ("negative", "positive"))
    quantities = Sample("regression", score, score + rng.normal(size=200))
    for metric in formulas.FORMULAS:
        assert metric in ALL_METRICS
        assert by_formula(metric, quantities if metric in REGRESSION_METRICS else two) is not None, metric


@pytest.mark.slow
def test_the_gate_asks_scikit_learn_only_where_it_must(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 200)
    table = pd.DataFrame({"label": label, "score": rng.uniform(0.01, 0.99, 200), "prediction": label})
    table.to_parquet(tmp_path / "p.parquet")
    program = (
        "import sys\n"
        "from airflow_mlgov.gates.performance import evaluate_performance\n"
        "from airflow_mlgov.results import Subject\n"
        f"result = evaluate_performance({str(tmp_path / 'p.parquet')!r},\n"
        "    subject=Subject('model', 'm', '0' * 64, '1'), label='label', score='score', prediction='prediction',\n"
        "    bounds={'roc_auc': {'min': 0.1}})\n"
        "print('sklearn' in sys.modules, 'scikit-learn' in result.libraries)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    result = evaluate_performance(
        str(tmp_path / "p.parquet"),
        subject=SUBJECT,
        label="label",
        prediction="prediction",
        bounds={"f1_macro": {"min": 0.5}, "accuracy": {"min": 0.5}},
    )
    assert result.details["asked_of_scikit_learn"] == [
        "accuracy",
        "balanced_accuracy",
        "f1_macro",
        "matthews_corrcoef",
    ]
    assert "scikit-learn" in result.libraries
