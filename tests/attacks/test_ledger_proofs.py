"""The kept tree and index of a ledger in the hands of whoever owns its database, with and without a stolen key."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.chain import Entry, Head, Verified, link, mark_entry, verified
from airflow_mlgov.evidence.checkpoints import head_to_keep, make_checkpoint, open_checkpoint
from airflow_mlgov.evidence.hash_tree import HashTree
from airflow_mlgov.evidence.index_map import IndexMap, Mark
from airflow_mlgov.evidence.ledger import Ledger
from airflow_mlgov.evidence.ledger_index import write_nodes
from airflow_mlgov.evidence.ledger_tree import fill
from airflow_mlgov.evidence.notes import sign_note
from airflow_mlgov.evidence.proven import Proven, ProvenLedger, reads_proven
from airflow_mlgov.evidence.signing import sign_statement
from airflow_mlgov.evidence.statements import LedgerMark, PromotionStatement
from airflow_mlgov.evidence.verification import believer, collect, only, verify_entry
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.release.explanation import Explanation, explain
from airflow_mlgov.release.reconciliation import reconcile
from airflow_mlgov.release.rollback import roll_back
from tests.codes import raises_code
from tests.fixtures.mlflow_server import MlflowServer
from tests.fixtures.postgres import PASSWORD
from tests.fixtures.shell import Run
from tests.worlds.guarded import Guarded
from tests.worlds.ledger_owner import copied, database, relinked, rewrite

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


@pytest.mark.parametrize("place", ["1, 500", "1000000000, 1", "0, 1", "3, -1"])
def test_a_tree_of_more_entries_stays_until_a_checkpoint_says_that_these_are_all(
    owned: Guarded, run: Run, tmp_path: Path, place: str
) -> None:
    spoil(owned, f"INSERT INTO mlgov_ledger_nodes VALUES ({place}, '{OTHER}')")
    given = ("--ledger", owned.ledger_url, "--trust", str(owned.trust_file))
    code, _, problem = run("ledger", "rebuild", *given)
    assert code != 0
    assert "the ledger's tail was cut, or somebody put it there" in problem
    with raises_code(EvidenceError, "tree.node_foreign"):
        audit(owned)
    mark = tmp_path / "checkpoint.json"
    mark.write_text(make_checkpoint(owned.ledger, owned.signer("checkpoint"), owned.context()))
    assert run("ledger", "rebuild", *given, "--checkpoint", str(mark))[0] == 0
    assert audit(owned)[1]


def test_the_tail_cut_leaves_nodes_of_no_entry(owned: Guarded, run: Run) -> None:
    size = owned.ledger.last()[0]
    mark = open_checkpoint(make_checkpoint(owned.ledger, owned.signer("checkpoint"), owned.context()), owned.trust)
    spoil(owned, f"DELETE FROM mlgov_ledger WHERE seq > {size - 2}")
    with raises_code(EvidenceError, "ledger.tail_cut"):
        owned.ledger.audit((), [mark], believer(owned.trust))
    with raises_code(EvidenceError, "tree.node_foreign"):
        audit(owned)
    assert run("ledger", "rebuild", "--ledger", owned.ledger_url, "--trust", str(owned.trust_file))[0] != 0
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


# -- the reader that rests on what a promotion is signed over ---------------------------------------------------------


@pytest.fixture(scope="module")
def long_story(tmp_path_factory: pytest.TempPathFactory, mlflow_server: MlflowServer) -> Guarded:
    """Two versions were promoted, and the third may be: most is before what the second promotion is signed over."""
    guarded = Guarded(tmp_path_factory.mktemp("long"), mlflow_server)
    guarded.promote(guarded.green(1.0))
    guarded.promote(guarded.green(2.0))
    guarded.green(3.0)
    return guarded


@pytest.fixture
def long(long_story: Guarded, tmp_path: Path) -> Iterator[Guarded]:
    places = long_story.places()
    yield copied(long_story, tmp_path / "long")
    assert long_story.places() == places


def read(guarded: Guarded, *checkpoints: Head) -> Verified:
    return ProvenLedger(guarded.ledger, guarded.trust).walk(checkpoints)


def read_from(guarded: Guarded, *checkpoints: Head) -> Head:
    """What it is proven by."""
    found = read(guarded, *checkpoints)
    assert isinstance(found, Proven)
    return found.base


def version(guarded: Guarded, number: int) -> ModelVersion:
    return guarded.registry.resolve(f"{guarded.model}/{number}")


def refused(guarded: Guarded, item: ModelVersion, code: str) -> None:
    """Neither a promotion, nor a rollback, nor an explanation gets past it; nothing in MLflow moves."""
    before = guarded.places()
    with raises_code(EvidenceError, code):
        guarded.promote(item, proven=True)
    with raises_code(EvidenceError, code):
        roll_back(replace(guarded.desk("promotion"), proven=True), guarded.model, "production", reason="it fails")
    with raises_code(EvidenceError, code):
        explained(guarded, item)
    assert guarded.places() == before


def explained(guarded: Guarded, item: ModelVersion) -> Explanation:
    return explain(guarded.registry, item, ProvenLedger(guarded.ledger, guarded.trust), guarded.trust)


def gate_of(guarded: Guarded, number: int) -> Entry:
    """A gate's result on a version."""
    digest = guarded.registry.subject(version(guarded, number)).digest
    return guarded.ledger.entries([digest], kind="gate")[0]


