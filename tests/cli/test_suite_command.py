"""``mlgov suite propose`` and what ``mlgov gate data`` checks beyond the suite, as a shell sees them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from airflow_mlgov.data.files import dataset_subject
from airflow_mlgov.evidence.statements import ProvenanceStatement
from tests.worlds.governed import Governed
from tests.worlds.keys import key_file

POLICY = """\
version: 1
models:
  credit_risk:
    gates:
      data_validation:
        suite: suite.json
        checks:
          drift: {ks: {max: 0.1}}
          freshness: {column: at, max_age: 520w}
    targets:
      production: {alias: champion, requires: [data_validation]}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(3)
    for name, shift in (("before", 0), ("now", 0), ("moved", 30)):
        frame = pd.DataFrame({"age": random.integers(20 + shift, 60 + shift, 800), "at": "2024-06-15T10:00:00Z"})
        frame.to_csv(f"{name}.csv", index=False)
    Path("mlgov.yaml").write_text(POLICY)
    return tmp_path


def test_a_suite_is_drafted_used_and_not_overwritten(run, folder: Path) -> None:
    code, out, err = run("suite", "propose", "--data", "before.csv", "--out", "suite.json")
    assert (code, out) == (0, "")
    assert "a draft, read and edit every line" in err
    suite = json.loads(Path("suite.json").read_text())
    assert suite["meta"]["mlgov"]["data_sha256"] == dataset_subject("before.csv").digest
    code, out, _ = run("gate", "data", "--data", "before.csv", "--suite", "suite.json")
    assert (code, "PASS expect_column_values_to_be_between(age)" in out) == (0, True)
    code, out, _ = run("gate", "data", "--data", "moved.csv", "--suite", "suite.json", "--json")
    failed = [check["name"] for check in json.loads(out)["checks"] if check["outcome"] != "PASS"]
    assert failed == ["expect_column_values_to_be_between(age)"]
    code, _, err = run("suite", "propose", "--data", "now.csv", "--out", "suite.json")
    assert code == 2
    assert "somebody may have edited it" in err
    assert json.loads(Path("suite.json").read_text()) == suite


def test_a_draft_on_stdout(run, folder: Path) -> None:
    code, out, _ = run("suite", "propose", "--data", "before.csv", "--name", "people", "--types")
    suite = json.loads(out)
    assert (code, suite["name"]) == (0, "people")
    assert "expect_column_values_to_be_in_type_list" in {item["type"] for item in suite["expectations"]}
    code, _, err = run("suite", "propose", "--data", "nowhere.csv")
    assert (code, "no such file: nowhere.csv" in err) == (2, True)
    code, _, err = run("suite", "propose", "--data", "before.csv", "--out", "nowhere/suite.json")
    assert (code, "cannot write nowhere/suite.json" in err) == (2, True)


@pytest.fixture
def gate(run, folder: Path):
    """``gate(data, *options)`` -> exit code, checks by name, stderr."""
    run("suite", "propose", "--data", "before.csv", "--out", "suite.json")

    def go(data: str, *words: object):
        code, out, err = run("gate", "data", "--data", data, "--suite", "suite.json", "--json", *words)
        return code, {check["name"]: check for check in json.loads(out).get("checks", ())}, err

    return go


def test_drift_against_a_reference(gate, folder: Path) -> None:
    Path("checks.yaml").write_text("drift:\n  ks: {max: 0.1}\n  psi: {max: 0.2}\n")
    code, checks, _ = gate("now.csv", "--checks", "checks.yaml", "--reference", "before.csv")
    assert (code, checks["drift_ks(age)"]["outcome"], checks["drift_psi(age)"]["outcome"]) == (0, "PASS", "PASS")
    code, checks, _ = gate("moved.csv", "--checks", "checks.yaml", "--reference", "before.csv")
    assert (code, checks["drift_ks(age)"]["outcome"]) == (1, "FAIL")
    few = pd.read_csv("now.csv").head(50)
    few.to_csv("few.csv", index=False)
    code, checks, _ = gate("few.csv", "--checks", "checks.yaml", "--reference", "before.csv")
    assert (code, checks["drift_ks(age)"]["outcome"]) == (3, "INCONCLUSIVE")


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("drfit: {}", (), "did you mean 'drift'"),
        ("drift: {}\ndrift: {}", (), "checks.yaml:2: the key 'drift' stands twice"),
        ("drift: {reference: a, psi: {max: 1}, psi: {max: 2}}", (), "'psi' stands twice"),
        ("[drift]", (), "must map names"),
        ("drift: {", (), "not YAML"),
        ("drift: {psi: {max: 0.2}}", (), "checks.drift needs reference"),
        ("leakage: {label: age}", ("--reference", "before.csv"), "nothing would use the reference"),
        ("drift: {psi: {max: 0.2}}", ("--reference", "champion"), "pass --model"),
        ("drift: {psi: {max: 0.2}}", ("--reference", "nowhere.csv"), "no such file: nowhere.csv"),
    ],
)
def test_checks_that_do_not_hold(text: str, words: tuple[str, ...], message: str, gate) -> None:
    Path("checks.yaml").write_text(text)
    code, _, err = gate("now.csv", "--checks", "checks.yaml", *words)
    assert (code, message in err) == (2, True), err


