"""Modes and dates of the rules of the decision: what warns, what denies, and what no policy makes milder."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.statements import DecisionStatement
from airflow_mlgov.evidence.verification import statement_schema
from airflow_mlgov.gates.force import MODES, Force
from airflow_mlgov.governance.decision import SHIPPED, apply_rules, decide, policy_input
from airflow_mlgov.governance.differences import compare_policies
from airflow_mlgov.governance.policy import GovernancePolicy, load_policy
from airflow_mlgov.governance.reasons import shipped_rules
from airflow_mlgov.governance.weighing import shipped_forces, weigh
from airflow_mlgov.results import Severity
from tests.codes import raises_code
from tests.worlds import samples
from tests.worlds.story import REQUEST, Story

HEAD = "package mlgov.custom\n\nimport rego.v1\n\n"
RULE = """\
# METADATA
# title: Nobody is told
# custom:
#   code: owners.told
#   mend: "tell them"
deny contains {"code": "owners.told", "message": "nobody is told"} if input.request.target == "production"
"""
DATED = RULE.replace("  mend", "  effective_on: 2027-06-01\n#   mend")
BARE = 'deny contains {"code": "other", "message": "m"} if input.request.target == "elsewhere"\n'
BEFORE, AFTER = datetime(2027, 5, 31, tzinfo=UTC), datetime(2027, 6, 2, tzinfo=UTC)


@pytest.fixture
def story(tmp_path: Path, policy: GovernancePolicy) -> Story:
    return Story(tmp_path, policy)


def governed(story: Story, policy_file: Path, rules: str, modes: str = "", teams: str = "") -> None:
    """The story goes on under rules of the organisation's own."""
    (policy_file.parent / "own.rego").write_text(HEAD + rules)
    text = policy_file.read_text().replace("version: 1\n", f"version: 1\nrules: [own.rego]\n{teams}", 1)
    policy_file.write_text(text.replace("    tier: high\n", f"    tier: high\n{modes}"))
    story.policy = load_policy(policy_file)


def test_what_warned_is_signed_with_the_decision_and_read_again() -> None:
    signed = replace(samples.STATEMENTS["decision"](), warned=(("custom.owners.told", "nobody is told"),))
    document = signed.as_json()
    assert document["predicate"]["mlgov"]["warned"] == [{"code": "custom.owners.told", "message": "nobody is told"}]
    assert DecisionStatement.read(document["predicate"]).warned == signed.warned
    schema = statement_schema()
    assert Draft202012Validator(schema).is_valid(document)
    document["predicate"]["mlgov"]["warned"] = ["nobody is told"]
    assert not Draft202012Validator(schema).is_valid(document)


def answered(story: Story, now: datetime) -> list[set[str]]:
    """Codes of the organisation's own that deny, and that warn."""
    answer = decide(REQUEST, story.policy, [], now=now)
    return [{code for code, _ in found if code.startswith("custom.")} for found in (answer.reasons, answer.warned)]


def test_a_rule_of_ones_own_warns_before_its_day(story: Story, policy_file: Path) -> None:
    governed(story, policy_file, DATED)
    assert answered(story, BEFORE) == [set(), {"custom.owners.told"}]
    assert answered(story, AFTER) == [{"custom.owners.told"}, set()]
    [(_, message)] = decide(REQUEST, story.policy, [], now=BEFORE).warned
    assert message == "nobody is told (in force from 2027-06-01 on)"


@pytest.mark.parametrize("said", ["soon", "2027-13-01", "[2099-01-01]", "true", "''"])
def test_a_day_that_cannot_be_read_means_in_force(story: Story, policy_file: Path, said: str) -> None:
    governed(story, policy_file, DATED.replace("2027-06-01", said))
    assert answered(story, BEFORE) == [{"custom.owners.told"}, set()]


@pytest.mark.parametrize(
    "rules",
    [
        DATED + BARE,
        DATED.replace("#   code: owners.told\n", ""),
        DATED.replace("# custom:", "# customs:"),
        DATED.replace("deny", "\ndeny", 1),
        DATED + RULE.replace("nobody is told", "somebody is told"),
        DATED.replace("# title: Nobody", "# title: [Nobody"),
    ],
)
def test_a_day_softens_nothing_where_another_rule_says_none(story: Story, policy_file: Path, rules: str) -> None:
    governed(story, policy_file, rules)
    assert answered(story, BEFORE) == [{"custom.owners.told"}, set()]


