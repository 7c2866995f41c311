"""Data in an object store by an Airflow connection."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem

from airflow_mlgov.data.source import source_of
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.hooks.object_store import stored
from tests.codes import raises_code
from tests.fixtures.object_store import ObjectStore, running_object_store
from tests.worlds.object_store import GATES, PLACES


class Bucket(MemoryFileSystem):
    """What a provider would make from a connection."""

    protocol = "s3"
    store: dict[str, Any] = {}  # noqa: RUF012 - as its base has it
    pseudo_dirs = [""]  # noqa: RUF012


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", "aws://")
    monkeypatch.setattr("airflow.sdk.io.store._STORE_CACHE", {})  # the first store of a name is that of its process
    found = Bucket()
    attach(protocol="s3", conn_id="lake", fs=found)
    with found.open("/bucket/a.csv", "w") as file:
        pd.DataFrame({"a": [1, 2]}).to_csv(file, index=False)
    yield found
    Bucket.store.clear()


def test_a_url_with_a_connection(bucket: Bucket) -> None:
    for data in ("s3://lake@bucket/a.csv", "s3://lake@bucket/*.csv", "s3://lake@bucket"):
        with source_of(stored(data)).open() as relation:
            assert relation.rows("SELECT sum(a) FROM data") == [(3,)]
            assert relation.subject.name == data.replace("lake@", "")


def test_everything_else_is_left_as_it_is() -> None:
    for data in (None, "a.csv", "memory://x/a.csv", "s3://bucket/a@b.csv", pd.DataFrame()):
        assert stored(data) is data


def test_a_connection_that_is_not_there() -> None:
    with raises_code(ConfigurationError, "store.unknown", match="'nobody'"):
        stored("gs://nobody@bucket/a.csv")


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with running_object_store(tmp_path_factory.mktemp("s3")) as store:
        yield store


@pytest.mark.slow
def test_gates_say_the_same_of_rows_in_a_real_store(s3: ObjectStore) -> None:
    said = s3.run("tests.worlds.object_store", "lake", lake=s3.connection())
    for place in PLACES:
        for gate in GATES:
            assert said[place][gate]["there"] == said[place][gate]["here"], (place, gate)
            assert said[place][gate]["here"]["read"], (place, gate)
    assert said["missing"]["code"] == "file.missing"
    assert said["no bucket"]["code"] == "file.missing"


@pytest.mark.slow
def test_a_real_store_is_entered_as_the_connection_and_as_nobody_else(s3: ObjectStore) -> None:
    wrong = s3.run("tests.worlds.object_store", "wrong", wrong=s3.connection("x" * 40))
    assert wrong["code"] == "file.refused"
    assert "s3://bucket/rows.csv" in wrong["said"]
    unknown = s3.run("tests.worlds.object_store", "nobody")
    assert unknown["code"] == "store.unknown"


@pytest.mark.slow
def test_the_command_line_enters_a_real_store_as_the_connection_and_shows_no_secret(
    s3: ObjectStore, tmp_path: Path
) -> None:
    s3.run("tests.worlds.object_store", "lake", lake=s3.connection())
    alias, secret = s3.key_id, s3.secret

    def mlgov(*words: str, conn: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        known = {"AWS_EC2_METADATA_DISABLED": "true", "AIRFLOW_HOME": str(tmp_path), **variables}
        if conn:
            known["AIRFLOW_CONN_LAKE"] = conn
        done = subprocess.run(
            [s3.python, "-c", "from airflow_mlgov.cli import main; main()", *words],
            env={**os.environ, **known},
            cwd=Path(__file__).parents[2],
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert secret not in done.stdout + done.stderr
        return done

    done = mlgov("data", "describe", "s3://lake@bucket/rows.csv", "--json", conn=s3.connection())
    assert (done.returncode, '"name"' in done.stdout) == (0, True), done.stderr
    gate = ["gate", "performance", "--label", "y", "--score", "s", "--bound", "roc_auc>=0.7", "--data"]
    done = mlgov(*gate, "s3://lake@bucket/rows.csv", conn=s3.connection())
    assert (done.returncode, "roc_auc" in done.stdout) == (0, True), done.stderr
    for url, code, more in (
        ("s3://lake@bucket/rows.csv", "store.unknown", {}),
        (f"s3://{alias}:{secret}@bucket/rows.csv", "store.name", {"AWS_ENDPOINT_URL": s3.url}),
        ("s3://Bad Bucket!/rows.csv", "store.name", {"AWS_ENDPOINT_URL": s3.url}),
        ("s3://bucket/rows.csv", "file.refused", {"AWS_ENDPOINT_URL": s3.url}),
    ):
        variables = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", **more} if code == "store.name" else more
        done = mlgov(*gate, url, **variables)
        assert f"[{code}]" in done.stderr, (url, done.stderr)
        assert "ParamValidationError" not in done.stderr