def base_of(guarded: Guarded) -> Head:
    return Head(**promotions(guarded)[-1].checkpoint)


def test_what_is_proven_is_what_a_walk_finds(long_story: Guarded) -> None:
    walked, proven = long_story.ledger.walk(), read(long_story)
    assert isinstance(proven, Proven)
    assert proven.head == walked.head
    assert 0 < base_of(long_story).size < walked.head.size
    everything = walked.entries()
    for entry in everything:
        assert proven.entries([entry.subject_digest]) == walked.entries([entry.subject_digest])
        assert proven.entries(kind=entry.kind) == walked.entries(kind=entry.kind)
        assert proven.get(entry.seq) == entry
        assert proven.newer(entry.seq) == everything[entry.seq :]
    for model in (long_story.model, "another", long_story.model[:-1]):
        assert proven.entries(model=model) == walked.entries(model=model)
        assert proven.entries(kind="promotion", model=model) == walked.entries(kind="promotion", model=model)
    assert proven.entries() == everything
    assert proven.index().root == walked.index().root
    long_story.validate()
    later, now = proven.gone_on(), long_story.ledger.walk()
    assert (later.head, later.index().root) == (now.head, now.index().root)
    assert later.entries(kind="gate") == now.entries(kind="gate")
    with raises_code(ConfigurationError, "ledger.no_entry"):
        later.get(now.head.size + 1)


def test_what_is_proven_is_what_a_walk_finds_on_postgresql(
    mlflow_server: MlflowServer, tmp_path: Path, postgres: str
) -> None:
    url = make_url(postgres).set(password=PASSWORD).render_as_string(hide_password=False)
    guarded = Guarded(tmp_path, mlflow_server, ledger_url=url)
    guarded.promote(guarded.green(1.0))
    guarded.promote(guarded.green(2.0))
    walked, proven = guarded.ledger.walk(), read(guarded)
    assert isinstance(proven, Proven)
    for entry in walked.entries():
        assert proven.entries([entry.subject_digest]) == walked.entries([entry.subject_digest])
        assert proven.entries(kind=entry.kind) == walked.entries(kind=entry.kind)
    for model in (guarded.model, guarded.model[:-1], "%", "cred_t"):
        assert proven.entries(model=model) == walked.entries(model=model)
    assert proven.index().root == walked.index().root
    assert explained(guarded, version(guarded, 2)).allowed


def test_a_story_by_proofs_is_the_story_by_a_walk(guarded: Guarded) -> None:
    """Promoted twice, refused once, rolled back, each on what was proven; then each is explained in both ways."""
    guarded.promote(guarded.green(1.0), proven=True)
    second = guarded.green(2.0)
    guarded.promote(second, proven=True)
    third = guarded.green(3.0)
    guarded.weigh(third, ratio=0.5)
    assert guarded.refused(third, proven=True) == {"gate.not_passed", "bound.not_met", "approval.missing"}
    roll_back(replace(guarded.desk("promotion"), proven=True), guarded.model, "production", reason="it fails")
    assert isinstance(read(guarded), Proven)
    for number in (1, 2, 3):
        by_walk, by_proof = guarded.explain(version(guarded, number)), explained(guarded, version(guarded, number))
        assert by_walk == by_proof
        assert by_walk.allowed == (number == 1)
    for how in (False, True):
        desk = replace(guarded.desk("reconcile"), proven=how)
        assert reconcile(desk, revert=False, models=[guarded.model]).open == ()
    assert audit(guarded)[1]


