"""What is new since a checkpoint, and whose signatures are good."""

import json
import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
from securesystemslib.signer import Signer

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.auditing import Signatures, walk_since
from airflow_mlgov.evidence.chain import Head
from airflow_mlgov.evidence.erasure import KINDS
from airflow_mlgov.evidence.ledger import Ledger, open_ledger
from airflow_mlgov.evidence.notes import sign_note
from airflow_mlgov.evidence.signing import TrustRoot, open_signer
from airflow_mlgov.evidence.statements import Context, Person
from airflow_mlgov.evidence.tiles import export_tiles
from airflow_mlgov.evidence.verification import quarantine
from tests.codes import raises_code
from tests.fixtures.shell import Run
from tests.worlds.statements import make_statement


@pytest.fixture
def grown(ledger: Ledger, signer: Signer) -> tuple[Ledger, Head]:
    """Seven entries, and what the ledger was after four."""
    for digest in "abcd":
        ledger.attest(make_statement(digest=digest * 64), signer)
    mark = ledger.verify()
    for digest in "ef0":
        ledger.attest(make_statement(digest=digest * 64), signer)
    return ledger, mark


def change(tmp_path: Path, statement: str) -> None:
    """By whoever owns the database."""
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as raw, raw:
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {name}")
        raw.execute(statement)


def test_what_came_after_a_checkpoint_is_walked_alone(grown: tuple[Ledger, Head]) -> None:
    ledger, mark = grown
    seen: list[int] = []
    walked = walk_since(ledger, mark, KINDS, [mark, ledger.verify()], lambda entry: seen.append(entry.seq))
    assert seen == [5, 6, 7]
    assert walked.head[:4] == ledger.verify()[:4]
    assert walk_since(ledger, ledger.verify(), KINDS).head.size == 7
    note = Head(mark.size, "", mark.root, "bank.example/models")
    assert walk_since(ledger, note, KINDS).head.size == 7


def test_a_ledger_in_postgresql_is_published_and_walked_since(
    postgres_url: str, signer: Signer, tmp_path: Path
) -> None:
    ledger = open_ledger(postgres_url)
    for digest in "abcd":
        ledger.attest(make_statement(digest=digest * 64), signer)
    mark = export_tiles(ledger, tmp_path / "log", signer).head
    ledger.attest(make_statement(digest="e" * 64), signer)
    seen: list[int] = []
    walked = walk_since(ledger, mark, KINDS, (), lambda entry: seen.append(entry.seq))
    assert (walked.head.size, seen) == (mark.size + 1, [mark.size + 1])
    assert export_tiles(ledger, tmp_path / "log", signer).written >= 2
    ledger.close()


def test_a_checkpoint_that_is_not_of_this_ledger(grown: tuple[Ledger, Head], signer: Signer, tmp_path: Path) -> None:
    """Longer than it, of another ledger of as many entries, and of the log before its first entry."""
    ledger, mark = grown
    other = open_ledger(f"sqlite:///{tmp_path / 'other.db'}")
    for digest in "0123456":
        other.attest(make_statement(digest=digest * 64), signer)
    theirs = other.verify()
    for more in ((), (ledger.verify(),)):
        for said, code in ((theirs._replace(size=8), "ledger.tail_cut"), (theirs, "checkpoint.differs")):
            for head in (said, said._replace(head="", origin="bank.example/models")):
                with raises_code(EvidenceError, code):
                    walk_since(ledger, head, KINDS, more)
                with raises_code(EvidenceError, code):
                    ledger.verify([head, *more])
    empty = Head(0, "", sha256(b"").hexdigest(), mark.origin)
    assert walk_since(ledger, empty, KINDS).head.size == ledger.verify([empty]).size == 7
    with raises_code(EvidenceError, "checkpoint.differs"):
        ledger.verify([empty._replace(root="0" * 64)])


