"""People in the loop as tasks: waivers asked for and signed, the audit that follows, what happens where it fails."""

import re
from datetime import timedelta
from typing import Any

import pytest

from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.operators.audit import EnforceObligationsOperator, PostDeploymentAuditOperator
from airflow_mlgov.operators.waiver import RequestWaiverOperator
from airflow_mlgov.sensors.audit_due import AuditDueSensor
from tests.fixtures.airflow_runner import TaskEnd
from tests.worlds.lineage import drawn
from tests.worlds.release import Release, answer, form_of, gated, people

CHECK = "demographic_parity_ratio[sex]"
WAIVERS = "        waivers: {max_days: 30, signers: 2, from: [olga, omar, alice], audit_within: 14d}\n"


class Exceptional:
    """A release whose candidate is a little unfair."""

    def __init__(self, release: Release) -> None:
        self.release = release
        policy = release.folder / "mlgov.yaml"
        policy.write_text(policy.read_text() + WAIVERS)
        release.validate()
        release.register()
        release.performance()
        self.unfair = str(release.folder / "biased.parquet")
        end = release.fairness(self.unfair)
        assert end.state == "failed"
        self.least = 0.1

    def ask(self, event: Any = None, user: str | None = "alice", **change: Any) -> TaskEnd:
        given: dict[str, Any] = {
            "gate": "fairness",
            "check": CHECK,
            "stretch": {"min": self.least},
            "reason": "the affected product ends in December",
            "ticket": "RISK-12",
            "risk_owner": "head of retail",
        }
        operator = RequestWaiverOperator(
            task_id="waiver", model=self.release.ref("1"), target="production", **{**given, **change}
        )
        return self.release.run(operator, event=event, user=user)

    def signed(self) -> TaskEnd:
        asked = self.ask()
        assert asked.state == "awaiting_input", asked.error
        again = self.ask(answer(asked, "olga"))
        assert again.state == "awaiting_input", again.error
        return self.ask(answer(again, "omar"))

    def promoted(self) -> None:
        assert self.signed().state == "success"
        asked = self.release.ask()
        assert asked.state == "awaiting_input", asked.error
        self.body = form_of(asked).body
        assert self.release.ask(event=answer(asked)).state == "success"
        end = self.release.promote()
        assert end.state == "success", end.error
        self.waived = end.xcom["waived"]

    def audit(self, table: str, **given: Any) -> TaskEnd:
        given = {"model": self.release.model, "target": "production", "data": {"fairness": table}, **given}
        return self.release.run(PostDeploymentAuditOperator(task_id="audit", **given))

    def enforce(self, **given: Any) -> TaskEnd:
        return self.release.run(EnforceObligationsOperator(task_id="enforce", **given))

    def due(self, **given: Any) -> TaskEnd:
        sensor = AuditDueSensor(task_id="due", model=self.release.model, target="production", **given)
        return self.release.run(sensor)


@pytest.fixture
def exceptional(release: Release) -> Exceptional:
    return Exceptional(release)


def test_two_people_sign_and_the_approver_sees_it(exceptional: Exceptional) -> None:
    asked = exceptional.ask()
    body = form_of(asked).body
    for words in (CHECK, "RISK-12", "head of retail", "Asked for by: alice", "2 signature(s) needed", "fairness: FAIL"):
        assert words in body
    exceptional.promoted()
    assert "**Waived, not passed**" in exceptional.body
    assert "RISK-12" in exceptional.body
    assert [use["check"] for use in exceptional.waived] == [CHECK]
    assert exceptional.release.version.stage == "Production"
    assert exceptional.ask().xcom["signers"] == ["olga", "omar"]


def test_whoever_asks_cannot_sign_and_nobody_signs_twice(exceptional: Exceptional) -> None:
    asked = exceptional.ask()
    for who in ("alice", "mallory"):
        assert exceptional.ask(answer(asked, who)).state == "awaiting_input"
    assert exceptional.ask(answer(asked, "olga")).state == "awaiting_input"
    assert exceptional.ask(answer(asked, "olga")).state == "awaiting_input"
    assert [entry.kind for entry in exceptional.release.ledger.entries()].count("waiver") == 1
    assert "gate.not_passed" in str(exceptional.release.promote().error)


