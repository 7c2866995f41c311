"""Databases beyond PostgreSQL and SQLite: MariaDB, which does not tell "f" from "F", gives what files give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from airflow_mlgov.data.database import SqlSource, fingerprint
from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, MlgovError
from airflow_mlgov.gates.data_validation import validate_data
from airflow_mlgov.gates.fairness import evaluate_fairness
from airflow_mlgov.results import Outcome
from tests.codes import raises_code
from tests.fixtures.mariadb import PASSWORD
from tests.worlds.counted import MODEL


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    generator = np.random.default_rng(5)
    frame = pd.DataFrame({"id": np.arange(4000), "sex": generator.choice(["f", "F", "m", "é", "e"], 4000)})
    frame["over 40 %"] = generator.choice([0, 1], 4000)
    frame["y"] = generator.choice(["good", "Bad"], 4000)
    truth = (frame.y == "good").astype(int)
    frame["s"] = np.clip(generator.normal(0.4 + 0.2 * truth, 0.2), 0, 1).round(2)
    frame["p"] = np.where(frame.s >= 0.5, "good", "Bad")
    frame["champion"] = np.where(generator.random(4000) < 0.8, frame.p, "Bad")
    frame["amount"] = generator.normal(1e4, 2e3, 4000)
    frame["predicted"] = frame.amount + generator.normal(0, 500, 4000)
    return frame


@pytest.fixture(scope="module")
def table(mariadb: str, frame: pd.DataFrame) -> SqlSource:
    server = sa.create_engine(sa.make_url(mariadb).set(password=PASSWORD))
    frame.to_sql("scored", server, index=False, if_exists="replace")
    return SqlSource(mariadb, table="risk.scored", password=PASSWORD)


_OF_SCORES = ("roc_auc_difference", "expected_calibration_error_group_max", "calibration_in_the_large_difference")
CLASSES: dict[str, Any] = {
    "label": "y",
    "sensitive_features": ["sex", "sex*over 40 %"],
    "positive_label": "good",
    "score": "s",
}
CASES = {
    "labels": {
        **CLASSES,
        "prediction": "p",
        "champion_prediction": "champion",
        "bounds": {
            **{
                name: {"min": -1}
                for name in (*_OF_SCORES, "demographic_parity_ratio", "equalized_odds_difference", "tpr_disparity")
            },
            "accuracy_difference_vs_champion": {"max_change": 1},
        },
    },
    "threshold": {**CLASSES, "threshold": 0.55, "bounds": {"demographic_parity_ratio": {"min": 0}}},
    "classes": {
        **CLASSES,
        "score": None,
        "positive_label": None,
        "prediction": "p",
        "task": "multiclass",
        "bounds": {"accuracy_ratio": {"min": 0}},
    },
    "errors": {
        "label": "amount",
        "prediction": "predicted",
        "sensitive_features": ["sex"],
        "task": "regression",
        "bounds": {f"mean_{name}_difference": {"max": 1e5} for name in ("error", "absolute_error", "prediction")},
    },
}


@pytest.mark.parametrize("case", CASES)
def test_the_same_as_of_a_file(frame: pd.DataFrame, tmp_path: Path, table: SqlSource, case: str) -> None:
    frame.to_parquet(tmp_path / "scored.parquet")
    query = SqlSource(table.url, query="SELECT * FROM scored WHERE p LIKE '%o%' OR 1", password=PASSWORD)
    expected = evaluate_fairness(str(tmp_path / "scored.parquet"), subject=MODEL, **CASES[case])
    results = [evaluate_fairness(source, subject=MODEL, **CASES[case]) for source in (table, query)]
    assert "F" in {group for check in expected.checks for group in check.values.get("by_group", {})}
    for result in results:
        for mine, theirs in zip(result.checks, expected.checks, strict=True):
            assert (mine.name, mine.outcome) == (theirs.name, theirs.outcome)
            assert mine.observed == pytest.approx(theirs.observed, rel=1e-9, abs=1e-9)
        if case != "errors":  # sums of floats differ by their order, counts do not
            assert result.evaluation_digest == expected.evaluation_digest
            assert result.details["counts"] == expected.details["counts"]
            assert result.inputs[0].digest == results[0].inputs[0].digest
    assert results[0].inputs[0].name.endswith("/risk#table=risk.scored")
    assert PASSWORD not in repr(results)


def test_rows_are_bound_as_in_other_databases(frame: pd.DataFrame, table: SqlSource, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    frame.assign(gone=[None, "x"] * 2000).drop(columns="over 40 %").to_sql("scored", sa.create_engine(url), index=False)
    columns = ", ".join(f"`{name}`" for name in frame.drop(columns="over 40 %"))
    query = f"SELECT {columns}, CASE WHEN id % 2 = 1 THEN 'x' END AS gone FROM scored ORDER BY s"
    mine = fingerprint(SqlSource(table.url, query=query, password=PASSWORD))
    assert mine == fingerprint(SqlSource(url, table="scored"))


def test_a_suite_of_great_expectations(table: SqlSource) -> None:
    suite = {
        "name": "scored",
        "expectations": [
            {"type": "expect_column_values_to_be_between", "kwargs": {"column": "s", "min_value": 0, "max_value": 1}},
            {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "id"}},
        ],
    }
    result = validate_data(table, suite)
    assert (result.verdict, result.details["rows"]) == (Outcome.PASS, 4000)


@pytest.mark.parametrize(
    ("change", "error", "code", "words"),
    [
        ({"password": "wrong-secret"}, AccessError, "database.refused", ""),
        ({"table": "nowhere"}, ConfigurationError, "database.query", ""),
        (
            {"table": None, "query": "SELECT nothing FROM scored"},
            ConfigurationError,
            "database.query",
            "Unknown column 'nothing'",
        ),
        ({"table": None, "query": "SELEC"}, ConfigurationError, "database.query", ""),
        ({"table": "mysql.user"}, AccessError, "database.refused", ""),
        ({"url": "mysql+pymysql://gate@127.0.0.1:1/risk"}, DependencyError, "database.down", ""),
    ],
)
def test_what_goes_wrong(
    table: SqlSource, change: dict[str, Any], error: type[MlgovError], code: str, words: str
) -> None:
    source = SqlSource(**{"url": table.url, "table": "scored", "password": PASSWORD, **change})
    with raises_code(error, code, words) as caught:
        evaluate_fairness(source, subject=MODEL, **CASES["threshold"])
    for secret in ("wrong-secret", PASSWORD, "'gate'"):
        assert secret not in str(caught.value)
