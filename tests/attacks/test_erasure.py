"""What people typed, beside the ledger: erased with a notice, and by whoever owns the database without one; altered,
swapped, guessed. No decision becomes another by it."""

import hashlib
import json
import sqlite3
from base64 import b64decode
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_mlgov.cli.app import app
from airflow_mlgov.errors import ConfigurationError, EvidenceError, PromotionRefused
from airflow_mlgov.evidence.erasure import account, beside, erase, erase_strays, held_about
from airflow_mlgov.evidence.pack import open_pack, write_pack
from airflow_mlgov.evidence.signing import sign_statement
from airflow_mlgov.evidence.statements import ApprovalStatement, ErasureStatement, Person, Typed
from airflow_mlgov.evidence.verification import collect, only
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.results import Subject
from tests.codes import raises_code
from tests.fixtures.shell import Run
from tests.worlds.guarded import Guarded
from tests.worlds.ledger_owner import database

RITA = Person("rita", "rita")


def tamper(guarded: Guarded, *statements: str) -> None:
    """What whoever owns the database can do: no trigger stops it."""
    with closing(sqlite3.connect(database(guarded))) as raw, raw:
        triggers = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            raw.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            raw.execute(statement)
        for _, sql in triggers:
            raw.execute(sql)


def erased(guarded: Guarded, seq: int) -> list[str]:
    """Erase what stands beside an entry; the references of the notices."""
    signer = guarded.signer("erasure")
    made = erase(
        guarded.ledger, seq, guarded.trust, signer, guarded.context(), person=RITA, ground="request", reason="by letter"
    )
    return [entry.reference for entry in made]


def reasons(guarded: Guarded) -> list[str]:
    """What each approval says of its reason, to whoever reads it."""
    found, bad = collect(guarded.ledger.walk(), guarded.trust, kind="approval")
    return [item.statement.reason for item in only(found, ApprovalStatement)] + [item.problem for item in bad]


def test_no_envelope_and_no_recorded_input_holds_what_was_typed(guarded: Guarded) -> None:
    version = guarded.green()
    guarded.approve(version, "omar", approved=False)
    guarded.refused(version)
    for entry in guarded.ledger.entries():
        assert b"looked at it" not in b64decode(json.loads(entry.envelope)["payload"])
    assert reasons(guarded) == ["looked at it", "looked at it"]


def test_what_was_erased_says_so_and_no_decision_is_another(guarded: Guarded, run: Run, tmp_path: Path) -> None:
    version = guarded.green()
    guarded.promote(version)
    approval = guarded.ledger.entries(kind="approval")[0]
    before = guarded.explain(guarded.now(version))
    given = ["--ledger", guarded.ledger_url, "--trust", str(guarded.trust_file)]
    key = f"local:{guarded.folder / 'erasure.pem'}"
    told = ["--entry", str(approval.seq), "--ground", "request", "--by", "rita", "--reason", "by letter"]
    code, out, _ = run("ledger", "erase", *given, "--sign", key, *told)
    assert code == 0
    notice = guarded.ledger.entries(kind="erasure")[0]
    assert out.strip() == f"erased beside ledger:{approval.seq}; notices: {notice.reference}"
    (said,) = reasons(guarded)
    assert said.startswith("[erased on 20")
    assert said.endswith(f", notice ledger:{notice.seq}]")
    assert b"looked at it" not in database(guarded).read_bytes()
    assert guarded.explain(guarded.now(version)).allowed
    assert guarded.explain(guarded.now(version)).reasons == before.reasons
    code, out, _ = run("ledger", "verify", *given)
    assert code == 0
    assert "what people typed: 1 texts as they were signed, 1 erased by a notice" in out
    code, out, _ = run("replay", *given)
    assert code == 0, out
    guarded.promote(version)  # the answer counts as it did
    pack = tmp_path / "pack.zip"
    write_pack(guarded.ledger, guarded.subject(version), pack)
    opened = open_pack(pack, guarded.trust)
    kept = only(collect(opened.walk(), guarded.trust, kind="approval")[0], ApprovalStatement)
    assert [item.statement.reason for item in kept] == [said]
    notices = only(collect(opened.walk(), guarded.trust, kind="erasure")[0], ErasureStatement)
    assert [(item.statement.ground, item.statement.reason) for item in notices] == [("request", "by letter")]


