"""One-shot job: initialises OpenBao and gives each duty its key, its policy and its role; makes MLflow's accounts, the
bucket, the ledger and the example's data; writes who may use what to three files of connections. What is there already
stays. Its own token of OpenBao is kept until all is done, and revoked then."""

from __future__ import annotations

import configparser
import json
import os
import secrets
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hvac
import psycopg
import requests

from airflow_mlgov.demo.data import make_data
from airflow_mlgov.demo.world import ACCOUNTS
from airflow_mlgov.evidence.ledger import open_ledger
from airflow_mlgov.evidence.ledger_schema import APPENDED
from airflow_mlgov.evidence.signing import TrustRoot, duties
from airflow_mlgov.vault.policy import key_name, vault_policy
from airflow_mlgov.vault.transit import TransitSigner

ACTIVE = 200
"""What OpenBao's health is when it is unsealed and has won the election among its one node."""
BUCKET = "mlflow"
MODEL = "credit_risk"
Connections = dict[str, dict[str, Any]]


def main() -> None:
    """Furnish what is not furnished yet."""
    state = Path(os.environ["STATE"])  # of this job alone
    done = state / "done"
    vault = Vault(os.environ["OPENBAO_ADDR"], state)
    if done.exists():
        vault.close()
        print("everything is furnished already")
        return
    accounts = mlflow_accounts(os.environ["MLFLOW_ADDR"], state / "accounts.json")
    make_bucket()
    roles = json.loads(Path(os.environ["ROLES_FILE"]).read_text())
    make_ledger(roles)
    vault.furnish(accounts, Path(os.environ["TRUST_ROOT"]))
    write_connections(vault.roles, accounts, roles)
    make_data(Path(os.environ["DATA"]))
    done.touch()
    vault.close()
    print(f"furnished: {', '.join(duties())}")


class Vault:
    """OpenBao, initialised by whoever comes first.

    :param state: a folder where its root token lies until everything is furnished, and where its recovery key stays
    """

    def __init__(self, address: str, state: Path) -> None:
        self.address, self.kept, self.recovery = address, state / "token", state / "recovery_key"
        self.roles: Connections = {}

    @cached_property
    def client(self) -> Any:
        """Signed in with the root token."""
        client = hvac.Client(url=self.address)
        if not client.sys.is_initialized():
            # hvac would send shares of an unseal key too, and this server unseals itself
            recovery = {"recovery_shares": 1, "recovery_threshold": 1}
            answer = requests.put(f"{self.address}/v1/sys/init", json=recovery, timeout=60)
            answer.raise_for_status()
            made = answer.json()
            write_private(self.kept, made["root_token"])
            write_private(self.recovery, made["recovery_keys_base64"][0])
        for _ in range(60):
            if requests.get(f"{self.address}/v1/sys/health", timeout=60).status_code == ACTIVE:
                break
            time.sleep(1)
        client.token = self.kept.read_text()
        return client

    def furnish(self, accounts: Mapping[str, str], trust_root: Path) -> None:
        """Engines, and for each duty its key, its account at MLflow, its policy and its role."""
        sys_, mounted = self.client.sys, self.client.sys.list_mounted_secrets_engines()["data"]
        if "transit/" not in mounted:
            sys_.enable_secrets_engine("transit")
        if "secret/" not in mounted:
            sys_.enable_secrets_engine("kv", path="secret", options={"version": "2"})
        if "approle/" not in sys_.list_auth_methods()["data"]:
            sys_.enable_auth_method("approle")
        trust = TrustRoot()
        for duty in duties():
            trust = trust.with_key(self._duty(duty, accounts), [duty])
        trust.save(trust_root)

    def _duty(self, duty: str, accounts: Mapping[str, str]) -> Any:
        name, account = key_name(duty), ACCOUNTS[duty]
        self.client.secrets.transit.create_key(name, key_type="ed25519")
        login = {"username": account, "password": accounts[account]}
        self.client.secrets.kv.v2.create_or_update_secret(f"mlflow/{duty}", login)
        self.client.sys.create_or_update_policy(name, vault_policy(duty))
        role = self.client.auth.approle
        role.create_or_update_approle(name, token_policies=[name], token_ttl="15m", token_max_ttl="1h")
        where = urlsplit(self.address)
        self.roles[f"mlgov_vault_{duty}"] = {
            "conn_type": "vault",
            "host": where.hostname,
            "port": where.port,
            "schema": "secret",
            "login": role.read_role_id(name)["data"]["role_id"],
            "password": role.generate_secret_id(name)["data"]["secret_id"],
            "extra": {"auth_type": "approle", "kv_engine_version": 2, "use_tls": False},
        }
        return TransitSigner(self.client, name).public_key

    def close(self) -> None:
        """Nobody is root any more."""
        if self.kept.exists():
            self.client.auth.token.revoke_self()
            self.kept.unlink()


