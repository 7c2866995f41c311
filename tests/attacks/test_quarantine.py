"""What does not verify, set aside by a person; and that nothing which verifies can be taken away like that. Moving from
the key file of a first try to keys in OpenBao takes no old evidence down."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_mlgov.cli.app import app
from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.pack import open_pack, write_pack
from airflow_mlgov.evidence.signing import TrustRoot, duties, sign_statement
from airflow_mlgov.evidence.statements import Person, QuarantineStatement
from airflow_mlgov.evidence.verification import quarantine, verify_envelope
from airflow_mlgov.release.explanation import explain_bytes
from tests.codes import raises_code
from tests.fixtures.openbao import OpenBaoServer
from tests.worlds.governed import PASSED
from tests.worlds.guarded import Guarded

OLGA = Person("olga", "olga")


def aside(guarded: Guarded, seq: int, duty: str = "reconcile", reason: str = "a stray test") -> None:
    """Sign the statement past every check of the tools."""
    entry = guarded.ledger.get(seq)
    statement = QuarantineStatement.of(seq, entry.envelope_sha256, "whatever", OLGA, reason, guarded.context())
    guarded.attest(duty, statement)


def test_an_entry_that_never_verified_is_set_aside_by_a_person(guarded: Guarded, tmp_path: Path) -> None:
    version = guarded.green()
    guarded.promote(version)
    stray = guarded.weigh(version, ratio=0.9, duty="a-stranger")
    answer = guarded.explain(guarded.now(version))
    assert [code for code, _ in answer.reasons] == ["evidence.unverified"]
    assert f"mlgov ledger quarantine {stray.seq}" in answer.reasons[0][1]
    key = f"local:{guarded.folder / 'reconcile.pem'}"
    given = ["--ledger", guarded.ledger_url, "--trust", str(guarded.trust_file), "--sign", key]
    app(
        ["ledger", "quarantine", str(stray.seq), *given, "--person", "olga", "--reason", "a stray test"],
        standalone_mode=False,
    )
    assert guarded.explain(guarded.now(version)).allowed
    guarded.promote(version)
    pack = tmp_path / "pack.zip"
    write_pack(guarded.ledger, guarded.subject(version), pack)
    opened = open_pack(pack, guarded.trust)
    assert explain_bytes(opened.subject(None), opened, guarded.trust).allowed


def test_nothing_that_verifies_is_taken_away(guarded: Guarded) -> None:
    version = guarded.gated()
    fail = guarded.weigh(version, ratio=0.5)
    rejected = guarded.approve(version, "omar", approved=False)
    for entry in (fail, rejected):
        with raises_code(ConfigurationError, "quarantine.verifies"):
            quarantine(
                guarded.ledger, entry.seq, guarded.trust, guarded.signer("reconcile"), guarded.context(), OLGA, "away"
            )
        aside(guarded, entry.seq)
    assert guarded.refused(version) >= {"gate.not_passed", "approval.rejected"}


def test_what_comes_to_verify_again_counts_again(guarded: Guarded) -> None:
    """Whoever takes a key out of the trust root, and sets aside what it has signed, has won until the key is back."""
    version = guarded.gated()
    guarded.weigh(version, ratio=0.5)
    whole = guarded.trust_file.read_text()
    fails = [entry.seq for entry in guarded.ledger.entries(kind="gate")][-1:]
    root = TrustRoot(tuple(key for key in guarded.trust.keys if "fairness" not in key.duties))
    root.save(guarded.trust_file)
    for seq in fails:
        aside(guarded, seq)
    guarded.trust_file.write_text(whole)
    guarded.approve(version)
    assert guarded.refused(version) == {"gate.not_passed", "bound.not_met"}


@pytest.mark.parametrize("duty", sorted(set(duties()) - {"reconcile"}))
def test_no_other_duty_sets_anything_aside(guarded: Guarded, duty: str) -> None:
    statement = QuarantineStatement.of(1, "a" * 64, "whatever", OLGA, "away", guarded.context())
    envelope = sign_statement(statement, guarded.signer(duty))
    with raises_code(EvidenceError, "evidence.duty"):
        verify_envelope(envelope, guarded.trust)


def test_a_quarantine_names_the_very_envelope(guarded: Guarded) -> None:
    version = guarded.green()
    stray = guarded.weigh(version, duty="a-stranger")
    statement = QuarantineStatement.of(stray.seq, "a" * 64, "whatever", OLGA, "away", guarded.context())
    guarded.attest("reconcile", statement)
    assert "evidence.unverified" in guarded.refused(version)


def test_a_quarantine_needs_a_person_and_a_reason(guarded: Guarded) -> None:
    stray = guarded.weigh(guarded.gated(), duty="a-stranger")
    for person, reason in ((OLGA, " "), (Person("", " "), "away")):
        with raises_code(ConfigurationError, "quarantine.reason_missing"):
            quarantine(
                guarded.ledger, stray.seq, guarded.trust, guarded.signer("reconcile"), guarded.context(), person, reason
            )


def test_moving_from_a_key_file_to_openbao_takes_no_old_evidence_down(
    guarded: Guarded, openbao: OpenBaoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = guarded.signer("first-try")
    TrustRoot().with_key(first.public_key, duties()).save(guarded.trust_file)
    monkeypatch.setattr(Guarded, "signer", lambda *_: first)
    version = guarded.green()
    guarded.promote(version)
    monkeypatch.setenv("VAULT_ADDR", openbao.addr)
    monkeypatch.setenv("VAULT_TOKEN", openbao.root_token)
    for duty in duties():
        openbao.make_key(f"moved-{duty.replace('_', '-')}")
    app(["trust", "move", "--trust", str(guarded.trust_file), "--sign", "vault:moved-{duty}"], standalone_mode=False)
    old = next(item for item in guarded.trust.keys if item.key.keyid == first.public_key.keyid)
    assert old.valid_until is not None
    assert old.valid_until <= datetime.now(UTC) + timedelta(hours=1)
    assert guarded.explain(guarded.now(version)).allowed
    guarded.promote(version)
    assert guarded.places()[version.version] == PASSED
    from airflow_mlgov.vault import signer_of

    later = datetime.now(UTC) + timedelta(hours=2)
    monkeypatch.setattr(Guarded, "signer", lambda _, duty: signer_of(f"vault:moved-{duty.replace('_', '-')}"))
    guarded.weigh(version, ratio=0.5)
    assert guarded.unfit(version) == {"gate.failed_since"}
    monkeypatch.setattr(Guarded, "signer", lambda *_: first)
    guarded.weigh(version, issued_at=later)
    assert guarded.unfit(version) == {"gate.failed_since", "evidence.unverified"}
