"""Approvals signed in a shell, with keys of people: whoever would make one count that should not."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.statements import Person
from airflow_mlgov.evidence.verification import verify_entry
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.release.approvals import shown_digest
from airflow_mlgov.release.case import build_case
from tests.codes import raises_code
from tests.fixtures.shell import Run
from tests.worlds.governed import PASSED
from tests.worlds.guarded import Guarded

Answer = Callable[..., tuple[int, str, str]]

PEOPLE = ("olga", "omar", "mallory", "tom")
"""Officers, somebody nobody named, and who has trained."""


@pytest.fixture
def guarded(guarded: Guarded) -> Guarded:
    """Each person has a key, and olga a second one."""
    for name in (*PEOPLE, "olga-2"):
        add_key(guarded, name)
    return guarded


def add_key(guarded: Guarded, name: str, duty: str = "approval", file: str = "") -> None:
    person = name.partition("-")[0]
    key = guarded.signer(file or f"of-{name}").public_key
    guarded.trust.with_key(key, [duty], person=Person(person, person)).save(guarded.trust_file)


@pytest.fixture
def answer(guarded: Guarded, run: Run, monkeypatch: pytest.MonkeyPatch) -> Answer:
    """``answer(version, "olga", …)``: what a person says from a shell to what stands now."""
    for name, value in (("USERNAME", guarded.server.username), ("PASSWORD", guarded.server.password)):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", guarded.server.url)

    def go(version: ModelVersion, file: str, *words: object, evidence: str = "") -> tuple[int, str, str]:
        case = build_case(guarded.desk("approval"), version, "production")
        return run(
            *("approve", version.uri, "--target", "production", "--reason", "read it", "--environment", "test"),
            *("--ledger", guarded.ledger_url, "--trust", guarded.trust_file, "--policy", guarded.policy_file),
            *("--sign", f"local:{guarded.folder / f'of-{file}.pem'}", "--evidence", evidence or shown_digest(case)),
            *words,
        )

    return go


def answers(guarded: Guarded) -> list[Any]:
    return guarded.ledger.entries(kind="approval")


def test_an_answer_from_a_shell_counts_as_the_forms(guarded: Guarded, answer: Answer) -> None:
    version = guarded.gated()
    assert guarded.refused(version) == {"approval.missing"}
    code, out, err = answer(version, "olga", "--json")
    assert (code, json.loads(out)["reasons"]) == (0, []), err
    said = verify_entry(answers(guarded)[-1], guarded.trust).statement
    guarded.approve(version)
    form = verify_entry(answers(guarded)[-1], guarded.trust).statement
    ours, theirs = (item.as_input() for item in (said, form))
    same = {"kind", "digest", "name", "registry", "environment", "target", "approver", "account", "answer", "shown"}
    assert {key: ours[key] for key in same} == {key: theirs[key] for key in same}
    guarded.promote(version)
    assert guarded.places()[version.version] == PASSED


def test_a_rejection_from_a_shell_denies_until_that_person_says_otherwise(guarded: Guarded, answer: Answer) -> None:
    version = guarded.green()
    assert answer(version, "omar", "--reject")[0] == 0
    assert guarded.refused(version) == {"approval.rejected"}
    guarded.approve(version, by="olga")
    assert guarded.refused(version) == {"approval.rejected"}
    code, _, err = answer(version, "omar")
    assert code == 0, err
    guarded.promote(version)


def test_four_eyes_are_of_two_people_and_not_of_two_keys(guarded: Guarded, answer: Answer) -> None:
    guarded.change_policy("count: 1", "count: 2")
    version = guarded.gated()
    assert [answer(version, name)[0] for name in ("olga", "olga-2")] == [0, 0]
    guarded.approve(version, by="olga")
    assert guarded.refused(version) == {"approval.missing"}
    assert answer(version, "omar")[0] == 0
    guarded.promote(version)


def test_the_key_of_another_person_signs_no_answer_of_yours(guarded: Guarded) -> None:
    """Refused before it is signed; and where it was signed past the refusal, it does not verify."""
    version = guarded.gated()
    mallory = guarded.signer("of-mallory")
    with raises_code(ConfigurationError, "signer.untrusted", match="mallory's own"):
        guarded.trust.require_signer(mallory, "approval", guarded.context().issued_at, Person("olga", "olga"))
    (guarded.folder / "approval.pem").write_bytes((guarded.folder / "of-mallory.pem").read_bytes())
    entry = guarded.approve(version, by="olga")
    with raises_code(EvidenceError, "evidence.person", match="the word of olga, signed by the key of mallory"):
        verify_entry(entry, guarded.trust)
    assert guarded.refused(version) == {"approval.missing", "evidence.unverified"}


def test_a_name_that_looks_like_yours_or_another_id_is_not_you(guarded: Guarded) -> None:
    version = guarded.gated()
    (guarded.folder / "approval.pem").write_bytes((guarded.folder / "of-olga.pem").read_bytes())
    for name in ("Olga", "olga ", "оlga"):
        entry = guarded.approve(version, by=name)
        with raises_code(EvidenceError, "evidence.person"):
            verify_entry(entry, guarded.trust)
    assert guarded.refused(version) == {"approval.missing", "evidence.unverified"}


@pytest.mark.parametrize(
    "file",
    ["approval", "fairness", "promotion", "of-omar-waivers", "of-a-stranger"],
)
def test_a_key_that_is_no_persons_or_of_another_duty_approves_nothing_from_a_shell(
    guarded: Guarded, answer: Answer, file: str
) -> None:
    add_key(guarded, "omar", "waiver", "of-omar-waivers")
    (guarded.folder / f"of-{file}.pem").unlink(missing_ok=True)
    guarded.signer(file)
    (guarded.folder / f"of-{file}.pem").write_bytes((guarded.folder / f"{file}.pem").read_bytes())
    version = guarded.gated()
    code, _, err = answer(version, file)
    assert (code, "[approval.key]" in err) == (2, True), err
    assert answers(guarded) == []


@pytest.mark.parametrize("name", ["mallory", "tom"])
def test_whom_the_policy_does_not_name_or_who_has_trained_approves_nothing(
    guarded: Guarded, answer: Answer, name: str
) -> None:
    guarded.change_policy("[olga, omar]", "[olga, omar, tom]")
    version = guarded.gated()
    code, _, err = answer(version, name)
    assert (code, "[approval.not_this_person]" in err) == (2, True), err
    assert answers(guarded) == []


def test_who_asks_does_not_approve_nor_in_the_promotion_of_another(guarded: Guarded, answer: Answer) -> None:
    version = guarded.gated()
    code, _, err = answer(version, "olga", "--requester", "Olga")
    assert (code, "asks for it" in err) == (2, True), err
    assert answer(version, "olga")[0] == 0
    assert guarded.refused(version, requesters=["olga"]) == {"approval.missing", "approval.not_allowed"}
    guarded.promote(version, requesters=["rita"])


def test_an_approval_is_used_for_no_other_bytes_target_or_later_evidence(guarded: Guarded, answer: Answer) -> None:
    version, other = guarded.gated(), guarded.gated(2.0)
    assert answer(version, "olga")[0] == 0
    assert guarded.refused(other) == {"approval.missing"}
    guarded.weigh(version, ratio=0.95)
    assert guarded.refused(version) == {"approval.missing"}
    old = answers(guarded)[-1].envelope
    guarded.ledger.append(old)
    assert guarded.refused(version) == {"approval.missing"}


def test_an_answer_to_other_evidence_than_stands_now_is_not_signed(guarded: Guarded, answer: Answer) -> None:
    version = guarded.gated()
    read = shown_digest(build_case(guarded.desk("approval"), version, "production"))
    guarded.weigh(version, ratio=0.85)
    for said in (read, read[:11], "0" * 64):
        code, _, err = answer(version, "olga", evidence=said)
        assert (code, "[approval.evidence]" in err) == (2, True), err
    assert answers(guarded) == []


def test_an_old_answer_that_is_put_in_again_after_a_rejection_is_not_the_newest(
    guarded: Guarded, answer: Answer
) -> None:
    version = guarded.gated()
    assert answer(version, "olga")[0] == 0
    approved = answers(guarded)[-1].envelope
    assert answer(version, "olga", "--reject")[0] == 0
    guarded.ledger.append(approved)
    assert guarded.refused(version) >= {"approval.rejected"}


def test_a_key_that_has_ended_approves_nothing(guarded: Guarded, answer: Answer) -> None:
    version = guarded.gated()
    keyid = guarded.signer("of-olga").public_key.keyid
    guarded.trust.ended(keyid, guarded.context().issued_at).save(guarded.trust_file)
    code, _, err = answer(version, "olga")
    assert (code, "[approval.key]" in err) == (2, True), err


BENT: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no id": (lambda entry: entry.update(person={"name": "olga"}), "trust.person"),
    "a name alone": (lambda entry: entry.update(person="olga"), "trust.person"),
    "no name": (lambda entry: entry.update(person={"id": "1", "name": " "}), "trust.person"),
    "more": (lambda entry: entry.update(person={"id": "1", "name": "o", "role": "admin"}), "trust.person"),
    "a gate's duty": (lambda entry: entry.update(duties=["approval", "fairness"]), "trust.person"),
    "the promotion's": (lambda entry: entry.update(duties=["promotion"]), "trust.person"),
}


@pytest.mark.parametrize("name", sorted(BENT))
def test_a_trust_root_whose_people_were_bent(guarded: Guarded, name: str) -> None:
    document = json.loads(guarded.trust_file.read_text())
    bend, code = BENT[name]
    bend(next(entry for entry in document["keys"] if entry.get("person")))
    guarded.trust_file.write_text(json.dumps(document))
    with raises_code(ConfigurationError, code):
        TrustRoot.load(guarded.trust_file)


def test_an_older_mlgov_refuses_a_trust_root_whose_people_it_would_not_see(guarded: Guarded) -> None:
    document = json.loads(guarded.trust_file.read_text())
    assert document["version"] == 2
    guarded.trust_file.write_text(json.dumps({**document, "version": 1}))
    with raises_code(ConfigurationError, "trust.version", match="keys of people"):
        TrustRoot.load(guarded.trust_file)


def test_a_new_key_of_one_person_ends_that_persons_alone(guarded: Guarded, run: Run) -> None:
    words = ["trust", "add", "--trust", guarded.trust_file, "--duty", "approval", "--person", "omar"]
    assert run(*words, "--sign", f"local:{guarded.folder / 'of-omar-new.pem'}", "--make-key")[0] == 0
    new = guarded.signer("of-omar-new").public_key.keyid
    before = [item for item in guarded.trust.keys if "approval" in item.duties and item.key.keyid != new]
    assert [item.person and item.person.name for item in before if item.valid_until] == ["omar"]
    moved = [
        "trust",
        "move",
        "--trust",
        guarded.trust_file,
        "--sign",
        f"local:{guarded.folder}/new-{{duty}}.pem",
        "--make-key",
    ]
    assert run(*moved)[0] == 0
    owned = [item for item in guarded.trust.keys if item.person and item.person.name == "olga"]
    assert [item.valid_until for item in owned] == [None, None]
    code, _, err = run(
        *words[:-1], "rita", "--duty", "promotion", "--sign", f"local:{guarded.folder / 'rita.pem'}", "--make-key"
    )
    assert (code, "[trust.person]" in err) == (2, True)
    code, _, err = run(*words[:-2], "--person-id", "7", "--sign", f"local:{guarded.folder / 'rita.pem'}", "--make-key")
    assert (code, "--person-id" in err) == (2, True)


def test_a_persons_key_is_no_key_of_the_duty(guarded: Guarded) -> None:
    """Airflow's form signs for whoever answers: with olga's key it would put her name to nobody else's word."""
    theirs = TrustRoot().with_key(guarded.signer("of-olga").public_key, ["approval"], person=Person("olga", "olga"))
    assert theirs.key_for("approval") is None
    with raises_code(ConfigurationError, "signer.untrusted"):
        theirs.require_signer(guarded.signer("of-olga"), "approval", guarded.context().issued_at)
