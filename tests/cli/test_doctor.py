"""``mlgov doctor`` on a real OpenBao, MLflow and ledger: a healthy set-up, and each thing that can be wrong with it."""

import importlib.metadata
import importlib.util
import json
import os
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from airflow_mlgov.cli import doctor as module
from airflow_mlgov.cli.app import app as commands
from airflow_mlgov.cli.doctor import Finding, doctor, examine, exit_code
from airflow_mlgov.evidence.ledger import open_ledger
from airflow_mlgov.evidence.signing import TrustRoot, open_signer
from airflow_mlgov.governance.decision import SHIPPED
from airflow_mlgov.governance.reasons import shipped_rules
from airflow_mlgov.rego.protocol import Bundle
from airflow_mlgov.vault.policy import key_name, vault_policy
from airflow_mlgov.vault.transit import TransitSigner
from tests.fixtures.mlflow_server import MlflowServer
from tests.fixtures.opa_over_tls import OpaServerOfTests, running_opa
from tests.fixtures.openbao import OpenBaoServer
from tests.live.waiting import until
from tests.worlds.keys import key_file

DUTIES = ("data_validation", "fairness", "performance", "registration", "approval", "promotion", "reconcile")
POLICY = """\
version: 1
groups: {risk-officers: [olga, omar]}
models:
  credit_risk:
    tier: medium
    gates:
      data_validation: {suite: suite.json}
      performance: {label: y, score: score, roc_auc: {min: 0.75}}
      fairness: {sensitive_features: {sex: [female, male]}, demographic_parity_ratio: {min: 0.8}}
    targets:
      production:
        alias: champion
        requires: [data_validation, performance, fairness]
        approvals: {count: 1, from: [risk-officers], not: [trainer, requester]}
"""
SECRET = "geheim-" * 8
RULES = "package mlgov.custom\nimport rego.v1\n"
REASON = '{"code": "x", "message": "y"}'


@dataclass
class World:
    """A set-up that is well; each test spoils one thing."""

    folder: Path
    openbao: OpenBaoServer
    setenv: Callable[[str, str], None]

    @property
    def trust(self) -> TrustRoot:
        return TrustRoot.load(self.folder / "trust.json")

    def key(self, duty: str) -> Any:
        return TransitSigner(self.openbao.client, key_name(duty)).public_key

    def set(self, option: str, value: object) -> None:
        self.setenv(f"AIRFLOW__MLGOV__{option}", str(value))

    def connect(self, duty: str, connection: str) -> None:
        self.setenv(f"AIRFLOW_CONN_MLGOV_VAULT_{duty.upper()}", connection)

    def login(self, duty: str, policy: str, **limits: Any) -> None:
        """Give a duty's connection an identity with another Vault policy."""
        role, secret = self.openbao.make_approle(f"doctor-other-{duty}", policy, **limits)
        self.connect(duty, self.openbao.connection(login=role, password=secret))

    def policy(self, old: str, new: str) -> None:
        path = self.folder / "mlgov.yaml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def rules(self, text: str) -> None:
        (self.folder / "own.rego").write_text(RULES + text)
        self.policy("version: 1", "version: 1\nrules: [own.rego]")

    def trusting(self, change: Callable[[str], dict[str, Any] | None], *more: tuple[Any, list[str]]) -> None:
        """Write the trust root anew: ``change`` gives a duty's dates, None to leave it out."""
        trust = TrustRoot()
        for duty in DUTIES:
            dates = change(duty)
            if dates is not None:
                trust = trust.with_key(self.key(duty), [duty], **dates)
        for key, duties in more:
            trust = trust.with_key(key, duties)
        trust.save(self.folder / "trust.json")


@pytest.fixture(scope="module")
def identities(openbao: OpenBaoServer) -> dict[str, tuple[str, str]]:
    """One Transit key and one AppRole for each duty."""
    for duty in DUTIES:
        openbao.make_key(key_name(duty))
    return {duty: openbao.make_approle(f"doctor-{duty}", vault_policy(duty)) for duty in DUTIES}


