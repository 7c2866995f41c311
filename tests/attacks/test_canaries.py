"""A canary in every credential that tasks and commands are given: whether their servers work or fail, not one is in a
log, an XCom, a rendered field, an error, evidence, a report, a pack, a database or the environment of a child."""

import io
import json
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_mlgov.evidence.signing import TrustRoot, duties
from airflow_mlgov.operators.sinks import DeliverAuditTrailOperator
from airflow_mlgov.vault.transit import TransitSigner
from tests.fixtures.mlflow_server import MlflowServer
from tests.fixtures.opa_over_tls import OpaServerOfTests
from tests.fixtures.openbao import OpenBaoServer
from tests.fixtures.postgres import PASSWORD
from tests.fixtures.proxy import Proxy, down, proxy_of, says
from tests.fixtures.shell import Run
from tests.worlds.canaries import Text, children, forms, found, leaks, of_database, of_files, watched
from tests.worlds.release import Release, answer

CANARY = {
    "the webhook's secret": "hmac/Geheim+nis=webhook-1",
    "the store's key": "s3/AKIA+Geheimnis=store-2",
    "the JWT secret": "jwt/Geheimnis+of=the-api-server-3",
}
POLICY = """
path "transit/*" { capabilities = ["read", "update"] }
path "secret/data/*" { capabilities = ["read"] }
"""


@pytest.mark.parametrize("text", ["{}", '{{"uri": "postgresql://u:{}@h"}}', "Authorization: Basic {}"])
def test_what_is_looked_for_is_found(text: str) -> None:
    from base64 import b64encode
    from urllib.parse import quote

    for before in ("", "u:", "user:", "somebody:"):
        for secret in (PASSWORD, *CANARY.values()):
            for form in (
                secret,
                quote(secret, safe=""),
                quote(secret, safe="").lower(),
                json.dumps(secret)[1:-1],
                secret.encode().hex(),
                b64encode(f"{before}{secret}@host".encode()).decode(),
            ):
                written = text.format(form).encode()
                assert leaks({"it": secret}, [("here", written)]) == {"it": {"here"}}, written
    assert leaks({"it": PASSWORD}, [("here", text.format("nothing of it").encode())]) == {}
    assert min(map(len, forms(PASSWORD))) > 12


class Canaried:
    """A release whose every credential is a canary, and all that it has said.

    :param vault: proxy before OpenBao, as ``registry`` before MLflow and ``siem`` before who takes the audit trail
    """

    def __init__(self, release: Release, vault: Proxy, registry: Proxy, siem: Proxy, secrets: dict[str, str]) -> None:
        self.release, self.vault, self.registry, self.siem, self.secrets = release, vault, registry, siem, secrets
        self.said: list[Text] = []

    def task(self, end: Any, *states: str) -> Any:
        """Keep what a task has told: its messages to the supervisor (XCom, rendered fields, forms; but not those by
        which it has a secret masked), and its error."""
        assert end.state in (states or ("success",)), end.error
        sent = [item for item in end.sent if type(item).__name__ != "MaskSecret"]
        self.said += [("a message to the supervisor", f"{item!r} {vars(item)}".encode()) for item in sent]
        if end.error is not None:
            self.said.append(("a traceback", "".join(traceback.format_exception(end.error)).encode()))
        return end

    def release_it(self) -> None:
        """From data to production, with a delivery of the audit trail."""
        for end in (self.release.validate(), self.release.register()):
            self.task(end)
        self.task(self.release.performance())
        self.task(self.release.fairness())
        asked = self.task(self.release.ask(), "awaiting_input", "deferred")
        self.task(self.release.ask(event=answer(asked)))
        self.task(self.release.promote())
        self.task(self.release.run(DeliverAuditTrailOperator(task_id="deliver")))

    def fail(self) -> None:
        """The same steps while one server after the other is gone or wrong."""
        self.task(self.release.performance())  # so that there is something to deliver
        for proxy in (self.vault, self.registry, self.siem):
            for fault in (down, says(500, b"{}"), says(403, b'{"errors": ["permission denied"]}')):
                with proxy.broken(fault):
                    if proxy is self.siem:
                        self.task(self.release.run(DeliverAuditTrailOperator(task_id="deliver")), "failed")
                        continue
                    for end in (self.release.performance(), self.release.promote(), self.release.register(2.0)):
                        self.task(end, "failed", "up_for_retry")
        stored = self.release.performance(data="s3://lake@bucket/rows.csv")
        self.task(stored, "failed", "up_for_retry")