def test_a_pack_carries_what_was_typed_while_it_is_there(guarded: Guarded, tmp_path: Path) -> None:
    version = guarded.green()
    write_pack(guarded.ledger, guarded.subject(version), tmp_path / "pack.zip")
    opened = open_pack(tmp_path / "pack.zip", guarded.trust)
    (answer,) = only(collect(opened.walk(), guarded.trust, kind="approval")[0], ApprovalStatement)
    assert answer.statement.reason == "looked at it"


def test_a_text_that_was_altered_is_refused_until_it_is_put_right(guarded: Guarded, run: Run) -> None:
    version = guarded.green()
    tamper(guarded, "UPDATE mlgov_ledger_texts SET text = 'did not look'")
    shown, said = reasons(guarded)
    assert shown == "[altered since it was signed]"
    assert "was altered since" in said
    assert guarded.refused(version) >= {"evidence.unverified"}
    code, _, problem = run("ledger", "verify", "--ledger", guarded.ledger_url)
    assert code != 0
    assert "altered beside the ledger since it was signed: ledger:5 reason" in problem
    erased(guarded, guarded.ledger.entries(kind="approval")[0].seq)
    guarded.promote(version)


def test_texts_that_were_swapped_between_entries_are_refused(guarded: Guarded) -> None:
    version = guarded.green()
    guarded.approve(version, "omar", approved=False)
    first, second = (beside(entry, guarded.ledger.walk())[0] for entry in guarded.ledger.entries(kind="approval"))
    assert first.state == second.state == "kept"
    a, b = (entry for entry in guarded.ledger.entries(kind="approval"))
    keys = [json.loads(b64decode(json.loads(entry.envelope)["payload"]))["predicate"]["reason"] for entry in (a, b)]
    one, other = (key["saltedSha256"] for key in keys)
    tamper(
        guarded,
        f"UPDATE mlgov_ledger_texts SET sha256 = '{'0' * 64}' WHERE sha256 = '{one}'",
        f"UPDATE mlgov_ledger_texts SET sha256 = '{one}' WHERE sha256 = '{other}'",
        f"UPDATE mlgov_ledger_texts SET sha256 = '{other}' WHERE sha256 = '{'0' * 64}'",
    )
    assert account(guarded.ledger.walk(), guarded.trust).altered == (f"ledger:{a.seq} reason", f"ledger:{b.seq} reason")
    assert guarded.refused(version) >= {"evidence.unverified"}


def test_a_text_that_is_gone_without_a_notice_is_missing(guarded: Guarded, run: Run) -> None:
    version = guarded.green()
    with closing(sqlite3.connect(database(guarded))) as raw, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        raw.execute("DELETE FROM mlgov_ledger_texts")
    tamper(guarded, "DELETE FROM mlgov_ledger_texts")
    (said,) = reasons(guarded)
    assert said.startswith("[missing: ")
    code, _, problem = run("ledger", "verify", "--ledger", guarded.ledger_url, "--trust", str(guarded.trust_file))
    assert code != 0
    assert "missing beside the ledger, and no notice says that it was erased: ledger:5 reason" in problem
    guarded.promote(version)  # neither weaker nor stronger: no rule reads it
    erased(guarded, 5)
    assert run("ledger", "verify", "--ledger", guarded.ledger_url)[0] == 0


def test_a_notice_that_does_not_verify_excuses_nothing(guarded: Guarded) -> None:
    """Whoever may write the database, or holds the key of another duty, can remove a text and not say it was erased."""
    guarded.green()
    approval = guarded.ledger.entries(kind="approval")[0]
    (text,) = collect(guarded.ledger.walk(), guarded.trust, kind="approval")[0][0].statement.texts().values()
    subject = Subject("ledger", f"ledger:{approval.seq}", text.sha256)
    given = (subject, guarded.context(), approval.seq, approval.envelope_sha256, "reason", "request", RITA, "")
    guarded.attest("reconcile", ErasureStatement(*given))
    guarded.ledger.forget([text.sha256])
    assert reasons(guarded)[0].startswith("[missing: ")
    assert account(guarded.ledger.walk(), guarded.trust).missing == (f"ledger:{approval.seq} reason",)


