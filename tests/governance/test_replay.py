"""Decisions made again: the same answer from the same input, and what another policy would say."""

from dataclasses import replace
from pathlib import Path

import pytest

from airflow_mlgov.errors import ConfigurationError, PromotionRefused
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.statements import DecisionStatement, PolicyStatement
from airflow_mlgov.evidence.verification import collect, only
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.governance.replay import replay
from airflow_mlgov.release.explanation import replay_all
from airflow_mlgov.release.impact import Affected, denies, impact
from tests.codes import raises_code
from tests.worlds.governed import Governed


def all_of(governed: Governed, **given: object) -> list:
    return replay_all(governed.ledger, TrustRoot.load(governed.trust_file), **given)  # type: ignore[arg-type]


def judged_under(governed: Governed, name: str, **given: object) -> list[Affected]:
    trust, policy = TrustRoot.load(governed.trust_file), load_policy(governed.folder / name)
    return impact(governed.ledger, trust, policy, **given)  # type: ignore[arg-type]


@pytest.fixture
def decided(governed: Governed) -> Governed:
    """One version that was promoted, one that was refused, under a policy with a rule of its own."""
    (governed.folder / "own.rego").write_text(
        "package mlgov.custom\nimport rego.v1\n"
        'deny contains {"code": "weekend", "message": "no promotion at weekends"} if input.request.version == "9"\n'
    )
    text = governed.policy_file.read_text().replace("version: 1\n", "version: 1\nrules: [own.rego]\n", 1)
    governed.policy_file.write_text(text)
    governed.promote(governed.candidate(1.0))
    bad = governed.register(2.0)
    governed.judge(bad, auc=0.5)
    with pytest.raises(PromotionRefused):
        governed.promote(bad)
    return governed


def test_years_later_and_under_changed_files_the_answer_is_the_same(decided: Governed) -> None:
    (decided.folder / "own.rego").write_text("package mlgov.custom\nimport rego.v1\ndeny := input.nothing\n")
    decided.policy_file.write_text(decided.policy_file.read_text().replace("0.75", "0.999"))
    found = all_of(decided)
    assert [item.same for item in found] == [True, True]
    assert [bool(item.then) for item in found] == [False, True]
    assert all_of(decided, seq=found[1].decision.seq)[0].now == found[1].now


def test_under_another_policy(decided: Governed, tmp_path: Path) -> None:
    stricter = decided.policy_file.read_text().replace("0.75", "0.85")
    (decided.folder / "new.yaml").write_text(stricter.replace("    gates:", "    owners: [a@bank.example]\n    gates:"))
    first, second = judged_under(decided, "new.yaml")
    assert (first.kind, first.then, first.owners) == ("production", (), ("a@bank.example",))
    assert [code for code, _ in first.now] == ["bound.not_met"]
    assert "does not meet the policy's >= 0.85" in first.now[0][1]
    assert (second.kind, second.denied, second.newly_denied) == ("decision", True, False)
    assert denies([first])
    assert not denies([second])
    (decided.folder / "milder.yaml").write_text(stricter.replace("0.85", "0.4"))
    found = judged_under(decided, "milder.yaml")
    assert [(one.denied, one.changes) for one in found] == [(False, False), (True, True)]
    assert not denies(found)
    (decided.folder / "other.yaml").write_text(stricter.replace(decided.model, "another"))
    with raises_code(ConfigurationError, "policy.model_unknown"):
        judged_under(decided, "other.yaml")


def test_pipelines_under_another_policy(decided: Governed, tmp_path: Path) -> None:
    (decided.folder / "w.yaml").write_text(
        "on: push\njobs: {deploy: {runs-on: x, container: 'python:3.11', steps: [{run: kubectl apply -f x}]}}\n"
    )
    text = decided.policy_file.read_text()
    gate = "      policy: {manifest: w.yaml, packages: [mlgov.pipeline, mlgov.pii], modes: {image.unpinned: enforce}}\n"
    (decided.folder / "new.yaml").write_text(text.replace("    gates:\n", f"    gates:\n{gate}"))
    *decisions, pipeline = judged_under(decided, "new.yaml")
    assert [one.denied for one in decisions] == [False, True]
    assert (pipeline.kind, pipeline.then, pipeline.newly_denied) == ("pipeline", None, True)
    assert {code for code, _ in pipeline.now} == {"step.unguarded", "image.unpinned"}
    (decided.folder / "other.yaml").write_text("on: push\njobs: {a: {runs-on: x, steps: [{run: make}]}}\n")
    both = judged_under(decided, "new.yaml", pipelines=[str(decided.folder / "other.yaml")])
    assert [code for code, _ in both[-1].now] == ["manifest.nothing_sensitive"]
    with raises_code(ConfigurationError, "policy.no_pipelines"):
        judged_under(decided, decided.policy_file.name, pipelines=[str(decided.folder / "other.yaml")])


def test_a_policy_that_is_not_in_the_ledger_cannot_be_replayed(decided: Governed) -> None:
    trust = TrustRoot.load(decided.trust_file)
    decision = only(collect(decided.ledger.walk(), trust, kind="decision")[0], DecisionStatement)[0]
    assert [code for code, _ in replay(decision, []).now] == ["policy.missing"]
    bundles = only(collect(decided.ledger.walk(), trust, kind="policy")[0], PolicyStatement)
    assert replay(decision, bundles).same
    recorded = decision.statement.document
    other = {**recorded.input, "request": {**recorded.input["request"], "target": "elsewhere"}}
    statement = replace(decision.statement, document=replace(recorded, input=other))
    changed = replay(replace(decision, statement=statement), bundles)
    assert [code for code, _ in changed.now] == ["input.differs"]
