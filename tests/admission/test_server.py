"""``mlgov admission`` itself over TLS, with a real OPA and a real ledger, and what becomes of a review when one of
them is not there."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from airflow_mlgov.admission.opa import OpaServer
from airflow_mlgov.admission.review import MAX_BYTES
from airflow_mlgov.errors import DependencyError, EvidenceError, MlgovError
from tests.codes import raises_code
from tests.fixtures.mlflow_server import MlflowServer
from tests.fixtures.opa import running_opa
from tests.fixtures.shell import Run
from tests.worlds.admission import (
    GATE,
    PROMOTE,
    Cluster,
    House,
    bundle,
    deployment,
    inference_service,
    pod_spec,
    review,
    running_admission,
    workflow,
)
from tests.worlds.governed import Governed


@dataclass(frozen=True)
class Found:
    """The server, and the model behind it."""

    server: Cluster
    house: House


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, mlflow_server: MlflowServer, opa_server: OpaServer
) -> Iterator[Found]:
    """The command itself, over TLS."""
    folder = tmp_path_factory.mktemp("cluster")
    house = House.build(folder, mlflow_server, opa_server)
    with running_admission(folder, house.door.governed, opa_server.url, opa_server.revision) as server:
        yield Found(server, house)


def test_reviews_over_tls(cluster: Found) -> None:
    server, good, other = cluster.server, cluster.house.promoted.uri, cluster.house.other.uri
    asked = {
        True: [
            review(deployment(pod_spec(good))),
            review(inference_service(good, good), version="admission.k8s.io/v1beta1"),
            review(workflow(GATE, PROMOTE), namespace="pipelines"),
            review(None, of=deployment({}), operation="DELETE"),
        ],
        False: [
            review(deployment(pod_spec(other))),
            review(inference_service("s3://models/credit"), dryRun=True),
            review(workflow(PROMOTE), namespace="pipelines"),
            review({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}),
        ],
    }
    for allowed, reviews in asked.items():
        for one in reviews:
            found = server.ask(one)
            assert (found.uid, found.allowed) == (one["request"]["uid"], allowed), found.said
            assert allowed or (found.status == 403 and found.said.endswith("]"))


def test_many_at_once_each_with_its_uid(cluster: Found) -> None:
    server, good, other = cluster.server, cluster.house.promoted.uri, cluster.house.other.uri
    asked = [review(deployment(pod_spec(good if at % 2 else other))) for at in range(40)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(server.ask, asked))
    assert [one.uid for one in found] == [one["request"]["uid"] for one in asked]
    assert [one.allowed for one in found] == [bool(at % 2) for at in range(40)]


@pytest.mark.parametrize(
    ("raw", "status"),
    [(b"", 400), (b"{}", 400), (b"\xff\x00", 400), (b'{"kind": "AdmissionReview"}', 400), (b"[" * 100_000, 400),
     (b" " * (MAX_BYTES + 1), 413)],
)  # fmt: skip
def test_garbage_is_an_error(cluster: Found, raw: bytes, status: int) -> None:
    assert cluster.server.send(raw).status_code == status
    assert cluster.server.ask(review(deployment(pod_spec(cluster.house.promoted.uri)))).allowed


def test_a_compressed_body(cluster: Found) -> None:
    asked = json.dumps(review(deployment(pod_spec(cluster.house.promoted.uri)))).encode()
    assert cluster.server.send(gzip.compress(asked), **{"Content-Encoding": "gzip"}).status_code == 415


def test_garbage_with_a_uid_is_answered(cluster: Found) -> None:
    asked = review(deployment(pod_spec(cluster.house.promoted.uri)))
    asked["request"]["operation"] = "PATCH"
    found = cluster.server.ask(asked)
    assert (found.uid, found.allowed, found.status) == (asked["request"]["uid"], False, 400)


def test_what_is_served_besides(cluster: Found) -> None:
    with cluster.server.client() as client:
        assert [client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]
        assert [client.get(path).status_code for path in ("/validate", "/docs", "/openapi.json")] == [405, 404, 404]


def test_a_stranger_and_plain_http(cluster: Found) -> None:
    server = cluster.server
    with (
        httpx.Client(trust_env=False) as stranger,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        stranger.get(f"{server.url}/healthz")
    with httpx.Client(trust_env=False) as plain, pytest.raises(httpx.TransportError):
        plain.get(f"{server.url.replace('https', 'http')}/healthz")


def test_a_body_that_never_ends_is_not_waited_for(cluster: Found) -> None:
    url = httpx.URL(cluster.server.url)
    context = ssl.create_default_context(cafile=str(cluster.server.authority))
    with (
        socket.create_connection((url.host, url.port), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname=url.host) as connection,
    ):
        connection.sendall(b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        assert connection.recv(100).startswith(b"HTTP/1.1 503")


def test_nobody_there(tmp_path: Path) -> None:
    """An API server that cannot reach the webhook, or hears an error, does what ``failurePolicy`` says: see
    tests/admission/test_deploy.py for that it is Fail."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = Cluster(f"https://127.0.0.1:{taken.getsockname()[1]}", certificate(tmp_path), None)  # type: ignore[arg-type]
        with pytest.raises(httpx.ConnectError):
            nobody.send(b"{}")


