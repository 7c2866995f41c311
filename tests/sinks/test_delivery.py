"""The audit trail handed on: in order, whole, once where the far side can be read, and never in the way of a gate."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from securesystemslib.signer import Signer

from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, EvidenceError
from airflow_mlgov.evidence.ledger import Ledger, open_ledger
from airflow_mlgov.evidence.signing import open_signer, sign_statement
from airflow_mlgov.sinks.delivery import deliver, standing
from airflow_mlgov.sinks.folder import FolderSink
from airflow_mlgov.sinks.settings import open_sinks
from airflow_mlgov.sinks.webhook import WebhookSink
from tests.codes import raises_code
from tests.fixtures.airflow_runner import TaskRun
from tests.fixtures.postgres import PASSWORD
from tests.fixtures.shell import Run
from tests.worlds.lineage import drawn
from tests.worlds.pages import example
from tests.worlds.statements import make_statement

SECRET = "s3cret-of-the-siem"
RECEIVER = example("extend.md", "receive.py")


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    if request.param == "sqlite":
        return open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    from tests.fixtures.postgres import new_database

    url = sa.make_url(new_database(request.getfixturevalue("postgres_server"))).set(password=PASSWORD)
    return open_ledger(url)


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return open_signer(f"local:{tmp_path / 'key.pem'}", make_key=True)


@dataclass
class FarSide:
    """A server that takes what is posted to it."""

    url: str
    answers: list[int] = field(default_factory=list)
    """What it answers next; 200 when there is none left."""
    taken: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0


@contextmanager
def far_side() -> Iterator[FarSide]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert RECEIVER["take"](self.headers, body, SECRET, {}) == 204
            assert RECEIVER["take"](self.headers, body, "another", {}) == 403
            assert RECEIVER["take"](self.headers, body + b" ", SECRET, {}) == 403
            side.asked += 1
            code = side.answers.pop(0) if side.answers else 200
            if code == 200:
                side.taken += json.loads(body)["entries"]
            self.send_response(code)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        side = FarSide(f"http://127.0.0.1:{server.server_address[1]}/mlgov")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield side
        finally:
            server.shutdown()
            thread.join()


def fill(ledger: Ledger, signer: Signer, count: int) -> None:
    for _ in range(count):
        ledger.attest(make_statement(), signer)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines()]


def webhook(url: str) -> WebhookSink:
    return WebhookSink(url, lambda: SECRET, batch=2, wait=lambda _: None)


def test_every_entry_in_order_and_once(ledger: Ledger, signer: Signer, tmp_path: Path) -> None:
    with far_side() as siem:
        sinks = {"archive": FolderSink(str(tmp_path / "out"), batch=2), "siem": webhook(siem.url)}
        assert [(one.now, one.of) for one in standing(ledger, list(sinks))] == [(0, 0), (0, 0)]
        fill(ledger, signer, 5)
        assert [(one.before, one.now, one.error) for one in deliver(ledger, sinks)] == [(0, 5, None)] * 2
        fill(ledger, signer, 1)
        assert [(one.before, one.now) for one in deliver(ledger, sinks)] == [(5, 6)] * 2
        assert [(one.before, one.now) for one in deliver(ledger, sinks)] == [(6, 6)] * 2
        assert [(one.now, one.of) for one in standing(ledger, list(sinks))] == [(6, 6), (6, 6)]
    entries = ledger.entries()
    for found in (lines(tmp_path / "out"), siem.taken):
        assert [item["seq"] for item in found] == [1, 2, 3, 4, 5, 6]
        assert [item["hash"] for item in found] == [entry.hash for entry in entries]
        assert found[5]["key"] == f"{ledger.verify().origin}/6"
        assert found[5]["envelope"] == json.loads(entries[5].envelope)
    assert sorted(path.name for path in (tmp_path / "out").iterdir())[0] == "000000000001-000000000002.jsonl"


def test_one_that_is_down_stops_no_other_and_loses_nothing(ledger: Ledger, signer: Signer, tmp_path: Path) -> None:
    fill(ledger, signer, 5)
    with far_side() as siem:
        sinks = {"siem": webhook(siem.url), "archive": FolderSink(str(tmp_path / "out"))}
        siem.answers = [200, 500, 503, 429, 502, 500]
        first, second = deliver(ledger, sinks)
        assert (first.now, second.now) == (2, 5)
        assert isinstance(first.error, DependencyError)
        assert "answers 500, 5 times" in str(first.error)
        siem.answers = [500, 200]
        assert [one.now for one in deliver(ledger, sinks)] == [5, 5]
    assert [item["seq"] for item in siem.taken] == [1, 2, 3, 4, 5]
    nobody = {"siem": webhook(siem.url), "archive": FolderSink(str(tmp_path / "out"))}
    fill(ledger, signer, 1)
    first, second = deliver(ledger, nobody)
    assert "does not answer" in str(first.error)
    assert SECRET not in str(first)
    assert second.now == 6


@pytest.mark.parametrize(("answer", "kind"), [(403, AccessError), (400, ConfigurationError), (302, ConfigurationError)])
def test_a_refusal_is_not_tried_again(tmp_path: Path, signer: Signer, answer: int, kind: type[Exception]) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    fill(ledger, signer, 1)
    with far_side() as siem:
        siem.answers = [answer]
        (found,) = deliver(ledger, {"siem": webhook(siem.url)})
    assert isinstance(found.error, kind)
    assert (found.now, siem.asked) == (0, 1)


def test_killed_before_it_was_acknowledged(tmp_path: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can be read is not written again; what cannot be comes again under the key that it had."""
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    fill(ledger, signer, 3)

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with far_side() as siem:
        sinks = {"archive": FolderSink(str(tmp_path / "out"), batch=2)}
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr("airflow_mlgov.sinks.delivery._acknowledge", die)
            deliver(ledger, sinks)
        (found,) = deliver(ledger, sinks)
        assert (found.before, found.now) == (2, 3)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr("airflow_mlgov.sinks.delivery._acknowledge", die)
            deliver(ledger, {"siem": webhook(siem.url)})
        deliver(ledger, {"siem": webhook(siem.url)})
    assert [item["seq"] for item in lines(tmp_path / "out")] == [1, 2, 3]
    assert [item["key"] for item in siem.taken[:2]] == [item["key"] for item in siem.taken[2:4]]


