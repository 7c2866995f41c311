"""A worker that could forge an approval, or sign for another duty, works on no model of tier high."""

from importlib import import_module

import pytest

from airflow_mlgov.operators._of_duty import OfDuty
from airflow_mlgov.operators.approval import ApprovalGateOperator
from airflow_mlgov.operators.audit import EnforceObligationsOperator, PostDeploymentAuditOperator
from airflow_mlgov.operators.base import GateOperator
from airflow_mlgov.operators.monitoring import MonitorModelOperator
from airflow_mlgov.operators.performance import PerformanceGateOperator
from airflow_mlgov.operators.promotion import PromoteModelOperator
from airflow_mlgov.operators.reconcile import ReconcileRegistryOperator
from airflow_mlgov.operators.registration import RegisterModelOperator
from airflow_mlgov.operators.rollback import RollbackModelOperator
from airflow_mlgov.operators.waiver import RequestWaiverOperator
from airflow_mlgov.provider_info import get_provider_info
from tests.fixtures.airflow_runner import TaskEnd
from tests.worlds.release import Release, gated

SECRET = "geheim-" * 8
WORKING = (
    *(ApprovalGateOperator, MonitorModelOperator, PerformanceGateOperator, PostDeploymentAuditOperator),
    *(PromoteModelOperator, ReconcileRegistryOperator, RegisterModelOperator, RequestWaiverOperator),
    RollbackModelOperator,
)


