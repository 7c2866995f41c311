"""A clock, dice, and processes that take turns: every call that leaves a process is a step, and a step may go wrong.

One seed gives one story: processes are threads of which one runs at a time, and nothing but the dice says which.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from traceback import clear_frames
from typing import Any, TypeVar

Answer = TypeVar("Answer")

BEGIN = datetime(2027, 3, 1, 9, tzinfo=UTC)
FATES = ("fails", "hangs", "answers nobody", "hangs, done", "dies before", "dies after")
"""What may become of a step, beside what it is for."""

CHANGES = ("POST", "DELETE", "COMMIT", "sign")
"""Words of steps that change something, or that are about to."""
CHANGES_FAIL = 10
"""Times as often as others."""


class Killed(BaseException):
    """The process is dead: nothing that it would still do has an effect."""


@dataclass
class Process:
    """One try of something, in a process of its own."""

    name: str
    act: Callable[[], Any]
    skew: timedelta = timedelta(0)
    """How far its clock is off."""
    wakes: float = 0.0
    dead: bool = False
    ended: bool = False
    result: Any = None
    error: BaseException | None = None
    turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


class Machine:
    """Everything that chance decides in one story.

    :param seed: of the story
    """

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.clock = 0.0
        """Seconds since :data:`BEGIN`."""
        self.steps = 0
        self.story: list[str] = []
        self.fates: Counter[str] = Counter()
        self.faults = True
        self.running: Process | None = None
        """None: what is done now is done by the one who looks on, to whom nothing happens."""
        self._likely = self.random.choice((0.002, 0.005, 0.01, 0.03))
        self._sticks = self.random.choice((0.0, 0.5, 0.9, 0.98))
        self._back = threading.Semaphore(0)

    @property
    def now(self) -> datetime:
        """By the clock of the process that runs."""
        skew = self.running.skew if self.running else timedelta(0)
        return BEGIN + timedelta(seconds=self.clock) + skew

    def tell(self, what: str) -> None:
        """Write down what happens."""
        who = self.running.name if self.running else "-"
        self.story.append(f"{self.clock:9.2f} {who}: {what}")

    # -- processes ----------------------------------------------------------------------------------------------------

    def run(self, *processes: Process) -> None:
        """Until all have ended."""
        threads = [threading.Thread(target=self._live, args=(process,), daemon=True) for process in processes]
        for thread in threads:
            thread.start()
        last = processes[0]
        while alive := [process for process in processes if not process.ended]:
            awake = [process for process in alive if process.wakes <= self.clock]
            if not awake:
                self.clock = min(process.wakes for process in alive)
                continue
            if last not in awake or self.random.random() >= self._sticks:
                last = self.random.choice(awake)
            self.running = last
            last.turn.release()
            self._back.acquire()
            self.running = None
        for thread in threads:
            thread.join()

    def _live(self, process: Process) -> None:
        process.turn.acquire()
        try:
            process.result = process.act()
        except BaseException as error:
            clear_frames(error.__traceback__)  # what a dead process had open is closed
            process.error = error.with_traceback(None)
        process.ended = True
        self._back.release()

    def sleep(self, seconds: float) -> None:
        """The process waits, others go on."""
        process = self.running
        if process is None:
            self.clock += seconds
            return
        process.wakes = self.clock + seconds
        self._pause(process)

    def monotonic(self) -> float:
        """Seconds, as ``time.monotonic``."""
        return self.clock

    def _pause(self, process: Process) -> None:
        if process.dead:
            raise Killed
        self._back.release()
        process.turn.acquire()

    # -- steps --------------------------------------------------------------------------------------------------------

    def step(self, what: str, do: Callable[[], Answer], broken: Callable[[str], Exception], patience: float) -> Answer:
        """Do one thing outside of the process, if fate lets it. What changes something goes wrong more often.

        :param what: who is asked, and for what
        :param broken: what the client raises then, by the fate
        :param patience: seconds after which the client waits no longer
        """
        process = self.running
        if process is None:
            return do()
        self._pause(process)
        self.steps += 1
        self.clock += self.random.uniform(0.001, 0.2)
        likely = self._likely * (CHANGES_FAIL if any(word in what for word in CHANGES) else 1)
        fate = self.random.choice(FATES) if self.faults and self.random.random() < likely else ""
        self.tell(f"{what} {fate}")
        if fate:
            self.fates[f"{what.partition(' ')[0]} {fate}"] += 1
        if fate == "dies before":
            self._die(process)
        if fate == "hangs":
            self.sleep(patience)
        if fate in ("fails", "hangs"):
            raise broken(fate)
        answer = do()
        if fate == "dies after":
            self._die(process)
        if fate == "hangs, done":
            self.sleep(patience)
        if fate in ("answers nobody", "hangs, done"):
            raise broken(fate)
        return answer

    def _die(self, process: Process) -> None:
        process.dead = True
        raise Killed
