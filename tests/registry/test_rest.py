"""Our own client of MLflow's REST calls: on the real server it says, does and refuses what MlflowClient does."""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, MlgovError
from airflow_mlgov.evidence.digests import hash_tree
from airflow_mlgov.registry import mlflow_registry, proxied_files
from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
from airflow_mlgov.registry.rest import RestClient
from tests.codes import raises_code
from tests.fixtures.mlflow_server import MlflowServer

ODD_NAMES = ["Crédit risk O'Neil (v2)", 'weird "quoted" %20 name', "日本語モデル", "a=b & c;d", "100%", "a?b#c", "a+b"]


class ByMlflow(MlflowRegistry):
    """The same registry by MLflow's own client alone."""

    _rest = None


@pytest.fixture(scope="module")
def both(mlflow_server: MlflowServer) -> tuple[MlflowRegistry, MlflowRegistry]:
    """Ours, and the same by MLflow's client."""
    who = {"username": mlflow_server.username, "password": mlflow_server.password}
    return MlflowRegistry(mlflow_server.url, **who), ByMlflow(mlflow_server.url, **who)


def answer(call: Callable[..., Any], *given: Any) -> Any:
    """What a call returns, or the kind, the code and the words of its refusal."""
    try:
        return call(*given)
    except MlgovError as error:
        return type(error), error.code, str(error)


def test_ours_is_the_one_that_is_used(both: tuple[MlflowRegistry, MlflowRegistry]) -> None:
    assert isinstance(both[0]._rest, RestClient)
    assert MlflowRegistry("sqlite:////tmp/none.db")._rest is None
    assert MlflowRegistry("databricks://profile")._rest is None


@pytest.mark.parametrize("name", ["rest_plain", *ODD_NAMES, "nobody's", "back\\slash", 'it\'s "both"'])
def test_what_is_read_is_what_mlflow_reads(
    name: str, both: tuple[MlflowRegistry, MlflowRegistry], mlflow_server: MlflowServer
) -> None:
    if name != "nobody's":
        name = f"{name} by rest"  # the server is shared with tests of the same names
        first = mlflow_server.register(name, 1.0)
        second = mlflow_server.register(name, 2.0)
        mlflow_server.registry.set_alias(second, "champion")
        mlflow_server.registry.set_alias(second, "Ünïcode-alias")
        mlflow_server.registry.set_alias(first, "challenger")
        mlflow_server.registry.transition_stage(first, "Staging")
        mlflow_server.registry.set_tags(
            first, {"mlgov.status": "x", "empty": "", "ключ": "значение", "long": "y" * 900}
        )
    ours, theirs = both
    for call in (
        lambda registry: registry.resolve(f"models:/{name}/1"),
        lambda registry: registry.resolve(f"models:/{name}/2"),
        lambda registry: registry.resolve(f"models:/{name}/99"),
        lambda registry: registry.resolve(f"models:/{name}@champion"),
        lambda registry: registry.resolve(f"models:/{name}@nobody"),
        lambda registry: registry.resolve(f"models:/{name}/Staging"),
        lambda registry: registry.resolve(f"models:/{name}/latest"),
        lambda registry: registry.versions(name),
        lambda registry: registry.aliases(name),
        lambda registry: registry.newest(name, newer_than=1),
        lambda registry: registry.subject(registry.resolve({"name": name, "version": 1})),
        lambda registry: name in registry.names(),
    ):
        assert answer(call, ours) == answer(call, theirs)


def test_pages_are_followed_to_their_end(
    both: tuple[MlflowRegistry, MlflowRegistry], mlflow_server: MlflowServer
) -> None:
    mlflow_server.register("paged", 1.0)
    mlflow_server.register("paged", 2.0)
    client = both[0]._rest
    assert client is not None
    page = client.search_model_versions("name='paged'", max_results=1)
    assert (len(page), bool(page.token)) == (1, True)
    rest = client.search_model_versions("name='paged'", max_results=1, page_token=page.token)
    assert {page[0].version, rest[0].version} == {"1", "2"}
    assert client.search_model_versions("name='paged'", max_results=2, page_token=None).token is None


