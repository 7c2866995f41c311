"""The manifests of ``deploy/kubernetes`` against Kubernetes' own schemas and each other; Vault's roles in OpenBao."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_mlgov.evidence.signing import duties
from airflow_mlgov.provider_info import get_provider_info
from tests.fixtures.openbao import OpenBaoServer
from tests.worlds.manifests import FOLDER, POD, WORKER, objects

VALUES = "airflow-values.yaml"
OF_OTHERS = {"cert-manager.io/v1"}
"""API versions that are not Kubernetes' own."""


CONFIG = {
    item["metadata"]["name"]: item["data"] for item in objects("governance-worker.yaml") if item["kind"] == "ConfigMap"
}
(CONTAINER,) = POD["containers"]
ENVIRONMENT = {
    **CONFIG[CONTAINER["envFrom"][0]["configMapRef"]["name"]],
    **{item["name"]: item["value"] for item in CONTAINER["env"]},
}
CHART = objects(VALUES)[0]


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.yaml") if path.name != VALUES))
def test_manifests_are_what_kubernetes_takes(name: str) -> None:
    import kubernetes_validate

    known = [item for item in objects(name) if item["apiVersion"] not in OF_OTHERS]
    assert known or name == "certificate.yaml"
    for item in known:
        kubernetes_validate.validate(item, kubernetes_validate.latest_version(), strict=True)


def test_the_worker_has_an_identity_for_vault_and_for_nothing_else() -> None:
    account = WORKER["ServiceAccount"]
    assert POD["serviceAccountName"] == account["metadata"]["name"]
    assert POD["automountServiceAccountToken"] is account["automountServiceAccountToken"] is False
    (token,) = [volume for volume in POD["volumes"] if volume["name"] == "vault-token"]
    (source,) = token["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == "vault"

    connections = json.loads(CONFIG["mlgov-connections"]["connections.json"])
    assert not [name for name, item in connections.items() if item.get("password")]
    vault = connections[ENVIRONMENT["AIRFLOW__MLGOV__VAULT_CONN_ID"]]["extra"]
    (mounted,) = [item["mountPath"] for item in CONTAINER["volumeMounts"] if item["name"] == "vault-token"]
    assert vault["kubernetes_jwt_path"] == f"{mounted}/{source['serviceAccountToken']['path']}"
    assert vault["kubernetes_role"] == account["metadata"]["name"]


def test_no_worker_has_what_signs_log_ins() -> None:
    assert not [name for name in ENVIRONMENT if "JWT" in name or "SQL_ALCHEMY" in name or "SECRET_KEY" in name]
    off = CHART["enableBuiltInSecretEnvVars"]
    assert off == {"AIRFLOW__API_AUTH__JWT_SECRET": False, "AIRFLOW__API__SECRET_KEY": False}
    holders = {part for part, said in CHART.items() if "JWT_SECRET_CMD" in json.dumps(said)}
    assert holders == {"apiServer", "scheduler"}
    for options in (ENVIRONMENT, {item["name"]: item["value"] for item in CHART["env"]}):
        named = {name.removeprefix("AIRFLOW__MLGOV__").lower() for name in options if "__MLGOV__" in name}
        assert named <= set(get_provider_info()["config"]["mlgov"]["options"])
        assert options["AIRFLOW__MLGOV__QUEUE"] == "governance"
    assert "--queues=governance" in CONTAINER["command"]


def test_policies_let_the_worker_out_to_what_it_names_and_nobody_in() -> None:
    ours, vault = objects("network-policies.yaml")
    assert ours["metadata"]["namespace"] == WORKER["Deployment"]["metadata"]["namespace"]
    assert (ours["spec"]["podSelector"], ours["spec"]["ingress"]) == ({}, [])
    let_in = vault["spec"]["ingress"][0]["from"][0]["namespaceSelector"]["matchLabels"]
    assert let_in == {"kubernetes.io/metadata.name": WORKER["Namespace"]["metadata"]["name"]}


@pytest.mark.slow
def test_vault_gives_the_service_account_its_duties_and_no_more(openbao: OpenBaoServer, tmp_path: Path) -> None:
    beside = Path(sys.executable).parent
    crt = tmp_path / "ca.crt"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-subj", "/CN=cluster", "-keyout", str(tmp_path / "ca.key"), "-out", str(crt)]
    subprocess.run(command, check=True, capture_output=True)
    environment = {
        "PATH": f"{beside}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "BAO_ADDR": openbao.addr,
        "BAO_TOKEN": openbao.root_token,
        "SERVICE_ACCOUNT": "mlgov-promotion",
        "DUTIES": "promotion data_validation",
        "KUBERNETES_CA": str(crt),
    }
    for _ in range(2):  # it may run again
        done = subprocess.run(
            ["sh", str(FOLDER / "vault.sh")], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    role = openbao.client.read("auth/kubernetes/role/mlgov-promotion")["data"]
    assert role["token_policies"] == ["mlgov-promotion", "mlgov-data-validation"]
    assert role["bound_service_account_names"] == ["mlgov-promotion"]
    assert role["bound_service_account_namespaces"] == ["mlgov-governance"]
    assert role["audience"] == "vault"
    kept = openbao.client.sys.read_policy("mlgov-data-validation")["data"]["rules"]
    assert "transit/sign/mlgov-data-validation" in kept
    assert {"promotion", "data_validation"} < set(duties())
