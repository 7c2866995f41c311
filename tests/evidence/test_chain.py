"""The Merkle root, the walk, and what each statement says of the ledger before it."""

import hashlib
import sqlite3
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.chain import GENESIS, Entry, link, read_envelope, walk
from airflow_mlgov.evidence.ledger import Ledger
from airflow_mlgov.evidence.merkle import MerkleRoot
from airflow_mlgov.evidence.signing import sign_statement
from tests.codes import raises_code
from tests.worlds.statements import make_statement


def tree_hash(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + tree_hash(leaves[:k]) + tree_hash(leaves[k:])).digest()


@given(st.lists(st.binary(max_size=4), max_size=40))
def test_the_root_is_that_of_the_rfc(leaves: list[bytes]) -> None:
    root = MerkleRoot()
    for count, leaf in enumerate(leaves):
        assert root.hexdigest() == tree_hash(leaves[:count]).hex()
        root.add(leaf)
    assert root.hexdigest() == tree_hash(leaves).hex()


def rewritten(entries: list[Entry]) -> list[Entry]:
    """The chain that somebody who owns the database would make of some entries: every link fits."""
    prev, made = GENESIS, []
    for seq, entry in enumerate(entries, 1):
        row = {name: value for name, value in vars(entry).items() if name not in ("seq", "prev", "hash", "envelope")}
        made.append(Entry(seq, prev, link(prev, seq, row), envelope=entry.envelope, **row))
        prev = made[-1].hash
    return made


def replace_all(path: Path, entries: list[Entry]) -> None:
    raw = sqlite3.connect(path)
    raw.executescript(
        "DROP TRIGGER mlgov_ledger_no_update; DROP TRIGGER mlgov_ledger_no_delete; DELETE FROM mlgov_ledger"
    )
    columns = list(Entry.__dataclass_fields__)
    marks = ", ".join("?" * len(columns))
    raw.executemany(
        f"INSERT INTO mlgov_ledger ({', '.join(columns)}) VALUES ({marks})",
        [[getattr(entry, column) for column in columns] for entry in entries],
    )
    raw.commit()


@pytest.mark.parametrize("remove", [1, 2, 3])
def test_an_entry_cannot_be_removed_even_by_linking_the_chain_anew(
    ledger: Ledger, signer, tmp_path: Path, remove: int
) -> None:
    for digest in "abcd":
        ledger.attest(make_statement(digest=digest * 64), signer)
    assert ledger.verify().size == 4
    kept = [entry for entry in ledger.entries() if entry.seq != remove]
    replace_all(tmp_path / "ledger.db", rewritten(kept))
    with raises_code(EvidenceError, "ledger.history_rewritten"):
        ledger.verify()


def test_the_last_entry_can_and_that_is_what_checkpoints_are_for(ledger: Ledger, signer, tmp_path: Path) -> None:
    for digest in "abcd":
        ledger.attest(make_statement(digest=digest * 64), signer)
    full = ledger.verify()
    replace_all(tmp_path / "ledger.db", ledger.entries()[:3])
    assert ledger.verify().size == 3
    with raises_code(EvidenceError, "ledger.tail_cut"):
        ledger.verify([full])


@pytest.mark.parametrize(
    "seen", [{"size": 1, "head": "0" * 64}, {"size": 0, "head": "1" * 64}, {"size": -1, "head": "0" * 64}, {}, 7, "x"]
)
def test_a_statement_that_lies_about_the_ledger_is_found(ledger: Ledger, signer, seen: object) -> None:
    statement = make_statement().as_json()
    statement["predicate"]["mlgov"]["ledger"] = seen
    envelope = sign_statement(statement, signer)
    with raises_code(EvidenceError, "ledger.history_rewritten"):
        ledger.append(envelope)
    assert ledger.last() == (0, GENESIS)
    index = {
        **read_envelope(envelope)[0],
        "recorded_at": "2026",
        "envelope_sha256": sha256(envelope.encode()).hexdigest(),
    }
    put_in = Entry(1, GENESIS, link(GENESIS, 1, index), envelope=envelope, **index)
    with raises_code(EvidenceError, "ledger.history_rewritten"):
        walk([put_in])
