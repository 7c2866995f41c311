"""The README's first command: the whole story on real servers, and nothing left running afterwards."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.waiting import HANGS, patience


def processes_in(folder: Path) -> list[str]:
    """Command lines of processes that name a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in words and "pytest" not in words:
            found.append(words)
    return found


@pytest.mark.live
@pytest.mark.xdist_group("demo")
@pytest.mark.timeout(HANGS)
def test_the_whole_story(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "MLFLOW"))}
    done = subprocess.run(
        [Path(sys.executable).parent / "mlgov", "demo", "--work-dir", tmp_path / "demo"],
        capture_output=True, text=True, timeout=patience(850), env=environment,
    )  # fmt: skip
    print(done.stdout[-12000:], done.stderr[-4000:])
    assert done.returncode == 0
    for words in ("gate.not_passed", "approval.missing", "may serve"):
        assert words in done.stdout
    assert processes_in(tmp_path) == []
