"""What the policy says of monitoring: a promotion waits for live results, and a FAIL becomes an incident."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_mlgov.errors import ConfigurationError, PromotionRefused
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.release.audit import record_audit
from airflow_mlgov.release.enforcement import enforce
from airflow_mlgov.release.monitoring import record_live
from airflow_mlgov.release.obligations import Obligation, list_obligations
from airflow_mlgov.results import Bound, Check, GateResult
from tests.worlds.governed import Governed

WATCH = "        monitoring: {{gates: [performance], within: {within}, grace: {grace}, on_failure: {does}}}\n"
LATER = datetime.now(UTC) + timedelta(days=2)
"""When the grace is over."""


def watched(governed: Governed, within: str = "30d", grace: str = "1d", does: str = "alert") -> Governed:
    watch = WATCH.format(within=within, grace=grace, does=does)
    governed.policy_file.write_text(governed.policy_file.read_text() + watch)
    return governed


def look(governed: Governed, version: ModelVersion, auc: float = 0.8, gate: str = "performance", **change: Any) -> None:
    """A gate's result on live data."""
    bound = Bound(min=0.75)
    subject = governed.registry.subject(version)
    result = GateResult(gate, subject, (Check("roc_auc", bound.judge(auc), auc, bound),))
    desk = governed.desk("audit", **{"issued_at": LATER, **change})
    record_live(
        desk, subject, "production", [result], desk.policy.model(governed.model).target("production").monitoring
    )


def promote(governed: Governed, version: ModelVersion) -> str:
    return governed.promote(version, context=governed.context(issued_at=LATER)).record


def refused(governed: Governed, version: ModelVersion) -> set[str]:
    with pytest.raises(PromotionRefused) as why:
        promote(governed, version)
    return {code for code, _ in why.value.reasons}


def test_nothing_is_promoted_while_nobody_looks_at_live_data(governed: Governed) -> None:
    watched(governed)
    first = governed.candidate()
    governed.promote(first)  # of the first one nothing can be known
    second = governed.candidate(2.0)
    assert refused(governed, second) == {"monitoring.missing"}
    look(governed, first)
    assert promote(governed, second)


def test_the_time_after_the_first_promotion_is_given_once(governed: Governed) -> None:
    watched(governed)
    governed.promote(governed.candidate())
    governed.promote(governed.candidate(2.0))
    assert refused(governed, governed.candidate(3.0)) == {"monitoring.missing"}


def test_a_result_counts_for_the_time_that_the_policy_says(governed: Governed) -> None:
    watched(governed, within="7d")
    first = governed.candidate()
    governed.promote(first)
    second = governed.candidate(2.0)
    look(governed, first, issued_at=LATER - timedelta(days=8))
    assert refused(governed, second) == {"monitoring.missing"}
    look(governed, first, auc=0.6)  # what fails was looked at, and a better version may take its place
    assert promote(governed, second)


def test_a_fail_on_live_data_is_an_incident_until_a_result_passes(governed: Governed) -> None:
    watched(governed, within="7d")
    version = governed.candidate()
    governed.promote(version)
    assert [item.code for item in governed.reconcile(issued_at=LATER).open] == ["monitoring.missing"]
    look(governed, version, auc=0.6)
    (found,) = governed.reconcile(issued_at=LATER).open
    assert (found.code, found.new, found.model.version) == ("monitoring.failed", True, "1")
    assert "roc_auc" in found.message
    assert not governed.reconcile(issued_at=LATER).open[0].new
    look(governed, version)
    again = governed.reconcile(issued_at=LATER)
    assert (again.open, len(again.resolved)) == ((), 1)


def test_a_policy_without_monitoring_asks_for_nothing(governed: Governed) -> None:
    governed.promote(governed.candidate())
    assert governed.reconcile(issued_at=LATER).open == ()
    assert promote(governed, governed.candidate(2.0))


@pytest.mark.parametrize("gates", ["[fairness]", "[data_validation]", "[no_such_gate]"])
def test_a_gate_that_cannot_look_is_a_mistake_of_the_policy(governed: Governed, gates: str) -> None:
    text = governed.policy_file.read_text() + f"        monitoring: {{gates: {gates}}}\n"
    governed.policy_file.write_text(text)
    with pytest.raises(ConfigurationError) as wrong:
        load_policy(governed.policy_file)
    assert wrong.value.code == "policy.monitoring"


