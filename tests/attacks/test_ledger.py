"""The ledger's database in the hands of somebody who holds no key: a FAIL deleted, a row edited, put in or moved, the
tail cut, the whole replaced."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.chain import Head
from airflow_mlgov.evidence.checkpoints import make_checkpoint, open_checkpoint
from airflow_mlgov.evidence.proven import ProvenLedger
from airflow_mlgov.evidence.signing import TrustRoot, open_signer
from airflow_mlgov.evidence.statements import GateStatement
from airflow_mlgov.evidence.verification import believer
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.release.explanation import explain, replay_all
from airflow_mlgov.release.timeline import Dossier, evidence_for
from airflow_mlgov.results import Bound, Check, GateResult, Outcome
from tests.codes import raises_code
from tests.fixtures.mlflow_server import MlflowServer
from tests.worlds.governed import PASSED
from tests.worlds.guarded import Guarded
from tests.worlds.ledger_owner import Rows, copied, database, relinked, rewrite


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, mlflow_server: MlflowServer) -> Guarded:
    """Version 1 is champion. Version 2 passed its gates and was approved, then failed the fairness gate."""
    guarded = Guarded(tmp_path_factory.mktemp("story"), mlflow_server)
    guarded.promote(guarded.green(1.0))
    second = guarded.green(2.0)
    guarded.weigh(second, ratio=0.5)
    return guarded


@pytest.fixture
def owned(story: Guarded, tmp_path: Path) -> Iterator[Guarded]:
    """A copy of it; whatever is done to the ledger, the champion stays."""
    yield copied(story, tmp_path / "owned")
    assert story.places() == {"1": PASSED, "2": (None, ())}


@pytest.fixture
def second(owned: Guarded) -> ModelVersion:
    return owned.registry.resolve(f"{owned.model}/2")


def test_the_fail_stops_the_second_version(owned: Guarded, second: ModelVersion) -> None:
    assert owned.refused(second) == {"gate.not_passed", "bound.not_met", "approval.missing"}


def test_the_newer_fail_deleted(owned: Guarded, second: ModelVersion) -> None:
    owned.refused(second)
    (fail,) = [entry.seq for entry in owned.ledger.entries(kind="gate")][-1:]
    rewrite(owned, lambda rows: [row for row in rows if row["seq"] != fail], relink=False)
    owned.broken(second, "ledger.entry_missing", f"entry {fail} ")


def test_the_newer_fail_deleted_and_the_chain_linked_again(owned: Guarded, second: ModelVersion) -> None:
    owned.refused(second)
    (fail,) = [entry.seq for entry in owned.ledger.entries(kind="gate")][-1:]
    rewrite(owned, lambda rows: [row for row in rows if row["seq"] != fail])
    owned.broken(second, "ledger.history_rewritten")


def test_the_fail_moved_before_the_pass(owned: Guarded, second: ModelVersion) -> None:
    def swap(rows: Rows) -> Rows:
        passed, failed = [row for row in rows if row["kind"] == "gate"][-2:]
        order = {passed["seq"]: failed, failed["seq"]: passed}
        return [order.get(row["seq"], row) for row in rows]

    rewrite(owned, swap)
    owned.broken(second, "ledger.history_rewritten")


def test_the_fail_replaced_by_the_pass(owned: Guarded, second: ModelVersion) -> None:
    def replaced(rows: Rows) -> Rows:
        passed = [row for row in rows if row["kind"] == "gate"][-2]
        return [*rows[:-1], passed]

    owned.ledger.append(owned.ledger.entries()[-1].envelope)
    rewrite(owned, replaced)
    # the same statement twice counts where it stood first, and the FAIL still stands after it
    assert "gate.not_passed" in owned.refused(second)


def test_an_envelope_kept_under_another_subject(owned: Guarded, second: ModelVersion) -> None:
    def refiled(rows: Rows) -> Rows:
        return [*rows[:-1], {**rows[-1], "subject_digest": "f" * 64}]

    rewrite(owned, refiled)
    owned.broken(second, "ledger.entry_misfiled")


def test_an_entry_put_in_between(owned: Guarded, second: ModelVersion) -> None:
    forged = forged_pass(owned, second)
    rewrite(owned, lambda rows: [*rows[:3], forged, *rows[3:-1]])
    owned.broken(second, "ledger.history_rewritten", by_proofs="tree.root_wrong")


def test_an_entry_signed_with_a_key_of_ones_own(owned: Guarded, second: ModelVersion) -> None:
    forged_pass(owned, second)
    assert "evidence.unverified" in owned.refused(second)
    champion = owned.registry.resolve(f"{owned.model}/1")
    assert owned.explain(champion).allowed
    forged_pass(owned, champion)
    assert owned.unfit(champion) == {"evidence.unverified"}


def test_a_row_edited_or_replaced_in_place(owned: Guarded, second: ModelVersion) -> None:
    with closing(sqlite3.connect(database(owned))) as raw:
        for statement in (
            "UPDATE mlgov_ledger SET kind = 'approval' WHERE seq = 2",
            "DELETE FROM mlgov_ledger WHERE seq = 2",
            "INSERT OR REPLACE INTO mlgov_ledger SELECT * FROM mlgov_ledger WHERE seq = 2",
        ):
            with pytest.raises(sqlite3.DatabaseError, match="append-only"):
                raw.execute(statement)
        raw.executescript("DROP TRIGGER mlgov_ledger_no_update")
        raw.execute("UPDATE mlgov_ledger SET recorded_at = '2020-01-01' WHERE seq = 2")
        raw.commit()
    assert owned.ledger.oddities() == ["lacks the trigger mlgov_ledger_no_update"]
    first, proven = owned.registry.resolve(f"{owned.model}/1"), ProvenLedger(owned.ledger, owned.trust)
    owned.broken(first, "ledger.entry_changed", "entry 2 ")
    for how in (False, True):
        with raises_code(EvidenceError, "ledger.entry_changed", match="entry 2 "):
            owned.promote(second, proven=how)
    # that it was never promoted does not depend on the row, which only a walk finds then
    answer = explain(owned.registry, second, proven, owned.trust)
    assert [code for code, _ in answer.reasons] == ["promotion.missing"]
    with raises_code(EvidenceError, "ledger.entry_changed", match="entry 2 "):
        owned.ledger.audit((), (), believer(owned.trust))


def test_the_fail_left_out_of_the_index_that_finds_it(owned: Guarded, second: ModelVersion) -> None:
    owned.refused(second)
    (fail,) = [entry.seq for entry in owned.ledger.entries(kind="gate")][-1:]
    index = "CREATE INDEX ix_mlgov_ledger_subject_digest ON mlgov_ledger (subject_digest)"
    with closing(sqlite3.connect(database(owned), isolation_level=None)) as raw:
        raw.execute("DROP INDEX ix_mlgov_ledger_subject_digest")
        raw.execute(f"{index} WHERE seq <> {fail}")
        raw.execute("PRAGMA writable_schema = ON")
        raw.execute(f"UPDATE sqlite_master SET sql = '{index}' WHERE name = 'ix_mlgov_ledger_subject_digest'")
    assert owned.refused(second) == {"gate.not_passed", "bound.not_met", "approval.missing"}
    assert any("an index leaves rows out" in oddity for oddity in owned.ledger.oddities())


def test_the_fail_hidden_by_a_view(owned: Guarded, second: ModelVersion) -> None:
    owned.refused(second)
    (fail,) = [entry.seq for entry in owned.ledger.entries(kind="gate")][-1:]
    with closing(sqlite3.connect(database(owned), isolation_level=None)) as raw:
        raw.execute("ALTER TABLE mlgov_ledger RENAME TO kept")
        raw.execute(f"CREATE VIEW mlgov_ledger AS SELECT * FROM kept WHERE seq <> {fail}")
    owned.broken(second, "ledger.entry_missing", f"entry {fail} ")


def test_an_entry_swallowed_moves_nothing(owned: Guarded, second: ModelVersion) -> None:
    with closing(sqlite3.connect(database(owned), isolation_level=None)) as raw:
        raw.execute("CREATE TRIGGER quiet BEFORE INSERT ON mlgov_ledger BEGIN SELECT RAISE(IGNORE); END")
    for swallowed in (lambda: owned.promote(second), lambda: owned.weigh(second, ratio=0.5)):
        with raises_code(EvidenceError, "ledger.not_kept"):
            swallowed()


def test_a_decision_that_was_made_without_the_fail_is_found_afterwards(
    tmp_path: Path, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The promotion's own process was blinded: verification and replay read all that stood before the decision."""
    guarded = Guarded(tmp_path, mlflow_server)
    version = guarded.green()
    assert guarded.explain(guarded.now(version)).reasons[0][0] == "promotion.missing"
    fail = guarded.weigh(version, ratio=0.5)

    def blind(*given: Any) -> Dossier:
        seen = evidence_for(*given)
        return replace(seen, good=[item for item in seen.good if item.seq != fail.seq])

    monkeypatch.setattr("airflow_mlgov.release.desk.evidence_for", blind)
    guarded.promote(version)
    assert guarded.unfit(version) == {"evidence.overlooked"}
    (replayed,) = replay_all(guarded.ledger, guarded.trust)
    assert not replayed.same
    assert fail.reference in replayed.now[0][1]