def test_what_is_changed_is_what_mlflow_changes(
    both: tuple[MlflowRegistry, MlflowRegistry], mlflow_server: MlflowServer
) -> None:
    seen = []
    for number, registry in enumerate(both):
        name = f"changed {number}"
        first, second = mlflow_server.register(name, 1.0), mlflow_server.register(name, 2.0)
        registry.set_alias(first, "champion")
        registry.set_alias(second, "champion")
        registry.set_alias(second, "spare")
        registry.delete_alias(name, "spare")
        registry.transition_stage(first, "Production")
        registry.transition_stage(second, "Production", archive_existing=True)
        registry.set_tags(second, {"a": "b", "ä": "1"})
        found = mlflow_server.registry
        seen.append(
            (
                found.aliases(name),
                [(item.version, item.stage, item.tags) for item in found.versions(name)],
                answer(registry.set_alias, first, "v1")[:2],
                answer(registry.set_alias, first, "a/b")[:2],
                answer(registry.set_tags, first, {"": "no key"})[:2],
                answer(registry.delete_alias, "no such model", "champion")[:2],
            )
        )
    assert seen[0] == seen[1]


def test_a_prompt_is_no_model(both: tuple[MlflowRegistry, MlflowRegistry]) -> None:
    ours, theirs = both
    with theirs.calling("register a prompt") as client:
        client.register_prompt("a_prompt", "Say {{something}}.")
    for call in (
        lambda registry: registry.resolve("models:/a_prompt/1"),
        lambda registry: registry.aliases("a_prompt"),
        lambda registry: "a_prompt" in registry.names(),
    ):
        assert answer(call, ours) == answer(call, theirs)
    version = mlflow_registry.ModelVersion("a_prompt", "1")
    for change in (
        lambda registry: registry.set_alias(version, "champion"),
        lambda registry: registry.set_tags(version, {"a": "b"}),
        lambda registry: registry.transition_stage(version, "Production"),
        lambda registry: registry.digest(version),
    ):
        assert answer(change, ours)[1:] == answer(change, theirs)[1:]


def test_files_are_those_that_mlflow_hands_over(
    both: tuple[MlflowRegistry, MlflowRegistry], mlflow_server: MlflowServer
) -> None:
    version = mlflow_server.register("of many files")
    folder = next(path for path in mlflow_server.directory.rglob("artifacts") if path.parent.name == version.source[8:])
    for name in ("a b.txt", "ü/日本.bin", "deep/er/still/x", "+plus&amp=.txt", "empty", ".hidden", "~tilde", "it's"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode() * (0 if name == "empty" else 100_000))
    (folder / "nothing in it").mkdir()
    trees = []
    for registry in both:
        with registry.download(version) as path:
            trees.append({item.relative_to(path).as_posix(): item.is_dir() for item in path.rglob("*")})
            assert hash_tree(path) == hash_tree(folder)
    assert trees[0] == trees[1]


@pytest.mark.parametrize("name", ["a#b", "a?b", "a%b", "100%25", "line\nbreak", "back\\slash", "tab\there", "bell\a"])
def test_names_that_the_proxy_does_not_carry(
    name: str, both: tuple[MlflowRegistry, MlflowRegistry], mlflow_server: MlflowServer
) -> None:
    version = mlflow_server.register("of odd files")
    folder = next(path for path in mlflow_server.directory.rglob("artifacts") if path.parent.name == version.source[8:])
    (folder / name).write_text("x")
    with raises_code(ConfigurationError, "registry.file"):
        both[0].digest(version)


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("mlflow-artifacts:/0/models/m-1/artifacts", "0/models/m-1/artifacts"),
        ("mlflow-artifacts:0/x", "0/x"),
        ("mlflow-artifacts:///0/x/", "0/x"),
        ("mlflow-artifacts://other:5000/0/x", None),
        ("mlflow-artifacts://other/0/x", None),
        ("mlflow-artifacts:/0/../1/x", None),
        ("mlflow-artifacts:/./x", None),
        ("mlflow-artifacts:/0//x", None),
        ("mlflow-artifacts:/0/%2e%2e/x", None),
        ("mlflow-artifacts:/0/x?y", None),
        ("mlflow-artifacts:/0/x#y", None),
        ("mlflow-artifacts:/0/x\n", None),
        ("mlflow-artifacts:/", None),
        ("s3://bucket/x", None),
        ("file:///etc", None),
        ("models:/m-1", None),
    ],
)
def test_only_an_address_that_means_one_path_is_read_by_us(address: str, path: str | None) -> None:
    assert proxied_files.path_of(address) == path


