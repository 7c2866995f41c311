"""Python environments for the peers that cannot live beside Airflow, one each, built with uv in the cache folder."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = {
    "aequitas": ("aequitas>=1.1", "pandas>=2.2,<3", "pyarrow>=18"),
    "aif360": ("aif360>=0.6.1", "pyarrow>=18"),
    "pandera": ("pandera[polars]>=0.30", "polars>=1.20"),
    "pointblank": ("pointblank>=0.20", "polars>=1.20"),
}
"""With lower bounds, for without them a resolver may choose versions that are years old."""


class NotInstallable(Exception):
    """The environment could not be built; the message says what uv said."""


def python_of(name: str, folder: Path) -> Path:
    """The interpreter of an environment; this one's for the empty name.

    :param folder: where environments are kept
    :raises NotInstallable: no package index, or nothing there that fits this interpreter
    """
    if not name:
        return Path(sys.executable)
    environment = _place(name, folder)
    python, complete = environment / "bin" / "python", environment / "complete"
    if not complete.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(environment))
        _uv("pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), *REQUIREMENTS[name])
        complete.touch()
    return python


def is_built(name: str, folder: Path) -> bool:
    """Whether the environment is there already."""
    return not name or (_place(name, folder) / "complete").exists()


def _place(name: str, folder: Path) -> Path:
    key = hashlib.sha256(json.dumps([REQUIREMENTS[name], sys.version]).encode()).hexdigest()[:12]
    return folder / f"{name}-{key}"


def _uv(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "uv", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise NotInstallable(" ".join(done.stderr.split())[-200:])