@pytest.fixture
def canaried(
    release: Release,
    mlflow_server: MlflowServer,
    openbao: OpenBaoServer,
    opa_over_tls: OpaServerOfTests,
    postgres: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Canaried]:
    """Keys and passwords in OpenBao, the ledger in PostgreSQL by a connection, a sink that takes what it is given."""
    role_id, secret_id = openbao.make_approle("canaried", POLICY)
    openbao.put_secret("canaried/mlflow", {"username": mlflow_server.username, "password": mlflow_server.password})
    trust = TrustRoot()
    for duty in duties():
        name = f"canary-{duty.replace('_', '-')}"
        openbao.make_key(name)
        trust = trust.with_key(TransitSigner(openbao.client, name).public_key, [duty])
    trust.save(release.folder / "trust.json")
    where = sa.make_url(postgres)
    ledger = {
        "conn_type": "mlgov_ledger", "host": where.host, "port": where.port, "schema": where.database,
        "login": where.username, "password": PASSWORD,
    }  # fmt: skip
    lake = {"conn_type": "aws", "login": "AKIA", "password": CANARY["the store's key"]}
    with (
        proxy_of(openbao.addr) as vault,
        proxy_of(mlflow_server.url) as registry,
        proxy_of("http://127.0.0.1:9") as siem,
    ):
        siem.breaks(says(200, b"{}"))
        vault_connection = json.loads(openbao.connection(login=role_id, password=secret_id))
        vault_connection["port"] = int(vault.url.rpartition(":")[2])
        sinks = [{"name": "siem", "kind": "webhook", "url": f"{siem.url}/in", "conn_id": "siem"}]
        mlflow = {"conn_type": "mlflow", "host": registry.url}
        mlflow["extra"] = {"vault_path": "canaried/mlflow", "vault_conn_id": "vault_canaried"}
        for name, value in {
            "AIRFLOW_CONN_VAULT_CANARIED": json.dumps(vault_connection),
            "AIRFLOW_CONN_MLFLOW_DEFAULT": json.dumps(mlflow),
            "AIRFLOW_CONN_LEDGER": json.dumps(ledger),
            "AIRFLOW_CONN_LAKE": json.dumps(lake),
            "AIRFLOW_CONN_SIEM": json.dumps({"conn_type": "http", "password": CANARY["the webhook's secret"]}),
            "AIRFLOW__MLGOV__LEDGER_CONN_ID": "ledger",
            "AIRFLOW__MLGOV__SIGN": "vault:canary-{duty}",
            "AIRFLOW__MLGOV__VAULT_CONN_ID": "vault_canaried",
            "AIRFLOW__MLGOV__SINKS": json.dumps(sinks),
            "AIRFLOW__MLGOV__POLICY_ENGINE": "opa",
            "AIRFLOW_CONN_OPA_DEFAULT": opa_over_tls.connection(),
            "AIRFLOW__API_AUTH__JWT_SECRET": CANARY["the JWT secret"],
            "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
            "MLFLOW_TRACKING_USERNAME": mlflow_server.username,
            "MLFLOW_TRACKING_PASSWORD": mlflow_server.password,
        }.items():
            monkeypatch.setenv(name, value)
        key = (release.folder / "checkpoint.pem").read_text().splitlines()[-2]
        secrets = {**CANARY, "a signing key": key, "OPA's token": opa_over_tls.token}
        secrets |= {"PostgreSQL's password": PASSWORD, "MLflow's password": mlflow_server.password}
        secrets |= {"the secret id": secret_id, "OpenBao's root token": openbao.root_token}
        yield Canaried(release, vault, registry, siem, secrets)


@pytest.mark.slow
def test_no_credential_is_told_by_tasks_commands_and_what_they_leave(
    canaried: Canaried,
    run: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    mlflow_server: MlflowServer,
) -> None:
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    try:
        with watched(children) as seen:
            canaried.release_it()
            canaried.fail()
            out = capsys.readouterr()
            told = said_by_commands(canaried, run, tmp_path)
    finally:
        logging.getLogger().removeHandler(handler)
    everything = [
        *canaried.said,
        *told,
        ("a log", log.getvalue().encode()),
        ("the streams", (out.out + out.err).encode()),
        *of_files("what was written", (path for path in tmp_path.rglob("*") if path.suffix != ".pem")),
        *of_database("the ledger's", ledger_url()),
        *(
            item
            for path in mlflow_server.directory.glob("*.db")
            for item in of_database("MLflow's", f"sqlite:///{path}")
        ),
        *of_files("MLflow's files", mlflow_server.directory.rglob("artifacts/**/*")),
        *seen,
    ]
    assert leaks(canaried.secrets, everything) == {}
    places = {where for where, _ in everything}
    assert {"a message to the supervisor", "a traceback", "what a command says", "an environment"} <= places
    assert "the ledger's mlgov_ledger" in found({"it": "roc_auc"}, everything)["it"]


def ledger_url() -> str:
    """Of the connection, with its password."""
    from airflow_mlgov.hooks.ledger import LedgerHook

    return LedgerHook()._connection_url("ledger").render_as_string(hide_password=False)


def said_by_commands(canaried: Canaried, run: Run, folder: Path) -> list[Text]:
    """What auditors are shown and given; and what a command says of a ledger that it cannot open."""
    url, version = ledger_url(), f"models:/{canaried.release.model}/1"
    common = ["--ledger", url, "--trust", folder / "trust.json"]
    wrong = url.replace("Pw", "pw").replace(sa.make_url(url).database or "", "nowhere")
    texts: list[Text] = []
    for words in (
        ["verify", version, *common, "--registry", canaried.registry.url],
        ["ledger", "verify", *common],
        ["ledger", "list", "--ledger", url],
        [
            "ledger",
            "export",
            "--ledger",
            url,
            "--model",
            version,
            "--out",
            folder / "pack.zip",
            "--registry",
            canaried.registry.url,
            "--sign",
            f"local:{folder}/checkpoint.pem",
        ],
        ["report", version, *common, "--framework", "annex-iv", "--out", folder / "report.html"],
        ["report", version, *common, "--framework", "sr-11-7", "--out", folder / "report.json"],
        ["doctor"],
        ["verify", version, "--ledger", wrong, "--trust", folder / "trust.json", "--registry", canaried.registry.url],
        [
            "promote",
            version,
            *common,
            "--target",
            "production",
            "--registry",
            "http://u:Geheimnis-in-a-url@127.0.0.1:9",
        ],
    ):
        code, out, err = run(*words)
        texts.append(("what a command says", f"{words[0]} {code} {out} {err}".encode()))
    assert leaks({"a password in a URL": "Geheimnis-in-a-url"}, texts) == {}
    assert (folder / "pack.zip").exists(), texts[3]
    assert (folder / "report.html").exists(), texts[4]
    return texts
