"""The kept tree and index of a ledger in the hands of whoever owns its database, with and without a stolen key."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.chain import Head, verified
from airflow_mlgov.evidence.checkpoints import make_checkpoint, open_checkpoint
from airflow_mlgov.evidence.ledger import Ledger
from airflow_mlgov.evidence.signing import sign_statement
from airflow_mlgov.evidence.statements import LedgerMark, PromotionStatement
from airflow_mlgov.evidence.verification import believer, collect, only, verify_entry
from tests.codes import raises_code
from tests.fixtures.mlflow_server import MlflowServer
from tests.fixtures.shell import Run
from tests.worlds.guarded import Guarded
from tests.worlds.ledger_owner import copied, database

OTHER = "f" * 64


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, mlflow_server: MlflowServer) -> Guarded:
    """Two versions, one promoted after the other."""
    guarded = Guarded(tmp_path_factory.mktemp("proofs"), mlflow_server)
    guarded.promote(guarded.green(1.0))
    guarded.promote(guarded.green(2.0))
    return guarded


@pytest.fixture
def owned(story: Guarded, tmp_path: Path) -> Guarded:
    return copied(story, tmp_path / "owned")


def spoil(guarded: Guarded, *statements: str) -> None:
    """By whoever owns the database: no trigger stops them."""
    with closing(sqlite3.connect(database(guarded))) as raw, raw:
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            assert raw.execute(statement).rowcount, statement


def audit(guarded: Guarded) -> tuple[Head, bool]:
    walked, kept = guarded.ledger.audit((), (), believer(guarded.trust))
    return walked.head, kept


def promotions(guarded: Guarded) -> list[PromotionStatement]:
    found = collect(guarded.ledger.walk(), guarded.trust, kind="promotion")[0]
    return [item.statement for item in only(found, PromotionStatement)]


def test_each_promotion_is_signed_over_the_index_of_what_was_walked(story: Guarded, run: Run) -> None:
    whole = story.ledger.walk()
    made = promotions(story)
    assert len(made) == 2
    for item in made:
        before = verified(whole.newer(0)[: item.checkpoint["size"]])
        assert item.checkpoint == before.head._replace(index_root=before.index().root.hex()).mark
    assert audit(story) == (whole.head, True)
    code, shown, _ = run("ledger", "verify", "--ledger", story.ledger_url, "--trust", str(story.trust_file))
    assert code == 0
    assert "the tree and the index beside it are those of its entries" in shown


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        (f"UPDATE mlgov_ledger_nodes SET hash = '{OTHER}' WHERE level = 1 AND place = 1", "tree.node_wrong"),
        ("DELETE FROM mlgov_ledger_nodes WHERE level = 2 AND place = 0", "tree.node_missing"),
        ("DELETE FROM mlgov_ledger_nodes", "tree.node_missing"),
        (f"INSERT INTO mlgov_ledger_nodes VALUES (1, 500, '{OTHER}')", "tree.node_foreign"),
        ("UPDATE mlgov_ledger_index SET node = '00'", "index.node_wrong"),
        ("DELETE FROM mlgov_ledger_index", "index.node_missing"),
    ],
)
def test_whoever_touches_tree_or_index_is_found_by_the_auditor_and_they_are_made_again(
    owned: Guarded, run: Run, sql: str, code: str
) -> None:
    spoil(owned, sql)
    given = ("--ledger", owned.ledger_url, "--trust", str(owned.trust_file))
    with raises_code(EvidenceError, code):
        audit(owned)
    done, _, problem = run("ledger", "verify", *given)
    assert done != 0
    assert "mlgov ledger rebuild" in problem
    before = owned.ledger.last()
    assert run("ledger", "rebuild", *given)[0] == 0
    assert owned.ledger.last() == before
    assert run("ledger", "verify", *given)[0] == 0


def test_the_tail_cut_leaves_nodes_of_no_entry(owned: Guarded) -> None:
    size = owned.ledger.last()[0]
    mark = open_checkpoint(make_checkpoint(owned.ledger, owned.signer("checkpoint"), owned.context()), owned.trust)
    spoil(owned, f"DELETE FROM mlgov_ledger WHERE seq > {size - 2}")
    with raises_code(EvidenceError, "ledger.tail_cut"):
        owned.ledger.audit((), [mark], believer(owned.trust))
    with raises_code(EvidenceError, "tree.node_foreign"):
        audit(owned)


def stolen(guarded: Guarded, ledger: Ledger, **said: object) -> None:
    """A promotion by a stolen key, which says something else of the ledger."""
    entry = guarded.ledger.entries(kind="promotion")[-1]
    statement = verify_entry(entry, guarded.trust).statement
    assert isinstance(statement, PromotionStatement)
    mark = LedgerMark(*ledger.last())
    changed = replace(statement, checkpoint={**statement.checkpoint, **said}, ledger=mark)
    ledger.append(sign_statement(changed.as_json(), guarded.signer("promotion")))


@pytest.mark.parametrize("name", ["index_root", "root"])
def test_a_stolen_key_that_signs_over_another_index_is_found_by_the_auditor(
    owned: Guarded, run: Run, name: str
) -> None:
    stolen(owned, owned.ledger, **{name: OTHER})
    with raises_code(EvidenceError, "index.root_wrong"):
        audit(owned)
    given = ("--ledger", owned.ledger_url, "--trust", str(owned.trust_file))
    assert run("ledger", "rebuild", *given)[0] != 0
    owned.ledger.audit((), (), lambda entry: False)


def test_a_ledger_of_before_the_tree_is_brought_over_by_the_next_promotion(guarded: Guarded, run: Run) -> None:
    version = guarded.green()
    spoil(guarded, "DELETE FROM mlgov_ledger_nodes")
    guarded.approve(version, "omar")  # nothing is begun in the middle
    code, shown, _ = run("ledger", "verify", "--ledger", guarded.ledger_url)
    assert code == 0
    assert "no tree is kept beside it yet" in shown
    guarded.promote(version)
    assert audit(guarded)[1]


def test_a_ledger_of_before_the_tree_is_brought_over_by_a_command(guarded: Guarded, run: Run) -> None:
    guarded.green()
    spoil(guarded, "DELETE FROM mlgov_ledger_nodes")
    assert not audit(guarded)[1]
    assert run("ledger", "rebuild", "--ledger", guarded.ledger_url)[0] == 0
    assert audit(guarded)[1]
