"""Ways around having to look at live data."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from airflow_mlgov.errors import ConfigurationError, PromotionRefused
from airflow_mlgov.evidence.statements import AuditStatement
from airflow_mlgov.evidence.statements.gates import Audited
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.release.monitoring import MONITORED, record_live
from airflow_mlgov.results import Bound, Check, GateResult, Outcome
from tests.worlds.governed import Governed

LATER = datetime.now(UTC) + timedelta(days=2)
PASSED = (Check("roc_auc", Outcome.PASS, 0.9, Bound(min=0.75)),)


@pytest.fixture
def overdue(governed: Governed) -> tuple[Governed, ModelVersion]:
    """A version serves, nobody looks at it, and another one is to take its place."""
    watch = "        monitoring: {gates: [performance], within: 7d, grace: 1d}\n"
    governed.policy_file.write_text(governed.policy_file.read_text() + watch)
    governed.promote(governed.candidate())
    return governed, governed.candidate(2.0)


def statement(governed: Governed, version: ModelVersion, **change: object) -> AuditStatement:
    subject = governed.registry.subject(version)
    result = Audited.of(GateResult("performance", subject, PASSED))
    made = AuditStatement(subject, governed.context(), "production", MONITORED, Outcome.PASS, (result,))
    return replace(made, **change)


def still_refused(overdue: tuple[Governed, ModelVersion]) -> bool:
    governed, candidate = overdue
    with pytest.raises(PromotionRefused) as why:
        governed.promote(candidate, context=governed.context(issued_at=LATER))
    return "monitoring.missing" in {code for code, _ in why.value.reasons}


def test_the_candidate_judged_as_if_it_served(overdue: tuple[Governed, ModelVersion]) -> None:
    governed, candidate = overdue
    record_live(governed.desk("audit"), *_live(governed, candidate))
    assert still_refused(overdue)


def test_a_live_result_signed_with_another_duty_s_key(overdue: tuple[Governed, ModelVersion]) -> None:
    governed, _ = overdue
    serving = governed.registry.resolve(f"models:/{governed.model}/1")
    with pytest.raises(ConfigurationError):
        record_live(governed.desk("performance"), *_live(governed, serving))
    governed.ledger.attest(statement(governed, serving), governed.signer("performance"))
    assert still_refused(overdue)


def test_a_result_of_another_target_environment_or_day(overdue: tuple[Governed, ModelVersion]) -> None:
    governed, _ = overdue
    serving = governed.registry.resolve(f"models:/{governed.model}/1")
    ahead = governed.context(issued_at=LATER + timedelta(days=300))
    for change in (
        {"target": "staging"},
        {"context": governed.context(environment="elsewhere")},
        {"context": ahead},
        {"obligation": "another"},
    ):
        governed.attest("audit", statement(governed, serving, **change))
        assert still_refused(overdue)


def test_promoting_the_same_version_again_gives_no_new_time(overdue: tuple[Governed, ModelVersion]) -> None:
    governed, _ = overdue
    again = governed.registry.resolve(f"models:/{governed.model}/1")
    governed.judge(again)
    governed.promote(again)
    assert still_refused(overdue)


def _live(governed: Governed, version: ModelVersion) -> tuple[object, str, list[GateResult]]:
    subject = governed.registry.subject(version)
    return subject, "production", [GateResult("performance", subject, PASSED)]
