"""A result that was asked for out of curiosity, or held to more than the policy: it takes nothing down, makes nothing
better, and hides nothing."""

from dataclasses import replace
from typing import Any

import pytest

from airflow_mlgov.evidence.chain import Entry
from airflow_mlgov.evidence.statements import GateStatement
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.release.enforcement import enforce
from airflow_mlgov.results import Bound, Check, GateResult, Outcome
from tests.worlds.governed import PASSED
from tests.worlds.guarded import Guarded


def judge(guarded: Guarded, version: ModelVersion, auc: float, least: float, purpose: Any = "what_if") -> Entry:
    """The performance gate with a bound of the caller's."""
    bound = Bound(min=least, source="the DAG")
    checks = (Check("roc_auc", bound.judge(auc), auc, bound),)
    result = GateResult("performance", guarded.subject(version), checks, purpose=purpose)
    return guarded.attest("performance", GateStatement.of(result, guarded.context()))


@pytest.mark.parametrize("purpose", ["gate", "what_if"])
def test_a_stricter_callers_fail_is_shown_and_takes_nothing_down(guarded: Guarded, purpose: str) -> None:
    version = guarded.green()
    guarded.promote(version)
    entry = judge(guarded, version, 0.8, 0.95, purpose)
    answer = guarded.explain(guarded.now(version))
    assert answer.allowed, answer.reasons
    assert any(entry.reference in fact and "stricter than the policy's" in fact for fact in answer.facts)
    assert guarded.reconcile().open == ()
    assert enforce(guarded.desk("promotion"), warn_within=guarded.context().lifetime).violated == ()
    assert guarded.places()[version.version] == PASSED


def test_a_metric_that_the_policy_leaves_alone_takes_nothing_down(guarded: Guarded) -> None:
    version = guarded.green()
    guarded.promote(version)
    checks = (
        Check("roc_auc", Outcome.PASS, 0.8, Bound(min=0.75)),
        Check("log_loss", Outcome.FAIL, 0.9, Bound(max=0.1, source="the DAG")),
    )
    result = GateResult("performance", guarded.subject(version), checks)
    guarded.attest("performance", GateStatement.of(result, guarded.context()))
    assert guarded.explain(guarded.now(version)).allowed


def test_a_what_if_makes_no_decision_better(guarded: Guarded) -> None:
    version = guarded.gated()
    guarded.judge(version, auc=0.6)
    judge(guarded, version, 0.9, 0.75)
    guarded.approve(version)
    assert guarded.refused(version) == {"gate.not_passed", "bound.not_met"}


def test_a_what_if_is_no_evidence_of_the_gate(guarded: Guarded) -> None:
    version = guarded.register()
    guarded.validate()
    guarded.weigh(version)
    judge(guarded, version, 0.9, 0.75)
    guarded.approve(version)
    assert guarded.refused(version) == {"evidence.missing"}


def test_a_what_if_clears_no_failure_since_the_promotion(guarded: Guarded) -> None:
    version = guarded.green()
    guarded.promote(version)
    guarded.judge(version, auc=0.5)
    judge(guarded, version, 0.9, 0.75)
    assert guarded.unfit(version) == {"gate.failed_since"}


@pytest.mark.parametrize("least", [0.1, 0.75, 0.95])
def test_a_what_if_whose_values_fail_the_policy_denies(guarded: Guarded, least: float) -> None:
    version = guarded.green()
    judge(guarded, version, 0.6, least)
    assert guarded.refused(version) == {"gate.not_passed"}
    guarded.judge(version)
    guarded.approve(version)
    guarded.promote(version)
    judge(guarded, version, 0.6, least)
    assert guarded.unfit(version) == {"gate.failed_since"}


def test_a_what_if_that_only_its_caller_fails_lets_the_promotion_be(guarded: Guarded) -> None:
    version = guarded.green()
    judge(guarded, version, 0.8, 0.95)
    guarded.promote(version)
    assert guarded.places()[version.version] == PASSED


def test_a_what_if_is_counted_as_a_try(guarded: Guarded) -> None:
    guarded.change_policy("roc_auc: {min: 0.75}}", "roc_auc: {min: 0.75}, max_tries: {same_data: 1}}")
    first, second = guarded.gated(1.0), guarded.green(2.0)
    for version in (first, second):
        result = GateResult(
            "performance",
            guarded.subject(version),
            (Check("roc_auc", Outcome.PASS, 0.8, Bound(min=0.75)),),
            evaluation_digest="e" * 64,
            purpose="what_if" if version is first else "gate",
        )
        guarded.attest("performance", GateStatement.of(result, guarded.context()))
    guarded.approve(second)
    assert guarded.refused(second) == {"tries.exceeded"}


def test_a_pass_under_a_looser_policy_clears_no_failure(guarded: Guarded) -> None:
    version = guarded.green()
    guarded.promote(version)
    guarded.judge(version, auc=0.5)
    judge(guarded, version, 0.5, 0.1, "gate")
    assert guarded.unfit(version) == {"gate.failed_since"}
    nothing = GateResult("performance", guarded.subject(version), (Check("accuracy", Outcome.PASS, 1.0),))
    guarded.attest("performance", GateStatement.of(nothing, guarded.context()))
    assert guarded.unfit(version) == {"gate.failed_since"}
    guarded.attest("performance", GateStatement.of(replace(nothing, checks=()), guarded.context()))
    assert guarded.unfit(version) == {"gate.failed_since"}