def test_no_read_goes_along_the_whole_ledger(long_story: Guarded) -> None:
    """By the plans that SQLite makes of what is asked, whatever the ledger's size."""
    ledger, asked = long_story.ledger, list[tuple[str, Any]]()
    sa.event.listen(ledger._engine, "before_cursor_execute", lambda *given: asked.append((given[2], given[3])))
    proven = ProvenLedger(ledger, long_story.trust).walk()
    assert isinstance(proven, Proven)
    proven.entries(model=long_story.model)
    proven.entries([gate_of(long_story, 2).subject_digest])
    proven.entries(kind="policy")
    proven.get(3)
    with closing(sqlite3.connect(database(long_story))) as raw:
        plans = [
            (step[3], text)
            for text, values in asked
            if text.startswith("SELECT") and "mlgov_ledger" in text
            for step in raw.execute(f"EXPLAIN QUERY PLAN {text}", values).fetchall()
        ]
    assert len(plans) > 10
    tail = "SEARCH mlgov_ledger USING INTEGER PRIMARY KEY (rowid>?)"  # what came since
    along = [plan for plan in plans if "SCAN mlgov" in plan[0] or ("(rowid" in plan[0] and "=?" not in plan[0])]
    assert [plan for plan in along if plan[0] != tail] == []


def test_few_rows_are_read_of_what_is_about_others(long: Guarded) -> None:
    """A row about nobody of this story is not looked at; the auditor's walk is what finds it."""
    (other,) = [entry for entry in long.ledger.entries(kind="provenance") if entry.seq < base_of(long).size][:1]
    spoil(long, f"UPDATE mlgov_ledger SET recorded_at = '2020' WHERE seq = {other.seq}")
    assert read(long).entries(["e" * 64]) == []
    with raises_code(EvidenceError, "ledger.entry_changed"):
        read(long).entries(kind="provenance")
    with raises_code(EvidenceError, "ledger.entry_changed"):
        audit(long)


def test_a_row_that_is_hidden(long: Guarded) -> None:
    gate = gate_of(long, 2)
    assert gate.seq <= base_of(long).size
    spoil(long, f"DELETE FROM mlgov_ledger WHERE seq = {gate.seq}")
    refused(long, version(long, 2), "index.entry_hidden")
    with raises_code(EvidenceError, "ledger.entry_missing"):
        read(long).get(gate.seq)


def test_a_row_that_is_filed_under_another_key(long: Guarded) -> None:
    """The entry is about two keys, and is dropped from one."""
    gate = gate_of(long, 2)
    spoil(long, f"UPDATE mlgov_ledger SET subject_name = 'models:/x/1' WHERE seq = {gate.seq}")
    with raises_code(EvidenceError, "index.entry_hidden"):
        read(long).entries(model=long.model)
    with raises_code(EvidenceError, "ledger.entry_changed"):
        read(long).entries([gate.subject_digest])
    with raises_code(EvidenceError, "ledger.entry_changed"):
        read(long).entries(model="x")
    spoil(long, f"UPDATE mlgov_ledger SET subject_digest = '{OTHER}' WHERE seq = {gate.seq}")
    refused(long, version(long, 2), "index.entry_hidden")


def test_a_row_that_is_put_in_once_more(long: Guarded) -> None:
    """In the place of another, whole, under the right hash of its number."""
    gate, second = gate_of(long, 2), long.ledger.get(2)
    row = asdict(gate)
    bound = {name: row[name] for name in row if name not in ("seq", "prev", "hash", "envelope")}
    own = link(second.prev, 2, bound)
    spoil(
        long,
        "DELETE FROM mlgov_ledger WHERE seq = 2",
        f"INSERT INTO mlgov_ledger SELECT 2, '{second.prev}', '{own}', recorded_at, kind, subject_digest, "
        f"subject_name, envelope_sha256, envelope FROM mlgov_ledger WHERE seq = {gate.seq}",
    )
    with raises_code(EvidenceError, "index.entry_foreign"):
        read(long).entries([gate.subject_digest])
    with raises_code(EvidenceError, "proof.wrong"):
        read(long).get(2)


