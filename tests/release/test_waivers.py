"""Exceptions that people sign, what they cover, what they cost, and how they end; on a real MLflow server."""

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.chain import Entry
from airflow_mlgov.evidence.statements import Person
from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.release.case import build_case
from airflow_mlgov.release.enforcement import render_enforcement
from airflow_mlgov.release.explanation import replay_all
from airflow_mlgov.release.waivers import break_glass, find_terms, revoke_waiver
from airflow_mlgov.results import Bound, Check, GateResult, Outcome
from tests.codes import raises_code, refuses
from tests.worlds.exceptions import CHECK, EXCEPTIONS, Exceptions
from tests.worlds.governed import PASSED, POLICY, Governed


def test_two_people_let_one_failed_check_go_and_nobody_calls_it_passed(exceptions: Exceptions) -> None:
    governed = exceptions.governed
    assert exceptions.codes() == {"gate.not_passed", "bound.not_met"}
    terms = exceptions.terms()
    exceptions.sign(terms, "olga")
    assert exceptions.codes() == {"gate.not_passed", "bound.not_met"}
    assert find_terms(exceptions.case(), terms.sha256[:8]) == terms
    exceptions.sign(terms, "omar")
    decision = exceptions.case().decision
    assert decision.allowed
    assert decision.waived == ({"gate": "performance", "check": CHECK, "observed": 0.72, "waiver": terms.sha256},)
    governed.promote(exceptions.version)
    (owed,) = exceptions.obligations()
    assert (owed.kind, owed.gate, owed.check, owed.state) == ("waiver", "performance", CHECK, "open")
    assert timedelta(days=13) < owed.due - governed.context().issued_at <= timedelta(days=14)
    answer = governed.explain(governed.now(exceptions.version))
    assert answer.allowed, answer.reasons
    text = "\n".join(answer.facts)
    assert "gate performance FAIL" in text
    assert "waived, not passed" in text
    assert "ticket RISK-7: signed by olga" in text
    (replayed,) = replay_all(governed.ledger, governed.trust)
    assert replayed.same


@pytest.mark.parametrize(
    ("who", "why"),
    [
        ("mallory", "the policy names olga, omar, rita, tom"),
        ("tom", "tom has trained the model"),
        ("rita", "rita has asked for the waiver"),
        ("olga", "olga has signed it already; 2 different people are needed"),
        ("OLGA", "OLGA may not sign a waiver"),
    ],
)
def test_who_may_not_sign(exceptions: Exceptions, who: str, why: str) -> None:
    terms = exceptions.terms()
    exceptions.sign(terms, "olga")
    with raises_code(ConfigurationError, "waiver.not_this_person", match=why):
        exceptions.sign(terms, who)


def test_terms_that_count_nowhere_are_signed_by_nobody(exceptions: Exceptions) -> None:
    """A second signature under what has run out, was taken back or is for another target would be believed to help."""
    terms = exceptions.terms()
    exceptions.sign(terms, "olga")
    for dead, why in (
        (replace(terms, expires=(datetime.now(UTC) - timedelta(seconds=1)).isoformat()), "ran out"),
        (replace(terms, target="staging"), "is for 'staging'"),
    ):
        with raises_code(ConfigurationError, "waiver.not_this_person", match=why):
            exceptions.sign(dead, "omar")
    exceptions.act(revoke_waiver, terms, "olga")
    with raises_code(ConfigurationError, "waiver.not_this_person", match="was taken back"):
        exceptions.sign(terms, "omar")


def test_signatures_by_people_who_may_not_sign_do_not_count(exceptions: Exceptions) -> None:
    """Whoever holds the waiver key can write any name; the rules look at it again."""
    from airflow_mlgov.evidence.statements import Person, WaiverStatement

    terms = exceptions.terms()
    for name in ("olga", "Olga", "tom", "rita", "mallory"):
        context = exceptions.governed.context()
        statement = WaiverStatement(exceptions.case().model, context, terms, "signed", Person(name, name), "x")
        exceptions.governed.attest("waiver", statement)
    assert "gate.not_passed" in exceptions.codes()


