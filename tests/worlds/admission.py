"""A cluster's door: reviews as an API server sends them, a bundle with rules for two namespaces, certificates, and
``mlgov admission`` itself."""

from __future__ import annotations

import copy
import json
import shutil
import ssl
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx

from airflow_mlgov.addresses import RegistryIdentity
from airflow_mlgov.admission.bundle import stamp
from airflow_mlgov.admission.opa import OpaServer
from airflow_mlgov.admission.review import read_review
from airflow_mlgov.admission.server import Door
from airflow_mlgov.admission.standing import Standings
from airflow_mlgov.demo.servers import LOOPBACK, ManagedProcess, binary, free_port
from airflow_mlgov.evidence.ledger import open_ledger
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.registry.protocol import ModelVersion
from tests.fixtures.certificates import strict
from tests.fixtures.mlflow_server import MlflowServer
from tests.worlds.governed import Governed

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BUNDLE = DEPLOY / "opa" / "bundle"
TOOL = f"registry.example/mlgov@sha256:{'0' * 64}"
RUNTIME = f"registry.example/mlserver@sha256:{'1' * 64}"
STRANGER = f"registry.example/other@sha256:{'2' * 64}"
ASKS = {"ledger": "postgresql+psycopg://reader@ledger/ledger", "trust": "/etc/mlgov/trust.json",
        "registry": "https://mlflow.example"}  # fmt: skip
ROUTER = f"registry.example/router@sha256:{'3' * 64}"
CONTROLLER = "system:serviceaccount:argo:argo"
NAMESPACES: Mapping[str, Any] = {
    "serving": {
        "environment": "test", "target": "production", "mode": "enforce", "sorts": ["workload"],
        "tools": [TOOL], "runtimes": [RUNTIME], "helpers": [ROUTER], "verify": {**ASKS, "env": ["PGPASSWORD"]},
    },
    "pipelines": {
        "environment": "test", "target": "production", "mode": "enforce", "sorts": ["pipeline"],
        "require": ["performance"], "tools": [TOOL], "controllers": [CONTROLLER],
    },
}  # fmt: skip


def bundle(folder: Path, namespaces: Mapping[str, Any] = NAMESPACES) -> tuple[Path, str]:
    """The shipped rules with rules of one's own for namespaces, and its revision."""
    made = folder / "bundle"
    shutil.copytree(BUNDLE, made)
    (made / "data.json").write_text(json.dumps({"mlgov": {"namespaces": namespaces}}))
    return made, stamp(made)


# -- what is asked ----------------------------------------------------------------------------------------------------


def review(
    body: Mapping[str, Any] | None,
    *,
    operation: str = "CREATE",
    namespace: str = "serving",
    version: str = "admission.k8s.io/v1",
    of: Mapping[str, Any] | None = None,
    **change: Any,
) -> dict[str, Any]:
    """An AdmissionReview of an object.

    :param of: the object whose kind it is, if there is none in it
    """
    known: Mapping[str, Any] = body or of or {}
    group, _, number = str(known["apiVersion"]).rpartition("/")
    kind = {"group": group, "version": number, "kind": known["kind"]}
    request = {
        "uid": str(uuid.uuid4()),
        "kind": kind,
        "resource": {"group": group, "version": number, "resource": f"{known['kind'].lower()}s"},
        "name": known.get("metadata", {}).get("name", ""),
        "namespace": namespace,
        "operation": operation,
        "userInfo": {"username": "alice", "groups": ["system:authenticated"]},
        "object": body,
        "oldObject": None,
        "dryRun": False,
        **change,
    }
    return {"apiVersion": version, "kind": "AdmissionReview", "request": request}


def verifier(reference: str, **change: Any) -> dict[str, Any]:
    """The init container that ``deploy/`` ships."""
    words = ["mlgov", "verify", reference, "--target", "production", "--environment", "test"]
    words += [word for name, value in ASKS.items() for word in (f"--{name}", value)]
    secret = {"secretKeyRef": {"name": "mlgov-ledger", "key": "password"}}
    return {
        "name": "verify",
        "image": TOOL,
        "command": [*words, "--into", "/models/served"],
        "env": [{"name": "PGPASSWORD", "valueFrom": secret}],
        "volumeMounts": [{"name": "model", "mountPath": "/models"}, {"name": "tmp", "mountPath": "/tmp"}],
        **change,
    }


