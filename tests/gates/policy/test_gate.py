"""The policy gate as users meet it: command line, reports, policy, rooms of one repository."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.policy.spec import GATE, PolicySettings
from airflow_mlgov.gates.run import run_gate
from airflow_mlgov.gates.strictness import held_to
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.results import Outcome
from tests.codes import raises_code
from tests.worlds.pipelines import GUARDED

BAD = GUARDED["github"][1].replace("--data p.csv", "--data p.csv || true")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one pipeline of each platform."""
    for platform, (name, text) in GUARDED.items():
        path = tmp_path / platform / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "notes.yaml").write_text("a: 1\n")
    return tmp_path


def test_a_folder_is_walked(repository, run):
    code, out, err = run("gate", "policy", "--input", str(repository), "--json")
    assert code == 0, err
    found = json.loads(out)
    assert sum("guards" in check.get("values", {}) for check in found["checks"]) == len(GUARDED)


@pytest.mark.parametrize(
    ("mode", "exit_code", "verdict"), [("enforce", 1, "FAIL"), ("warn", 0, "PASS"), ("observe", 0, "PASS")]
)
def test_modes(repository, run, mode, exit_code, verdict):
    path = repository / "github" / GUARDED["github"][0]
    path.write_text(BAD)
    code, out, _ = run("gate", "policy", "--input", str(path), "--mode", mode)
    assert code == exit_code
    assert f"gate policy: {verdict}" in out
    assert "gate.exit_code_lost" in out


def test_what_cannot_be_judged_is_inconclusive(repository, run):
    path = repository / "gitlab" / GUARDED["gitlab"][0]
    path.write_text("include: [{project: a/b, file: c.yml}]\n" + path.read_text())
    code, out, _ = run("gate", "policy", "--input", str(path))
    assert code == 3
    assert "manifest.incomplete" in out
    assert f"{path}:1" in out


def test_a_file_that_cannot_be_read_hides_no_other(repository, run):
    (repository / "chart.yaml").write_text("image: {{ .Values.image }}\n")
    (repository / "github" / GUARDED["github"][0]).write_text(BAD)
    code, out, _ = run("gate", "policy", "--input", str(repository))
    assert code == 1
    assert "manifest.unreadable" in out
    assert "gate.exit_code_lost" in out


def test_nothing_sensitive_is_inconclusive(tmp_path, run):
    path = tmp_path / "w.yaml"
    path.write_text("on: push\njobs: {test: {runs-on: x, steps: [{run: pytest}]}}\n")
    code, out, _ = run("gate", "policy", "--input", str(path))
    assert code == 3
    assert "manifest.nothing_sensitive" in out


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("dag.py", "import os", "manifest.is_code"),
        ("x.yaml", "a: 1", "manifest.unknown_kind"),
        ("x.json", '{"manifest": "mlgov/pipeline/9", "kind": "a", "name": "b", "steps": []}', "manifest.wrong"),
        ("x.json", GUARDED["json"][1].replace('"step": "gate"', '"step": "none"'), "manifest.wrong"),
        ("x.json", GUARDED["json"][1].replace('"step": "gate"', '"step": "promote"'), "manifest.wrong"),
    ],
)
def test_input_that_is_no_pipeline(tmp_path, run, name, text, error):
    (tmp_path / name).write_text(text)
    code, _, err = run("gate", "policy", "--input", str(tmp_path / name))
    assert code == 2
    assert error in err


def test_reports_for_code_scanners(repository, run, tmp_path):
    path = repository / "github" / GUARDED["github"][0]
    path.write_text(BAD)
    run("gate", "policy", "--input", str(path), "--sarif", str(tmp_path / "s.json"))
    found = json.loads((tmp_path / "s.json").read_text())["runs"][0]["results"][0]
    assert (found["ruleId"], found["level"]) == ("step.unguarded", "error")
    assert found["locations"][0]["physicalLocation"]["region"]["startLine"] == 18


def test_reusable_workflows_and_local_actions_are_followed(tmp_path):
    flows = tmp_path / ".github" / "workflows"
    (tmp_path / "gate").mkdir()
    flows.mkdir(parents=True)
    action = "runs: {using: composite, steps: [{run: mlgov gate fairness, shell: bash}]}\n"
    (tmp_path / "gate" / "action.yml").write_text(action)
    (flows / "check.yml").write_text("on: workflow_call\njobs: {c: {runs-on: x, steps: [{uses: ./gate}]}}\n")
    text = (
        "on: push\njobs:\n  check: {uses: ./.github/workflows/check.yml}\n"
        "  deploy: {needs: check, runs-on: x, steps: [{run: kubectl apply -f x}]}\n"
    )
    (flows / "release.yml").write_text(text)
    settings = PolicySettings.read({"manifest": str(flows / "release.yml"), "require": ["fairness"]})
    assert run_gate(GATE, None, settings).verdict is Outcome.PASS
    (tmp_path / "gate" / "action.yml").write_text(action.replace("fairness,", "fairness || true,"))
    found = run_gate(GATE, None, settings)
    assert found.verdict is Outcome.FAIL
    assert "gate/action.yml" in found.summary()
    (tmp_path / "gate" / "action.yml").unlink()
    assert "manifest.incomplete" in run_gate(GATE, None, settings).summary()


POLICY = """\
version: 1
models:
  credit:
    gates:
      policy: {manifest: w.yaml, require: [fairness], accept: {fairness: [house-gate run]}}
    targets:
      production: {alias: champion, requires: [policy]}
"""


def test_the_policy_says_which_pipeline_which_gates_and_what_counts(tmp_path):
    (tmp_path / "mlgov.yaml").write_text(POLICY)
    (tmp_path / "w.yaml").write_text(GUARDED["github"][1].replace("mlgov gate fairness", "house-gate run"))
    policy = load_policy(tmp_path / "mlgov.yaml").model("credit")
    settings, _ = held_to(GATE, policy, {}, {}, "the DAG")
    result = run_gate(GATE, None, settings)
    assert result.verdict is Outcome.PASS, result.summary()
    assert result.suite_digest == load_policy(tmp_path / "mlgov.yaml").suites("credit")["policy"]
    more, _ = held_to(GATE, policy, {"require": ["performance"]}, {}, "the DAG")
    assert more.require == ("fairness", "performance")
    assert run_gate(GATE, None, more).verdict is Outcome.FAIL
    for given in ({"accept": {"fairness": ["true"]}}, {"harmless": ["deploy"]}, {"sensitive": {"deploy": ["x"]}}):
        with raises_code(ConfigurationError, "setting.not_the_policys"):
            held_to(GATE, policy, given, {}, "the DAG")
    with raises_code(ConfigurationError, "setting.looser"):
        held_to(GATE, policy, {"mode": "warn"}, {}, "the DAG")


def test_secrets_of_commands_are_in_no_finding(tmp_path):
    path = tmp_path / "w.yaml"
    text = GUARDED["github"][1].replace(
        "mlgov gate fairness", "API_TOKEN=hunter2 curl -u me:hunter2 https://x || mlgov gate fairness"
    )
    path.write_text(text)
    result = run_gate(GATE, None, PolicySettings.read({"manifest": str(path)}))
    assert "hunter2" not in json.dumps([check.as_dict() for check in result.checks]) + result.summary()
