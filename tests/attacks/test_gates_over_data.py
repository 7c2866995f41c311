"""Several gates over the same data: none signs for another, none hides what another has found."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.digests import hash_file
from airflow_mlgov.evidence.signing import TrustRoot, duties, open_signer, sign_statement
from airflow_mlgov.evidence.statements import GateStatement
from airflow_mlgov.evidence.verification import verify_envelope
from airflow_mlgov.gates.data_validation import tfdv, validate_data
from airflow_mlgov.gates.run import run_gate
from airflow_mlgov.gates.tfdv.spec import GATE, TfdvSettings
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.results import Check, GateResult, Outcome, Subject
from tests.worlds.story import DATA, MODEL, SERVICE, Story

SCHEMA = 'feature { name: "age" type: INT presence { min_fraction: 1.0 } }\n'
POLICY = """\
version: 1
models:
  credit_risk:
    gates:
      data_validation: {{suite: {suite}}}
    targets:
      production: {{alias: champion, requires: [{requires}]}}
"""


def tell(folder: Path, suite: str = "schema.pbtxt", requires: str = "data_validation") -> Story:
    """A model whose provenance names the data."""
    (folder / "schema.pbtxt").write_text(SCHEMA)
    (folder / "suite.json").write_text('{"name": "s", "expectations": []}')
    (folder / "data.csv").write_text("age\n17\n30\n")
    (folder / "mlgov.yaml").write_text(POLICY.format(suite=suite, requires=requires))
    story = Story(folder, load_policy(folder / "mlgov.yaml"))
    story.provenance()
    return story


def signed(story: Story, result: GateResult, form: int = 2, subject: Subject = DATA) -> None:
    statement = GateStatement.of(replace(result, subject=subject), story.context())
    story.sign(replace(statement, form=form))


@pytest.fixture
def tfdv_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """TFDV in its environment, which finds no anomaly."""
    content = {"anomalies": f"baseline {{ {SCHEMA} }}", "examples": 2}
    answer = SimpleNamespace(content=content, libraries={}, child={"network": "cut off"})
    monkeypatch.setattr(tfdv, "ask", lambda *_, **__: answer)


def by_tfdv(story: Story, folder: Path, **settings: Any) -> GateResult:
    given = TfdvSettings.read({"schema": str(folder / "schema.pbtxt"), **settings})
    return run_gate(GATE, str(folder / "data.csv"), given, (), memory_limit="64MB")


@pytest.mark.parametrize("python", [None, "/opt/tfdv/bin/python"])
def test_tfdv_itself_counts_under_the_policys_schema(
    tmp_path: Path, tfdv_says_nothing: None, python: str | None
) -> None:
    """Both engines name the schema by the digest that the decision asks for."""
    story = tell(tmp_path, requires="tfdv")
    result = by_tfdv(story, tmp_path, python=python)
    assert (result.gate, result.verdict) == ("tfdv", Outcome.PASS)
    signed(story, result)
    assert story.codes() == set()
    (tmp_path / "schema.pbtxt").write_text(SCHEMA + 'feature { name: "income" type: INT }\n')
    story.policy = load_policy(tmp_path / "mlgov.yaml")
    assert story.codes() == {"suite.differs"}


@pytest.mark.slow
def test_the_data_gate_signs_a_schema_as_its_suite(tmp_path: Path) -> None:
    story = tell(tmp_path)
    result = validate_data(str(tmp_path / "data.csv"), tmp_path / "schema.pbtxt")
    assert result.gate == "data_validation"
    signed(story, result)
    assert story.codes() == set()


@pytest.mark.parametrize("gate", ["tfdv", "feature_service"])
@pytest.mark.parametrize("form", [1, 2])
def test_a_failed_suite_hidden_behind_the_pass_of_another_gate_over_the_data(
    tmp_path: Path, gate: str, form: int
) -> None:
    story = tell(tmp_path)
    (tmp_path / "mlgov.yaml").write_text(
        (tmp_path / "mlgov.yaml").read_text().replace("{suite: schema.pbtxt}", "{min_rows: 1}")
    )
    story.policy = load_policy(tmp_path / "mlgov.yaml")
    suite = GateResult("data_validation", DATA, (Check("row_count", Outcome.FAIL, 0),), suite_digest="e" * 64)
    signed(story, suite)
    # what an operator of before signed as data_validation, and what it signs now
    other = GateResult("data_validation" if form == 1 else gate, DATA, (Check("validated", Outcome.PASS, 1),))
    signed(story, other, form)
    assert story.codes() == {"gate.not_passed"}
    signed(story, replace(suite, checks=(Check("row_count", Outcome.PASS, 9),)))
    assert story.codes() == set()


def test_an_old_pass_that_names_no_suite_passes_nothing_and_an_old_fail_still_stands(tmp_path: Path) -> None:
    story = tell(tmp_path, "suite.json")
    old = GateResult("data_validation", DATA, (Check("validated", Outcome.PASS, 1),))
    signed(story, old, form=1)
    assert story.codes() == {"evidence.missing"}
    signed(story, replace(old, checks=(Check("validated", Outcome.FAIL, 1),)), form=1)
    assert "gate.not_passed" in story.codes()


def test_no_gate_over_data_signs_for_another(tmp_path: Path) -> None:
    story, over_data = tell(tmp_path), ("data_validation", "tfdv", "feature_service")
    assert set(over_data) < set(duties())
    for duty in over_data:
        signer = open_signer(f"local:{tmp_path / f'{duty}.pem'}", make_key=True)
        trust = TrustRoot().with_key(signer.public_key, [duty])
        for gate in over_data:
            statement = GateStatement.of(GateResult(gate, DATA, (Check("c", Outcome.PASS),)), story.context())
            envelope = sign_statement(statement, signer)
            if gate == duty:
                assert verify_envelope(envelope, trust).gate == gate
                continue
            with pytest.raises(EvidenceError) as caught:
                verify_envelope(envelope, trust)
            assert caught.value.code == "evidence.duty"


def test_the_models_own_gates_are_not_about_the_data(tmp_path: Path) -> None:
    story = tell(tmp_path, requires="performance")
    signed(story, GateResult("performance", DATA, (Check("roc_auc", Outcome.PASS, 1.0),)))
    assert story.codes() == {"evidence.missing"}
    story.gate("performance", Check("roc_auc", Outcome.PASS, 1.0), subject=MODEL)
    assert story.codes() == set()


def passing(gate: str, **more: Any) -> GateResult:
    return GateResult(gate, DATA, (Check("c", Outcome.PASS, 1),), **more)


def test_a_gate_over_feature_services_judges_what_the_provenance_lists(tmp_path: Path) -> None:
    story = tell(tmp_path, requires="feature_service")
    signed(story, passing("feature_service"), subject=SERVICE)
    assert story.codes() == {"provenance.no_datasets"}
    story.provenance(datasets=(DATA,), feature_services=(SERVICE,))
    assert story.codes() == set()
    signed(story, replace(passing("feature_service"), checks=(Check("c", Outcome.FAIL, 1),)), subject=SERVICE)
    assert story.codes() == {"gate.not_passed"}


def test_a_pass_over_the_data_is_none_over_the_feature_service_nor_the_other_way(tmp_path: Path) -> None:
    story = tell(tmp_path, requires="feature_service, data_validation")
    story.provenance(feature_services=(SERVICE,))
    suite = {"suite_digest": hash_file(tmp_path / "schema.pbtxt")}
    signed(story, passing("feature_service"))
    signed(story, passing("data_validation", **suite), subject=SERVICE)
    assert story.codes() == {"evidence.missing"}
    signed(story, passing("feature_service"), subject=SERVICE)
    signed(story, passing("data_validation", **suite))
    assert story.codes() == set()


def test_a_feature_service_held_against_weaker_rules_than_the_policys(tmp_path: Path) -> None:
    story = tell(tmp_path, requires="feature_service")
    (tmp_path / "rules.yaml").write_text("owner: present\npii: {tag: pii}\n")
    (tmp_path / "mlgov.yaml").write_text(
        POLICY.format(suite="schema.pbtxt", requires="feature_service").replace(
            "    gates:\n", "    gates:\n      feature_service: {rules: rules.yaml}\n"
        )
    )
    story.policy = load_policy(tmp_path / "mlgov.yaml")
    story.provenance(feature_services=(SERVICE,))
    signed(story, passing("feature_service", suite_digest="e" * 64), subject=SERVICE)
    assert story.codes() == {"suite.differs"}
    signed(story, passing("feature_service", suite_digest=hash_file(tmp_path / "rules.yaml")), subject=SERVICE)
    assert story.codes() == set()
