"""Environments with another Airflow, or more beside it, and this checkout; each built once for each state of its lock
file."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
AIRFLOW_31 = HERE / "airflow31.lock"
"""Airflow 3.1 on PostgreSQL. Anew: ``printf 'apache-airflow==3.1.8\\npsycopg2-binary\\n' | uv pip compile --universal
--python-version 3.11 --no-emit-index-url --no-emit-package mlgov-core --no-header --no-annotate --extra postgres -
pyproject.toml -o tests/live/airflow31.lock``."""
WITH_FAB = HERE / "fab.lock"
"""The newest Airflow with the auth manager of Flask AppBuilder: the same, of ``apache-airflow==3.3.2`` and
``apache-airflow-providers-fab``."""
FOLDER = "MLGOV_ENVIRONMENTS"
"""Environment variable that names the folder to keep them in, instead of the user's cache."""
CHECKOUT = HERE.parents[1]


class CannotBuild(Exception):
    """There is no such environment here; the message is why."""


def python_of(lock: Path, timeout: float = 240.0) -> Path:
    """The Python of an environment. Building takes 4 s from a warm cache of uv, 8 s beside a package index, and a
    0.9 GB download.

    :raises CannotBuild: uv has failed, or was not ready after ``timeout`` seconds
    """
    key = hashlib.sha256(lock.read_bytes() + f"{CHECKOUT} {sys.version}".encode()).hexdigest()[:12]
    environment = _folder() / f"{lock.stem}-{key}"
    python, complete = environment / "bin" / "python", environment / "complete"
    environment.parent.mkdir(parents=True, exist_ok=True)
    with environment.with_suffix(".lock").open("w") as taken:
        fcntl.flock(taken, fcntl.LOCK_EX)
        if not complete.exists():
            _uv(timeout, "venv", "--quiet", "--clear", "--python", sys.executable, str(environment))
            _uv(timeout, "pip", "install", "--quiet", "--python", str(python), "--requirement", str(lock))
            complete.touch()
        # always: the entry points may have changed
        editable = ("--editable", str(CHECKOUT / "core"), "--editable", str(CHECKOUT))
        _uv(timeout, "pip", "install", "--quiet", "--python", str(python), "--no-deps", *editable)
    return python


def _folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airflow-mlgov"
    return Path(os.environ.get(FOLDER) or cache)


def _uv(timeout: float, *arguments: str) -> None:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "uv", *arguments], check=False, capture_output=True, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise CannotBuild(f"uv {arguments[0]} took longer than {timeout:.0f} s") from None
    if done.returncode:
        raise CannotBuild(f"uv {arguments[0]} failed: {' '.join(done.stderr.split())[-300:]}")
