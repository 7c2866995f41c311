"""Spark and MariaDB, where they are."""

import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fixtures.mariadb import mariadb_missing, running_mariadb


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    folder = os.environ.get("MLGOV_TEST_SPARK")
    if folder is None or shutil.which("java") is None:
        pytest.skip("Spark needs Java and 500 MB: set MLGOV_TEST_SPARK to a folder with PySpark below 4.2 installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, folder])
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYTHONPATH", folder)  # for Spark's own workers
        from pyspark.sql import SparkSession

        session = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
        yield session
        session.stop()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[str]:
    """The URL of a server, without its password (``tests.fixtures.mariadb.PASSWORD``)."""
    pytest.importorskip("pymysql", reason="PyMySQL is not installed")
    if missing := mariadb_missing():
        pytest.skip(f"no {missing} on this machine")
    with running_mariadb() as url:
        yield url
