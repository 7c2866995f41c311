"""An audit that is owed after a FAIL on live data, and the ways around it: other gates, a version that is gone, a
policy that has forgotten the model, a target under another name."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.statements import PromotionStatement
from airflow_mlgov.operators.audit import EnforceObligationsOperator, PostDeploymentAuditOperator
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.release.audit import record_audit
from airflow_mlgov.release.enforcement import Enforcement, enforce
from airflow_mlgov.release.monitoring import record_live
from airflow_mlgov.release.obligations import Obligation, list_obligations
from airflow_mlgov.results import Bound, Check, GateResult
from tests.codes import raises_code
from tests.fixtures.airflow_runner import TaskEnd
from tests.fixtures.mlflow_server import MlflowServer
from tests.worlds.copied import Copied
from tests.worlds.governed import PASSED, Governed
from tests.worlds.release import people

WATCH = "        monitoring: {gates: [performance], on_failure: audit, audit_within: 10d}\n"
FAILED = ("performance", "fairness")


def watched(world: Governed) -> None:
    world.policy_file.write_text(world.policy_file.read_text() + WATCH)


def result(gate: str, version: ModelVersion, world: Governed, auc: float) -> GateResult:
    bound = Bound(min=0.75)
    return GateResult(gate, world.registry.subject(version), (Check("roc_auc", bound.judge(auc), auc, bound),))


def fails_live(world: Governed, version: ModelVersion, *gates: str, days: int = 0) -> Obligation:
    """What is owed after gates have failed on live data."""
    desk = world.desk("audit", issued_at=datetime.now(UTC) + timedelta(days=days))
    watch = desk.policy.model(world.model).target("production").monitoring
    results = [result(gate, version, world, 0.6) for gate in gates]
    record_live(desk, world.registry.subject(version), "production", results, watch)
    return owed(world)[0]


def owed(world: Governed) -> list[Obligation]:
    return list_obligations(world.ledger.walk(), world.trust, datetime.now(UTC), world.model)


def enforced(world: Governed, days: float = 0) -> Enforcement:
    desk = world.desk("promotion", issued_at=datetime.now(UTC) + timedelta(days=days))
    return enforce(desk, warn_within=timedelta(days=3))


def settle(world: Governed, item: Obligation, version: ModelVersion, *gates: str) -> None:
    results = [result(gate, version, world, 0.9) for gate in gates]
    where = {"ledger": world.ledger, "signer": world.signer("audit"), "context": world.context()}
    record_audit(item, results, evidence=(), **where)


def test_an_audit_by_a_gate_that_has_not_failed_settles_nothing(governed: Governed) -> None:
    """Whoever writes the DAG chooses what an audit runs, and not what it is owed for."""
    watched(governed)
    version = governed.candidate()
    governed.promote(version)
    item = fails_live(governed, version, *FAILED)
    for gates in (("performance",), ("fairness",), ("evaluation",), ()):
        with raises_code(ConfigurationError, "audit.gate_missing"):
            settle(governed, item, version, *gates)
    assert [one.state for one in owed(governed)] == ["open"]
    settle(governed, item, version, *FAILED)
    assert [one.state for one in owed(governed)] == ["met"]


def test_a_second_fail_of_another_gate_asks_for_both(governed: Governed) -> None:
    watched(governed)
    version = governed.candidate()
    governed.promote(version)
    first = fails_live(governed, version, "performance")
    item = fails_live(governed, version, "fairness", days=1)
    assert (item.gates, item.due) == (frozenset(FAILED), first.due)
    with raises_code(ConfigurationError, "audit.gate_missing"):
        settle(governed, item, version, "fairness")


def test_many_fails_are_one_audit(governed: Governed) -> None:
    """Nothing piles up while nobody mends it, and the date stays that of the first."""
    watched(governed)
    version = governed.candidate()
    governed.promote(version)
    first = fails_live(governed, version, "performance")
    for number in range(1, 40):
        fails_live(governed, version, "performance", days=number)
    (item,) = owed(governed)
    assert (item.due, item.kind) == (first.due, "monitoring")
    settle(governed, item, version, "performance")
    assert [one.state for one in owed(governed)] == ["met"]


# -- a policy that has forgotten it ------------------------------------------------------------------------------------


def forget(world: Governed) -> None:
    """The policy governs another model instead, with places of its own."""
    text = world.policy_file.read_text().replace(f"  {world.model}:", "  another:")
    text = text.replace("alias: champion", "alias: best").replace("stage: Production", "stage: Staging")
    world.policy_file.write_text(text)


def test_a_model_that_is_taken_out_of_the_policy_owes_what_it_owed_while_it_serves(governed: Governed) -> None:
    watched(governed)
    governed.promote(governed.candidate())
    version = governed.candidate(2.0)
    governed.promote(version)
    fails_live(governed, version, "performance")
    forget(governed)
    (told,) = enforced(governed, days=9).warned
    late = enforced(governed, days=11)
    assert [item.id for item, _ in late.violated] == [told.id]
    assert late.unsettled
    assert "does not govern" in str(late.violated[0][1])

    client = governed.registry
    for alias in client.aliases(governed.model):
        client.delete_alias(governed.model, alias)
    client.transition_stage(governed.now(version), "Archived")
    assert enforced(governed, days=11).violated == ()  # nothing of it serves any more


def test_a_model_that_serves_and_was_taken_out_of_the_policy_is_an_incident(governed: Governed) -> None:
    governed.promote(governed.candidate())
    forget(governed)
    found = [item for item in governed.reconcile().open if item.model.name == governed.model]
    assert [(item.code, item.observed) for item in found] == [("model.ungoverned", "Production, champion")]


def test_a_target_under_another_name_settles_nothing(governed: Governed) -> None:
    watched(governed)
    governed.promote(governed.candidate())
    version = governed.candidate(2.0)
    governed.promote(version)
    fails_live(governed, version, "performance")
    governed.policy_file.write_text(governed.policy_file.read_text().replace("      production:", "      live:"))
    late = enforced(governed, days=11)
    assert [(item.target, str(item.state)) for item, _ in late.violated] == [("production", "overdue")]
    assert late.unsettled


def test_owners_of_the_others_are_told_where_one_model_is_forgotten(
    governed: Governed, monkeypatch: pytest.MonkeyPatch, run_task: Callable[..., TaskEnd], caplog
) -> None:
    watched(governed)
    version = governed.candidate()
    governed.promote(version)
    fails_live(governed, version, "performance", days=-30)
    forget(governed)
    governed.configure(monkeypatch.setenv)
    end = run_task(EnforceObligationsOperator(task_id="enforce"))
    assert end.state == "failed"
    assert "does not govern" in str(end.error)
    assert "the notification could not be made" not in caplog.text


def test_a_model_of_tier_high_is_not_demoted_by_who_could_sign_for_others(
    governed: Governed, monkeypatch: pytest.MonkeyPatch, run_task: Callable[..., TaskEnd]
) -> None:
    """It is said of this model alone; another of a lower tier, which owes the same, is demoted by the same task."""
    watched(governed)
    lower = copy(governed)
    lower.model = f"lower_{governed.model}"
    text = governed.policy_file.read_text()
    head, section = text.split("models:\n")
    higher = section.replace(f"{governed.model}:\n", f"{governed.model}:\n    tier: high\n")
    governed.policy_file.write_text(f"{head}models:\n{higher}{section.replace(governed.model, lower.model)}")
    last = {}
    for world in (governed, lower):
        world.promote(world.candidate())
        last[world.model] = world.candidate(2.0)
        world.promote(last[world.model])
        fails_live(world, last[world.model], "performance", days=-30)
    governed.configure(monkeypatch.setenv)
    end = run_task(EnforceObligationsOperator(task_id="enforce"))
    assert end.state == "failed"
    told = {item["model"]: item["action"] for item in end.xcom["violated"]}
    assert told[governed.model].startswith(f"not demoted: {governed.model} is of tier high")
    assert "[worker." in told[governed.model]
    assert told[lower.model].startswith("rolled back to version 1")
    assert governed.places()[last[governed.model].version] == PASSED
    assert lower.places()["1"] == PASSED


# -- a version that is gone --------------------------------------------------------------------------------------------


def test_an_audit_that_is_owed_on_a_copy_whose_source_is_gone(
    tmp_path: Path, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch, run_task: Callable[..., TaskEnd]
) -> None:
    world = Copied(tmp_path, mlflow_server)
    watched(world)
    version = world.candidate()
    world.promote(version)
    item = fails_live(world, version, "performance")
    with world.registry.calling("delete the whole source") as client:
        client.delete_registered_model(world.model)
    world.configure(monkeypatch.setenv)
    people().rename(columns={"score": "s"}).to_parquet(tmp_path / "live.parquet")
    given = {"model": world.model, "target": "production", "data": {"performance": str(tmp_path / "live.parquet")}}
    end = run_task(PostDeploymentAuditOperator(task_id="audit", version=version.version, **given))
    assert end.state == "success", end.error
    assert [(one["id"], one["verdict"]) for one in end.xcom["audits"]] == [(item.id, "PASS")]
    assert [str(one.state) for one in owed(world)] == ["met"]
    assert world.explain(world.copy("1")).allowed


def test_a_number_that_is_used_again_owes_nothing_and_hides_nothing(
    tmp_path: Path, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch, run_task: Callable[..., TaskEnd]
) -> None:
    """The model is deleted and registered anew: what is audited is what was promoted under the number."""
    world = Copied(tmp_path, mlflow_server)
    watched(world)
    version = world.candidate()
    world.promote(version)
    fails_live(world, version, "performance")
    with world.registry.calling("delete the whole source") as client:
        client.delete_registered_model(world.model)
    assert world.server.register(world.model, 9.0).version == version.version
    world.configure(monkeypatch.setenv)
    people().rename(columns={"score": "s"}).to_parquet(tmp_path / "live.parquet")
    given = {"model": world.model, "target": "production", "data": {"performance": str(tmp_path / "live.parquet")}}
    end = run_task(PostDeploymentAuditOperator(task_id="audit", version=version.version, **given))
    assert [one["verdict"] for one in end.xcom["audits"]] == ["PASS"]
    promoted = [item for item in world.ledger.walk().entries() if item.kind in ("promotion", "audit")]
    assert {item.subject_digest for item in promoted} == {world.registry.digest(world.copy("1"))}


def test_where_something_was_put_is_what_the_ledger_says(governed: Governed) -> None:
    """The promotion's intent names alias and stage; neither tags nor the policy of today are asked."""
    from airflow_mlgov.evidence.verification import only
    from airflow_mlgov.release.places import still_held

    version = governed.candidate()
    governed.promote(version)
    history = governed.desk("promotion").history(governed.ledger.walk(), governed.model)
    (promotion,) = only(history, PromotionStatement)
    assert governed.places()[version.version] == PASSED
    assert still_held(governed.registry, promotion, history) == ("champion", "Production")
    governed.registry.transition_stage(governed.now(version), "Staging")
    assert still_held(governed.registry, promotion, history) == ("champion",)
