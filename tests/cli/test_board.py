"""``mlgov board`` as a shell sees it."""

import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from airflow_mlgov.demo.servers import free_port
from airflow_mlgov.evidence.ledger import open_ledger
from airflow_mlgov.evidence.signing import TrustRoot, duties, open_signer, sign_statement
from tests.fixtures.shell import Run
from tests.worlds.statements import make_statement


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    signer = open_signer(f"local:{tmp_path / 'key.pem'}", make_key=True)
    TrustRoot().with_key(signer.public_key, duties()).save(tmp_path / "trust.json")
    open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}").append(sign_statement(make_statement(), signer))
    return ["--ledger", f"sqlite:///{tmp_path / 'ledger.db'}", "--trust", str(tmp_path / "trust.json")]


def test_it_listens_on_this_machine_alone(run: Run, options: list[str]) -> None:
    code, _, err = run("board", *options, "--host", "0.0.0.0")
    assert (code, "[board.address]" in err) == (2, True)


def test_a_ledger_that_is_not_there_is_told_at_once(run: Run, options: list[str], tmp_path: Path) -> None:
    code, _, err = run("board", "--ledger", f"sqlite:///{tmp_path / 'none.db'}", *options[2:])
    assert (code, "[ledger.missing]" in err) == (2, True)
    assert not (tmp_path / "none.db").exists()


@pytest.mark.slow
def test_it_serves_the_board(options: list[str]) -> None:
    port = free_port()
    command = [
        sys.executable,
        "-c",
        "from airflow_mlgov.cli import main; main()",
        "board",
        *options,
        "--port",
        str(port),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            page = fetched(f"http://127.0.0.1:{port}/", server)
        finally:
            server.terminate()
    assert "credit_risk" in page
    assert "not governed" in page, "no policy was named"


def fetched(url: str, server: subprocess.Popen[bytes]) -> str:
    """The page, once the server is up."""
    for _ in range(600):
        assert server.poll() is None
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return str(answer.read(), "utf-8")
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the server did not come up")