def test_a_text_that_was_put_back_after_its_erasure_is_not_shown(guarded: Guarded) -> None:
    guarded.green()
    kept = sqlite3.connect(database(guarded)).execute("SELECT * FROM mlgov_ledger_texts").fetchall()
    erased(guarded, 5)
    with closing(sqlite3.connect(database(guarded))) as raw, raw:
        raw.executemany("INSERT INTO mlgov_ledger_texts VALUES (?, ?, ?)", kept)
    assert reasons(guarded)[0].startswith("[erased on ")
    assert account(guarded.ledger.walk(), guarded.trust).left == ("ledger:5 reason",)
    assert erased(guarded, 5) == []
    assert account(guarded.ledger.walk(), guarded.trust).left == ()


def test_a_short_text_is_not_guessed_from_its_digest(guarded: Guarded) -> None:
    """Without the salt, of 256 bits, every guess is as good as any other; the same word twice has two digests."""
    version = guarded.gated()
    guarded.approve(version)
    guarded.approve(version, "omar")
    found = collect(guarded.ledger.walk(), guarded.trust, kind="approval")[0]
    one, other = (item.statement.texts()["reason"] for item in found)
    assert one == other == "looked at it"
    assert one.sha256 != other.sha256
    assert len(bytes.fromhex(one.salt or "")) == 32
    guesses = {hashlib.sha256(word.encode()).hexdigest() for word in ("looked at it", "ok", "")}
    assert not guesses & {one.sha256, other.sha256}


def test_only_the_duty_of_erasure_erases_and_only_what_is_beside(guarded: Guarded) -> None:
    guarded.green()
    ledger, trust, context = guarded.ledger, guarded.trust, guarded.context()
    with raises_code(ConfigurationError, "signer.untrusted"):
        erase(ledger, 5, trust, guarded.signer("approval"), context, person=RITA, ground="request")
    with raises_code(ConfigurationError, "erasure.nothing"):
        erase(ledger, 1, trust, guarded.signer("erasure"), context, person=RITA, ground="request")
    with raises_code(ConfigurationError, "erasure.ground"):
        erase(ledger, 5, trust, guarded.signer("erasure"), context, person=RITA, ground="because")
    with raises_code(EvidenceError, "ledger.append_only"):
        ledger.forget([text.sha256 for text in collect(ledger.walk(), trust)[0][-1].statement.texts().values()])
    assert reasons(guarded) == ["looked at it"]


def test_all_that_is_held_about_a_person_is_handed_out_and_their_texts_go(
    guarded: Guarded, capsys: pytest.CaptureFixture[str]
) -> None:
    version = guarded.green()
    guarded.approve(version, "omar")
    guarded.promote(version)
    given = ["--ledger", guarded.ledger_url, "--trust", str(guarded.trust_file)]
    capsys.readouterr()
    app(["ledger", "person", "Olga ", *given, "--json"], standalone_mode=False)
    said = json.loads(capsys.readouterr().out)
    by_kind = {item["kind"]: item for item in said["entries"]}
    assert by_kind["approval"]["named_in"] == ["predicate/approver/id", "predicate/approver/name"]
    assert by_kind["approval"]["typed"] == [{"field": "reason", "state": "kept", "shown": "looked at it"}]
    assert {"decision", "policy"} <= set(by_kind)
    key = f"local:{guarded.folder / 'erasure.pem'}"
    app(
        ["ledger", "erase", "--person", "olga", "--ground", "request", *given, "--sign", key, "--by", "rita"],
        standalone_mode=False,
    )
    walked = guarded.ledger.walk()
    typed = {
        name: [text.state for item in held_about(name, walked, guarded.trust) for text in item.texts]
        for name in ("olga", "omar")
    }
    assert typed == {"olga": ["erased"], "omar": ["kept"]}