def test_a_live_result_is_no_gate_of_a_release(governed: Governed) -> None:
    watched(governed)
    version = governed.register()
    look(governed, version)
    assert refused(governed, version) == {"evidence.missing"}


# -- on_failure: audit -------------------------------------------------------------------------------------------------


def owed(governed: Governed, now: datetime) -> list[Obligation]:
    return list_obligations(governed.ledger.walk(), governed.trust, now, governed.model, governed.environment)


def audit(governed: Governed, item: Obligation, auc: float, at: datetime) -> None:
    """The audit that is owed, on live data."""
    bound = Bound(min=0.75)
    result = GateResult("performance", item.model, (Check("roc_auc", bound.judge(auc), auc, bound),))
    context, signer = governed.context(issued_at=at), governed.signer("audit")
    record_audit(item, [result], evidence=(), ledger=governed.ledger, signer=signer, context=context)


def enforced(governed: Governed, at: datetime) -> list[str]:
    """What is done about what is owed: warnings, then demotions."""
    done = enforce(governed.desk("promotion", issued_at=at), warn_within=timedelta(days=3))
    return [str(item.state) for item in done.warned] + [str(demotion) for _, demotion in done.violated]


@pytest.fixture
def failing(governed: Governed) -> tuple[Governed, ModelVersion]:
    """The second version serves, and fails on live data twice, a day apart."""
    watched(governed, does="audit, audit_within: 10d")
    governed.promote(governed.candidate())
    version = governed.candidate(2.0)
    governed.promote(version)
    for days in (0, 1):
        look(governed, version, auc=0.6, issued_at=LATER + timedelta(days=days))
    return governed, version


def test_a_fail_has_an_audit_owed_and_another_moves_no_date(failing: tuple[Governed, ModelVersion]) -> None:
    governed, version = failing
    (item,) = owed(governed, LATER)
    assert (item.kind, item.state, item.model.version, item.due) == ("monitoring", "open", "2", LATER + timedelta(10))
    assert "it fails on live data (ledger:" in str(item)
    said = governed.explain(version)
    assert said.allowed
    assert str(item) in said.facts
    assert enforced(governed, LATER) == []
    assert enforced(governed, LATER + timedelta(days=8)) == ["open"]


@pytest.mark.parametrize("auc", [0.6, None])
def test_an_audit_that_fails_or_is_missed_demotes_and_keeps_the_bytes_out(
    failing: tuple[Governed, ModelVersion], auc: float | None
) -> None:
    governed, version = failing
    at = LATER + timedelta(days=2 if auc else 11)
    (item,) = owed(governed, LATER)
    if auc:
        audit(governed, item, auc, at)
    (now,) = owed(governed, at)
    assert now.state == ("failed" if auc else "overdue")
    (done,) = enforced(governed, at)
    assert done.startswith("rolled back to version 1")
    assert owed(governed, at) == []  # of what serves now
    governed.judge(version, issued_at=at)
    with pytest.raises(PromotionRefused) as why:
        governed.promote(version, context=governed.context(issued_at=at))
    assert {code for code, _ in why.value.reasons} == {"obligation.failed"}


def test_an_audit_that_passes_settles_it_until_the_next_fail(failing: tuple[Governed, ModelVersion]) -> None:
    governed, version = failing
    (item,) = owed(governed, LATER)
    audit(governed, item, 0.8, LATER + timedelta(days=2))
    after = LATER + timedelta(days=40)
    (settled,) = owed(governed, after)
    assert (settled.state, settled.audited) == ("met", True)
    assert enforced(governed, after) == []
    look(governed, version, auc=0.6, issued_at=after)
    states = {str(item.state): item.due for item in owed(governed, after)}
    assert states["open"] == after + timedelta(days=10)


def test_without_that_word_nothing_is_owed(governed: Governed) -> None:
    watched(governed)
    version = governed.candidate()
    governed.promote(version)
    look(governed, version, auc=0.6)
    assert owed(governed, LATER) == []
