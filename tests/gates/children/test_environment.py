from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from airflow_mlgov.data.memory import MemoryLimitError, memory_limit
from airflow_mlgov.errors import ConfigurationError, MlgovError
from airflow_mlgov.gates.children import environment, network
from airflow_mlgov.gates.children.environment import Answer, Backend, ExternalError, ask
from tests.codes import raises_code

SCHEMA = {
    "type": "object",
    "required": ["total"],
    "properties": {"total": {"type": "number"}, "seen": {}},
    "additionalProperties": False,
}


def _backend(folder: Path, body: str, *, reads_rows: bool = False, libraries: tuple[str, ...] = ("pandas",)) -> Backend:
    """A script whose ``answer(request)`` is ``body``, to be run by this very interpreter."""
    script = folder / "script.py"
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    script.write_text(
        f"import json, os, signal, subprocess, sys, time\nREADS_ROWS = {reads_rows}\ndef answer(request):\n{lines}"
    )
    return Backend("the sum", str(script), libraries, "'pandas<3'", SCHEMA)


def _ask(backend: Backend, **options: Any) -> Answer:
    return ask(backend, sys.executable, {"numbers": [1, 2]}, **options)


def test_a_question_and_its_answer(tmp_path: Path) -> None:
    import pandas as pd

    answer = _ask(_backend(tmp_path, 'return {"total": sum(request["numbers"])}'))
    assert answer.content == {"total": 3}
    assert answer.libraries == {"python": sys.version.split()[0], "pandas": pd.__version__}


def test_the_child_sees_no_secret_but_what_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIRFLOW__CORE__FERNET_KEY", "VAULT_TOKEN", "AWS_SECRET_ACCESS_KEY", "FEAST_PASSWORD"):
        monkeypatch.setenv(name, "hunter2")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    body = 'return {"total": 0, "seen": {"environ": dict(os.environ), "cwd": os.getcwd(), "path": sys.path}}'
    seen = _ask(_backend(tmp_path, body)).content["seen"]
    assert "hunter2" not in str(seen)
    assert str(tmp_path) not in seen["path"]
    assert not [entry for entry in seen["path"] if entry.endswith("/scripts")]
    assert seen["environ"]["HOME"] == seen["environ"]["TMPDIR"] == seen["cwd"]
    assert seen["cwd"] != os.getcwd()
    assert not Path(seen["cwd"]).exists()
    seen = _ask(_backend(tmp_path, body), environment=["FEAST_PASSWORD", "NOT_SET"]).content["seen"]
    assert [name for name, value in seen["environ"].items() if value == "hunter2"] == ["FEAST_PASSWORD"]


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (
            'raise RuntimeError("cannot reach postgresql://scott:tiger@db/prod with token=abc123")',
            "child.failed",
            r"the sum failed: RuntimeError: cannot reach postgresql://\*\*\*@db/prod with token=\*\*\*",
        ),
        ("os.kill(os.getpid(), signal.SIGKILL)", "child.failed", "the sum was killed by signal 9"),
        ("os._exit(3)", "child.failed", "the sum ended with exit code 3"),
        ("os._exit(0)", "child.answer", ""),
        ('return {"total": "three"}', "child.answer", ""),
        ('return {"sum": 3}', "child.answer", ""),
        ("return 3", "child.answer", ""),
        ('return {"total": float("nan")}', "child.failed", "ended with exit code 1: ValueError"),
        ('os.symlink("/etc/passwd", "answer.json"); os._exit(0)', "child.answer", "ended without an answer"),
        ('os.mkfifo("answer.json"); os._exit(0)', "child.answer", "an answer that is not a file"),
        ('open("answer.json", "w").write("{"); os._exit(0)', "child.answer", "an answer that is not JSON"),
        ('open("answer.json", "w").write("[" * 200000); os._exit(0)', "child.answer", "an answer that is not JSON"),
        (
            'open("answer.json", "w").write(\'{"libraries": {}, "answer": {"total": NaN}}\'); os._exit(0)',
            "child.answer",
            "",
        ),
        ('open("answer.json", "w").write(\'{"libraries": {}}\'); os._exit(0)', "child.answer", ""),
        ('return {"total": 1, "seen": "x" * 17_000_000}', "child.answer", "more than 16000000 bytes"),
    ],
)
def test_what_goes_wrong_in_the_child_is_told(tmp_path: Path, body: str, code: str, words: str) -> None:
    with raises_code(ExternalError, code, words) as caught:
        _ask(_backend(tmp_path, body))
    assert isinstance(caught.value, MlgovError)
    assert "tiger" not in str(caught.value)
    assert "abc123" not in str(caught.value)