def pod_spec(reference: str, **change: Any) -> dict[str, Any]:
    """A pod that serves what its first init container has verified."""
    return {
        "initContainers": [verifier(reference)],
        "containers": [
            {
                "name": "server",
                "image": RUNTIME,
                "args": ["--model-dir", "/models/served"],
                "volumeMounts": [{"name": "model", "mountPath": "/models", "readOnly": True}],
            }
        ],
        "volumes": [{"name": "model", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
        **change,
    }


def deployment(spec: Mapping[str, Any], kind: str = "Deployment", **metadata: Any) -> dict[str, Any]:
    labels = {"app": "credit"}
    return {
        "apiVersion": {"Rollout": "argoproj.io/v1alpha1", "ReplicationController": "v1"}.get(kind, "apps/v1"),
        "kind": kind,
        "metadata": {"name": "credit", "namespace": "serving", **metadata},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": copy.deepcopy(dict(spec))},
        },
    }


def pod(spec: Mapping[str, Any], **metadata: Any) -> dict[str, Any]:
    found = {"name": "credit-1", "namespace": "serving", **metadata}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": found, "spec": copy.deepcopy(dict(spec))}


def inference_service(uri: str, reference: str | None = None, **predictor: Any) -> dict[str, Any]:
    """KServe's, with the verifier of a reference before it."""
    checks = {} if reference is None else {
        "initContainers": [verifier(reference)],
        "volumes": [{"name": "model", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
    }  # fmt: skip
    model = {"modelFormat": {"name": "mlflow"}, "protocolVersion": "v2", "storageUri": uri}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "credit", "namespace": "serving"},
        "spec": {"predictor": {"model": model, **checks, **predictor}},
    }


def workflow(*tasks: tuple[str, str, str], kind: str = "Workflow", image: str = TOOL, **spec: Any) -> dict[str, Any]:
    """Argo's: ``(name, depends, command)`` of each task."""
    body = {
        "entrypoint": "main",
        "templates": [
            {"name": "main", "dag": {"tasks": [
                {"name": name, "template": name, **({"depends": depends} if depends else {})}
                for name, depends, _ in tasks
            ]}},
            *({"name": name, "container": {"image": image, "command": command.split()}} for name, _, command in tasks),
        ],
        **spec,
    }  # fmt: skip
    wrapped = {"schedule": "0 3 * * 1", "workflowSpec": body} if kind == "CronWorkflow" else body
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": "credit"},
        "spec": wrapped,
    }


GATE = ("gate", "", "mlgov gate performance --data p.csv --label y --score s --bound roc_auc>=0.75")
PROMOTE = ("promote", "gate.Succeeded", "mlgov promote models:/credit/3 --target production")


# -- who answers ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answered:
    """What was answered."""

    uid: str
    allowed: bool
    said: str
    """The refusal, or the warnings."""
    status: int | None

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Answered:
        assert body["kind"] == "AdmissionReview"
        response = body["response"]
        status = response.get("status", {})
        said = status.get("message", "") or "; ".join(response.get("warnings", ()))
        return cls(response["uid"], response["allowed"], said, status.get("code"))


@dataclass
class DoorWorld:
    """The judgement of ``mlgov admission`` in this process, over a real OPA and a real ledger."""

    governed: Governed
    door: Door

    def ask(self, body: Mapping[str, Any] | None, **given: Any) -> Answered:
        asked = review(body, **given)
        found = Answered.read(self.door.judge(read_review(json.dumps(asked).encode())))
        assert found.uid == asked["request"]["uid"]
        return found

    def refused(self, code: str, body: Mapping[str, Any] | None, **given: Any) -> str:
        """Hold that it is refused for a reason of this code; the message."""
        found = self.ask(body, **given)
        assert not found.allowed
        assert f"[{code}]" in found.said or f"({code})" in found.said, found.said
        return found.said

    def admitted(self, body: Mapping[str, Any] | None, **given: Any) -> None:
        found = self.ask(body, **given)
        assert found.allowed, found.said

    def anew(self) -> DoorWorld:
        """After the ledger or the trust root has changed, without the wait."""
        return door_of(self.governed, self.door.opa)