@pytest.fixture
def world(
    tmp_path: Path,
    openbao: OpenBaoServer,
    identities: dict[str, tuple[str, str]],
    mlflow_server: MlflowServer,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    made = World(tmp_path, openbao, monkeypatch.setenv)
    (tmp_path / "mlgov.yaml").write_text(POLICY)
    (tmp_path / "suite.json").write_text('{"name": "s", "expectations": []}')
    for option, value in {
        "POLICY": tmp_path / "mlgov.yaml",
        "LEDGER": f"sqlite:///{tmp_path / 'ledger.db'}",
        "TRUST_ROOT": tmp_path / "trust.json",
        "SIGN": "vault:mlgov-{duty}",
        "VAULT_CONN_ID": "mlgov_vault_{duty}",
        "ENVIRONMENT": "test",
    }.items():
        made.set(option, value)
    for duty, (role, secret) in identities.items():
        made.connect(duty, openbao.connection(login=role, password=secret))
    made.trusting(lambda _: {})
    monkeypatch.setenv("AIRFLOW_CONFIG", str(tmp_path / "airflow.cfg"))
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", mlflow_server.connection())
    return made


def found(level: str, area: str | None = None) -> list[str]:
    return [f"{item.message} -> {item.mend}" for item in examine() if item.level == level and area in (None, item.area)]


def the_only(level: str, area: str) -> str:
    (text,) = found(level, area)
    return text


def run(*words: str) -> Any:
    app = typer.Typer()
    app.command()(doctor)
    return CliRunner().invoke(app, words)


def test_a_healthy_set_up_has_no_problem(world: World) -> None:
    open_ledger(f"sqlite:///{world.folder}/ledger.db")
    findings = examine()
    assert [item for item in findings if item.level == "problem"] == []
    areas = ["versions", "policy", "engine", "trust root", "signing", "identity", "ledger", "mlflow", "airflow"]
    assert list(dict.fromkeys(item.area for item in findings)) == areas
    assert all(any(item.level == "ok" and item.area == area for item in findings) for area in areas)
    assert [item.message.split()[0] for item in findings if item.area == "signing" and item.level == "ok"] == [
        f"{duty}:" for duty in DUTIES
    ]
    assert {item.area for item in findings if item.level == "warning"} == {"signing", "identity", "ledger", "airflow"}
    done = run()
    assert done.exit_code == 0
    assert done.stdout.endswith("0 problem(s), 5 warning(s)\n")


def test_a_first_try_needs_nothing_but_a_registry(
    tmp_path: Path, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    assert "`airflow connections add mlflow_default --conn-type mlflow" in the_only("problem", "mlflow")
    for name, value in (("URI", mlflow_server.url), ("USERNAME", mlflow_server.username)):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", mlflow_server.password)
    assert found("problem") == []
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", mlflow_server.connection())
    assert found("problem") == []
    assert "no governance policy" in the_only("warning", "policy")
    assert "no trust root yet" in the_only("warning", "trust root")
    assert not (tmp_path / "mlgov" / "signing-key.pem").exists()
    assert not (tmp_path / "mlgov" / "trust.json").exists()


# -- versions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "seen", "message"),
    [
        ("apache-airflow", "3.0.6", "apache-airflow is 3.0.6, and this package needs >=3.1"),
        ("mlflow", "3.18.0", "mlflow is 3.18.0"),
        ("mlflow-tracing", "3.1.0", "mlflow-tracing 3.1.0 does not belong to mlflow"),
        ("fairlearn", None, "fairlearn is not installed"),
    ],
)
def test_versions(world: World, monkeypatch: pytest.MonkeyPatch, name: str, seen: str | None, message: str) -> None:
    real = importlib.metadata.version

    def version(asked: str) -> str:
        if asked != name:
            return real(asked)
        if seen is None:
            raise importlib.metadata.PackageNotFoundError(asked)
        return seen

    monkeypatch.setattr("importlib.metadata.version", version)
    texts = found("problem", "versions")
    assert message in texts[0]
    assert "pip install" in texts[0]


def test_heavy_packages_are_not_imported_for_their_versions() -> None:
    script = (
        "import sys\nfrom airflow_mlgov.cli.doctor import _versions\nprint(len(list(_versions(None))))\n"
        "print(sorted({'airflow', 'mlflow', 'great_expectations', 'fairlearn', 'regorus', 'hvac'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split("\n")[:2] == ["1", "[]"]


# -- policy ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "level", "message"),
    [
        ("roc_auc:", "roc_acu:", "problem", "did you mean 'roc_auc'"),
        ("count: 1", "count: 3", "problem", "mlgov.yaml:11: credit_risk to production needs 3 approvals, and 2 people"),
        ("risk-officers: [olga, omar]", "risk-officers: []", "problem", "0 people may give one (nobody)"),
        ("suite: suite.json", "suite: gone.json", "problem", "gone.json"),
        (", roc_auc: {min: 0.75}", "", "warning", "requires the gate performance, but not what it is held to"),
        ("data_validation: {suite: suite.json}", "policy: {}", "warning", "the gate data_validation, but not what"),
    ],
)
def test_policies(world: World, old: str, new: str, level: str, message: str) -> None:
    world.policy(old, new)
    assert message in the_only(level, "policy")
    assert (exit_code(examine()) == 2) == (level == "problem")


def test_a_required_gate_that_no_installed_package_has(world: World) -> None:
    world.policy("requires: [", "requires: [toxicity, ")
    assert "'toxicity' is none of" in the_only("problem", "policy")


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("deny contains {", "own.rego:3:16"),
        (f"deny contains {REASON} if not who", "`who` is unsafe"),
        (f"deny contains {REASON} if startswith(input.request.model)", "`startswith` expects 2 arguments"),
        (f"reject contains {REASON} if true", "there is no rule"),
        ("deny contains 1 if true", "a reason needs a code and a message"),
        (f"deny contains {REASON} if http.send({{}})", "could be replayed"),
    ],
)
def test_own_rules_that_cannot_decide(world: World, rules: str, message: str) -> None:
    world.rules(rules)
    text = the_only("problem", "policy")
    assert message in text
    assert "mend own.rego" in text


