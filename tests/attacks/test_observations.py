"""Notices of states set by hand, in the place of what decides; and verdicts in the place of a notice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.pack import open_pack, write_pack
from airflow_mlgov.evidence.signing import TrustRoot, duties, sign_statement
from airflow_mlgov.evidence.statements import ObservationStatement, Person, run_digest
from airflow_mlgov.evidence.verification import verify_envelope
from airflow_mlgov.release.case import build_case
from airflow_mlgov.release.explanation import explain_bytes
from airflow_mlgov.release.observations import observed_of
from airflow_mlgov.release.timeline import evidence_for
from tests.codes import raises_code
from tests.worlds.guarded import Guarded

RUN = {"dag_id": "retrain", "run_id": "manual__1", "task_id": "fairness", "try_number": 1, "map_index": -1}


def noticed(guarded: Guarded, **run: Any) -> ObservationStatement:
    """That alice has marked a gate as success."""
    context, people = guarded.context(run={**RUN, **run}), (Person("alice", "alice"),)
    return ObservationStatement.of(context, "task.marked", "success", "FairnessGateOperator", people, datetime.now(UTC))


@pytest.mark.parametrize("missing", ["fairness", "approval"])
def test_a_notice_in_the_place_of_a_verdict_or_an_approval(guarded: Guarded, missing: str) -> None:
    version = guarded.register()
    guarded.validate()
    guarded.judge(version, run={**RUN, "task_id": "performance"})
    if missing == "approval":
        guarded.weigh(version, run=RUN)
    refused = guarded.refused(version)
    before = build_case(guarded.desk("promotion"), version, "production").decision.input
    guarded.attest("observation", noticed(guarded))
    after = build_case(guarded.desk("promotion"), version, "production").decision.input
    assert guarded.refused(version) == refused >= {"approval.missing"}
    assert ("evidence.missing" in refused) is (missing == "fairness")
    assert {**after, "now": "", "now_ns": 0} == {**before, "now": "", "now_ns": 0}


def test_the_key_of_the_listener_signs_nothing_else_and_no_other_key_a_notice(guarded: Guarded) -> None:
    version = guarded.green()
    entry = guarded.attest("observation", noticed(guarded))
    stranger = guarded.signer("observation")
    for other in guarded.ledger.entries():
        if other.kind != "observation":
            document = guarded.trust.open_envelope(other.envelope)[0]
            with raises_code(EvidenceError, "evidence.duty"):
                verify_envelope(sign_statement(document, stranger), guarded.trust)
    document = guarded.trust.open_envelope(entry.envelope)[0]
    for duty in set(duties()) - {"observation"}:
        with raises_code(EvidenceError, "evidence.duty"):
            verify_envelope(sign_statement(document, guarded.signer(duty)), guarded.trust)
        guarded.attest(duty, noticed(guarded))
    dossier = evidence_for(guarded.ledger.walk(), guarded.trust, guarded.subject(version), guarded.environment)
    assert observed_of(guarded.ledger.walk(), guarded.trust, dossier.good) == []  # none of these came of that run
    guarded.promote(version)


@pytest.mark.parametrize("about", ["the model", "another run"])
def test_a_notice_about_what_it_does_not_come_from(guarded: Guarded, about: str) -> None:
    """Under the digest of a model it would stand among what was found of that model."""
    version, said = guarded.gated(), noticed(guarded)
    other = replace(said.subject, digest=run_digest({"dag_id": "another", "run_id": "1"}))
    moved = replace(said, subject=guarded.subject(version) if about == "the model" else other)
    with raises_code(EvidenceError, "evidence.form"):
        verify_envelope(sign_statement(moved.as_json(), guarded.signer("observation")), guarded.trust)


def test_whoever_reads_finds_it_and_it_is_only_told(guarded: Guarded) -> None:
    version = guarded.register()
    guarded.validate()
    guarded.judge(version, run={**RUN, "task_id": "performance"})
    guarded.weigh(version, run=RUN)
    guarded.approve(version)
    guarded.promote(version)
    for run in ({}, {"run_id": "another"}, {"map_index": 3}, {"task_id": "promote"}):
        guarded.attest("observation", noticed(guarded, **run))
    elsewhere = replace(noticed(guarded), context=replace(noticed(guarded).context, environment="elsewhere"))
    guarded.attest("observation", elsewhere)
    said = guarded.explain(version)
    assert said.allowed
    told = [fact.partition(" (")[0] for fact in said.facts if "by hand" in fact]
    assert told == ["retrain.fairness", "retrain.fairness[3]", "retrain.promote"]
    assert "was set to success by hand, by alice at" in said.facts[-1]

    pack = guarded.folder / "evidence.zip"
    write_pack(guarded.ledger, guarded.subject(version), pack)
    opened = open_pack(pack, TrustRoot.load(guarded.trust_file))
    assert [fact for fact in explain_bytes(opened.subject(None), opened, guarded.trust).facts if "by hand" in fact] == [
        fact for fact in said.facts if "by hand" in fact
    ]
    withheld = [entry for entry in opened.walk()._entries if entry.kind == "observation" and not entry.envelope]
    assert len(withheld) == 1
