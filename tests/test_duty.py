"""The embedded defaults: a first try needs no configuration at all."""

from pathlib import Path

import pytest

from airflow_mlgov.duty import Duty
from airflow_mlgov.errors import ConfigurationError
from tests.codes import raises_code


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