def test_own_rules_that_deny_the_made_up_model_are_well(world: World) -> None:
    world.rules(f'deny contains {REASON} if input.request.version == "1"')
    assert found("problem") == []


# -- engine ------------------------------------------------------------------------------------------------------------


def on_opa(world: World, connection: str) -> None:
    world.set("POLICY_ENGINE", "opa")
    world.setenv("AIRFLOW_CONN_OPA_DEFAULT", connection)


def test_the_embedded_engine(world: World) -> None:
    [text] = found("ok", "engine")
    assert text.startswith("regorus 0.")
    assert "answers as the embedded engine does" in text


def test_an_opa_server_holds_the_rules_once_it_was_asked(world: World, opa_over_tls: OpaServerOfTests) -> None:
    on_opa(world, opa_over_tls.connection())
    world.set("DECISION_LOG", world.folder / "log.jsonl")
    assert found("problem") == []
    [text] = found("ok", "engine")
    assert f"opa at {opa_over_tls.url}, version 1." in text
    assert "holds the rules of promotion" in text
    assert not (world.folder / "log.jsonl").exists()


def test_the_program_opa(world: World, opa_over_tls: OpaServerOfTests) -> None:
    world.set("POLICY_ENGINE", "opa-binary")
    assert found("ok", "engine")[0].startswith("opa 1.")
    world.set("OPA_PROGRAM", "/nowhere/opa")
    assert "/nowhere/opa" in the_only("problem", "engine")


@pytest.mark.parametrize(
    ("change", "message", "code"),
    [
        ({"password": "another-token"}, "check the token", 4),
        ({"bundle": "main"}, "is at no revision", 2),
        ({"ca": ""}, "certificate", 4),
    ],
)
def test_a_server_that_cannot_be_asked(
    world: World, opa_over_tls: OpaServerOfTests, change: dict[str, Any], message: str, code: int
) -> None:
    on_opa(world, opa_over_tls.connection(**change))
    text = the_only("problem", "engine")
    assert message in text
    assert "another-token" not in text
    assert exit_code(examine()) == code


