"""What ``deploy/`` ships, parsed and held together: names, ports, paths, kinds that the code knows, the examples."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_mlgov.admission.bundle import revision_of, stated_revision
from airflow_mlgov.admission.kinds import KINDS
from airflow_mlgov.admission.opa import OpaServer
from airflow_mlgov.admission.served import digest_of, read_serving
from airflow_mlgov.admission.server import PATH, Limits
from airflow_mlgov.admission.verifying import verifiers
from airflow_mlgov.demo.servers import LOOPBACK, ManagedProcess, free_port
from airflow_mlgov.errors import DependencyError
from airflow_mlgov.pipelines.documents import document_of, read_documents
from airflow_mlgov.strict_files import read_json
from tests.fixtures.opa import WITHOUT_OPA, opa_binary
from tests.worlds.admission import BUNDLE, DEPLOY

RULES = read_json(BUNDLE / "data.json", "rules").content["mlgov"]["namespaces"]
WITH_OPA = pytest.mark.skipif(opa_binary() is None, reason=WITHOUT_OPA)


def objects(name: str) -> dict[str, dict[str, Any]]:
    """Kind -> object."""
    found = yaml.safe_load_all((DEPLOY / name).read_text())
    return {item["kind"]: item for item in found}


SERVER = objects("kubernetes/admission.yaml")
WEBHOOKS = objects("kubernetes/webhook.yaml")["ValidatingWebhookConfiguration"]["webhooks"]
POD = SERVER["Deployment"]["spec"]["template"]["spec"]
ADMISSION, OPA = POD["containers"]


def options(container: dict[str, Any], key: str = "command") -> dict[str, str]:
    return dict(word.removeprefix("--").split("=", 1) for word in container[key] if "=" in word)


def test_a_webhook_that_is_down_lets_nothing_in() -> None:
    for webhook in WEBHOOKS:
        assert webhook["failurePolicy"] == "Fail"
        assert webhook["sideEffects"] == "None"
        assert webhook["matchPolicy"] == "Equivalent"
        assert webhook["admissionReviewVersions"] == ["v1", "v1beta1"]
        assert webhook["timeoutSeconds"] > Limits().seconds
        assert "objectSelector" not in webhook


def test_names_ports_and_paths() -> None:
    service = SERVER["Service"]
    asked = [webhook["clientConfig"]["service"] for webhook in WEBHOOKS]
    where = {"name": service["metadata"]["name"], "namespace": service["metadata"]["namespace"], "path": PATH}
    assert all(one == {**where, "port": service["spec"]["ports"][0]["port"]} for one in asked)
    assert service["spec"]["selector"] == SERVER["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["ports"][0]["targetPort"] == ADMISSION["ports"][0]["name"]
    said = options(ADMISSION)
    assert int(said["port"]) == ADMISSION["ports"][0]["containerPort"]
    assert said["opa"] == f"http://{options(OPA, 'args')['addr']}"
    mounts = {one["name"]: one["mountPath"] for one in ADMISSION["volumeMounts"]}
    assert said["tls-cert"].startswith(mounts["tls"])
    assert said["tls-key"].startswith(mounts["tls"])
    certificate = objects("kubernetes/certificate.yaml")["Certificate"]["spec"]
    (secret,) = [one["secret"]["secretName"] for one in POD["volumes"] if one["name"] == "tls"]
    assert certificate["secretName"] == secret
    assert certificate["dnsNames"][0] == f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"


def test_the_server_runs_with_nothing_it_does_not_need() -> None:
    assert POD["securityContext"]["runAsNonRoot"]
    assert not POD["automountServiceAccountToken"]
    for container in (ADMISSION, OPA):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert digest_of(container["image"])


def test_the_webhooks_cover_every_kind_that_is_judged() -> None:
    covered = {
        (group, version, resource)
        for webhook in WEBHOOKS
        for rule in webhook["rules"]
        for group in rule["apiGroups"]
        for version in rule["apiVersions"]
        for resource in rule["resources"]
        if set(rule["operations"]) == {"CREATE", "UPDATE"}
    }
    for kind, governed in KINDS.items():
        for version in governed.versions:
            for resource in (governed.plural, *(f"{governed.plural}/{one}" for one in governed.subresources)):
                assert (kind.group, version, resource) in covered, f"{kind} {resource}"
    known = {(kind.group, governed.plural) for kind, governed in KINDS.items()}
    assert {(group, resource.partition("/")[0]) for group, _, resource in covered} == known


@WITH_OPA
def test_the_rules_know_the_same_kinds() -> None:
    for sort in ("workload", "pipeline"):
        found = opa("eval", "-d", str(BUNDLE), "-f", "json", f"data.mlgov.admission.{sort}s")
        value = yaml.safe_load(found)["result"][0]["expressions"][0]["value"]
        assert set(value) == {f"{kind.group}/{kind.kind}" for kind, one in KINDS.items() if one.sort == sort}


@WITH_OPA
def test_the_rules_own_tests() -> None:
    opa("check", "--strict", "--bundle", str(BUNDLE))
    assert opa("fmt", "--list", str(DEPLOY / "opa")) == ""
    out = opa("test", str(BUNDLE), str(DEPLOY / "opa" / "tests"))
    assert out.startswith("PASS: ")


@WITH_OPA
def test_opa_starts_as_the_manifest_says(tmp_path: Path) -> None:
    """From a ConfigMap as Kubernetes mounts it, by links to a hidden folder."""
    (tmp_path / "..1").mkdir()
    (tmp_path / "..data").symlink_to("..1")
    opa("build", "--bundle", str(BUNDLE), "--output", str(tmp_path / "..1" / "bundle.tar.gz"))
    (tmp_path / "bundle.tar.gz").symlink_to("..data/bundle.tar.gz")
    (mount,) = [one["mountPath"] for one in OPA["volumeMounts"] if one["name"] == "bundle"]
    port = free_port()
    given = [
        f"--addr={LOOPBACK}:{port}" if word.startswith("--addr=")
        else f"{tmp_path}{word.removeprefix(mount)}" if word.startswith(mount)
        else word
        for word in OPA["args"]
    ]  # fmt: skip
    server = OpaServer(f"http://{LOOPBACK}:{port}", stated_revision(BUNDLE))

    def answers() -> bool:
        try:
            server.check()
        except DependencyError:
            return False
        return True

    with ManagedProcess("opa", [str(opa_binary()), *given], tmp_path / "opa.log") as process:
        process.wait_until(answers, timeout=60, poll=0.1)


def opa(*words: str) -> str:
    done = subprocess.run([str(opa_binary()), *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_the_bundle_bears_its_own_digest() -> None:
    assert stated_revision(BUNDLE) == revision_of(BUNDLE), "python -m airflow_mlgov.admission.bundle deploy/opa/bundle"


@pytest.mark.parametrize("name", ["serving.yaml", "inference-service.yaml"])
def test_the_examples_are_what_the_shipped_rules_ask_for(name: str) -> None:
    path: Path = DEPLOY / "examples" / name
    (body,) = read_documents(path.read_bytes(), name)
    serving = read_serving(document_of(body.value, name))
    assert serving.problems == []
    rules = RULES["serving"]
    (one,) = verifiers(serving)
    assert one.problems == []
    assert one.image in rules["tools"]
    assert set(one.env) <= set(rules["verify"]["env"])
    assert {key: one.options[key] for key in ("ledger", "trust", "registry")} == {
        key: rules["verify"][key] for key in ("ledger", "trust", "registry")
    }
    assert (one.options["target"], one.options["environment"]) == (rules["target"], rules["environment"])
    runtimes = {item.image for item in serving.containers if item.where != one.where}
    assert runtimes <= set(rules["runtimes"])
    assert {volume.kind for volume in serving.volumes} <= {"emptyDir"}