def answer(guarded: Guarded, version: ModelVersion, reason: str) -> ApprovalStatement:
    """Olga's yes."""
    return ApprovalStatement(
        guarded.subject(version), guarded.context(), target="production", approver=Person("olga", "olga"),
        approved=True, reason=reason, shown=(), answered_at=guarded.context().issued_at,
    )  # fmt: skip


def test_whoever_read_a_text_before_its_erasure_does_not_bring_it_back(guarded: Guarded) -> None:
    """Everybody who signs a waiver signs the same terms, and may have read them yesterday."""
    version = guarded.green()
    (read,) = only(collect(guarded.ledger.walk(), guarded.trust, kind="approval")[0], ApprovalStatement)
    erased(guarded, 5)
    guarded.attest("approval", replace(read.statement, context=guarded.context()))
    assert b"looked at it" not in database(guarded).read_bytes()
    assert account(guarded.ledger.walk(), guarded.trust).left == ()
    assert all(said.startswith("[erased on ") for said in reasons(guarded))
    guarded.promote(version)


@pytest.mark.parametrize("how", ["swallowed", "changed", "taken before"])
def test_a_text_that_the_database_does_not_keep_is_not_attested(guarded: Guarded, how: str) -> None:
    version = guarded.gated()
    said = answer(guarded, version, Typed.of("my own words"))
    (text,) = said.texts().values()
    with closing(sqlite3.connect(database(guarded))) as raw, raw:
        if how == "taken before":
            raw.execute("INSERT INTO mlgov_ledger_texts VALUES (?, ?, 'not my words')", (text.sha256, "0" * 64))
        else:
            does = "BEFORE INSERT ON mlgov_ledger_texts BEGIN SELECT RAISE(IGNORE); END"
            bends = "AFTER INSERT ON mlgov_ledger BEGIN INSERT INTO mlgov_ledger_texts SELECT ?, ?, 'x'; END"
            bends = bends.replace("?", f"'{text.sha256}'", 1).replace("?", f"'{'0' * 64}'", 1)
            raw.execute(f"CREATE TRIGGER bent {does if how == 'swallowed' else bends}")
    size = guarded.ledger.last()[0]
    with raises_code(EvidenceError, "ledger.not_kept"):
        guarded.attest("approval", said)
    assert guarded.ledger.last()[0] == size


def test_what_was_typed_beside_an_entry_that_does_not_verify_can_be_erased(guarded: Guarded) -> None:
    version = guarded.green()
    (theirs,) = only(collect(guarded.ledger.walk(), guarded.trust, kind="approval")[0], ApprovalStatement)
    stray = guarded.attest("performance", answer(guarded, version, Typed.of("my illness")))
    erased(guarded, stray.seq)
    assert b"my illness" not in database(guarded).read_bytes()
    assert account(guarded.ledger.walk(), guarded.trust).erased == 1
    claimed = guarded.attest("performance", replace(theirs.statement, context=guarded.context()))
    with raises_code(ConfigurationError, "erasure.nothing"):  # it names the text of another, which verifies
        erased(guarded, claimed.seq)
    assert beside(guarded.ledger.get(5), guarded.ledger.walk(), guarded.trust)[0].state == "kept"


@pytest.mark.parametrize("digest", [["a"], {"a": 1}, 7, None, "A" * 64, "0" * 63])
def test_an_entry_whose_digest_is_none_blinds_nobody(guarded: Guarded, run: Run, digest: object) -> None:
    version = guarded.green()
    document = answer(guarded, version, Typed.of("x")).as_json()
    document["predicate"]["reason"]["saltedSha256"] = digest
    size, head = guarded.ledger.last()
    document["predicate"]["ledger"] = {"size": size, "head": head}
    guarded.ledger.append(sign_statement(document, guarded.signer("performance")))
    assert account(guarded.ledger.walk(), guarded.trust).kept == 1
    assert [item.entry.seq for item in held_about("olga", guarded.ledger.walk(), guarded.trust)][:2] == [5, 6]
    code, _, problem = run("ledger", "verify", "--ledger", guarded.ledger_url, "--trust", str(guarded.trust_file))
    assert "Traceback" not in problem
    assert code in (0, 1)


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x\udce9"])
def test_a_text_that_no_database_keeps_is_refused_before_anything_is_signed(guarded: Guarded, text: str) -> None:
    version = guarded.gated()
    size = guarded.ledger.last()[0]
    with raises_code(ConfigurationError, "text.characters"):
        guarded.attest("approval", answer(guarded, version, text))
    assert guarded.ledger.last()[0] == size


