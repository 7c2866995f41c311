"""The hook of an OPA server: what a connection says, and what a task gets of it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_mlgov.duty import Duty
from airflow_mlgov.errors import AccessError, ConfigurationError
from airflow_mlgov.hooks.opa import OpaHook
from airflow_mlgov.rego.decision_log import Logged
from airflow_mlgov.rego.protocol import Bundle
from airflow_mlgov.rego.server import OpaServer
from tests.codes import raises_code
from tests.fixtures.opa_over_tls import OpaServerOfTests
from tests.fixtures.openbao import OpenBaoServer

Connect = Callable[..., None]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    def made(text: str, name: str = "opa_default") -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", text)

    return made


def said(**connection: Any) -> str:
    return json.dumps({"conn_type": "opa", **connection})


def test_a_connection_is_an_engine(opa_over_tls: OpaServerOfTests, connect: Connect) -> None:
    connect(opa_over_tls.connection())
    engine = OpaHook().get_conn()
    assert engine.evaluate(Bundle({"a.rego": "package a\nx := input.n"}), ["data.a.x"], {"n": 3}) == [3]
    good, text = OpaHook().test_connection()
    assert good, text


def test_a_wrong_token_is_told_and_not_shown(opa_over_tls: OpaServerOfTests, connect: Connect) -> None:
    connect(opa_over_tls.connection(password="a-wrong-token"))
    good, text = OpaHook().test_connection()
    assert not good
    assert "check the token" in text
    assert "a-wrong-token" not in text


def test_what_a_connection_may_say(connect: Connect) -> None:
    connect(said(host="opa.example", port=8181))
    assert OpaHook().engine.settings.url == "https://opa.example:8181"
    connect(said(host="127.0.0.1", schema="http", extra={"timeout": "2.5", "bundle": "main"}))
    settings = OpaHook().engine.settings
    assert (settings.url, settings.timeout, settings.bundle) == ("http://127.0.0.1", 2.5, "main")


@pytest.mark.parametrize(
    ("connection", "code"),
    [
        ({}, "connection.no_host"),
        ({"host": "opa.example", "extra": {"certificate": "x"}}, "connection.extra"),
        ({"host": "opa.example", "schema": "http"}, "opa.address"),
        ({"host": "opa.example", "extra": {"timeout": "long"}}, "opa.limit"),
    ],
)
def test_connections_that_are_refused(connect: Connect, connection: dict[str, Any], code: str) -> None:
    connect(said(**connection))
    with pytest.raises(ConfigurationError) as caught:
        OpaHook().get_conn()
    assert caught.value.code == code


def test_a_task_has_the_engine_that_is_configured(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    assert Duty("promotion").engine.name.startswith("regorus")
    monkeypatch.setenv("AIRFLOW__MLGOV__POLICY_ENGINE", "opa")
    monkeypatch.setenv("AIRFLOW__MLGOV__OPA_CONN_ID", "bank_opa")
    connect(said(host="https://opa.example"), "bank_opa")
    assert isinstance(Duty("promotion").engine, OpaServer)
    monkeypatch.setenv("AIRFLOW__MLGOV__DECISION_LOG", str(tmp_path / "log"))
    assert isinstance(Duty("promotion").engine, Logged)
    monkeypatch.setenv("AIRFLOW__MLGOV__POLICY_ENGINE", "guess")
    with pytest.raises(ConfigurationError) as caught:
        _ = Duty("promotion").engine
    assert caught.value.code == "rego.engine_unknown"


@pytest.fixture
def in_vault(opa_over_tls: OpaServerOfTests, openbao: OpenBaoServer, connect: Connect) -> OpenBaoServer:
    """The token of the duty ``promotion`` is in OpenBao, under an AppRole of its own."""
    openbao.put_secret("opa/promotion", {"token": opa_over_tls.token})
    policy = 'path "secret/data/opa/promotion" { capabilities = ["read"] }'
    role_id, secret_id = openbao.make_approle("opa-promotion", policy)
    connect(openbao.connection(login=role_id, password=secret_id), "vault_promotion")
    connect(openbao.connection(login=role_id, password=secret_id), "vault_fairness")
    extra = {"vault_path": "opa/{duty}", "vault_conn_id": "vault_{duty}", "vault_mount": "secret"}
    connect(opa_over_tls.connection(password="of-nobody", **extra))
    return openbao


def test_a_token_from_vault(in_vault: OpenBaoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    good, text = OpaHook(duty="promotion").test_connection()
    assert good, text
    monkeypatch.setenv("AIRFLOW__MLGOV__POLICY_ENGINE", "opa")
    engine = Duty("promotion").engine
    assert engine.evaluate(Bundle({"a.rego": "package a\nx := input.n"}), ["data.a.x"], {"n": 3}) == [3]
    assert "opa-token" not in repr(OpaHook(duty="promotion").engine.settings)


def test_a_secret_in_vault_without_a_token(in_vault: OpenBaoServer) -> None:
    for secret in ({"password": "hidden-value"}, {"token": ""}, {"token": 7}):
        in_vault.put_secret("opa/promotion", secret)
        with raises_code(ConfigurationError, "connection.secret", match="must hold token") as caught:
            OpaHook(duty="promotion").get_conn()
        assert "hidden-value" not in str(caught.value)


def test_the_token_of_another_duty(in_vault: OpenBaoServer) -> None:
    with raises_code(AccessError, "vault.refused", match="opa/fairness"):
        OpaHook(duty="fairness").get_conn()
    with raises_code(ConfigurationError, "connection.no_duty"):
        OpaHook().get_conn()