@pytest.mark.parametrize(
    ("rules", "modes", "denies"),
    [
        (RULE, "", True),
        (RULE.replace("  mend", "  severity: warning\n#   mend"), "", False),
        (RULE.replace("  mend", "  severity: heavy\n#   mend"), "", True),
        (RULE.replace("  mend", "  severity: warning\n#   mend") + BARE, "", True),
        (RULE, "    modes: {mlgov.custom: warn}\n", False),
        (RULE, "    modes: {mlgov.custom: observe, mlgov.custom/owners.told: enforce}\n", True),
        (RULE + BARE, "    modes: {mlgov.custom/owners.told: observe}\n", False),
        (DATED, "    modes: {mlgov.custom/owners.told: enforce}\n", False),
        (RULE.replace("  mend", "  mildest: enforce\n#   mend"), "    modes: {mlgov.custom: observe}\n", True),
        (RULE.replace("  mend", "  mildest: enforce\n#   mend") + BARE, "    modes: {mlgov.custom: observe}\n", True),
        (RULE.replace("  mend", "  mildest: enforced\n#   mend"), "    modes: {mlgov.custom: observe}\n", True),
    ],
)
def test_modes_of_rules_of_ones_own(story: Story, policy_file: Path, rules: str, modes: str, denies: bool) -> None:
    governed(story, policy_file, rules, modes)
    assert answered(story, BEFORE)[not denies] == {"custom.owners.told"}


def test_a_teams_mode_holds_and_the_models_goes_before(story: Story, policy_file: Path) -> None:
    teams = "teams: {owners@bank.example: {modes: {mlgov.custom/owners.told: warn}}}\n"
    governed(story, policy_file, RULE, teams=teams)
    assert story.policy.model("credit_risk").modes == {"mlgov.custom/owners.told": "warn"}
    assert answered(story, BEFORE) == [set(), {"custom.owners.told"}]
    assert "modes" not in story.policy.model("credit_risk").settings("policy")
    text = policy_file.read_text().replace("    tier: high\n", "    tier: high\n    modes: {mlgov.custom: observe}\n")
    policy_file.write_text(text)
    assert load_policy(policy_file).model("credit_risk").modes["mlgov.custom"] == "observe"


def test_a_shipped_rule_that_allows_it_warns(story: Story, policy_file: Path) -> None:
    text = policy_file.read_text().replace("        alias", "        rollback: required\n        alias")
    policy_file.write_text(text)
    governed(story, policy_file, RULE, "    modes: {mlgov.promotion/rollback.missing: warn}\n")
    asked = replace(REQUEST, champion="2", rollback_problem="its bytes are gone")
    answer = decide(asked, story.policy, [])
    assert "rollback.missing" in {code for code, _ in answer.warned}
    assert "rollback.missing" not in {code for code, _ in answer.reasons}


NEVER = sorted({code for code, force in shipped_forces(shipped_rules()).items() if force.mildest is Severity.CRITICAL})


def test_what_may_warn_are_four_rules() -> None:
    assert set(shipped_forces(shipped_rules())) - set(NEVER) == {
        "rollback.missing",
        "comparison.stale",
        "tries.exceeded",
        "monitoring.missing",
    }


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        *((f"mlgov.promotion/{code}", "milder than this rule ever is (enforce)") for code in NEVER),
        ("mlgov.promotion", "no rule of promotion"),
        ("mlgov.promotion/gate.not_pased", "gate.not_passed"),
        ("mlgov.promotion/engine.error", "no rule of promotion"),
        ("mlgov.promotion/custom.owners.told", "no rule of promotion"),
        ("mlgov.custom/owners.tld", "owners.told"),
        ("mlgov.custom/", "no rule of your own"),
        ("gate.not_passed", "gates: policy: modes"),
    ],
)
@pytest.mark.parametrize("part", ["model", "team"])
def test_a_policy_that_would_let_by_what_none_may(
    story: Story, policy_file: Path, rule: str, words: str, part: str
) -> None:
    said = f'{{"{rule}": warn}}'
    if part == "team" and rule == "gate.not_passed":
        return  # a rule of a pack may be called so
    modes = f"    modes: {said}\n" if part == "model" else ""
    teams = f"teams: {{owners@bank.example: {{modes: {said}}}}}\n" if part == "team" else ""
    with raises_code(ConfigurationError, "policy.mode", match=re.escape(words)):
        governed(story, policy_file, RULE, modes, teams)