def test_another_ledger_or_a_shorter_one(tmp_path: Path, signer: Signer) -> None:
    ledger, other = (open_ledger(f"sqlite:///{tmp_path / name}.db") for name in ("a", "b"))
    fill(ledger, signer, 3)
    archive = {"archive": FolderSink(str(tmp_path / "out"))}
    deliver(ledger, archive)
    fill(other, signer, 2)
    (found,) = deliver(other, archive)
    assert found.error is not None
    assert found.error.code == "ledger.tail_cut"
    fill(other, signer, 2)
    (found,) = deliver(other, archive)
    assert found.error is not None
    assert found.error.code == "sink.another_ledger"
    assert len(lines(tmp_path / "out")) == 3


def test_a_table_that_was_edited_skips_nothing_where_the_far_side_is_read(tmp_path: Path, signer: Signer) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    fill(ledger, signer, 2)
    archive = {"archive": FolderSink(str(tmp_path / "out"))}
    deliver(ledger, archive)
    fill(ledger, signer, 2)
    with ledger.beside() as connection:
        connection.execute(sa.text("UPDATE mlgov_delivered SET seq = 4"))
    (found,) = deliver(ledger, archive)
    assert (found.before, found.now) == (2, 4)
    assert [item["seq"] for item in lines(tmp_path / "out")] == [1, 2, 3, 4]


@pytest.mark.parametrize("spoil", ["a file removed", "a line removed", "no JSON"])
def test_a_folder_that_is_not_as_it_was_delivered(tmp_path: Path, signer: Signer, spoil: str) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    fill(ledger, signer, 5)
    sink = FolderSink(str(tmp_path / "out"), batch=2)
    deliver(ledger, {"archive": sink})
    first, second, third = sorted((tmp_path / "out").iterdir())
    assert first.name < second.name
    if spoil == "a file removed":
        second.unlink()
    else:
        third.write_text("" if spoil == "a line removed" else "{")
    with raises_code(EvidenceError, "sink.not_as_delivered"):
        sink.last()