STRETCHED: dict[str, Callable[[Exceptions], Any]] = {
    "a worse value": lambda e: e.governed.judge(e.version, auc=0.69),
    "another bound, in the same statement": lambda e: e.sign(e.terms(least=0.6), "olga"),
    "revoked": lambda e: e.act(revoke_waiver, find_terms(e.case(), e.case().decision.waived[0]["waiver"]), "olga"),
    "nothing measured": lambda e: e.governed.judge(e.version, auc=float("nan")),
}


@pytest.mark.parametrize("name", STRETCHED)
def test_a_waiver_cannot_be_stretched(exceptions: Exceptions, name: str) -> None:
    exceptions.waived()
    assert exceptions.codes() == set()
    STRETCHED[name](exceptions)
    if name.startswith("another bound"):
        exceptions.governed.judge(exceptions.version, auc=0.65)
    assert "gate.not_passed" in exceptions.codes()


def test_a_waiver_is_of_one_digest_one_check_one_target_and_one_time(exceptions: Exceptions) -> None:
    governed = exceptions.governed
    exceptions.waived()
    other = governed.register(2.0)
    governed.judge(other, auc=0.72)
    assert "gate.not_passed" in exceptions.codes(other)
    from airflow_mlgov.evidence.statements import GateStatement

    checks = (Check(CHECK, Outcome.FAIL, 0.72, Bound(min=0.75)), Check("accuracy", Outcome.FAIL, 0.5, Bound(min=0.9)))
    result = GateResult("performance", governed.registry.subject(exceptions.version), checks)
    governed.attest("performance", GateStatement.of(result, governed.context()))
    assert exceptions.codes() == {"gate.not_passed"}
    g = governed
    later = g.context().issued_at + timedelta(days=15)
    governed.judge(exceptions.version, auc=0.72, issued_at=later)
    case = build_case(g.desk("waiver", issued_at=later), exceptions.version, "production", ("rita",))
    assert "gate.not_passed" in {code for code, _ in case.decision.reasons}


def test_a_waiver_signed_for_longer_than_the_policy_allows_counts_nothing(exceptions: Exceptions) -> None:
    terms = exceptions.terms(days=29)
    early = exceptions.governed.context().issued_at - timedelta(days=5)
    exceptions.sign(terms, "olga", "omar", issued_at=early)
    assert "gate.not_passed" in exceptions.codes()


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        ({"check": "accuracy"}, "waiver.no_failed_check", "'accuracy'.* it has roc_auc"),
        ({"gate": "fairness"}, "waiver.no_failed_check", "fairness"),
        ({"least": 0.73}, "waiver.bound_too_near", "0.72 and >= 0.73"),
        ({"days": 31}, "waiver.too_long", "30 days"),
        ({"reason": " "}, "waiver.word_missing", "reason"),
        ({"ticket": ""}, "waiver.word_missing", "ticket"),
        ({"risk_owner": ""}, "waiver.word_missing", "risk_owner"),
    ],
)
def test_terms_that_cannot_be(exceptions: Exceptions, change: dict[str, Any], code: str, named: str) -> None:
    with raises_code(ConfigurationError, code, match=named):
        exceptions.terms(**change)


def test_terms_without_a_bound_cannot_be(exceptions: Exceptions) -> None:
    with pytest.raises(ValueError, match="a min or a max"):
        exceptions.terms(stretch={})


def test_without_a_word_in_the_policy_there_is_no_exception(governed: Governed) -> None:
    exceptions = Exceptions(governed)
    terms = exceptions.waived()
    governed.policy_file.write_text(governed.policy_file.read_text().replace(EXCEPTIONS, ""))
    assert "gate.not_passed" in exceptions.codes()
    with raises_code(ConfigurationError, "waiver.not_allowed"):
        exceptions.sign(terms, "olga")
    with raises_code(ConfigurationError, "emergency.not_allowed"):
        break_the_glass(exceptions)


# -- afterwards -------------------------------------------------------------------------------------------------------


