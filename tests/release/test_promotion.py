"""Promotion that survives: killed, raced, rolled back, on a real MLflow server."""

import multiprocessing
import os
import signal
import threading
from dataclasses import replace
from typing import Any

import pytest

from airflow_mlgov.errors import ConfigurationError, DependencyError, PromotionRefused
from airflow_mlgov.evidence.ledger import Ledger
from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
from airflow_mlgov.release.mover import Mover
from tests.codes import raises_code, refuses
from tests.fixtures.postgres import PASSWORD
from tests.worlds.governed import PASSED, Governed, spoil, statement_of

STEPS = (
    ("attest", Ledger),
    ("transition_stage", MlflowRegistry),
    ("set_alias", MlflowRegistry),
    ("set_tags", MlflowRegistry),
)
"""Everything with an effect that a promotion does."""


def promote_and_die(governed: Governed, number: str, kill_after: int, action: str = "promote") -> None:
    """Run in a child: SIGKILL itself right after its ``kill_after``-th step with an effect."""
    done = 0

    def counted(inner: Any) -> Any:
        def step(*args: Any, **given: Any) -> Any:
            nonlocal done
            result = inner(*args, **given)
            done += 1
            if done == kill_after:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return step

    for name, owner in STEPS:
        setattr(owner, name, counted(getattr(owner, name)))
    version = governed.registry.resolve({"name": governed.model, "version": number})
    governed.promote(version) if action == "promote" else governed.roll_back()


def run_child(*arguments: Any) -> int:
    child = multiprocessing.get_context("spawn").Process(target=promote_and_die, args=arguments)
    child.start()
    child.join(120)
    return int(child.exitcode or 0)


@pytest.mark.parametrize("kill_after", range(1, 8))
def test_killed_after_any_step_and_started_again_it_ends_the_same(governed: Governed, kill_after: int) -> None:
    first = governed.candidate(1.0)
    governed.promote(first)
    second = governed.candidate(2.0)
    before = len(governed.ledger.entries(kind="promotion"))
    code = run_child(governed, second.version, kill_after)
    # decision, intent, stage, alias, promotion, tags: six steps; the seventh time nobody is killed
    assert code == (-signal.SIGKILL if kill_after <= 6 else 0)
    governed.promote(second)
    assert governed.places() == {first.version: ("Archived", ()), second.version: PASSED}
    assert len(governed.ledger.entries(kind="promotion")) == before + 1
    record = governed.ledger.entries(kind="promotion")[-1]
    moved = statement_of(record.envelope)["predicate"]["moved"]
    assert moved["alias"] == {"to": "champion", "previous": first.version}
    assert moved["stage"]["previous"] == [first.version]
    assert len(governed.ledger.entries(kind="intent")) == 2
    assert governed.explain(governed.now(second)).allowed


def test_denied_after_a_kill_it_puts_back_what_was_moved(governed: Governed) -> None:
    first, second = governed.candidate(1.0), governed.candidate(2.0)
    governed.promote(first)
    assert run_child(governed, second.version, 4) == -signal.SIGKILL  # alias and stage have been moved
    assert governed.places()[second.version] == PASSED
    governed.judge(second, auc=0.5)
    with refuses("gate.not_passed"):
        governed.promote(second)
    assert governed.places() == {first.version: PASSED, second.version: (None, ())}
    assert len(governed.ledger.entries(kind="promotion")) == 1
    states = [statement_of(entry.envelope)["predicate"]["state"] for entry in governed.ledger.entries(kind="intent")]
    assert states == ["opened", "opened", "abandoned"]
    assert governed.reconcile().open == ()


def test_another_version_goes_over_an_interrupted_one(governed: Governed) -> None:
    first, second, third = (governed.candidate(weight) for weight in (1.0, 2.0, 3.0))
    governed.promote(first)
    assert run_child(governed, second.version, 3) == -signal.SIGKILL  # only the stage has been moved
    governed.promote(third)
    assert governed.places() == {
        first.version: ("Archived", ()),
        second.version: ("Archived", ()),
        third.version: PASSED,
    }
    states = [statement_of(entry.envelope)["predicate"]["state"] for entry in governed.ledger.entries(kind="intent")]
    assert states == ["opened", "opened", "opened", "abandoned"]


