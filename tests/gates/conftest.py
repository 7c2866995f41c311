"""MariaDB, where it is."""

from collections.abc import Iterator

import pytest

from tests.fixtures.mariadb import mariadb_missing, running_mariadb


@pytest.fixture(scope="session")
def mariadb() -> Iterator[str]:
    """The URL of a server, without its password (``tests.fixtures.mariadb.PASSWORD``)."""
    pytest.importorskip("pymysql", reason="PyMySQL is not installed")
    if missing := mariadb_missing():
        pytest.skip(f"no {missing} on this machine")
    with running_mariadb() as url:
        yield url
