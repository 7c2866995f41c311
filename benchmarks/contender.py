"""One contender in a process of its own: ``python -m benchmarks.contender FUNCTION OPTIONS REPORT``. Imports the
standard library alone, for what it measures begins with its own start."""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Generator, Mapping
from pathlib import Path

Answer = Mapping[str, float | int | str | bool | None]
Steps = Generator[float | None, None, Answer]
"""Imports what it needs, yields, does its work, and returns its answer. What it yields after that, if anything, is the
work's seconds where they are not those of the clock (scaled from a smaller job)."""


def run(function: str, options: Mapping[str, object]) -> dict[str, object]:
    """What one contender measured of itself.

    :param function: ``module:function`` in this package; it gives :data:`Steps`
    """
    started = time.perf_counter()
    module, name = function.split(":")
    steps: Steps = getattr(importlib.import_module(f"benchmarks.{module}"), name)(**options)
    next(steps)
    imported = time.perf_counter()
    seconds: float | None = None
    try:
        seconds = next(steps)
        next(steps)
    except StopIteration as end:
        answer: Answer = end.value
    worked = time.perf_counter()
    return {
        "import_seconds": imported - started,
        "work_seconds": worked - imported if seconds is None else seconds,
        "cpu_seconds": cpu_seconds(),
        "peak_mb": peak_mb(),
        "answer": answer,
    }


def cpu_seconds() -> float:
    """What this process and the children that it has waited for have had of the processors, its start included."""
    import resource

    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def peak_mb() -> float:
    """The most memory that this process had resident, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts from before exec, when this was a copy of its parent
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(json.dumps(run(sys.argv[1], json.loads(sys.argv[2]))))
