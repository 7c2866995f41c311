"""NaN in parquet files: their footers leave it out, and DuckDB's histogram takes it for the least number."""

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_mlgov.data.source import open_together, source_of
from airflow_mlgov.gates.dataset_checks import distributions
from airflow_mlgov.gates.dataset_checks.workbench import Reference, Workbench


def test_nan_is_missing_in_the_grid(tmp_path: Path) -> None:
    numbers = [math.nan, 1.0, 1.5, 2.5, 9.0, math.nan, 4.0, 7.0] * 30
    for name, values in (("new", numbers), ("old", numbers[2:])):
        pq.write_table(pa.table({"x": values}), tmp_path / f"{name}.parquet")
    sources = {
        view: source_of(str(tmp_path / name)) for view, name in (("data", "new.parquet"), ("old", "old.parquet"))
    }
    with open_together(sources) as tables:
        bench = Workbench(tables["data"], {})
        assert bench.row("SELECT count(CASE WHEN isnan(x) THEN 1 END) FROM data") == (60,)
        (counts,) = distributions._Grid(bench, Reference("old", tables["old"]), ["x"]).binned(4).values()
    assert counts.data[-1] == 60
    assert sum(counts.data) == len(numbers)
    assert min(counts.data) >= 0
