"""Ways past the cluster's door: each object as an API server would ask about it, judged over a real ledger by a real
OPA with the shipped rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_mlgov.admission.opa import OpaServer
from airflow_mlgov.evidence.signing import TrustRoot, duties
from airflow_mlgov.evidence.statements import ProvenanceStatement
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.results import Subject
from tests.fixtures.mlflow_server import MlflowServer
from tests.worlds.admission import (
    CONTROLLER,
    GATE,
    PROMOTE,
    ROUTER,
    RUNTIME,
    STRANGER,
    TOOL,
    DoorWorld,
    House,
    deployment,
    door_of,
    inference_service,
    pod,
    pod_spec,
    verifier,
    workflow,
)
from tests.worlds.exceptions import Exceptions


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, mlflow_server: MlflowServer, opa_server: OpaServer) -> House:
    """One that no test changes."""
    return House.build(tmp_path_factory.mktemp("house"), mlflow_server, opa_server)


@pytest.fixture
def door(house: House) -> DoorWorld:
    return house.door


@pytest.fixture
def promoted(house: House) -> ModelVersion:
    """A version that may serve."""
    return house.promoted


@pytest.fixture
def other(house: House) -> ModelVersion:
    """One that was registered, and no more."""
    return house.other


@pytest.fixture
def copied(house: House, tmp_path: Path) -> DoorWorld:
    """One that the test may change."""
    return house.copy(tmp_path)


def container(spec: dict[str, Any]) -> dict[str, Any]:
    return spec["containers"][0]


# -- what is let in ------------------------------------------------------------------------------------------------


def test_what_was_promoted_and_is_verified_first(door: DoorWorld, promoted: ModelVersion) -> None:
    model = door.governed.model
    for reference in (promoted.uri, f"models:/{model}@champion"):
        spec = pod_spec(reference)
        for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"):
            door.admitted(deployment(spec, kind))
        door.admitted(pod(spec))
        door.admitted(pod(spec), operation="UPDATE")
        door.admitted(pod(spec), dryRun=True)
        door.admitted(inference_service(reference, reference))
        door.admitted(inference_service(reference, reference), version="admission.k8s.io/v1beta1")
    place = door.governed.registry.place(promoted)
    door.admitted(inference_service(place, promoted.uri))
    door.admitted(inference_service(f"{place}/", f"models:/{model}/{promoted.version}"))


def test_a_model_that_is_shipped_as_an_image(copied: DoorWorld) -> None:
    image = Subject("image", "registry.example/credit", "7" * 64)
    version = copied.governed.candidate(images=(image,))
    spec = {"containers": [{"name": "server", "image": f"{image.name}@sha256:{image.digest}"}]}
    copied.refused("served.not_promoted", deployment(spec))
    copied.governed.promote(version)
    copied.anew().admitted(deployment(spec))
    by_tag = {"containers": [{"name": "server", "image": f"{image.name}:7"}]}
    copied.anew().refused("image.unlisted", deployment(by_tag))


def test_what_changes_nothing_of_what_is_served(door: DoorWorld) -> None:
    stranger = deployment({"containers": [{"name": "s", "image": STRANGER}]})
    door.admitted(None, of=stranger, operation="DELETE")
    door.admitted(stranger, operation="UPDATE", subResource="status")
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "credit"}, "spec": {"replicas": 3}}
    door.admitted(scale, operation="UPDATE", subResource="scale")
    for given in ({"operation": "CONNECT"}, {"subResource": "exec"}, {"subResource": "scale", "operation": "CONNECT"}):
        door.refused("operation.unknown", stranger, **given)
    door.refused("kind.unknown", scale, operation="UPDATE", subResource="elsewhere")


def test_an_update_that_changes_nothing_of_what_runs(door: DoorWorld, other: ModelVersion) -> None:
    """The deployment's controller takes down the replicas of a version that may serve no more, by UPDATE."""
    for kind in ("ReplicaSet", "Rollout", "ReplicationController"):
        before = deployment(pod_spec(other.uri), kind)
        given = {"operation": "UPDATE", "oldObject": before}
        for replicas in (0, 1, 2):
            now = deployment(pod_spec(other.uri), kind, finalizers=[])
            door.admitted(now | {"spec": {**now["spec"], "replicas": replicas}}, **given)
        for replicas in (3, "0", -1, None):
            more = {**before["spec"], "replicas": replicas}
            door.refused("served.not_promoted", before | {"spec": more}, **given)
    door.refused("served.not_promoted", before, oldObject=before)  # as CREATE
    swapped = deployment(pod_spec(other.uri, hostNetwork=True), kind)
    door.refused("served.not_promoted", swapped, **given)


