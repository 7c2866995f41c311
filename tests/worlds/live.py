"""The worlds that are attacked. ``Guarded`` is fast: real MLflow, a real ledger, local keys. ``LiveWorld`` has Airflow
too, and signs with keys in OpenBao that only their own duty may use."""

from __future__ import annotations

import configparser
import functools
import json
import re
import secrets
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests
import sqlalchemy as sa
from requests.adapters import HTTPAdapter
from sqlalchemy.engine import make_url

from airflow_mlgov.demo import servers, world
from airflow_mlgov.demo.airflow_api import AirflowUser, Run
from airflow_mlgov.evidence.ledger import open_ledger
from airflow_mlgov.evidence.signing import TrustRoot, duties
from airflow_mlgov.evidence.statements import GateStatement, ObservationStatement, run_digest
from airflow_mlgov.evidence.verification import Evidence, collect, only
from airflow_mlgov.gates.fairness import evaluate_fairness
from airflow_mlgov.gates.performance import evaluate_performance
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.results import GateResult, Outcome
from airflow_mlgov.vault.policy import key_name
from airflow_mlgov.vault.transit import TransitSigner
from tests.fixtures.mlflow_server import MlflowServer
from tests.fixtures.postgres import PASSWORD
from tests.live.waiting import HANGS, answered, asks, patience, until
from tests.worlds.canaries import Text, mentioning, watched
from tests.worlds.guarded import HEAD, SECTION, Guarded
from tests.worlds.release import people

# -- with Airflow -----------------------------------------------------------------------------------------------------

ENVIRONMENT = "live"
USERS = {"admin": "admin", "alice": "user", "olga": "user", "omar": "user", "otto": "op", "vic": "viewer"}
"""alice operates the pipeline, olga and omar are the risk officers, otto runs Airflow, vic may look."""


class Patient(HTTPAdapter):
    """Waits for an answer as long as this machine may need."""

    def send(self, request: Any, *given: Any, **options: Any) -> requests.Response:
        return super().send(request, *given, **{**options, "timeout": patience(120)})


class Attacker(AirflowUser):
    """A signed-in person who knows the whole REST API."""

    _writing: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, airflow: servers.Airflow, name: str) -> None:
        super().__init__(airflow, name)
        self._http.mount("http://", Patient())

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> requests.Response:
        """Airflow on SQLite answers 500 where two write at once, and has done nothing then: in turn, and again."""
        if method == "GET":
            return super()._call(method, path, body)
        with self._writing:
            for _ in range(20):
                answer = super()._call(method, path, body)
                if answer.status_code != 500 or "Database error" not in answer.text:
                    break
                time.sleep(0.5)
            return answer

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> requests.Response:
        """Any call below ``/api/v2/``."""
        return self._call(method, path, body)

    def may(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> None:
        """A call that Airflow lets through."""
        answer = self.send(method, path, body)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:500]}"

    def waits(self, run: Run) -> None:
        """Until the run's approval asks (again) and can be answered without a race."""
        asks(self, run, "approve")

    def answers(self, run: Run, taken: Callable[[], bool], reason: str = "reviewed") -> None:
        """Approve, and again where Airflow has lost the answer to its race and asks in a second try."""
        give = functools.partial(self.answer_approval, run, "approve", approve=True, reason=reason)
        answered(give, taken, self, run, "approve")