@pytest.mark.parametrize("rule", ["tries.exceeded", "comparison.stale", "rollback.missing"])
def test_what_may_warn_is_never_merely_observed(story: Story, policy_file: Path, rule: str) -> None:
    with raises_code(ConfigurationError, "policy.mode"):
        governed(story, policy_file, RULE, f"    modes: {{mlgov.promotion/{rule}: observe}}\n")


def test_no_mode_that_comes_past_the_policy_softens_a_shipped_rule(story: Story, policy_file: Path) -> None:
    """As in a document that somebody else has made: what the rules themselves say is asked again at every decision."""
    (policy_file.parent / "own.rego").write_text(HEAD + RULE)
    everything = {f"mlgov.promotion/{code}": "observe" for code in NEVER} | {"mlgov.promotion": "observe"}
    asked = decide(REQUEST, story.policy, []).input
    document = {**asked, "policy": {**asked["policy"], "modes": everything}}
    spoken = shipped_rules().replace("#   severity: critical\n", "#   mildest: observe\n")
    own = {"own.rego": spoken.replace("package mlgov.promotion", "package mlgov.other"), "b.rego": HEAD + RULE}
    found = apply_rules({SHIPPED: shipped_rules(), **own}, document)
    plain = apply_rules({SHIPPED: shipped_rules()}, asked)
    assert {code for code, _ in found.reasons} == {code for code, _ in plain.reasons} | {"custom.owners.told"}
    assert found.warned == ()


@pytest.mark.parametrize(
    "change",
    [
        {"modes": []},
        {"modes": "observe"},
        {"modes": {"mlgov.custom": "never"}},
        {"modes": {"mlgov.custom": ["observe"]}},
        {"modes": None},
    ],
)
def test_modes_that_are_none_deny(story: Story, policy_file: Path, change: dict[str, Any]) -> None:
    governed(story, policy_file, RULE)
    answer = decide(REQUEST, story.policy, [])
    bent = {**answer.input, "policy": {**answer.input["policy"], **change}}
    assert [code for code, _ in apply_rules(answer.bundle, bent).reasons] == ["engine.error"]
    late = {**answer.input, "now_ns": 10**40}
    assert [code for code, _ in apply_rules(answer.bundle, late).reasons] == ["engine.error"]


def test_a_shipped_rule_without_metadata_denies() -> None:
    modes = {"mlgov.promotion/x.y": "observe", "mlgov.promotion": "observe"}
    assert weigh([("x.y", "m")], {}, modes, BEFORE).denying == {("x.y", "m")}
    assert shipped_forces("package p\n# METADATA\n# a: [\ndenied contains 1 if true\n") == {}


def test_a_decision_of_before_there_were_modes_is_made_again_as_it_was(story: Story, policy_file: Path) -> None:
    governed(story, policy_file, DATED)
    answer = decide(REQUEST, story.policy, [], now=BEFORE)
    old = {**answer.input, "policy": {key: said for key, said in answer.input["policy"].items() if key != "modes"}}
    assert "custom.owners.told" in {code for code, _ in apply_rules(answer.bundle, old).reasons}
    assert apply_rules(answer.bundle, answer.input).warned == answer.warned


def test_the_difference_between_two_policies_says_which_modes_are_milder(story: Story, policy_file: Path) -> None:
    governed(story, policy_file, RULE)
    before = story.policy
    text = policy_file.read_text()
    policy_file.write_text(text.replace("    tier: high\n", "    tier: high\n    modes: {mlgov.custom: warn}\n"))
    after = load_policy(policy_file)
    assert [one.direction for one in compare_policies(before, after)] == ["milder"]
    assert [one.direction for one in compare_policies(after, before)] == ["stricter"]
    assert policy_input(after, "credit_risk", "production")["modes"] == {"mlgov.custom": "warn"}


def test_two_rules_of_one_code_have_the_stricter_of_each() -> None:
    soft = Force(severity=MODES["warn"], effective_on=AFTER)
    hard = Force(mildest=MODES["warn"], effective_on=BEFORE)
    assert soft.with_another(hard) == Force(effective_on=BEFORE, mildest=MODES["warn"])
    assert soft.with_another(Force()).effective_on is None
