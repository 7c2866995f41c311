"""The Vault hook against a real OpenBao: logins, secrets, leases, and every way it can be unwell."""

import time

import hvac
import pytest

from airflow_mlgov.duty import Duty
from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError
from airflow_mlgov.hooks.vault import MlgovVaultHook
from airflow_mlgov.vault.errors import vault_errors
from airflow_mlgov.vault.transit import TransitSigner
from tests.codes import raises_code
from tests.fixtures.openbao import SECRET, OpenBaoServer, running_openbao, warehouse

POLICY = """
path "secret/data/team/*" { capabilities = ["read"] }
path "transit/keys/mlgov-fairness" { capabilities = ["read"] }
path "transit/sign/mlgov-fairness" { capabilities = ["update"] }
"""


@pytest.fixture
def approle(server: OpenBaoServer, monkeypatch: pytest.MonkeyPatch) -> MlgovVaultHook:
    role_id, secret_id = server.make_approle("fairness", POLICY)
    monkeypatch.setenv("AIRFLOW_CONN_VAULT_FAIRNESS", server.connection(login=role_id, password=secret_id))
    return MlgovVaultHook("vault_fairness")


@pytest.fixture
def token(server: OpenBaoServer, monkeypatch: pytest.MonkeyPatch) -> MlgovVaultHook:
    monkeypatch.setenv("AIRFLOW_CONN_VAULT_DEFAULT", server.connection())
    return MlgovVaultHook()


@pytest.fixture
def masked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was handed to Airflow's log masking."""
    seen: list[str] = []
    monkeypatch.setattr("airflow_mlgov.hooks.vault.mask_secret", seen.append)
    return seen


def test_approle_reads_what_its_policy_allows(approle, masked):
    assert approle.secret("team/mlflow", "password") == SECRET
    assert approle.secret("team/mlflow")["username"] == "svc"
    assert {SECRET, "svc", "nested-value"} <= set(masked)
    assert approle.test_connection() == (True, "Vault is unsealed and knows this identity")


def test_token_login_and_another_mount(token, server):
    server.client.sys.enable_secrets_engine("kv", path="teams", options={"version": "2"})
    server.put_secret("deep/er", {"k": "v-of-teams"}, mount="teams")
    assert token.secret("deep/er", "k", mount="teams") == "v-of-teams"
    assert token.secret("team/mlflow", "username") == "svc"


def test_a_path_that_the_policy_denies(approle):
    with raises_code(AccessError, "vault.refused", match=r"'other/mlflow'.*policy lacks this path"):
        approle.secret("other/mlflow")


def test_what_is_not_there(token, server):
    with raises_code(ConfigurationError, "vault.no_secret", match="'team/nothing' under the mount 'secret'"):
        token.secret("team/nothing")
    with raises_code(ConfigurationError, "vault.no_key", match="'user', but password, ports, username") as caught:
        token.secret("team/mlflow", "user")
    assert SECRET not in str(caught.value)
    server.put_secret("team/old", {"a": "b"})
    server.client.secrets.kv.v2.delete_latest_version_of_secret("team/old")
    with raises_code(ConfigurationError, "vault.no_secret"):
        token.secret("team/old")


