"""Approval on Airflow 3.1, where a form defers to a trigger of the triggerer: the same answers, the same ends."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from airflow_mlgov.demo import servers
from airflow_mlgov.demo.airflow_api import Run
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.statements import ApprovalStatement
from airflow_mlgov.evidence.verification import collect, only
from tests.fixtures.mlflow_server import MlflowServer
from tests.fixtures.postgres import postgres_bindir
from tests.live.environments import AIRFLOW_31, CannotBuild, python_of
from tests.live.waiting import HANGS, answered, asks, patience, until
from tests.worlds.governed import PASSED, Governed
from tests.worlds.live import USERS, Attacker, codes_in, ended, metadata_database, noted

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("airflow-31"), pytest.mark.timeout(HANGS)]

POLICY = "version: 1\ngroups: {risk-officers: [olga, omar]}\nmodels:\n"
SECTION = """\
  {model}:
    gates:
      performance: {{label: y, score: s, roc_auc: {{min: 0.75}}}}
    targets:
      production:
        stage: Production
        alias: champion
        requires: [performance]
        approvals: {{count: 1, from: [risk-officers], not: [trainer, requester]}}
"""
CASES = {
    "approved": ("alice", "asks"),
    "rejected": ("alice", "asks"),
    "unreasoned": ("alice", "asks"),
    "altered": ("alice", "asks"),
    "own": ("olga", "asks"),
    "late": ("alice", "asks_shortly"),
}
"""What happens to a model -> who triggers its run, and of which DAG."""
NOWHERE = {"1": (None, ())}
IMPORTED = """
import pkgutil
from importlib import import_module
import airflow_mlgov
from airflow_mlgov.gates.children.scripts.dags_parse import dag_bag
other = {"airflow_mlgov.triggers._stream", "airflow_mlgov.operators._facets"}  # need Airflow 3.3, and OpenLineage
for module in pkgutil.walk_packages(airflow_mlgov.__path__, "airflow_mlgov."):
    if module.name not in other and not module.name.endswith("__main__"):
        import_module(module.name)
print(dag_bag().__module__)
"""


class Candidate(Governed):
    """One model; the policy, the keys and the ledger are everybody's."""

    def __post_init__(self) -> None:
        self.ledger_url = f"sqlite:///{self.folder / 'ledger.db'}"

    def answers(self) -> list[tuple[str, str, str]]:
        """Who answered what and why, as it was signed."""
        found = collect(self.ledger.walk(), TrustRoot.load(self.trust_file), kind="approval", model=self.model)[0]
        said = [item.statement for item in only(found, ApprovalStatement)]
        return [(answer.approver.name, answer.answer, answer.reason) for answer in said]


@dataclass(frozen=True)
class Older:
    """Airflow 3.1 with a run under way for each case."""

    airflow: servers.Airflow
    candidates: Mapping[str, Candidate]
    runs: Mapping[str, Run]
    stories: dict[str, Future[None]] = field(default_factory=dict)

    def case(self, name: str) -> tuple[Candidate, Run]:
        """A model and its run."""
        return self.candidates[name], self.runs[name]

    def user(self, name: str) -> Attacker:
        """Sign in."""
        return Attacker(self.airflow, name)

    def approve(self, name: str, who: str, reason: str, taken: Callable[[], bool]) -> None:
        """Approve when asked."""
        run, person = self.runs[name], self.user(who)
        asks(person, run, "approve")
        answered(
            lambda: person.answer_approval(run, "approve", approve=True, reason=reason), taken, person, run, "approve"
        )


@pytest.fixture(scope="module")
def python31() -> Path:
    """The Python beside Airflow 3.1."""
    try:
        return python_of(AIRFLOW_31)
    except CannotBuild as error:
        pytest.skip(f"Airflow 3.1 cannot be installed here: {error}")


@pytest.fixture(scope="module")
def older(
    python31: Path,
    mlflow_server: MlflowServer,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Older]:
    """Airflow 3.1 beside MLflow; all stories are under way at once."""
    folder = tmp_path_factory.mktemp("older")
    candidates = seed(folder, mlflow_server)
    (folder / "dags").mkdir()
    shutil.copy(Path(__file__).parent / "dags" / "approvals.py", folder / "dags")
    database = metadata_database(request.getfixturevalue("postgres_server") if postgres_bindir() else None)
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "executable", str(python31))  # the servers' scripts are those beside it
            airflow = start(folder, mlflow_server, database)
        stack.enter_context(airflow)
        users = {name: Attacker(airflow, name) for name in ("alice", "olga")}
        users["alice"].wait_for_dag("asks_shortly", timeout=patience(120))
        assert users["alice"].look("version")["version"].startswith("3.1.")
        runs = {name: users[who].trigger(dag, {"model": candidates[name].model}) for name, (who, dag) in CASES.items()}
        made = Older(airflow, candidates, runs)
        functions = [getattr(item, "function", None) for item in request.session.items]
        bodies = [function.story for function in functions if hasattr(function, "story")]
        with ThreadPoolExecutor(len(CASES)) as pool:
            made.stories.update({body.__name__: pool.submit(body, made) for body in bodies})
            yield made


def start(folder: Path, server: MlflowServer, database: Mapping[str, str]) -> servers.Airflow:
    """Airflow with the DAGs, the policy, the keys and the ledger of the folder."""
    return servers.start_airflow(
        folder,
        dags_folder=folder / "dags",
        users=USERS,
        connections={"mlflow_default": json.loads(server.connection())},
        mlgov={
            "policy": str(folder / "mlgov.yaml"),
            "ledger": f"sqlite:///{folder / 'ledger.db'}",
            "trust_root": str(folder / "trust.json"),
            "sign": f"local:{folder / '{duty}.pem'}",
            "mlflow_conn_id": "mlflow_default",
            "environment": "test",
        },
        sections={"database": database},
        timeout=patience(300),
    )


