"""Notes in the ledger what the listener has noticed, under the duty ``observation``.

In a thread of its own, because whoever has clicked waits for the API server: it waits neither for the ledger nor for
Vault. What could not be noted is in the log, and nothing else of Airflow notices.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Full, Queue
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import DependencyError, MlgovError
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
_REQUEST_ENDS = timedelta(seconds=20)
"""After something was noticed; whoever is not named by then is not."""


@dataclass(frozen=True)
class Noticed:
    """A state that was set by hand; a run's has no task."""

    code: str
    state: str
    operator: str
    dag_id: str
    run_id: str
    task_id: str | None
    try_number: int | None
    map_index: int | None
    seen: datetime

    def __str__(self) -> str:
        task = f".{self.task_id}" if self.task_id else ""
        index = f"[{self.map_index}]" if self.map_index is not None and self.map_index >= 0 else ""
        return f"{self.dag_id}{task}{index} (run {self.run_id})"


class Observer:
    """Takes what was noticed at once, and notes one after the other."""

    def __init__(self, waits: tuple[float, ...] = WAITS, most: int = _MOST_WAITING) -> None:
        self._queue: Queue[Noticed] = Queue(most)
        self._waits = waits
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def take(self, noticed: Noticed) -> None:
        """Note it soon; never waits and never raises."""
        try:
            self._queue.put_nowait(noticed)
        except Full:
            log.error("%s: not noted in the ledger: too many wait already", line(noticed))
            return
        with self._lock:
            if self._thread is None or not self._thread.is_alive():  # none in the child of a fork
                self._thread = threading.Thread(target=self._work, name="mlgov-observer", daemon=True)
                self._thread.start()

    def settle(self) -> None:
        """Wait until all that was taken is noted, or is said not to be."""
        self._queue.join()

    def _work(self) -> None:
        while True:
            noticed = self._queue.get()
            try:
                self._note(noticed)
            except Exception as error:  # of whatever driver, store or database
                said = error if isinstance(error, MlgovError) else type(error).__name__
                log.error("%s: not noted in the ledger: %s", line(noticed), line(said))
            finally:
                self._queue.task_done()

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
        if noticed.task_id is None and not any(map(is_watched, _operators(session, noticed))):
            return None
    people = tuple(Person(name, name) for name in _asked_for_by(noticed))
    context = duty.evidence_context({"ti": noticed})
    statement = ObservationStatement.of(context, noticed.code, noticed.state, noticed.operator, people, noticed.seen)
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
