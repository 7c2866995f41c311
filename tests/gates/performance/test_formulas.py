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

from airflow_mlgov.gates.performance import counting, evaluate_performance, formulas
from airflow_mlgov.gates.performance.estimates import asked_of_scikit_learn, estimate_all, point
from airflow_mlgov.gates.performance.formulas import by_formula
from airflow_mlgov.gates.performance.predictions import Sample
from airflow_mlgov.gates.performance.scorers import METRICS as ALL_METRICS
from airflow_mlgov.gates.performance.scorers import MULTICLASS_SCORE_METRICS, REGRESSION_METRICS
from airflow_mlgov.gates.statistics import ranked
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


@pytest.mark.slow
@given(binary_samples(), st.integers(0, 2**32 - 1), st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_of_two_classes_no_order_of_rows_and_no_size_of_parts_counts(sample: Sample, seed: int, part: int) -> None:
    order = np.random.default_rng(seed).permutation(len(sample))
    metrics_of_rows = [metric for metric in OF_TWO if metric in formulas.FORMULAS]
    first = estimate_all(sample, metrics_of_rows, 0.95)
    assert repr(estimate_all(sample.take(order), metrics_of_rows, 0.95)) == repr(first)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranked, "PART", part)
        in_parts = {metric: point(metric, sample.take(order)).value for metric in metrics_of_rows}
    for metric, found in first.items():
        expected = found.value if found.value is None else pytest.approx(found.value, rel=1e-9, abs=1e-9)
        assert in_parts[metric] == expected, metric


def test_beyond_the_memory_limit_the_sorted_scores_lie_in_files_and_say_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    score = np.round(rng.beta(2, 3, 40_000), 4).clip(0.001, 0.999)
    label = np.where(rng.uniform(size=len(score)) < score, "bad", "good")
    table = pd.DataFrame({"label": label, "score": score, "prediction": np.where(score > 0.5, "bad", "good")})
    table.to_parquet(tmp_path / "p.parquet")
    table.sample(frac=1, random_state=1).to_parquet(tmp_path / "shuffled.parquet")

    def judged(name: str) -> dict[str, Any]:
        bounds = {metric: {"min": -9.0} for metric in ("roc_auc", "average_precision", "log_loss", "calibration_slope")}
        result = evaluate_performance(
            str(tmp_path / name),
            subject=SUBJECT,
            label="label",
            score="score",
            prediction="prediction",
            positive_label="bad",
            bounds=bounds,
        )
        return {"checks": result.checks, "details": result.details}

    in_memory = judged("p.parquet")
    assert judged("shuffled.parquet") == in_memory
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "bytes_of", lambda _: 0)
        assert judged("p.parquet") == in_memory


def test_counted_rows_are_judged_as_read_ones(tmp_path: Path) -> None:
    """Slices need the rows, so the same table is judged both ways."""
    rng = np.random.default_rng(4)
    score = rng.uniform(0.01, 0.99, 3_000)
    table = pd.DataFrame({"label": rng.uniform(size=3_000) < score, "score": score.astype("float32"), "part": 1})
    path = tmp_path / "p.parquet"
    table.to_parquet(path)
    bounds = {metric: {"min": -9.0} for metric in ("roc_auc", "average_precision", "d2_brier_score", "f1")}
    named: dict[str, Any] = {"subject": SUBJECT, "label": "label", "score": "score", "bounds": bounds}
    counted, read = (evaluate_performance(str(path), **named, **more) for more in ({}, {"slices": ["part"]}))
    assert (counted.libraries.keys(), read.libraries.keys()) == ({"duckdb", "numpy"}, {"pandas", "numpy"})
    assert counted.checks == read.checks
    assert {key: read.details[key] for key in counted.details} == counted.details
