"""After all attacks on Airflow: not one secret is in the log of a server or a task, an XCom, a rendered template field,
the audit log, the ledger, MLflow's databases and files, or the environment or command line that a process had."""

from collections.abc import Iterator
from concurrent.futures import wait

import pytest

from tests.live.waiting import HANGS
from tests.worlds.canaries import Text, found, leaks, mentioning, of_database, of_files, of_processes
from tests.worlds.live import USERS, LiveWorld


def texts(live: LiveWorld) -> Iterator[Text]:
    """Everything that people, other tasks and auditors may read, by where it is."""
    logs = (live.airflow.home / "logs").rglob("*.log")
    yield from of_files("a task's log", (path for path in logs if "dag_id=" in str(path)))
    yield from of_files("Airflow's log", [live.airflow.process.log])
    yield from of_database("Airflow's", live.database)
    yield from of_database("the ledger's", live.ledger_url)
    for database in live.server.directory.glob("*.db"):
        yield from of_database("MLflow's", f"sqlite:///{database}")
    files = (*live.server.directory.rglob("artifacts/**/*"), *live.server.directory.glob("*.log"))
    yield from of_files("MLflow's files", files)
    yield from of_files("OpenBao's log", live.directory.rglob("openbao/*.log"))
    yield from of_processes(mentioning(str(live.directory), live.server.folder))
    yield from live.seen


@pytest.mark.live
@pytest.mark.xdist_group("attacks-live")
@pytest.mark.timeout(HANGS)
def test_no_secret_is_anywhere_that_people_may_read(live: LiveWorld) -> None:
    wait(live.attacks.values())
    assert len(live.secrets) >= len(USERS) + 7
    assert leaks(live.secrets, texts(live)) == {}
    # the search does find what is there
    everywhere = {
        "a task's log",
        "Airflow's xcom",
        "Airflow's rendered_task_instance_fields",
        "Airflow's log",
        "the ledger's mlgov_ledger",
    }
    known = {"a": "live_another", "b": "admin", "c": str(live.directory), "d": "demographic_parity_ratio"}
    there = found(known, texts(live))
    assert {"MLflow's users", "MLflow's registered_models"} <= there["a"] | there["b"]
    assert {"a command line", "an environment"} <= there["c"]
    if live.attacks:
        assert everywhere <= there["a"] | there["d"]
