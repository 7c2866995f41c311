"""A worker that could forge an approval does not ask for one where the policy's tier is high."""

import pytest

from tests.worlds.release import Release, gated

SECRET = "geheim-" * 8


@pytest.fixture(autouse=True)
def no_airflow_cfg(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONFIG", str(release.folder / "airflow.cfg"))


def tier(release: Release, name: str) -> None:
    policy = release.folder / "mlgov.yaml"
    lines = ["    tier: " + name if "tier:" in line else line for line in policy.read_text().splitlines()]
    policy.write_text("\n".join(lines))


def test_tier_high_asks_only_where_nobody_can_be_impersonated(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    tier(release, "high")
    gated(release)
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
