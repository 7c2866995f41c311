"""Suites of expectations, and files that they are asked about."""

from typing import Any

import duckdb

from airflow_mlgov.data.quoting import literal


def expect(kind: str, severity: str | None = None, **kwargs: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": f"expect_{kind}", "kwargs": kwargs}
    return entry if severity is None else {**entry, "severity": severity}


def suite(*expectations: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "applicants", "expectations": list(expectations), **more}


def write_names(path: str, rows: int, different: int) -> None:
    """Names of 69 characters, some of them twice."""
    with duckdb.connect() as connection:
        names = f"SELECT 'somebody-' || lpad((i % {different})::VARCHAR, 60, '0') AS name FROM range({rows}) t(i)"
        connection.execute(f"COPY ({names}) TO {literal(path)} (FORMAT parquet)")


QUANTILES = {"quantiles": [0.5], "value_ranges": [[0, 100]]}
