"""A package of somebody else's adds a gate: one class and one entry-point line, and everything knows it."""

import json
import os
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from tests.worlds.pages import files

pytestmark = pytest.mark.slow

FILES = files("extend.md")
"""The package as ``docs/extend.md`` shows it."""
POLICY = FILES["mlgov.yaml"]


class Stranger:
    """A shell in which the package is installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        info = folder / "site" / "stranger-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
        points = tomllib.loads(FILES["pyproject.toml"])["project"]["entry-points"]["airflow_mlgov.gates"]
        lines = [f"{name} = {value}\n" for name, value in points.items()]
        (info / "entry_points.txt").write_text("".join(["[airflow_mlgov.gates]\n", *lines]))
        package = folder / "site" / "stranger"
        package.mkdir()
        for name, text in (("__init__", ""), ("gate", FILES["gate.py"]), ("operators", FILES["operators.py"])):
            (package / f"{name}.py").write_text(text)
        (folder / "mlgov.yaml").write_text(POLICY)
        for name, shares in (("good", 1), ("bad", 5)):
            lines = ["toxic", *(["yes"] * shares + ["no"] * (10 - shares)) * 4]
            (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")

    def run(self, program: str, *words: object) -> subprocess.CompletedProcess[str]:
        """A program of Python with the package in reach."""
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(self.folder / "site"), str(Path(__file__).parents[1])]),
            "AIRFLOW__MLGOV__POLICY": str(self.folder / "mlgov.yaml"),
            "AIRFLOW__MLGOV__LEDGER": f"sqlite:///{self.folder / 'ledger.db'}",
            "AIRFLOW__MLGOV__SIGN": f"local:{self.folder}/{{duty}}.pem",
            "AIRFLOW__MLGOV__TRUST_ROOT": str(self.folder / "trust.json"),
            "COLUMNS": "200",
        }
        command = [sys.executable, "-c", textwrap.dedent(program), *map(str, words)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, cwd=self.folder)

    def mlgov(self, *words: object) -> subprocess.CompletedProcess[str]:
        """The command line."""
        return self.run("from airflow_mlgov.cli import main; main()", *words)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    return Stranger(tmp_path_factory.mktemp("stranger"))


def test_the_command_line_has_it(stranger: Stranger) -> None:
    shown = stranger.mlgov("gate", "--help")
    assert "toxicity" in shown.stdout, shown.stderr
    shown = stranger.mlgov("gate", "toxicity", "--help")
    assert "Column that says yes or no." in shown.stdout
    assert "--min-rows" in shown.stdout
    words = ("gate", "toxicity", "--data", "bad.csv", "--column", "toxic", "--bound", "toxic_rate<=0.3", "--json")
    judged = stranger.mlgov(*words)
    assert (judged.returncode, json.loads(judged.stdout)["verdict"]) == (1, "FAIL"), judged.stderr
    near = stranger.mlgov(*words[:-2], "toxic_rat<=0.3")
    assert (near.returncode, 'Did you mean "toxic_rate"' in near.stderr) == (2, True)


def test_the_policy_knows_its_settings_its_metrics_and_its_name(stranger: Stranger) -> None:
    program = """
        import sys
        from pathlib import Path
        from airflow_mlgov.governance.decision import policy_input
        from airflow_mlgov.governance.policy import load_policy
        policy = load_policy(sys.argv[1])
        seen = policy_input(policy, "assistant", "production")
        print(seen["requires"], seen["bounds"][0]["check"], seen["settings"][0]["value"], seen["max_tries"])
    """
    done = stranger.run(program, stranger.folder / "mlgov.yaml")
    assert done.stdout.startswith("['toxicity'] toxic_rate 20"), done.stderr
    for right, wrong, words in (
        ("column: toxic", "colum: toxic", "did you mean 'column'"),
        ("min_rows: 20", "min_rows: 0", "0 is less than the minimum of 1"),
    ):
        (stranger.folder / "wrong.yaml").write_text(POLICY.replace(right, wrong))
        assert words in stranger.run(program, stranger.folder / "wrong.yaml").stderr


def test_it_has_a_duty_of_its_own_and_its_evidence_is_signed_under_it(stranger: Stranger) -> None:
    trust = ("trust", "add", "--trust", stranger.folder / "trust.json", "--duty", "toxicity")
    added = stranger.mlgov(*trust, "--sign", f"local:{stranger.folder}/toxicity.pem", "--make-key")
    assert added.returncode == 0, added.stderr
    program = """
        import sys
        from stranger.operators import ToxicityGateOperator
        from tests.fixtures.airflow_runner import run_one_task
        given = {"model": "assistant", "data": "good.csv", "min_rows": int(sys.argv[1])}
        operator = ToxicityGateOperator(task_id="toxicity", **given)
        end = run_one_task(operator)
        print(end.state, end.xcom and end.xcom["verdict"], end.error)
    """
    done = stranger.run(program, 20)
    assert done.stdout.splitlines()[-1].startswith("success PASS"), done.stderr
    assert "the governance policy says 20" in stranger.run(program, 15).stdout
    program = """
        from pathlib import Path
        from airflow_mlgov.evidence.ledger import open_ledger
        from airflow_mlgov.evidence.signing import TrustRoot
        from airflow_mlgov.evidence.verification import collect
        good, bad = collect(open_ledger("sqlite:///ledger.db").walk(), TrustRoot.load("trust.json"), kind="gate")
        print([item.gate for item in good], len(bad))
    """
    assert stranger.run(program).stdout.strip() == "['toxicity'] 0"


def test_doctor_looks_after_it(stranger: Stranger) -> None:
    done = stranger.mlgov("doctor", "--json")
    findings = json.loads(done.stdout)["findings"]
    assert not [item for item in findings if "which no installed package has" in item["message"]]
    assert [item for item in findings if item["area"] == "signing" and "toxicity" in item["message"]]


def test_the_owners_read_its_next_step(stranger: Stranger) -> None:
    program = """
        from airflow_mlgov.notifications.words import render_gate_failed
        from airflow_mlgov.results import Check, GateResult, Outcome, Subject
        result = GateResult("toxicity", Subject("dataset", "d", "0" * 64), (Check("toxic_rate", Outcome.FAIL),))
        print(render_gate_failed(result)[1])
    """
    assert "Next: read the answers that are toxic" in stranger.run(program).stdout