def test_what_a_library_says_of_a_row_is_not_passed_on(tmp_path: Path) -> None:
    with raises_code(ExternalError, "child.failed") as caught:
        _ask(_backend(tmp_path, 'return {"total": int("Ada Lovelace")}', reads_rows=True))
    assert "Ada" not in str(caught.value)


def test_a_child_may_take_the_limit_beside_its_libraries(tmp_path: Path) -> None:
    backend = _backend(tmp_path, "import resource\nreturn {'total': resource.getrlimit(resource.RLIMIT_DATA)[0]}")
    with memory_limit("64MB", "the gate"):
        tight = _ask(backend).content["total"]
        assert tight == 64_000_000 + (4 << 30)
        with raises_code(MemoryLimitError, "memory_limit.exceeded", match="the sum needs more memory than the limit"):
            _ask(_backend(tmp_path, "return {'total': len(bytearray(5 << 30))}"))


def test_a_child_that_takes_too_long_is_stopped_with_what_it_started(tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    body = (
        f'child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])\n'
        f'open({str(noted)!r}, "w").write(str(child.pid))\ntime.sleep(300)'
    )
    with raises_code(
        ExternalError, "child.timeout", match="the sum took longer than 3 s and was stopped; raise timeout"
    ):
        _ask(_backend(tmp_path, body), timeout=3)
    pid = int(noted.read_text())
    for _ in range(100):
        if not _runs(pid):
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the grandchild outlived its group")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_child_reaches_no_network_that_it_does_not_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        backend = _backend(
            tmp_path,
            "import socket\n"
            "try:\n"
            f"    socket.create_connection({listener.getsockname()!r}, timeout=2).close()\n"
            "except OSError:\n"
            '    return {"total": 0}\n'
            'return {"total": 1}',
        )
        needed = _ask(backend, network=True, environment=["FEAST_PASSWORD"])
        cut = _ask(backend)
        monkeypatch.setattr(network, "_prefix", lambda: ())
        unable = _ask(backend)
    assert needed.content == unable.content == {"total": 1}
    assert needed.child == {"network": network.OPEN, "credentials": ["FEAST_PASSWORD"], "same_user": True}
    assert unable.child == {"network": network.NOT_CUT, "credentials": "none", "same_user": True}
    if cut.child["network"] == network.NOT_CUT:
        pytest.skip("this machine does not allow user namespaces")
    assert cut.content == {"total": 0}
    assert cut.child["network"] == network.CUT


def test_a_library_that_is_missing_there_is_named_with_the_mend(tmp_path: Path) -> None:
    body = 'return {"total": 1}'
    with raises_code(
        ConfigurationError,
        "environment.incomplete",
        match=r"no-such-library is missing there; install it: .* -m pip install 'pa",
    ):
        _ask(_backend(tmp_path, body, libraries=("pandas", "no-such-library")))
    with raises_code(ConfigurationError, "environment.incomplete", match="absent_module is missing there; install it"):
        _ask(_backend(tmp_path, "import absent_module"))


def test_a_request_that_cannot_be_met_is_the_users_mistake(tmp_path: Path) -> None:
    with raises_code(ConfigurationError, "child.refused"):
        _ask(_backend(tmp_path, 'raise SystemExit("no feature service x")'))


def test_interpreters_that_are_none(tmp_path: Path) -> None:
    backend = _backend(tmp_path, 'return {"total": 1}')
    with raises_code(ConfigurationError, "environment.missing"):
        ask(backend, tmp_path / "bin" / "python", {})
    with raises_code(ConfigurationError, "environment.missing"):
        ask(backend, tmp_path, {})
    text = tmp_path / "python"
    text.write_text("not a program")
    with raises_code(ConfigurationError, "environment.unusable"):
        ask(backend, text, {})
    text.chmod(0o755)
    with raises_code(ConfigurationError, "environment.unusable"):
        ask(backend, text, {})
    with raises_code(ExternalError, "child.answer"):
        ask(backend, "/bin/true", {})


def test_the_scripts_import_nothing_of_ours() -> None:
    scripts = sorted(Path(environment.__file__).with_name("scripts").glob("*.py"))
    assert len(scripts) > 1
    for script in scripts:
        assert "import airflow" not in script.read_text()
        assert "from airflow" not in script.read_text()