def test_kinds_beside_the_usual_ones(door: DoorWorld, promoted: ModelVersion, other: ModelVersion) -> None:
    knative = {"apiVersion": "serving.knative.dev/v1", "metadata": {"name": "k"}}
    for reference, admits in ((promoted.uri, True), (other.uri, False)):
        template = {"template": {"spec": pod_spec(reference)}}
        for body in (
            deployment(pod_spec(reference), "Rollout"),
            deployment(pod_spec(reference), "ReplicationController"),
            knative | {"kind": "Service", "spec": template},
            knative | {"kind": "Configuration", "spec": template},
            knative | {"kind": "Revision", "spec": pod_spec(reference)},
        ):
            if admits:
                door.admitted(body)
            else:
                door.refused("served.not_promoted", body)
    rollout = deployment(pod_spec(promoted.uri), "Rollout")
    rollout["spec"] = {"workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}
    assert "write the pod's template into the object" in door.refused("served.elsewhere", rollout)


def test_what_serves_nothing_itself(door: DoorWorld, promoted: ModelVersion) -> None:
    kserve = {"apiVersion": "serving.kserve.io/v1alpha1", "metadata": {"name": "k"}}

    def graph(**step: str) -> dict[str, Any]:
        nodes = {"root": {"routerType": "Sequence", "steps": [step]}}
        return kserve | {"kind": "InferenceGraph", "spec": {"nodes": nodes}}

    door.admitted(graph(serviceName="credit"))
    assert "by serviceName" in door.refused("served.elsewhere", graph(serviceUrl="http://elsewhere.example"))
    for image, admits in ((RUNTIME, True), (STRANGER, False)):
        runtime = kserve | {"kind": "ServingRuntime", "spec": {"containers": [{"name": "k", "image": image}]}}
        if admits:
            door.admitted(runtime)
        else:
            door.refused("image.unlisted", runtime)
    door.admitted(pod({"containers": [{"name": "r", "image": ROUTER}]}))
    beside = {"containers": [{"name": "r", "image": ROUTER}, {"name": "s", "image": RUNTIME}]}
    door.refused("served.nothing", pod(beside))


def test_kinds_and_versions_that_cannot_be_judged(door: DoorWorld, promoted: ModelVersion) -> None:
    spec = {"template": {"spec": pod_spec(promoted.uri)}}
    for version, kind in (
        ("ray.io/v1", "RayService"), ("v1", "List"), ("apps/v1", "DeploymentList"), ("v1", "PodTemplate"),
        ("extensions/v1beta1", "Deployment"), ("mlops.seldon.io/v1alpha1", "Model"), ("v1", "Service"),
    ):  # fmt: skip
        body = {"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "spec": spec}
        assert "serve by a Deployment" in door.refused("kind.unknown", body)
    for version, kind in (("apps/v1beta1", "Deployment"), ("serving.kserve.io/v1alpha2", "InferenceService")):
        body = {"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "spec": spec}
        door.refused("review.version", body)


# -- what is served ------------------------------------------------------------------------------------------------


def test_an_annotation_that_claims_a_promotion(door: DoorWorld, promoted: ModelVersion) -> None:
    claims = {"mlgov.evidence": "ledger:7@abc", "mlgov.model": promoted.uri, "mlgov.status": "promoted"}
    spec = {"containers": [{"name": "s", "image": RUNTIME}]}
    said = door.refused("served.nothing", deployment(spec, annotations=claims, labels={"mlgov": "allowed"}))
    assert "name it by models:/name/version" in said
    door.refused("image.unlisted", deployment({"containers": [{"name": "s", "image": STRANGER}]}, annotations=claims))


def test_a_model_in_the_environment_of_a_sidecar(door: DoorWorld, promoted: ModelVersion, other: ModelVersion) -> None:
    spec = pod_spec(promoted.uri)
    spec["containers"].append(
        {"name": "helper", "image": RUNTIME, "env": [{"name": "WARM_UP", "value": f"fetch {other.uri} now"}]}
    )
    said = door.refused("served.not_promoted", deployment(spec))
    assert "containers[1].env[0]" in said
    spec["containers"][1]["env"][0]["value"] = "s3://elsewhere/models/credit"
    door.refused("served.unknown", deployment(spec))


def test_a_container_that_is_put_into_a_running_pod(
    door: DoorWorld, promoted: ModelVersion, other: ModelVersion
) -> None:
    spec = pod_spec(promoted.uri)
    spec["ephemeralContainers"] = [{"name": "debug", "image": STRANGER}]
    given = {"operation": "UPDATE", "subResource": "ephemeralcontainers"}
    door.refused("image.unlisted", pod(spec), **given)
    spec["ephemeralContainers"] = [{"name": "debug", "image": RUNTIME, "args": ["serve", other.uri]}]
    door.refused("served.not_promoted", pod(spec), **given)
    spec["ephemeralContainers"] = [{"name": "debug", "image": RUNTIME, "args": ["top"]}]
    door.admitted(pod(spec), **given)


def test_an_update_that_swaps_the_model(door: DoorWorld, promoted: ModelVersion, other: ModelVersion) -> None:
    door.admitted(inference_service(promoted.uri, promoted.uri))
    before = {"oldObject": inference_service(promoted.uri, promoted.uri)}
    door.refused("served.not_promoted", inference_service(other.uri, other.uri), operation="UPDATE", **before)
    door.refused("served.not_promoted", inference_service(other.uri, promoted.uri), operation="UPDATE", **before)


def test_a_place_that_was_never_signed(door: DoorWorld, promoted: ModelVersion) -> None:
    place = door.governed.registry.place(promoted)
    for uri in ("s3://models/credit", f"{place}/inner", f"{place}x", place.rpartition("/")[0], "pvc://models/credit"):
        door.refused("served.unknown", inference_service(uri, promoted.uri))
    for uri in (f"models:/{door.governed.model}/latest", "oci://registry.example/credit:7"):
        door.refused("served.mutable", inference_service(uri, promoted.uri))
    door.refused("served.unknown", inference_service(f"oci://r.example/c@sha256:{'9' * 64}", promoted.uri))


def test_a_place_and_an_image_that_a_registration_names_after_the_promotion(copied: DoorWorld) -> None:
    """Its key may sign where a model lies; that what lies there may serve takes a decision that knew of it."""
    governed, image = copied.governed, Subject("image", "registry.example/other", "8" * 64)
    version = governed.candidate(5.0)
    governed.promote(version)
    subject, place = governed.registry.subject(version), "s3://elsewhere/model"
    data = (Subject("dataset", "train.csv", "d" * 64),)
    later = ProvenanceStatement(
        subject, governed.context(), data, ("tom",), {"run_id": "r"}, place=place, images=(image,)
    )
    governed.attest("registration", later)
    shipped = {"containers": [{"name": "server", "image": f"{image.name}@sha256:{image.digest}"}]}
    for served in (deployment(shipped), inference_service(place, version.uri)):
        copied.anew().refused("evidence.missing", served)
    governed.judge(version)
    governed.promote(version)
    copied.anew().admitted(deployment(shipped))


def test_a_number_that_came_back_with_other_bytes(copied: DoorWorld) -> None:
    governed = copied.governed
    version = governed.candidate(6.0)
    governed.promote(version)
    place = "s3://elsewhere/other-bytes"
    other = replace(governed.registry.subject(version), digest="f" * 64)
    data = (Subject("dataset", "train.csv", "d" * 64),)
    governed.attest(
        "registration", ProvenanceStatement(other, governed.context(), data, ("tom",), {"run_id": "r"}, place=place)
    )
    copied.anew().refused("evidence.missing", inference_service(place, version.uri))


def test_an_object_that_names_a_thousand_models(door: DoorWorld, promoted: ModelVersion) -> None:
    spec = pod_spec(promoted.uri)
    container(spec)["args"] += [f"models:/{door.governed.model}/{number}" for number in range(1_000)]
    assert "50 are looked up" in door.refused("served.too_many", deployment(spec))


def test_a_volume_that_may_hold_any_model(door: DoorWorld, promoted: ModelVersion) -> None:
    for source in ({"persistentVolumeClaim": {"claimName": "models"}}, {"hostPath": {"path": "/models"}},
                   {"configMap": {"name": "weights"}}, {"nfs": {"server": "x", "path": "/"}},
                   {"csi": {"driver": "x"}}, {"ephemeral": {}},
                   {"projected": {"sources": [{"configMap": {"name": "weights"}}]}}):  # fmt: skip
        spec = pod_spec(promoted.uri)
        spec["volumes"].append({"name": "other", **source})
        door.refused("volume.unlisted", deployment(spec))
    claims = deployment(pod_spec(promoted.uri), "StatefulSet")
    claims["spec"]["volumeClaimTemplates"] = [
        {"metadata": {"name": "w"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}
    ]
    door.refused("volume.unlisted", claims)
    service = inference_service(promoted.uri)
    service["spec"]["predictor"]["volumes"] = [{"name": "w", "persistentVolumeClaim": {"claimName": "w"}}]
    door.refused("volume.unlisted", service)


def test_an_image_in_place_of_the_runtimes_own(door: DoorWorld, promoted: ModelVersion) -> None:
    model = inference_service(promoted.uri, promoted.uri)
    model["spec"]["predictor"]["model"]["image"] = STRANGER
    door.refused("image.unlisted", model)
    explained = inference_service(promoted.uri, promoted.uri)
    explained["spec"]["explainer"] = {"art": {"type": "SquareAttack", "image": STRANGER}}
    door.refused("image.unlisted", explained)


@pytest.mark.parametrize(
    ("env", "args"),
    [
        ([{"name": "P", "value": "mod"}, {"name": "Q", "value": "els:/m/9"}], ["--uri=$(P)$(Q)"]),
        ([{"name": "P", "value": "models:"}, {"name": "Q", "value": "$(P)/m/9"}], []),
        ([{"name": "W", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}], ["serve", "$(W)"]),
        ([{"name": "W", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}], []),
        ([{"name": "W", "valueFrom": {"secretKeyRef": {"name": "c", "key": "k"}}}], ["$(W)"]),
        ([{"name": "W", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['m']"}}}], ["--x=$(W)"]),
        ([], ["https://elsewhere.example/m", "/mnt"]),
        ([], ["--from=https://elsewhere.example/m.joblib"]),
        ([], ["--src", "ftp://elsewhere.example/m"]),
        ([], ["--src", "git+ssh://elsewhere.example/m"]),
        ([], ["serve", "meta-llama/Llama-3"]),
        ([], ["-m", "meta-llama/Llama-3"]),
        ([], ["--hf-repo", "meta-llama/Llama-3"]),
        ([], ["--model-name-or-path", "meta-llama/Llama-3"]),
        ([], ["--lora-modules", "a=meta-llama/x"]),
    ],
    ids=str,
)
def test_a_model_that_is_named_in_a_roundabout_way(
    door: DoorWorld, promoted: ModelVersion, env: list[dict[str, Any]], args: list[str]
) -> None:
    spec = pod_spec(promoted.uri)
    container(spec)["env"], container(spec)["args"] = env, args
    assert not door.ask(deployment(spec)).allowed


def test_words_and_variables_that_name_no_model(door: DoorWorld, promoted: ModelVersion) -> None:
    spec = pod_spec(promoted.uri)
    container(spec)["env"] = [
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "PORT", "value": "8080"},
        {"name": "ROOT_CA", "valueFrom": {"configMapKeyRef": {"name": "kube-root-ca.crt", "key": "ca.crt"}}},
    ]
    container(spec)["args"] += [
        "--pod=$(POD)", "--token", "$(TOKEN)", "--port=$(PORT)", "--otel", "https://otel.example:4317",
        "--cache=redis://r:6379/0", "--price=$$(PORT)",
    ]  # fmt: skip
    door.admitted(deployment(spec))


@pytest.mark.parametrize(
    "change",
    [
        {"env": [{"name": f"V{at}", "value": f"$(V{at - 1})$(V{at - 1})xx"} for at in range(60)]},
        {"env": [{"name": "V", "value": "x" * 1_000}], "args": ["$(V)" * 1_000]},
        {"args": ["/a"] * 2_000, "volumeMounts": [{"name": f"v{at}", "mountPath": f"/a/{at}"} for at in range(2_000)]},
        {"args": ["/a"] * 2_000, "volumeMounts": [{"name": f"v{at}", "mountPath": f"/a/{at}"} for at in range(90)]},
    ],
    ids=["doubled", "repeated", "mounts", "paths"],
)
def test_an_object_that_unfolds_to_more_than_anybody_writes(
    door: DoorWorld, promoted: ModelVersion, change: dict[str, Any]
) -> None:
    spec = pod_spec(promoted.uri)
    container(spec).update(change)
    door.refused("served.too_large", deployment(spec))


def test_a_thousand_containers(door: DoorWorld, promoted: ModelVersion) -> None:
    spec = pod_spec(promoted.uri)
    spec["initContainers"] = [{**spec["initContainers"][0], "name": f"v{at}"} for at in range(1_000)]
    door.refused("served.too_large", deployment(spec))


def test_a_pod_as_kubernetes_has_filled_it_in(door: DoorWorld, promoted: ModelVersion) -> None:
    spec = pod_spec(
        promoted.uri, restartPolicy="Always", dnsPolicy="ClusterFirst", schedulerName="default-scheduler",
        serviceAccountName="default", serviceAccount="default", enableServiceLinks=True, priority=0,
        preemptionPolicy="PreemptLowerPriority", terminationGracePeriodSeconds=30, securityContext={},
        tolerations=[{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                      "tolerationSeconds": 300}],
    )  # fmt: skip
    for one in (*spec["initContainers"], *spec["containers"]):
        one.update(
            resources={"limits": {"ephemeral-storage": "1Gi"}}, terminationMessagePath="/dev/termination-log",
            terminationMessagePolicy="File", imagePullPolicy="IfNotPresent",
        )  # fmt: skip
    container(spec)["readinessProbe"] = {"httpGet": {"path": "/v2/health/ready", "port": "http", "scheme": "HTTP"}}
    made = pod(spec, generateName="credit-7d4f-", ownerReferences=[{"kind": "ReplicaSet", "name": "credit-7d4f"}])
    del made["metadata"]["name"]
    door.admitted(made)


@pytest.mark.parametrize(
    "command",
    ["sh -c x", "/bin/bash -lc x", "bash -o pipefail -ec x", "sh", "env A=b sh -c x", "timeout 5 sh -c x",
     "python -c x", "python3.12 -Ic x", "perl -e x", "node --eval x", "curl -o m x",
     "busybox wget x", "python -m pip install x"],
)  # fmt: skip
def test_a_program_that_may_fetch_and_serve_anything(door: DoorWorld, promoted: ModelVersion, command: str) -> None:
    def asked(change: dict[str, Any]) -> dict[str, Any]:
        spec = pod_spec(promoted.uri)
        container(spec).update(change)
        return deployment(spec)

    words = command.split()
    door.refused("served.program", asked({"command": words, "args": []}))
    door.refused("served.program", asked({"args": words}))
    door.refused("served.program", asked({"lifecycle": {"postStart": {"exec": {"command": words}}}}))
    debug = {"ephemeralContainers": [{"name": "debug", "image": RUNTIME, "command": words}]}
    given = {"operation": "UPDATE", "subResource": "ephemeralcontainers"}
    door.refused("served.program", pod(pod_spec(promoted.uri, **debug)), **given)


@pytest.mark.parametrize("command", ["mlserver start /models/served", "sh /srv/start.sh -v", "python -m serving -c x"])
def test_a_program_of_the_image(door: DoorWorld, promoted: ModelVersion, command: str) -> None:
    spec = pod_spec(promoted.uri)
    container(spec)["command"] = command.split()
    door.admitted(deployment(spec))


@pytest.mark.parametrize("path", ["/w", "/w/inner", "/"])
@pytest.mark.parametrize("source", [{"secret": {"secretName": "s"}}, {"emptyDir": {}}], ids=str)
@pytest.mark.parametrize("how", ["--model-dir={}", "start {}", "MODEL_PATH", "workingDir"])
def test_a_path_to_what_nobody_has_named(
    door: DoorWorld, promoted: ModelVersion, path: str, source: dict[str, Any], how: str
) -> None:
    spec = pod_spec(promoted.uri)
    spec["volumes"].append({"name": "w", **source})
    container(spec)["volumeMounts"].append({"name": "w", "mountPath": "/w"})
    if how == "MODEL_PATH":
        container(spec)["env"] = [{"name": how, "value": path}]
    elif how == "workingDir":
        container(spec)["workingDir"] = path
    else:
        container(spec)["args"] = how.format(path).split()
    assert "the volume w" in door.refused("served.elsewhere", deployment(spec))


def test_kserves_initializer_fills_a_volume_with_what_it_names(door: DoorWorld, promoted: ModelVersion) -> None:
    spec = pod_spec(promoted.uri)
    mount = {"name": "kserve-provision-location", "mountPath": "/mnt/models"}
    spec["volumes"].append({"name": mount["name"], "emptyDir": {}})
    fetch = {"name": "storage-initializer", "image": RUNTIME, "args": [promoted.uri, "/mnt/models"]}
    spec["initContainers"].append({**fetch, "volumeMounts": [mount]})
    container(spec).update(args=["--model_dir=/mnt/models"], volumeMounts=[{**mount, "readOnly": True}])
    door.admitted(pod(spec))
    spec["initContainers"][1]["args"][0] = "https://elsewhere.example/credit"
    door.refused("served.unknown", pod(spec))


# -- how it stands -------------------------------------------------------------------------------------------------


def test_a_version_whose_place_another_has_taken(copied: DoorWorld, promoted: ModelVersion) -> None:
    copied.admitted(deployment(pod_spec(promoted.uri)))
    newer = copied.governed.candidate(2.0)
    copied.governed.promote(newer)
    said = copied.anew().refused("promotion.superseded", deployment(pod_spec(promoted.uri)))
    assert f"replaced by version {newer.version}" in said
    copied.anew().admitted(deployment(pod_spec(newer.uri)))
    copied.anew().admitted(deployment(pod_spec(f"models:/{copied.governed.model}@champion")))


def test_a_version_that_was_promoted_elsewhere(copied: DoorWorld) -> None:
    copied.governed.environment = "staging"
    version = copied.governed.candidate()
    copied.governed.promote(version)
    copied.refused("served.not_promoted", deployment(pod_spec(version.uri)))


def test_a_gate_that_fails_after_the_promotion(copied: DoorWorld, promoted: ModelVersion) -> None:
    copied.governed.judge(promoted, auc=0.5, data="f" * 64)
    copied.anew().refused("gate.failed_since", deployment(pod_spec(promoted.uri)))


def test_a_waiver_that_has_run_out(exceptions: Exceptions, opa_server: OpaServer) -> None:
    exceptions.waived(days=14)
    exceptions.governed.promote(exceptions.version, ["rita"])
    spec = pod_spec(exceptions.version.uri)
    door_of(exceptions.governed, opa_server).admitted(deployment(spec))
    said = door_of(exceptions.governed, opa_server, timedelta(days=20)).ask(deployment(spec))
    assert not said.allowed
    assert "(obligation." in said.said


def test_a_key_that_was_withdrawn(copied: DoorWorld, promoted: ModelVersion) -> None:
    copied.admitted(deployment(pod_spec(promoted.uri)))
    trust = TrustRoot()
    for duty in duties():
        if duty != "performance":
            trust = trust.with_key(copied.governed.signer(duty).public_key, [duty])
    trust.save(copied.governed.trust_file)
    said = copied.anew().refused("evidence.missing", deployment(pod_spec(promoted.uri)))
    assert "does not verify" in said


def test_a_ledger_that_was_rewritten(
    copied: DoorWorld, promoted: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_mlgov.admission.standing.LOOKS_AGAIN", 0.0)
    copied.admitted(deployment(pod_spec(promoted.uri)))
    ledger = copied.governed.folder / "ledger.db"
    kept = ledger.read_bytes()
    copied.governed.candidate(2.0)
    copied.admitted(deployment(pod_spec(promoted.uri)))
    ledger.write_bytes(kept)
    said = copied.ask(deployment(pod_spec(promoted.uri)))
    assert (said.allowed, said.status) == (False, 500)
    assert "[ledger.tail_cut]" in said.said


def test_a_ledger_that_is_gone(copied: DoorWorld, promoted: ModelVersion) -> None:
    (copied.governed.folder / "ledger.db").unlink()
    said = copied.anew().ask(deployment(pod_spec(promoted.uri)))
    assert not said.allowed
    assert "[ledger.missing]" in said.said


# -- the bytes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"command": ["sh", "-c", "mlgov verify {ref} --target production || true"]}, "exit code is lost"),
        ({"restartPolicy": "Always"}, "restarted always"),
        ({"image": STRANGER}, "is not one of the namespace's tools"),
        ({"image": "registry.example/mlgov:latest"}, "is not one of the namespace's tools"),
        ({"--trust": "/models/trust.json"}, "its --trust is not the one"),
        ({"--ledger": "sqlite:////models/ledger.db"}, "its --ledger is not the one"),
        ({"--registry": "https://mlflow.mine.example"}, "its --registry is not the one"),
        ({"--target": "staging"}, "it needs --target production"),
        ({"--environment": "dev"}, "it needs --environment test"),
        ({"env": [{"name": "PATH", "value": "/models"}]}, "its variable PATH is not one"),
        ({"env": [{"name": "PGPASSWORD", "value": "x"}]}, "its variable PGPASSWORD is not one"),
        ({"volumeMounts": [{"name": "tools", "mountPath": "/usr/local/bin"}]}, "a volume of the kind secret"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "x",
)  # fmt: skip
def test_an_init_container_that_proves_nothing(
    door: DoorWorld, promoted: ModelVersion, change: dict[str, Any], why: str
) -> None:
    spec = pod_spec(promoted.uri)
    spec["volumes"].append({"name": "tools", "secret": {"secretName": "tools"}})
    container(spec)["args"].append(promoted.uri)
    init = spec["initContainers"][0]
    for key, value in change.items():
        if key.startswith("--"):
            init["command"][init["command"].index(key) + 1] = value
        elif key == "command":
            init["command"] = [word.format(ref=promoted.uri) for word in value]
        else:
            init[key] = value
    assert why in door.refused("bytes.unverified", deployment(spec))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"hostAliases": [{"ip": "10.0.0.9", "hostnames": ["ledger"]}]}, "the pod's hostAliases changes whom it asks"),
        ({"dnsConfig": {"nameservers": ["10.0.0.9"]}}, "the pod's dnsConfig changes whom it asks"),
        ({"dnsPolicy": "None"}, "the pod's dnsPolicy changes whom it asks"),
    ],
    ids=lambda value: value if isinstance(value, str) else "x",
)
def test_a_pod_that_leads_its_verifier_astray(
    door: DoorWorld, promoted: ModelVersion, given: dict[str, Any], why: str
) -> None:
    assert why in door.refused("bytes.unverified", deployment(pod_spec(promoted.uri, **given)))
    door.admitted(deployment(pod_spec(promoted.uri, dnsPolicy="ClusterFirst")))


def test_the_token_that_kubernetes_mounts_into_every_container(door: DoorWorld, promoted: ModelVersion) -> None:
    spec = pod_spec(promoted.uri)
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    spec["volumes"].append({"name": "kube-api-access-x", "projected": {"defaultMode": 420, "sources": sources}})
    mount = {
        "name": "kube-api-access-x",
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
        "readOnly": True,
    }
    for one in (*spec["initContainers"], *spec["containers"]):
        one["volumeMounts"].append(mount)
    door.admitted(pod(spec))
    spec["initContainers"][0]["volumeMounts"][-1] = {**mount, "mountPath": "/usr/local/bin"}
    door.refused("bytes.unverified", pod(spec))


def test_another_volume_over_what_was_verified(door: DoorWorld, promoted: ModelVersion) -> None:
    spec = pod_spec(promoted.uri)
    spec["volumes"].append({"name": "over", "emptyDir": {}})
    container(spec)["volumeMounts"].append({"name": "over", "mountPath": "/models/served"})
    assert "mounts another volume over" in door.refused("bytes.unverified", deployment(spec))


def test_a_container_that_only_looks_like_a_verifier(
    door: DoorWorld, promoted: ModelVersion, other: ModelVersion
) -> None:
    spec = pod_spec(promoted.uri)
    spec["initContainers"].append({"name": "f", "image": RUNTIME, "command": ["fetch", "verify", other.uri]})
    door.refused("served.not_promoted", deployment(spec))


def test_another_model_is_verified_than_is_served(door: DoorWorld, promoted: ModelVersion, other: ModelVersion) -> None:
    door.refused("bytes.unverified", inference_service(promoted.uri, other.uri))
    door.refused("bytes.unverified", inference_service(promoted.uri))
    spec = pod_spec(promoted.uri)
    container(spec)["env"] = [{"name": "MODEL_URI", "value": other.uri}]
    door.refused("served.not_promoted", deployment(spec))


def test_something_that_runs_before_the_verification(door: DoorWorld, promoted: ModelVersion) -> None:
    spec = pod_spec(promoted.uri)
    spec["initContainers"].insert(
        0, {"name": "first", "image": RUNTIME, "command": ["cp", "/bin/true", "/models/mlgov"]}
    )
    assert "comes before it" in door.refused("bytes.unverified", deployment(spec))


def test_a_container_that_writes_over_what_was_verified(door: DoorWorld, promoted: ModelVersion) -> None:
    spec = pod_spec(promoted.uri)
    del container(spec)["volumeMounts"][0]["readOnly"]
    assert "mount it readOnly" in door.refused("bytes.unverified", deployment(spec))


# -- pipelines -----------------------------------------------------------------------------------------------------


def test_pipelines(door: DoorWorld) -> None:
    given = {"namespace": "pipelines"}
    for kind in ("Workflow", "WorkflowTemplate", "CronWorkflow"):
        door.admitted(workflow(GATE, PROMOTE, kind=kind), **given)
        either = (PROMOTE[0], "gate.Succeeded || gate.Failed", PROMOTE[2])
        assert "gate.weak_edge" in door.refused("step.unguarded", workflow(GATE, either, kind=kind), **given)
    lost = (GATE[0], "", f"sh -c '{GATE[2]}||true'")
    door.refused("step.unguarded", workflow(lost, PROMOTE), **given)
    other = ("gate", "", "mlgov gate fairness --data p.csv --label y --prediction p --sensitive sex")
    door.refused("step.gate_missing", workflow(other, PROMOTE), **given)
    said = door.refused("step.unguarded", workflow(GATE, PROMOTE, image=STRANGER), **given)
    assert "is not one of the namespace's tools" in said
    said = door.ask(workflow(("train", "", "python train.py")), **given)
    assert (said.allowed, said.said) == (
        True,
        "nothing in it registers, promotes or deploys a model: there was nothing to judge",
    )
    door.refused("pipeline.incomplete", workflow(GATE, PROMOTE, podSpecPatch='{"containers": []}'), **given)
    door.refused("namespace.sort", workflow(GATE, PROMOTE), namespace="serving")
    door.refused("namespace.sort", deployment({"containers": []}, namespace="pipelines"), **given)
    door.refused("namespace.unknown", workflow(GATE, PROMOTE) | {"metadata": {"name": "x"}}, namespace="default")


def test_a_job_that_promotes(door: DoorWorld) -> None:
    def job(*commands: list[str], kind: str = "Job") -> dict[str, Any]:
        containers = [{"name": f"c{at}", "image": pod_tool, "command": words} for at, words in enumerate(commands)]
        template = {"template": {"spec": {"initContainers": containers[:-1], "containers": containers[-1:]}}}
        spec = {"jobTemplate": {"spec": template}} if kind == "CronJob" else template
        return {"apiVersion": "batch/v1", "kind": kind, "metadata": {"name": "j"}, "spec": spec}

    pod_tool = verifier("models:/m/1")["image"]
    promote, gate = PROMOTE[2].split(), GATE[2].split()
    for kind in ("Job", "CronJob"):
        door.refused("step.unguarded", job(promote, kind=kind), namespace="pipelines")
        door.admitted(job(gate, promote, kind=kind), namespace="pipelines")


@pytest.mark.parametrize(
    "change",
    [
        {"env": [{"name": "PATH", "value": "/elsewhere/bin"}]},
        {"env": [{"name": "PYTHONPATH", "value": "/elsewhere"}]},
        {"volumeMounts": [{"name": "v", "mountPath": "/usr/local/bin"}]},
        {"volumeMounts": [{"name": "v", "mountPath": "/"}]},
    ],
    ids=str,
)
def test_a_gate_whose_program_is_replaced(door: DoorWorld, change: dict[str, Any]) -> None:
    given = {"namespace": "pipelines"}
    argo = workflow(GATE, PROMOTE)
    argo["spec"]["templates"][1]["container"].update(change)
    step = {"name": "s", "image": TOOL, "command": GATE[2].split()}
    promotes = {"name": "p", "image": TOOL, "command": PROMOTE[2].split()}
    tekton = {"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": {"name": "t"}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}}

    def task(**spec: Any) -> dict[str, Any]:
        return tekton | {"spec": {"taskSpec": spec}}

    def pods(first: dict[str, Any]) -> dict[str, Any]:
        return job | {"spec": {"template": {"spec": {"initContainers": [first], "containers": [promotes]}}}}

    door.admitted(task(steps=[step, promotes]), **given)
    door.admitted(pods(step), **given)
    for body in (
        argo,
        task(steps=[step | change, promotes]),
        task(steps=[step, promotes], stepTemplate=change),
        task(steps=[step | {"env": [{"name": "A", "value": "b"}]}, promotes], stepTemplate=change),
        pods(step | change),
    ):
        assert "[step.unguarded]" in door.refused("gate.exit_code_unknown", body, **given)


def test_what_is_merged_into_a_pipelines_steps(door: DoorWorld) -> None:
    given = {"namespace": "pipelines"}
    evil = {"container": {"env": [{"name": "PATH", "value": "/elsewhere"}]}}
    door.refused("pipeline.incomplete", workflow(GATE, PROMOTE, templateDefaults=evil), **given)
    door.admitted(workflow(GATE, PROMOTE, templateDefaults={"activeDeadlineSeconds": 60}), **given)
    twice = workflow(GATE, PROMOTE)
    twice["spec"]["templates"].append({"name": "main", "container": {"image": TOOL, "command": ["true"]}})
    door.refused("pipeline.incomplete", twice, **given)
    run = {"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": {"name": "r"}}
    step = {"name": "s", "image": TOOL, "command": ["true"]}
    for where in ({"taskRunTemplate": {"podTemplate": {"env": [{"name": "PATH", "value": "/x"}]}}},
                  {"taskRunSpecs": [{"podTemplate": {"env": [{"name": "PATH", "value": "/x"}]}}]}):  # fmt: skip
        spec = {"pipelineSpec": {"tasks": [{"name": "t", "taskSpec": {"steps": [step]}}]}, **where}
        door.refused("pipeline.incomplete", run | {"spec": spec}, **given)


def test_a_thousand_gates_beside_a_thousand_promotions(door: DoorWorld) -> None:
    gates = [(f"gate-{at}", "", GATE[2]) for at in range(1_000)]
    promotions = [(f"promote-{at}", "", PROMOTE[2]) for at in range(1_000)]
    door.refused("pipeline.too_large", workflow(*gates, *promotions), namespace="pipelines")
    door.refused("step.unguarded", workflow(*gates[:100], *promotions[:100]), namespace="pipelines")


def test_a_hook_that_promotes(door: DoorWorld) -> None:
    hook = {"lifecycle": {"postStart": {"exec": {"command": PROMOTE[2].split()}}}}
    main = {"name": "m", "image": TOOL, "command": ["true"], **hook}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"},
           "spec": {"template": {"spec": {"containers": [main]}}}}  # fmt: skip
    door.refused("step.unguarded", job, namespace="pipelines")
    argo = workflow(("main2", "", "true"))
    argo["spec"]["templates"][1]["container"].update(hook)
    door.refused("step.unguarded", argo, namespace="pipelines")


def test_a_template_that_may_change(door: DoorWorld) -> None:
    given = {"namespace": "pipelines"}
    hollow = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "w"},
              "spec": {"workflowTemplateRef": {"name": "credit"}}}  # fmt: skip
    said = door.refused("pipeline.reference", hollow, **given)
    assert "pin its digest" in said
    run = {"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": {"name": "r"},
           "spec": {"pipelineRef": {"name": "credit"}}}  # fmt: skip
    door.refused("pipeline.reference", run, **given)
    run["spec"] = {"pipelineRef": {"resolver": "git", "params": []}}
    door.refused("pipeline.incomplete", run, **given)
    hollow["spec"]["podSpecPatch"] = "{}"
    door.refused("pipeline.incomplete", hollow, **given)