def test_an_object_store(tmp_path: Path, signer: Signer) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    fill(ledger, signer, 3)
    sink = FolderSink(f"memory://{tmp_path.name}/audit", batch=2)
    assert [one.now for one in deliver(ledger, {"archive": sink})] == [3]
    arrived = sink.last()
    assert arrived is not None
    assert (arrived.number, arrived.hash) == (3, ledger.get(3).hash)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("", "sink.none", "no sink is named"),
        ("[", "sink.settings", "not JSON"),
        ('[{"name": "a", "kind": "fax", "url": "x"}]', "sink.settings", "fax"),
        ('[{"name": "a", "kind": "folder"}]', "sink.settings", "url"),
        ('[{"name": "a", "kind": "folder", "url": "x", "secret": "y"}]', "sink.settings", "secret"),
        ('[{"name": "a", "kind": "webhook", "url": "https://x"}]', "sink.settings", "one secret"),
        ('[{"name": "a", "kind": "folder", "url": "x"}, {"name": "a", "kind": "folder", "url": "y"}]', "sink.settings",
         "twice"),
    ],
)  # fmt: skip
def test_a_list_with_a_mistake(text: str, code: str, words: str) -> None:
    with raises_code(ConfigurationError, code, match=words):
        open_sinks(text, lambda _: SECRET)


