"""DAG files under a policy that is not in force yet, parsed by the real Airflow in a child of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_mlgov.errors import ConfigurationError, MlgovError
from airflow_mlgov.gates.policy.dags import read_dags
from airflow_mlgov.gates.policy.spec import PolicyGate, PolicySettings
from airflow_mlgov.gates.run import run_gate
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.pipelines.reading import Read
from airflow_mlgov.release.impact import denies, impact
from tests.codes import raises_code
from tests.fixtures.shell import Run
from tests.worlds.keys import key_file
from tests.worlds.story import Story

pytestmark = pytest.mark.slow

HEAD = """\
from datetime import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

from airflow_mlgov.operators.fairness import FairnessGateOperator
from airflow_mlgov.operators.promotion import PromoteModelOperator

MODEL = "models:/credit/1"
once = {"schedule": None, "start_date": datetime(2026, 1, 1)}
"""
DAGS = (
    HEAD
    + """
with DAG("guarded", **once):
    said = {"data": "a.csv", "label": "y", "prediction": "p", "sensitive_features": ["sex"]}
    gate = FairnessGateOperator(task_id="gate", model=MODEL, **said)
    gate >> PromoteModelOperator(task_id="promote", model=MODEL, target="production")

with DAG("unguarded", **once):
    gate = BashOperator(task_id="gate", bash_command="mlgov gate fairness || true")
    gate >> PromoteModelOperator(task_id="promote", model=MODEL, target="production")

with DAG("etl", **once):
    BashOperator(task_id="load", bash_command="echo loaded")
"""
)
LOOKS = """\
import os
import socket

from airflow.sdk import DAG, Variable

seen = []
if os.environ.get("MLGOV_TEST_TOKEN") or os.environ.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"):
    seen.append("secrets")
try:
    socket.create_connection(("127.0.0.1", int(open("PORT").read())), 1)
    seen.append("network")
except OSError:
    pass
raise RuntimeError("seen: " + ", ".join(seen))
"""
POLICY = """\
version: 1
models:
  credit:
    owners: [team@bank.example]
    gates:
      policy: {require: [fairness]}
    targets:
      production: {alias: champion, requires: [policy]}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("dags")
    (found / "release.py").write_text(DAGS)
    (found / "team").mkdir()
    (found / "team" / "helper.py").write_text("WORD = 'dag'\n")
    (found / "team" / "broken.py").write_text("from airflow.sdk import DAG\n\nDAG(\n")
    (found / "team" / "looks.py").write_text(LOOKS.replace("PORT", str(found / "port")))
    (found / "uses_a_helper.py").write_text(
        "from airflow.sdk import DAG\nfrom team.helper import WORD\n\nwith DAG('of_a_' + WORD):\n    pass\n"
    )
    return found


@pytest.fixture(scope="module")
def read(folder: Path) -> Read:
    import socket

    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as server:
        (folder / "port").write_text(str(server.getsockname()[1]))
        patch.setenv("MLGOV_TEST_TOKEN", "hvs.secret")
        return read_dags([folder])


def test_every_dag_is_known_with_its_file_and_classes(read: Read) -> None:
    assert [(one.name, one.source) for one in read.manifests] == [
        ("etl", "release.py"),
        ("guarded", "release.py"),
        ("of_a_dag", "uses_a_helper.py"),
        ("unguarded", "release.py"),
    ]
    gate = next(one for one in read.manifests if one.name == "guarded").steps[0]
    assert (gate.gate, gate.operator) == ("fairness", "airflow_mlgov.operators.fairness.FairnessGateOperator")


def test_a_dag_read_so_is_the_one_that_runs(read: Read, folder: Path) -> None:
    """So that evidence of the running DAG is found again: its digest is the same."""
    from airflow_mlgov.gates.children.scripts.dags_parse import dag_bag
    from airflow_mlgov.pipelines.readers.airflow import read_dag

    dag = dag_bag()(str(folder / "release.py"), bundle_path=folder).dags["guarded"]
    here = read_dag(dag, str(getattr(dag, "relative_fileloc", None) or dag.dag_id))
    assert next(one for one in read.manifests if one.name == "guarded") == here


def test_broken_files_are_told_and_see_no_secret(read: Read) -> None:
    why = dict(read.unreadable)
    assert set(why) == {"team/broken.py", "team/looks.py"}
    assert "SyntaxError" in why["team/broken.py"]
    assert why["team/looks.py"].removeprefix("RuntimeError: ") in ("seen:", "seen: ", "seen: network")


