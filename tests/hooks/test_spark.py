"""An Airflow connection to Spark Connect: the gates' operators and the command line over rows there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from airflow.sdk import Connection

from airflow_mlgov.data.spark import SparkEngine, SparkSource
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.hooks.spark import spark_source
from airflow_mlgov.operators.data_validation import DataValidationGateOperator
from airflow_mlgov.operators.fairness import FairnessGateOperator
from tests.codes import raises_code
from tests.fixtures.airflow_runner import TaskEnd, TaskRun
from tests.worlds.release import Release, evidence
from tests.worlds.spark import in_both
from tests.worlds.suites import expect, suite


def applicants(rows: int = 600) -> pa.Table:
    random = np.random.default_rng(2)
    frame = pd.DataFrame({"id": np.arange(rows), "age": random.integers(18, 90, rows)})
    frame["sex"], frame["y"] = random.choice(["f", "m"], rows), random.integers(0, 2, rows)
    frame["p"] = frame["y"]
    return pa.Table.from_pandas(frame, preserve_index=False)


@pytest.fixture
def there(spark_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SparkSource:
    """Applicants in Spark, and Airflow's connection ``lake`` to it."""
    _, source = in_both(applicants(), tmp_path, spark_server)
    where = urlsplit(spark_server)
    given = {"conn_type": "spark_connect", "host": where.hostname, "port": where.port}
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(given))
    return source


def test_the_fields_are_those_of_airflows_own_provider() -> None:
    given = {"conn_id": "lake", "conn_type": "spark_connect", "host": "sc://lake.example", "login": "me"}
    connection = Connection(**given, password="s3cret/;x", extra=json.dumps({"use_ssl": True}))
    source = spark_source(connection, "sales.loans", None, None)
    assert source.name == "sc://lake.example:15002#table=sales.loans"
    assert source.connection == "sc://lake.example:15002/;use_ssl=true;token=s3cret%2F%3Bx;user_id=me"
    assert "s3cret" not in repr(source)
    with raises_code(ConfigurationError, "spark.no_host"):
        spark_source(Connection(conn_id="lake", conn_type="spark_connect"), "t", None, None)


def ran(run_task: TaskRun, release: Release, **named: Any) -> TaskEnd:
    operator = DataValidationGateOperator(
        task_id="validate", suite=str(release.folder / "spark.json"), conn_id="lake", **named
    )
    return run_task(operator)


def test_a_path_a_table_and_a_query_by_conn_id(
    there: SparkSource, release: Release, run_task: TaskRun, tmp_path: Path
) -> None:
    rules = suite(expect("column_values_to_be_between", column="age", min_value=18))
    (release.folder / "spark.json").write_text(json.dumps(rules))
    with SparkEngine(there) as engine:
        engine.session.read.parquet(str(there.path)).write.mode("overwrite").saveAsTable("mlgov_applicants")
    for named in (
        {"data": there.path},
        {"table": "mlgov_applicants"},
        {"query": f"SELECT * FROM parquet.`{there.path}` WHERE id >= 0"},
    ):
        end = ran(run_task, release, **named)
        assert end.state == "success", end.error
        signed = evidence(release)
        assert end.xcom["subject"].startswith(there.name.partition("#")[0])
        (between,) = [check for check in signed["mlgov"]["checks"] if "age" in check["name"]]
        assert between["values"]["engine"] == "spark"
    end = ran(run_task, release, query=f"SELECT * FROM parquet.`{there.path}` WHERE nothing = 1")
    assert end.state == "failed"
    assert "spark.query" in str(end.error)


def test_a_server_that_is_down_is_tried_again(
    release: Release, run_task: TaskRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    (release.folder / "spark.json").write_text(json.dumps(suite(expect("table_row_count_to_equal", value=1))))
    secret = {"conn_type": "spark_connect", "host": "127.0.0.1", "port": 9, "password": "s3cret"}
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(secret))
    end = ran(run_task, release, table="t")
    assert "spark.down" in str(end.error)
    assert "s3cret" not in str(end.error)


def test_what_names_no_data_is_refused_where_the_dag_is_read(there: SparkSource) -> None:
    for named in ({"conn_id": "lake"}, {"conn_id": "lake", "data": "p", "table": "t"}, {"table": "t"}, {}):
        with pytest.raises(ValueError, match="give"):
            DataValidationGateOperator(task_id="validate", suite="s.json", **named)
    assert FairnessGateOperator.arguments["conn_id"].description.endswith("or spark_connect, with table, query or data")


def test_the_command_line_over_spark(there: SparkSource, run: Any, tmp_path: Path) -> None:
    rules = tmp_path / "suite.json"
    rules.write_text(json.dumps(suite(expect("column_values_to_be_between", column="age", min_value=18))))
    url = there.name.partition("#")[0]
    for words in (
        ["--data", f"{url}#{there.path}"],
        ["--data", url, "--query", f"SELECT * FROM parquet.`{there.path}`"],
    ):
        code, out, err = run("gate", "data", *words, "--suite", str(rules))
        assert code == 0, out + err
    words = ["--label", "y", "--prediction", "p", "--sensitive", "sex=f,m", "--bound", "demographic_parity_ratio>=0.1"]
    code, out, err = run("gate", "fairness", "--data", f"{url}#{there.path}", *words)
    assert code in (0, 3), out + err
    code, out, err = run("gate", "data", "--data", "sc://127.0.0.1:9", "--table", "t", "--suite", str(rules))
    assert code != 0
    assert "spark.down" in out + err