def test_a_refusal_takes_the_terms_off_the_table(exceptional: Exceptional) -> None:
    asked = exceptional.ask()
    exceptional.ask(answer(asked, "olga"))
    end = exceptional.ask(answer(asked, "omar", choice="Reject", reason="not on my watch"))
    assert end.state == "failed"
    assert "rejected by omar (ledger:" in str(end.error)
    assert "gate.not_passed" in str(exceptional.release.promote().error)


def test_a_signature_on_other_evidence_is_refused(exceptional: Exceptional) -> None:
    asked = exceptional.ask()
    exceptional.release.performance()
    end = exceptional.ask(answer(asked, "olga"))
    assert end.state == "failed"
    assert "stands now" in str(end.error)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"check": "equalized_odds_difference[sex]"}, "has no failed check"),
        ({"stretch": {"min": 0.79}}, "would not cover it"),
        ({"lifetime": timedelta(days=40)}, "30 days at most"),
        ({"ticket": ""}, "needs a ticket"),
    ],
)
def test_what_cannot_be_waived_is_not_asked(exceptional: Exceptional, change: dict[str, Any], message: str) -> None:
    end = exceptional.ask(**change)
    assert end.state == "failed"
    assert message in str(end.error)


def test_the_audit_is_due_run_and_kept(exceptional: Exceptional) -> None:
    assert exceptional.due(deferrable=True).state == "deferred"
    exceptional.promoted()
    assert exceptional.due(deferrable=True).state == "deferred"
    due = exceptional.due(within=timedelta(days=15))
    assert due.xcom[0]["check"] == CHECK
    deferred = exceptional.due(within=timedelta(days=15), deferrable=True)
    assert (deferred.state, deferred.xcom[0]["state"]) == ("success", "open")
    end = exceptional.audit(exceptional.unfair)
    assert end.state == "success", end.error
    assert [item["verdict"] for item in end.xcom["audits"]] == ["PASS"]
    lineage = drawn(end)
    assert lineage.inputs == [exceptional.release.model, exceptional.unfair]
    assert lineage.evidence.evidence == [item["evidence"] for item in end.xcom["audits"]]
    assert lineage.evidence.verdict == "FAIL"  # of the gate; the audit is within what was waived
    assert exceptional.audit(exceptional.unfair).xcom["audits"] == []
    enforced = exceptional.enforce(warn_within=timedelta(days=20))
    assert enforced.xcom["violated"] == []
    assert enforced.xcom["warned"][0]["state"] == "met"


def test_an_audit_that_fails_demotes(exceptional: Exceptional) -> None:
    exceptional.promoted()
    worse = exceptional.release.write("worse.parquet", people(bias=1.0))
    end = exceptional.audit(worse)
    assert end.state == "failed"
    assert "the audit failed" in str(end.error)
    assert end.xcom["audits"][0]["verdict"] == "FAIL"
    end = exceptional.enforce()
    assert end.state == "failed"
    assert "not demoted" in str(end.error)
    assert exceptional.enforce(demote=False).xcom["violated"][0]["action"].startswith("not demoted")


def test_a_version_that_has_left_the_target_is_audited_by_its_number(exceptional: Exceptional) -> None:
    exceptional.promoted()
    release = exceptional.release
    assert release.register(2.0).state == "success"
    end = release.performance(number="2", baseline=str(release.folder / "good.parquet"))
    assert end.state == "success", end.error
    assert release.fairness(number="2").state == "success"
    asked = release.ask("2")
    assert asked.state == "awaiting_input", asked.error
    assert release.ask("2", event=answer(asked)).state == "success"
    end = release.promote("2")
    assert end.state == "success", end.error
    worse = release.write("worse.parquet", people(bias=1.0))
    assert exceptional.audit(worse).xcom["audits"] == []
    assert exceptional.audit(worse, version="2").xcom["audits"] == []
    end = exceptional.audit(worse, version="7")
    assert (end.state, release.ledger.entries(kind="audit")) == ("failed", [])
    end = exceptional.audit(worse, version="1")
    assert (end.state, [item["verdict"] for item in end.xcom["audits"]]) == ("failed", ["FAIL"])
    assert "obligation.failed" in str(release.promote("1").error)
    assert exceptional.enforce().xcom["violated"] == []