def test_an_engine_that_is_not_there_or_is_none(world: World) -> None:
    on_opa(world, json.dumps({"conn_type": "opa", "host": "http://127.0.0.1:9"}))
    assert "bring it up" in the_only("problem", "engine")
    world.set("POLICY_ENGINE", "rego")
    assert "policy_engine is 'rego'" in the_only("problem", "engine")


def test_rules_of_somebody_else_beside_ours(world: World, opa_over_tls: OpaServerOfTests) -> None:
    root = f"mlgov_{Bundle({SHIPPED: shipped_rules()}).digest}"
    forged = f"package {root}.mlgov.promotion\nstranger contains 1 if true".encode()
    opa_over_tls.call("PUT", "v1/policies/stranger", forged)
    try:
        on_opa(world, opa_over_tls.connection())
        assert "others beside the rules" in the_only("problem", "engine")
    finally:
        opa_over_tls.call("DELETE", "v1/policies/stranger")


def bundle_of(folder: Path, text: str) -> Path:
    """A bundle that says that it holds the rules of promotion."""
    (folder / "lies").mkdir()
    digest = Bundle({SHIPPED: shipped_rules()}).digest
    (folder / "lies" / ".manifest").write_text(json.dumps({"revision": digest, "roots": ["mlgov"]}))
    (folder / "lies" / "promotion.rego").write_text(text)
    with tarfile.open(folder / "main.tar.gz", "w:gz") as file:
        file.add(folder / "lies", ".")
    return folder / "main.tar.gz"


@pytest.mark.server
@pytest.mark.parametrize("lies", [False, True])
def test_a_bundle_whose_revision_lies(world: World, tmp_path: Path, lies: bool) -> None:
    text, last = shipped_rules(), '"monitoring.missing",\n}'
    assert last in text
    made = bundle_of(tmp_path, text.replace(last, last.replace("\n", '"provenance.missing",\n')) if lies else text)
    with running_opa(tmp_path, f"--set=bundles.main.resource=file://{made}") as server:
        asked = ("GET", "v1/data/mlgov/promotion/excusable")
        until(lambda: b"result" in server.call(*asked), "the bundle", lambda: server.call(*asked))
        on_opa(world, server.connection(bundle="main"))
        problems = found("problem", "engine")
        if lies:
            [problem] = problems
            assert "differently" in problem
        else:
            assert problems == []
            assert "holds the rules of promotion" in found("ok", "engine")[0]


# -- trust root --------------------------------------------------------------------------------------------------------

NOW = datetime.now(UTC)


def only(duty: str, dates: dict[str, Any] | None) -> Callable[[str], dict[str, Any] | None]:
    return lambda other: dates if other == duty else {}


@pytest.mark.parametrize(
    ("dates", "level", "message"),
    [
        (None, "problem", "no key for fairness"),
        ({"valid_until": NOW - timedelta(days=1)}, "problem", "1 key(s) for fairness, none of them valid now"),
        ({"valid_from": NOW + timedelta(days=1)}, "problem", "none of them valid now"),
        ({"valid_until": NOW + timedelta(days=9)}, "warning", f"ends on {NOW + timedelta(days=9):%Y-%m-%d}"),
    ],
)
def test_keys_and_their_dates(world: World, dates: dict[str, Any] | None, level: str, message: str) -> None:
    world.trusting(only("fairness", dates))
    text = the_only(level, "trust root")
    assert message in text
    assert f"mlgov trust add --trust {world.folder}/trust.json --duty fairness --sign vault:mlgov-fairness" in text
    assert ("rotate it" in text) == (dates is not None)


def test_a_key_that_ends_but_has_a_successor_is_well(world: World, tmp_path: Path) -> None:
    new = open_signer(f"local:{tmp_path / 'new.pem'}", make_key=True).public_key
    world.trusting(only("fairness", {"valid_until": NOW + timedelta(hours=1)}), (new, ["fairness"]))
    assert found("warning", "trust root") == []


