"""An audit that has failed, or is late, and the ways to make it go away: the glass broken again, another waiver, the
same promotion once more."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_mlgov.errors import ConfigurationError, PromotionRefused
from airflow_mlgov.evidence.statements import AuditStatement, EmergencyStatement, Person
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.release.audit import record_audit
from airflow_mlgov.release.obligations import Obligation, list_obligations
from airflow_mlgov.release.waivers import revoke_waiver
from airflow_mlgov.results import Bound, Check, GateResult, Outcome
from tests.codes import raises_code
from tests.worlds.exceptions import Exceptions
from tests.worlds.governed import PASSED, Governed
from tests.worlds.guarded import Guarded

RULES = """\
        waivers: {max_days: 30, signers: 2, audit_within: 14d, from: [olga, omar]}
        break_glass: {from: [olga], max_hours: 24, audit_within: 2d}
"""


def now() -> datetime:
    """Not that of the import: a long run comes between."""
    return datetime.now(UTC)


@pytest.fixture
def failed(guarded: Guarded) -> ModelVersion:
    """A version that fails one check, under a policy with exceptions; and a good one in production before it."""
    guarded.policy_file.write_text(guarded.policy_file.read_text() + RULES)
    guarded.promote(guarded.green(9.0))
    version = guarded.gated()
    guarded.weigh(version, ratio=0.75)
    return version


def smash(guarded: Guarded, version: ModelVersion, at: datetime | None = None, hours: float = 8) -> None:
    at = at or now()
    subject, context = guarded.subject(version), guarded.context(issued_at=at)
    end = at + timedelta(hours=hours)
    statement = EmergencyStatement(subject, context, "production", Person("olga", "olga"), "fraud wave", end)
    guarded.attest("waiver", statement)


def owed(guarded: Guarded, at: datetime | None = None) -> Obligation:
    (found,) = list_obligations(guarded.ledger.walk(), guarded.trust, at or now(), guarded.model)
    return found


def audit(guarded: Guarded, item: Obligation, verdict: Outcome) -> None:
    statement = AuditStatement(item.model, guarded.context(), item.target, item.id, verdict, ())
    guarded.attest("audit", statement)


def again(guarded: Guarded, version: ModelVersion, at: datetime | None = None, **change: Any) -> set[str]:
    """Break the glass once more, and try to promote."""
    at = at or now()
    smash(guarded, version, at)
    return guarded.refused(version, context=guarded.context(issued_at=at), **change)


def test_a_failed_audit_is_not_washed_by_breaking_the_glass_again(guarded: Guarded, failed: ModelVersion) -> None:
    smash(guarded, failed)
    guarded.promote(failed)
    audit(guarded, owed(guarded), Outcome.FAIL)
    assert again(guarded, failed) == {"obligation.failed"}
    assert owed(guarded).state == "failed"
    guarded.weigh(failed)  # a pass on the old data, and everybody's approval, excuse nothing
    guarded.approve(failed)
    assert guarded.refused(failed) == {"obligation.failed"}
    assert "obligation.failed" in guarded.unfit(failed)
    audit(guarded, owed(guarded), Outcome.PASS)
    guarded.promote(failed)
    assert guarded.places()[failed.version] == PASSED


def test_a_deadline_does_not_move(guarded: Guarded, failed: ModelVersion) -> None:
    smash(guarded, failed)
    guarded.promote(failed)
    first = owed(guarded)
    later = now() + timedelta(hours=7)
    smash(guarded, failed, later)
    guarded.promote(failed, context=guarded.context(issued_at=later))
    assert owed(guarded).due == first.due
    late = now() + timedelta(days=2, hours=1)
    assert owed(guarded, late).is_broken(late)
    guarded.judge(failed, issued_at=late)
    assert again(guarded, failed, late) >= {"obligation.failed"}


def test_an_emergency_that_has_run_out_is_not_made_anew_before_its_audit(
    guarded: Guarded, failed: ModelVersion
) -> None:
    smash(guarded, failed)
    guarded.promote(failed)
    later = now() + timedelta(hours=9)
    assert owed(guarded, later).state == "expired"
    assert again(guarded, failed, later) == {"obligation.failed"}
    audit(guarded, owed(guarded), Outcome.PASS)
    guarded.promote(failed, context=guarded.context(issued_at=later))


def test_a_promotion_that_needs_no_exception_ends_no_audit_of_a_broken_glass(
    guarded: Guarded, failed: ModelVersion
) -> None:
    """The model may be good by now; what was done in the emergency is still to be looked at."""
    smash(guarded, failed)
    guarded.promote(failed)
    due = owed(guarded).due
    guarded.weigh(failed)
    guarded.approve(failed)
    guarded.promote(failed)
    assert (owed(guarded).state, owed(guarded).due) == ("open", due)
    after_its_end = now() + timedelta(hours=9)
    assert owed(guarded, after_its_end).state == "open"
    late = now() + timedelta(days=2, hours=1)
    assert owed(guarded, late).state == "overdue"
    audit(guarded, owed(guarded), Outcome.FAIL)
    assert guarded.unfit(failed) == {"obligation.failed"}
    audit(guarded, owed(guarded), Outcome.PASS)
    assert list_obligations(guarded.ledger.walk(), guarded.trust, late, guarded.model) == []
    assert guarded.explain(guarded.now(failed)).allowed


def test_the_audit_of_a_broken_glass_runs_every_gate_that_it_passed_by(guarded: Guarded, failed: ModelVersion) -> None:
    """One gate that is easy to pass says nothing of the one that failed."""
    smash(guarded, failed)
    guarded.promote(failed)
    item = owed(guarded)
    assert item.gates == {"performance", "fairness"}
    result = GateResult("performance", item.model, (Check("roc_auc", Outcome.PASS, 0.9, Bound(min=0.75)),))
    where = {"ledger": guarded.ledger, "signer": guarded.signer("audit"), "context": guarded.context()}
    with raises_code(ConfigurationError, "audit.gate_missing"):
        record_audit(item, [result], evidence=(), **where)
    assert owed(guarded).state == "open"


def test_the_same_bytes_under_another_number_owe_the_same(guarded: Guarded, failed: ModelVersion) -> None:
    smash(guarded, failed)
    guarded.promote(failed)
    audit(guarded, owed(guarded), Outcome.FAIL)
    with guarded.registry.calling("register it once more") as client:
        source = str(failed.source)
        made = client.create_model_version(
            guarded.model, source, failed.run_id, model_id=source.removeprefix("models:/")
        )
    twin = guarded.registry.resolve({"name": guarded.model, "version": str(made.version)})
    assert guarded.registry.subject(twin).digest == guarded.subject(failed).digest
    assert "obligation.failed" in again(guarded, twin)


# -- a waiver taken back, and one that was not needed for a while ------------------------------------------------------


def waived_anew(exceptions: Exceptions, at: datetime) -> None:
    """Other terms for the same check, signed by the same people, and a promotion on them."""
    governed = exceptions.governed
    exceptions.sign(exceptions.terms(reason="once more", now=at), "olga", "omar", issued_at=at)
    governed.promote(exceptions.version, context=governed.context(issued_at=at))


def test_a_late_audit_is_not_washed_by_taking_its_waiver_back(governed: Governed) -> None:
    exceptions = Exceptions(governed)
    terms = exceptions.waived(days=29)
    governed.promote(exceptions.version)
    late = now() + timedelta(days=15)
    exceptions.act(revoke_waiver, terms, "olga", issued_at=late)
    with pytest.raises(PromotionRefused) as caught:
        waived_anew(exceptions, late)
    assert "obligation.failed" in {code for code, _ in caught.value.reasons}


def test_a_promotion_in_between_that_needs_no_waiver_moves_no_deadline(governed: Governed) -> None:
    exceptions = Exceptions(governed)
    exceptions.waived(days=29)
    governed.promote(exceptions.version)
    (first,) = exceptions.obligations()
    soon = now() + timedelta(days=13)
    governed.judge(exceptions.version, auc=0.8, issued_at=soon)
    governed.promote(exceptions.version, context=governed.context(issued_at=soon))
    governed.judge(exceptions.version, auc=0.72, issued_at=soon)
    waived_anew(exceptions, soon)
    owed_now = exceptions.obligations()  # for either waiver covers the check
    assert [item.due for item in owed_now] == [first.due, first.due]


# -- the same exception for other bytes --------------------------------------------------------------------------------


def trained_anew(exceptions: Exceptions, weight: float, at: datetime) -> None:
    """Other bytes that fail the same check, and another waiver for it, signed by the same people."""
    governed = exceptions.governed
    exceptions.version = governed.register(weight)
    governed.judge(exceptions.version, auc=0.72, issued_at=at)
    exceptions.sign(exceptions.terms(reason=f"once more, {weight}", now=at), "olga", "omar", issued_at=at)


def renewed(exceptions: Exceptions, weight: float, at: datetime) -> Obligation:
    """The same, promoted."""
    trained_anew(exceptions, weight, at)
    exceptions.governed.promote(exceptions.version, context=exceptions.governed.context(issued_at=at))
    (found,) = exceptions.obligations()
    return found


def test_bytes_that_are_written_out_once_more_move_no_deadline(governed: Governed) -> None:
    """Whoever trains every week would else have a waiver for ever, of which nothing was ever audited."""
    exceptions = Exceptions(governed)
    exceptions.waived(days=29)
    governed.promote(exceptions.version)
    (first,) = exceptions.obligations()
    again = renewed(exceptions, 2.0, now() + timedelta(days=13))
    assert (again.model.digest != first.model.digest, again.due) == (True, first.due)
    late = now() + timedelta(days=15)
    trained_anew(exceptions, 3.0, late)
    with pytest.raises(PromotionRefused) as caught:
        governed.promote(exceptions.version, context=governed.context(issued_at=late))
    assert [code for code, _ in caught.value.reasons] == ["obligation.failed"]
    assert "version 2 was let go" in caught.value.reasons[0][1]


@pytest.mark.parametrize("found", [Outcome.PASS, Outcome.FAIL])
def test_an_audit_that_was_made_lets_the_next_version_have_a_date_of_its_own(
    governed: Governed, found: Outcome
) -> None:
    """What it has found stays with the bytes that it is of."""
    exceptions = Exceptions(governed)
    exceptions.waived(days=29)
    governed.promote(exceptions.version)
    (first,) = exceptions.obligations()
    exceptions.audit(0.71 if found is Outcome.PASS else 0.5)
    assert renewed(exceptions, 2.0, now() + timedelta(days=15)).due > first.due


def test_an_audit_of_bytes_that_serve_no_more_keeps_no_promise(governed: Governed) -> None:
    exceptions = Exceptions(governed)
    exceptions.waived(days=29)
    governed.promote(exceptions.version)
    (first,) = exceptions.obligations()
    renewed(exceptions, 2.0, now() + timedelta(days=7))
    statement = AuditStatement(first.model, governed.context(), first.target, first.id, Outcome.PASS, ())
    governed.attest("audit", statement)
    assert renewed(exceptions, 3.0, now() + timedelta(days=13)).due == first.due


def test_a_version_without_exceptions_in_between_ends_what_was_not_due(governed: Governed) -> None:
    """Only where it stays: a minute of it moves no deadline."""
    exceptions = Exceptions(governed)
    exceptions.waived(days=29)
    governed.promote(exceptions.version)
    (first,) = exceptions.obligations()
    soon = now() + timedelta(days=13)
    good = governed.register(9.0)
    governed.judge(good, auc=0.9, issued_at=soon)
    governed.promote(good, context=governed.context(issued_at=soon))
    assert renewed(exceptions, 2.0, soon + timedelta(minutes=1)).due == first.due
    governed.promote(good, context=governed.context(issued_at=soon + timedelta(minutes=2)))
    assert renewed(exceptions, 3.0, soon + timedelta(days=3)).due > first.due


def test_a_better_version_ends_what_is_late_and_a_rollback_does_not(governed: Governed) -> None:
    exceptions = Exceptions(governed)
    good = governed.register(9.0)
    governed.judge(good, auc=0.9)
    governed.promote(good)
    exceptions.waived(days=29)
    governed.promote(exceptions.version)
    late = now() + timedelta(days=15)
    assert [item.model.version for item, done in exceptions.enforce(days=15).violated if done.done] == ["1"]
    trained_anew(exceptions, 2.0, late)
    with pytest.raises(PromotionRefused) as caught:
        governed.promote(exceptions.version, context=governed.context(issued_at=late))
    assert [code for code, _ in caught.value.reasons] == ["obligation.failed"]
    better = governed.register(8.0)
    governed.judge(better, auc=0.9, issued_at=late)
    governed.promote(better, context=governed.context(issued_at=late))
    governed.promote(exceptions.version, context=governed.context(issued_at=late))


def test_a_glass_is_not_broken_for_one_export_after_the_other(guarded: Guarded, failed: ModelVersion) -> None:
    """One person alone would else keep whatever they like in production."""
    smash(guarded, failed)
    guarded.promote(failed)
    first = owed(guarded)
    soon, late = now() + timedelta(days=1), now() + timedelta(days=2, hours=1)
    other = guarded.register(1.5)
    smash(guarded, other, soon)
    guarded.promote(other, context=guarded.context(issued_at=soon))
    assert owed(guarded).due == first.due
    third = guarded.register(1.6)
    assert again(guarded, third, late) == {"obligation.failed"}
    audit(guarded, owed(guarded), Outcome.PASS)
    guarded.promote(third, context=guarded.context(issued_at=late))
