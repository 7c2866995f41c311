"""The embedded defaults: a first try needs no configuration at all."""

from pathlib import Path

import pytest

from airflow_mlgov.duty import Duty
from airflow_mlgov.errors import ConfigurationError
from tests.codes import raises_code
from tests.worlds.keys import key_file


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    return tmp_path / "mlgov"


def test_defaults_work_together(home: Path) -> None:
    duty = Duty("fairness")
    keyid = duty.signer.public_key.keyid
    assert [item.key.keyid for item in duty.trust.keys] == [keyid]
    assert duty.ledger.verify()[0] == 0
    assert (home / "ledger.db").exists()
    assert duty.policy is None
    assert duty.vault() is None
    with raises_code(ConfigurationError, "policy.missing"):
        duty.required_policy()


def test_a_pinned_trust_root_is_never_extended(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__MLGOV__TRUST_ROOT", str(home / "pinned.json"))
    assert Duty("fairness").signer
    assert not (home / "trust.json").exists()
    with raises_code(ConfigurationError, "file.missing", match=r"pinned\.json"):
        _ = Duty("fairness").trust


def test_a_vault_signer_without_vault_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__MLGOV__SIGN", "vault:mlgov-{duty}")
    with raises_code(ConfigurationError, "vault.not_configured"):
        _ = Duty("data_validation").signer


POLICY = "version: 1\n{more}models: {{m: {{targets: {{production: {{alias: c, requires: [performance]}}}}}}}}\n"


def test_the_registry_is_the_one_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", '{"conn_type": "mlflow", "host": "HTTP://LocalHost:5000/"}')
    assert Duty("fairness").registry_identity is None
    assert Duty("fairness").mlflow.registry().uri == "http://127.0.0.1:5000"
    monkeypatch.setenv("AIRFLOW__MLGOV__REGISTRY_ID", "http://127.0.0.1:5000")
    assert Duty("fairness").mlflow.registry().uri == "http://127.0.0.1:5000"
    monkeypatch.setenv("AIRFLOW__MLGOV__REGISTRY_ID", "https://mlflow.bank.example")
    with raises_code(ConfigurationError, "registry.other"):
        Duty("fairness").mlflow.registry()
    path = tmp_path / "mlgov.yaml"
    monkeypatch.setenv("AIRFLOW__MLGOV__POLICY", str(path))
    path.write_text(POLICY.format(more="registry_id: bank\nregistry_urls: [http://localhost:5000]\n"))
    with raises_code(ConfigurationError, "registry.id_differs"):
        Duty("fairness").mlflow.registry()
    for same in ("bank", "http://[::1]:5000"):
        monkeypatch.setenv("AIRFLOW__MLGOV__REGISTRY_ID", same)
        assert Duty("fairness").mlflow.registry().uri == "bank"


def test_a_key_file_signs_nothing_in_production(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mlgov.yaml"
    path.write_text(POLICY.format(more="production_environments: [live]\n"))
    monkeypatch.setenv("AIRFLOW__MLGOV__POLICY", str(path))
    assert Duty("fairness").signer
    monkeypatch.setenv("AIRFLOW__MLGOV__ENVIRONMENT", "live")
    for sign in ("", key_file(tmp_path / "key.pem")):
        monkeypatch.setenv("AIRFLOW__MLGOV__SIGN", sign)
        with raises_code(ConfigurationError, "signer.local_in_production"):
            _ = Duty("fairness").signer