@dataclass
class LiveModel(Guarded):
    """One registered model of the live world; evidence that an attack needs is signed on the spot, by Vault."""

    signers: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Policy, trust root and ledger are the world's."""

    def signer(self, duty: str) -> Any:
        return self.signers[duty]

    def gated(self, weight: float = 1.0, fair: bool = True) -> ModelVersion:
        version = self.register(weight)
        self.judge_really(version)
        if fair:
            self.weigh_really(version)
        return version

    def judge_really(self, version: ModelVersion) -> None:
        """The performance gate over the good predictions."""
        self._attest(
            evaluate_performance(
                self.good, subject=self.subject(version), label="y", score="score", bounds=["roc_auc>=0.75"]
            )
        )

    def weigh_really(self, version: ModelVersion) -> None:
        """The fairness gate over the good predictions."""
        self._attest(
            evaluate_fairness(
                self.good,
                subject=self.subject(version),
                label="y",
                prediction="prediction",
                sensitive_features={"sex": ["female", "male"]},
                bounds={"demographic_parity_ratio": {"min": 0.8, "max": 1.25}},
            )
        )

    def answers(self) -> list[tuple[str, str]]:
        """Who answered what, as it was signed."""
        return [(item.statement.approver.name, item.statement.answer) for item in self.evidence("approval")]

    def evidence(self, kind: str) -> list[Evidence]:
        """What verifies about the model, of one kind."""
        return collect(self.ledger.walk(), TrustRoot.load(self.trust_file), kind=kind, model=self.model)[0]

    def decided(self, count: int) -> set[str]:
        """Wait for the ``count``-th signed decision; its codes."""
        until(lambda: len(self.decisions()) >= count, f"decision {count} about {self.model}", self.decisions)
        assert len(self.decisions()) == count
        return self.decisions()[-1][1]

    @property
    def good(self) -> str:
        return str(self.folder / "dags" / "data" / "good.parquet")

    def _attest(self, result: GateResult) -> None:
        assert result.verdict is Outcome.PASS, result.summary()
        self.attest(result.gate, GateStatement.of(result, self.context()))


@dataclass
class LiveWorld:
    """Airflow, MLflow and OpenBao, with one key and one AppRole for each duty."""

    directory: Path
    server: MlflowServer
    airflow: servers.Airflow
    signers: Mapping[str, Any] = field(repr=False)
    secrets: Mapping[str, str] = field(repr=False)
    """What it is -> the value that must show up nowhere."""
    database: str = field(repr=False)
    """SQLAlchemy URL of Airflow's own database."""
    seen: set[Text] = field(default_factory=set, repr=False)
    """Every command line and environment that its processes have had until now."""
    attacks: dict[str, Future[None]] = field(default_factory=dict)

    def model(self, name: str) -> LiveModel:
        """One of :data:`MODELS`, which take one approval (``twice`` takes two), or of :data:`OFFICES`."""
        return LiveModel(
            self.directory, self.server, f"live_{name}", ENVIRONMENT, self.ledger_url, signers=self.signers
        )

    def user(self, name: str) -> Attacker:
        """Sign in."""
        return Attacker(self.airflow, name)

    @property
    def ledger_url(self) -> str:
        return f"sqlite:///{self.directory / 'ledger.db'}"


MODELS = (
    "marked", "bulk", "forged", "own", "twice", "stale", "timed_out", "forgeable", "loosened", "skipped", "gateless",
    "conf", "another", "harmless", "looked_at", "of_a_shell", "moved_by_hand", "waits_for_officers", "killed",
)  # fmt: skip
"""The models that are attacked, or looked at. Each attack has its own, so that all can be made at once."""
OFFICES = ("credit_risk", "card_limits")
"""The models that people decide about in a browser: by two approvals; with a waiver that two people sign."""
OFFICE = """\
  live_credit_risk:
    gates: &gates
      performance: {label: y, score: score, roc_auc: {min: 0.75}}
      fairness:
        label: y
        prediction: prediction
        sensitive_features: {sex: [female, male]}
        demographic_parity_ratio: {min: 0.8, max: 1.25}
    targets:
      production:
        stage: Production
        alias: champion
        archive_previous: true
        requires: [performance, fairness]
        approvals: {count: 2, from: [risk-officers], not: [trainer, requester]}
  live_card_limits:
    gates: *gates
    targets:
      production:
        stage: Production
        alias: champion
        archive_previous: true
        requires: [performance, fairness]
        approvals: {count: 1, from: [risk-officers], not: [trainer, requester]}
        waivers: {max_days: 30, signers: 2, from: [risk-officers], audit_within: 14d}
"""


