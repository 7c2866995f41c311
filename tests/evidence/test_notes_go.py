"""What is written for other tools, read by a library that is not ours: ``golang.org/x/mod/sumdb/{note,tlog}``."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_mlgov.evidence.ledger import Ledger
from airflow_mlgov.evidence.notes import sign_note, verifier_key
from tests.worlds.statements import make_statement

SOURCE = Path(__file__).with_name("tlog_go")
ORIGIN = "bank.example/models"


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[int, str]]:
    """The program of ``tlog_go``; what it ends with and says."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go here")
    folder = tmp_path_factory.mktemp("tlog") / "source"
    shutil.copytree(SOURCE, folder)
    got = subprocess.run([go, "mod", "download"], cwd=folder, capture_output=True, text=True, timeout=300)
    if got.returncode:
        pytest.skip(f"golang.org/x/mod is not to be had: {got.stderr.strip()[-200:]}")
    program = folder / "tlog"
    built = subprocess.run([go, "build", "-o", program, "."], cwd=folder, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr

    def read(*words: object) -> tuple[int, str]:
        done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=300)
        return done.returncode, done.stdout + done.stderr

    return read


def test_a_checkpoint(reader: Callable[..., tuple[int, str]], ledger: Ledger, signer, tmp_path: Path) -> None:
    for digest in "abc":
        ledger.attest(make_statement(digest=digest * 64), signer)
    now, key, file = ledger.verify(), verifier_key(signer.public_key, ORIGIN), tmp_path / "checkpoint"
    file.write_text(sign_note(now, signer, ORIGIN))
    code, said = reader("checkpoint", file, key)
    assert code == 0, said
    assert said.split()[:2] == [ORIGIN, "3"]
    file.write_text(file.read_text().replace("\n3\n", "\n4\n"))
    assert reader("checkpoint", file, key)[0] == 1
