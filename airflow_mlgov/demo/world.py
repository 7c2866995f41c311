"""Sets the demo's stage: identities and keys in OpenBao, accounts in MLflow, connections and users in Airflow. Every
password, key and token is made for this run; none is printed here or put into an environment."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airflow_mlgov.demo import servers
from airflow_mlgov.demo.data import DataFiles, make_data
from airflow_mlgov.demo.servers import Airflow, Mlflow, OpenBao
from airflow_mlgov.errors import ConfigurationError, DependencyError
from airflow_mlgov.evidence.signing import duties

MODEL = "credit_risk"
ENVIRONMENT = "demo"
ACCOUNTS = {
    **dict.fromkeys(duties(), "gates"),
    **{"registration": "trainer", "promotion": "promoter", "reconcile": "promoter"},
}
"""Duty -> the MLflow account whose password lies in its own Vault path."""
USERS = {"admin": "admin", "alice": "user", "olga": "user", "marta": "user"}
"""Airflow users: alice operates the pipeline, olga is the risk officer, marta the manager."""


@dataclass(frozen=True)
class World:
    """Everything that runs, and where it keeps its things."""

    directory: Path
    dags: Path
    data: DataFiles
    openbao: OpenBao
    mlflow: Mlflow
    airflow: Airflow
    accounts: Mapping[str, str] = field(repr=False)
    """MLflow account -> password."""

    @property
    def policy(self) -> Path:
        """The governance policy in force."""
        return self.dags / "include" / "mlgov.yaml"

    @property
    def trust_root(self) -> Path:
        """The public keys, pinned."""
        return self.directory / "trust.json"

    @property
    def ledger(self) -> str:
        """URL of the ledger."""
        return _ledger_url(self.directory)


def build(directory: Path, stack: ExitStack, say: Callable[[str], None]) -> World:
    """Start and furnish all servers; ``stack`` ends them.

    :param say: told what happens, a line each
    :raises DependencyError: a server did not come up, or a part of the demo is not installed
    """
    dags = copy_dags(directory / "dags")
    data = make_data(dags / "include" / "data")
    say(f"real credit decisions: {data.train.name}, {data.test.name} and a broken export in {data.train.parent}")

    openbao = stack.enter_context(servers.start_openbao(directory / "openbao"))
    say(f"OpenBao (Vault-compatible) on {openbao.url}: memory only, initialised and unsealed over its API")
    mlflow = stack.enter_context(servers.start_mlflow(directory / "mlflow"))
    say(f"MLflow on {mlflow.url}: SQLite, basic authentication")
    accounts = make_mlflow_accounts(mlflow)
    say("MLflow accounts trainer, gates, promoter (may edit credit_risk) and auditor (may read)")
    connections = furnish_openbao(openbao, accounts, directory / "trust.json")
    say("OpenBao: per duty one ed25519 key, one MLflow account and one AppRole; public keys pinned in trust.json")
    connections["mlflow_default"] = {
        "conn_type": "mlflow",
        "host": mlflow.url,
        "extra": {"vault_path": "mlflow/{duty}", "vault_conn_id": "mlgov_vault_{duty}"},
    }
    airflow = stack.enter_context(
        servers.start_airflow(
            directory,
            dags_folder=dags,
            users=USERS,
            connections=connections,
            mlgov={
                "policy": str(dags / "include" / "mlgov.yaml"),
                "ledger": _ledger_url(directory),
                "trust_root": str(directory / "trust.json"),
                "sign": "vault:mlgov-{duty}",
                "vault_conn_id": "mlgov_vault_{duty}",
                "mlflow_conn_id": "mlflow_default",
                "environment": ENVIRONMENT,
            },
            # the weekly schedule would start a run of its own at once, in front of the story's
            sections={"scheduler": {"use_job_schedule": "False"}},
        )
    )
    say(f"Airflow on {airflow.url}: scheduler, API server, DAG processor, triggerer; users {', '.join(USERS)}")
    return World(directory, dags, data, openbao, mlflow, airflow, accounts)


_NOT_SHOWN = ("new_version.py", "many_models.py", "taskflow_gates.py")
"""Examples that are no part of the story: they would judge its candidates too."""


def copy_dags(destination: Path) -> Path:
    """The example DAG with its policy and suite, copied so that a run leaves nothing in the source tree."""
    package = Path(str(files("airflow_mlgov")))
    for source in (package / "demo" / "dags", package.parent / "dags"):
        if (source / "credit_risk_retraining.py").is_file():
            shutil.copytree(source, destination, ignore=shutil.ignore_patterns("__pycache__", "data", *_NOT_SHOWN))
            return destination
    raise ConfigurationError(
        "the example DAG is not here: run the demo from a clone of the project", code="demo.not_installed"
    )


def make_mlflow_accounts(mlflow: Mlflow) -> dict[str, str]:
    """Accounts with fresh passwords. MLflow has no right finer than EDIT: whoever may tag a version may also move its
    alias. That is why promotion and ``mlgov verify`` believe the ledger and not the registry."""
    http = servers.http_session()
    http.auth = (mlflow.admin_username, mlflow.admin_password)

    def post(path: str, **body: Any) -> None:
        answer = http.post(f"{mlflow.url}/api/{path}", json=body, timeout=60)
        if not answer.ok:
            raise DependencyError(
                f"MLflow refused {path}: {answer.status_code} {answer.text[:300]}", code="demo.mlflow_refused"
            )

    passwords = {name: secrets.token_urlsafe(18) for name in ("trainer", "gates", "promoter", "auditor")}
    post("2.0/mlflow/registered-models/create", name=MODEL)
    for name, password in passwords.items():
        post("2.0/mlflow/users/create", username=name, password=password)
        if name != "auditor":
            post(
                "3.0/mlflow/users/permissions/grant",
                username=name,
                resource_type="registered_model",
                resource_id=MODEL,
                permission="EDIT",
            )
    return passwords


def furnish_openbao(openbao: OpenBao, accounts: Mapping[str, str], trust_root: Path) -> dict[str, dict[str, Any]]:
    """Mounts, keys, secrets and AppRoles; writes the trust root; returns the Airflow connection of each duty."""
    import hvac

    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.vault.policy import key_name, vault_policy
    from airflow_mlgov.vault.transit import TransitSigner

    client = hvac.Client(url=openbao.url, token=openbao.root_token, session=servers.http_session())
    client.sys.enable_secrets_engine("transit")
    client.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
    client.sys.enable_auth_method("approle")
    trust, connections = TrustRoot(), {}
    for duty in duties():
        name = key_name(duty)
        client.secrets.transit.create_key(name, key_type="ed25519")
        trust = trust.with_key(TransitSigner(client, name).public_key, [duty])
        account = ACCOUNTS[duty]
        client.secrets.kv.v2.create_or_update_secret(
            f"mlflow/{duty}", {"username": account, "password": accounts[account]}
        )
        client.sys.create_or_update_policy(name, vault_policy(duty))
        limits = {"token_ttl": "15m", "token_max_ttl": "1h"}
        client.auth.approle.create_or_update_approle(name, token_policies=[name], **limits)
        connections[f"mlgov_vault_{duty}"] = {
            "conn_type": "vault",
            "host": urlsplit(openbao.url).hostname,
            "port": urlsplit(openbao.url).port,
            "schema": "secret",
            "login": client.auth.approle.read_role_id(name)["data"]["role_id"],
            "password": client.auth.approle.generate_secret_id(name)["data"]["secret_id"],
            "extra": {"auth_type": "approle", "kv_engine_version": 2, "use_tls": False},
        }
    trust.save(trust_root)
    return connections


def prepare_directory(directory: Path) -> Path:
    """An empty folder that only this user can read.

    :raises ConfigurationError: there is something in it
    """
    directory = directory.expanduser().resolve()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(directory.iterdir()):
        raise ConfigurationError(
            f"{directory} is not empty: name a new folder, the demo keeps its ledger there", code="folder.not_empty"
        )
    return directory


def _ledger_url(directory: Path) -> str:
    return f"sqlite:///{directory}/ledger.db"