def governed_models() -> str:
    """The policy of the live world."""
    sections = [
        SECTION.format(
            model=f"live_{name}",
            tier="high" if name == "forgeable" else "medium",
            requires="performance, fairness",
            count=2 if name == "twice" else 1,
        )
        for name in MODELS
    ]
    return HEAD + "".join(sections) + OFFICE


@contextmanager
def attacks_under_way(
    directory: Path, server: MlflowServer, postgres: str | None, items: Sequence[pytest.Item]
) -> Iterator[LiveWorld]:
    """The live world, with every attack that is among the tests under way; on SQLite, which takes less, few at once.

    :param postgres: where there is a server for Airflow's database, its URL
    """
    bodies = {item.name: getattr(getattr(item, "function", None), "attack", None) for item in items}
    with (
        watched(mentioning(str(directory))) as seen,
        live_world(directory, server, postgres) as world,
        ThreadPoolExecutor(32 if postgres else 4) as pool,
    ):
        world.seen = seen
        world.user("alice").wait_for_dag("judges_another", timeout=patience(120))
        world.attacks.update({name: pool.submit(body, world) for name, body in bodies.items() if body})
        yield world


@contextmanager
def live_world(directory: Path, server: MlflowServer, postgres: str | None) -> Iterator[LiveWorld]:
    """Start Airflow and OpenBao beside a running MLflow, and furnish all three."""
    copy_dags(directory / "dags")
    names = [f"live_{name}" for name in MODELS + OFFICES]
    (directory / "mlgov.yaml").write_text(governed_models())
    database = metadata_database(postgres)
    with ExitStack() as stack:
        openbao = stack.enter_context(servers.start_openbao(directory / "openbao"))
        passwords = {name: secrets.token_urlsafe(18) for name in set(world.ACCOUNTS.values())}
        connections = world.furnish_openbao(openbao, passwords, directory / "trust.json")
        for name in names:
            server.registry._create(name)
        for account, password in passwords.items():
            server.create_user(account, password, dict.fromkeys(names, "EDIT"))
        connections["mlflow_default"] = {
            "conn_type": "mlflow",
            "host": server.url,
            "extra": {"vault_path": "mlflow/{duty}", "vault_conn_id": "mlgov_vault_{duty}"},
        }
        airflow = stack.enter_context(
            servers.start_airflow(
                directory,
                dags_folder=directory / "dags",
                users=USERS,
                connections=connections,
                mlgov={
                    "policy": str(directory / "mlgov.yaml"),
                    "ledger": f"sqlite:///{directory / 'ledger.db'}",
                    "trust_root": str(directory / "trust.json"),
                    "sign": "vault:mlgov-{duty}",
                    "vault_conn_id": "mlgov_vault_{duty}",
                    "mlflow_conn_id": "mlflow_default",
                    "environment": ENVIRONMENT,
                },
                timeout=patience(300),
                sections={
                    "scheduler": {"use_job_schedule": "False", "trigger_timeout_check_interval": "2"},
                    "database": database,
                },
            )
        )
        client = root_client(openbao)
        yield LiveWorld(
            directory,
            server,
            airflow,
            {duty: TransitSigner(client, key_name(duty)) for duty in duties()},
            _secrets(airflow, openbao, server, passwords, connections),
            database.get("sql_alchemy_conn", f"sqlite:///{airflow.home}/airflow.db"),
        )


