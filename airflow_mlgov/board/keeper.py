"""Keeps what the pages show in step with the ledger: walks it, files its rows, and has models judged again.

A short way is gone at once, within the request that asks; a long one, such as the first walk of a great ledger, by a
thread, and the pages say how far it has come.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlgov.board.judging import Bench, Standing
from airflow_mlgov.board.rows import STATES, Rows
from airflow_mlgov.board.walked import Index, Walked
from airflow_mlgov.errors import EvidenceError, MlgovError
from airflow_mlgov.evidence.headlines import model_in
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.verification import verify_entry
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.words import line

if TYPE_CHECKING:
    from airflow_mlgov.evidence.chain import Entry, Head
    from airflow_mlgov.evidence.ledger import Ledger
    from airflow_mlgov.governance.policy import GovernancePolicy

_LOG = logging.getLogger(__name__)
AGAIN = 60.0
"""Seconds after which a row that is shown is judged again by the thread, though nothing was written and no date of its
has passed: an organisation's own rules may go by others."""
_LOOKS_AGAIN = 2.0
_BATCH = 500
_AT_ONCE = 1.0
"""Seconds that a request spends on walking and judging before it leaves the rest to the thread."""


@dataclass(frozen=True)
class Source:
    """What the pages are about."""

    open_ledger: Callable[[], Ledger]
    trust: Path
    policy: Path | None
    environment: str | None = None
    """The one environment that is looked at; every one that has evidence if omitted."""
    checkpoints: Callable[[TrustRoot], Iterable[Head]] = lambda _: ()


@dataclass
class Progress:
    """How far the ledger was walked, and whether it holds."""

    size: int = 0
    """Entries that the ledger has."""
    walked: int = 0
    at: datetime | None = None
    """When it was last walked to its end."""
    problem: str = ""
    """Why it does not hold; everything that was shown before counts for nothing then."""
    checkpoints: list[int] = field(default_factory=list)
    """Sizes of the checkpoints that it holds."""
    unjudged: int = 0

    @property
    def complete(self) -> bool:
        """Whether every entry was walked."""
        return not self.problem and self.at is not None and self.walked == self.size


