"""The demo's data and candidates, judged by the real gates under the policy that the DAG ships with."""

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

from airflow_mlgov.demo.data import FEATURES, SENSITIVE, TARGET, load_applications, make_data
from airflow_mlgov.gates.data_validation import validate_data
from airflow_mlgov.gates.fairness import evaluate_fairness
from airflow_mlgov.gates.performance import evaluate_performance
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.results import Outcome, Subject

INCLUDE = Path(__file__).parents[2] / "dags" / "include"
_spec = importlib.util.spec_from_file_location("include_training", INCLUDE / "training.py")
training = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(training)
MODEL = Subject("model", "credit_risk", "0" * 64, version="1")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def policy():
    return load_policy(INCLUDE / "mlgov.yaml").model("credit_risk")


@pytest.fixture(scope="module")
def predictions(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("predictions")
    train, test = pd.read_csv(data.train), pd.read_csv(data.test)
    paths = {}
    for candidate in ("healthy", "biased"):
        paths[candidate] = str(folder / f"{candidate}.parquet")
        scored = training.predict(training.fit(train, candidate), test, training.columns_of(candidate))
        scored.to_parquet(paths[candidate], index=False)
    return paths


def test_the_published_decisions_are_all_there():
    table = load_applications()
    assert len(table) == 1971
    assert table.groupby("race")[TARGET].agg(["size", "sum"]).to_dict("index") == {
        "white": {"size": 1668, "sum": 1514},
        "non-white": {"size": 303, "sum": 213},
    }
    assert not table.isna().any().any()


def test_files_are_the_same_every_time(data, tmp_path):
    again = make_data(tmp_path)
    for name in ("train", "test", "broken"):
        assert getattr(data, name).read_bytes() == getattr(again, name).read_bytes()


def test_halves_share_no_application(data):
    train, test = pd.read_csv(data.train), pd.read_csv(data.test)
    assert not set(train["application"]) & set(test["application"])


def test_the_healthy_candidate_never_sees_sex_or_race():
    assert not set(SENSITIVE) & set(training.columns_of("healthy"))
    assert training.columns_of("healthy") == list(FEATURES)


def test_good_data_passes_the_suite(data):
    assert validate_data(str(data.train), INCLUDE / "credit_suite.json").verdict is Outcome.PASS


def test_the_broken_export_is_caught_for_what_is_broken(data):
    result = validate_data(str(data.broken), INCLUDE / "credit_suite.json")
    assert result.verdict is Outcome.FAIL
    critical = [check for check in result.failed if check.severity == "critical"]
    assert len(critical) == 2
    assert any("dep" in check.name for check in critical)
    assert any("approve" in check.name for check in critical)


@pytest.mark.parametrize("candidate", ["healthy", "biased"])
def test_both_candidates_pass_performance(candidate, predictions, policy):
    settings, bounds = policy.settings("performance"), policy.bounds("performance")
    result = evaluate_performance(
        predictions[candidate], subject=MODEL, bounds=bounds, baseline=predictions["healthy"], **settings
    )
    assert result.verdict is Outcome.PASS, result.summary()


def test_the_healthy_candidate_passes_fairness(predictions, policy):
    settings, bounds = policy.settings("fairness"), policy.bounds("fairness")
    result = evaluate_fairness(predictions["healthy"], subject=MODEL, bounds=bounds, **settings)
    assert result.verdict is Outcome.PASS, result.summary()


def test_the_biased_candidate_fails_fairness_by_race_alone(predictions, policy):
    settings, bounds = policy.settings("fairness"), policy.bounds("fairness")
    result = evaluate_fairness(predictions["biased"], subject=MODEL, bounds=bounds, **settings)
    assert result.verdict is Outcome.FAIL
    critical = {check.name: check.observed for check in result.failed if check.severity == "critical"}
    assert set(critical) == {"demographic_parity_ratio[race]", "equalized_odds_difference[race]"}
    assert critical["demographic_parity_ratio[race]"] < 0.7
    assert critical["equalized_odds_difference[race]"] > 0.3


def test_an_unknown_candidate_is_refused(data):
    with pytest.raises(ValueError, match="healthy"):
        training.fit(pd.read_csv(data.train), "excellent")
