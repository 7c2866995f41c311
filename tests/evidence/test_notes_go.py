"""What is written for other tools, read by a library that is not ours: ``golang.org/x/mod/sumdb/{note,tlog}``."""

import shutil
import subprocess
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.chain import Head
from airflow_mlgov.evidence.checkpoints import head_to_keep, open_checkpoint
from airflow_mlgov.evidence.hash_tree import HashTree
from airflow_mlgov.evidence.ledger import Ledger
from airflow_mlgov.evidence.notes import sign_note, verifier_key
from airflow_mlgov.evidence.signing import TrustRoot, sign_statement
from airflow_mlgov.evidence.tiles import export_tiles
from airflow_mlgov.evidence.tlog_proof import write_proof
from airflow_mlgov.evidence.witnesses import Quorum
from tests.codes import raises_code
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


@pytest.fixture(params=[3, 4], ids=["three-lines", "with-the-index"])
def note(request: pytest.FixtureRequest, ledger: Ledger, signer) -> str:
    """The checkpoint of three entries; with the index it has a line more than any other log's."""
    for digest in "abc":
        ledger.attest(make_statement(digest=digest * 64), signer)
    made = sign_note(ledger.verify() if request.param == 3 else head_to_keep(ledger), signer, ORIGIN)
    assert made.partition("\n\n")[0].count("\n") == request.param - 1
    return made


def test_a_checkpoint(reader: Callable[..., tuple[int, str]], note: str, signer, tmp_path: Path) -> None:
    key, file = verifier_key(signer.public_key, ORIGIN), tmp_path / "checkpoint"
    file.write_text(note)
    code, said = reader("checkpoint", file, key)
    assert code == 0, said
    assert said.split()[:2] == [ORIGIN, "3"]
    file.write_text(file.read_text().replace("\n3\n", "\n4\n"))
    assert reader("checkpoint", file, key)[0] == 1


def test_a_witness_that_knows_no_more_than_the_specification(
    reader: Callable[..., tuple[int, str]], note: str, signer, tmp_path: Path
) -> None:
    """It cosigns every line of the note, and nobody alters one behind its back."""
    key, file, name = verifier_key(signer.public_key, ORIGIN), tmp_path / "checkpoint", "witness.example/w1"
    trust = TrustRoot().with_key(signer.public_key, ["checkpoint"])
    file.write_text(note)
    code, said = reader("cosign", file, key, name)
    assert code == 0, said
    verifier, _, cosigned = said.partition("\n")
    quorum = Quorum.read([verifier])
    assert open_checkpoint(cosigned, trust, quorum) == open_checkpoint(note, trust)
    with raises_code(EvidenceError, "checkpoint.not_witnessed"):
        open_checkpoint(note, trust, quorum)
    lines = cosigned.partition("\n\n")[0].split("\n")
    other = sign_note(Head(3, "", "0" * 64, ORIGIN, "0" * 64 if len(lines) == 4 else ""), signer)
    with raises_code(EvidenceError, "signature.wrong"):
        open_checkpoint(f"{other}{cosigned.splitlines()[-1]}\n", trust, quorum)
    file.write_text(cosigned)
    assert reader("checkpoint", file, key)[0] == 0
    file.write_text(note.replace(lines[-1], lines[-1][::-1]))
    assert reader("cosign", file, key, name)[0] == 1


@pytest.mark.slow
def test_tiles_at_several_sizes(reader: Callable[..., tuple[int, str]], ledger: Ledger, signer, tmp_path: Path) -> None:
    folder, key, older = tmp_path / "log", verifier_key(signer.public_key, ORIGIN), []
    envelope = sign_statement(make_statement(), signer)
    for size in (1, 3, 255, 256, 257, 600):
        while ledger.last()[0] < size:
            ledger.append(envelope)
        export_tiles(ledger, folder, signer, ORIGIN)
        older.append(tmp_path / f"{size}.note")
        older[-1].write_bytes((folder / "checkpoint").read_bytes())
        code, said = reader("tiles", folder, key, *older)
        assert code == 0, said
        assert said.split("\n")[0] == f"{size} entries"
    assert "goes on from 257" in said
    forked = ledger.verify()._replace(size=300, root="0" * 64)
    older[0].write_text(sign_note(forked, signer, ORIGIN))
    assert reader("tiles", folder, key, older[0])[0] == 1
    bundle = folder / "tile" / "entries" / "001"
    raw = bytearray(bundle.read_bytes())
    raw[-1] ^= 1
    bundle.write_bytes(raw)
    assert reader("tiles", folder, key)[0] == 1


def test_proofs(reader: Callable[..., tuple[int, str]], ledger: Ledger, signer, tmp_path: Path) -> None:
    key, file, data = verifier_key(signer.public_key, ORIGIN), tmp_path / "p.tlog-proof", []
    for size in range(1, 12):
        data.append(bytes.fromhex(ledger.attest(make_statement(digest="c" * 64), signer).hash))
        note, tree = sign_note(head_to_keep(ledger), signer, ORIGIN), HashTree(data)
        for index in {0, size // 2, size - 1}:
            file.write_text(write_proof(tree, index, note))
            code, said = reader("proof", file, key, b64encode(data[index]).decode())
            assert (code, said) == (0, f"{index} of {size}\n")
    assert reader("proof", file, key, b64encode(bytes(32)).decode())[0] == 1
    file.write_text(file.read_text().replace(f"index {index}\n", "index 3\n"))
    assert reader("proof", file, key, b64encode(data[index]).decode())[0] == 1
