"""A real SQLite ledger whose every statement, commit and wait is a step of a machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from airflow_mlgov.evidence import ledger as real
from airflow_mlgov.evidence import ledger_writing
from airflow_mlgov.evidence.chain import Entry, Verified
from airflow_mlgov.evidence.ledger_schema import open_engine
from airflow_mlgov.evidence.statements import Typed
from airflow_mlgov.release import standing, waivers
from tests.worlds.simulation.machine import Machine

Answer = TypeVar("Answer")
PATIENCE = 10.0
"""Seconds that a connection waits for another's lock."""


class SimulatedLedger(real.Ledger):
    """The real one, which remembers how far it was walked and written."""

    walked = written = 0
    stored: Callable[[Entry], None] = staticmethod(lambda _: None)
    """Told of each entry that is acknowledged."""

    def walk(self, *args: Any, **given: Any) -> Verified:
        """As the real one."""
        found = super().walk(*args, **given)
        self.walked = found.head.size
        return found

    def append(self, envelope: str, texts: Iterable[Typed] = ()) -> Entry:
        """As the real one."""
        entry = super().append(envelope, texts)
        self.written = entry.seq
        self.stored(entry)
        return entry


def open_simulated(path: Path, machine: Machine, stored: Callable[[Entry], None] = lambda _: None) -> SimulatedLedger:
    """A ledger that is there already, opened by one process.

    :param stored: told of each entry that the process is told is stored
    """
    url = make_url(f"sqlite:///{path}")
    engine = open_engine(url, 0.0, create=False)

    class Cursor(sqlite3.Cursor):
        def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
            word = sql.split(None, 1)[0]
            if word == "PRAGMA":
                return super().execute(sql, *given)
            return machine.step(
                f"ledger {word}", lambda: _patiently(machine, lambda: super(Cursor, self).execute(sql, *given)),
                _broken, PATIENCE,
            )  # fmt: skip

    class Connection(sqlite3.Connection):
        def cursor(self, *_: Any) -> Cursor:  # type: ignore[override]
            return super().cursor(Cursor)

        def commit(self) -> None:
            if self.in_transaction:
                machine.step("ledger COMMIT", lambda: _patiently(machine, super(Connection, self).commit), _broken, 1)

        def close(self) -> None:
            if self.in_transaction:
                self.rollback()  # as the end of a process does
            super().close()

    @sa.event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, args: Any, given: Any) -> Connection:
        return sqlite3.connect(*args, **given, factory=Connection)

    opened = SimulatedLedger(engine, f"sqlite:///{path}")
    opened.stored = stored  # type: ignore[method-assign]
    return opened


def _broken(fate: str) -> Exception:
    said = "database is locked" if "hangs" in fate else "database or disk is full"
    return sqlite3.OperationalError(f"{said} (simulated)")


def _patiently(machine: Machine, do: Callable[[], Answer]) -> Answer:
    """As SQLite's own busy handler waits."""
    end = machine.monotonic() + PATIENCE
    while True:
        try:
            return do()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or machine.monotonic() >= end:
                raise
        machine.sleep(0.05)


@contextmanager
def clock_of(machine: Machine) -> Iterator[None]:
    """The code under test waits and dates by the machine's clock."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return machine.now.astimezone(tz)

    with ExitStack() as stack:
        stack.enter_context(patch.object(real, "time", machine))
        for module in (ledger_writing, standing, waivers):
            stack.enter_context(patch.object(module, "datetime", Clock))
        yield