def door_of(governed: Governed, opa: OpaServer, later: timedelta = timedelta()) -> DoorWorld:
    """The door over a governed model.

    :param later: how much later it is than it is
    """
    standings = Standings(
        lambda: open_ledger(governed.ledger_url, create=False),
        governed.trust_file,
        load_policy(governed.policy_file),
        RegistryIdentity.at(governed.registry.uri),
        now=lambda: datetime.now(UTC) + later,
    )
    return DoorWorld(governed, Door(standings, opa))


@dataclass(frozen=True)
class House:
    """A governed model with a version that may serve and one that may not."""

    door: DoorWorld
    promoted: ModelVersion
    other: ModelVersion

    @classmethod
    def build(cls, folder: Path, server: MlflowServer, opa: OpaServer) -> House:
        governed = Governed(folder, server)
        promoted, other = governed.candidate(), governed.register(2.0)
        governed.promote(promoted)
        return cls(door_of(governed, opa), promoted, other)

    def copy(self, folder: Path) -> DoorWorld:
        """The same over a copy of ledger, keys, trust root and policy, which a test may spoil."""
        shutil.copytree(self.door.governed.folder, folder, dirs_exist_ok=True)
        governed = Governed(folder, self.door.governed.server, model=self.door.governed.model)
        return door_of(governed, self.door.door.opa)


# -- the server itself ------------------------------------------------------------------------------------------------


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """An authority, and a certificate with its key that it has signed for this machine."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = datetime.now(UTC)

    def made(name: str, key: Any, issuer: Any, signer: Any, *, authority: bool) -> Any:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = [x509.DNSName("localhost"), x509.IPAddress(ip_address(LOOPBACK))]
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer or subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
        )
        return strict(builder, key.public_key(), signer.public_key(), authority=authority).sign(signer, hashes.SHA256())

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = made("test authority", root_key, None, root_key, authority=True)
    leaf = made("mlgov-admission", key, root.subject, root_key, authority=False)
    authority, chain, secret = folder / "ca.pem", folder / "tls.crt", folder / "tls.key"
    authority.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    chain.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    secret.chmod(0o600)
    return authority, chain, secret


@dataclass(frozen=True)
class Cluster:
    """``mlgov admission`` over TLS, as an API server meets it."""

    url: str
    authority: Path
    process: ManagedProcess

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        context = ssl.create_default_context(cafile=str(self.authority))
        with httpx.Client(base_url=self.url, verify=context, trust_env=False, timeout=30) as client:
            yield client

    def send(self, raw: bytes, **headers: str) -> httpx.Response:
        with self.client() as client:
            return client.post("/validate", content=raw, headers={"Content-Type": "application/json", **headers})

    def ask(self, asked: Mapping[str, Any]) -> Answered:
        answer = self.send(json.dumps(asked).encode())
        assert answer.status_code == 200, answer.text
        return Answered.read(answer.json())


@contextmanager
def running_admission(
    folder: Path, governed: Governed, opa: str, revision: str, more: Sequence[str] = ()
) -> Iterator[Cluster]:
    """The command itself, over TLS."""
    authority, chain, key = certificates(folder)
    port = free_port()
    argv = [binary("mlgov"), "admission", "--ledger", governed.ledger_url,
            "--trust", str(governed.trust_file), "--policy", str(governed.policy_file), "--opa", opa,
            "--bundle-revision", revision, "--tls-cert", str(chain), "--tls-key", str(key), "--port", str(port),
            "--registry", governed.registry.uri, *more]  # fmt: skip
    with ManagedProcess("mlgov admission", argv, folder / "admission.log") as process:
        cluster = Cluster(f"https://{LOOPBACK}:{port}", authority, process)

        def answers() -> bool:
            try:
                with cluster.client() as client:
                    return client.get("/healthz").status_code == 200
            except httpx.TransportError:
                return False

        process.wait_until(answers, timeout=120, poll=0.1)
        yield cluster