def test_an_inner_node_that_is_edited(long: Guarded) -> None:
    gate = gate_of(long, 2)
    beside = gate.seq - 1 >> 1 ^ 1
    spoil(long, f"UPDATE mlgov_ledger_nodes SET hash = '{OTHER}' WHERE level = 1 AND place = {beside}")
    with raises_code(EvidenceError, "proof.wrong"):
        read(long).entries([gate.subject_digest])
    spoil(long, f"UPDATE mlgov_ledger_nodes SET hash = '{OTHER}'")
    refused(long, version(long, 2), "tree.root_wrong")
    spoil(long, "DELETE FROM mlgov_ledger_nodes")
    refused(long, version(long, 2), "tree.node_missing")


def test_an_index_that_is_edited_removed_or_of_another_ledger(long: Guarded, story: Guarded) -> None:
    spoil(long, "UPDATE mlgov_ledger_index SET node = (SELECT max(node) FROM mlgov_ledger_index)")
    refused(long, version(long, 2), "index.node_wrong")
    with closing(sqlite3.connect(database(story))) as raw:
        others = raw.execute("SELECT hash, node FROM mlgov_ledger_index").fetchall()
    spoil(long, "DELETE FROM mlgov_ledger_index")
    with closing(sqlite3.connect(database(long))) as raw, raw:
        raw.executemany("INSERT INTO mlgov_ledger_index VALUES (?, ?)", others)
    refused(long, version(long, 2), "index.node_missing")


def test_an_old_index_root_under_a_new_head(long: Guarded) -> None:
    """By a stolen key; the database shows more than that index names. The auditor finds it whatever the database
    shows."""
    old, new = promotions(long)
    base = long.ledger.walk().head
    stolen(long, long.ledger, **(base.mark | {"index_root": old.checkpoint["index_root"]}))
    with raises_code(EvidenceError, "index.entry_foreign"):
        read(long).entries(model=long.model)
    with raises_code(EvidenceError, "index.root_wrong"):
        audit(long)
    assert new.checkpoint["index_root"] != old.checkpoint["index_root"]


def test_a_promotion_of_another_ledger(long: Guarded, story: Guarded) -> None:
    last = long.ledger.walk().entries()[-1]
    theirs = story.ledger.entries(kind="promotion")[-1]
    row = relinked([*({**asdict(entry)} for entry in long.ledger.entries()), asdict(theirs)])[-1]
    assert row["prev"] == last.hash
    marks = ", ".join("?" * len(row))
    with closing(sqlite3.connect(database(long))) as raw, raw:
        raw.execute(f"INSERT INTO mlgov_ledger ({', '.join(row)}) VALUES ({marks})", [*row.values()])
    own, others = (json.loads(each.trust_file.read_text()) for each in (long, story))
    long.trust_file.write_text(json.dumps(own | {"keys": own["keys"] + others["keys"]}))  # it is even believed here
    refused(long, version(long, 2), "tree.root_wrong")


def test_an_entry_deleted_and_all_made_again_by_the_databases_owner(long: Guarded) -> None:
    gate = gate_of(long, 2)
    rewrite(long, lambda rows: [row for row in rows if row["seq"] != gate.seq])
    tree = HashTree(bytes.fromhex(entry.hash) for entry in (Entry(**row) for row in rows_of(long)))
    spoil(long, "DELETE FROM mlgov_ledger_nodes")
    with long.ledger.beside() as connection:
        fill(connection, tree)
    refused(long, version(long, 2), "tree.root_wrong")


def rows_of(guarded: Guarded) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(database(guarded))) as raw:
        raw.row_factory = sqlite3.Row
        return [dict(row) for row in raw.execute("SELECT * FROM mlgov_ledger ORDER BY seq")]


def test_checkpoints_of_each_size_hold_and_no_other_does(long: Guarded) -> None:
    entries = long.ledger.walk().entries()
    heads = [verified(entries[:size]).head for size in range(1, len(entries) + 1)]
    read(long, *heads)
    base = base_of(long)
    for head in (heads[2], heads[base.size - 1], heads[-1]):
        for wrong in (
            head._replace(root=OTHER),
            head._replace(origin="mlgov-ledger/other"),
            head._replace(size=head.size - 1),
            Head(head.size, "", OTHER, "a note"),
        ):
            with raises_code(EvidenceError, "checkpoint.differs"):
                read(long, *heads, wrong)  # two of one size are a split view