def test_from_a_shell_and_from_a_task(
    tmp_path: Path, signer: Signer, run: Run, run_task: TaskRun, airflow_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_mlgov.operators.sinks import DeliverAuditTrailOperator

    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    fill(open_ledger(url), signer, 2)
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    monkeypatch.setenv("AIRFLOW_CONN_SIEM", json.dumps({"conn_type": "http", "password": SECRET}))
    with far_side() as siem:
        named = [
            {"name": "archive", "kind": "folder", "url": str(tmp_path / "out")},
            {"name": "siem", "kind": "webhook", "url": siem.url, "secret_file": str(tmp_path / "secret")},
        ]
        monkeypatch.setenv("MLGOV_SINKS", json.dumps(named))
        code, out, _ = run("sinks", "deliver", "--ledger", url)
        assert (code, out.count("2 delivered, 2 of 2 entries are there")) == (0, 2)
        fill(open_ledger(url), signer, 1)
        code, out, _ = run("sinks", "list", "--ledger", url, "--json")
        assert json.loads(out)[1] == {"sink": "siem", "now": 2, "of": 3}

        named[1] = {"name": "siem", "kind": "webhook", "url": siem.url, "conn_id": "siem"}
        monkeypatch.setenv("AIRFLOW__MLGOV__SINKS", json.dumps(named))
        monkeypatch.setenv("AIRFLOW__MLGOV__LEDGER", url)
        done = run_task(DeliverAuditTrailOperator(task_id="deliver"))
        assert (done.state, done.xcom) == ("success", {"archive": 3, "siem": 3})
        lineage = drawn(done).told
        assert [node.namespace for node in lineage.inputs] == [f"sqlite://{tmp_path}/ledger.db"]
        places = [(node.namespace, node.name) for node in lineage.outputs]
        assert places == [("file", str(tmp_path / "out")), (siem.url.removesuffix("/mlgov"), "/")]
        siem.answers = [403]
        fill(open_ledger(url), signer, 1)
        refused = run_task(DeliverAuditTrailOperator(task_id="deliver"))
        assert refused.state == "failed"
        assert "sink.refused" in str(refused.error)
    fill(open_ledger(url), signer, 1)
    monkeypatch.setenv("MLGOV_SINKS", json.dumps(named[:1]))
    assert run("sinks", "deliver", "--ledger", url, "--json")[0] == 0
    assert [item["seq"] for item in lines(tmp_path / "out")] == [1, 2, 3, 4, 5]
    assert [item["seq"] for item in siem.taken] == [1, 2, 3]


@pytest.mark.slow
def test_the_audit_log_of_a_model_at_weights_and_biases(tmp_path: Path, signer: Signer) -> None:
    """Offline, as `wandb sync` would send it."""
    pytest.importorskip("wandb", reason="an extra: pip install 'mlgov-core[wandb]'")
    from tests.worlds.wandb_files import records

    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    fill(ledger, signer, 2)
    statement = make_statement().as_json()
    statement["subject"][0]["name"] = "train.csv"
    ledger.append(sign_statement(statement, signer))
    named = json.dumps([{"name": "wandb", "kind": "wandb", "project": "credit", "offline": str(tmp_path)}])
    assert [one.now for one in deliver(ledger, open_sinks(named, lambda _: ""))] == [3]
    runs = {run["name"]: run for run in map(records, sorted(tmp_path.glob("wandb/offline-run-*/run-*.wandb")))}
    model = ledger.get(1).subject_name.removeprefix("models:/").rpartition("/")[0]
    assert set(runs) == {model, "ledger"}
    assert runs[model]["project"] == "credit"
    gate = next(name for name in runs[model]["summary"] if name.count("/") == 2 and name.startswith("mlgov/gate/"))
    assert runs[model]["summary"][gate] == "PASS"
    assert runs[model]["summary"][f"{gate}/key"] == f"{ledger.verify().origin}/2"
    assert runs[model]["files"] == ["000000000001-000000000002.jsonl"]
    assert runs["ledger"]["files"] == ["000000000003-000000000003.jsonl"]


# -- attacks -----------------------------------------------------------------------------------------------------------


class Endless(BaseHTTPRequestHandler):
    """Acknowledges, and then never ends what it answers."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b"x" * 65536)

    def log_message(self, *_: Any) -> None:
        pass


def test_an_answer_that_never_ends_is_not_read(tmp_path: Path, signer: Signer) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    fill(ledger, signer, 1)
    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            (found,) = deliver(ledger, {"siem": webhook(f"http://127.0.0.1:{server.server_address[1]}/")})
        finally:
            server.shutdown()
            thread.join()
    assert (found.now, found.error) == (1, None)


def test_nothing_is_signed_under_an_empty_secret(tmp_path: Path, signer: Signer) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    fill(ledger, signer, 1)
    with far_side() as siem:
        (found,) = deliver(ledger, {"siem": WebhookSink(siem.url, lambda: "", wait=lambda _: None)})
    assert (found.now, siem.asked) == (0, 0)
    assert found.error is not None
    assert found.error.code == "sink.settings"


@pytest.mark.parametrize(
    "sink",
    [
        webhook("http://127.0.0.1:1/services/hush"),
        webhook(f"http://{'a' * 70}.example/hush"),
        FolderSink("ftp://user:hu@sh@127.0.0.1:1/x"),
        FolderSink("s4://user:hush@nowhere/x"),
    ],
)
def test_no_secret_in_a_url_is_shown_and_no_other_sink_waits(tmp_path: Path, signer: Signer, sink: Any) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    fill(ledger, signer, 1)
    first, second = deliver(ledger, {"far": sink, "archive": FolderSink(str(tmp_path / "out"))})
    assert first.error is not None
    assert not re.search("hush|sh@", f"{first} {first.error!r}")
    assert (second.now, second.error) == (1, None)


class Broken(FolderSink):
    """A store whose library raises errors of its own."""

    def last(self) -> None:
        raise KeyError("hush")


def test_a_library_that_raises_what_nobody_expected_stops_no_other(tmp_path: Path, signer: Signer) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    fill(ledger, signer, 1)
    first, second = deliver(ledger, {"a": Broken("x"), "archive": FolderSink(str(tmp_path / "out"))})
    assert "KeyError" in str(first.error)
    assert "hush" not in str(first.error)
    assert second.now == 1


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://siem/", "javascript:alert(1)", "//siem/"])
def test_a_webhook_of_another_scheme_is_a_mistake(url: str) -> None:
    text = json.dumps([{"name": "siem", "kind": "webhook", "url": url, "conn_id": "siem"}])
    with raises_code(ConfigurationError, "sink.settings"):
        open_sinks(text, lambda _: SECRET)