def released(exceptions: Exceptions) -> tuple[ModelVersion, ModelVersion]:
    """A good version, and the waived one after it."""
    governed = exceptions.governed
    good = governed.candidate(9.0)
    governed.promote(good)
    exceptions.waived()
    governed.promote(exceptions.version)
    return good, exceptions.version


@pytest.mark.parametrize(
    ("auc", "verdict", "state"), [(0.8, "PASS", "met"), (0.71, "PASS", "met"), (0.69, "FAIL", "failed")]
)
def test_the_audit_that_was_promised(exceptions: Exceptions, auc: float, verdict: str, state: str) -> None:
    good, waived = released(exceptions)
    assert exceptions.audit(auc) == verdict
    assert [item.state for item in exceptions.obligations()] == [state]
    result = exceptions.enforce()
    governed = exceptions.governed
    if state == "met":
        assert result.violated == ()
        assert governed.explain(governed.now(waived)).allowed
        return
    assert governed.places()[good.version] == PASSED
    assert "rolled back to version" in result.violated[0][1].action
    assert not governed.explain(governed.now(waived)).allowed
    with refuses("promotion.withdrawn"):
        governed.promote(waived)


def test_an_audit_needs_the_gate_that_was_waived(exceptions: Exceptions) -> None:
    released(exceptions)
    with raises_code(ConfigurationError, "audit.gate_missing"):
        exceptions.audit(0.8, gate="fairness")


def test_obligations_of_another_environment_are_not_enforced_here(exceptions: Exceptions) -> None:
    released(exceptions)
    exceptions.governed.environment = "elsewhere"
    assert exceptions.enforce(days=15).violated == ()
    exceptions.governed.environment = "test"
    assert len(exceptions.enforce(days=15).violated) == 1


def test_a_missed_audit_demotes_after_a_warning(exceptions: Exceptions) -> None:
    good, waived = released(exceptions)
    governed = exceptions.governed
    assert exceptions.enforce() == exceptions.enforce(days=1)
    soon = exceptions.enforce(days=12)
    assert [item.state for item in soon.warned] == ["open"]
    assert governed.places()[waived.version] == PASSED
    assert [item.state for item in exceptions.obligations(days=15)] == ["expired"]
    late = exceptions.enforce(days=13, hours=23)
    assert late.violated == ()
    gone = exceptions.enforce(days=15)
    assert "expired" in render_enforcement(gone)
    assert governed.places()[good.version] == PASSED
    assert exceptions.enforce(days=15).violated == ()


