"""Where the predictions are does not matter: files, SQLite, PostgreSQL, a query; a database counts itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from airflow_mlgov.data.database import SqlSource
from airflow_mlgov.data.remote import RemoteRelation
from airflow_mlgov.gates.performance import counting, evaluate_performance
from airflow_mlgov.results import GateResult, Outcome, Subject
from tests.fixtures.postgres import PASSWORD

BOUNDS = {
    metric: {"min": -9.0} for metric in ("roc_auc", "average_precision", "brier_score", "calibration_slope", "f1")
}


def _judged(source: Any, **options: Any) -> GateResult:
    subject = Subject("model", "credit", "0" * 64, "1")
    named = {"label": "y", "score": "s", "positive_label": "bad", "bounds": BOUNDS, **options}
    return evaluate_performance(source, subject=subject, **named)


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    score = rng.uniform(0.01, 0.99, 4000).round(3)
    label = np.where(rng.uniform(size=4000) < score, "bad", "good")
    return pd.DataFrame({"id": np.arange(4000), "y": label, "s": score, "p": np.where(score > 0.6, "bad", "good")})


def test_files_and_databases_give_the_same(
    frame: pd.DataFrame, tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet", index=False)
    url = f"sqlite:///{tmp_path / 'a.db'}"
    frame.to_sql("judged", sa.create_engine(url), index=False)
    server = sa.create_engine(sa.make_url(postgres).set(password=PASSWORD))
    frame.to_sql("judged", server, index=False, if_exists="replace")
    tables = [
        SqlSource(url, table="judged"),
        SqlSource(postgres, table="judged", password=PASSWORD),
        SqlSource(postgres, query="SELECT y, s, p FROM judged WHERE id >= 0", password=PASSWORD),
    ]
    for options in ({}, {"prediction": "p"}):
        of_files = [_judged(str(tmp_path / name), **options) for name in ("a.parquet", "a.csv")]
        with monkeypatch.context() as patch:  # no row is copied and none is fingerprinted
            patch.setattr(RemoteRelation, "in_duckdb", None)
            patch.setattr(RemoteRelation, "fingerprint", None)
            of_tables = [_judged(source, **options) for source in tables]
        with monkeypatch.context() as patch:
            patch.setattr(counting, "_MOST_SCORES", 100)
            copied = _judged(tables[1], **options)
        first = of_files[0]
        for other in (*of_files, *of_tables, copied):
            assert other.checks == first.checks
            assert other.evaluation_digest == first.evaluation_digest
            assert {**other.details, "read_as": None} == {**first.details, "read_as": None}
        assert len({result.inputs[0].digest for result in of_tables[:2]}) == 1


def test_missing_values_in_a_database_are_an_error(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.loc[3, "s"] = None
    frame.loc[[5, 6], "y"] = None
    frame.to_parquet(tmp_path / "a.parquet", index=False)
    url = f"sqlite:///{tmp_path / 'a.db'}"
    frame.to_sql("judged", sa.create_engine(url), index=False)
    in_file, in_table = _judged(str(tmp_path / "a.parquet")), _judged(SqlSource(url, table="judged"))
    assert in_file.checks == in_table.checks
    assert in_table.verdict is Outcome.ERROR
    assert "2 missing values in 4000 rows" in in_table.checks[0].detail