def certificate(folder: Path) -> Path:
    from tests.worlds.admission import certificates

    return certificates(folder)[0]


def test_opa_and_its_bundle(cluster: Found, tmp_path: Path) -> None:
    governed = cluster.house.door.governed
    made, revision = bundle(tmp_path)
    asked = review(deployment(pod_spec(cluster.house.promoted.uri)))
    with running_opa(made, tmp_path) as (url, process), running_admission(tmp_path, governed, url, revision) as server:
        assert server.ask(asked).allowed
        with raises_code(EvidenceError, "opa.bundle", "is pinned"):
            OpaServer(url, "sha256:another").check()
        process.stop()
        asked = review(deployment(pod_spec(cluster.house.other.uri)))  # of which OPA has said nothing yet
        found = server.ask(asked)
        assert (found.uid, found.allowed, found.status) == (asked["request"]["uid"], False, 503)
        assert "does not answer" in found.said
        with server.client() as client:
            assert client.get("/readyz").status_code == 503
            assert client.get("/healthz").status_code == 200


GOOD = {"uid": "ready", "allowed": True}


class Saying(BaseHTTPRequestHandler):
    """An OPA with a fault; no real one can be made to have each of them."""

    said: tuple[int, object] = (200, {})

    def do_POST(self) -> None:
        status, body = self.said
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def faulty() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Saying) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def told(response: object, revision: object = "sha256:r", **more: object) -> dict[str, object]:
    bundles = {"b": {"revision": revision}, **more}
    return {"provenance": {"bundles": bundles}, "result": {"response": response}}


@pytest.mark.parametrize(
    ("said", "kind", "code"),
    [
        ((200, {}), EvidenceError, "opa.bundle"),
        ((200, []), EvidenceError, "opa.bundle"),
        ((200, {"result": {"response": GOOD}}), EvidenceError, "opa.bundle"),
        ((200, told(GOOD, "sha256:other")), EvidenceError, "opa.bundle"),
        ((200, told(GOOD, None)), EvidenceError, "opa.bundle"),
        ((200, told(GOOD, "sha256:r", c={"revision": "sha256:r"})), EvidenceError, "opa.bundle"),
        ((200, {"provenance": {"bundles": {"b": {"revision": "sha256:r"}}}}), EvidenceError, "opa.answer"),
        ((200, told(None)), EvidenceError, "opa.answer"),
        ((200, told({})), EvidenceError, "opa.answer"),
        ((200, told([GOOD])), EvidenceError, "opa.answer"),
        ((200, told({**GOOD, "uid": "another"})), EvidenceError, "opa.answer"),
        ((200, told({**GOOD, "allowed": "true"})), EvidenceError, "opa.answer"),
        ((200, told({**GOOD, "allowed": 1})), EvidenceError, "opa.answer"),
        ((200, told({"uid": "ready"})), EvidenceError, "opa.answer"),
        ((200, b"allowed"), EvidenceError, "opa.answer"),
        ((200, b"[" * 100_000), EvidenceError, "opa.answer"),
        ((404, told(GOOD)), DependencyError, "opa.down"),
        ((500, told(GOOD)), DependencyError, "opa.down"),
        ((301, told(GOOD)), DependencyError, "opa.down"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "x",
)
def test_an_answer_that_is_not_as_it_must_be(
    faulty: str, said: tuple[int, object], kind: type[MlgovError], code: str
) -> None:
    Saying.said = (200, told(GOOD))
    OpaServer(faulty, "sha256:r").check()
    Saying.said = said
    with raises_code(kind, code):
        OpaServer(faulty, "sha256:r").check()


def test_the_command_says_what_is_missing(governed: Governed, run: Run, tmp_path: Path) -> None:
    given = ["admission", "--ledger", governed.ledger_url, "--trust", governed.trust_file, "--policy",
             governed.policy_file, "--bundle-revision", "sha256:r"]  # fmt: skip
    registry = ["--registry", governed.registry.uri]
    for more, why in (
        (["--opa", "http://127.0.0.1:1"], "whose models?"),
        (["--opa", "ftp://x", *registry], "name the OPA server by its URL"),
        (["--opa", "http://127.0.0.1:1", *registry, "--host", "0.0.0.0"], "over HTTPS alone"),
        (["--opa", "http://127.0.0.1:1", *registry, "--tls-cert", tmp_path / "none"], "go together"),
        (["--opa", "http://127.0.0.1:1", *registry, "--tls-cert", tmp_path / "a", "--tls-key", tmp_path / "b"],
         "no such file"),
        (["--opa", "http://127.0.0.1:1", *registry], "there is no ledger"),
    ):  # fmt: skip
        code, _, err = run(*given, *more)
        assert code == 2
        assert why in err