def test_one_key_for_several_duties(world: World) -> None:
    several = ["fairness", "performance", "promotion"]
    world.trusting(lambda duty: None if duty == "fairness" else {}, (world.key("fairness"), several))
    assert "may sign for fairness, performance, promotion" in the_only("warning", "trust root")
    assert found("problem") == []


@pytest.mark.parametrize("content", [None, "{}", '{"version": 1, "keys": [{"duties": ["everything"]}]}'])
def test_a_trust_root_that_does_not_hold(world: World, content: str | None) -> None:
    path = world.folder / "trust.json"
    path.write_text(content) if content else path.unlink()
    assert str(path) in the_only("problem", "trust root")
    assert found("problem", "signing") == []


# -- signing -----------------------------------------------------------------------------------------------------------


def test_a_key_that_the_trust_root_does_not_know(world: World, tmp_path: Path) -> None:
    other = open_signer(f"local:{tmp_path / 'other.pem'}", make_key=True).public_key
    world.trusting(only("fairness", None), (other, ["fairness"]))
    text = the_only("problem", "signing")
    assert "vault:mlgov-fairness is not in the trust root" in text
    assert "--duty fairness --sign vault:mlgov-fairness" in text


def test_a_key_that_is_trusted_for_another_duty(world: World) -> None:
    world.trusting(only("fairness", None), (world.key("fairness"), ["policy"]))
    assert "but not for this duty now" in the_only("problem", "signing")


def test_local_keys(world: World) -> None:
    world.set("SIGN", f"local:{world.folder}/{{duty}}.pem")
    trust = TrustRoot()
    for duty in DUTIES[1:]:
        trust = trust.with_key(open_signer(f"local:{world.folder}/{duty}.pem", make_key=True).public_key, [duty])
    trust.save(world.folder / "trust.json")
    assert "local key files" in the_only("warning", "signing")
    assert f"no key file {world.folder}/data_validation.pem" in the_only("problem", "signing")
    assert not (world.folder / "data_validation.pem").exists()


def test_connections_that_any_dag_can_read(world: World) -> None:
    text = the_only("warning", "signing")
    assert ", ".join(sorted(f"mlgov_vault_{duty}" for duty in DUTIES)) in text
    assert "a queue of their own" in text


def test_an_identity_that_the_worker_brings_is_no_such_connection(world: World) -> None:
    token = world.openbao.client.auth.token.create(policies=["doctor-fairness"], ttl="10m")["auth"]["client_token"]
    world.connect("fairness", world.openbao.connection(password=""))
    world.setenv("VAULT_TOKEN", token)
    assert "mlgov_vault_fairness" not in the_only("warning", "signing")
    assert found("problem") == []


def test_a_log_in_that_only_the_gates_worker_can_do(world: World) -> None:
    gone = {"auth_type": "jwt", "jwt_role": "gate", "jwt_token_path": "/run/gone/token"}
    world.connect("fairness", world.openbao.connection(password="", **gone))
    text = the_only("problem", "signing")
    assert text.startswith("fairness: cannot read /run/gone/token")
    assert "where the tasks run" in text


def test_one_identity_for_every_duty(world: World) -> None:
    world.set("VAULT_CONN_ID", "mlgov_vault_all")
    world.connect("all", world.openbao.connection())
    shared, readable = found("warning", "signing")
    assert "one Vault identity, that of the connection mlgov_vault_all" in shared
    assert "mlgov_vault_all hold a secret" in readable
    assert found("problem") == []


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (vault_policy("fairness") + vault_policy("promotion"), "may also sign for promotion"),
        ('path "transit/*" {capabilities = ["create", "read", "update"]}', "may also sign for data_validation, perf"),
        ('path "transit/keys/mlgov-fairness" {capabilities = ["read"]}', "may not `update` transit/sign/mlgov-fair"),
    ],
)
def test_rights_in_vault(world: World, policy: str, message: str) -> None:
    world.login("fairness", policy)
    text = the_only("problem", "signing")
    assert message in text
    assert "mlgov vault-policy fairness" in text
    assert exit_code(examine()) == 2


