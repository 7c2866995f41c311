"""Notes in the ledger what the listener has noticed, under the duty ``observation``.

In a thread of its own, because whoever has clicked waits for the API server: it waits neither for the ledger nor for
Vault. What could not be noted is in the log, and nothing else of Airflow notices.

Whoever clicks in a loop does not fill the ledger: the same state of the same task is noted at once, and what repeats it
within ten minutes is counted and noted once; of one DAG a hundred notices are taken in an hour by each process, and of
what goes beyond one in ten minutes says how many there were.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import DependencyError, MlgovError
from airflow_mlgov.evidence.statements.watch import MORE
from airflow_mlgov.words import line

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from airflow_mlgov.duty import Duty
    from airflow_mlgov.evidence.chain import Entry

log = logging.getLogger(__name__)

DUTY = "observation"
WAITS = (1.0, 5.0, 30.0, 120.0, 600.0)
"""Seconds before the next attempt, while the ledger or Vault is down."""
_MOST_WAITING = 10_000
_AN_HOUR = 3600.0
_REQUEST_ENDS = timedelta(seconds=20)
"""After something was noticed; whoever is not named by then is not."""


@dataclass(frozen=True)
class Noticed:
    """A state that was set by hand; a run's has neither task nor operator."""

    code: str
    state: str
    operator: str
    dag_id: str
    run_id: str
    task_id: str | None
    try_number: int | None
    map_index: int | None
    seen: datetime
    times: int = 1
    """How often it was set since the last notice of it; ``seen`` is the last time."""

    @property
    def what(self) -> tuple[Any, ...]:
        """What makes two of them one."""
        return (self.code, self.state, self.dag_id, self.run_id, self.task_id, self.map_index)

    def __str__(self) -> str:
        task = f".{self.task_id}" if self.task_id else ""
        index = f"[{self.map_index}]" if self.map_index is not None and self.map_index >= 0 else ""
        often = f", {self.times} times" if self.times > 1 else ""
        return f"{self.dag_id}{task}{index} (run {self.run_id}{often})"


@dataclass(frozen=True)
class Limits:
    """How much of what is noticed one process notes."""

    waiting: int = _MOST_WAITING
    """Notices that wait at the most."""
    quiet: float = 600.0
    """Seconds in which what repeats itself is noted once."""
    of_a_dag: int = 100
    """Notices of one DAG in an hour, beside those that say how many more there were."""


LIMITS = Limits()