def test_nobody_is_asked_for_an_answer_that_nobody_would_believe(exceptional: Exceptional) -> None:
    file = exceptional.release.folder / "trust.json"
    whole, trust = file.read_text(), TrustRoot.load(file)
    TrustRoot(tuple(item for item in trust.keys if "waiver" not in item.duties)).save(file)
    end = exceptional.ask()
    assert end.state == "failed"
    assert "signer.untrusted" in str(end.error)
    file.write_text(whole)
    assert exceptional.ask().state == "awaiting_input"


def test_an_audit_whose_key_nobody_trusts_closes_nothing(exceptional: Exceptional) -> None:
    exceptional.promoted()
    file = exceptional.release.folder / "trust.json"
    whole, trust = file.read_text(), TrustRoot.load(file)
    TrustRoot(tuple(item for item in trust.keys if "audit" not in item.duties)).save(file)
    end = exceptional.audit(exceptional.unfair)
    assert end.state == "failed"
    assert "signer.untrusted" in str(end.error)
    assert exceptional.release.ledger.entries(kind="audit") == []
    file.write_text(whole)
    assert exceptional.audit(exceptional.unfair).state == "success"


def test_answers_before_a_clear_are_shown_and_signed_in(release: Release) -> None:
    gated(release)
    asked = release.ask()
    assert release.ask(event=answer(asked, "omar", choice="Reject", reason="too few applicants")).state == "failed"
    assert "approval.rejected" in str(release.promote().error)
    assert release.ask().state == "awaiting_input"
    body = form_of(release.ask()).body
    assert "rejected by omar" in body
    assert "too few applicants" in body
    assert re.search(r"demographic_parity_ratio\[sex\]` \| 0\.\d+ \(0\.\d+ to \S+\) \|.*\| PASS \|", body)
    assert re.search(r"four_fifths\[sex\]` .* \| PASS \(info\) \|", body)
    release.ask(event=answer(release.ask(), "olga"))
    from airflow_mlgov.evidence.chain import read_envelope

    first, second = (read_envelope(item.envelope)[1] for item in release.ledger.entries(kind="approval"))
    assert first["predicate"]["earlier"] == []
    assert second["predicate"]["earlier"] == [release.ledger.entries(kind="approval")[0].envelope_sha256]
    assert "approval.rejected" in str(release.promote().error)


def test_an_emergency_is_loud(exceptional: Exceptional, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_mlgov.duty import Duty
    from airflow_mlgov.release.waivers import break_glass

    release = exceptional.release
    policy = release.folder / "mlgov.yaml"
    policy.write_text(policy.read_text() + "        break_glass: {from: [olga]}\n")
    from airflow_mlgov.evidence.statements import Person
    from airflow_mlgov.release.case import build_case

    desk = Duty("waiver").desk({})
    case = build_case(desk, release.version, "production")
    break_glass(desk, case, Person("olga", "olga"), "card fraud wave", timedelta(hours=2))
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "airflow_mlgov.notifications.notify", lambda event, subject, body, **_: told.append((event, body))
    )
    end = release.promote()
    assert end.state == "success", end.error
    assert {item["code"] for item in end.xcom["excused"]} == {"gate.not_passed", "bound.not_met", "approval.missing"}
    ((event, body),) = told
    assert event == "emergency"
    for words in ("card fraud wave", "olga", "gate.not_passed", "approval.missing"):
        assert words in body