def story(body: Callable[[Older], None]) -> Callable[[Older], None]:
    """A test whose body is started together with the others, for all of them wait most of the time."""

    @functools.wraps(body)
    def test(older: Older) -> None:
        older.stories[body.__name__].result()

    test.story = body  # type: ignore[attr-defined]
    return test


def seed(folder: Path, server: MlflowServer) -> dict[str, Candidate]:
    """A version of each model, with all its evidence but the approval."""
    Governed(folder, server)  # makes the keys and pins them
    candidates = {name: Candidate(folder, server, f"older_{name}") for name in CASES}
    sections = [SECTION.format(model=item.model) for item in candidates.values()]
    (folder / "mlgov.yaml").write_text(POLICY + "".join(sections))
    for weight, item in enumerate(candidates.values()):
        item.candidate(weight)
    return candidates


@story
def test_an_approval_lets_the_model_move(older: Older) -> None:
    model, run = older.case("approved")
    older.approve("approved", "olga", "reviewed", lambda: bool(model.answers()))
    ended(run, approve="success", promote="success")
    assert model.places() == {"1": PASSED}
    assert model.answers() == [("olga", "approved", "reviewed")]


@story
def test_a_rejection_fails_with_its_reason(older: Older) -> None:
    model, run = older.case("rejected")
    olga = older.user("olga")
    asks(olga, run, "approve")

    def reject() -> int:
        return olga.answer_approval(run, "approve", approve=False, reason="too few applicants")

    answered(reject, lambda: bool(model.answers()), olga, run, "approve")
    ended(run, approve="failed", promote="upstream_failed")
    assert "rejected by olga (ledger:" in run.log("approve")
    older.user("alice").mark_success(run, "approve")
    noted(model.folder, run, "alice", approve="success")
    ended(run, approve="success", promote="failed")
    assert model.answers() == [("olga", "rejected", "too few applicants")]
    assert model.places() == NOWHERE


@story
def test_an_answer_without_a_reason_is_asked_for_again(older: Older) -> None:
    model, run = older.case("unreasoned")
    older.approve("unreasoned", "olga", " ", lambda: "has no reason" in run.log("approve"))
    assert "asking again" in run.log("approve")
    older.approve("unreasoned", "olga", "on second thoughts", lambda: bool(model.answers()))
    ended(run, approve="success", promote="success")
    assert model.answers() == [("olga", "approved", "on second thoughts")]


@story
def test_an_answer_that_alters_what_was_shown_fails(older: Older) -> None:
    model, run = older.case("altered")
    olga = older.user("olga")
    asks(olga, run, "approve")
    olga.may(
        "PATCH",
        f"{run.path}/taskInstances/approve/-1/hitlDetails",
        {"chosen_options": ["Approve"], "params_input": {"reason": "reviewed", "evidence": "0" * 64}},
    )
    ended(run, approve="failed", promote="upstream_failed")
    assert "the answer cannot be taken" in run.log("approve")
    assert model.answers() == []
    assert model.places() == NOWHERE


@story
def test_a_time_out_never_approves(older: Older) -> None:
    model, run = older.case("late")
    ended(run, approve="failed", promote="upstream_failed")
    assert "a time-out never approves" in run.log("approve")
    assert model.answers() == []
    assert model.places() == NOWHERE


@story
def test_neither_the_requester_nor_anybody_else_may_approve(older: Older) -> None:
    model, run = older.case("own")
    asks(older.user("alice"), run, "approve")
    for name in ("alice", "admin", "vic"):
        assert older.user(name).answer_approval(run, "approve", approve=True, reason="let me") == 403
    # olga is a risk officer, but she has triggered this run
    older.approve("own", "olga", "it is mine", lambda: len(model.answers()) == 1)
    until(lambda: "approval.not_allowed" in codes_in(run.log("approve")), "the refusal", run.tasks)
    assert model.places() == NOWHERE
    older.approve("own", "omar", "reviewed", lambda: len(model.answers()) == 2)
    ended(run, approve="success", promote="success")
    assert [name for name, _, _ in model.answers()] == ["olga", "omar"]
    assert model.places() == {"1": PASSED}


@story
def test_the_board_is_there_and_asks_who_is(older: Older) -> None:
    model, run = older.case("late")
    ended(run, approve="failed", promote="upstream_failed")

    def asked(page: str, name: str | None) -> requests.Response:
        headers = {}
        if name is not None:
            said = {"username": name, "password": older.airflow.passwords[name]}
            answer = requests.post(f"{older.airflow.url}/auth/token", json=said, timeout=patience(60))
            headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        return requests.get(f"{older.airflow.url}/mlgov/{page}", headers=headers, timeout=patience(60))

    assert asked("board", None).status_code == 401
    until(lambda: 'http-equiv="refresh"' not in asked("board", "olga").text, "the board's walk", dict)
    assert model.model in asked("board", "olga").text, "she approves it"
    assert model.model not in asked("board", "vic").text, "no DAG has made its evidence"
    page = asked(f"run?dag_id={run.dag_id}&run_id={quote(run.run_id)}", "vic")
    assert (page.status_code, "approve" in page.text) == (200, True)
    assert older.user("admin").look("plugins/importErrors")["total_entries"] == 0


def test_everything_can_be_imported_there(python31: Path) -> None:
    done = subprocess.run([python31, "-c", IMPORTED], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "airflow.models.dagbag" in done.stdout
