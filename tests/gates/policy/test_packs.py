"""Packs of rules as users meet them: through the gate, with modes, dates, lists, data and a card."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.policy.asking import severity_of
from airflow_mlgov.gates.policy.features import Feature
from airflow_mlgov.gates.policy.spec import GATE, PolicySettings
from airflow_mlgov.gates.rulebook import PackRule
from airflow_mlgov.gates.run import run_gate
from airflow_mlgov.gates.strictness import held_to
from airflow_mlgov.governance.packs import open_pack
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.governance.rulebook import Packs
from airflow_mlgov.results import GateResult, Outcome, Severity
from tests.codes import raises_code
from tests.worlds.pipelines import GUARDED

NAME, FLOW = GUARDED["github"]
WATCHED = FLOW + "      - run: mlgov reconcile\n"


def judged(**given: object) -> GateResult:
    return run_gate(GATE, None, PolicySettings.read(given), rulebook=Packs())


def codes(result: GateResult, *, critical: bool = False) -> set[str]:
    weighed = [one for one in result.failed if not critical or one.severity is Severity.CRITICAL]
    return {one.values["code"] for one in weighed if "code" in one.values}


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(FLOW)
    return path


def test_the_gate_without_packs_says_what_it_said(flow: Path) -> None:
    found = judged(manifest=str(flow))
    assert found.verdict is Outcome.PASS
    assert not any("pack" in one.values for one in found.checks)


def test_what_is_unpinned_warns_and_a_mode_says_otherwise(flow: Path) -> None:
    flow.write_text(FLOW.replace("runs-on: x", "runs-on: x\n    container: python:3.11"))
    flow.write_text(
        flow.read_text().replace("    runs-on: ubuntu-latest\n", "    runs-on: x\n    container: python:3.11\n")
    )
    found = judged(manifest=str(flow), packages=["mlgov.pipeline"])
    assert found.verdict is Outcome.PASS
    assert "image.unpinned" in codes(found)
    [first, *_] = [one for one in found.failed if one.values["code"] == "image.unpinned"]
    assert first.name == "mlgov.pipeline/image.unpinned python:3.11"
    assert first.values["where"].startswith(f"{flow}:")
    assert "By its digest" in first.detail or "by its digest" in first.detail
    held = judged(manifest=str(flow), packages=["mlgov.pipeline"], modes={"image.unpinned": "enforce"})
    assert held.verdict is Outcome.FAIL
    assert codes(held, critical=True) == {"image.unpinned"}
    told = judged(manifest=str(flow), packages=["mlgov.pipeline"], modes={"image.unpinned": "enforce"}, mode="warn")
    assert told.verdict is Outcome.PASS


def test_a_secret_fails_and_is_not_repeated(flow: Path, run, tmp_path: Path) -> None:
    flow.write_text(FLOW + "      - run: mlflow login --password hunter22\n")
    sarif = tmp_path / "s.json"
    code, out, _ = run(
        "gate", "policy", "--input", str(flow), "--package", "mlgov.pipeline", "--json", "--sarif", str(sarif)
    )
    assert code == 1
    assert "secret.plain_text" in out
    assert "hunter22" not in out + sarif.read_text()
    rules = {one["ruleId"] for one in json.loads(sarif.read_text())["runs"][0]["results"]}
    assert "secret.plain_text" in rules


def test_modes_of_the_command_line(flow: Path, run) -> None:
    flow.write_text(FLOW + "      - run: mlflow login --password hunter22\n")
    args = ("gate", "policy", "--input", str(flow), "--package", "mlgov.pipeline", "--rule-mode")
    assert run(*args, "mlgov.pipeline/secret.plain_text=warn")[0] == 0
    assert run(*args, "mlgov.pipeline=observe")[0] == 0
    code, _, err = run(*args, "secret.plain=warn")
    assert code == 2
    assert "did you mean 'secret.plain_text'" in err
    assert run(*args, "secret.plain_text=off")[0] == 2


def test_each_rule_that_found_nothing_is_a_check(flow: Path) -> None:
    found = judged(manifest=str(flow), packages=["mlgov.pipeline"])
    names = {one.name for one in found.checks if one.outcome is Outcome.PASS}
    assert {"mlgov.pipeline", "mlgov.pipeline/secret.plain_text", "mlgov.pipeline/gate.weak"} <= names
    [pack] = found.details["packs"]
    assert (pack["name"], pack["rules"]) == ("mlgov.pipeline", 8)
    assert len(pack["sha256"]) == 64


def test_no_mode_makes_a_rule_milder_than_its_metadata_lets_it_be() -> None:
    held = replace(RULE, effective_on=None, mildest=Severity.WARNING)
    now = datetime(2026, 6, 1, tzinfo=UTC)
    for settings in ({"modes": {"a.b": "observe"}}, {"modes": {"p": "observe"}, "mode": "observe"}):
        assert severity_of(held, "p", PolicySettings(**settings), now)[0] is Severity.WARNING
    firm = replace(held, mildest=Severity.CRITICAL)
    assert severity_of(firm, "p", PolicySettings(mode="warn"), now)[0] is Severity.CRITICAL


RULE = PackRule(code="a.b", title="t", mend="m", effective_on=datetime(2027, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("given", "year", "severity"),
    [
        ({}, 2026, Severity.WARNING),
        ({}, 2027, Severity.CRITICAL),
        ({"modes": {"a.b": "enforce"}}, 2026, Severity.WARNING),
        ({"modes": {"a.b": "observe"}}, 2026, Severity.INFO),
        ({"modes": {"p/a.b": "warn", "a.b": "observe"}}, 2027, Severity.WARNING),
        ({"modes": {"p": "observe", "a.b": "enforce"}}, 2027, Severity.CRITICAL),
        ({"modes": {"p": "observe"}}, 2027, Severity.INFO),
        ({"mode": "warn"}, 2027, Severity.WARNING),
    ],
)
def test_how_much_a_rule_weighs(given, year, severity) -> None:
    settings = PolicySettings.read(given)
    assert severity_of(RULE, "p", settings, datetime(year, 6, 1, tzinfo=UTC))[0] is severity


def test_each_deploy_is_watched(flow: Path) -> None:
    found = judged(manifest=str(flow), packages=["mlgov.monitoring"])
    assert codes(found, critical=True) == {"monitoring.missing"}
    flow.write_text(WATCHED)
    assert judged(manifest=str(flow), packages=["mlgov.monitoring"]).verdict is Outcome.PASS
    flow.write_text(FLOW + "      - {name: monitoring, run: house-watch all}\n")
    assert codes(judged(manifest=str(flow), packages=["mlgov.monitoring"])) == {"monitoring.only_named"}
    listed = {"mlgov.monitoring": {"monitors": ["house-watch"]}}
    assert judged(manifest=str(flow), packages=["mlgov.monitoring"], parameters=listed).verdict is Outcome.PASS


@pytest.mark.parametrize(
    "line",
    [
        "pip install evidently",
        "evidently --help",
        "echo mlgov reconcile",
        "mlgov reconcile --help",
        "whylogs --version",
    ],
)
def test_what_only_speaks_of_a_monitor_watches_nothing(flow: Path, line: str) -> None:
    flow.write_text(f"{FLOW}      - run: {line}\n")
    assert codes(judged(manifest=str(flow), packages=["mlgov.monitoring"])) == {"monitoring.missing"}


def test_a_label_is_said_to_be_the_authors_claim(tmp_path: Path) -> None:
    text = "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\n"
    text += "metadata: {name: m, labels: {monitoring: 'on'}}\n"
    path = tmp_path / "m.yaml"
    path.write_text(text + "spec: {predictor: {containers: [{image: 'a@sha256:" + "0" * 64 + "'}]}}\n")
    asked = {"manifest": str(path), "packages": ["mlgov.monitoring"]}
    assert codes(judged(**asked)) >= {"monitoring.only_named"}
    found = judged(**asked, parameters={"mlgov.monitoring": {"by": "label"}}, mode="warn")
    [claim] = [one for one in found.failed if one.values["code"] == "monitoring.claimed"]
    assert "author's claim" in claim.detail
    assert claim.severity is Severity.INFO


MAILS = [f"person{at}@bank.example" for at in range(40)]


def keyed(value: str) -> str:
    return hmac.new(b"key", value.encode(), "sha256").hexdigest()


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    frame = pd.DataFrame({"email_hash": [keyed(one) for one in MAILS], "amount": range(40), "x7": MAILS})
    frame.to_parquet(tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


LIST = "form: mlgov/features/1\nfeatures:\n- {name: email_hash, view: customer}\n- {name: amount}\n"


def test_personal_data_in_features(tmp_path: Path, rows: Path) -> None:
    (tmp_path / "features.yaml").write_text(LIST)
    asked = {"features": str(tmp_path / "features.yaml"), "packages": ["mlgov.pii"]}
    unseen = judged(**asked)
    assert unseen.verdict is Outcome.INCONCLUSIVE
    assert codes(unseen) == {"pii.hash_not_seen", "pii.values_not_seen"}
    found = judged(**asked, data=str(rows))
    assert found.verdict is Outcome.PASS
    assert found.details["looked_at"]["values"] == {"rows": 40, "looked_at": 40, "exact": True}
    assert {one.kind for one in (found.subject, *found.inputs)} == {"dataset"}
    (tmp_path / "features.yaml").write_text(LIST + "- {name: income_band, column: x7, tags: {pii: 'false'}}\n")
    found = judged(**asked, data=str(rows))
    assert codes(found) == {"pii.in_values"}
    assert f"{tmp_path}/features.yaml:5" in found.summary()
    assert "person1" not in json.dumps([one.as_dict() for one in found.checks])


def test_the_columns_of_the_data_are_features_where_nobody_lists_any(rows: Path) -> None:
    found = judged(data=str(rows), packages=["mlgov.pii"])
    assert codes(found) == {"pii.in_values"}
    assert "40 of 40 values of x7" in found.summary()


def test_a_feature_that_the_data_does_not_have(tmp_path: Path, rows: Path) -> None:
    (tmp_path / "features.yaml").write_text(LIST + "- {name: other}\n")
    found = judged(features=str(tmp_path / "features.yaml"), data=str(rows), packages=["mlgov.pii"])
    assert found.verdict is Outcome.INCONCLUSIVE
    assert "features: other" in found.summary()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("customerEmail", " customer email "),
        ("EMAIL_ADDR2", " email addr 2 "),
        ("prénom", " prenom "),
        ("Straße", " strasse "),
        ("ｅｍａｉｌ", " email "),
        ("email_sha256", " email sha 256 "),
    ],
)
def test_names_as_words(name: str, said: str) -> None:
    assert Feature(name).said == said


CARD = """\
form: mlgov/card/1
name: credit
licence: Apache-2.0
intended_use: [credit scoring]
base_models: []
personal_data: true
high_risk: false
documents:
- {kind: model_card, path: card.md, reviewed: 2026-11-01}
- {kind: dpia, path: dpia.pdf, sha256: DIGEST, reviewed: 2026-05-01}
"""


def card(tmp_path: Path, text: str = CARD) -> dict[str, object]:
    (tmp_path / "card.md").write_text("# credit\n")
    (tmp_path / "dpia.pdf").write_bytes(b"%PDF")
    (tmp_path / "card.yaml").write_text(text.replace("DIGEST", hashlib.sha256(b"%PDF").hexdigest()))
    return {"card": str(tmp_path / "card.yaml"), "packages": ["mlgov.model"]}


def on(day: str, **given: object) -> set[str]:
    from airflow_mlgov.gates.policy.asking import judge_all

    found = judge_all(PolicySettings.read(given), None, Packs(), datetime.fromisoformat(day).replace(tzinfo=UTC))
    return {one.values["code"] for one in found.checks if one.outcome is not Outcome.PASS}


def test_a_models_card(tmp_path: Path) -> None:
    asked = card(tmp_path)
    assert on("2026-11-30", **asked) == set()
    assert on("2027-06-01", **asked) == {"document.stale"}
    assert on("2026-10-01", **asked) == {"document.stale"}
    assert on("2026-11-30", **asked, parameters={"mlgov.model": {"licences": ["MIT"]}}) == {"licence.not_allowed"}
    (tmp_path / "dpia.pdf").write_bytes(b"%PDF-2")
    assert on("2026-11-30", **asked) == {"document.not_there"}
    assert on("2026-11-30", **card(tmp_path, CARD.replace("2026-11-01", "soon"))) == {"document.undated"}
    assert on("2026-11-30", **card(tmp_path, CARD.replace("path: card.md", "path: ../card.md"))) == {
        "document.not_there"
    }
    assert on("2026-11-30", **card(tmp_path, CARD.replace("high_risk: false\n", ""))) == {"document.missing"}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"packages": ["mlgov.pii"]}, "features.missing"),
        ({"packages": ["mlgov.model"]}, "card.missing"),
        ({"packages": ["mlgov.pipeline"]}, "manifest.missing"),
        ({"packages": ["mlgov.pipelines"]}, "pack.unknown"),
        ({}, "manifest.missing"),
    ],
)
def test_what_rules_read_has_to_be_named(given, code) -> None:
    with raises_code(ConfigurationError, code):
        judged(**given)


def test_who_evaluates_no_rules_refuses(flow: Path) -> None:
    settings = PolicySettings.read({"manifest": str(flow), "packages": ["mlgov.pipeline"]})
    with raises_code(ConfigurationError, "pack.no_rulebook"):
        run_gate(GATE, None, settings)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("form: mlgov/features/1\nfeatures: []\n", "features.form"),
        ("features: [{name: a}]\n", "features.form"),
        ("form: mlgov/features/1\nfeatures: [{name: a, pii: true}]\n", "features.form"),
        ("form: mlgov/features/1\nfeatures: [{name: ''}]\n", "features.form"),
    ],
)
def test_lists_that_are_none(tmp_path: Path, text: str, code: str) -> None:
    (tmp_path / "f.yaml").write_text(text)
    with raises_code(ConfigurationError, code):
        judged(features=str(tmp_path / "f.yaml"), packages=["mlgov.pii"])
    with raises_code(ConfigurationError, "card.form"):
        judged(card=str(tmp_path / "f.yaml"), packages=["mlgov.model"])


OWN = """\
package acme.release

