"""The log as others see it, in the hands of whoever owns the ledger's database: two histories, and one published over
another."""

import shutil
from pathlib import Path

import pytest
from securesystemslib.signer import Signer

from airflow_mlgov.board.keeper import Keeper, Source
from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.checkpoints import heads_at, make_checkpoint
from airflow_mlgov.evidence.ledger import Ledger, open_ledger
from airflow_mlgov.evidence.notes import sign_note
from airflow_mlgov.evidence.signing import TrustRoot, open_signer
from airflow_mlgov.evidence.statements import Context
from airflow_mlgov.evidence.tiles import export_tiles
from tests.codes import raises_code
from tests.worlds.statements import make_statement


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return open_signer(f"local:{tmp_path / 'key.pem'}", make_key=True)


@pytest.fixture
def trust(signer: Signer, tmp_path: Path) -> TrustRoot:
    trust = TrustRoot().with_key(signer.public_key, ["checkpoint", "fairness"])
    trust.save(tmp_path / "trust.json")
    return trust


@pytest.fixture
def histories(signer: Signer, tmp_path: Path) -> tuple[Ledger, Ledger]:
    """Three entries that both have, and then one that only one of them has."""
    ledger = open_ledger(f"sqlite:///{tmp_path / 'one.db'}")
    for digest in "abc":
        ledger.attest(make_statement(digest=digest * 64), signer)
    ledger.close()
    shutil.copy(tmp_path / "one.db", tmp_path / "other.db")
    ledgers = tuple(open_ledger(f"sqlite:///{tmp_path / name}.db") for name in ("one", "other"))
    for each, digest in zip(ledgers, "de", strict=True):
        each.attest(make_statement(digest=digest * 64), signer)
    return ledgers[0], ledgers[1]


@pytest.mark.parametrize("notes", [2, 1], ids=["two notes", "a note and an envelope"])
def test_two_histories_of_one_size_are_not_both_believed(
    histories: tuple[Ledger, Ledger], signer: Signer, trust: TrustRoot, tmp_path: Path, notes: int
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    one, other = histories
    (kept / "one").write_text(sign_note(one.verify(), signer, "bank.example/models"))
    other_said = sign_note(other.verify(), signer, "bank.example/models")
    (kept / "other").write_text(other_said if notes == 2 else make_checkpoint(other, signer, Context("test")))
    marks = heads_at([str(kept)], trust)
    assert [mark.size for mark in marks] == [4, 4]
    for ledger in histories:
        with raises_code(EvidenceError, "checkpoint.differs"):
            ledger.verify(marks)
        board = Keeper(Source(lambda found=ledger: found, tmp_path / "trust.json", None, None, lambda _: marks))
        assert "[checkpoint.differs]" in board.look().problem


def test_a_rewritten_ledger_is_not_published_over_the_old_one(
    histories: tuple[Ledger, Ledger], signer: Signer, tmp_path: Path
) -> None:
    one, other = histories
    folder = tmp_path / "log"
    export_tiles(one, folder, signer, "bank.example/models")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    other.attest(make_statement(digest="f" * 64), signer)  # longer, so that it would seem to go on
    with raises_code(EvidenceError, "tiles.forked"):
        export_tiles(other, folder, signer, "bank.example/models")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
