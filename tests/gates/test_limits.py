"""``memory_limit`` and ``time_limit`` hold for whatever a gate does: twenty inputs for each gate that want more end in
an error that names the limit and the mend, or stay within it; never by the kernel."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from airflow_mlgov import catalogue
from airflow_mlgov.data.database import SqlSource
from airflow_mlgov.data.file_tables import open_table
from airflow_mlgov.data.limits import TimeLimitError, time_limit
from airflow_mlgov.data.memory import MemoryLimitError, memory_limit
from airflow_mlgov.data.scratch import PREFIX, scratch_folder
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.run import run_gate
from airflow_mlgov.gates.strictness import held_to, limits_of
from airflow_mlgov.results import Subject
from tests.codes import raises_code
from tests.fixtures.postgres import PASSWORD
from tests.live.waiting import patience
from tests.worlds.excess import BESIDE, GATES, LATE, Process, inputs_of

ALL = "MLGOV_SOAK" in os.environ
MODEL = Subject("model", "m", "ab" * 32, "1", registry="http://r")
_OF_DOCUMENTS = ("file.too_deep", "file.too_many", "file.too_large", "data.columns")
"""Limits that no setting raises."""
ENDLESS = "SELECT sum(hash(a.range + b.range)) FROM range(100000000) a, range(100000000) b, data"


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    found = Process()
    yield found
    found.close()


@pytest.mark.slow
@pytest.mark.parametrize("gate", GATES)
def test_what_wants_more_ends_with_an_error_that_names_the_limit(gate: str, process: Process, tmp_path: Path) -> None:
    names = sorted(inputs_of(gate))
    assert len(names) >= 20
    drawn = names if ALL else sorted(random.Random(gate).sample(names, 5))
    ended = 0
    for at, name in enumerate(drawn):
        given, folder = inputs_of(gate)[name], tmp_path / str(at)
        folder.mkdir()
        answer = process.judge(gate, name, folder)
        assert "died" not in answer, (name, answer)
        assert answer["seconds"] < given.time_limit + patience(LATE), (name, answer)
        assert answer["megabytes"] < float(given.memory_limit[:-2]) + BESIDE, (name, answer)
        assert not list(folder.glob(f"{PREFIX}*"))
        if answer.get("code") in ("memory_limit.exceeded", "time_limit.exceeded"):
            limit = str(answer["code"]).partition(".")[0]
            assert f"raise {limit}" in answer["said"], (name, answer)
            ended += 1
        elif "verdict" in answer and "_limit" in answer["said"]:
            assert answer["verdict"] == "ERROR", (name, answer)
            ended += 1
        elif answer.get("code") in _OF_DOCUMENTS:
            assert gate == "policy", (name, answer)
            ended += 1
        else:  # it spills, counts or streams, and so it fits
            assert given.time_limit == 60, (name, answer)
            assert "verdict" in answer, (name, answer)
    assert ended >= len(drawn) / 2


def test_a_limit_that_begins_after_a_table_was_opened_stops_its_queries(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    with open_table(str(tmp_path / "a.csv")) as table:
        for _ in range(2):
            with time_limit(0.3), raises_code(TimeLimitError, "time_limit.exceeded", match="raise time_limit"):
                table.rows(ENDLESS)
        assert table.rows("SELECT count(*) FROM data") == [(1,)]


@pytest.mark.parametrize("main", [True, False])
def test_work_that_asks_nobody_is_left(main: bool) -> None:
    """In the main thread also while it waits."""
    left: list[BaseException] = []

    def work() -> None:
        try:
            with time_limit(0.1, "the loop"):
                if main:
                    time.sleep(60)
                while True:
                    sum(range(1000))
        except TimeLimitError as error:
            left.append(error)

    if main:
        work()
    else:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(30)
    assert [str(error) for error in left] == [
        "the loop was stopped after 0.1 s: raise time_limit, or give it less to do"
    ]


def test_an_array_that_does_not_fit_is_an_error_of_ours() -> None:
    with raises_code(MemoryLimitError, "memory_limit.exceeded", match="raise memory_limit"), memory_limit("16MB", "it"):
        np.ones(2_000_000_000)
    assert np.ones(10_000_000).sum() == 10_000_000


def test_a_caller_may_only_make_limits_tighter() -> None:
    gate = catalogue.load("performance")

    class Policy:
        source = "mlgov.yaml"

        def settings(self, gate: str) -> dict[str, Any]:
            return {"label": "y", "prediction": "p", "memory_limit": "1GB", "time_limit": "10m"}

        def bounds(self, gate: str) -> dict[str, dict[str, Any]]:
            return {"accuracy": {"min": 0.5}}

        def where(self, *path: str) -> str:
            return "mlgov.yaml:1"

    settings, _ = held_to(gate, Policy(), {"memory_limit": "512MB", "time_limit": 90}, {}, "the DAG")
    assert (settings.memory_limit, settings.time_limit) == ("512MB", 90)
    for wider in ({"memory_limit": "1100MB"}, {"time_limit": "11m"}):
        with raises_code(ConfigurationError, "setting.looser", match="may only be made tighter"):
            held_to(gate, Policy(), wider, {}, "the DAG")
    assert limits_of(settings, {"memory_limit": "", "time_limit": "2m"}, "[mlgov]") == {
        "memory_limit": "512MB",
        "time_limit": 90,
    }
    with raises_code(ConfigurationError, "setting.looser", match=r"time_limit is 90 here, and 1m by \[mlgov\]"):
        limits_of(settings, {"time_limit": "1m"}, "[mlgov]")
    with raises_code(ConfigurationError, "setting.looser"):
        run_gate(gate, None, settings, (), memory_limit="2GB")


def test_what_a_killed_process_left_behind_goes_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_mlgov.data import scratch

    left, held = tmp_path / f"{PREFIX}data-old", tmp_path / f"{PREFIX}data-held"
    for folder in (left, held):
        folder.mkdir()
        (folder / "rows.parquet").touch()
        os.utime(folder, (0, 0))
    handle = os.open(held, os.O_RDONLY)
    assert scratch._held(handle)
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(tmp_path))
    scratch._clear.cache_clear()
    with scratch_folder("data") as mine:
        assert sorted(tmp_path.iterdir()) == sorted([held, mine])
    os.close(handle)


SLOW = {
    "a statement that sleeps": "SELECT 1 AS id, 1 AS y, 1 AS p, 0.5 AS s, 'g' AS g, pg_sleep(600)::text AS t",
    "a cross join": "SELECT a AS id, 1 AS y, 1 AS p, 0.5 AS s, 'g' AS g, 't' AS t "
    "FROM generate_series(1, 100000000) a, generate_series(1, 100000000) b WHERE a * b < 0",
}


@pytest.mark.parametrize("slow", SLOW)
@pytest.mark.parametrize("gate", sorted(GATES.keys() - {"policy"}))
def test_a_statement_in_a_database_is_cancelled_there(gate: str, slow: str, postgres: str, tmp_path: Path) -> None:
    asked, spec = GATES[gate], catalogue.load(GATES[gate].name)
    source = SqlSource(postgres, query=SLOW[slow], password=PASSWORD)
    given = {name: value for name, value in asked.settings.items() if name != "checks"}
    settings, bounds = held_to(
        catalogue.load(asked.name), None, {**given, "time_limit": 0.4}, list(asked.bounds), "test"
    )
    subject = None if asked.name == "data_validation" else MODEL
    with raises_code(TimeLimitError, "time_limit.exceeded", match="raise time_limit"):
        run_gate(spec, source, settings, bounds, subject=subject)
    engine = sa.create_engine(sa.make_url(postgres).set(password=PASSWORD), poolclass=sa.NullPool)
    with engine.connect() as connection:
        busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
        assert connection.exec_driver_sql(busy).scalar_one() == 1  # the one that asks
