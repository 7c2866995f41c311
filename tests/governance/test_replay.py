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
from tests.codes import raises_code
from tests.worlds.governed import Governed


def all_of(governed: Governed, **given: object) -> list:
    return replay_all(governed.ledger, TrustRoot.load(governed.trust_file), **given)  # type: ignore[arg-type]


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


def test_under_another_policy_the_champions_of_today(decided: Governed, tmp_path: Path) -> None:
    stricter = decided.policy_file.read_text().replace("0.75", "0.85")
    (decided.folder / "new.yaml").write_text(stricter)
    (found,) = all_of(decided, policy=load_policy(decided.folder / "new.yaml"))
    assert found.then == ()
    assert [code for code, _ in found.now] == ["bound.not_met"]
    assert "does not meet the policy's >= 0.85" in found.now[0][1]
    (decided.folder / "other.yaml").write_text(stricter.replace(decided.model, "another"))
    with raises_code(ConfigurationError, "policy.model_unknown"):
        all_of(decided, policy=load_policy(decided.folder / "other.yaml"))


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
