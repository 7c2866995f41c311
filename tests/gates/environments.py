"""Python environments with libraries that cannot live beside Airflow, built once for each state of their lock files."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airflow-mlgov"


def interpreter(name: str, timeout: float = 180.0, *, beside: bool = False, lock: Path | None = None) -> Path:
    """The Python of an environment with what ``<name>.lock`` lists: that which ``MLGOV_TEST_<NAME>_PYTHON`` names, else
    one that is built in the user's cache (seconds beside a package index). Skips where neither can be.

    :param beside: what this interpreter has, it has too
    :param lock: the lock file, if it is not beside this module

    A lock anew: ``printf 'feast==0.67.0\\npandas<3\\n' | uv pip compile --universal --python-version 3.11
    --no-emit-index-url --no-header --no-annotate - -o tests/gates/feast.lock``.
    """
    named = os.environ.get(f"MLGOV_TEST_{name.upper()}_PYTHON")
    if named:
        return Path(named)
    lock = lock or Path(__file__).with_name(f"{name}.lock")
    key = hashlib.sha256(lock.read_bytes() + f"{sys.executable} {sys.version}".encode()).hexdigest()[:12]
    environment = CACHE / f"{name}-{key}"
    python, complete = environment / "bin" / "python", environment / "complete"
    CACHE.mkdir(parents=True, exist_ok=True)
    with environment.with_suffix(".lock").open("w") as taken:
        fcntl.flock(taken, fcntl.LOCK_EX)
        if not complete.exists():
            _uv(name, timeout, "venv", "--quiet", "--clear", "--python", sys.executable, str(environment))
            _uv(name, timeout, "pip", "install", "--quiet", "--no-deps", "-p", str(python), "-r", str(lock))
            if beside:
                (own,) = environment.glob("lib/python*/site-packages")
                (own / "beside.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
            complete.touch()
    return python


def _uv(name: str, timeout: float, *arguments: str) -> None:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "uv", *arguments], check=False, capture_output=True, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"no environment with {name} here: uv {arguments[0]} took longer than {timeout:.0f} s")
    if done.returncode:
        said = " ".join(done.stderr.split())[-300:]
        pytest.skip(f"no environment with {name} here: uv {arguments[0]} failed: {said}")
