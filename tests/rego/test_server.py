"""An OPA server as an engine: a real one, over TLS with a token; and whatever a server may answer that is no pass."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, MlgovError
from airflow_mlgov.governance.decision import SHIPPED, apply_rules
from airflow_mlgov.governance.reasons import shipped_rules
from airflow_mlgov.rego.binary import OpaBinary
from airflow_mlgov.rego.client import ServerSettings
from airflow_mlgov.rego.embedded import embedded
from airflow_mlgov.rego.protocol import Bundle, RulesError
from airflow_mlgov.rego.server import OpaServer, moved
from tests.fixtures.opa_over_tls import OpaServerOfTests, running_opa

RULES = "package a.b\nimport rego.v1\nimport data.lib.c\n"
LIB = "package lib\nimport rego.v1\nc := data.k + 1\n"
MODULES = {
    "a.rego": RULES + 'deny contains {"n": n} if { some n in input.list; n > c; n > data.lib.c }',
    "lib.rego": LIB,
}
BUNDLE = Bundle(MODULES, data={"k": 1})
DENY = "data.a.b.deny"
GOLDEN = Path(__file__).parents[1] / "golden" / "decision_input.json"


def test_it_answers_as_the_embedded_engine_does(opa_over_tls: OpaServerOfTests) -> None:
    engine = OpaServer(opa_over_tls.settings())
    assert engine.ping().count(".") == 2
    for _ in range(2):
        assert engine.evaluate(BUNDLE, [DENY], {"list": [3, 1, 2.0, 2.5]}, counted=DENY) == [[{"n": 2.5}, {"n": 3}]]
    with pytest.raises(RulesError, match="undefined"):
        engine.evaluate(Bundle({"a.rego": "package a\nx := 1 if input.y"}), ["data.a.x"], {})


def test_the_rules_of_promotion_give_the_same_reasons_in_all_engines(opa_over_tls: OpaServerOfTests) -> None:
    document = json.loads(GOLDEN.read_text())
    engines = [embedded(), OpaServer(opa_over_tls.settings()), OpaBinary("opa")]
    answers = [apply_rules({SHIPPED: shipped_rules()}, document, engine) for engine in engines]
    assert len(answers[0].reasons) > 5
    assert "engine.error" not in {code for code, _ in answers[0].reasons}
    assert answers[0] == answers[1] == answers[2]


def test_older_rules_and_those_of_others_are_not_among_them(opa_over_tls: OpaServerOfTests) -> None:
    """Everything in one package is one set, whoever wrote it."""
    opa_over_tls.call("PUT", "v1/policies/other", b'package a.b\ndeny contains "other" if true')
    older = Bundle({**MODULES, "a.rego": RULES + 'deny contains "older" if c'}, data={"k": 1})
    engine = OpaServer(opa_over_tls.settings())
    assert engine.evaluate(older, [DENY], {"list": []}) == [["older"]]
    assert engine.evaluate(BUNDLE, [DENY], {"list": [9]}) == [[{"n": 9}]]
    opa_over_tls.call("DELETE", "v1/policies/other")


def test_rules_that_were_changed_on_the_server_are_found(opa_over_tls: OpaServerOfTests) -> None:
    made = Bundle({"a.rego": RULES.replace("import data.lib.c\n", "") + "deny contains 1 if input.bad"})
    engine = OpaServer(opa_over_tls.settings())
    assert engine.evaluate(made, [DENY], {"bad": True}) == [[1]]
    root = f"mlgov_{made.digest}"
    forged = f"package {root}.a.b\nimport rego.v1\ndeny contains 1 if false".encode()
    opa_over_tls.call("PUT", f"v1/policies/mlgov/{made.digest}/0.rego", forged)
    with pytest.raises(RulesError) as caught:
        engine.evaluate(made, [DENY], {"bad": True})
    assert caught.value.code == "rego.disagree"
    fresh = OpaServer(opa_over_tls.settings())
    assert fresh.evaluate(made, [DENY], {"bad": True}) == [[1]]
    opa_over_tls.call("PUT", "v1/policies/stranger", f"package {root}.a.b\nimport rego.v1\ndeny contains 2".encode())
    with pytest.raises(RulesError) as caught:
        OpaServer(opa_over_tls.settings()).evaluate(made, [DENY], {"bad": True})
    assert caught.value.code == "opa.other_rules"
    opa_over_tls.call("DELETE", "v1/policies/stranger")


def test_a_server_that_was_started_anew_is_given_the_rules_again(opa_over_tls: OpaServerOfTests) -> None:
    engine = OpaServer(opa_over_tls.settings())
    engine.evaluate(BUNDLE, [DENY], {"list": [5]})
    for number in range(2):
        opa_over_tls.call("DELETE", f"v1/policies/mlgov/{BUNDLE.digest}/{number}.rego")
    assert engine.evaluate(BUNDLE, [DENY], {"list": [5]}) == [[{"n": 5}]]


@pytest.mark.parametrize(
    ("change", "error", "code"),
    [
        ({"token": "wrong"}, AccessError, "opa.refused"),
        ({"token": ""}, AccessError, "opa.refused"),
        ({"token": "a\nb"}, AccessError, "opa.refused"),
        ({"ca": ""}, AccessError, "opa.certificate"),
        ({"ca": "/nowhere.pem"}, ConfigurationError, "opa.certificate"),
        ({"url": "https://127.0.0.1:9"}, DependencyError, "opa.down"),
        ({"bundle": "main"}, RulesError, "opa.other_rules"),
    ],
)
def test_what_keeps_a_server_from_answering(
    opa_over_tls: OpaServerOfTests, change: dict[str, Any], error: type[MlgovError], code: str
) -> None:
    with pytest.raises(error) as caught:
        OpaServer(opa_over_tls.settings(**change)).evaluate(BUNDLE, [DENY], {"list": []})
    assert caught.value.code == code
    assert opa_over_tls.token not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["ftp://opa.example", "http://opa.example:8181", "opa.example", "https://user:pw@opa.example", "http://[", ""],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ServerSettings(url)
    assert caught.value.code == "opa.address"
    assert "pw" not in str(caught.value)


@pytest.mark.server
def test_a_client_certificate(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    if not __import__("shutil").which("opa"):
        pytest.skip("no program opa on the PATH (go install github.com/open-policy-agent/opa)")
    with running_opa(tmp_path, mutual=True) as server:
        mine = server.settings(token="", cert=server.cert, key=server.key)
        assert OpaServer(mine).evaluate(BUNDLE, [DENY], {"list": [7]}) == [[{"n": 7}]]
        with pytest.raises((AccessError, DependencyError)):
            OpaServer(server.settings(token="")).evaluate(BUNDLE, [DENY], {"list": [7]})


@contextmanager
def answering(status: int, body: bytes, headers: dict[str, str] | None = None, wait: float = 0) -> Iterator[str]:
    """A server that answers every question so; the fault itself is what is tested."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            threading.Event().wait(wait)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