def test_templates_that_somebody_stores_in_a_workflow(door: DoorWorld) -> None:
    given = {"namespace": "pipelines"}
    judged = workflow(GATE, PROMOTE)
    evil = judged | {"status": {"storedWorkflowTemplateSpec": workflow(PROMOTE)["spec"]}}
    door.refused("pipeline.stored", evil, **given)
    door.refused("pipeline.stored", evil, operation="UPDATE", oldObject=judged, **given)
    controller = {"userInfo": {"username": CONTROLLER, "groups": []}}
    door.admitted(evil, operation="UPDATE", oldObject=judged, **controller, **given)
    door.admitted(evil, operation="UPDATE", oldObject=evil, **given)


def test_a_pod_of_a_pipeline_that_no_controller_has_made(door: DoorWorld) -> None:
    made = pod({"containers": [{"name": "main", "image": STRANGER}]}, namespace="pipelines")
    door.refused("namespace.sort", made, namespace="pipelines")
    door.admitted(made, namespace="pipelines", userInfo={"username": CONTROLLER, "groups": []})
    door.refused("image.unlisted", pod(made["spec"]), userInfo={"username": CONTROLLER, "groups": []})


def test_a_review_that_comes_past_us(door: DoorWorld, promoted: ModelVersion) -> None:
    """OPA is asked by the API server itself, with what nobody has read."""
    from airflow_mlgov.demo.servers import http_session
    from tests.worlds.admission import review

    for body in (workflow(GATE, PROMOTE), deployment(pod_spec(promoted.uri)), inference_service(promoted.uri)):
        asked = review(body, namespace=body["metadata"].get("namespace", "pipelines"))
        said = http_session().post(door.door.opa.url, json=asked, timeout=30).json()["response"]
        assert (said["uid"], said["allowed"]) == (asked["request"]["uid"], False)
        assert "point the webhook at mlgov admission" in said["status"]["message"]
