"""Data in an object store by an Airflow connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem

from airflow_mlgov.data.source import source_of
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.hooks.object_store import stored
from tests.codes import raises_code


class Bucket(MemoryFileSystem):
    """What a provider would make from a connection."""

    protocol = "s3"
    store: dict[str, Any] = {}  # noqa: RUF012 - as its base has it
    pseudo_dirs = [""]  # noqa: RUF012


@pytest.fixture
def bucket() -> Iterator[Bucket]:
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
