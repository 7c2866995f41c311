"""A control that a report shows in a better state than the evidence is in: by what was judged in part, by another
gate's word, by a what-if, by a pass that hides a failure. Read from a ledger alone."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from airflow_mlgov.board.judging import Bench
from airflow_mlgov.evidence.ledger import open_ledger
from airflow_mlgov.evidence.signing import TrustRoot, duties
from airflow_mlgov.evidence.statements import (
    ApprovalStatement,
    Audited,
    AuditStatement,
    Context,
    GateStatement,
    OwedAudit,
    Person,
    PromotionStatement,
    ProvenanceStatement,
    Signed,
)
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.release.monitoring import MONITORED
from airflow_mlgov.reports.facts import told
from airflow_mlgov.reports.matter import Matter, find
from airflow_mlgov.reports.oscal import _prop
from airflow_mlgov.reports.speaking import Finding, Speaker, State
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Subject
from tests.worlds.guarded import HEAD, SECTION

MODEL = Subject("model", "credit_risk", "a" * 64, "3", "http://mlflow")
TRAIN, EXTRA = (Subject("dataset", name, sign * 64) for name, sign in (("train.csv", "d"), ("extra.csv", "e")))
NOW = datetime.now(UTC).replace(microsecond=0)
RULES = "rule:mlgov.pii/pii.by_name"


class Told:
    """A ledger about one version, and what a report says of it."""

    def __init__(self, folder: Path) -> None:
        self.key = CryptoSigner.generate_ed25519()
        self.trust = TrustRoot().with_key(self.key.public_key, list(duties()))
        self.ledger = open_ledger(f"sqlite:///{folder / 'ledger.db'}")
        self.policy_file = folder / "mlgov.yaml"
        self.policy_file.write_text(
            HEAD + SECTION.format(model=MODEL.name, tier="medium", requires="data_validation", count=1)
        )
        self.context = Context("prod", issued_at=NOW)
        self.say(ProvenanceStatement(MODEL, self.context, (TRAIN, EXTRA), ("tom",), {"run_id": "r"}))

    def say(self, statement: Signed) -> None:
        self.ledger.attest(statement, self.key)

    def judge(
        self, gate: str, subject: Subject, outcome: Outcome, values: dict[str, Any] | None = None, **how: Any
    ) -> None:
        check = Check("c", outcome, 1.0, Bound(min=0.5), values=values or {})
        self.say(GateStatement.of(GateResult(gate, subject, (check,), **how), self.context))

    def matter(self, *, governed: bool = False, now: datetime = NOW) -> Matter:
        policy = load_policy(self.policy_file) if governed else None
        return find(Bench(self.ledger.walk(), self.trust, policy, now + timedelta(minutes=1)), MODEL.name)

    def finding(self, token: str, **how: Any) -> Finding:
        (found,) = Speaker(self.matter(**how)).findings((token,))
        return found

    def state(self, token: str, **how: Any) -> State:
        return self.finding(token, **how).state


@pytest.fixture
def said(tmp_path: Path) -> Told:
    return Told(tmp_path)


@pytest.mark.parametrize("governed", [False, True])
def test_a_data_set_that_passes_hides_none_that_fails_or_was_not_judged(said: Told, governed: bool) -> None:
    said.judge("data_validation", TRAIN, Outcome.PASS)
    found = said.finding("gate:data_validation", governed=governed)
    assert (found.state, "has not judged extra.csv" in found.text) == (State.PART, True)
    said.judge("data_validation", EXTRA, Outcome.FAIL)
    said.judge("data_validation", TRAIN, Outcome.PASS)
    assert said.state("gate:data_validation", governed=governed) is State.AGAINST
    said.judge("data_validation", EXTRA, Outcome.PASS)
    assert said.state("gate:data_validation", governed=governed) is State.FRESH


def test_rules_are_asked_by_the_policy_gate_alone_and_not_out_of_curiosity(said: Told) -> None:
    asked = {"pack": "mlgov.pii", "code": "pii.by_name"}
    said.judge("performance", MODEL, Outcome.PASS, asked)
    assert said.state(RULES) is State.MISSING
    said.judge("policy", MODEL, Outcome.FAIL, asked)
    said.judge("policy", MODEL, Outcome.PASS, asked, purpose="what_if")
    assert said.state(RULES) is State.AGAINST
    said.judge("policy", MODEL, Outcome.PASS, asked)
    assert said.state(RULES) is State.FRESH
    said.judge("policy", MODEL, Outcome.FAIL, asked, purpose="what_if")
    assert said.state(RULES) is State.AGAINST


def test_a_gate_that_failed_is_no_evidence_of_a_gate(said: Told) -> None:
    said.judge("performance", MODEL, Outcome.FAIL)
    assert said.state("statement:gate") is State.AGAINST


def looked(gate: str, verdict: Outcome, **how: Any) -> Callable[[Context], AuditStatement]:
    results = (Audited(gate, verdict, (Check("c", verdict, 0.5, Bound(min=0.6)),)),)
    given = {"obligation": MONITORED, "verdict": verdict, **how}
    return lambda context: AuditStatement(MODEL, context, "production", results=results, **given)


def promoted(said: Told) -> None:
    mark = said.ledger.keep_index(said.ledger.walk()).mark
    said.say(
        PromotionStatement(
            MODEL, said.context, target="production", action="promote", decision="f" * 64, intent="f" * 64,
            replaces=None, moved={"alias": None}, reason="", obligations=tuple[OwedAudit, ...](), checkpoint=mark,
        )
    )  # fmt: skip


def test_a_gate_that_passes_on_live_data_hides_none_that_fails_there(said: Told) -> None:
    promoted(said)
    said.say(looked("fairness", Outcome.FAIL)(said.context))
    said.say(looked("performance", Outcome.PASS)(said.context))
    found = said.finding("statement:audit")
    assert (found.state, "FAIL of the gate fairness" in found.text) == (State.AGAINST, True)
    said.say(looked("fairness", Outcome.PASS)(said.context))
    assert said.state("statement:audit") is State.FRESH


def test_an_answer_that_has_run_out_is_fresh_until_no_day_of_the_past(said: Told) -> None:
    answer = ApprovalStatement(
        MODEL, said.context, "production", Person("olga", "olga"), True, "looked", ("f" * 64,), NOW
    )
    said.say(answer)
    promoted(said)
    assert said.finding("statement:approval").until is not None
    later = said.finding("statement:approval", now=NOW + timedelta(days=200))
    assert later.until is None or later.until > NOW + timedelta(days=200)


def test_a_table_that_is_cut_says_so(said: Told) -> None:
    checks = tuple(Check(f"c{number}", Outcome.PASS, 1.0, Bound(min=0.5)) for number in range(250))
    said.say(GateStatement.of(GateResult("performance", MODEL, checks), said.context))
    table = told("gates", said.matter())
    assert (len(table.rows), table.title) == (200, "What the gates measured (the first 200 of 250)")


@pytest.mark.parametrize("name", ["credit risk ", " credit", "\ncredit\t", "", " "])
def test_a_property_of_oscal_has_no_blank_at_its_ends(name: str) -> None:
    """Its schema: `^\\S(.*\\S)?$`."""
    value = _prop("model", name)["value"]
    assert value
    assert value == value.strip()


def test_the_newest_of_before_does_not_stand_for_other_bytes(said: Told) -> None:
    """The same number with other bytes, for instance of a registry that was made anew."""
    said.judge("performance", MODEL, Outcome.PASS)
    other = replace(MODEL, digest="b" * 64)
    said.say(ProvenanceStatement(other, said.context, (TRAIN,), ("tom",), {"run_id": "s"}))
    assert said.state("gate:performance") is State.MISSING