def mlflow_accounts(address: str, kept: Path) -> dict[str, str]:
    """Trainer, gates and promoter, who may edit the model, and a reader; their passwords."""
    if not kept.exists():
        names = ("trainer", "gates", "promoter", "auditor")
        write_private(kept, json.dumps({name: secrets.token_urlsafe(24) for name in names}))
    accounts: dict[str, str] = json.loads(kept.read_text())
    admin = configparser.ConfigParser(interpolation=None)
    admin.read(os.environ["MLFLOW_AUTH_CONFIG_PATH"])
    http = requests.Session()
    http.auth = (admin["mlflow"]["admin_username"], admin["mlflow"]["admin_password"])
    post(http, f"{address}/api/2.0/mlflow/registered-models/create", name=MODEL)
    for name, password in accounts.items():
        post(http, f"{address}/api/2.0/mlflow/users/create", username=name, password=password)
        if name != "auditor":
            edit = {"resource_type": "registered_model", "resource_id": MODEL, "permission": "EDIT"}
            post(http, f"{address}/api/3.0/mlflow/users/permissions/grant", username=name, **edit)
    return accounts


def post(http: requests.Session, url: str, **body: Any) -> None:
    """Make something that may be there already."""
    answer = http.post(url, json=body, timeout=60)
    if not answer.ok and "RESOURCE_ALREADY_EXISTS" not in answer.text:
        raise SystemExit(f"MLflow refused {url}: {answer.status_code} {answer.text[:300]}")


def make_bucket() -> None:
    """For MLflow's artifacts; MLflow's server alone has the key."""
    import boto3

    store = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"], region_name="us-east-1")
    if BUCKET not in [one["Name"] for one in store.list_buckets()["Buckets"]]:
        store.create_bucket(Bucket=BUCKET)


def make_ledger(roles: Mapping[str, str]) -> None:
    """Its tables belong to ``ledger_owner``, whom this job alone knows: ``ledger`` appends, ``ledger_reader`` reads."""
    where = urlsplit(os.environ["LEDGER_ADDR"])
    open_ledger(f"postgresql+psycopg://ledger_owner:{roles['ledger_owner']}@{where.netloc}/ledger")
    owner = {"user": "ledger_owner", "password": roles["ledger_owner"], "dbname": "ledger"}
    with psycopg.connect(host=where.hostname, port=where.port, **owner) as database:
        database.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        database.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO ledger, ledger_reader")
        database.execute(f"GRANT INSERT ON {', '.join(APPENDED)} TO ledger")


def write_connections(vault: Connections, accounts: Mapping[str, str], roles: Mapping[str, str]) -> None:
    """Three files: of the governance worker, of the worker of everybody's tasks, and of who only shows."""
    mlflow, ledger = {"conn_type": "mlflow", "host": os.environ["MLFLOW_ADDR"]}, urlsplit(os.environ["LEDGER_ADDR"])

    def ledger_as(role: str) -> dict[str, Any]:
        where = {"host": ledger.hostname, "port": ledger.port, "schema": "ledger"}
        return {"conn_type": "mlgov_ledger", **where, "login": role, "password": roles[role]}

    def mlflow_as(name: str) -> dict[str, Any]:
        return {**mlflow, "login": name, "password": accounts[name]}

    governance = {
        "mlflow_default": {**mlflow, "extra": {"vault_path": "mlflow/{duty}", "vault_conn_id": "mlgov_vault_{duty}"}},
        "mlgov_ledger": ledger_as("ledger"),
        "opa_default": {
            "conn_type": "opa",
            "host": os.environ["OPA_ADDR"],
            "password": Path(os.environ["OPA_TOKEN_FILE"]).read_text().strip(),
            "extra": {"ca": os.environ["OPA_CA"], "timeout": 30},
        },
        **vault,
    }
    files = {
        "GOVERNANCE_CONNECTIONS": governance,
        "WORKER_CONNECTIONS": {"mlflow_default": mlflow_as("trainer")},
        "READER_CONNECTIONS": {"mlflow_default": mlflow_as("auditor"), "mlgov_ledger": ledger_as("ledger_reader")},
    }
    for variable, connections in files.items():
        write_private(Path(os.environ[variable]), json.dumps(connections, indent=2))


def write_private(path: Path, text: str) -> None:
    """For its owner alone."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


if __name__ == "__main__":
    main()