PROVEN = {"provenance": {"bundles": {"main": {"revision": BUNDLE.digest}}}}


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, b"{}", "opa.other_rules"),
        (200, {"result": []}, "opa.other_rules"),
        (200, PROVEN, "rego.undefined"),
        (200, {**PROVEN, "result": None}, "rego.disagree"),
        (200, {**PROVEN, "result": [{"n": 9}]}, "rego.disagree"),
        (200, {**PROVEN, "result": [], "warning": {"code": "api_usage_warning"}}, "opa.answer"),
        (200, b"[]", "opa.answer"),
        (200, b"", "opa.other_rules"),
        (200, b"<html>", "opa.answer"),
        (302, b"", "opa.answer"),
        (400, {"code": "invalid_parameter", "message": "bad"}, "opa.answer"),
        (401, b"", "opa.refused"),
        (403, b"", "opa.refused"),
        (404, b"", "opa.answer"),
        (429, b"", "opa.down"),
        (500, {"code": "internal_error", "errors": [{"code": "eval_builtin_error", "message": "div"}]}, "opa.answer"),
        (500, {"code": "internal_error", "message": "disk"}, "opa.down"),
        (503, b"", "opa.down"),
    ],
)
def test_no_answer_looks_like_a_pass(status: int, body: Any, code: str) -> None:
    """The rules themselves deny nothing here: a pass would be an empty list."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with answering(status, raw) as url, pytest.raises(MlgovError) as caught:
        OpaServer(ServerSettings(url, bundle="main")).evaluate(BUNDLE, [DENY], {"list": []})
    assert caught.value.code == code


def test_a_bundle_of_the_servers_own_is_known_by_its_revision() -> None:
    with answering(200, json.dumps({**PROVEN, "result": []}).encode()) as url:
        assert OpaServer(ServerSettings(url, bundle="main")).evaluate(BUNDLE, [DENY], {"list": []}) == [[]]


def test_a_server_that_takes_its_time_is_down() -> None:
    with answering(200, b"{}", wait=3) as url, pytest.raises(DependencyError) as caught:
        OpaServer(ServerSettings(url, bundle="main", timeout=0.5)).evaluate(BUNDLE, [DENY], {"list": []})
    assert caught.value.code == "opa.down"


def test_a_module_is_moved_with_all_that_it_calls_data() -> None:
    text = 'package a.b\nimport data.lib.c\nx := "data.a" if { data.é == data["lib"].q } # data\n'
    places = embedded().outline(Bundle({"a.rego": text.replace("é", "k")})).places["a.rego"]
    assert moved(text.replace("é", "k"), places, "r") == (
        'package r.a.b\nimport data.r.lib.c\nx := "data.a" if { data.r.k == data.r["lib"].q } # data\n'
    )


def test_the_program_opa(opa_over_tls: OpaServerOfTests, tmp_path: Path) -> None:
    engine = OpaBinary("opa")
    assert engine.name.startswith("opa 1.")
    assert engine.evaluate(BUNDLE, [DENY, "data.lib.c"], {"list": [3]}) == [[{"n": 3}], 2]
    with pytest.raises(ConfigurationError) as caught:
        OpaBinary("/nowhere/opa").evaluate(BUNDLE, [DENY], {"list": [3]})
    assert caught.value.code == "opa.no_program"
    liar = tmp_path / "opa"
    liar.write_text('#!/bin/sh\necho \'{"result": [{"expressions": [{"value": [[]]}]}]}\'\n')
    liar.chmod(0o700)
    with pytest.raises(RulesError) as refused:
        OpaBinary(str(liar)).evaluate(BUNDLE, [DENY], {"list": [3]})
    assert refused.value.code == "rego.disagree"