def test_promoting_again_records_nothing_new_but_a_decision(governed: Governed) -> None:
    version = governed.candidate()
    done = governed.promote(version)
    again = governed.promote(version)
    assert (again.moved, again.record) == ({}, done.record)
    assert governed.kinds()[-1] == "decision"


def test_a_version_that_comes_back_is_promoted_anew(governed: Governed) -> None:
    first, second = governed.candidate(1.0), governed.candidate(2.0)
    for version in (first, second, first):
        governed.promote(version)
    assert len(governed.ledger.entries(kind="promotion")) == 3
    assert governed.places()[first.version] == PASSED
    assert governed.explain(governed.now(first)).allowed
    superseded = governed.explain(governed.now(second))
    assert [code for code, _ in superseded.reasons] == ["promotion.superseded"]


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_two_at_once_are_serialised_and_the_loser_decides_anew(
    governed: Governed, backend: str, request: pytest.FixtureRequest
) -> None:
    if backend == "postgresql":
        from sqlalchemy.engine import make_url

        url = make_url(request.getfixturevalue("postgres")).set(password=PASSWORD)
        governed.ledger_url = url.render_as_string(hide_password=False)
    policy = governed.policy_file.read_text()
    governed.policy_file.write_text(
        policy.replace("roc_auc: {min: 0.75}", "roc_auc: {min: 0.75}, roc_auc_vs_champion: {min_change: -0.01}")
    )
    versions = [governed.register(weight) for weight in (1.0, 2.0)]
    for version in versions:
        governed.judge(version)
        compared_with_nobody(governed, version)
    ends: dict[str, Any] = {}

    def go(version: Any) -> None:
        try:
            ends[version.version] = governed.promote(version)
        except PromotionRefused as error:
            ends[version.version] = error

    threads = [threading.Thread(target=go, args=(version,)) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    (winner,) = [number for number, end in ends.items() if not isinstance(end, PromotionRefused)]
    (loser,) = [end for end in ends.values() if isinstance(end, PromotionRefused)]
    assert "comparison.stale" in {code for code, _ in loser.reasons}
    assert governed.places()[winner] == PASSED
    mine = governed.ledger.entries(kind="promotion", model=governed.model)
    assert len(mine) == 1


def test_whoever_waits_too_long_may_try_again(governed: Governed) -> None:
    with (
        governed.ledger.exclusive("the model x", timeout=1),
        raises_code(DependencyError, "ledger.lock_busy"),
        governed.ledger.exclusive("the model x", timeout=0.5),
    ):
        pass
    with governed.ledger.exclusive("the model x", timeout=1) as confirm:
        confirm()


def test_rollback_goes_to_the_newest_version_that_holds(governed: Governed) -> None:
    first, second, third = (governed.candidate(weight) for weight in (1.0, 2.0, 3.0))
    for version in (first, second, third):
        governed.promote(version)
    spoil(governed.artifact(second))
    done = governed.roll_back("complaints from branch offices")
    assert done.model.version == first.version
    assert governed.places()[first.version] == PASSED
    assert governed.places()[third.version] == ("Archived", ())
    answer = governed.explain(governed.now(first))
    assert answer.allowed, answer.reasons
    assert "rolled back to 'production'" in answer.facts[-1]
    assert "complaints from branch offices" in answer.facts[-1]
    taken_back = governed.explain(governed.now(third))
    assert [code for code, _ in taken_back.reasons] == ["promotion.superseded"]
    with refuses("promotion.withdrawn"):
        governed.promote(third)
    governed.judge(third)
    governed.promote(third)
    assert governed.places()[third.version] == PASSED


def test_rollback_refuses_where_nothing_holds(governed: Governed) -> None:
    with pytest.raises(PromotionRefused, match="nothing to go back to"):
        governed.roll_back()
    first, second = governed.candidate(1.0), governed.candidate(2.0)
    governed.promote(first)
    with refuses("rollback.missing"):
        governed.roll_back()
    governed.promote(second)
    governed.judge(first, auc=0.5)
    with pytest.raises(PromotionRefused, match="performance is FAIL since"):
        governed.roll_back()
    with refuses("rollback.missing", "version 9"):
        governed.roll_back(to="9")
    with raises_code(ConfigurationError, "rollback.reason_missing"):
        governed.roll_back("  ")
    assert governed.places()[second.version] == PASSED


@pytest.mark.parametrize("kill_after", range(1, 5))
def test_a_rollback_that_is_killed_goes_on(governed: Governed, kill_after: int) -> None:
    first, second = governed.candidate(1.0), governed.candidate(2.0)
    governed.promote(first)
    governed.promote(second)
    # intent, stage, alias, record
    assert run_child(governed, "1", kill_after, "rollback") == -signal.SIGKILL
    if kill_after < 4:
        governed.roll_back()
    assert governed.places() == {first.version: PASSED, second.version: ("Archived", ())}
    assert len(governed.ledger.entries(kind="promotion")) == 3


def test_a_rollback_that_was_killed_and_is_refused_now_is_given_up(governed: Governed) -> None:
    first, second = governed.candidate(1.0), governed.candidate(2.0)
    governed.promote(first)
    governed.promote(second)
    assert run_child(governed, "1", 2, "rollback") == -signal.SIGKILL  # the stage has been moved
    governed.judge(first, auc=0.5)
    with pytest.raises(PromotionRefused, match="performance is FAIL since"):
        governed.roll_back()
    assert governed.places()[second.version] == PASSED
    assert statement_of(governed.ledger.entries(kind="intent")[-1].envelope)["predicate"]["state"] == "abandoned"
    assert governed.reconcile().open == ()


def test_what_is_said_of_the_version_to_go_back_to_is_decided_on_till_the_end(
    governed: Governed, monkeypatch: pytest.MonkeyPatch
) -> None:
    governed.policy_file.write_text(governed.policy_file.read_text() + "        rollback: required\n")
    first, second = governed.candidate(1.0), governed.candidate(2.0)
    governed.promote(first)
    announce = Mover._announce

    def meanwhile(self: Mover, *given: Any) -> Any:
        governed.judge(first, auc=0.5)
        return announce(self, *given)

    monkeypatch.setattr(Mover, "_announce", meanwhile)
    with refuses("rollback.missing"):
        governed.promote(second)
    assert governed.places() == {first.version: PASSED, second.version: (None, ())}


def test_promotion_is_refused_where_no_rollback_target_holds(governed: Governed) -> None:
    governed.policy_file.write_text(governed.policy_file.read_text() + "        rollback: required\n")
    first, second, third = (governed.candidate(weight) for weight in (1.0, 2.0, 3.0))
    governed.promote(first)
    governed.promote(second)
    spoil(governed.artifact(second))
    governed.promote(third)  # the first would do
    spoil(governed.artifact(first))
    fourth = governed.candidate(4.0)
    governed.promote(fourth)  # the third would do
    spoil(governed.artifact(third))
    spoil(governed.artifact(fourth))
    with refuses("rollback.missing"):
        governed.promote(governed.candidate(5.0))


def test_a_moved_registry_that_does_not_read_back_is_an_error(
    governed: Governed, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_mlgov.errors import EvidenceError

    version = governed.candidate()
    monkeypatch.setattr(MlflowRegistry, "set_alias", lambda *_, **__: None)
    with raises_code(EvidenceError, "registry.not_read_back"):
        governed.promote(version)
    assert "promotion" not in governed.kinds()
    monkeypatch.undo()
    assert governed.promote(version).moved["alias"] == {"to": "champion", "previous": None}


def test_the_policy_is_kept_once_and_forged_copies_do_not_count(governed: Governed) -> None:
    from airflow_mlgov.evidence.statements import PolicyStatement
    from airflow_mlgov.release.case import build_case

    version = governed.candidate()
    case = build_case(governed.desk("promotion"), version, "production")
    forged = PolicyStatement.of(case.decision.bundle_digest, {"mlgov.yaml": "anything goes"}, governed.context())
    governed.attest("fairness", forged)
    governed.promote(version)
    governed.promote(governed.candidate(2.0))
    kept = [
        entry
        for entry in governed.ledger.entries(kind="policy")
        if "anything goes" not in str(statement_of(entry.envelope))
    ]
    assert len(kept) == 1


def compared_with_nobody(governed: Governed, version: Any) -> None:
    """What the gate says of a first version: no champion to compare with."""
    from airflow_mlgov.evidence.statements import GateStatement
    from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Severity

    bound = Bound(min=0.75)
    checks = (
        Check("roc_auc", Outcome.PASS, 0.8, bound),
        Check("roc_auc_vs_champion", Outcome.INCONCLUSIVE, 0.0, severity=Severity.INFO),
    )
    result = GateResult("performance", governed.registry.subject(version), checks)
    governed.attest("performance", GateStatement.of(result, replace(governed.context())))