class Observer:
    """Takes what was noticed at once, and notes one after the other."""

    def __init__(self, waits: tuple[float, ...] = WAITS, limits: Limits = LIMITS) -> None:
        self._waits = waits
        self._limits = limits
        self._changed = threading.Condition()
        self._waiting: dict[tuple[Any, ...], tuple[float, Noticed]] = {}
        """What makes it one -> when it is due, and what it is."""
        self._taken: dict[tuple[Any, ...], float] = {}
        """What makes it one -> when it was last taken to be noted."""
        self._of_dag: dict[str, deque[float]] = {}
        """DAG -> when notices of it were taken, within the hour."""
        self._lost = 0
        self._busy = False
        self._thread: threading.Thread | None = None

    def take(self, noticed: Noticed) -> None:
        """Note it soon; never waits and never raises."""
        with self._changed:
            if not self._put(noticed):
                return
            if self._thread is None or not self._thread.is_alive():  # none in the child of a fork
                self._busy = False
                self._thread = threading.Thread(target=self._work, name="mlgov-observer", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def settle(self) -> None:
        """Wait until all that was taken is noted, or is said not to be."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._busy)

    def _put(self, noticed: Noticed) -> bool:
        """Whether something waits that did not wait before."""
        now = time.monotonic()
        if self._is_too_much(noticed, now):
            noticed = replace(noticed, code=MORE, task_id=None, try_number=None, map_index=None)
        what = (MORE, noticed.dag_id) if noticed.code == MORE else noticed.what
        if what in self._waiting:
            due, before = self._waiting[what]
            operator = noticed.operator or before.operator
            self._waiting[what] = due, replace(noticed, operator=operator, times=before.times + 1)
            return False
        if len(self._waiting) >= self._limits.waiting:
            self._lost += 1
            if self._lost & (self._lost - 1) == 0:  # 1, 2, 4, 8 …: the log is not flooded either
                log.error(
                    "%s: not noted in the ledger: too many wait already, %s by now", line(noticed), line(self._lost)
                )
            return False
        repeats = what in self._taken and now - self._taken[what] < self._limits.quiet
        due = self._taken[what] + self._limits.quiet if repeats else now
        self._waiting[what] = (now + self._limits.quiet if noticed.code == MORE else due), noticed
        if noticed.code != MORE:
            self._of_dag.setdefault(noticed.dag_id, deque()).append(now)
        return True

    def _is_too_much(self, noticed: Noticed, now: float) -> bool:
        """Whether enough was taken of its DAG within the hour; what repeats what waits takes nothing."""
        for dag, times in [*self._of_dag.items()] if len(self._of_dag) > self._limits.waiting else ():
            if not times or now - times[-1] > _AN_HOUR:
                del self._of_dag[dag]
        taken = self._of_dag.get(noticed.dag_id, deque())
        while taken and now - taken[0] > _AN_HOUR:
            taken.popleft()
        return len(taken) >= self._limits.of_a_dag and noticed.what not in self._waiting

    def _work(self) -> None:
        while True:
            noticed = self._next()
            try:
                self._note(noticed)
            except Exception as error:  # of whatever driver, store or database
                said = error if isinstance(error, MlgovError) else type(error).__name__
                log.error("%s: not noted in the ledger: %s", line(noticed), line(said))
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()

    def _next(self) -> Noticed:
        """The next that is due."""
        with self._changed:
            while True:
                now = time.monotonic()
                what = min(self._waiting, key=lambda one: self._waiting[one][0], default=None)
                if what is None or (left := self._waiting[what][0] - now) > 0:
                    self._changed.wait(None if what is None else left)
                    continue
                self._busy = True
                self._taken = {one: at for one, at in self._taken.items() if now - at < self._limits.quiet}
                self._taken[what] = now
                return self._waiting.pop(what)[1]

    def _note(self, noticed: Noticed) -> None:
        for wait in self._waits:
            try:
                return _attempt(noticed)
            except DependencyError as error:
                log.warning("%s: not noted in the ledger yet: %s", line(noticed), line(error))
                time.sleep(wait)
        return _attempt(noticed)


def _attempt(noticed: Noticed) -> None:
    """One attempt, as long as the clients of ledger and Vault wait at the most."""
    from airflow_mlgov.duty import Duty

    duty = Duty(DUTY)
    if not has_key(duty):
        return
    entry = note(duty, noticed)
    if entry is not None:
        log.info("%s: noted in the ledger (%s)", line(noticed), line(entry.reference))


def has_key(duty: Duty) -> bool:
    """Whether the trust root has a key for this, and it is within reach: none is made here."""
    from airflow_mlgov.configuration import home, option

    root = Path(option("trust_root") or home() / "trust.json")
    if not root.exists() or duty.trust.key_for(DUTY) is None:
        return False
    scheme, _, path = (duty.signer_uri or f"local:{home() / 'signing-key.pem'}").partition(":")
    return scheme != "local" or Path(path).exists()


def note(duty: Duty, noticed: Noticed) -> Entry | None:
    """Sign it and store it; None of a run in which nothing signs evidence."""
    from airflow.utils.session import create_session

    from airflow_mlgov.evidence.statements import ObservationStatement, Person
    from airflow_mlgov.plugins.governed import is_watched

    with create_session() as session:
        if not noticed.operator and not any(map(is_watched, _operators(session, noticed))):
            return None
    people = tuple(Person(name, name) for name in _asked_for_by(noticed))
    context = duty.evidence_context({"ti": noticed})
    said = (noticed.code, noticed.state, noticed.operator, people, noticed.seen, noticed.times)
    statement = ObservationStatement.of(context, *said)
    duty.trust.require_signer(duty.signer, DUTY, context.issued_at)
    with closing(duty.ledger) as ledger:
        return ledger.attest(statement, duty.signer)


def _asked_for_by(noticed: Noticed) -> list[str]:
    """Who has set it. Airflow's own note of the request is there when the request has ended, which it has not yet where
    this is told at once."""
    from airflow.utils.session import create_session

    from airflow_mlgov.plugins.marks import marked_by

    while True:
        is_late = datetime.now(UTC) - noticed.seen > _REQUEST_ENDS
        with create_session() as session:
            names = marked_by(session, noticed.dag_id, noticed.run_id, noticed.task_id, noticed.map_index, noticed.seen)
        if names or is_late:
            return names
        time.sleep(0.5)


def _operators(session: Session, noticed: Noticed) -> list[str | None]:
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    asked = select(TaskInstance.operator).where(
        TaskInstance.dag_id == noticed.dag_id, TaskInstance.run_id == noticed.run_id
    )
    return list(session.scalars(asked))


OBSERVER = Observer()
"""The one of this process."""


def notice(code: str, state: str, at: Any, operator: str = "") -> Noticed:
    """What a listener was told.

    :param at: a task instance or a run, as Airflow hands it over
    """
    task_id, number, index = (getattr(at, name, None) for name in ("task_id", "try_number", "map_index"))
    return Noticed(code, state, operator, at.dag_id, at.run_id, task_id, number, index, datetime.now(UTC))