@pytest.fixture(autouse=True)
def no_airflow_cfg(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONFIG", str(release.folder / "airflow.cfg"))


def tier(release: Release, name: str) -> None:
    policy = release.folder / "mlgov.yaml"
    lines = ["    tier: " + name if "tier:" in line else line for line in policy.read_text().splitlines()]
    policy.write_text("\n".join(lines))


def only(release: Release, *duties: str) -> None:
    """Leave a worker the keys of these duties."""
    kept = release.folder / "elsewhere"
    kept.mkdir(exist_ok=True)
    for key in [*release.folder.glob("*.pem"), *kept.glob("*.pem")]:
        key.rename((release.folder if key.stem in duties else kept) / key.name)


def test_tier_high_is_worked_on_only_where_no_other_duty_can_be_signed_for(release: Release) -> None:
    release.register()
    tier(release, "high")
    gate = PerformanceGateOperator(task_id="gate", model=release.ref("1"), data=str(release.folder / "good.parquet"))
    end = release.run(gate)
    assert end.state == "failed"
    assert "this worker of the duty performance could sign for" in str(end.error)
    assert "worker.other_duties" in str(end.error)
    only(release, "performance")
    assert release.run(gate).state == "success"

    for duty, task in (("approval", release.ask), ("promotion", lambda: release.promote("1"))):
        only(release, "fairness", duty)
        assert f"of the duty {duty} could sign for 1 other duties too (fairness by the key file" in str(task().error)
        only(release, duty)
        assert "could sign for" not in str(task().error)


def test_tier_high_asks_only_where_nobody_can_be_impersonated(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    gated(release)
    tier(release, "high")
    only(release, "approval")
    assert release.ask().state == "awaiting_input"

    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", SECRET)
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
    end = release.ask()
    assert end.state == "failed"
    assert type(end.error).__name__ == "AirflowFailException"
    for words in (
        f"{release.model} is of tier high",
        "AIRFLOW__API_AUTH__JWT_SECRET",
        "simple_auth_manager_all_admins",
    ):
        assert words in str(end.error)
    assert SECRET not in str(end.error)
    assert not [item for item in end.sent if type(item).__name__ == "CreateHITLDetailPayload"]

    tier(release, "medium")
    assert release.ask().state == "awaiting_input"


def working(release: Release) -> dict[type[OfDuty], tuple[set[str], OfDuty]]:
    """Of each operator that signs: the duties that it signs for, and a task that comes so far as to work."""
    model, version = release.model, release.ref("1")
    at = {"model": model, "target": "production"}
    live = {**at, "data": {"performance": str(release.folder / "good.parquet")}}
    asked = {"gate": "fairness", "check": "c", "stretch": {"min": 0.1}, "ticket": "R", "risk_owner": "o"}
    tasks = (
        ({"performance"}, PerformanceGateOperator(task_id="t", model=version, data=live["data"]["performance"])),
        ({"promotion"}, PromoteModelOperator(task_id="t", model=version, target="production")),
        ({"promotion"}, RollbackModelOperator(task_id="t", **at, reason="worse")),
        ({"reconcile"}, ReconcileRegistryOperator(task_id="t", revert=True)),
        (
            {"registration"},
            RegisterModelOperator(
                task_id="t", model=model, run_id=release.version.run_id, datasets=[str(release.folder / "train.csv")]
            ),
        ),
        ({"audit"}, PostDeploymentAuditOperator(task_id="t", **live)),
        ({"audit", "reconcile"}, MonitorModelOperator(task_id="t", **live)),
        ({"approval"}, ApprovalGateOperator(task_id="t", model=version, target="production")),
        ({"waiver"}, RequestWaiverOperator(task_id="t", model=version, target="production", reason="r", **asked)),
    )
    return {type(task): (duties, task) for duties, task in tasks}


def signing(of: type[OfDuty] = OfDuty) -> set[type[OfDuty]]:
    """Every class of operators that signs and is no base of others, but for the gates, which are one."""
    for module in get_provider_info()["operators"][0]["python-modules"]:
        import_module(module)
    below = set(of.__subclasses__())
    leaves = {item for child in below for item in (signing(child) or {child})}
    return {item for item in leaves if item.__module__.startswith("airflow_mlgov.")}


def test_every_operator_that_signs_is_held_to_it(release: Release) -> None:
    release.register()
    found = signing()
    gates = {item for item in found if issubclass(item, GateOperator)}
    assert len(gates) > 6
    assert {item.evaluate for item in gates} == {GateOperator.evaluate}, "where they ask"
    assert found - gates - {EnforceObligationsOperator} == set(working(release)) - {PerformanceGateOperator}


@pytest.mark.parametrize("operator", WORKING, ids=lambda operator: operator.__name__)
def test_no_duty_works_on_tier_high_where_answers_could_be_forged(
    release: Release, monkeypatch: pytest.MonkeyPatch, operator: type[OfDuty]
) -> None:
    release.register()
    policy = release.folder / "mlgov.yaml"
    policy.write_text(policy.read_text() + "        monitoring: {gates: [performance]}\n")
    tier(release, "high")
    duties = working(release)[operator][0]
    only(release, *duties)

    def end() -> TaskEnd:
        return release.run(working(release)[operator][1])

    assert "worker." not in str(end().error)

    before = release.ledger.last()
    only(release, *duties, "external")
    assert "could sign for 1 other duties too (external by the key file" in str(end().error)
    only(release, *duties)
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", SECRET)
    ended = end()
    assert ended.state == "failed"
    assert "[worker.forgeable]" in str(ended.error)
    assert "run tasks on workers of their own" in str(ended.error)
    assert SECRET not in str(ended.error)
    assert release.ledger.last() == before, "nothing was signed"

    tier(release, "medium")
    assert "worker." not in str(end().error)


@pytest.mark.parametrize(("does", "duties"), [("alert", []), ("audit", []), ("rollback", ["promotion"])])
def test_who_looks_at_live_data_has_the_duties_that_a_fail_is_answered_with(
    release: Release, does: str, duties: list[str]
) -> None:
    release.register()
    policy = release.folder / "mlgov.yaml"
    policy.write_text(policy.read_text() + f"        monitoring: {{gates: [performance], on_failure: {does}}}\n")
    tier(release, "high")
    only(release, "audit", "reconcile", *duties)
    assert "monitoring.nobody_serves" in str(release.run(working(release)[MonitorModelOperator][1]).error)
    only(release, "audit", "reconcile", "promotion", "fairness")
    told = "of the duties audit, reconcile" + "".join(f", {duty}" for duty in duties)
    assert f"{told} could sign for" in str(release.run(working(release)[MonitorModelOperator][1]).error)
