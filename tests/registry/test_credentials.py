"""Credentials reach MLflow's requests to their own origin, from any thread, and nothing else."""

import http.server
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.registry.credentials import origin, setting, using
from airflow_mlgov.urls import shown_server
from tests.codes import raises_code

PASSWORD = "s3cret-pässword"
BASIC = "Basic YWxpY2U6czNjcmV0LXDDpHNzd29yZA=="


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with the Authorization header it was sent; /away/PORT redirects to another port."""

    def do_GET(self) -> None:
        if self.path.startswith("/away/"):
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{self.path.removeprefix('/away/')}/")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = (self.headers.get("Authorization") or "none").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def two_servers() -> Iterator[tuple[str, str]]:
    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) for _ in range(2)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield tuple(f"http://127.0.0.1:{server.server_port}" for server in servers)
    for server in servers:
        server.shutdown()
        server.server_close()


def seen_by(url: str, path: str = "/") -> str:
    """What a server sees of a request that MLflow makes as all of its clients do."""
    return http_request(get_default_host_creds(url), path, "GET", max_retries=0).text


def test_only_the_own_origin_gets_the_credentials(two_servers):
    own, other = two_servers
    with using(own, username="alice", password=PASSWORD):
        assert seen_by(own) == BASIC
        assert seen_by(other) == "none"
        assert seen_by(own, f"/away/{other.rsplit(':', 1)[1]}") == "none"
    assert seen_by(own) == "none"


def test_nothing_secret_is_in_the_environment(two_servers):
    own, _ = two_servers
    before = dict(os.environ)
    with using(own, token="tok-123456"):
        assert seen_by(own) == "Bearer tok-123456"
        changed = {name: value for name, value in os.environ.items() if before.get(name) != value}
        assert changed == {"MLFLOW_TRACKING_AUTH": "mlgov"}
    assert dict(os.environ) == before


def test_pool_threads_are_authenticated_too(two_servers):
    own, other = two_servers
    with using(own, username="alice", password=PASSWORD), ThreadPoolExecutor(4) as pool:
        assert set(pool.map(seen_by, [own] * 8)) == {BASIC}
        assert set(pool.map(seen_by, [other] * 8)) == {"none"}


def test_threads_with_identities_of_their_own_do_not_mix(two_servers):
    own, _ = two_servers
    together = threading.Barrier(2)

    def ask(token: str) -> str:
        with using(own, token=token):
            together.wait(5)
            answer = seen_by(own)
            together.wait(5)
            return answer

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(ask, ["one", "two"])) == ["Bearer one", "Bearer two"]
    assert seen_by(own) == "none"


def test_a_stranger_thread_is_refused_rather_than_given_the_wrong_identity(two_servers):
    own, _ = two_servers
    with using(own, token="one"), using(own, token="two"), ThreadPoolExecutor(1) as pool:
        assert seen_by(own) == "Bearer two"
        with pytest.raises(Exception, match="two identities are in use"):
            pool.submit(seen_by, own).result()
    with using(own, token="one"):
        assert seen_by(own) == "Bearer one"


def test_blocks_that_end_in_another_order_leave_the_setting_until_the_last(monkeypatch):
    monkeypatch.setenv("MLFLOW_X", "mine")
    first, second = setting("MLFLOW_X", "ours", override=True), setting("MLFLOW_X", "ours", override=True)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert os.environ["MLFLOW_X"] == "ours"
    second.__exit__(None, None, None)
    assert os.environ["MLFLOW_X"] == "mine"


def test_a_setting_of_the_users_wins(monkeypatch):
    monkeypatch.setenv("MLFLOW_X", "mine")
    with setting("MLFLOW_X", "ours"):
        assert os.environ["MLFLOW_X"] == "mine"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"username": "alice"}, "one of them is missing"),
        ({"username": "a", "password": "b", "token": "c"}, "not both"),
    ],
)
def test_credentials_that_do_not_fit_together(given, says):
    with raises_code(ConfigurationError, "registry.credentials", match=says), using("http://127.0.0.1:1", **given):
        pass


def test_credentials_in_the_uri_are_refused_and_not_repeated():
    with (
        raises_code(ConfigurationError, "registry.credentials") as caught,
        using(f"http://alice:{PASSWORD}@127.0.0.1:1"),
    ):
        pass
    assert PASSWORD not in str(caught.value)


def test_a_database_uri_takes_no_credentials():
    with raises_code(ConfigurationError, "registry.credentials"), using("sqlite:////tmp/x.db", token="t"):
        pass


def test_origins():
    assert origin("HTTPS://MLflow.Example/api?x=1") == "https://mlflow.example:443"
    assert origin("http://[::1]:5000") == "http://[::1]:5000"
    assert origin("sqlite:////tmp/x.db") is None
    assert shown_server("http://u:p@h:1/x/?token=t") == "http://h:1/x"
    assert shown_server("sqlite:////tmp/x.db") == "sqlite:////tmp/x.db"
    assert shown_server("postgresql://u:p/a@ss@h/db?sslmode=off") == "postgresql://h/db"