def test_the_tail_cut(long: Guarded) -> None:
    size = long.ledger.last()[0]
    mark = open_checkpoint(make_checkpoint(long.ledger, long.signer("checkpoint"), long.context()), long.trust)
    spoil(long, f"DELETE FROM mlgov_ledger WHERE seq > {size - 1}")
    read(long)  # nobody else knows of what was cut
    with raises_code(EvidenceError, "ledger.tail_cut"):
        read(long, mark)
    with raises_code(EvidenceError, "ledger.tail_cut"):
        long.promote(version(long, 3), checkpoints=(mark,), proven=True)
    spoil(long, f"DELETE FROM mlgov_ledger WHERE seq = {base_of(long).size + 1}")
    refused(long, version(long, 2), "ledger.entry_missing")


def test_a_key_that_has_ended_is_believed_nothing_of_the_ledger(long: Guarded) -> None:
    keys = json.loads(long.trust_file.read_text())
    for key in keys["keys"]:
        if "promotion" in key["duties"]:
            key["valid_until"] = datetime.now(UTC).isoformat()
    long.trust_file.write_text(json.dumps(keys))
    assert not isinstance(read(long), Proven)
    assert isinstance(ProvenLedger(long.ledger, long.trust, datetime.now(UTC) - timedelta(hours=1)).walk(), Proven)


def test_a_promotion_that_does_not_verify_is_no_base(long: Guarded) -> None:
    own = read(long)
    newest = long.ledger.entries(kind="promotion")[-1]
    statement = verify_entry(newest, long.trust).statement
    assert isinstance(statement, PromotionStatement)
    forged = replace(statement, checkpoint={**long.ledger.walk().head.mark, "index_root": OTHER}, ledger=None)
    long.ledger.append(sign_statement(forged.as_json(), long.signer("waiver")))
    again = read(long)
    assert isinstance(own, Proven)
    assert isinstance(again, Proven)
    assert again.head.size == own.head.size + 1


