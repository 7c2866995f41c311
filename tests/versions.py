"""The tests on other versions: ``python -m tests.versions [LANE …] [-- for pytest]``; ``--list`` names the lanes, and
without one all are run.

Each lane is a Python, with what the lock lists or with other versions of a package, in an environment of its own in the
user's cache, made anew when the lock or a pyproject.toml changes. It runs the quick tests, and with their servers those
that speak with what differs; with ``--brief`` only the latter. Its row in docs/install.md is written from its run."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from tests.gates.environments import CACHE

ROOT = Path(__file__).parents[1]
PROJECTS = (ROOT / "core", ROOT)
LOCK = ROOT / "requirements.lock"
PAGE = ROOT / "docs" / "install.md"
BEGIN, END = "<!-- lanes -->", "<!-- end of lanes -->"
HEAD = "| lane | on | tests | | run on |\n|---|---|---|---|---|"
OLDER_AIRFLOW = ("3.1", "3.2")
SHOWN = ("apache-airflow", "pandas", "numpy", "mlflow", "sqlalchemy", "pydantic")
QUICK = "not server and not live and not slow"
WITH_SERVERS = "not live and not slow and not soak"
OPERATORS = tuple(f"tests/operators/test_{name}.py" for name in ("release", "form", "exposed_worker", "monitoring"))
AROUND = tuple(f"tests/test_{name}.py" for name in ("provider", "cluster_policy", "decorators"))
AIRFLOW = (*OPERATORS, "tests/sensors", *AROUND)
"""What speaks with Airflow: operators through its task runner, beside a real MLflow, up to a promotion."""
GATES = ("tests/gates/performance", "tests/gates/fairness", "tests/gates/evaluation")
DATA = (*GATES, "tests/data/test_source.py", "tests/data/test_values.py", "tests/operators/test_release.py")
"""What speaks with pandas, and a promotion."""
RELEASE = ("tests/release/test_promotion.py", "tests/evidence/test_signing.py", "tests/registry")


@dataclass(frozen=True)
class Lane:
    """One combination that is tried."""

    name: str
    python: str
    brief: tuple[str, ...] = AIRFLOW
    """The tests that speak with what differs."""
    instead: tuple[str, ...] = ()
    """Requirements in place of the lock; beside them the newest of everything."""
    lowest: bool = False
    """The oldest that both pyproject.toml allow of what they name."""


def lanes() -> dict[str, Lane]:
    """All of them, by name."""
    pythons = declared()
    found = [Lane(f"python-{version}", version) for version in pythons]
    for airflow in OLDER_AIRFLOW:
        wanted = (f"apache-airflow~={airflow}.0",)
        found += [Lane(f"airflow-{airflow}-python-{version}", version, instead=wanted) for version in pythons]
    found.append(Lane("pandas-2.3", pythons[0], DATA, ("pandas~=2.3.0",)))
    found.append(Lane("lowest", pythons[0], (*AIRFLOW, *RELEASE, *DATA), lowest=True))
    return {lane.name: lane for lane in found}


def declared() -> list[str]:
    """Versions of Python in the classifiers: ``3.11``."""
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    last = [
        item.rpartition(" :: ")[2] for item in classifiers if item.startswith("Programming Language :: Python :: 3.")
    ]
    return sorted(last, key=lambda version: int(version.partition(".")[2]))


def interpreter(version: str) -> str:
    """A Python of a version: this one, one on the path or of pyenv that starts, else for uv to find or fetch."""
    return next((path for path in _places(version) if _is(path, version)), version)


def _places(version: str) -> Iterator[str]:
    yield from (sys.executable, f"python{version}")
    home = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from (str(path / "bin" / "python") for path in sorted(home.glob(f"versions/{version}.*")))


def _is(path: str, version: str) -> bool:
    said = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([path, "-c", said], capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        return False
    return done.stdout.strip() == version


def environment(lane: Lane) -> Path:
    """The Python of an environment of the lane's versions, with the two distributions of this tree."""
    wanted = [LOCK, *(folder / "pyproject.toml" for folder in PROJECTS)]
    key = hashlib.sha256(b"".join(path.read_bytes() for path in wanted) + f"{ROOT} {lane}".encode()).hexdigest()[:12]
    folder = CACHE / f"lane-{lane.name}-{key}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        _uv("venv", "--quiet", "--clear", "--python", interpreter(lane.python), str(folder))
        with tempfile.TemporaryDirectory() as made:
            _uv("pip", "install", "--quiet", "--python", str(python), "uv>=0.5", *_packages(lane, Path(made)))
        (folder / "complete").touch()
    return python