def test_the_whole_ledger_replaced_by_an_empty_one(owned: Guarded, second: ModelVersion) -> None:
    checkpoint = kept(owned)
    database(owned).unlink()
    assert owned.refused(second) == {"evidence.missing", "provenance.missing", "approval.missing"}
    assert owned.unfit(owned.registry.resolve(f"{owned.model}/1")) == {"promotion.missing"}
    with pytest.raises(EvidenceError, match=r"its tail was cut|another ledger"):
        owned.ledger.verify([checkpoint])


def test_a_cut_tail_is_found_by_a_checkpoint_that_was_kept_elsewhere(
    tmp_path: Path, mlflow_server: MlflowServer
) -> None:
    """The chain alone cannot know what stood at its end: until somebody signs again, only the checkpoint does."""
    guarded = Guarded(tmp_path, mlflow_server)
    version = guarded.green()
    guarded.weigh(version, ratio=0.5)
    checkpoint = kept(guarded)
    rewrite(guarded, lambda rows: rows[:-1])
    guarded.ledger.verify()
    with raises_code(EvidenceError, "ledger.tail_cut"):
        guarded.ledger.verify([checkpoint])
    with raises_code(EvidenceError, "ledger.tail_cut"):
        guarded.explain(version, checkpoints=[checkpoint])
    with raises_code(EvidenceError, "ledger.tail_cut"):
        guarded.promote(version, checkpoints=(checkpoint,))
    assert guarded.places()["1"] == (None, ())
    guarded.promote(version)  # not stopped where no checkpoint is kept: see docs/threat-model.md
    with raises_code(EvidenceError, "checkpoint.differs"):
        guarded.explain(guarded.now(version), checkpoints=[checkpoint])


