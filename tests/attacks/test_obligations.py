"""An audit that has failed, or is late, and the ways to make it go away: the glass broken again, another waiver, the
same promotion once more."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_mlgov.evidence.statements import AuditStatement, EmergencyStatement, Person
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.release.obligations import Obligation, list_obligations
from airflow_mlgov.results import Outcome
from tests.worlds.governed import PASSED
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
