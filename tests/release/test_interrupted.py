"""A gate, an approval, a promotion and a rollback, each a real command that is killed, or whose servers fail, at any of
its steps: the same command, run again, gets there, and whatever it had done is there once."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_mlgov.registry.protocol import ModelVersion
from tests.codes import refuses
from tests.fixtures import run as test_run
from tests.fixtures.mlflow_server import LastingMlflow, MlflowServer
from tests.fixtures.openbao import LastingOpenBao
from tests.fixtures.postgres import postgres_bindir, start_postgres
from tests.fixtures.proxy import proxy_of
from tests.fixtures.shell import Run
from tests.live.waiting import HANGS
from tests.worlds.canaries import leaks
from tests.worlds.governed import PASSED, Governed, statement_of
from tests.worlds.interrupted import NEVER, SPACE, run_interrupted
from tests.worlds.interruptions import INTERRUPTIONS, KILLED, SOAK, Interrupting, Servers, free, mlflow_restarted
from tests.worlds.release import people

APPROVALS = "        approvals: {count: 2, from: [olga, omar], not: [trainer, requester]}\n"

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(HANGS)]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, mlflow_server: MlflowServer) -> Iterator[Servers]:
    """OpenBao and PostgreSQL of the worker's own, for they are ended in the middle, and proxies before OpenBao and
    MLflow; at the end, not one secret is in what they have written."""
    if postgres_bindir() is None:
        pytest.skip("no PostgreSQL binaries on this machine")
    openbao = LastingOpenBao(tmp_path_factory.mktemp("openbao"))
    postgres = test_run.shared(f"postgres-restarted-{os.environ.get('PYTEST_XDIST_WORKER', '')}", start_postgres)
    with openbao.process, proxy_of(openbao.url) as vault, proxy_of(mlflow_server.url) as registry:
        mlflow = replace(mlflow_server, url=registry.url)
        made = Servers(openbao, vault, mlflow, registry, postgres["url"], Path(postgres["folder"]))
        yield made
        assert leaks(made.secrets, made.texts()) == {}
        openbao.process.stop()


def on(*happens: str) -> pytest.MarkDecorator:
    """Killed with a ledger and keys in files; and what happens on servers, of which ``make soak`` takes all."""
    return pytest.mark.parametrize("interrupting", [(), happens], ids=["files", "servers"], indirect=True)


@pytest.fixture
def interrupting(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    mlflow_server: MlflowServer,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> Interrupting:
    if not request.param:
        return Interrupting(tmp_path, mlflow_server, run, monkeypatch)
    happens = {name: INTERRUPTIONS[name] for name in (INTERRUPTIONS if SOAK else request.param)}
    return Interrupting(tmp_path, mlflow_server, run, monkeypatch, request.getfixturevalue("servers"), happens)


def intents(governed: Governed) -> list[str]:
    return [statement_of(entry.envelope)["predicate"]["state"] for entry in governed.ledger.entries(kind="intent")]


@on(KILLED, "OpenBao is restarted", "PostgreSQL is restarted")
def test_a_gate(interrupting: Interrupting) -> None:
    def prepare() -> None:
        nonlocal version
        governed = interrupting.world()
        version = governed.register()
        people().rename(columns={"score": "s"}).to_csv(governed.folder / "p.csv", index=False)
        data = governed.folder / "p.csv"
        interrupting.command("performance", "gate", "performance", "--model", version.uri, "--data", data, "--record")

    version: ModelVersion
    for _ in interrupting.moments(prepare):
        governed = interrupting.governed
        stored = governed.ledger.entries(kind="gate")
        assert len(stored) <= 1
        assert interrupting.again()[0] == 0
        measured = [statement_of(entry.envelope) for entry in governed.ledger.entries(kind="gate")]
        assert len(measured) == len(stored) + 1  # what was stored by then is measured again, and is the same
        assert len({str((item["subject"], item["predicate"]["passedTests"])) for item in measured}) == 1
        governed.promote(version)
        assert governed.places()[version.version] == PASSED


@on(KILLED, "OpenBao is sealed")
def test_an_approval(interrupting: Interrupting, run: Run) -> None:
    def prepare() -> None:
        nonlocal version
        governed = interrupting.world()
        governed.policy_file.write_text(governed.policy_file.read_text() + APPROVALS)
        governed.signer("olga")
        words = ["trust", "add", "--trust", governed.trust_file, "--person", "olga", "--duty", "approval"]
        assert run(*words, "--sign", governed.sign("olga"))[0] == 0
        version = governed.candidate()
        interrupting.command("olga", "approve", version.uri, "--target", "production")
        shown = interrupting.again()[1].rsplit("evidence ", 1)[1].strip()
        interrupting.words += ["--evidence", shown, "--reason", "read it"]

    version: ModelVersion
    for _ in interrupting.moments(prepare):
        governed = interrupting.governed
        assert len(governed.ledger.entries(kind="approval")) <= 1
        assert interrupting.again()[0] == 0
        with refuses("approval.missing"):  # who has answered twice is one person
            governed.promote(version, requesters=["rita"])
        assert governed.places()[version.version] == (None, ())
        governed.approve(version, by="omar")
        governed.promote(version, requesters=["rita"])
        assert governed.places()[version.version] == PASSED


@on(*INTERRUPTIONS)
def test_a_promotion(interrupting: Interrupting) -> None:
    _promoted(interrupting, denied=False)


@on(KILLED, "OpenBao is gone", "MLflow says 500")
def test_a_promotion_that_is_denied_by_then(interrupting: Interrupting) -> None:
    _promoted(interrupting, denied=True)


def test_mlflow_is_killed_and_started_again(
    servers: Servers, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = LastingMlflow(tmp_path / "mlflow")
    try:
        own = replace(servers, mlflow=mlflow.server, registry=mlflow.proxy)
        _promoted(Interrupting(tmp_path, mlflow.server, run, monkeypatch, own, mlflow_restarted(mlflow)), denied=False)
    finally:
        mlflow.kill()
        mlflow.proxy.close()


def _promoted(interrupting: Interrupting, denied: bool) -> None:
    def prepare() -> None:
        nonlocal first, second
        governed = interrupting.world()
        first, second = governed.candidate(1.0), governed.candidate(2.0)
        governed.promote(first)
        interrupting.command("promotion", "promote", second.uri, "--target", "production")

    first: ModelVersion
    second: ModelVersion
    for _ in interrupting.moments(prepare):
        governed = interrupting.governed
        recorded = len(governed.ledger.entries(kind="promotion")) == 2
        if denied and not recorded:
            governed.judge(second, auc=0.5)
            assert interrupting.again()[0] == 1
            assert governed.places() == {first.version: PASSED, second.version: (None, ())}
            assert len(governed.ledger.entries(kind="promotion")) == 1
            assert intents(governed) in (["opened"], ["opened", "opened", "abandoned"])
        else:
            assert interrupting.again()[0] == 0
            assert governed.places() == {first.version: ("Archived", ()), second.version: PASSED}
            record = governed.ledger.entries(kind="promotion")[1:]
            assert [statement_of(item.envelope)["predicate"]["moved"]["alias"]["previous"] for item in record] == ["1"]
            assert intents(governed) == ["opened", "opened"]
            assert governed.explain(governed.now(second)).allowed
        assert governed.reconcile().open == ()


@on(KILLED, "MLflow's answers are lost", "PostgreSQL is restarted")
def test_a_rollback(interrupting: Interrupting) -> None:
    def prepare() -> None:
        nonlocal first, second
        governed = interrupting.world()
        first, second = governed.candidate(1.0), governed.candidate(2.0)
        governed.promote(first)
        governed.promote(second)
        words = ["rollback", governed.model, "--target", "production", "--reason", "complaints"]
        interrupting.command("promotion", *words)

    first: ModelVersion
    second: ModelVersion
    for _ in interrupting.moments(prepare):
        governed = interrupting.governed
        if len(governed.ledger.entries(kind="promotion")) < 3:
            assert interrupting.again()[0] == 0
        assert governed.places() == {first.version: PASSED, second.version: ("Archived", ())}
        assert len(governed.ledger.entries(kind="promotion")) == 3
        assert governed.reconcile().open == ()


@pytest.mark.parametrize("interrupting", [()], indirect=True)
def test_a_disk_that_is_full_stops_it_and_room_lets_it_go_on(interrupting: Interrupting) -> None:
    governed = interrupting.world()
    version = governed.candidate()
    interrupting.command("promotion", "promote", version.uri, "--target", "production")
    size = governed.folder.joinpath("ledger.db").stat().st_size
    assert interrupting.interrupt(NEVER, **{SPACE: str(size)}) == 4
    said = (governed.folder / "steps.out").read_text()
    assert ("ledger.down" in said, "Traceback" in said) == (True, False)
    assert governed.places()[version.version] == (None, ())
    assert interrupting.again()[0] == 0
    assert governed.places()[version.version] == PASSED
    assert len(governed.ledger.entries(kind="promotion")) == 1


def test_two_promotions_race_while_postgresql_is_restarted(
    servers: Servers, tmp_path: Path, mlflow_server: MlflowServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupting = Interrupting(tmp_path, mlflow_server, run, monkeypatch, servers)
    governed = interrupting.world()
    versions = [governed.candidate(1.0), governed.candidate(2.0)]
    words = {
        version.version: ["promote", version.uri, "--target", "production", "--sign", governed.sign("promotion")]
        for version in versions
    }
    restarted: list[bool] = []

    def restart() -> None:
        servers.restart_postgres()
        restarted.append(True)

    def race(version: str, at: int) -> int:
        return run_interrupted(words[version], governed.shell, at, tmp_path / f"race-{version}", restart)

    with ThreadPoolExecutor(2) as pool:
        codes = dict(zip(words, pool.map(race, words, (60, NEVER)), strict=True))
    assert restarted
    for version, code in codes.items():
        said = (tmp_path / f"race-{version}.out").read_text()
        assert code == 0 or "[ledger." in said, said
        assert code == 0 or run(*words[version])[0] == 0
    assert sorted(governed.places().values(), key=str) == [("Archived", ()), PASSED]
    promoted = [statement_of(entry.envelope)["subject"][0] for entry in governed.ledger.entries(kind="promotion")]
    assert len({str(subject) for subject in promoted}) == len(promoted) == 2
    assert governed.ledger.verify().size == len(governed.ledger.entries())
    assert governed.reconcile().open == ()
    free(governed)