CHANGES: dict[str, tuple[str, str]] = {
    "a hash that the checkpoint vouches for": (
        "UPDATE mlgov_ledger SET hash = '{zeros}' WHERE seq = 2",
        "checkpoint.differs",
    ),
    "a hash that is none": ("UPDATE mlgov_ledger SET hash = 'x' WHERE seq = 2", "ledger.entry_changed"),
    "an old entry is gone": ("DELETE FROM mlgov_ledger WHERE seq = 2", "ledger.entry_missing"),
    "a new entry is gone": ("DELETE FROM mlgov_ledger WHERE seq = 6", "ledger.entry_missing"),
    "a new entry is edited": ("UPDATE mlgov_ledger SET recorded_at = '2020' WHERE seq = 6", "ledger.entry_changed"),
    "the tail is cut behind another checkpoint": ("DELETE FROM mlgov_ledger WHERE seq = 7", "ledger.tail_cut"),
    "the tail is cut before the checkpoint": ("DELETE FROM mlgov_ledger WHERE seq > 3", "ledger.tail_cut"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_is_changed_is_found(grown: tuple[Ledger, Head], tmp_path: Path, name: str) -> None:
    (ledger, mark), (statement, code) = grown, CHANGES[name]
    newest = ledger.verify()
    change(tmp_path, statement.format(zeros="0" * 64))
    with raises_code(EvidenceError, code):
        walk_since(ledger, mark, KINDS, [newest])


def test_each_signature_is_checked_and_what_was_quarantined_is_counted(
    grown: tuple[Ledger, Head], signer: Signer, tmp_path: Path
) -> None:
    ledger, mark = grown
    stranger = open_signer(f"local:{tmp_path / 'stranger.pem'}", make_key=True)
    bad = ledger.attest(make_statement(digest="1" * 64), stranger)
    trust = TrustRoot().with_key(signer.public_key, ["fairness", "reconcile"])
    signatures = Signatures(trust)
    walked = walk_since(ledger, mark, KINDS, (), signatures.take)
    assert signatures.checked == 4
    with raises_code(EvidenceError, "ledger.unverified", match=f"1 of 4.*\n.*{bad.reference}.*key.unknown"):
        signatures.require_good(walked)
    quarantine(ledger, bad.seq, trust, signer, Context("test"), Person("1", "Olga"), "a script without a key")
    signatures = Signatures(trust)
    walked = walk_since(ledger, mark, KINDS, (), signatures.take)
    assert (signatures.require_good(walked), signatures.checked) == (1, 5)


def test_the_command(
    grown: tuple[Ledger, Head], signer: Signer, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    ledger, mark = grown
    TrustRoot().with_key(signer.public_key, ["fairness", "checkpoint"]).save(tmp_path / "trust.json")
    note = tmp_path / "4.note"
    note.write_text(sign_note(mark, signer))
    words = ["ledger", "verify", "--ledger", f"sqlite:///{tmp_path / 'ledger.db'}", "--trust", tmp_path / "trust.json"]
    code, out, err = run(*words, "--since", note, "--full")
    assert code == 0, err
    assert "walked: 3 entries since the checkpoint of 4, which vouches for those before" in out
    assert "each of 3 signatures is of a key that may sign it" in out
    told = json.loads(run(*words, "--since", note, "--full", "--json")[1])
    assert (told["size"], told["since"], told["signatures"]) == (7, 4, {"checked": 3, "quarantined": 0})
    assert "each of 7 signatures" in run(*words, "--full")[1]
    assert json.loads(run(*words, "--full", "--json")[1])["signatures"] == {"checked": 7, "quarantined": 0}
    bad = ledger.attest(
        make_statement(digest="1" * 64), open_signer(f"local:{tmp_path / 'stranger.pem'}", make_key=True)
    )
    for more in (["--full"], ["--since", note, "--full"]):
        code, _, err = run(*words, *more)
        assert (code, "[ledger.unverified]" in err, f"{bad.reference}: " in err) == (1, True, True)
    assert run(*words, "--since", note)[0] == 0  # signatures were not asked for
    note.write_text(note.read_text().replace("\n4\n", "\n5\n"))
    assert run(*words, "--since", note)[0] == 1
