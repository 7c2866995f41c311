"""Signed evidence used for what it was not signed for: another version, environment or registry, another time, another
ledger, once more."""

import json
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.chain import read_envelope
from airflow_mlgov.evidence.statements import ApprovalStatement, GateStatement, Person, ProvenanceStatement
from airflow_mlgov.results import Bound, Check, GateResult, Outcome
from tests.worlds.guarded import TRAINING_DATA, Guarded

OLD = datetime.now(UTC) - timedelta(days=8)
"""The policy's limit is seven days."""


def test_evidence_of_another_version(guarded: Guarded) -> None:
    guarded.green(1.0)
    other = guarded.server.register(guarded.model, 2.0)
    assert guarded.refused(other) == {"evidence.missing", "provenance.missing", "approval.missing"}
    assert guarded.unfit(other) == {"promotion.missing"}


def test_evidence_of_another_environment(guarded: Guarded) -> None:
    guarded.environment = "staging"
    version = guarded.green()
    guarded.environment = "test"
    assert guarded.refused(version) == {"evidence.missing", "provenance.missing", "approval.missing"}
    guarded.environment = "staging"
    guarded.promote(version)
    assert guarded.unfit(version, environment="production") == {"environment.differs"}


def test_evidence_of_another_registry(guarded: Guarded) -> None:
    version = guarded.server.register(guarded.model)
    elsewhere = replace(guarded.registry.subject(version), registry="http://elsewhere.example")
    guarded.attest("registration", ProvenanceStatement(elsewhere, guarded.context(), (TRAINING_DATA,), ("tom",)))
    guarded.validate()
    for gate, name, bound in (
        ("performance", "roc_auc", Bound(min=0.75)),
        ("fairness", "demographic_parity_ratio[sex]", Bound(0.8, 1.25)),
    ):
        result = GateResult(gate, elsewhere, (Check(name, Outcome.PASS, 0.9, bound),))
        guarded.attest(gate, GateStatement.of(result, guarded.context()))
    assert guarded.refused(version) == {"evidence.missing", "provenance.missing", "approval.missing"}


def test_evidence_that_is_too_old_or_expired(guarded: Guarded) -> None:
    version = guarded.gated()
    guarded.judge(version, issued_at=OLD)
    guarded.approve(version)
    assert guarded.refused(version) == {"evidence.stale"}
    guarded.judge(version)
    guarded.weigh(version, lifetime=timedelta(seconds=-1))
    guarded.approve(version)
    assert guarded.refused(version) == {"evidence.stale"}


def test_who_made_it_from_what_is_not_forgotten_when_its_provenance_runs_out(guarded: Guarded) -> None:
    """The same bytes registered again, by another trainer from other data, when the first registration has expired."""
    version, bad = guarded.server.register(guarded.model), replace(TRAINING_DATA, name="bad.csv", digest="b" * 64)
    old = datetime.now(UTC) - timedelta(days=91)
    for issued_at, trainer, data in ((old, "olga", bad), (datetime.now(UTC), "mary", TRAINING_DATA)):
        context = guarded.context(issued_at=issued_at)
        made = ProvenanceStatement(guarded.subject(version), context, (data,), (trainer,), {"run_id": "r"})
        guarded.attest("registration", made)
    guarded.validate(bad, Outcome.FAIL)
    guarded.validate()
    guarded.judge(version)
    guarded.weigh(version)
    guarded.approve(version, "olga")
    assert guarded.refused(version) == {"gate.not_passed", "approval.missing", "approval.not_allowed"}


def test_evidence_from_the_future(guarded: Guarded) -> None:
    version = guarded.gated()
    guarded.judge(version, issued_at=datetime.now(UTC) + timedelta(days=300))
    guarded.approve(version)
    assert guarded.refused(version) == {"evidence.stale"}


def test_an_old_pass_put_in_again_behind_the_newer_fail(guarded: Guarded) -> None:
    version = guarded.gated()
    passed = guarded.ledger.entries(kind="gate", model=guarded.model)[-1]
    guarded.weigh(version, ratio=0.5)
    again = guarded.ledger.append(passed.envelope)
    assert again.seq == passed.seq + 2
    guarded.approve(version)
    assert guarded.refused(version) == {"gate.not_passed", "bound.not_met"}


def test_an_old_approval_put_in_again_behind_newer_evidence(guarded: Guarded) -> None:
    version = guarded.gated()
    approved = guarded.approve(version)
    guarded.weigh(version, ratio=0.95)
    guarded.ledger.append(approved.envelope)
    assert guarded.refused(version) == {"approval.missing"}


def test_an_approval_put_in_again_behind_the_rejection(guarded: Guarded) -> None:
    version = guarded.gated()
    approved = guarded.approve(version)
    guarded.approve(version, approved=False)
    guarded.ledger.append(approved.envelope)
    assert guarded.refused(version) == {"approval.rejected", "approval.missing"}


def test_an_approval_of_another_target(guarded: Guarded) -> None:
    version = guarded.gated()
    shown = [entry.envelope_sha256 for entry in guarded.ledger.entries(kind="gate")]
    statement = ApprovalStatement(
        guarded.registry.subject(version),
        guarded.context(),
        target="canary",
        approver=Person("olga", "olga"),
        approved=True,
        reason="for the canary only",
        shown=tuple(shown),
        answered_at=datetime.now(UTC),
    )
    guarded.attest("approval", statement)
    assert guarded.refused(version) == {"approval.missing"}


@pytest.mark.parametrize("what", ["evidence of another ledger", "a subject whose name is a number"])
def test_what_does_not_belong_into_the_ledger(guarded: Guarded, what: str) -> None:
    """Whoever can judge in a playground of the same name cannot carry the verdict over; nor can anybody put in, through
    the ledger's own door, what would break the chain for good."""
    version = guarded.gated()
    if what == "evidence of another ledger":
        mine, guarded.ledger_url = guarded.ledger_url, f"sqlite:///{guarded.folder / 'playground.db'}"
        guarded.validate()
        envelope = guarded.weigh(version).envelope
        guarded.ledger_url = mine
    else:
        document = json.loads(guarded.ledger.get(1).envelope)
        statement = read_envelope(guarded.ledger.get(1).envelope)[1]
        statement["subject"][0]["name"] = 5
        envelope = json.dumps({**document, "payload": b64encode(json.dumps(statement).encode()).decode()})
    guarded.weigh(version, ratio=0.5)
    before = guarded.ledger.verify()
    with pytest.raises(EvidenceError):
        guarded.ledger.append(envelope)
    assert guarded.ledger.verify() == before
    guarded.approve(version)
    assert guarded.refused(version) == {"gate.not_passed", "bound.not_met"}