import rego.v1

# METADATA
# title: A pipeline is called after nobody
# custom:
#   code: name.unknown
#   mend: "call it after its team"
deny contains {"code": "name.unknown", "message": "it begins with no team", "term": pipeline.name} if {
	some pipeline in input.pipelines
	name := pipeline.name
	not startswith(name, "risk-")
}
"""
POLICY = """\
version: 1
models:
  credit:
    gates:
      policy: {manifest: %s, packages: ["rules@sha256:%s"], modes: {acme.release: enforce}}
    targets:
      production: {alias: champion, requires: [policy]}
"""


def test_a_pack_of_the_policys_lies_beside_it_and_is_pinned(tmp_path: Path, flow: Path, monkeypatch) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "own.rego").write_text(OWN)
    (tmp_path / "mlgov.yaml").write_text(POLICY % (NAME, open_pack(rules).digest))
    policy = load_policy(tmp_path / "mlgov.yaml").model("credit")
    monkeypatch.chdir("/")
    settings, _ = held_to(GATE, policy, {}, {}, "the test")
    found = run_gate(GATE, None, settings, rulebook=Packs())
    assert codes(found) == {"name.unknown"}
    with raises_code(ConfigurationError, "setting.not_the_policys"):
        held_to(GATE, policy, {"modes": {"acme.release": "observe"}}, {}, "the test")
    with raises_code(ConfigurationError, "setting.not_the_policys"):
        held_to(GATE, policy, {"packages": ["mlgov.pipeline"]}, {}, "the test")
    (rules / "own.rego").write_text(OWN.replace("risk-", ""))
    with raises_code(ConfigurationError, "pack.digest"):
        run_gate(GATE, None, settings, rulebook=Packs())


def test_a_teams_modes_hold_for_all_its_models(tmp_path: Path) -> None:
    def modes(owners: str, own: str = "") -> dict[str, str]:
        (tmp_path / "mlgov.yaml").write_text(
            "version: 1\nteams:\n  a: {modes: {image.unpinned: observe, mlgov.pipeline: warn}}\n"
            "  b: {modes: {image.unpinned: enforce}}\nmodels:\n  m:\n"
            f"    owners: {owners}\n    gates: {{policy: {{packages: [mlgov.pipeline]{own}}}}}\n"
            "    targets: {p: {alias: c, requires: [policy]}}\n"
            "  n: {owners: [a, b], targets: {p: {alias: c, requires: [policy]}}}\n"
        )
        return dict(load_policy(tmp_path / "mlgov.yaml").model("m").settings("policy").get("modes", {}))

    assert modes("[a]") == {"image.unpinned": "observe", "mlgov.pipeline": "warn"}
    assert modes("[a, b]") == {"image.unpinned": "enforce", "mlgov.pipeline": "warn"}
    assert modes("[b]", ", modes: {image.unpinned: warn}") == {"image.unpinned": "warn"}
    assert modes("[c]") == {}
    text = (tmp_path / "mlgov.yaml").read_text().replace("owners: [a, b]", "owners: [b]")
    (tmp_path / "mlgov.yaml").write_text(text)
    with raises_code(ConfigurationError, "policy.team_unknown"):
        load_policy(tmp_path / "mlgov.yaml")