def _packages(lane: Lane, made: Path) -> list[str]:
    """What is installed, as uv is told it."""
    editable = ["--editable", "core", "--editable", ".[test]"]
    if lane.lowest:
        return ["--constraint", str(_lowest(lane, made / "lowest.txt")), *editable]
    if lane.instead:
        return [*lane.instead, *editable]
    return ["--requirement", str(LOCK), *editable]


def _lowest(lane: Lane, constraints: Path) -> Path:
    """The oldest versions of what an installation brings. What only tests need is not held to its bounds."""
    extras = [word for extra in ("all", "demo", "openlineage") for word in ("--extra", extra)]
    ours = ("--no-emit-package", "mlgov-core", "--no-emit-package", "airflow-provider-mlgov")
    how = ("--quiet", "--no-header", "--no-annotate", "--resolution", "lowest-direct", "--python-version", lane.python)
    projects = [str(project / "pyproject.toml") for project in PROJECTS]
    _uv("pip", "compile", *how, *ours, *extras, *projects, "--output-file", str(constraints))
    return constraints


def _uv(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "uv", *words], check=True, cwd=ROOT)


def run(lane: Lane, brief: bool, more: Sequence[str]) -> bool:
    """Run a lane's tests and write its row; whether all passed."""
    python = environment(lane)
    rings = [] if brief else [("quick", ["-m", QUICK])]
    rings.append(("with servers", ["-m", WITH_SERVERS, *lane.brief]))
    good = True
    with tempfile.TemporaryDirectory() as made:
        for name, chosen in rings:
            report = Path(made, f"{name}.xml")
            command = [str(python), "-m", "pytest", "-q", "-n", str(os.cpu_count() or 2), f"--junitxml={report}"]
            subprocess.run([*command, *chosen, *more], cwd=ROOT, check=False)
            good = told(report) == [] and good
        reports = {name: Path(made, f"{name}.xml") for name, _ in rings}
        _write(lane.name, row(lane, python, reports))
    return good


def row(lane: Lane, python: Path, reports: dict[str, Path]) -> str:
    """What came of a lane, for the page."""
    on = ", ".join(f"{name} {version}" for name, version in _versions(python))
    failed = [name for report in reports.values() for name in told(report)]
    passed = ", ".join(f"{_passed(report):,} {name}" for name, report in reports.items())
    ended = "holds" if not failed else f"fails: {', '.join(f'`{name}`' for name in failed[:5])}"
    return f"| `{lane.name}` | {on} | {passed} | {ended} | {datetime.now(UTC):%Y-%m-%d} |"


def told(report: Path) -> list[str]:
    """The tests that failed, by pytest's report; a run that made none has failed as a whole."""
    cases = _cases(report)
    bad = [case.get("name", "") for case in cases if case.find("failure") is not None or case.find("error") is not None]
    return bad if cases else ["the run"]


def _passed(report: Path) -> int:
    return sum(len(case.findall("*")) == len(case.findall("properties")) for case in _cases(report))


def _cases(report: Path) -> list[ElementTree.Element]:
    return list(ElementTree.parse(report).getroot().iter("testcase")) if report.exists() else []


def _versions(python: Path) -> Iterator[tuple[str, str]]:
    said = "from importlib.metadata import version as v; import platform, sys\nprint(platform.python_version())\n"
    said += "for name in sys.argv[1:]: print(v(name))"
    done = subprocess.run([str(python), "-c", said, *SHOWN], capture_output=True, text=True, check=True)
    yield from zip(("Python", *SHOWN), done.stdout.split(), strict=True)


def _write(name: str, text: str) -> None:
    """The lane's row of the table, in place of the one that was there."""
    before, _, rest = PAGE.read_text().partition(f"{BEGIN}\n")
    table, _, after = rest.partition(END)
    kept = {found[1]: line for line in table.splitlines() if (found := re.match(r"\| `([^`]+)`", line))}
    kept[name] = text
    rows = [kept[known] for known in lanes() if known in kept]
    PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join([HEAD, *rows]) + f"\n{END}{after}")


def main(words: Sequence[str]) -> int:
    """Run the lanes that are named, or all; the number of those in which a test fails."""
    cut = words.index("--") if "--" in words else len(words)
    said, more, known = words[:cut], words[cut + 1 :], lanes()
    if "--list" in said:
        print("\n".join(known))
        return 0
    named = [word for word in said if word != "--brief"] or list(known)
    if unknown := [word for word in named if word not in known]:
        print(f"no such lane: {', '.join(unknown)}; --list names them", file=sys.stderr)
        return 2
    failed = 0
    for name in named:
        print(name, flush=True)
        failed += not run(known[name], "--brief" in said, more)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
