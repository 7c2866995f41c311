"""The checks over a data set in Spark say what they say of the same rows in files, and no row comes over."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from airflow_mlgov.data.spark import SparkTable
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.dataset_checks.checks import DatasetChecks, run_checks
from tests.codes import raises_code
from tests.worlds.champion import signature
from tests.worlds.spark import differing, in_both

NOW = datetime(2026, 1, 10, tzinfo=UTC)


def people(rows: int = 1200, shift: float = 0.0, seed: int = 5) -> pa.Table:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "id": np.arange(rows) + int(100 * shift),
            "age": random.integers(18, 90, rows) + int(10 * shift),
            "income": random.normal(3_000 + 500 * shift, 800, rows).round(2),
            "ratio": random.lognormal(0, 2, rows),
            "region": random.choice(["north", "süd", "e\u0301ast"], rows, p=[0.5 - shift / 4, 0.3 + shift / 4, 0.2]),
            "member": random.random(rows) < 0.5 + shift / 4,
            "at": pd.Timestamp("2026-01-01") + pd.to_timedelta(random.integers(0, 10_000, rows), unit="min"),
            "said": pd.Series(["2026-01-05", "2026-01-06T10:00:00+02:00"] * (rows // 2)),
            "y": random.integers(0, 2, rows),
        }
    )
    frame["told"] = frame["y"] + random.normal(0, 0.05, rows)
    frame.loc[random.random(rows) < 0.1, ["income", "region"]] = None
    frame.loc[frame.index[:3], "ratio"] = [np.inf, -np.inf, 0.0]
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return table.set_column(table.column_names.index("at"), "at", table["at"].cast(pa.timestamp("us")))


CHECKS: dict[str, dict[str, Any]] = {
    "drift": {
        "psi": {"max": 0.2}, "js": {"max": 0.1}, "ks": {"max": 0.1}, "columns": ["age", "income", "ratio", "told"],
    },
    "drift of words": {"psi": {"max": 0.2}, "exclude": ["said"]},
    "drift of moments": {"psi": {"max": 0.2}, "columns": ["at"]},
    "overlap": {"max": 0.5},
    "overlap of keys": {"keys": ["id", "region"], "max": 0.1},
    "leakage": {"label": "y"},
    "freshness": {"column": "at", "max_age": "5d", "timezone": "Europe/Berlin"},
    "freshness of texts": {"column": "said", "max_age": "2d", "timezone": "America/New_York"},
    "volume": {"min_ratio": 0.5, "max_ratio": 0.9},
}  # fmt: skip


def checked(data: Any, reference: str, case: str) -> DatasetChecks:
    kind, settings = case.partition(" of")[0], CHECKS[case]
    named = {"overlap": "with", "drift": "reference", "volume": "reference"}.get(kind)
    return run_checks(data, {kind: {**settings, **({named: reference} if named else {})}}, now=NOW)


@pytest.fixture(scope="module")
def rows(spark_server: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    folder = tmp_path_factory.mktemp("people")
    here, there = in_both(people(shift=0.4), folder, spark_server)
    before, _ = in_both(people(1600, seed=6), folder, spark_server, "before")
    return here, there, before


@pytest.mark.parametrize("case", CHECKS)
def test_checks_of_data_sets_say_the_same(rows: tuple[Any, ...], case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SparkTable, "narrowed", None)
    monkeypatch.setattr(SparkTable, "batches", None)
    here, there, before = rows
    mine, theirs = checked(there, before, case), checked(here, before, case)
    in_spark = there.place(before).name
    problems = differing(mine.checks, theirs.checks, (in_spark, before))
    assert not problems, "\n".join(problems)
    assert len(mine.checks) > 0
    assert [each.name for each in mine.inputs] == [in_spark for _ in theirs.inputs]


def test_a_large_sample_is_looked_at_in_cells(spark_server: str, tmp_path: Path) -> None:
    """Values that come often, and none at all, among those that are spread."""
    random = np.random.default_rng(1)
    made = [
        pa.table({"x": pa.array(np.where(random.random(n) < 0.3, 5.0, random.normal(size=n).round(2) + by)),
                  "none": pa.array([None] * n, pa.float64())})
        for n, by in ((20_000, 0.0), (15_000, 0.1))
    ]  # fmt: skip
    here, there = in_both(made[0], tmp_path, spark_server)
    before, _ = in_both(made[1], tmp_path, spark_server, "before")
    asked = {"drift": {"reference": before, "psi": {"max": 0.2}, "ks": {"max": 0.01}, "bins": 20}}
    mine, theirs = (run_checks(data, asked).checks for data in (there, here))
    assert not differing(mine, theirs)
    assert [check.name for check in mine].count("drift_ks(x)") == 1


def test_a_signature_is_held_against_sparks_types(
    rows: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = signature(age="long", income="double", region="string", at="datetime", member="boolean")
    mine, theirs = (run_checks(data, {"schema": {"model": model}}).checks for data in (rows[1], rows[0]))
    assert not differing(mine, theirs)


def test_a_reference_is_where_the_data_is(rows: tuple[Any, ...]) -> None:
    with raises_code(ConfigurationError, "spark.query", "PATH_NOT_FOUND"):
        run_checks(rows[1], {"volume": {"reference": "/nowhere/a.parquet", "min_ratio": 0.1}})
