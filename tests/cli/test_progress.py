"""A command that takes long says so, and how far it has come: on a terminal in one line, elsewhere in lines of their
own, never on stdout, and with ``--quiet`` not at all."""

import io
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from airflow_mlgov.cli.progress import progress, silence
from airflow_mlgov.evidence.digests import hash_tree
from airflow_mlgov.progress import counted, counting, followed


class Terminal:
    """One that was written to, and what it was given so far."""

    def __init__(self) -> None:
        self._here, there = pty.openpty()
        self.stream, self.shown = os.fdopen(there, "w", encoding="utf-8"), b""

    def until(self, text: str) -> None:
        """Read until this has been shown."""
        while text.encode() not in self.shown:
            self.shown += os.read(self._here, 4096)

    def rest(self) -> bytes:
        """What was shown in all."""
        self.shown += os.read(self._here, 4096)
        return self.shown


@contextmanager
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    with made.stream:
        yield made
    os.close(made._here)


def test_a_terminal_is_told_and_its_line_is_wiped() -> None:
    with terminal() as shown:
        with progress("reading", shown.stream, quiet=0.01):
            shown.until("reading … 0 s")
        assert shown.rest().startswith("\rreading … 0 s".encode())
        assert shown.shown.endswith(b" \r")


def test_how_far_it_has_come_is_told_anew() -> None:
    done = [12_000]
    with terminal() as shown:
        with progress(lambda: f"{done[0]:,} read", shown.stream, quiet=0.01):
            shown.until("12,000 read")
            done[0] = 9
            shown.until("\r9 read")
        long = "12,000 read … 0 s"
    after = next(part for part in shown.shown.decode().split("\r") if part.startswith("9 read"))
    assert len(after) == len(long)  # what was longer is written over


def test_a_line_is_no_longer_than_the_terminal_and_obeys_no_control_character() -> None:
    with terminal() as shown:
        with progress("x\x1b[2J" + "y" * 500, shown.stream, quiet=0.01):
            shown.until("… 0 s")
        assert b"\x1b" not in shown.rest()
        assert max(len(line.decode()) for line in shown.shown.split(b"\r")) < 80


def told_of(work: threading.Event, stream: io.StringIO, wanted: str) -> None:
    """Wait until it was told."""
    while wanted not in stream.getvalue() and not work.wait(0.01):
        pass


def test_what_is_no_terminal_is_told_in_lines() -> None:
    stream, over = io.StringIO(), threading.Event()
    with progress("the chain is walked", stream, every=0.01), counting("ledger entries", 50_000) as more:
        more(12_000)
        told_of(over, stream, "24 %")
    assert "the chain is walked: 12,000 of 50,000 ledger entries (24 %) … 0 s\n" in stream.getvalue()
    assert "\r" not in stream.getvalue()


def test_work_that_is_soon_done_says_nothing_and_so_does_a_quiet_command() -> None:
    stream = io.StringIO()
    with progress("reading", stream):
        assert followed() is not None
    silence(True)
    try:
        with progress("reading", stream, every=0.0):
            assert followed() is None
    finally:
        silence(False)
    assert stream.getvalue() == ""


def test_things_are_counted_as_they_pass_and_as_well_where_nobody_follows() -> None:
    assert list(counted(range(3), "things")) == [0, 1, 2]
    stream, over = io.StringIO(), threading.Event()
    with progress("walking", stream, every=0.01):
        things = counted(range(3), "things")
        assert next(things) == 0
        assert next(things) == 1
        told_of(over, stream, "1 things")
        assert list(things) == [2]
    assert "walking: 1 things … 0 s\n" in stream.getvalue()


def test_a_model_is_hashed_by_its_bytes(tmp_path: Path) -> None:
    """The digest is that of before, whoever follows."""
    (tmp_path / "weights").write_bytes(bytes(3 << 20))
    (tmp_path / "MLmodel").write_text("flavors: {}")
    with progress("hashing", io.StringIO(), every=0.001):
        seen = hash_tree(tmp_path)
    assert seen == hash_tree(tmp_path)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "many.parquet"
    duckdb.execute(f"COPY (SELECT i % 2 AS y, random() AS p FROM range(3000000) t(i)) TO '{path}'")
    return path


def test_a_query_is_told_by_its_share_and_the_rows_of_the_file(many: Path) -> None:
    from airflow_mlgov.data.source import source_of

    stream, over = io.StringIO(), threading.Event()
    with progress("the gate", stream, every=0.01), source_of(str(many)).open(memory_limit="500MB") as table:
        while "% of a query over 3,000,000 rows of many.parquet" not in stream.getvalue() and not over.is_set():
            table.rows(f"SELECT quantile_cont(p, 0.5), stddev(p) FROM {table.sql}")


@pytest.mark.slow
def test_stdout_is_the_same_and_quiet_is_an_option_of_every_command(many: Path) -> None:
    words = ["gate", "performance", "--data", str(many), "--label", "y", "--score", "p", "--bound", "roc_auc>=0.4"]
    command = [str(Path(sys.executable).parent / "mlgov"), *words]
    plain, silent = (
        subprocess.run([*command, *more], capture_output=True, text=True, check=True, timeout=300)
        for more in ([], ["--quiet"])
    )
    assert plain.stdout == silent.stdout
    assert silent.stderr == ""
