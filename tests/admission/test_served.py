"""What an object says of what it serves, whichever kind it is and wherever it says so."""

from typing import Any

import pytest

from airflow_mlgov.admission.served import read_serving
from airflow_mlgov.admission.verifying import served_by, verifiers
from airflow_mlgov.pipelines.documents import document_of
from airflow_mlgov.urls import place_of
from tests.worlds.admission import RUNTIME, deployment, inference_service, pod_spec, verifier

SHA = "3" * 64
PLACE = "s3://models/credit/7/artifacts"


def said(body: dict[str, Any]) -> tuple[set[str], set[str]]:
    """References, and codes of what cannot be told."""
    found = read_serving(document_of(body, "o"))
    return {one.said for one in found.named}, {one.code for one in found.problems}


def container(**given: Any) -> dict[str, Any]:
    return deployment({"containers": [{"name": "s", "image": RUNTIME, **given}]})


def env(name: str, value: str) -> dict[str, Any]:
    return container(env=[{"name": name, "value": value}])


def kserve(**given: Any) -> dict[str, Any]:
    return {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "spec": given}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (inference_service("models:/credit/7"), "models:/credit/7"),
        (inference_service(PLACE), PLACE),
        (inference_service(f"oci://r.example/credit@sha256:{SHA}"), f"oci://r.example/credit@sha256:{SHA}"),
        (kserve(predictor={"sklearn": {"storageUri": PLACE}}), PLACE),
        (kserve(predictor={"model": {"storageUri": PLACE + "/"}}), PLACE),
        (kserve(transformer={"containers": [{"args": ["--m", PLACE]}]}, predictor={}), PLACE),
        (kserve(predictor={"workerSpec": {"containers": [{"args": [f"--model_path={PLACE}"]}]}}), PLACE),
        ({"kind": "SeldonDeployment", "spec": {"predictors": [{"graph": {"children": [{"modelUri": PLACE}]}}]}}, PLACE),
        ({"kind": "TrainedModel", "spec": {"model": {"storageUri": PLACE, "framework": "sklearn"}}}, PLACE),
        ({"kind": "LLMInferenceService", "spec": {"model": {"uri": PLACE, "name": "x"}}}, PLACE),
        ({"kind": "LLMInferenceService", "spec": {"model": {"uri": "models:/a/1", "lora": {"adapters": [
            {"uri": PLACE, "name": "a"}]}}}}, PLACE),
        (env("MODEL_URI", "models:/credit@champion"), "models:/credit@champion"),
        (env("ANYTHING", f"x={PLACE} y"), PLACE),
        (env("MODEL_URL", "https://store.example/m.tar"), "https://store.example/m.tar"),
        (container(args=["mlflow models serve -m models:/credit/7 -p 80"]), "models:/credit/7"),
        (container(command=["sh", "-c", "exec serve --model 'models:/credit/7'"]), "models:/credit/7"),
        (deployment({"containers": [], "volumes": [{"name": "m", "image": {"reference": f"r/c@sha256:{SHA}"}}]}),
         f"oci://r/c@sha256:{SHA}"),
        (deployment({"containers": [], "ephemeralContainers": [{"env": [{"name": "A", "value": PLACE}]}]}), PLACE),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "x",
)  # fmt: skip
def test_where_a_model_is_named(body: dict[str, Any], named: str) -> None:
    assert named in said(body)[0]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (inference_service("models:/credit/latest"), "served.mutable"),
        (inference_service("models:/credit/Production"), "served.mutable"),
        (inference_service("models:/credit"), "served.reference"),
        (inference_service("models:///credit/1"), "served.reference"),
        (inference_service("MODELS:/credit/1"), "served.reference"),
        (inference_service("models:/a%2Fb/1"), "served.reference"),
        (inference_service("oci://r.example/credit:latest"), "served.mutable"),
        (inference_service(""), "served.reference"),
        (kserve(predictor={"model": {"storage": {"key": "s3", "path": "models/credit"}}}), "served.elsewhere"),
        ({"kind": "LLMInferenceService", "spec": {"baseRefs": [{"name": "config"}]}}, "served.elsewhere"),
        (container(envFrom=[{"configMapRef": {"name": "c"}}]), "served.elsewhere"),
        (container(env=[{"name": "MODEL_PATH", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
         "served.elsewhere"),
        (container(env=[{"name": "STORAGE_URI", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['m']"}}}]),
         "served.elsewhere"),
        (env("MODEL_ID", "meta-llama/Llama-3"), "served.unknown"),
        (container(args=["--model", "meta-llama/Llama-3"]), "served.unknown"),
        (container(args=["--model=$(MODEL)"]), "served.elsewhere"),
        (deployment({"containers": [], "volumes": [{"name": "m", "image": {"reference": "r/credit:7"}}]}),
         "served.mutable"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "x",
)  # fmt: skip
def test_what_cannot_be_told(body: dict[str, Any], code: str) -> None:
    assert code in said(body)[1]


@pytest.mark.parametrize(
    "body",
    [
        deployment({"containers": []}, annotations={"model": "models:/credit/7"}),
        deployment({"containers": []}, labels={"mlgov.model": "credit-7"}),
        env("MLFLOW_TRACKING_URI", "https://mlflow.example"),
        env("MODEL_NAME", "credit"),
        env("AWS_REGION", "eu-central-1"),
        container(args=["--model_name=credit", "--port", "8080"]),
        container(args=["--model-dir", "/mnt/models"]),
        container(env=[{"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "x",
)
def test_what_names_no_model(body: dict[str, Any]) -> None:
    assert said(body) == (set(), set())


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("S3://bucket/a/", "s3://bucket/a"),
        ("s3://key:secret@bucket/a", "s3://bucket/a"),
        ("abfss://models@account.dfs.core.windows.net/a", "abfss://models@account.dfs.core.windows.net/a"),
        ("mlflow-artifacts:/1/models/m-2/artifacts", "mlflow-artifacts:/1/models/m-2/artifacts"),
        ("/srv/mlflow/1", "/srv/mlflow/1"),
        ("s3://bucket/a?versionId=1", "s3://bucket/a?versionId=1"),
    ],
)
def test_a_place_in_one_spelling(uri: str, place: str) -> None:
    assert place_of(uri) == place


# -- init containers that verify ---------------------------------------------------------------------------------------


def checked(**change: Any) -> list[str]:
    """Why the verifier of a pod proves nothing."""
    spec = pod_spec("models:/credit/7", **change)
    found = verifiers(read_serving(document_of(deployment(spec), "o")))
    return [why for one in found for why in one.problems] if found else ["there is none"]


def words(text: str) -> dict[str, Any]:
    return verifier("models:/credit/7", command=text.split() if isinstance(text, str) else text)


def test_the_shipped_one_is_whole() -> None:
    found = read_serving(document_of(deployment(pod_spec("models:/credit/7")), "o"))
    (one,) = verifiers(found)
    assert one.problems == []
    assert (one.named.name, one.named.version) == ("credit", "7")
    assert one.fills == "model"
    assert one.env == ["PGPASSWORD"]
    assert [item.said for item in served_by([one], found)] == ["models:/credit/7"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"command": ["sh", "-c", "mlgov verify models:/credit/7 --trust t || true"]}, "exit code"),
        ({"command": ["sh", "-c", "mlgov verify models:/credit/7 --trust t; true"]}, "other commands"),
        ({"command": ["sh", "-ec", "mlgov verify models:/credit/7 --trust t | cat"]}, "exit code"),
        ({"command": ["sh", "-c", "mlgov verify models:/credit/7 --trust t & wait"]}, "exit code"),
        ({"restartPolicy": "Always"}, "restarted always"),
        ({"command": None, "args": ["mlgov", "verify", "models:/credit/7"]}, "exit code"),
        ({"command": ["mlgov", "verify", "$(REF)"]}, "put together"),
        ({"command": ["mlgov", "verify"]}, "one model"),
        ({"command": ["mlgov", "verify", "models:/credit/7", "models:/other/1"]}, "one model"),
        ({"command": ["mlgov", "verify", "models:/credit/latest"]}, "neither"),
        ({"command": ["mlgov", "verify", "models:/credit/7", "--pack", "p.zip"]}, "--pack is not known"),
        ({"command": ["mlgov", "verify", "models:/credit/7", "--trust", "a", "--trust", "b"]}, "stands twice"),
        ({"command": ["mlgov", "verify", "models:/credit/7", "--into", "/elsewhere"]}, "in no volume"),
        ({"envFrom": [{"configMapRef": {"name": "c"}}]}, "envFrom"),
        ({"workingDir": "/models"}, "workingDir"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "x",
)  # fmt: skip
def test_one_that_proves_nothing(change: dict[str, Any], why: str) -> None:
    given = {key: value for key, value in verifier("models:/credit/7", **change).items() if value is not None}
    assert any(why in one for one in checked(initContainers=[given])), checked(initContainers=[given])


def test_one_that_does_not_come_first() -> None:
    before = {"name": "setup", "image": RUNTIME, "command": ["cp", "/a", "/models/a"]}
    assert any("comes before it" in why for why in checked(initContainers=[before, verifier("models:/credit/7")]))


def test_two_that_verify_two_models() -> None:
    second = {**verifier("models:/other/1"), "name": "second"}
    assert any("may write" in why for why in checked(initContainers=[verifier("models:/credit/7"), second]))
    second["volumeMounts"] = [{"name": "other", "mountPath": "/models"}]
    volumes = [{"name": name, "emptyDir": {}} for name in ("model", "tmp", "other")]
    assert checked(initContainers=[verifier("models:/credit/7"), second], volumes=volumes) == []


def test_a_container_that_may_write_what_was_verified() -> None:
    writer = {"name": "w", "image": RUNTIME, "volumeMounts": [{"name": "model", "mountPath": "/m"}]}
    assert any("may write" in why for why in checked(containers=[writer]))
