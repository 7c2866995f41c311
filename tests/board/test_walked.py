"""A ledger that is read again is the one that was walked: its entries are found, and none can be changed or hidden."""

import sqlite3
from pathlib import Path

import pytest

from airflow_mlgov.board.walked import Index
from airflow_mlgov.errors import MlgovError
from airflow_mlgov.evidence.ledger import Ledger, open_ledger
from airflow_mlgov.evidence.signing import open_signer, sign_statement
from tests.codes import raises_code
from tests.worlds.statements import make_statement


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    signer = open_signer(f"local:{tmp_path / 'key.pem'}", make_key=True)
    made = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    for digit in "abcab":
        made.append(sign_statement(make_statement(digest=digit * 64), signer))
    return made


def indexed(ledger: Ledger) -> Index:
    index = Index(ledger)
    for entry in ledger.since(0, 100):
        index.take(entry)
    return index


def test_it_finds_what_a_walk_that_keeps_all_finds(ledger: Ledger) -> None:
    walked, whole = indexed(ledger).walked(), ledger.walk()
    assert walked.head == whole.head
    for asked in ({"digests": ["a" * 64]}, {"kind": "gate"}, {"model": "credit_risk"}, {"model": "x"}, {}):
        assert walked.entries(**asked) == whole.entries(**asked), asked  # type: ignore[arg-type]
    assert walked.get(3) == whole.get(3)
    with raises_code(MlgovError, "ledger.no_entry"):
        walked.get(6)


def test_it_knows_nothing_of_what_came_later(ledger: Ledger) -> None:
    index = Index(ledger)
    for entry in ledger.since(0, 3):
        index.take(entry)
    walked = index.walked()
    for entry in ledger.since(3, 100):
        index.take(entry)
    assert [entry.seq for entry in walked.entries(["a" * 64])] == [1]
    assert [entry.seq for entry in index.walked().entries(["a" * 64])] == [1, 4]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("UPDATE mlgov_ledger SET envelope = replace(envelope, 'a', 'b') WHERE seq = 1", "ledger.entry_changed"),
        ("UPDATE mlgov_ledger SET hash = '00' || substr(hash, 3) WHERE seq = 1", "ledger.entry_changed"),
        ("DELETE FROM mlgov_ledger WHERE seq = 1", "ledger.entry_missing"),
    ],
)
def test_an_entry_that_is_changed_or_hidden_after_the_walk_is_found(
    ledger: Ledger, tmp_path: Path, change: str, code: str
) -> None:
    walked = indexed(ledger).walked()
    with sqlite3.connect(tmp_path / "ledger.db") as database:
        for verb in ("update", "delete"):
            database.execute(f"DROP TRIGGER mlgov_ledger_no_{verb}")
        database.execute(change)
    with raises_code(MlgovError, code):
        walked.entries(["a" * 64])
