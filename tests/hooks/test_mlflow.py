"""The MLflow hook: where its credentials come from, and what a DAG author's own MLflow calls see."""

import os

import mlflow
import pytest
from sklearn.linear_model import LogisticRegression

from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError
from airflow_mlgov.evidence.digests import hash_tree
from airflow_mlgov.hooks.mlflow import MlflowHook
from tests.codes import raises_code
from tests.fixtures.mlflow_server import MlflowServer
from tests.fixtures.openbao import OpenBaoServer


@pytest.fixture
def connected(mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> MlflowServer:
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", mlflow_server.connection())
    return mlflow_server


@pytest.fixture
def in_vault(mlflow_server: MlflowServer, openbao: OpenBaoServer, monkeypatch: pytest.MonkeyPatch) -> OpenBaoServer:
    """The credentials of the duty ``promotion`` are in OpenBao, under an AppRole of its own."""
    openbao.put_secret("mlflow/promotion", {"username": mlflow_server.username, "password": mlflow_server.password})
    policy = 'path "secret/data/mlflow/promotion" { capabilities = ["read"] }'
    role_id, secret_id = openbao.make_approle("mlflow-promotion", policy)
    monkeypatch.setenv("AIRFLOW_CONN_VAULT_PROMOTION", openbao.connection(login=role_id, password=secret_id))
    extra = {"vault_path": "mlflow/{duty}", "vault_conn_id": "vault_{duty}", "vault_mount": "secret"}
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", mlflow_server.connection(**extra))
    return openbao


def test_credentials_of_the_connection(connected):
    hook = MlflowHook()
    assert hook.test_connection() == (True, "MLflow answers and knows this identity")
    assert hook.registry().uri == connected.url
    assert hook.get_conn() is hook.registry()


def test_a_first_try_goes_by_mlflows_own_variables(mlflow_server, monkeypatch):
    with raises_code(ConfigurationError, "connection.missing", match="`airflow connections add mlflow_default"):
        MlflowHook().registry()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.url)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", mlflow_server.username)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", mlflow_server.password)
    assert MlflowHook().test_connection()[0]
    with raises_code(ConfigurationError, "connection.missing", match="mlflow_prod"):
        MlflowHook("mlflow_prod").registry()  # who names one, means it


def test_credentials_from_vault(in_vault, mlflow_server):
    assert MlflowHook(duty="promotion").test_connection()[0]
    with raises_code(ConfigurationError, "connection.no_duty"):
        MlflowHook().registry()


def test_a_vault_secret_that_is_none(in_vault):
    in_vault.put_secret("mlflow/promotion", {"user": "x", "password": "hidden-value"})
    with raises_code(ConfigurationError, "connection.secret", match="holds password, user") as c:
        MlflowHook(duty="promotion").registry()
    assert "hidden-value" not in str(c.value)


def test_an_identity_of_another_duty_may_not_read_it(in_vault, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_VAULT_FAIRNESS", os.environ["AIRFLOW_CONN_VAULT_PROMOTION"])
    with raises_code(AccessError, "vault.refused", match="'mlflow/fairness'"):
        MlflowHook(duty="fairness").registry()


def test_the_authors_own_calls_are_signed_in_and_nothing_stays_behind(connected, tmp_path):
    before = dict(os.environ)
    model = LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
    with MlflowHook().tracking() as registry:
        changed = {name: value for name, value in os.environ.items() if before.get(name) != value}
        assert changed == {
            "MLFLOW_TRACKING_AUTH": "mlgov",
            "MLFLOW_TRACKING_URI": connected.url,
            "MLFLOW_REGISTRY_URI": connected.url,
        }
        with mlflow.start_run() as run:
            mlflow.sklearn.log_model(model, name="model", pip_requirements=["scikit-learn"])
        version = registry.register("of-the-author", run.info.run_id)
        path = mlflow.artifacts.download_artifacts(f"models:/of-the-author/{version.version}", dst_path=str(tmp_path))
        assert hash_tree(path, exclude={"registered_model_meta"}) == registry.digest(version)
    assert dict(os.environ) == before
    assert mlflow.get_tracking_uri() != connected.url
    assert mlflow.get_registry_uri() != connected.url


def test_what_was_set_before_is_put_back(connected, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mine.db")
    inside = []

    def fails():
        with MlflowHook().tracking():
            inside.append(mlflow.get_tracking_uri())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert inside == [connected.url]
    assert mlflow.get_tracking_uri() == f"sqlite:///{tmp_path}/mine.db"
    assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path}/mine.db"
    mlflow.set_tracking_uri(None)


@pytest.mark.parametrize(
    ("connection", "uri"),
    [
        ({"host": "https://mlflow.example/base/"}, "https://mlflow.example/base"),
        ({"host": "mlflow.example", "port": 5000, "schema": "http"}, "http://mlflow.example:5000"),
        ({"host": "mlflow.example"}, "https://mlflow.example"),
        ({"host": "sqlite:////tmp/mlflow.db"}, "sqlite:////tmp/mlflow.db"),
    ],
)
def test_addresses(connection, uri, monkeypatch):
    import json

    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", **connection}))
    assert MlflowHook().registry().uri == uri


def test_what_a_connection_lacks(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", '{"conn_type": "mlflow"}')
    with raises_code(ConfigurationError, "connection.no_host"):
        MlflowHook().registry()
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", '{"conn_type": "mlflow", "host": "http://h", "login": "me"}')
    ok, message = MlflowHook().test_connection()
    assert not ok
    assert "one of them is missing" in message


def test_down_is_a_failed_test_without_the_password(monkeypatch):
    connection = '{"conn_type": "mlflow", "host": "http://127.0.0.1:9", "login": "me", "password": "unseen-pw"}'
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", connection)
    ok, message = MlflowHook().test_connection()
    assert not ok
    assert "127.0.0.1:9 is down" in message
    assert "unseen-pw" not in message
    with pytest.raises(DependencyError):
        MlflowHook().registry().ping()