def test_an_identity_that_may_not_ask_for_its_rights(world: World) -> None:
    world.login("fairness", vault_policy("fairness"), token_no_default_policy=True)
    assert any("sys/capabilities-self" in text for text in found("warning", "signing"))
    assert found("problem") == []


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("SIGN", "vault:{key}", "[mlgov] sign = vault:{key} may hold {duty} and no other braces"),
        ("SIGN", "pgp:me", "unknown signer 'pgp:me'"),
        ("SIGN", "vault:nothing-{duty}", "nothing-fairness"),
        ("VAULT_CONN_ID", "", "set [mlgov] vault_conn_id"),
        ("VAULT_CONN_ID", "vault_{team}", "[mlgov] vault_conn_id = vault_{team} may hold {duty}"),
        ("VAULT_CONN_ID", "gone_{duty}", "fairness: Airflow has no connection 'gone_fairness'"),
    ],
)
def test_signers_that_do_not_open(world: World, option: str, value: str, message: str) -> None:
    world.set(option, value)
    assert any(message in text for text in found("problem", "signing"))


def test_a_vault_that_refuses_or_is_down_is_out_of_reach(world: World) -> None:
    world.connect("fairness", world.openbao.connection(login="nobody", password="wrong-secret-id"))
    assert "fairness: cannot log in to Vault" in the_only("problem", "signing")
    assert run().exit_code == 4
    down = {"conn_type": "vault", "host": "127.0.0.1", "port": 9, "password": "tok-of-nobody"}
    for duty in DUTIES:
        world.connect(duty, json.dumps(down))
    text = the_only("problem", "signing")
    assert "Vault cannot be reached" in text
    assert "bring it up" in text
    assert run().exit_code == 4


# -- ledger, registry, Airflow -----------------------------------------------------------------------------------------


@pytest.fixture
def signed(world: World, tmp_path: Path) -> World:
    """Two entries are in the ledger."""
    suite = {"name": "s", "expectations": [{"type": "expect_column_to_exist", "kwargs": {"column": "y"}}]}
    (tmp_path / "suite.json").write_text(json.dumps(suite))
    (tmp_path / "d.csv").write_text("y\n1\n")
    for _ in range(2):
        words = ["gate", "data", "--data", f"{tmp_path}/d.csv", "--suite", f"{tmp_path}/suite.json", "--sign"]
        words += [key_file(tmp_path / "k.pem"), "--ledger", f"sqlite:///{tmp_path}/ledger.db"]
        done = CliRunner().invoke(commands, words)
        assert done.exit_code == 0, done.output
    return world


def test_the_append_only_triggers(signed: World) -> None:
    assert found("warning", "ledger") == []
    with sqlite3.connect(signed.folder / "ledger.db") as raw:
        raw.execute("DROP TRIGGER mlgov_ledger_no_update")
    assert "lacks the trigger mlgov_ledger_no_update" in the_only("problem", "ledger")
    with sqlite3.connect(signed.folder / "ledger.db") as raw:
        raw.execute("UPDATE mlgov_ledger SET recorded_at = '2020' WHERE seq = 1")
    _, edited = found("problem", "ledger")
    assert "entry 1 was changed" in edited
    assert "checkpoint" in edited
    assert run().exit_code == 2


@pytest.mark.parametrize(
    ("executor", "warned"),
    [
        ("LocalExecutor", False),
        ("airflow.executors.local_executor.LocalExecutor", False),
        ("CeleryExecutor", True),
        ("LocalExecutor,KubernetesExecutor", True),
    ],
)
def test_sqlite_and_workers_elsewhere(world: World, executor: str, warned: bool) -> None:
    open_ledger(f"sqlite:///{world.folder}/ledger.db")
    world.setenv("AIRFLOW__CORE__EXECUTOR", executor)
    assert any("file of one machine" in text for text in found("warning", "ledger")) == warned


