"""After all attacks on Airflow: not one secret is in the log of a server or a task, an XCom, a rendered template field,
the audit log, the ledger, MLflow's databases and files, or the environment or command line of a process."""

import os
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.live.waiting import HANGS
from tests.worlds.live import USERS, LiveWorld


def cells(url: str) -> Iterator[tuple[str, bytes]]:
    """Every value of every table of a database."""
    engine = sa.create_engine(url)
    tables = sa.MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        for name, table in tables.tables.items():
            for row in connection.execute(sa.select(table)):
                yield from ((name, bytes(cell) if isinstance(cell, bytes) else str(cell).encode()) for cell in row)
    engine.dispose()


def texts(live: LiveWorld) -> Iterator[tuple[str, bytes]]:
    """Everything that people, other tasks and auditors may read, by where it is."""
    for path in (live.airflow.home / "logs").rglob("*.log"):
        if "dag_id=" in str(path):
            yield "a task's log", path.read_bytes()
    yield "Airflow's log", live.airflow.process.log.read_bytes()
    for table, cell in cells(live.database):
        yield f"Airflow's {table}", cell
    for _, cell in cells(live.ledger_url):
        yield "the ledger", cell
    for database in live.server.directory.glob("*.db"):
        for table, cell in cells(f"sqlite:///{database}"):
            yield f"MLflow's {table}", cell
    for path in (*live.server.directory.rglob("artifacts/**/*"), *live.server.directory.glob("*.log")):
        if path.is_file():
            yield "MLflow's files", path.read_bytes()
    for path in live.directory.rglob("openbao/*.log"):
        yield "OpenBao's log", path.read_bytes()
    yield from processes(live)


def processes(live: LiveWorld) -> Iterator[tuple[str, bytes]]:
    """Command line and environment of each process that the world has started and that is there now."""
    places = (str(live.directory).encode(), live.server.folder.encode())
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if folder.name != str(os.getpid()) and any(place in word for place in places for word in words):
            yield "a command line", words[0]
            yield "an environment", words[1]


def found(live: LiveWorld, value: str) -> set[str]:
    """Where a value stands, plain or as base64."""
    forms = (value.encode(), b64encode(value.encode()).rstrip(b"="))
    return {where for where, text in texts(live) if any(form in text for form in forms)}


@pytest.mark.live
@pytest.mark.xdist_group("attacks-live")
@pytest.mark.timeout(HANGS)
def test_no_secret_is_anywhere_that_people_may_read(live: LiveWorld) -> None:
    wait(live.attacks.values())
    assert len(live.secrets) >= len(USERS) + 7
    assert all(len(value) >= 12 for value in live.secrets.values())
    leaks = {name: where for name, value in live.secrets.items() if (where := found(live, value))}
    assert leaks == {}
    # the search does find what is there
    everywhere = {
        "a task's log",
        "Airflow's xcom",
        "Airflow's rendered_task_instance_fields",
        "Airflow's log",
        "the ledger",
    }
    assert {"MLflow's users", "MLflow's registered_models"} <= found(live, "live_another") | found(live, "admin")
    assert {"a command line", "an environment"} <= found(live, str(live.directory))
    if live.attacks:
        assert everywhere <= found(live, "live_another") | found(live, "demographic_parity_ratio")