# -- texts of no entry, and copies of the words elsewhere --------------------------------------------------------------


def put_in(guarded: Guarded, typed: Typed) -> None:
    """What whoever owns the database may write into the table."""
    tamper(guarded, f"INSERT INTO mlgov_ledger_texts VALUES ('{typed.sha256}', '{typed.salt}', '{typed}')")


def erased_strays(guarded: Guarded) -> list[str]:
    """The digests that notices were signed of."""
    signer, given = guarded.signer("erasure"), {"person": RITA, "ground": "mistake", "reason": "nobody knows whose"}
    made = erase_strays(guarded.ledger, guarded.trust, signer, guarded.context(), **given)
    return [entry.subject_digest for entry in made]


def test_a_text_that_no_entry_names_is_counted_and_can_be_erased(guarded: Guarded, run: Run) -> None:
    guarded.approve(guarded.gated())
    before, stray = reasons(guarded), Typed.of("olga is ill")
    put_in(guarded, stray)
    code, out, _ = run("ledger", "verify", "--ledger", guarded.ledger_url, "--trust", str(guarded.trust_file))
    assert (code, "texts that no entry names: 1" in out) == (0, True)
    assert erased_strays(guarded) == [stray.sha256]
    assert b"olga is ill" not in database(guarded).read_bytes()
    assert account(guarded.ledger.walk(), guarded.trust).stray == ()
    assert reasons(guarded) == before
    put_in(guarded, stray)  # from a backup: the notice stands
    assert erased_strays(guarded) == []
    assert account(guarded.ledger.walk(), guarded.trust).stray == ()


def test_what_an_entry_names_is_never_taken_for_a_stray(guarded: Guarded) -> None:
    """Also if that entry does not verify."""
    version = guarded.green()
    guarded.attest("performance", answer(guarded, version, Typed.of("signed by a stranger")))
    assert erased_strays(guarded) == []
    assert account(guarded.ledger.walk()).kept == 2


def test_the_reason_of_a_rejection_is_in_no_signed_message(guarded: Guarded) -> None:
    """What is said against a version goes into incidents and decisions, where nobody could erase it."""
    first = guarded.green(1.0)
    guarded.promote(first)
    second = guarded.green(2.0)
    guarded.promote(second)
    for version in (first, second):
        guarded.attest("approval", replace(answer(guarded, version, Typed.of("my own words")), approved=False))
    (incident,) = guarded.reconcile().open
    with pytest.raises(PromotionRefused) as refused:
        guarded.roll_back()
    assert incident.code == "evidence.broken"
    signed = [b64decode(json.loads(entry.envelope)["payload"]).decode() for entry in guarded.ledger.walk().entries()]
    for said in (*signed, str(incident), str(refused.value)):
        assert "my own words" not in said
    assert "rejected by olga" in str(incident)


def test_whoever_erases_is_told_what_takes_it_away_in_airflow(guarded: Guarded, run: Run) -> None:
    version, where = guarded.green(), {"dag_id": "credit", "run_id": "manual__2026-11-30T10:00:00+00:00"}
    said = replace(
        answer(guarded, version, Typed.of("x")), context=guarded.context(run={**where, "task_id": "approve"})
    )
    entry, key = guarded.attest("approval", said), f"local:{guarded.folder / 'erasure.pem'}"
    told = ("--ledger", guarded.ledger_url, "--trust", str(guarded.trust_file))
    code, out, problem = run(
        "ledger", "erase", "--entry", entry.seq, "--ground", "request", "--sign", key, *told, "--environment", "test"
    )
    assert code == 0, problem
    assert "DELETE /api/v2/dags/credit/dagRuns/manual__2026-11-30T10%3A00%3A00%2B00%3A00" in out
    assert "airflow db clean --tables log --dag-ids credit --skip-archive --clean-before-timestamp" in out