@pytest.mark.parametrize(
    "error", [RuntimeError("a driver of somebody's store"), EvidenceError("x", code="key.unknown")]
)
def test_a_model_that_cannot_be_demoted_stops_the_enforcement_of_no_other(
    exceptions: Exceptions, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The hostile one comes first; what is owed for the other is enforced, and both are told."""
    hostile = copy(exceptions.governed)
    hostile.model = f"another_{hostile.model}"
    hostile.policy_file.write_text(
        hostile.policy_file.read_text() + POLICY.partition("models:\n")[2].format(model=hostile.model)
    )
    _, bad = released(Exceptions(hostile))
    good, _ = released(exceptions)
    right = MlflowRegistry.resolve

    def blind(self: MlflowRegistry, model: Any) -> ModelVersion:
        if isinstance(model, dict) and model["name"] == hostile.model:
            raise error
        return right(self, model)

    monkeypatch.setattr(MlflowRegistry, "resolve", blind)
    first, second = exceptions.enforce(days=15).violated
    assert [item.model.name for item, _ in (first, second)] == [hostile.model, exceptions.governed.model]
    assert (first[1].done, second[1].done) == (False, True)
    assert str(first[1]).startswith("not demoted")
    assert "somebody" not in str(first[1])
    assert exceptions.governed.places()[good.version] == PASSED
    assert hostile.places()[bad.version] == PASSED
    monkeypatch.undo()
    (again,) = exceptions.enforce(days=15).violated
    assert again[1].done
    assert hostile.places()[bad.version] != PASSED


def test_overdue_before_it_expires(exceptions: Exceptions) -> None:
    governed = exceptions.governed
    governed.promote(governed.candidate(9.0))
    exceptions.waived(days=30)
    governed.promote(exceptions.version)
    assert [item.state for item in exceptions.obligations(days=15)] == ["overdue"]
    exceptions.audit(0.71)
    assert [item.state for item in exceptions.obligations(days=15)] == ["met"]
    assert [item.state for item in exceptions.obligations(days=31)] == ["expired"]
    governed.judge(exceptions.version, auc=0.8)
    assert [item.state for item in exceptions.obligations(days=31)] == ["met"]


def test_a_revoked_waiver_takes_the_model_with_it(exceptions: Exceptions) -> None:
    good, waived = released(exceptions)
    (owed,) = exceptions.obligations()
    exceptions.act(revoke_waiver, find_terms(exceptions.case(), owed.exception), "olga")
    assert [item.state for item in exceptions.obligations()] == ["revoked"]
    governed = exceptions.governed
    assert "obligation.revoked" in {code for code, _ in governed.explain(governed.now(waived)).reasons}
    exceptions.enforce()
    assert governed.places()[good.version] == PASSED


def test_what_has_nowhere_to_go_back_to_is_said(exceptions: Exceptions) -> None:
    exceptions.waived()
    exceptions.governed.promote(exceptions.version)
    result = exceptions.enforce(days=15)
    assert result.unsettled
    assert "not demoted" in result.violated[0][1].action


def test_a_waiver_that_is_renewed_is_recorded_anew(exceptions: Exceptions) -> None:
    governed = exceptions.governed
    released(exceptions)
    before = exceptions.obligations()
    governed.promote(exceptions.version)
    assert exceptions.obligations() == before
    exceptions.act(revoke_waiver, find_terms(exceptions.case(), before[0].exception), "olga")
    exceptions.waived(days=20, reason="a longer look")
    governed.promote(exceptions.version)
    (renewed,) = exceptions.obligations()
    assert renewed.id != before[0].id
    assert renewed.state == "open"


# -- break-glass ------------------------------------------------------------------------------------------------------


def break_the_glass(exceptions: Exceptions, who: str = "olga", hours: float = 8, reason: str = "fraud wave") -> Entry:
    desk = exceptions.governed.desk("waiver")
    return break_glass(desk, exceptions.case(), Person(who, who), reason, timedelta(hours=hours))


def test_an_emergency_goes_past_the_gates_for_a_time_and_is_never_hidden(exceptions: Exceptions) -> None:
    governed = exceptions.governed
    good = governed.candidate(9.0)
    governed.promote(good)
    break_the_glass(exceptions)
    decision = exceptions.case().decision
    assert decision.allowed
    assert {code for code, _ in decision.excused} == {"gate.not_passed", "bound.not_met"}
    governed.promote(exceptions.version)
    (owed,) = exceptions.obligations()
    assert (owed.kind, owed.state, owed.gate) == ("emergency", "open", None)
    text = "\n".join(governed.explain(governed.now(exceptions.version)).facts)
    assert "the glass was broken by olga" in text
    assert "'fraud wave'" in text
    assert [item.state for item in exceptions.obligations(hours=9)] == ["expired"]
    exceptions.enforce(hours=9)
    assert governed.places()[good.version] == PASSED


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"who": "omar"}, "emergency.not_this_person"),
        ({"hours": 25}, "emergency.too_long"),
        ({"reason": " "}, "emergency.reason_missing"),
    ],
)
def test_who_may_not_break_the_glass(exceptions: Exceptions, change: dict[str, Any], code: str) -> None:
    with raises_code(ConfigurationError, code):
        break_the_glass(exceptions, **change)


def test_an_emergency_excuses_neither_tampering_nor_a_rejection_nor_unknown_origin(exceptions: Exceptions) -> None:
    governed = exceptions.governed
    break_the_glass(exceptions)
    governed.judge(exceptions.version, duty="fairness")
    assert exceptions.codes() == {"evidence.unverified"}
    stranger = governed.server.register(governed.model, 5.0)
    case = exceptions.case(stranger)
    break_glass(governed.desk("waiver"), case, Person("olga", "olga"), "why", timedelta(hours=1))
    assert exceptions.codes(stranger) == {"provenance.missing"}