class Keeper:
    """The ledger's walk, its rows and the judgements, for all requests of a process."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.rows = Rows()
        self.progress = Progress()
        self._index: Index | None = None
        self._trust: TrustRoot | None = None
        self._policy: GovernancePolicy | None = None
        self._read: tuple[Any, ...] = ()
        self._looked = 0.0
        self._lock = threading.RLock()
        self._worker: threading.Thread | None = None
        self._pairs: set[tuple[str, str]] = set()
        self._marks: dict[int, list[Head]] = {}
        self._again: set[str] = set()

    # -- asked by the pages -------------------------------------------------------------------------------------------

    @property
    def policy(self) -> GovernancePolicy | None:
        """The policy in force, as it was read last."""
        return self._policy

    @property
    def trust(self) -> TrustRoot:
        """The trust root, as it was read last."""
        return self._trust or TrustRoot()

    @property
    def walked(self) -> Walked:
        """What was walked.

        :raises EvidenceError: the chain is broken
        """
        if self.progress.problem:
            raise EvidenceError(self.progress.problem, code="ledger.chain_broken")
        if self._index is None:
            raise EvidenceError("the ledger was not read yet; try again", code="ledger.unusable")
        return self._index.walked()

    @property
    def ledger(self) -> Ledger:
        """The open ledger."""
        if self._index is None:
            raise EvidenceError("the ledger was not read yet; try again", code="ledger.unusable")
        return self._index.ledger

    def bench(self) -> Bench:
        """What models are judged from now."""
        return Bench(self.walked, self.trust, self._policy, datetime.now(UTC))

    def look(self) -> Progress:
        """Go on with the walk and the judgements, as far as a second goes; a thread does the rest. Returns how far it
        is: rows that are read afterwards are no older.

        :raises MlgovError: the ledger, the trust root or the policy cannot be read
        """
        if self._lock.acquire(timeout=_AT_ONCE):
            try:
                self._go_on(time.monotonic() + _AT_ONCE)
            finally:
                self._lock.release()
        found = replace(self.progress)  # as it is before rows are read: the thread goes on meanwhile
        if not found.problem and (not found.complete or found.unjudged):
            self._hand_over()
        return found

    def refresh(self, rows: Iterable[dict[str, Any]]) -> bool:
        """Judge again, now, what is to be shown and may have changed by a date since; whether there was any. What was
        only judged a while ago is for the thread."""
        now = time.time()
        passed = {row["model"] for row in rows if row["changes"] is not None and row["changes"] <= now}
        self._again |= {row["model"] for row in rows if now - row["judged"] > AGAIN} - passed
        for model in sorted(passed):
            with self._lock:
                self._judge(model)
        if self._again:
            self._hand_over()
        return bool(passed)

    # -- the work -----------------------------------------------------------------------------------------------------

    def _go_on(self, until: float) -> None:
        self._read_again()
        if self.progress.complete and time.monotonic() - self._looked < _LOOKS_AGAIN and not self.progress.unjudged:
            return
        try:
            done = self._walk(until)
        except EvidenceError as error:
            self._broken(error)
            return
        if done:
            self._looked = time.monotonic()
            self._judge_stale(until)

    def _broken(self, error: EvidenceError) -> None:
        """Nothing of a ledger that does not hold is shown; it is walked anew when somebody asks again."""
        _LOG.error("the board shows nothing: %s", line(error))
        self.progress = Progress(self.progress.size, 0, None, error.coded)
        self._index, self._looked = None, 0.0

    def _read_again(self) -> None:
        """The trust root and the policy, if their files are others than they were."""
        seen = tuple(_stamp(path) for path in (self.source.trust, self.source.policy) if path)
        if seen == self._read and self._trust is not None:
            return
        trust = TrustRoot.load(self.source.trust)
        policy = load_policy(self.source.policy) if self.source.policy else None
        if self._trust is None or trust.keys != self._trust.keys:
            self._trust = trust
        self._policy, self._read = policy, seen
        self.rows.all_stale()

    def _walk(self, until: float) -> bool:
        """Whether the end was reached."""
        if self._index is None:
            self.rows.close()
            self.rows, self._pairs = Rows(), set()
            ledger = self.source.open_ledger()
            self._index = Index(ledger)
            self._marks = {}
            for mark in self.source.checkpoints(self.trust):  # of one size there may be several, and two may differ
                self._marks.setdefault(mark.size, []).append(mark)
            self.progress = Progress()
        size = self._index.ledger.last()[0]
        if size < self._index.size:
            raise EvidenceError(
                f"the ledger has {size} entries and had {self._index.size}: its tail was cut", code="ledger.tail_cut"
            )
        if size and size == self._index.size and self._index.ledger.last()[1] != self._index.trail.head.head:
            raise EvidenceError(f"ledger entry {size} was changed after it was read", code="ledger.entry_changed")
        while self._index.size < size:
            batch = self._index.ledger.since(self._index.size, _BATCH)
            if not batch:
                break
            self._take(batch)
            self.progress.size, self.progress.walked = size, self._index.size
            if time.monotonic() > until and self._index.size < size:
                return False
        short = next((mark for mark in self._marks if mark > self._index.size), None)
        if short is not None:
            raise EvidenceError(
                f"the ledger has {self._index.size} entries, a checkpoint says {short}: its tail was cut",
                code="ledger.tail_cut",
            )
        self.progress.size = self.progress.walked = self._index.size
        self.progress.at = datetime.now(UTC)
        return True

    def _take(self, batch: Sequence[Entry]) -> None:
        assert self._index is not None  # noqa: S101
        taken = []
        for entry in batch:
            taken.append((entry, self._index.take(entry)))
            marks = self._marks.get(entry.seq, ())
            if not all(map(self._index.trail.head.bears_out, marks)):
                raise EvidenceError(
                    f"the ledger's first {entry.seq} entries are not those of the checkpoint", code="checkpoint.differs"
                )
            if marks:
                self.progress.checkpoints.append(entry.seq)
        self.rows.add(taken)
        for entry, statement in taken:
            self._belongs(entry, statement)

    def _belongs(self, entry: Entry, statement: Any) -> None:
        """Only evidence that verifies says which DAGs a model belongs to."""
        model = model_in(entry.subject_name)
        run = ((statement.get("predicate") or {}).get("mlgov") or {}).get("run") or {}
        dag_id = run.get("dag_id") if isinstance(run, dict) else None
        if not model or not isinstance(dag_id, str) or (model, dag_id) in self._pairs:
            return
        try:
            verify_entry(entry, self.trust)
        except EvidenceError:
            return
        self._pairs.add((model, dag_id))
        self.rows.belongs(model, dag_id)

    def _judge_stale(self, until: float) -> None:
        while stale := self.rows.stale(20):
            for model in stale:
                self._judge(model)
                if time.monotonic() > until:
                    self.progress.unjudged = self.rows.waiting()
                    return
        self.progress.unjudged = 0

    def _judge(self, model: str) -> None:
        environments = [self.source.environment] if self.source.environment else self.rows.environments(model)
        try:
            found = self.bench().standings(model, environments)
        except MlgovError as error:
            _LOG.warning("%s cannot be judged: %s", line(model), line(error))
            found = []
        owners = self._policy.models[model].owners if self._policy and model in self._policy.models else ()
        now = datetime.now(UTC)
        made = [as_row(item, owners, now) for item in found]
        self.rows.judged(model, made, now.timestamp())

    def _hand_over(self) -> None:
        if self._worker is None or not self._worker.is_alive():
            self._worker = threading.Thread(target=self._work, name="mlgov-board", daemon=True)
            self._worker.start()

    def _work(self) -> None:
        try:
            while not self.progress.problem and (not self.progress.complete or self.progress.unjudged):
                with self._lock:
                    self._go_on(time.monotonic() + 0.2)
                time.sleep(0.01)  # who asks meanwhile comes first
            while self._again and not self.progress.problem:
                with self._lock:
                    self._judge(self._again.pop())
                time.sleep(0.01)
        except Exception as error:  # the next request tells it
            _LOG.warning("the board's walk stopped: %s", line(error))


def as_row(item: Standing, owners: Sequence[str], now: datetime) -> dict[str, Any]:
    """A standing as a row of the board."""
    changes = item.changes_after(now)
    return {
        "model": item.model.name,
        "environment": item.environment,
        "target": item.target,
        "role": item.role,
        "version": item.model.version or "",
        "state": item.state,
        "rank": STATES.index(item.state),
        "age": item.oldest.timestamp() if item.oldest else None,
        "due": item.due.timestamp() if item.due else None,
        "changes": changes.timestamp() if changes else None,
        "owners": "".join(f"\n{owner}" for owner in owners) + "\n",
        "shown": {
            "digest": item.model.digest,
            "place": item.place,
            "since": item.since and item.since.isoformat(),
            "reasons": [list(reason) for reason in item.reasons],
            "cells": [
                {
                    "gate": cell.gate,
                    "outcome": str(cell.outcome or "MISSING"),
                    "seq": cell.seq,
                    "issued_at": cell.issued_at and cell.issued_at.isoformat(),
                    "stale_at": cell.stale_at and cell.stale_at.isoformat(),
                    "tries": cell.tries,
                }
                for cell in item.cells
            ],
            "exemptions": [
                {
                    "kind": one.kind,
                    "what": one.what,
                    "ends": one.ends.isoformat(),
                    "people": list(one.people),
                    "reason": one.reason,
                    "ticket": one.ticket,
                }
                for one in item.exemptions
            ],
            "obligations": [
                {**one.as_dict(), "violated": one.state.violated, "met": one.state == "met"} for one in item.obligations
            ],
            "incidents": [
                {"code": one.statement.code, "message": one.statement.message, "at": one.issued_at.isoformat()}
                for one in item.incidents
            ],
        },
    }


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
