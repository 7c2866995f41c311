"""A review is read in one way or refused, and answered with its uid in its own version."""

import json

import pytest

from airflow_mlgov.admission.review import MAX_BYTES, Refused, answer, read_review
from tests.worlds.admission import deployment, pod, pod_spec, review

GOOD = review(deployment(pod_spec("models:/m/1")))
RAW = json.dumps(GOOD)


def test_what_is_read() -> None:
    found = read_review(RAW.encode())
    assert (found.group, found.kind, found.operation) == ("apps", "Deployment", "CREATE")
    assert (found.namespace, found.name, found.user) == ("serving", "credit", "alice")
    assert found.uid == GOOD["request"]["uid"]
    assert found.object["spec"]["replicas"].value == 2
    assert found.place == "serving/Deployment/credit"


@pytest.mark.parametrize("version", ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"])
def test_it_is_answered_in_its_own_version(version: str) -> None:
    found = read_review(json.dumps(review(pod(pod_spec("models:/m/1")), version=version)).encode())
    said = answer(found, allowed=True, warnings=["look"])
    assert said["apiVersion"] == version
    assert said["response"]["uid"] == found.uid
    assert ("warnings" in said["response"]) == (version == "admission.k8s.io/v1")
    refusal = answer(found, allowed=False, message="two\nlines")
    assert refusal["response"]["status"] == {"code": 403, "message": "two lines"}


def bent(**change: object) -> str:
    return json.dumps({**GOOD, "request": {**GOOD["request"], **change}})


@pytest.mark.parametrize(
    ("raw", "code", "uid"),
    [
        (b"", "review.unreadable", False),
        (b"\xff", "review.unreadable", False),
        (b"[]", "review.wrong", False),
        (b"null", "review.wrong", False),
        (b'{"kind": "Pod"}', "review.wrong", False),
        (b"[" * 5_000 + b"]" * 5_000, "review.unreadable", False),
        (b'{"a": 1, "a": 2}', "review.unreadable", False),
        (b'{"a": NaN}', "review.unreadable", False),
        (b" " * (MAX_BYTES + 1), "review.too_large", False),
        (RAW.replace('"operation": "CREATE"', '"operation": "CREATE", "operation": "DELETE"').encode(),
         "review.unreadable", False),
        (RAW.replace("admission.k8s.io/v1", "admission.k8s.io/v2").encode(), "review.wrong", True),
        (bent(uid="").encode(), "review.wrong", False),
        (bent(uid=7).encode(), "review.wrong", False),
        (bent(uid="x" * 200).encode(), "review.wrong", False),
        (bent(operation="PATCH").encode(), "review.wrong", True),
        (bent(operation=None).encode(), "review.wrong", True),
        (bent(kind="Deployment").encode(), "review.wrong", True),
        (bent(kind={"group": "apps", "kind": "StatefulSet"}).encode(), "review.wrong", True),
        (bent(kind={"group": "", "kind": "Deployment"}).encode(), "review.wrong", True),
        (bent(object=None).encode(), "review.wrong", True),
        (bent(object=[]).encode(), "review.wrong", True),
        (bent(namespace="elsewhere").encode(), "review.wrong", True),
        (bent(namespace=3).encode(), "review.wrong", True),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "x",
)  # fmt: skip
def test_garbage(raw: bytes, code: str, uid: bool) -> None:
    with pytest.raises(Refused) as caught:
        read_review(raw)
    assert caught.value.code == code
    assert caught.value.uid == (GOOD["request"]["uid"] if uid else "")


def test_a_deletion_has_no_object() -> None:
    found = read_review(json.dumps(review(None, of=deployment({}), operation="DELETE")).encode())
    assert not found.object
    assert found.operation == "DELETE"
