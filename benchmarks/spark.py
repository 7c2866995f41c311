"""Who asks a Spark Connect server: the data gate and the fairness gate, and SQL that is written by hand. The server
does the work, so what counts is its processor time with the client's; it is started once, by the first contest."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.contender import Answer, Steps

_CORES = 2
_COMPILED = {"spark.sql.codegen.wholeStage": "true", "spark.sql.adaptive.enabled": "true"}
"""As Spark is without settings; tests have few rows."""
_SUITE = {
    "name": "people",
    "expectations": [
        {"type": kind, "kwargs": kwargs, "severity": "critical"}
        for kind, kwargs in (
            ("expect_column_values_to_not_be_null", {"column": "id"}),
            ("expect_column_values_to_be_between", {"column": "age", "min_value": 18, "max_value": 90}),
            ("expect_column_values_to_be_between", {"column": "income", "min_value": 0, "mostly": 0.9}),
            ("expect_column_values_to_be_in_set", {"column": "country", "value_set": ["AT", "BE", "CH", "DE"]}),
        )
    ],
}
_BY_HAND = """
SELECT count_if(id IS NULL), count_if(age < 18 OR age > 90), count_if(income < 0),
       count_if(country NOT IN ('AT', 'BE', 'CH', 'DE'))
FROM {rows}
"""


@cache
def server() -> dict[str, Any]:
    """``url`` and ``pid`` of a server that ends with this process."""
    import atexit
    import signal

    from tests.fixtures.spark import start_spark

    folder = Path(tempfile.mkdtemp(prefix="mlgov-bench-spark-"))
    started = start_spark(folder, cores=_CORES, memory="3g", settings=_COMPILED)
    atexit.register(os.killpg, started["pid"], signal.SIGKILL)
    return {"url": started["url"], "pid": started["pid"]}


def data_gate(path: str, url: str, pid: int) -> Steps:
    """Four expectations, by the data gate."""
    from airflow_mlgov.data.spark import SparkSource
    from airflow_mlgov.gates.data_validation import validate_data

    yield None
    begun = _spent(pid)
    found = validate_data(SparkSource(url, path=path), _SUITE)
    yield _spent(pid) - begun
    return _numbered([check.values["unexpected_count"] for check in found.checks[1:]])


def data_by_hand(path: str, url: str, pid: int) -> Steps:
    """The same by one query."""
    from pyspark.sql import SparkSession

    yield None
    begun = _spent(pid)
    session = SparkSession.builder.remote(url).create()
    (found,) = session.sql(_BY_HAND.format(rows=f"parquet.`{path}`")).collect()
    session.stop()
    yield _spent(pid) - begun
    return _numbered(list(found))


def data_by_hand_and_digest(path: str, url: str, pid: int) -> Steps:
    """The same of rows that are frozen, and named by the gate's own digest."""
    from pyspark.sql import SparkSession

    from airflow_mlgov.data.spark_digest import fingerprint_query
    from airflow_mlgov.data.spark_sql import Source, duckdb_type

    yield None
    begun = _spent(pid)
    session = SparkSession.builder.remote(url).create()
    frame = session.sql(f"SELECT * FROM parquet.`{path}`").localCheckpoint()
    frame.createTempView("frozen")
    columns = {name: duckdb_type(kind) for name, kind in frame.dtypes}
    (found,) = session.sql(_BY_HAND.format(rows="frozen")).collect()
    named = session.sql(fingerprint_query(Source("frozen", columns))).collect()
    session.stop()
    yield _spent(pid) - begun
    assert len(named) > 1
    return _numbered(list(found))


def fairness_gate(path: str, url: str, pid: int) -> Steps:
    """Selection rates of twenty groups, by the fairness gate."""
    from airflow_mlgov.data.spark import SparkSource
    from airflow_mlgov.gates.fairness import evaluate_fairness
    from airflow_mlgov.results import Subject

    yield None
    begun = _spent(pid)
    result = evaluate_fairness(
        SparkSource(url, path=path),
        subject=Subject("model", "credit", "0" * 64, "1"),
        label="label",
        prediction="prediction",
        sensitive_features=["race"],
        bounds={"demographic_parity_difference": {"max": 1.0}},
    )
    yield _spent(pid) - begun
    return {"gap": next(check.observed for check in result.checks if check.name.startswith("demographic"))}


def fairness_by_hand(path: str, url: str, pid: int) -> Steps:
    """The same by one GROUP BY."""
    from pyspark.sql import SparkSession

    yield None
    begun = _spent(pid)
    session = SparkSession.builder.remote(url).create()
    query = f"SELECT race, label, prediction, count(*) AS n FROM parquet.`{path}` GROUP BY race, label, prediction"
    sums: dict[str, list[int]] = {}
    for race, _, prediction, count in session.sql(query).collect():
        group = sums.setdefault(race, [0, 0])
        group[0] += count
        group[1] += count * prediction
    session.stop()
    yield _spent(pid) - begun
    rates = [selected / rows for rows, selected in sums.values()]
    return {"gap": max(rates) - min(rates)}


def _numbered(found: list[Any]) -> Answer:
    return {str(at): value for at, value in enumerate(found)}


def _spent(pid: int) -> float:
    """Processor seconds of the server and of this process."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    own = os.times()
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK") + own.user + own.system