# -- servers that are not well ---------------------------------------------------------------------------------------


@contextmanager
def server(answers: Callable[[str], tuple[int, bytes]]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server with answers of its own, and the headers that it was sent."""
    sent: list[dict[str, str]] = []

    class Answering(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent.append({"path": self.path, **dict(self.headers)})
            status, body = answers(self.path)
            self.send_response(status)
            if status in (301, 302, 307):
                self.send_header("Location", body.decode())
                body = b""
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Quiet."""

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{running.server_port}", sent
    finally:
        running.shutdown()
        running.server_close()


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"<html>", b'{"registered_models": 1}', b'{"registered_models": [{}]}', b"\xff\xfe",
     b'{"registered_models": [], "registered_models": []}', b'{"x": NaN}', b"[" * 100_000,
     b'{"registered_models": [[]]}'],
)  # fmt: skip
def test_an_answer_that_is_not_mlflows(body: bytes) -> None:
    with server(lambda _: (200, body)) as (url, _):
        found = answer(MlflowRegistry(url).names)
    assert found == () if body == b"" else found[:2] == (DependencyError, "registry.down")


def test_an_answer_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_mlgov.registry.rest._MOST_JSON", 10_000)
    with server(lambda _: (200, b" " * 3_000_000)) as (url, _), raises_code(DependencyError, "registry.down"):
        MlflowRegistry(url).names()


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (401, b"You are not authenticated", AccessError, "registry.refused"),
        (403, b"Permission denied", AccessError, "registry.refused"),
        (404, b"<html>", ConfigurationError, "registry.not_found"),
        (400, b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "no"}', ConfigurationError, "registry.invalid"),
        (404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"}', ConfigurationError, "registry.not_found"),
        (418, b"tea", DependencyError, "registry.down"),
        (500, b"the password was hunter2", DependencyError, "registry.down"),
    ],
)
def test_refusals_have_the_codes_that_mlflows_client_leads_to(
    status: int, body: bytes, kind: type[MlgovError], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with server(lambda _: (status, body)) as (url, _):
        ours, theirs = answer(MlflowRegistry(url, token="t0ken").names), answer(ByMlflow(url, token="t0ken").names)
    assert ours[:2] == theirs[:2] == (kind, code)
    assert "hunter2" not in ours[2]
    assert "t0ken" not in ours[2]


def test_it_is_tried_again_as_often_as_mlflow_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    with server(lambda _: (503, b"")) as (url, sent):
        for kind in (MlflowRegistry, ByMlflow):
            sent.clear()
            with raises_code(DependencyError, "registry.down"):
                kind(url).names()
            assert len(sent) == 3


LISTED = b'{"files": [{"path": "%s", "is_dir": false}, {"path": "b", "is_dir": false}]}'


@pytest.mark.parametrize("name", ["..", ".", "a/b", "/etc/passwd", "../x", "b", "", "x\\\\y", "\\udce9", "a\\u0000b"])
def test_a_listing_that_leads_elsewhere_writes_nothing_there(name: str, tmp_path: Path) -> None:
    def answers(path: str) -> tuple[int, bytes]:
        if "get-download-uri" in path:
            return 200, b'{"artifact_uri": "mlflow-artifacts:/0/m"}'
        if "registered-models/get" in path:
            return 200, b'{"registered_model": {"name": "m"}}'
        return 200, LISTED % name.encode() if "?" in path else b"bytes"

    with server(answers) as (url, _), pytest.raises(MlgovError) as caught:
        MlflowRegistry(url).digest(mlflow_registry.ModelVersion("m", "1"))
    assert caught.value.code == ("registry.files_down" if name == "" else "registry.file")


# -- who asks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "settings", "header"),
    [
        ({"username": "ann", "password": "pä"}, {}, "Basic YW5uOnDDpA=="),
        ({"token": "tok"}, {"MLFLOW_TRACKING_USERNAME": "x", "MLFLOW_TRACKING_PASSWORD": "y"}, "Bearer tok"),
        ({}, {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": "pä"}, "Basic YW5uOnDDpA=="),
        ({}, {"MLFLOW_TRACKING_TOKEN": "tok"}, "Bearer tok"),
        ({}, {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_TOKEN": "tok"}, "Bearer tok"),
        ({}, {}, None),
    ],
)
def test_who_asks_is_who_mlflow_would_ask_as(
    given: dict[str, str], settings: dict[str, str], header: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with server(lambda _: (200, b'{"registered_models": []}')) as (url, sent):
        MlflowRegistry(url, **given).names()
        ByMlflow(url, **given).names()
    assert [item.get("Authorization") for item in sent] == [header, header]


def test_who_asks_stands_in_mlflows_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".mlflow").mkdir()
    kept = "[mlflow]\nmlflow_tracking_username = ann\nmlflow_tracking_password = p%d\n"
    (tmp_path / ".mlflow" / "credentials").write_text(kept.replace("%", ""))
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login other password netrc\n")
    with server(lambda _: (200, b"{}")) as (url, sent):
        MlflowRegistry(url).names()
    assert sent[0]["Authorization"] == "Basic YW5uOnBk"


def test_a_redirect_to_another_origin_loses_the_credentials(tmp_path: Path) -> None:
    with (
        server(lambda _: (200, b"{}")) as (elsewhere, seen),
        server(lambda _: (302, f"{elsewhere}/x".encode())) as (url, _),
    ):
        MlflowRegistry(url, token="tok").names()
    assert [item.get("Authorization") for item in seen] == [None]


@pytest.mark.parametrize(
    "settings",
    [{"MLFLOW_TRACKING_AWS_SIGV4": "true"}, {"MLFLOW_TRACKING_AUTH": "kubernetes"}],
)
def test_what_only_mlflow_can_do_is_left_to_it(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert MlflowRegistry("http://127.0.0.1:9")._rest is None


def test_tls_is_as_mlflows_settings_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    def record(self: requests.Session, method: str, url: str, **given: Any) -> requests.Response:
        seen.update(given)
        raise requests.exceptions.ConnectionError

    monkeypatch.setattr(requests.Session, "request", record)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other.pem"))
    for settings, verify, cert in (
        ({}, True, None),
        ({"MLFLOW_TRACKING_INSECURE_TLS": "true"}, False, None),
        ({"MLFLOW_TRACKING_SERVER_CERT_PATH": "/ca.pem", "MLFLOW_TRACKING_CLIENT_CERT_PATH": "/me.pem"}, "/ca.pem",
         "/me.pem"),
    ):  # fmt: skip
        with monkeypatch.context() as here:
            for name, value in settings.items():
                here.setenv(name, value)
            with raises_code(DependencyError, "registry.down"):
                MlflowRegistry("https://mlflow.example").names()
        assert (seen["verify"], seen["cert"]) == (verify, cert)
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", "/ca.pem")
    with raises_code(ConfigurationError, "registry.credentials"):
        MlflowRegistry("https://mlflow.example").names()


def test_mlflow_is_not_imported(mlflow_server: MlflowServer) -> None:
    version = mlflow_server.register("light")
    script = (
        "import json, os, sys\n"
        "from airflow_mlgov.registry.mlflow_registry import MlflowRegistry\n"
        "registry = MlflowRegistry(os.environ['URL'], os.environ['WHO'], os.environ['WORD'])\n"
        "print(json.dumps([registry.digest(registry.resolve('models:/light/1')), 'mlflow' in sys.modules]))\n"
    )
    who = {"URL": mlflow_server.url, "WHO": mlflow_server.username, "WORD": mlflow_server.password}
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, **who}, capture_output=True, check=True)
    assert json.loads(done.stdout) == [mlflow_server.registry.digest(version), False]
