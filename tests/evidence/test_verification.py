from datetime import UTC, datetime, timedelta

import pytest

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.ledger import Ledger
from airflow_mlgov.evidence.signing import TrustRoot, sign_statement
from airflow_mlgov.evidence.verification import collect, is_fresh, verify_entry
from airflow_mlgov.results import Outcome
from tests.codes import raises_code
from tests.worlds.statements import make_statement


def test_evidence_says_what_was_signed(ledger: Ledger, signer, statement: dict) -> None:
    trust = TrustRoot().with_key(signer.public_key, ["fairness"])
    ledger.append(sign_statement(statement, signer))
    (evidence,), bad = collect(ledger.walk(), trust, ["a" * 64])
    assert not bad
    assert (evidence.kind, evidence.gate, evidence.digest, evidence.seq) == ("gate", "fairness", "a" * 64, 1)
    assert evidence.reference == ledger.get(1).reference
    assert is_fresh(evidence)
    assert not is_fresh(evidence, datetime.now(UTC) + timedelta(days=365))
    assert not is_fresh(evidence, datetime.now(UTC) - timedelta(days=1))


def test_a_key_may_sign_only_its_own_gate(ledger: Ledger, signer, statement: dict) -> None:
    trust = TrustRoot().with_key(signer.public_key, ["performance"])
    entry = ledger.append(sign_statement(statement, signer))
    with raises_code(EvidenceError, "evidence.duty"):
        verify_entry(entry, trust)
    good, (bad,) = collect(ledger.walk(), trust, ["a" * 64])
    assert not good
    assert bad.seq == 1


def test_a_key_signs_only_within_its_dates(ledger: Ledger, signer) -> None:
    ended = datetime.now(UTC) - timedelta(days=1)
    trust = TrustRoot().with_key(signer.public_key, ["fairness"], valid_until=ended)
    late = ledger.append(sign_statement(make_statement(), signer))
    early = ledger.append(sign_statement(make_statement(issued_at=ended - timedelta(days=1)), signer))
    with raises_code(EvidenceError, "evidence.key_dates"):
        verify_entry(late, trust)
    assert verify_entry(early, trust).seq == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda s: s["predicate"]["mlgov"].pop("issuedAt"),
        lambda s: s["predicate"]["mlgov"].update(issuedAt="yesterday"),
        lambda s: s["predicate"]["mlgov"].update(issuedAt="2026-01-01T00:00:00"),
        lambda s: s["predicate"]["mlgov"]["subject"].update(digest="b" * 64),
        lambda s: s.update(predicate=[]),
    ],
)
def test_a_statement_of_another_form_is_refused(ledger: Ledger, signer, spoil) -> None:
    trust = TrustRoot().with_key(signer.public_key, ["fairness"])
    statement = make_statement(outcome=Outcome.PASS).as_json()
    spoil(statement)
    entry = ledger.append(sign_statement(statement, signer))
    with pytest.raises(EvidenceError):
        verify_entry(entry, trust)