def test_how_the_ledger_is_read_is_a_setting(long: Guarded, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is about others is looked at by a walk alone, which is done only where somebody says so."""
    assert (reads_proven(""), reads_proven("walk"), reads_proven("proven")) == (True, False, True)
    entry = next(entry for entry in long.ledger.entries(kind="gate"))
    other = long.registry.subject(version(long, 1)).digest
    assert entry.subject_digest != other
    for name, value in long.shell.items():
        monkeypatch.setenv(name, value)
    words = (
        "verify",
        f"models:/{long.model}/2",
        "--ledger",
        long.ledger_url,
        "--trust",
        str(long.trust_file),
    )
    for said, code in (("proven", 0), ("walk", 0), ("some", 2)):
        monkeypatch.setenv("MLGOV_LEDGER_READS", said)
        done = run(*words)
        assert done[0] == code, (said, done)
    spoil(long, f"DELETE FROM mlgov_ledger WHERE seq = {gate_of(long, 2).seq}")
    monkeypatch.setenv("MLGOV_LEDGER_READS", "proven")
    assert "it hides some" in run(*words)[2]
    monkeypatch.setenv("MLGOV_LEDGER_READS", "walk")
    assert "is missing" in run(*words)[2]


# -- the reader that rests on a checkpoint in another hand -------------------------------------------------------------


def note_of(guarded: Guarded, mark: Head | None = None) -> Head:
    """What a note says that is signed over the ledger as it is, or over something else."""
    text = sign_note(mark or head_to_keep(guarded.ledger), guarded.signer("checkpoint"), "bank.example/models")
    return open_checkpoint(text, guarded.trust)


@pytest.fixture
def noted(long: Guarded) -> tuple[Guarded, Head]:
    """Its checkpoint is of all entries but the last two, and of more than a promotion is signed over."""
    mark = note_of(long)
    long.validate()
    long.validate()
    assert mark.size > base_of(long).size
    return long, mark


def refused_by(guarded: Guarded, code: str, *marks: Head) -> None:
    """Neither a promotion nor an explanation gets past it; nothing in MLflow moves."""
    places, second, third = guarded.places(), version(guarded, 2), version(guarded, 3)
    with raises_code(EvidenceError, code):
        guarded.promote(third, checkpoints=marks, proven=True)
    with raises_code(EvidenceError, code):
        records = ProvenLedger(guarded.ledger, guarded.trust)
        explain(guarded.registry, second, records, guarded.trust, checkpoints=marks)
    assert guarded.places() == places


def test_what_a_checkpoint_proves_is_what_a_walk_finds(noted: tuple[Guarded, Head]) -> None:
    guarded, mark = noted
    walked, proven = guarded.ledger.walk(), read(guarded, mark)
    assert isinstance(proven, Proven)
    assert (proven.base.size, proven.head) == (mark.size, walked.head)
    for entry in walked.entries():
        assert proven.entries([entry.subject_digest]) == walked.entries([entry.subject_digest])
        assert proven.entries(kind=entry.kind) == walked.entries(kind=entry.kind)
        assert proven.get(entry.seq) == entry
    assert proven.entries(model=guarded.model) == walked.entries(model=guarded.model)
    assert proven.index().root == walked.index().root
    guarded.validate()
    assert proven.gone_on().head == guarded.ledger.walk().head
    heads = [verified(walked.entries()[:size]).head for size in range(1, walked.head.size + 1)]
    assert read(guarded, mark, *heads).head == guarded.ledger.walk().head
    for wrong in heads[1], heads[base_of(guarded).size], heads[mark.size - 1], heads[-1]:
        with raises_code(EvidenceError, "checkpoint.differs"):
            read(guarded, mark, wrong._replace(root=OTHER))


def test_a_ledger_of_which_nothing_was_promoted_is_read_from_a_checkpoint(guarded: Guarded) -> None:
    item = guarded.gated()
    assert not isinstance(read(guarded), Proven)
    mark = note_of(guarded)
    guarded.approve(item)
    assert isinstance(read(guarded, mark), Proven)
    guarded.promote(item, checkpoints=(mark,), proven=True)
    signed = base_of(guarded)
    assert signed.size > mark.size
    before = verified(guarded.ledger.walk().newer(0)[: signed.size])
    assert signed == before.head._replace(index_root=before.index().root.hex())
    assert audit(guarded)[1]


def test_rows_before_a_checkpoint_hidden_edited_or_put_in(noted: tuple[Guarded, Head], tmp_path: Path) -> None:
    """Those too that no promotion is signed over."""
    guarded, mark = noted
    newest = guarded.ledger.entries([guarded.registry.subject(version(guarded, 3)).digest], kind="gate")[-1]
    assert base_of(guarded).size < newest.seq < mark.size
    for number, (sql, code) in enumerate(
        (
            (f"DELETE FROM mlgov_ledger WHERE seq = {newest.seq}", "index.entry_hidden"),
            (f"UPDATE mlgov_ledger SET subject_digest = '{OTHER}' WHERE seq = {newest.seq}", "index.entry_hidden"),
            (f"UPDATE mlgov_ledger SET recorded_at = '2020' WHERE seq = {newest.seq}", "ledger.entry_changed"),
        )
    ):
        owned = copied(guarded, tmp_path / str(number))
        spoil(owned, sql)
        with raises_code(EvidenceError, code):
            read(owned, mark).entries([newest.subject_digest])
        with raises_code(EvidenceError, code):
            owned.promote(version(owned, 3), checkpoints=(mark,), proven=True)


def test_an_old_index_root_in_a_checkpoint_of_a_new_head(noted: tuple[Guarded, Head]) -> None:
    """By a stolen key of the checkpoints. The auditor finds it whatever the database shows."""
    guarded, mark = noted
    lie = note_of(guarded, mark._replace(index_root=promotions(guarded)[0].checkpoint["index_root"]))
    refused_by(guarded, "index.entry_foreign", lie)
    with raises_code(EvidenceError, "index.root_wrong"):
        guarded.ledger.audit((), [lie], believer(guarded.trust))


def test_a_checkpoints_key_alone_hides_nothing_that_a_promotion_is_signed_over(noted: tuple[Guarded, Head]) -> None:
    """Stolen by the database's owner, who keeps an index without one row, and hides that row."""
    guarded, mark = noted
    gate, marks, size = gate_of(guarded, 2), dict[str, Mark](), base_of(guarded).size
    for entry in guarded.ledger.entries():
        if entry.seq <= mark.size and entry.seq != gate.seq:
            mark_entry(marks, entry)
    made = IndexMap.of(marks)
    with guarded.ledger.beside() as connection:
        write_nodes(connection, made.fresh)
    lie = note_of(guarded, mark._replace(index_root=made.root.hex()))
    refused_by(guarded, "index.entry_foreign", lie)
    spoil(guarded, f"DELETE FROM mlgov_ledger WHERE seq = {gate.seq}")
    asked: list[dict[str, Any]] = [{"model": guarded.model}, {"kind": "gate"}, {"digests": [gate.subject_digest]}]
    for about in asked:
        with raises_code(EvidenceError, "index.entry_hidden", match=f"of the first {size} entries"):
            read(guarded, lie).entries(**about)


def test_an_index_of_another_ledger_in_a_checkpoint(noted: tuple[Guarded, Head], story: Guarded) -> None:
    guarded, mark = noted
    theirs = note_of(story)
    refused_by(guarded, "tree.root_wrong", theirs._replace(size=mark.size))
    lie = note_of(guarded, mark._replace(index_root=theirs.index_root))
    assert read_from(guarded, lie).size == base_of(guarded).size
    with closing(sqlite3.connect(database(story))) as raw:
        others = raw.execute("SELECT hash, node FROM mlgov_ledger_index").fetchall()
    with closing(sqlite3.connect(database(guarded))) as raw, raw:
        raw.executemany("INSERT OR IGNORE INTO mlgov_ledger_index VALUES (?, ?)", others)
    refused_by(guarded, "index.entry_foreign", lie)


def test_the_tail_cut_before_a_checkpoint_with_an_index(noted: tuple[Guarded, Head], tmp_path: Path) -> None:
    guarded, mark = noted
    for size in (mark.size - 1, base_of(guarded).size + 1):
        owned = copied(guarded, tmp_path / str(size))
        spoil(owned, f"DELETE FROM mlgov_ledger WHERE seq > {size}")
        refused_by(owned, "ledger.tail_cut", mark)
    spoil(guarded, f"DELETE FROM mlgov_ledger WHERE seq = {mark.size}")
    refused_by(guarded, "ledger.entry_missing", mark)


def test_a_checkpoint_of_a_larger_size_than_the_ledger(noted: tuple[Guarded, Head]) -> None:
    guarded, mark = noted
    for larger in (guarded.ledger.last()[0] + 1, 2**40):
        lie = note_of(guarded, mark._replace(size=larger))
        with pytest.raises(EvidenceError) as caught:
            read(guarded, lie)
        assert caught.value.code in ("ledger.tail_cut", "tree.root_wrong")


def test_two_checkpoints_of_one_size_are_a_split_view(noted: tuple[Guarded, Head]) -> None:
    guarded, mark = noted
    old = Head(**promotions(guarded)[0].checkpoint)
    for other, code in (
        (mark._replace(root=OTHER), "checkpoint.differs"),
        (mark._replace(index_root=old.index_root), "index.root_wrong"),
        (mark._replace(root=OTHER, index_root=""), "checkpoint.differs"),
    ):
        refused_by(guarded, code, mark, note_of(guarded, other))
    with raises_code(EvidenceError, "index.root_wrong"):
        read(guarded, note_of(guarded, base_of(guarded)._replace(index_root=old.index_root)))


def test_what_a_rebuild_does_not_keep_is_walked(noted: tuple[Guarded, Head]) -> None:
    """The index that a promotion is signed over is kept, that of a checkpoint is not; nor is a tree before the first
    rebuild."""
    guarded, mark = noted
    guarded.ledger.rebuild((), believer(guarded.trust))
    assert read_from(guarded, mark).size == base_of(guarded).size
    with raises_code(EvidenceError, "checkpoint.differs"):
        read(guarded, mark._replace(root=OTHER, index_root=""))
    again = note_of(guarded)
    assert read_from(guarded, again, mark).size == again.size
    spoil(guarded, "UPDATE mlgov_ledger_index SET node = (SELECT max(node) FROM mlgov_ledger_index)")
    refused_by(guarded, "index.node_wrong", again)


def test_a_checkpoints_key_that_has_ended_is_believed_nothing_of_the_index(noted: tuple[Guarded, Head]) -> None:
    guarded, mark = noted
    text = sign_note(guarded.ledger.head_with_index(), guarded.signer("checkpoint"), "bank.example/models")
    keys = json.loads(guarded.trust_file.read_text())
    for key in keys["keys"]:
        if "checkpoint" in key["duties"]:
            key["valid_until"] = datetime.now(UTC).isoformat()
    guarded.trust_file.write_text(json.dumps(keys))
    opened = open_checkpoint(text, guarded.trust)
    assert (opened.index_root, opened.size) == ("", mark.size + 2)
    assert read_from(guarded, opened).size == base_of(guarded).size
    promoted = guarded.ledger.entries(kind="promotion")[-1].envelope
    assert open_checkpoint(promoted, guarded.trust) == base_of(guarded)
