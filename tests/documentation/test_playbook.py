"""``docs/playbook.md``: every command, in order, on a real registry and ledger."""

import csv
import json
from pathlib import Path

import pytest

from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.statements import DecisionStatement, WaiverStatement
from airflow_mlgov.evidence.verification import collect, only
from tests.fixtures.mlflow_server import MlflowServer
from tests.worlds.governed import Governed
from tests.worlds.pages import ROOT, play

pytestmark = pytest.mark.slow


def answers(path: Path, harmful: int, asked: int) -> None:
    """The scores of as many prompts in two languages; one in ten has no answer in the sources, and is refused."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["prompt_id", "language", "harmful", "refused", "grounded"])
        for number in range(asked):
            row = [number, "en" if number % 2 else "de", int(number < harmful), 1 if number % 20 else 0, 0.9]
            rows.writerow(row)


def test_a_standard_is_rolled_out_step_by_step(tmp_path: Path, mlflow_server: MlflowServer) -> None:
    governed = Governed(tmp_path, mlflow_server, model="assistant")
    governed.candidate(1.0)
    governed.candidate(2.0)
    governed.candidate(3.0)
    answers(tmp_path / "answers.csv", harmful=30, asked=500)
    answers(tmp_path / "answers-3.csv", harmful=56, asked=2000)
    printed = play(ROOT / "docs" / "playbook.md", tmp_path, governed.shell)
    told = json.loads((tmp_path / "who.json").read_text())
    assert "assistants@bank.example" in json.dumps(told)
    assert governed.registry.aliases("assistant") == {"champion": "3"}
    good, bad = collect(governed.ledger.walk(), TrustRoot.load(governed.trust_file), None)
    assert bad == [], printed
    decided = [item.statement for item in only(good, DecisionStatement)]
    assert [one.allowed for one in decided] == [True, True, False, True]
    noted = [" ".join(f"{code}: {text}" for code, text in one.warned) for one in decided]
    for said, mode in zip(noted, ("(observe, by the policy)", "(warn, by the policy)"), strict=False):
        assert said.startswith("custom.genai.unproven: assistant has no passing evaluation"), noted
        assert said.endswith(mode), noted
    assert noted[2:] == ["", ""]
    assert [item["check"] for item in decided[-1].waived] == ["harmful_rate"]
    assert {item.statement.signer.name for item in only(good, WaiverStatement)} == {"olga", "omar"}
