"""The quick tests on every Python that is declared: ``python -m tests.versions``; what else is said goes to pytest.
Each has an environment of its own in the user's cache, made anew when the lock changes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.gates.environments import CACHE

ROOT = Path(__file__).parents[1]
PROJECTS = (ROOT / "core", ROOT)
QUICK = "not server and not live and not slow"


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


def environment(version: str) -> Path:
    """The Python of an environment with what the lock lists and the two distributions of this tree."""
    wanted = [ROOT / "requirements.lock", *(folder / "pyproject.toml" for folder in PROJECTS)]
    key = hashlib.sha256(b"".join(path.read_bytes() for path in wanted) + str(ROOT).encode()).hexdigest()[:12]
    folder = CACHE / f"python{version}-{key}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        _uv("venv", "--quiet", "--clear", "--python", interpreter(version), str(folder))
        editable = [word for project in PROJECTS for word in ("--editable", str(project))]
        _uv("pip", "install", "--quiet", "--python", str(python), "--requirement", str(wanted[0]), "uv>=0.5", *editable)
        (folder / "complete").touch()
    return python


def _uv(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "uv", *words], check=True)


def main() -> int:
    """Run them on one version after the other; the number of versions on which a test fails."""
    failed = 0
    for version in declared():
        print(f"Python {version}", flush=True)
        command = [str(environment(version)), "-m", "pytest", "-q", "-n", str(os.cpu_count() or 2), "-m", QUICK]
        failed += subprocess.run([*command, *sys.argv[1:]], cwd=ROOT, check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