def test_a_ledger_that_is_not_there_is_not_made(world: World) -> None:
    assert "there is no ledger at" in the_only("warning", "ledger")
    assert not (world.folder / "ledger.db").exists()


def test_a_ledger_that_is_down_is_out_of_reach(world: World) -> None:
    world.set("LEDGER_CONN_ID", "ledger")
    connection = {"conn_type": "mlgov_ledger", "host": "127.0.0.1", "port": 9, "login": "u", "password": SECRET}
    world.setenv("AIRFLOW_CONN_LEDGER", json.dumps(connection))
    assert "cannot be used now" in the_only("problem", "ledger")
    assert exit_code(examine()) == 4


def test_a_registry_that_refuses_or_is_down_is_out_of_reach(world: World, mlflow_server: MlflowServer) -> None:
    world.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", mlflow_server.connection(password="wrong-password"))
    assert mlflow_server.url in the_only("problem", "mlflow")
    assert run().exit_code == 4
    world.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", "host": "http://127.0.0.1:1"}))
    assert "is down" in the_only("problem", "mlflow")
    world.policy("count: 1", "count: 9")
    assert run().exit_code == 2


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True", "as the same administrator"),
        ("AIRFLOW__API_AUTH__JWT_SECRET", SECRET, "(AIRFLOW__API_AUTH__JWT_SECRET)"),
    ],
)
def test_approvals_that_could_be_forged(world: World, variable: str, value: str, message: str) -> None:
    world.setenv(variable, value)
    simple, forgery = found("warning", "airflow")
    assert "SimpleAuthManager is for development" in simple
    assert message in forgery
    world.policy("tier: medium", "tier: high")
    text = the_only("problem", "airflow")
    assert message in text
    assert "credit_risk (tier high)" in text


def test_who_could_sign_for_what(world: World) -> None:
    alone, could = found("warning", "identity")
    assert "LocalExecutor runs every DAG's tasks beside the scheduler" in alone
    assert "promotion (by the connection mlgov_vault_promotion)" in could
    world.policy("tier: medium", "tier: high")
    assert "so tasks of credit_risk (tier high) are refused here" in the_only("problem", "identity")

    # a worker of one duty: the others' connections have no secret, for their workers log in by themselves
    for duty in set(DUTIES) - {"promotion"}:
        world.connect(duty, world.openbao.connection(password="", auth_type="kubernetes", kubernetes_role=duty))
    world.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    assert found("problem", "identity") == []
    assert "[mlgov] queue is not set" in the_only("warning", "identity")
    world.set("QUEUE", "governance")
    assert found("warning", "identity") == []
    world.set("QUEUE", "default")
    assert "the queue of every DAG that names none" in the_only("problem", "identity")


def test_connections_that_every_task_is_given(world: World, airflow_db: None) -> None:
    from airflow.models import Connection
    from airflow.utils.session import create_session

    with create_session() as session:
        session.add(Connection(conn_id="mlgov_vault_promotion", conn_type="vault", password="x"))
    try:
        assert any("mlgov_vault_promotion are in Airflow's database" in text for text in found("warning", "identity"))
    finally:
        with create_session() as session:
            session.query(Connection).filter_by(conn_id="mlgov_vault_promotion").delete()


def test_another_auth_manager(world: World) -> None:
    world.setenv("AIRFLOW__CORE__AUTH_MANAGER", "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager")
    assert found("warning", "airflow") == []