def test_what_a_policy_would_say_of_every_dag(read: Read, tmp_path: Path) -> None:
    (tmp_path / "mlgov.yaml").write_text(POLICY)
    policy = load_policy(tmp_path / "mlgov.yaml")
    story = Story(tmp_path, policy)
    found = impact(story.ledger, story.trust, policy, dags=read)
    said = {one.name: sorted({code for code, _ in one.now}) for one in found}
    assert said == {
        "team/broken.py": ["manifest.unreadable"],
        "team/looks.py": ["manifest.unreadable"],
        "credit: guarded": [],
        "credit: unguarded": ["step.unguarded"],
    }
    assert {(one.kind, one.then) for one in found} == {("dag", None)}
    assert found[-1].owners == ("team@bank.example",)
    assert denies(found)
    assert not denies(impact(story.ledger, story.trust, policy, dags=Read(read.manifests[:2], ())))


def test_what_the_running_dag_was_judged_is_found_again(read: Read, tmp_path: Path) -> None:
    (tmp_path / "mlgov.yaml").write_text(POLICY)
    policy = load_policy(tmp_path / "mlgov.yaml")
    story = Story(tmp_path, policy)
    manifest = next(one for one in read.manifests if one.name == "unguarded")
    judged = run_gate(PolicyGate(lambda: [manifest]), None, PolicySettings())
    from airflow_mlgov.evidence.statements import GateStatement

    story.sign(GateStatement.of(judged, story.context()))
    [found] = impact(story.ledger, story.trust, policy, dags=Read((manifest,), ()))
    assert found.then is not None
    assert not found.changes
    assert [code for code, _ in found.then] == ["step.unguarded"]


def test_dags_at_the_command_line(folder: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "mlgov.yaml").write_text(POLICY)
    story = Story(tmp_path, load_policy(tmp_path / "mlgov.yaml"))
    story.trust.save(tmp_path / "trust.json")
    asked = (
        "replay",
        "--ledger",
        story.ledger.url,
        "--trust",
        tmp_path / "trust.json",
        "--dags",
        folder / "release.py",
    )
    code, said, _ = run(*asked, "--policy", tmp_path / "mlgov.yaml")
    assert code == 1
    assert "dag credit: guarded, release.py: never judged, allow under this policy" in said
    assert "dag credit: unguarded, release.py: never judged, deny under this policy" in said
    assert said.endswith("3 DAGs; those that register, promote and deploy nothing are not judged\n"
                         "2 judged: 2 would change, 1 would be denied\n")  # fmt: skip
    assert run(*asked)[0] == 2


def test_a_policy_that_judges_no_pipeline_says_so(read: Read, tmp_path: Path) -> None:
    text = POLICY.replace("      policy: {require: [fairness]}\n", "      performance: {label: y, score: s}\n")
    (tmp_path / "mlgov.yaml").write_text(text.replace("[policy]", "[performance]"))
    policy = load_policy(tmp_path / "mlgov.yaml")
    story = Story(tmp_path, policy)
    with raises_code(ConfigurationError, "policy.no_pipelines"):
        impact(story.ledger, story.trust, policy, dags=read)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("import time\ntime.sleep(600)\n", "child.timeout"),
        ("import os\nos._exit(3)\n", "child.failed"),
        ("import os\nopen('answer.json', 'w').write('{}')\nos._exit(0)\n", "child.answer"),
        (
            "import json, os\nsaid = {'libraries': {}, 'answer': {'dags': [{'kind': 'airflow', 'steps': 'all'}], "
            "'errors': {}}}\njson.dump(said, open('answer.json', 'w'))\nos._exit(0)\n",
            "child.answer",
        ),
    ],
)
def test_a_file_that_ends_or_bends_its_parser(tmp_path: Path, text: str, code: str) -> None:
    (tmp_path / "dag.py").write_text("# a DAG of airflow\n" + text)
    with raises_code(MlgovError, code):
        read_dags([tmp_path / "dag.py"], timeout=12 if code == "child.timeout" else 120)


def test_dag_files_in_a_pull_request(folder: Path, tmp_path: Path, run: Run) -> None:
    """As the policy gate says of each step, and never as evidence that a decision would take."""
    said = ("--kind", "airflow", "--input", str(folder / "release.py"))
    code, out, _ = run("gate", "policy", *said, "--require", "fairness")
    assert code == 1
    assert "release.py" in out
    assert "gate.exit_code_lost" in out
    where = ("--record", "--ledger", f"sqlite:///{tmp_path / 'x.db'}", "--sign", key_file(tmp_path / "key.pem"))
    run("gate", "policy", *said, *where)
    code, out, _ = run("ledger", "show", "1", "--ledger", f"sqlite:///{tmp_path / 'x.db'}")
    assert '"purpose": "what_if"' in out


def test_no_such_folder(tmp_path: Path) -> None:
    with raises_code(ConfigurationError, "file.missing"):
        read_dags([tmp_path / "gone"])