def test_a_checkpoint_that_was_forged(owned: Guarded) -> None:
    stranger = open_signer(f"local:{owned.folder / 'stranger.pem'}", make_key=True)
    for signer in (stranger, owned.signer("promotion")):
        forged = make_checkpoint(owned.ledger, signer, owned.context())
        with pytest.raises(EvidenceError, match=r"not in the trust root|may not sign for checkpoint"):
            open_checkpoint(forged, TrustRoot.load(owned.trust_file))


def kept(guarded: Guarded) -> Head:
    """A checkpoint, signed now and kept in another hand."""
    envelope = make_checkpoint(guarded.ledger, guarded.signer("checkpoint"), guarded.context())
    return open_checkpoint(envelope, TrustRoot.load(guarded.trust_file))


def forged_pass(guarded: Guarded, version: ModelVersion) -> dict[str, Any]:
    """Append a PASS under a key that nobody trusts; its row."""
    bound = Bound(0.8, 1.25)
    checks = (Check("demographic_parity_ratio[sex]", Outcome.PASS, 1.0, bound),)
    statement = GateStatement.of(GateResult("fairness", guarded.registry.subject(version), checks), guarded.context())
    entry = guarded.ledger.attest(statement, open_signer(f"local:{guarded.folder / 'stranger.pem'}", make_key=True))
    return asdict(entry)


def test_the_tools_of_these_tests_change_nothing_by_themselves(owned: Guarded) -> None:
    before = owned.ledger.entries()
    rewrite(owned, lambda rows: rows)
    assert owned.ledger.entries() == before
    assert relinked([vars(entry) for entry in before]) == [vars(entry) for entry in before]