def test_connections_in_airflows_database_are_found(
    world: World, mlflow_server: MlflowServer, airflow_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.models import Connection
    from airflow.utils.session import create_session

    monkeypatch.setenv("AIRFLOW__MLGOV__MLFLOW_CONN_ID", "mlflow_in_the_database")
    assert "no connection 'mlflow_in_the_database'" in the_only("problem", "mlflow")
    host = {"host": mlflow_server.url, "login": mlflow_server.username, "password": mlflow_server.password}
    with create_session() as session:
        session.add(Connection(conn_id="mlflow_in_the_database", conn_type="mlflow", **host))
    before = dict(os.environ)
    assert "mlflow_in_the_database answers" in the_only("ok", "mlflow")
    assert dict(os.environ) == before


# -- all of it ---------------------------------------------------------------------------------------------------------


def spoil(world: World) -> list[str]:
    """Break every area; returns the secrets that were in play."""
    world.policy("roc_auc:", "roc_acu:")
    (world.folder / "trust.json").write_text("{}")
    world.connect("promotion", world.openbao.connection(login="nobody", password="wrong-" + SECRET))
    world.set("LEDGER", f"postgresql+psycopg://u:{SECRET}@127.0.0.1:9/x")
    connection = {"conn_type": "mlflow", "host": "http://127.0.0.1:1", "login": "u", "password": "mlflow-" + SECRET}
    world.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps(connection))
    world.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "jwt-" + SECRET)
    given = [value for name, value in os.environ.items() if name.startswith("AIRFLOW_CONN_MLGOV_VAULT_")]
    return [SECRET, world.openbao.root_token, *(json.loads(text)["password"] for text in given)]


def test_no_broken_area_hides_another_and_no_secret_is_shown(world: World) -> None:
    secrets = spoil(world)
    areas = {item.area for item in examine() if item.level == "problem"}
    assert areas == {"policy", "trust root", "signing", "ledger", "mlflow"}
    for words in ((), ("--json",)):
        done = run(*words)
        assert done.exit_code == 2
        assert "Traceback" not in done.output
        for secret in secrets:
            assert secret not in done.output


def test_an_error_that_nobody_foresaw_is_a_finding_without_its_text(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(_: Any) -> Iterator[Finding]:
        raise RuntimeError(SECRET)
        yield

    monkeypatch.setattr(module, "_ledger", explode)
    assert "an unexpected RuntimeError stopped" in the_only("problem", "ledger")
    done = run()
    assert done.exit_code == 2
    assert SECRET not in done.output
    assert "ok       mlflow" in done.output


def test_an_area_that_ends_in_an_error_hides_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: Any) -> Iterator[Finding]:
        yield Finding("", "ok", "so far")
        raise RuntimeError(SECRET)

    areas = ["versions", "policy", "engine", "trust root", "signing", "identity", "ledger", "mlflow", "airflow"]
    for area in areas:
        with monkeypatch.context() as patch:
            patch.setattr(module, f"_{area.replace(' ', '_')}", explode)
            findings = examine()
        assert list(dict.fromkeys(item.area for item in findings)) == areas
        assert [item.level for item in findings if item.area == area] == ["ok", "problem"]
        assert {item.area for item in findings if "unexpected RuntimeError" in item.message} == {area}


def test_a_duty_whose_signer_ends_in_an_error_hides_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    right = module._signer

    def explode(duty: str, *given: Any) -> Iterator[Finding]:
        if duty == DUTIES[0]:
            raise RuntimeError(SECRET)
        return right(duty, *given)

    monkeypatch.setattr(module, "_signer", explode)
    assert the_only("problem", "signing").startswith(f"{DUTIES[0]}: an unexpected RuntimeError stopped")
    assert [text.split()[0] for text in found("ok", "signing")] == [f"{duty}:" for duty in DUTIES[1:]]


def test_json_is_all_there_is_on_stdout_of_a_real_process(world: World) -> None:
    world.set("SIGN", f"local:{world.folder}/{{duty}}.pem")  # which logs a warning
    trust = TrustRoot()
    for duty in DUTIES:
        trust = trust.with_key(open_signer(f"local:{world.folder}/{duty}.pem", make_key=True).public_key, [duty])
    trust.save(world.folder / "trust.json")
    script = "import typer; from airflow_mlgov.cli.doctor import doctor; typer.run(doctor)"
    done = subprocess.run([sys.executable, "-c", script, "--json"], capture_output=True, text=True, timeout=120)
    document = json.loads(done.stdout)
    assert (done.returncode, document["problems"]) == (0, 0)
    assert "whoever can read it can sign" in done.stderr
    assert {"area", "level", "message", "mend"} <= set(document["findings"][0])
