"""The README's first command: the whole story on real servers, nothing left running afterwards, and not one of its
secrets anywhere but in the private files that its servers read."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.waiting import HANGS, patience
from tests.worlds.canaries import Text, leaks, mentioning, of_files, watched

PRIVATE = {"airflow.cfg", "connections.json", "passwords.json", "basic_auth.ini"}
"""Files of mode 0600 that servers read their secrets from."""


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


def of_sessions(seen: set[Text]) -> set[str]:
    """What MLflow signs its own forms with, which it reads from its environment alone."""
    variable = b"MLFLOW_FLASK_SERVER_SECRET_KEY="
    words = [word for _, text in seen for word in text.split(b"\0")]
    return {word.removeprefix(variable).decode() for word in words if word.startswith(variable)}


@pytest.mark.live
@pytest.mark.xdist_group("demo")
@pytest.mark.timeout(HANGS)
def test_the_whole_story(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "MLFLOW"))}
    command = [sys.executable, "-m", "tests.worlds.demo_told", tmp_path / "secrets.json", "demo", "--work-dir"]
    with watched(mentioning(str(tmp_path / "demo"))) as seen:
        done = subprocess.run(
            [*command, tmp_path / "demo"],
            capture_output=True, text=True, timeout=patience(850), env=environment, cwd=Path(__file__).parents[2],
        )  # fmt: skip
    print(done.stdout[-12000:], done.stderr[-4000:])
    assert done.returncode == 0
    for words in ("gate.not_passed", "approval.missing", "may serve"):
        assert words in done.stdout
    assert processes_in(tmp_path) == []
    secrets = json.loads((tmp_path / "secrets.json").read_text())
    assert len(secrets) > 20
    files = [path for path in (tmp_path / "demo").rglob("*") if path.is_file()]
    private = [path for path in files if path.name in PRIVATE]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    said = ("what it says", (done.stdout + done.stderr).encode())
    assert leaks(secrets, [said, *of_files("a file", set(files) - {*private})]) == {}
    assert leaks({name: value for name, value in secrets.items() if value not in of_sessions(seen)}, seen) == {}
    assert len(of_sessions(seen)) == 1
    assert {where for where, _ in seen} == {"a command line", "an environment"}
    assert len(leaks(secrets, of_files("private", private))) > 10
