"""Both readers of a ledger asked the same, over ledgers of every kind of statement about subjects of the oddest names;
and what whoever owns the database can do to what is read by proofs: nothing but to have it refused."""

import os
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from airflow_mlgov.errors import EvidenceError, MlgovError
from airflow_mlgov.evidence.chain import Head
from airflow_mlgov.evidence.index_map import IndexMap
from airflow_mlgov.evidence.ledger import open_ledger
from airflow_mlgov.evidence.ledger_index import read_nodes
from airflow_mlgov.evidence.proven import Proven, ProvenLedger
from airflow_mlgov.evidence.verification import collect
from tests.worlds.drawn_ledger import DrawnLedger, Owner, answers, drop_triggers, questions

SOAK = int(os.environ.get("MLGOV_SOAK", "1")) > 1
LEDGERS, SPOILT = (400, 60) if SOAK else (3, 12)


def drawn(seed: int, folder: Path) -> DrawnLedger:
    """Some is proven, and some came since."""
    world = DrawnLedger(Random(seed), folder)
    world.write(world.draw.randint(3, 40))
    world.promote()
    world.write(world.draw.randint(0, 10))
    return world


def read_again(world: DrawnLedger, path: Path, head: Head) -> dict[str, Any]:
    """What is answered by proofs from another copy of the database; nothing where it is refused."""
    ledger = open_ledger(f"sqlite:///{path}", create=False)
    try:
        records = ProvenLedger(ledger, world.trust).walk([head])
    except MlgovError:
        return {}
    found = {}
    for words, ask in questions(world.trust).items():
        try:
            found[words] = ask(records)
        except MlgovError:
            continue
    ledger.close()
    return found


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(LEDGERS))
def test_both_readers_say_the_same_whatever_is_asked(seed: int, tmp_path: Path) -> None:
    world = drawn(seed, tmp_path)
    walked, proven = world.ledger.walk(), world.proven()
    assert isinstance(proven, Proven)
    assert answers(proven, world.trust) == answers(walked, world.trust)
    assert proven.index().root == walked.index().root
    world.write(3)
    assert answers(proven.gone_on(), world.trust) == answers(world.ledger.walk(), world.trust)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 100 + LEDGERS))
def test_what_is_spoilt_is_refused_or_changes_no_answer(seed: int, tmp_path: Path) -> None:
    world = drawn(seed, tmp_path)
    walked = world.ledger.walk()
    truth = answers(walked, world.trust)
    for number in range(SPOILT):
        path = Path(shutil.copy(tmp_path / "ledger.db", tmp_path / "spoilt.db"))
        owner = Owner(world.draw, path)
        done = [owner.spoil() for _ in range(world.draw.choice((1, 1, 2, 3)))]
        found = read_again(world, path, walked.head)
        wrong = [words for words, answer in found.items() if answer != truth[words]]
        assert wrong == [], f"{number}: {done}"


def test_a_text_that_is_altered_takes_its_statement_from_nobody_s_history(tmp_path: Path) -> None:
    """Texts stand beside what is signed: whoever may write them, and no entry, would else make a rollback vanish by a
    word in its reason, and the version that it was from would hold again."""
    world = drawn(7, tmp_path)
    truth = answers(world.ledger.walk(), world.trust)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as raw, raw:
        drop_triggers(raw)
        assert raw.execute("UPDATE mlgov_ledger_texts SET text = text || '.'").rowcount
    for records in (world.ledger.walk(), world.proven()):
        found = answers(records, world.trust)
        assert found["owed"] == truth["owed"]
        for words in truth.keys() - {"owed", "quarantined"}:
            before, now = truth[words], found[words]
            assert (now[0], now[2] if words.startswith("dossier") else now[1]) == (
                before[0],
                before[2] if words.startswith("dossier") else before[1],
            )
        assert len(found["kind promotion"][2]) > len(truth["kind promotion"][2])


@pytest.mark.parametrize("column", ["envelope", "kind", "subject_name", "prev"])
def test_a_field_that_is_no_text_is_refused_by_both_readers(column: str, tmp_path: Path) -> None:
    """SQLite keeps bytes where text belongs."""
    world = drawn(5, tmp_path)
    head = world.ledger.walk().head
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as raw, raw:
        drop_triggers(raw)
        raw.execute(f"UPDATE mlgov_ledger SET {column} = CAST('\xff' AS BLOB) WHERE seq = ?", (head.size,))
    for records in (world.ledger, ProvenLedger(world.ledger, world.trust)):
        with pytest.raises(EvidenceError):
            records.walk([head])


def test_no_node_that_is_taken_away_makes_a_statement_vanish(tmp_path: Path) -> None:
    """What a person typed is looked up by the index too. That the ledger cannot answer says nothing of the statement
    that asks: a rollback with a reason would else be none of the model's history, and its version hold again."""
    world = drawn(7, tmp_path)
    walked, proven = world.ledger.walk(), world.proven()
    assert isinstance(proven, Proven)
    truth = answers(walked, world.trust)
    said = [item for item in collect(walked, world.trust)[0] if item.statement.texts()]
    assert any(item.kind == "promotion" for item in said)
    for item in sorted(said, key=lambda item: item.kind != "promotion")[:4]:
        (text, *_) = item.statement.texts().values()
        path = Path(shutil.copy(tmp_path / "ledger.db", tmp_path / "spoilt.db"))
        with closing(sqlite3.connect(path)) as raw, raw:
            drop_triggers(raw)
            raw.execute("DELETE FROM mlgov_ledger_index WHERE hash = ?", (last_node(world, proven, text.sha256),))
        found = read_again(world, path, walked.head)
        assert [words for words, answer in found.items() if answer != truth[words]] == []
        assert len(found) < len(truth)


def last_node(world: DrawnLedger, proven: Proven, digest: str) -> str:
    """The node at the end of the way to a digest."""
    read: list[bytes] = []

    def load(names: Sequence[bytes]) -> Mapping[bytes, bytes]:
        read.extend(names)
        with world.ledger.reading() as connection:
            return read_nodes(connection, names)

    IndexMap(bytes.fromhex(proven.base.index_root), load).get(f"digest:{digest}")
    return read[-1].hex()
