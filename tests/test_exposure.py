"""What a process can see of the API server's secrets, from the environment and a real airflow.cfg."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_mlgov.exposure import api_secret_source, everybody_is_admin, exposures, signable

VALUE = "geheim-" * 8


@pytest.fixture(autouse=True)
def cfg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Airflow would read airflow.cfg; not there yet."""
    monkeypatch.setenv("AIRFLOW_CONFIG", str(tmp_path / "airflow.cfg"))
    return tmp_path / "airflow.cfg"


def test_the_generated_default_is_none_of_the_api_servers(cfg: Path) -> None:
    assert api_secret_source() is None
    assert exposures() == []
    cfg.write_text("[api_auth]\njwt_secret =\n[core]\nexecutor = CeleryExecutor\n")
    assert api_secret_source() is None


@pytest.mark.parametrize("form", ["", "_CMD", "_SECRET"])
def test_the_environment(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    variable = f"AIRFLOW__API_AUTH__JWT_SECRET{form}"
    monkeypatch.setenv(variable, VALUE)
    assert api_secret_source() == variable
    ((problem, mend),) = exposures()
    assert variable in problem
    assert "workers of their own" in mend
    assert VALUE not in problem + mend
    monkeypatch.setenv(variable, "")
    assert api_secret_source() is None


@pytest.mark.parametrize("form", ["", "_cmd", "_secret"])
def test_airflow_cfg(cfg: Path, form: str) -> None:
    cfg.write_text(f"[api_auth]\njwt_secret{form} = touch {cfg.parent / 'ran'} 100%\n")
    assert api_secret_source() == "airflow.cfg"
    assert not (cfg.parent / "ran").exists()


def test_airflow_cfg_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONFIG")
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    assert api_secret_source() is None
    (tmp_path / "airflow.cfg").write_text(f"[api_auth]\njwt_secret = {VALUE}\n")
    assert api_secret_source() == "airflow.cfg"


@pytest.mark.slow
def test_the_airflow_cfg_that_airflow_itself_writes_counts(cfg: Path) -> None:
    """On one machine all components share it, tasks too."""
    environment = {**os.environ, "AIRFLOW__CORE__UNIT_TEST_MODE": "False"}
    command = [sys.executable, "-m", "airflow", "config", "get-value", "core", "executor"]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
    assert cfg.exists()
    assert api_secret_source() == "airflow.cfg"


def test_a_private_key_takes_the_secrets_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "jwt.pem"
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", VALUE)
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_PRIVATE_KEY_PATH", str(key))
    assert api_secret_source() is None
    key.write_text("-----BEGIN")
    assert api_secret_source() == str(key)


@pytest.mark.parametrize(
    ("manager", "all_admins", "expected"),
    [
        (None, "True", True),
        (None, "False", False),
        (None, None, False),
        ("airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager", "True", False),
    ],
)
def test_everybody_is_admin(
    monkeypatch: pytest.MonkeyPatch, manager: str | None, all_admins: str | None, expected: bool
) -> None:
    for name, value in (("AUTH_MANAGER", manager), ("SIMPLE_AUTH_MANAGER_ALL_ADMINS", all_admins)):
        if value is not None:
            monkeypatch.setenv(f"AIRFLOW__CORE__{name}", value)
    assert everybody_is_admin() is expected
    assert [problem.partition(" lets")[0] for problem, _ in exposures()] == [
        "[core] simple_auth_manager_all_admins"
    ] * expected


def test_who_could_be_signed_for_with_key_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    assert [duty for duty, _ in signable(["fairness", "promotion"])] == ["fairness", "promotion"], "one key for all"
    monkeypatch.setenv("AIRFLOW__MLGOV__SIGN", f"local:{tmp_path}/{{duty}}.pem")
    assert list(signable(["fairness", "promotion"])) == []
    (tmp_path / "fairness.pem").write_text("-----BEGIN")
    assert list(signable(["fairness", "promotion"])) == [("fairness", f"the key file {tmp_path}/fairness.pem")]


@pytest.mark.parametrize(
    ("fields", "could"),
    [
        ('"password": "secret-id"', True),
        ('"extra": {"auth_type": "jwt", "jwt_token": "ey"}', True),
        ('"extra": {"auth_type": "kubernetes", "kubernetes_role": "fairness"}', False),
    ],
)
def test_who_could_be_signed_for_with_vault(monkeypatch: pytest.MonkeyPatch, fields: str, could: bool) -> None:
    monkeypatch.setenv("AIRFLOW__MLGOV__SIGN", "vault:mlgov-{duty}")
    monkeypatch.setenv("AIRFLOW__MLGOV__VAULT_CONN_ID", "vault_{duty}")
    monkeypatch.setenv("AIRFLOW_CONN_VAULT_FAIRNESS", f'{{"conn_type": "vault", "host": "v", {fields}}}')
    assert [duty for duty, _ in signable(["fairness", "promotion"])] == ["fairness"] * could
    monkeypatch.setenv("AIRFLOW__MLGOV__VAULT_CONN_ID", "vault_fairness")
    assert [duty for duty, _ in signable(["fairness", "promotion"])] == ["fairness", "promotion"], "one log-in for all"