def test_the_policys_checks_and_what_a_caller_may_add(gate, folder: Path) -> None:
    governed = ("--policy", "mlgov.yaml", "--model", "models:/credit_risk/7")
    code, checks, _ = gate("now.csv", *governed, "--reference", "before.csv")
    assert (code, checks["freshness(at)"]["outcome"], checks["drift_ks(age)"]["bound"]["max"]) == (0, "PASS", 0.1)
    Path("checks.json").write_text('{"drift": {"ks": {"max": 0.5}}}')
    code, _, err = gate("now.csv", *governed, "--reference", "before.csv", "--checks", "checks.json")
    assert (code, "never loosen" in err) == (2, True)
    code, _, err = gate("now.csv", *governed)
    assert (code, "checks.drift needs reference" in err) == (2, True)


def test_the_evidence_names_the_reference_and_the_settings(run, gate, folder: Path) -> None:
    Path("checks.yaml").write_text("volume: {min_ratio: 0.5}\n")
    signed = ("--ledger", "sqlite:///ledger.db", "--sign", key_file(folder / "key.pem"))
    code, _, _ = gate("now.csv", "--checks", "checks.yaml", "--reference", "before.csv", *signed)
    assert code == 0
    code, out, _ = run("ledger", "show", "1", "--ledger", "sqlite:///ledger.db")
    predicate = json.loads(out)["statement"]["predicate"]
    inputs = {item["name"]: item["digest"]["sha256"] for item in predicate["configuration"]}
    assert inputs["before.csv"] == dataset_subject("before.csv").digest
    assert predicate["mlgov"]["details"]["dataset_checks"] == {"volume": {"reference": "before.csv", "min_ratio": 0.5}}


def test_a_table_is_checked_beyond_its_suite(gate, folder: Path) -> None:
    pd.read_csv("now.csv").to_sql("people", "sqlite:///people.db", index=False)
    Path("checks.yaml").write_text("drift: {ks: {max: 0.1}}\nfreshness: {column: at, max_age: 520w}\n")
    words = ("--table", "people", "--checks", "checks.yaml", "--reference")
    code, checks, _ = gate("sqlite:///people.db", *words, "before.csv")
    assert (code, checks["freshness(at)"]["outcome"]) == (0, "PASS")
    code, checks, _ = gate("sqlite:///people.db", *words, "moved.csv", "--engine", "duckdb")
    assert (code, checks["drift_ks(age)"]["outcome"]) == (1, "FAIL")


def test_drift_against_the_champion(run, folder: Path, governed: Governed, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("USERNAME", governed.server.username), ("PASSWORD", governed.server.password)):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", governed.server.url)
    run("suite", "propose", "--data", "before.csv", "--out", "suite.json")
    Path("checks.yaml").write_text("drift: {ks: {max: 0.1}}\n")
    words = ["gate", "data", "--suite", "suite.json", "--checks", "checks.yaml", "--reference", "champion", "--json"]
    words += ["--model", governed.model, "--policy", str(governed.policy_file), "--trust", str(governed.trust_file)]
    words += ["--ledger", governed.ledger_url, "--environment", "test", "--sign", f"local:{folder}/data_validation.pem"]

    def drift(data: str) -> tuple[int, dict[str, str]]:
        code, out, err = run(*words, "--data", data)
        assert out, err
        found = {check["name"]: check["outcome"] for check in json.loads(out)["checks"]}
        return code, {name: outcome for name, outcome in found.items() if name.startswith("drift")}

    assert drift("now.csv") == (0, {"drift": "PASS"})  # no champion yet
    version = governed.server.register(governed.model, 1.0)
    subject, trained_on = governed.registry.subject(version), dataset_subject("before.csv")
    statement = ProvenanceStatement(subject, governed.context(), (trained_on,), ("tom",), {"run_id": "r"})
    governed.attest("registration", statement)
    governed.judge(version)
    governed.promote(version)
    assert drift("now.csv") == (0, {"drift_columns": "PASS", "drift_ks(age)": "PASS"})
    assert drift("moved.csv") == (1, {"drift_columns": "PASS", "drift_ks(age)": "FAIL"})
