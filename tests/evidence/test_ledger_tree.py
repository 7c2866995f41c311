"""The kept tree against the one that is made from the entries, on SQLite and PostgreSQL."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.hash_tree import HashTree, leaf_hash, require_consistency, require_inclusion
from airflow_mlgov.evidence.ledger import Ledger, open_ledger
from airflow_mlgov.evidence.ledger_tree import require_tree
from tests.codes import raises_code

SIZE = 37


@pytest.fixture(params=["sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    if request.param == "sqlite":
        return open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    return open_ledger(request.getfixturevalue("postgres_url"))


def of_entries(ledger: Ledger) -> HashTree:
    return HashTree(bytes.fromhex(entry.hash) for entry in ledger.walk().entries())


def test_each_entry_writes_the_subtrees_that_it_completes_and_all_proofs_hold(kept: Ledger, envelope: str) -> None:
    hashes = [bytes.fromhex(kept.append(envelope).hash) for _ in range(SIZE)]
    made = of_entries(kept)
    with kept.beside() as connection:
        require_tree(connection, made)
    with kept.tree() as tree:
        assert (tree.size, tree.root().hex()) == (SIZE, kept.verify().root)
        assert all(tree.peaks(size) == made.peaks(size) for size in range(SIZE + 1))
        for size in range(1, SIZE + 1):
            tree.prepare(lambda wanted, size=size: [wanted.inclusion(place, size) for place in range(size)])
            for place in range(size):
                path = tree.inclusion(place, size)
                require_inclusion(leaf_hash(hashes[place]), place, size, path, made.root(size))
            require_consistency(size, SIZE, made.root(size), made.root(), tree.consistency(size))
    assert kept.oddities() == []


def test_a_proof_reads_few_rows_in_few_queries(ledger: Ledger, envelope: str) -> None:
    import sqlalchemy as sa

    for _ in range(130):
        ledger.append(envelope)
    asked: list[str] = []
    with ledger.tree() as tree:
        sa.event.listen(ledger._engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
        tree.prepare(lambda wanted: [wanted.inclusion(place) for place in (3, 50, 129)])
        assert len(asked) == 2
        assert [len(tree.inclusion(place)) for place in (3, 50, 129)] == [8, 8, 2]
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("DELETE FROM mlgov_ledger_nodes WHERE level = 2 AND place = 0", "tree.node_missing"),
        ("UPDATE mlgov_ledger_nodes SET hash = 'zz' WHERE level = 2 AND place = 0", "tree.node_missing"),
        (f"UPDATE mlgov_ledger_nodes SET hash = '{'ab' * 32}' WHERE level = 2 AND place = 0", "proof.wrong"),
    ],
)
def test_a_node_that_was_taken_or_altered_proves_nothing(
    ledger: Ledger, envelope: str, tmp_path: Path, sql: str, code: str
) -> None:
    for _ in range(9):
        ledger.append(envelope)
    made = of_entries(ledger)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as raw, raw:
        raw.execute(sql)
    with ledger.tree() as tree, raises_code(EvidenceError, code):
        require_inclusion(leaf_hash(bytes.fromhex(ledger.get(6).hash)), 5, 9, tree.inclusion(5), made.root())
    with ledger.beside() as connection, pytest.raises(EvidenceError) as refused:
        require_tree(connection, made)
    assert refused.value.code in ("tree.node_missing", "tree.node_wrong")


def test_nodes_of_no_entry_are_found(ledger: Ledger, envelope: str, tmp_path: Path) -> None:
    for _ in range(4):
        ledger.append(envelope)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as raw, raw:
        raw.execute("DROP TRIGGER mlgov_ledger_no_delete")
        raw.execute("DELETE FROM mlgov_ledger WHERE seq = 4")
    with ledger.beside() as connection, raises_code(EvidenceError, "tree.node_foreign"):
        require_tree(connection, of_entries(ledger))


def test_an_append_that_is_not_committed_leaves_no_node(ledger: Ledger, envelope: str, tmp_path: Path) -> None:
    ledger.append(envelope)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as raw, raw:
        raw.execute(
            "CREATE TRIGGER swallow AFTER INSERT ON mlgov_ledger_nodes BEGIN SELECT RAISE(ABORT, 'no such table'); END"
        )
    with raises_code(EvidenceError, "ledger.altered"):
        ledger.append(envelope)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as raw, raw:
        raw.execute("DROP TRIGGER swallow")
    assert ledger.last()[0] == 1
    ledger.append(envelope)
    with ledger.beside() as connection:
        require_tree(connection, of_entries(ledger))