def metadata_database(server: str | None) -> dict[str, str]:
    """Options of ``[database]``: a PostgreSQL where there is one, because with SQLite, where so many things happen at
    once, Airflow's scheduler can end with "database is locked"."""
    if server is None:
        return {}
    root = make_url(server).set(password=PASSWORD)
    name, password = f"airflow_{uuid.uuid4().hex[:8]}", secrets.token_urlsafe(18)
    engine = sa.create_engine(root, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        connection.exec_driver_sql(f"CREATE DATABASE {name} OWNER {name}")
    engine.dispose()
    where = f"{name}:{password}@{root.host}:{root.port}/{name}"
    return {
        "sql_alchemy_pool_size": "15",  # of the API server, which all attacks ask at once
        "sql_alchemy_conn": f"postgresql+psycopg2://{where}",
        "sql_alchemy_conn_async": f"postgresql+psycopg://{where}",
    }


def root_client(openbao: servers.OpenBao) -> Any:
    """An ``hvac.Client`` that may do everything."""
    import hvac

    return hvac.Client(url=openbao.url, token=openbao.root_token, session=servers.http_session())


def copy_dags(folder: Path) -> None:
    """The DAGs that are attacked, with the predictions that their gates read."""
    shutil.copytree(
        Path(__file__).parents[1] / "attacks" / "dags", folder, ignore=shutil.ignore_patterns("__pycache__")
    )
    (folder / "data").mkdir()
    people().to_parquet(folder / "data" / "good.parquet")
    people(bias=0.12).to_parquet(folder / "data" / "biased.parquet")


def _secrets(
    airflow: servers.Airflow,
    openbao: servers.OpenBao,
    server: MlflowServer,
    passwords: Mapping[str, str],
    connections: Mapping[str, Mapping[str, Any]],
) -> dict[str, str]:
    config = configparser.ConfigParser(interpolation=None)
    config.read(airflow.home / "airflow.cfg")
    database = make_url(config["database"]["sql_alchemy_conn"])
    return {
        **({"Airflow's database": str(database.password)} if database.password else {}),
        "OpenBao's root token": openbao.root_token,
        "OpenBao's unseal key": openbao.unseal_key,
        "MLflow's administrator": server.password,
        "Airflow's JWT secret": config["api_auth"]["jwt_secret"],
        "Airflow's Fernet key": config["core"]["fernet_key"],
        **{f"MLflow's {name}": password for name, password in passwords.items()},
        **{f"Airflow's {name}": password for name, password in airflow.passwords.items()},
        **{f"the secret id of {name}": found["password"] for name, found in connections.items() if "password" in found},
    }


def attack(body: Callable[[LiveWorld], None]) -> Callable[[LiveWorld], None]:
    """A test whose body is started together with all others of its kind, for most of them wait most of the time; the
    test is there for how it ends."""

    @functools.wraps(body)
    def test(live: LiveWorld) -> None:
        live.attacks[body.__name__].result()

    test.attack = body  # type: ignore[attr-defined]
    return pytest.mark.xdist_group("attacks-live")(pytest.mark.live(pytest.mark.timeout(HANGS)(test)))


def codes_in(log: str) -> set[str]:
    """The codes of the reasons that a log lists."""
    return set(re.findall(r"\b([a-z]+\.[a-z_]+): ", log))


def warned(live: LiveWorld, run: Run, task: str) -> None:
    """The API server's log says that somebody set a task of the run to success by hand."""
    said = f"{run.dag_id}.{task} (run {run.run_id}) was set to success by hand"
    log = live.airflow.process.log
    until(lambda: said in log.read_text(errors="replace"), f"a warning about {task}", run.tasks, timeout=60)


def noted(folder: Path, run: Run, who: str | None, **states: str) -> None:
    """The ledger says what that person, or somebody whom Airflow does not name, has set by hand: each task's state, and
    ``whole`` for the run's own; two underscores stand for the dot of a task group.

    :param folder: with the ledger and the trust root
    """
    wanted = {("" if name == "whole" else name.replace("__", "."), state) for name, state in states.items()}

    def found() -> set[tuple[str, str]]:
        walked = open_ledger(f"sqlite:///{folder / 'ledger.db'}").walk()
        good, bad = collect(walked, TrustRoot.load(folder / "trust.json"), [run_digest(vars(run))])
        assert bad == []
        said = [item.statement for item in only(good, ObservationStatement)]
        mine = [item for item in said if [person.name for person in item.people] == ([who] if who else [])]
        return {(str(item.context.run.get("task_id", "")), item.state) for item in mine}

    until(lambda: wanted <= found(), f"notices of {states}", found, timeout=60)


def ended(run: Run, **expected: str) -> None:
    """The run has ended, and its tasks so; two underscores stand for the dot of a task group."""
    states = run.wait(timeout=patience(300))
    assert states == {name.replace("__", "."): state for name, state in expected.items()}, json.dumps(states)