def test_a_wrong_token_and_a_wrong_secret_id(server, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_WRONG", server.connection(password="s.wrong-token"))
    with pytest.raises(AccessError) as caught:
        MlgovVaultHook("wrong").secret("team/mlflow")
    assert "s.wrong-token" not in str(caught.value)
    role_id, _ = server.make_approle("locked", POLICY)
    monkeypatch.setenv("AIRFLOW_CONN_LOCKED", server.connection(login=role_id, password="wrong-secret-id"))
    with raises_code(AccessError, "vault.refused"):
        MlgovVaultHook("locked").secret("team/mlflow")
    assert MlgovVaultHook("locked").test_connection()[0] is False


def test_a_revoked_token_is_refused(server, monkeypatch):
    made = server.client.auth.token.create(ttl="1h")["auth"]["client_token"]
    monkeypatch.setenv("AIRFLOW_CONN_REVOKED", server.connection(password=made))
    hook = MlgovVaultHook("revoked")
    hook.transit_client().auth.token.lookup_self()
    server.client.auth.token.revoke(made)
    with pytest.raises(AccessError):
        hook.secret("team/mlflow")


def test_an_incomplete_connection(monkeypatch):
    monkeypatch.delenv("VAULT_TOKEN", raising=False)
    monkeypatch.setenv("AIRFLOW_CONN_EMPTY", '{"conn_type": "vault", "host": "127.0.0.1"}')
    with raises_code(ConfigurationError, "vault.connection", match=r"'empty'.*requires 'token'"):
        MlgovVaultHook("empty")


def test_down(monkeypatch):
    connection = '{"conn_type": "vault", "host": "127.0.0.1", "port": 9, "password": "tok-of-nobody"}'
    monkeypatch.setenv("AIRFLOW_CONN_DOWN", connection)
    hook = MlgovVaultHook("down")
    with raises_code(DependencyError, "vault.down") as caught:
        hook.secret("team/mlflow")
    assert "tok-of-nobody" not in str(caught.value)
    ok, message = hook.test_connection()
    assert not ok
    assert "cannot be reached" in message


@pytest.mark.server
def test_sealed(tmp_path, monkeypatch):
    with running_openbao(tmp_path) as own:
        role_id, secret_id = own.make_approle("fairness", POLICY)
        monkeypatch.setenv("AIRFLOW_CONN_SEALED", own.connection())
        monkeypatch.setenv("AIRFLOW_CONN_SEALED_ROLE", own.connection(login=role_id, password=secret_id))
        before = MlgovVaultHook("sealed")
        own.make_key("mlgov-fairness")
        signer = TransitSigner(before.transit_client(), "mlgov-fairness")
        own.client.sys.seal()
        for call in (
            lambda: before.secret("team/mlflow"),
            lambda: MlgovVaultHook("sealed_role").secret("team/mlflow"),
            lambda: signer.sign(b"payload"),
        ):
            with raises_code(DependencyError, "vault.down"):
                call()


def test_transit_signs_with_the_own_key_only(approle):
    signer = TransitSigner(approle.transit_client(), "mlgov-fairness")
    signer.public_key.verify_signature(signer.sign(b"payload"), b"payload")
    with pytest.raises(AccessError):
        TransitSigner(approle.transit_client(), "mlgov-promotion")


@pytest.mark.parametrize("logins", [0, 1])
def test_a_token_that_runs_out_in_a_task(server, monkeypatch, logins):
    """The duty logs in again, unless its secret id is good for one log-in."""
    role_id, secret_id = server.make_approle("hasty", POLICY, token_ttl="1s", secret_id_num_uses=logins)
    monkeypatch.setenv("AIRFLOW_CONN_VAULT_HASTY", server.connection(login=role_id, password=secret_id))
    monkeypatch.setenv("AIRFLOW__MLGOV__SIGN", "vault:mlgov-{duty}")
    monkeypatch.setenv("AIRFLOW__MLGOV__VAULT_CONN_ID", "vault_hasty")
    signer = Duty("fairness").signer
    signer.public_key.verify_signature(signer.sign(b"payload"), b"payload")
    time.sleep(1.5)
    if logins:
        with raises_code(AccessError, "vault.refused") as caught:
            signer.sign(b"payload")
        assert secret_id not in str(caught.value)
    else:
        signer.public_key.verify_signature(signer.sign(b"later"), b"later")


@pytest.mark.parametrize("logins", [0, 1])
def test_a_hook_whose_token_ran_out_logs_in_again_for_a_secret(server, monkeypatch, logins):
    role_id, secret_id = server.make_approle("hasty", POLICY, token_ttl="1s", secret_id_num_uses=logins)
    monkeypatch.setenv("AIRFLOW_CONN_VAULT_HASTY", server.connection(login=role_id, password=secret_id))
    hook = MlgovVaultHook("vault_hasty")
    assert hook.secret("team/mlflow", "password") == SECRET
    time.sleep(1.5)
    if logins:
        with raises_code(AccessError, "vault.refused"):
            hook.secret("team/mlflow", "password")
    else:
        assert hook.secret("team/mlflow", "password") == SECRET


def test_a_transit_key_that_is_not_there(token):
    with raises_code(ConfigurationError, "vault.no_path", match="'mlgov-nothing'"):
        TransitSigner(token.transit_client(), "mlgov-nothing")


def test_other_answers_map_too():
    for raised, ours, code in (
        (hvac.exceptions.InternalServerError("x"), DependencyError, "vault.down"),
        (hvac.exceptions.BadGateway("x"), DependencyError, "vault.down"),
        (hvac.exceptions.UnsupportedOperation("x"), ConfigurationError, "vault.invalid"),
    ):
        with raises_code(ours, code), vault_errors("try"):
            raise raised


def signs_in(database: str, username: str, password: str) -> bool:
    import psycopg

    try:
        with psycopg.connect(database, user=username, password=password) as connection:
            return connection.execute("select current_user").fetchone() == (username,)
    except psycopg.Error:  # while it signs in it may be dropped
        return False


def test_database_credentials_live_as_long_as_the_block(token, database, masked):
    with token.database_credentials("reader") as credentials:
        username, password = credentials
        assert signs_in(database, username, password)
        assert password in masked
        assert password not in repr(credentials)
        assert credentials.lease_seconds == 300
    assert not signs_in(database, username, password)


def test_the_lease_is_revoked_when_the_block_fails(token, database):
    with pytest.raises(ZeroDivisionError), token.database_credentials("reader") as (username, password):
        raise ZeroDivisionError
    assert not signs_in(database, username, password)


def test_a_revoke_that_fails_is_logged_and_does_not_hide_the_work(token, database, server, capfd):
    made = server.client.auth.token.create(ttl="1h")["auth"]["client_token"]
    token.transit_client().token = made
    with token.database_credentials("reader") as credentials:
        server.client.auth.token.revoke(made)
    said = "".join(capfd.readouterr())
    assert "cannot revoke the lease of the role 'reader'" in said
    assert "drops the user by itself in 300 s" in said
    assert credentials.password not in said


def test_a_vault_that_is_sealed_at_the_end_drops_the_user_by_itself(tmp_path, postgres, monkeypatch):
    with running_openbao(tmp_path) as own:
        where = warehouse(own, postgres, default_ttl="2s", max_ttl="3s")
        monkeypatch.setenv("AIRFLOW_CONN_SEALED_LATER", own.connection())
        with MlgovVaultHook("sealed_later").database_credentials("reader") as (username, password):
            assert signs_in(where, username, password)
            own.client.sys.seal()
        own.client.sys.submit_unseal_key(own.unseal_key)
        ends = time.monotonic() + 30
        while signs_in(where, username, password) and time.monotonic() < ends:
            time.sleep(0.5)
        assert not signs_in(where, username, password)
        with pytest.raises(hvac.exceptions.InvalidPath):
            own.client.sys.list_leases("database/creds/reader")


def test_a_role_that_is_not_there(token, approle, database):
    with pytest.raises(ConfigurationError, match="'nobody'"), token.database_credentials("nobody"):
        pass
    with raises_code(AccessError, "vault.refused", match="'reader'"), approle.database_credentials("reader"):
        pass
