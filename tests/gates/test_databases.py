"""The performance and the evaluation gate over tables of PostgreSQL and MariaDB: what is counted where the rows are
or read from there is what the same rows in a file give."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from airflow_mlgov import catalogue
from airflow_mlgov.data.counted import MOST, count_rows
from airflow_mlgov.data.database import SqlSource
from airflow_mlgov.gates.run import run_gate
from airflow_mlgov.gates.strictness import held_to
from airflow_mlgov.results import GateResult, Subject
from tests.fixtures import mariadb as of_mariadb
from tests.fixtures import postgres as of_postgres

MODEL = Subject("model", "m", "ab" * 32, "1", registry="http://r")
PASSWORDS = {"postgres": of_postgres.PASSWORD, "mariadb": of_mariadb.PASSWORD}
MISSING = {"missing": ["not_rated"]}
EVALUATION = {
    "means, quantiles, rates": (
        {**MISSING, "ranges": {"stars": [1, 5]}},
        ["relevance_mean>=0.9", "relevance_p90<=0.9", "stars_mean>=1", "stars_p25>=1", "verdict_rate>=0.5",
         "abstention_rate<=1"],
    ),
    "a category": ({"decide": "point"}, ["language_rate[É]<=0.5", "language_rate[e]>=0.01"]),
    "slices": (
        {**MISSING, "slices": ["region", "region*language"]},
        ["stars_mean_worst_slice>=1", "verdict_rate_worst_slice>=0"],
    ),
    "weights": ({**MISSING, "sample_weight": "weight"}, ["stars_mean>=1", "verdict_rate>=0.5"]),
    "examples with names": ({**MISSING, "row_id": "id"}, ["relevance_mean>=0.9", "verdict_rate>=0.5"]),
}  # fmt: skip
PERFORMANCE = {
    "many classes": ({"task": "multiclass"}, ["accuracy>=0.1", "f1_macro>=0.1", "matthews_corrcoef>=0"]),
    "slices": ({"task": "multiclass", "slices": ["region"]}, ["accuracy_worst_slice>=0.1", "recall_macro>=0"]),
    "scores": ({"label": "truth", "prediction": None, "score": "relevance"}, ["roc_auc>=0", "log_loss<=9", "f1>=0"]),
    "scores on slices": (
        {"label": "truth", "prediction": None, "score": "relevance", "slices": ["region"]},
        ["roc_auc_worst_slice>=0", "average_precision>=0"],
    ),
    "numbers": ({"label": "stars_full", "prediction": "relevance", "task": "regression"}, ["rmse<=9", "mae<=9"]),
}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    random, rows = np.random.default_rng(13), 3000
    stars = random.integers(1, 6, rows)
    found = pd.DataFrame({"id": np.arange(rows), "stars_full": stars, "relevance": random.random(rows).round(3)})
    found["stars"] = pd.Series(np.where(random.random(rows) < 0.05, np.nan, stars))
    found["verdict"] = random.choice(["yes", "no", "Yes", "not_rated"], rows, p=[0.6, 0.2, 0.15, 0.05])
    found["language"] = random.choice(["e", "E", "é", "É"], rows)
    found["region"] = random.choice(["north", "North", "south"], rows)
    found["weight"] = random.choice([0.5, 1.0, 2.5], rows)
    found["label"] = random.choice(["a", "A", "b"], rows)
    found["predicted"] = np.where(random.random(rows) < 0.8, found.label, "b")
    found["champion"] = np.where(random.random(rows) < 0.7, found.label, "A")
    found["truth"] = random.integers(0, 2, rows)
    return found


@pytest.fixture(scope="module", params=["postgres", "mariadb"])
def tables(request: pytest.FixtureRequest, frame: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """URL and password of a database with the table ``scored``."""
    url, password = request.getfixturevalue(request.param), PASSWORDS[request.param]
    engine = sa.create_engine(sa.make_url(url).set(password=password))
    frame.to_sql("judged", engine, index=False, if_exists="replace")
    engine.dispose()
    return url, password


def judged(name: str, data: Any, given: dict[str, Any], bounds: list[str], baseline: Any = None) -> GateResult:
    gate = catalogue.load(name)
    settings, held = held_to(gate, None, given, bounds, "test")
    return run_gate(gate, data, settings, held, subject=MODEL, baseline=baseline)


def said(result: GateResult) -> list[Any]:
    return [[check.name, check.outcome, check.observed, check.detail, check.values] for check in result.checks]


@pytest.mark.parametrize("case", EVALUATION)
def test_the_evaluation_gate(case: str, tables: tuple[str, str], frame: pd.DataFrame, tmp_path: Path) -> None:
    given, bounds = EVALUATION[case]
    frame.to_parquet(tmp_path / "a.parquet", index=False)
    url, password = tables
    source = SqlSource(url, table="judged", password=password)
    here, there = (judged("evaluation", data, given, bounds) for data in (str(tmp_path / "a.parquet"), source))
    assert said(here) == said(there)
    assert here.evaluation_digest == there.evaluation_digest
    assert here.details["columns"] == there.details["columns"]


@pytest.mark.parametrize("case", PERFORMANCE)
def test_the_performance_gate(case: str, tables: tuple[str, str], frame: pd.DataFrame, tmp_path: Path) -> None:
    given, bounds = PERFORMANCE[case]
    given = {name: value for name, value in {"label": "label", "prediction": "predicted", **given}.items() if value}
    frame.to_parquet(tmp_path / "a.parquet", index=False)
    url, password = tables
    source = SqlSource(url, query="SELECT * FROM judged ORDER BY id", password=password)
    here, there = (judged("performance", data, given, bounds) for data in (str(tmp_path / "a.parquet"), source))
    assert said(here) == said(there)
    assert here.evaluation_digest == there.evaluation_digest


def test_the_champions_rows_in_the_same_database(tables: tuple[str, str], frame: pd.DataFrame) -> None:
    url, password = tables
    theirs = "SELECT id, label, champion AS predicted FROM judged"
    sources = [SqlSource(url, query=query, password=password) for query in ("SELECT * FROM judged", theirs)]
    frames = [frame, frame[["id", "label"]].assign(predicted=frame.champion)]
    given = {"label": "label", "prediction": "predicted", "task": "multiclass", "row_id": "id"}
    bounds = ["accuracy>=0.1", "accuracy_vs_champion>=-1"]
    here, there = (judged("performance", mine, given, bounds, theirs) for mine, theirs in (frames, sources))
    assert [row[:3] for row in said(here)] == [row[:3] for row in said(there)]


def test_what_is_counted_is_bound_by_its_counts_and_many_rows_are_not(tables: tuple[str, str]) -> None:
    url, password = tables
    source = SqlSource(url, table="judged", password=password)
    with source.open() as relation:
        counted = count_rows(relation, ["verdict", "stars"])
        assert counted is not None
        assert sum(row[-1] for row in counted.cells) == len(counted.frame()) == 3000
        assert counted.frame().verdict.value_counts()["Yes"] < counted.frame().verdict.value_counts()["yes"]
    result = judged("evaluation", source, MISSING, ["verdict_rate>=0.1", "stars_mean>=1"])
    assert [item.digest for item in result.inputs] == [counted.subject.digest]
    crossed = f"SELECT 10000.0 * a.id + b.id AS x FROM judged a, judged b WHERE b.id <= {MOST // 3000}"
    many = SqlSource(url, query=crossed, password=password)
    with many.open() as relation:
        assert count_rows(relation, ["x"]) is None
