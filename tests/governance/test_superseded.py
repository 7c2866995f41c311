"""A decision is signed over what the rules read; that changes no answer, and hides nothing."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_mlgov.evidence.statements import DecisionStatement, Terms, WaiverStatement
from airflow_mlgov.evidence.statements.common import Person
from airflow_mlgov.evidence.verification import Evidence, collect, only
from airflow_mlgov.governance import decision as deciding
from airflow_mlgov.governance.policy import GovernancePolicy
from airflow_mlgov.governance.superseded import as_spans, superseded, within
from airflow_mlgov.release.explanation import replay_all
from airflow_mlgov.release.standing import overlooked
from airflow_mlgov.results import Outcome
from tests.worlds.governed import Governed
from tests.worlds.story import DATA, MODEL, Story


@pytest.fixture
def story(tmp_path: Path, policy: GovernancePolicy) -> Story:
    return Story(tmp_path, policy)


def everything(story: Story, chance: random.Random) -> None:
    """Results in any order, some of them what-ifs, of another suite or measured badly, and waivers for some values."""
    story.provenance()
    for _ in range(chance.randint(3, 12)):
        match chance.randint(0, 6):
            case 0 | 1:
                story.fairness(chance.choice([0.5, 0.75, 0.9]))
            case 2:
                story.performance(chance.choice([0.7, 0.8]))
            case 3:
                story.data(chance.choice(list(Outcome)), suite_digest=chance.choice([None, "e" * 64]))
            case 4:
                story.data()
            case 5:
                story.fairness(0.5, environment=chance.choice(["prod", "elsewhere"]))
            case 6:
                story.approve()


@pytest.mark.parametrize("seed", range(12))
def test_the_rules_say_the_same_without_what_is_superseded(
    story: Story, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything(story, random.Random(seed))
    short = story.decide()
    monkeypatch.setattr(deciding, "superseded", lambda _: set())
    whole = story.decide()
    for field in ("allowed", "reasons", "needed", "waived", "excused", "broken_by"):
        assert getattr(short, field) == getattr(whole, field)
    assert short.input["tries"] == whole.input["tries"]
    kept = {item["seq"] for item in short.input["evidence"]}
    left = {item["seq"] for item in whole.input["evidence"]} - kept
    assert left == within(short.input.get("superseded"), left)
    assert short.input.get("superseded", {}).get("count", 0) == len(left)


def test_what_a_waiver_says_was_measured_is_kept(story: Story) -> None:
    story.all_green()
    measured = story.fairness(0.71)
    story.fairness(0.72)
    story.fairness(0.73)
    good, _ = collect(story.ledger.walk(), story.trust, [MODEL.digest, DATA.digest])
    values = {item.seq: item.statement.result.checks[0].observed for item in good if item.gate == "fairness"}
    assert sorted(values[seq] for seq in superseded(good) if seq in values) == [0.71, 0.72, 0.9]
    terms = Terms(
        gate="fairness",
        check="demographic_parity_ratio[sex]",
        target="production",
        observed=0.71,
        min=0.7,
        max=None,
        reason="r",
        ticket="T-1",
        risk_owner="ria",
        requesters=(),
        expires="2099-01-01T00:00:00+00:00",
        subject=MODEL.digest,
    )
    waiver = WaiverStatement(MODEL, story.context(), terms=terms, state="signed", signer=Person("w", "w"), reason="r")
    found: list[Evidence[Any]] = [*good, Evidence(99, "0" * 64, waiver, {})]
    kept = {item.sha256 for item in found if item.seq not in superseded(found)}
    assert measured in kept
    assert sorted(values[seq] for seq in superseded(found) if seq in values) == [0.72, 0.9]


def test_spans() -> None:
    numbers = {1, 2, 3, 7, 9, 10}
    assert as_spans(numbers) == [[1, 3], [7, 7], [9, 10]]
    assert within({"entries": as_spans(numbers)}, range(20)) == numbers
    for broken in (None, [], {}, {"entries": 7}, {"entries": [[1]]}, {"entries": [["1", 9]]}, {"entries": [[True, 9]]}):
        assert within(broken, range(20)) == set()


def test_a_thousand_results_are_not_signed_again_and_the_decision_is_made_again_the_same(governed: Governed) -> None:
    version = governed.register()
    for _ in range(40):
        governed.judge(version)
    done = governed.promote(version)
    (decision,) = only(collect(governed.ledger.walk(), governed.trust, kind="decision")[0], DecisionStatement)
    recorded = decision.statement.document.input
    assert [item["kind"] for item in recorded["evidence"]] == ["provenance", "gate"]
    assert recorded["superseded"]["count"] == 39
    assert recorded["tries"][0]["runs"] == 40
    assert len(decision.statement.inputs) == 2
    assert done.decision == decision.reference
    assert [item.same for item in replay_all(governed.ledger, governed.trust)] == [True]
    assert governed.explain(version).allowed


def test_a_decision_that_calls_a_failure_superseded_has_overlooked_it(governed: Governed) -> None:
    """Whoever promotes may not hide the newest FAIL by listing it among what a newer result stands for."""
    version = governed.register()
    governed.judge(version)
    governed.judge(version)
    worst = governed.judge(version, auc=0.5)
    desk = governed.desk("promotion")
    dossier = desk.dossier(desk.walk(), governed.registry.subject(version))
    fine = [item for item in dossier.good if item.seq != worst.seq]
    lie = deciding.decide(
        deciding.Request(governed.registry.subject(version), "production", governed.environment),
        desk.policy,
        fine,
        history=fine,
    )
    assert lie.allowed
    document = {**lie.input, "superseded": {"count": 9, "entries": [[1, 99]]}}
    statement = DecisionStatement(
        governed.registry.subject(version),
        governed.context(),
        target="production",
        allowed=True,
        reasons=(),
        inputs={},
        document=replace(lie.document, input=document),
        verifier="mlgov",
    )
    entry = governed.attest("promotion", statement)
    signed = next(
        item
        for item in only(collect(governed.ledger.walk(), governed.trust, kind="decision")[0], DecisionStatement)
        if item.seq == entry.seq
    )
    found = overlooked(signed, dossier)
    assert [code for code, _ in found] == ["evidence.overlooked"]
    assert f"ledger:{worst.seq}" in found[0][1]


def test_rules_of_ones_own_may_read_everything(governed: Governed) -> None:
    (governed.folder / "own.rego").write_text(
        "package mlgov.custom\nimport rego.v1\n"
        'deny contains {"code": "tries", "message": "too many"} if {\n'
        '\tcount([item | some item in input.evidence; item.kind == "gate"]) > 2\n}\n'
    )
    text = governed.policy_file.read_text().replace("version: 1\n", "version: 1\nrules: [own.rego]\n", 1)
    governed.policy_file.write_text(text)
    version = governed.register()
    for _ in range(3):
        governed.judge(version)
    from airflow_mlgov.release.case import build_case

    case = build_case(governed.desk("promotion"), version, "production")
    assert [code for code, _ in case.decision.reasons] == ["custom.tries"]
    assert "superseded" not in case.decision.input
