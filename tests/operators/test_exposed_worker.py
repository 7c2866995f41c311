"""A worker that could forge an approval, or sign for another duty, works on no model of tier high."""

import pytest

from airflow_mlgov.operators.performance import PerformanceGateOperator
from airflow_mlgov.operators.promotion import PromoteModelOperator
from airflow_mlgov.operators.reconcile import ReconcileRegistryOperator
from airflow_mlgov.operators.rollback import RollbackModelOperator
from tests.worlds.release import Release, gated

SECRET = "geheim-" * 8


@pytest.fixture(autouse=True)
def no_airflow_cfg(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONFIG", str(release.folder / "airflow.cfg"))


def tier(release: Release, name: str) -> None:
    policy = release.folder / "mlgov.yaml"
    lines = ["    tier: " + name if "tier:" in line else line for line in policy.read_text().splitlines()]
    policy.write_text("\n".join(lines))


def only(release: Release, duty: str) -> None:
    """Leave a worker the key of one duty."""
    kept = release.folder / "elsewhere"
    kept.mkdir(exist_ok=True)
    for key in [*release.folder.glob("*.pem"), *kept.glob("*.pem")]:
        key.rename((release.folder if key.stem == duty else kept) / key.name)


def test_tier_high_is_worked_on_only_where_no_other_duty_can_be_signed_for(release: Release) -> None:
    tier(release, "high")
    gate = PerformanceGateOperator(task_id="gate", model=release.ref("1"), data=str(release.folder / "good.parquet"))
    release.register()
    end = release.run(gate)
    assert end.state == "failed"
    assert "this worker of the duty performance could sign for" in str(end.error)
    assert "worker.other_duties" in str(end.error)
    only(release, "performance")
    assert release.run(gate).state == "success"

    for duty, task in (("approval", release.ask), ("promotion", lambda: release.promote("1"))):
        only(release, "none")
        for key in ("fairness", duty):
            (release.folder / "elsewhere" / f"{key}.pem").rename(release.folder / f"{key}.pem")
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


@pytest.mark.parametrize("duty", ["performance", "promotion", "rollback", "reconcile"])
def test_no_duty_works_on_tier_high_where_answers_could_be_forged(
    release: Release, monkeypatch: pytest.MonkeyPatch, duty: str
) -> None:
    release.register()
    tier(release, "high")
    only(release, "promotion" if duty == "rollback" else duty)
    data = str(release.folder / "good.parquet")
    task = {
        "performance": lambda: PerformanceGateOperator(task_id="gate", model=release.ref("1"), data=data),
        "promotion": lambda: PromoteModelOperator(task_id="promote", model=release.ref("1"), target="production"),
        "rollback": lambda: RollbackModelOperator(
            task_id="back", model=release.model, target="production", reason="worse"
        ),
        "reconcile": lambda: ReconcileRegistryOperator(task_id="reconcile", revert=True),
    }[duty]
    assert "worker." not in str(release.run(task()).error)

    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", SECRET)
    before = release.ledger.last()
    end = release.run(task())
    assert end.state == "failed"
    assert "[worker.forgeable]" in str(end.error)
    assert "run tasks on workers of their own" in str(end.error)
    assert SECRET not in str(end.error)
    assert release.ledger.last() == before, "nothing was signed"

    tier(release, "medium")
    assert "worker." not in str(release.run(task()).error)
