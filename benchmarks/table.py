"""Shows what was measured as one Markdown table, with the machine that it was measured on."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from benchmarks.measure import Figure, Measured, Target

_FIGURES: dict[Figure, str] = {
    "import_seconds": "imports, s",
    "work_seconds": "work, s",
    "total_seconds": "process, s",
    "cpu_seconds": "CPU, s",
    "peak_mb": "memory, MB",
}
_LIBRARIES = ("duckdb", "great-expectations", "fairlearn", "scikit-learn", "pandas", "apache-airflow")


def render(measured: Sequence[Measured], command: str) -> str:
    """The whole report in Markdown."""
    lines = [
        f"Measured {datetime.now(UTC):%Y-%m-%d} with `{command}`: {machine()}.",
        "",
        "| what | against | figure | ours | theirs | ratio | to reach | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [row for each in measured for row in _rows(each)]
    lines += [
        "",
        "Medians of every contender:",
        "",
        "| what | contender | " + " | ".join(_FIGURES.values()) + " | runs |",
    ]
    lines.append("|---|---|" + "---|" * (len(_FIGURES) + 1))
    lines += [row for each in measured for row in _contenders(each)]
    lines += ["", *(f"- {each.contest.what}: {each.contest.note}" for each in measured if each.contest.note)]
    lines.append("- What is to be reached was set for 10 M rows; with fewer, what does not grow with them weighs more.")
    lines += [f"- **answers differ**, {each.contest.what}: {text}" for each in measured for text in each.unlike]
    return "\n".join(lines) + "\n"


def machine() -> str:
    """What the figures depend on."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    libraries = ", ".join(f"{name} {found}" for name in _LIBRARIES if (found := _version(name)))
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GB, load at the end {load}; "
        f"Python {platform.python_version()}, {libraries}"
    )


def _rows(measured: Measured) -> Iterator[str]:
    for against, target in measured.contest.targets:
        head = f"| {measured.contest.what} | {against} | {_FIGURES[target.figure]} |"
        found = measured.medians(against, target)
        if found is None:
            yield f"{head} | | | {target} | {_why_not(measured, against)} |"
            continue
        ours, theirs, ratio = found
        met = "met" if target.is_met(ratio) else "**not met**"
        yield (
            f"{head} {_number(ours, target)} | {_number(theirs, target)} | {ratio:,.{0 if ratio >= 100 else 2}f}x | "
            f"{target} | {met} |"
        )


def _why_not(measured: Measured, against: str) -> str:
    for name in (against, measured.contest.contenders[0].name):
        if name in measured.missing:
            return f"not installable here: {measured.missing[name]}"
        if name in measured.broken:
            return f"broken: {measured.broken[name]}"
    return "not run"


def _contenders(measured: Measured) -> Iterator[str]:
    for contender in measured.contest.contenders:
        runs = [runs[contender.name] for runs in measured.rounds if contender.name in runs]
        if runs:
            medians = [statistics.median(getattr(run, figure) for run in runs) for figure in _FIGURES]
            shown = [
                f"{value:,.{0 if figure == 'peak_mb' else 2}f}" for figure, value in zip(_FIGURES, medians, strict=True)
            ]
            yield f"| {measured.contest.what} | {contender.name} | {' | '.join(shown)} | {len(runs)} |"


def _number(value: float, target: Target) -> str:
    return f"{value:,.0f}" if target.figure == "peak_mb" or value >= 100 else f"{value:.3g}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
