"""All mistakes of a policy at once, in words, and what is allowed and can hardly be meant."""

from pathlib import Path

import pytest

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.governance.policy_mistakes import Examined, doubts_of
from airflow_mlgov.strict_files import read_yaml
from tests.codes import raises_code

MANY = """\
version: 1
registry_id: prod
groups: {officers: ["olga", "mаry"]}
defaults: {evidence_max_age: 7 days}
teams: {risk: {modes: {}}}
models:
  credit:
    tier: hihg
    owners: [rsik]
    gates:
      performance: {label: y, score: s, roc_auk: {min: 0.75}}
      fairness: {sensitive_features: [sex]}
    targets:
      production:
        stage: production
        requirs: [performance]
        waivers: {max_days: 1.5}
      canary: {alias: latest, requires: [performence]}
rules: [/etc/own.rego, gone.rego]
"""

SAID = {
    3: "looks like another",
    4: "'7 days' cannot be: a duration is a number and s, m, h, d or w; write 7d",
    5: "no model has the owner 'risk'; did you mean 'rsik'?",
    8: "'hihg' is none of low, medium, high; did you mean 'high'?",
    11: "unknown key 'roc_auk'; did you mean 'roc_auc'?",
    12: "['sex'] is not a mapping",
    14: "requires is missing",
    15: "'production' is none of Staging, Production, Archived; did you mean 'Production'?",
    16: "unknown key 'requirs'; did you mean 'requires'?",
    17: "1.5 is not a whole number",
    18: "MLflow keeps latest",
    19: "rules are a file of Rego in the folder of the policy, or below; such as rules/own.rego",
}


def examined(tmp_path: Path, text: str) -> Examined:
    file = tmp_path / "mlgov.yaml"
    file.write_text(text)
    return Examined(read_yaml(file, "policy"))


def test_all_mistakes_are_told_at_once_and_the_first_one_refuses(tmp_path: Path) -> None:
    found = list(examined(tmp_path, MANY).mistakes())
    said: dict[int, str] = {}
    for mistake in found:
        said[mistake.line] = f"{said.get(mistake.line, '')} {mistake.text}"
    assert said.keys() >= (SAID.keys() - {3})
    assert {line: text for line, text in SAID.items() if line != 3 and text not in said[line]} == {}
    assert "performence" in said[18]
    assert "gone.rego" in said[19]
    assert "m\\u0430ry" in said[3]
    assert not any("^[" in text for text in said.values()), "nobody reads a regular expression"
    with raises_code(ConfigurationError, found[0].error.code, match=f"mlgov.yaml:{found[0].line}"):
        load_policy(tmp_path / "mlgov.yaml")


GOOD = """\
version: 1
models:
  credit:
    gates:
      performance: {{label: y, score: s, {bound}}}
      fairness: {{label: y, prediction: p, sensitive_features: {{sex: null}}, {fair}}}
    targets: {{production: {{stage: Production, requires: [performance]}}}}
"""
FINE, FAIR = "roc_auc: {min: 0.75}", "demographic_parity_ratio: {min: 0.8, max: 1.25}"


@pytest.mark.parametrize(
    ("bound", "fair", "code", "said"),
    [
        (FINE, FAIR, None, ""),
        ("roc_auc: {min: 75}", FAIR, "policy.bound", "between 0 and 1, so no model meets {min: 75}; write roc_auc: {"),
        ("roc_auc: {max: -1}", FAIR, "policy.bound", "no model meets"),
        ("roc_auc: {min: 0.9, max: 0.8}", FAIR, "policy.bound", "no value of at least 0.9 and at most 0.8"),
        ("roc_auc: {min: 0}", FAIR, "policy.bound_idle", "every model meets {min: 0}"),
        ("roc_auc: {max: 1}", FAIR, "policy.bound_idle", "every model"),
        ("log_loss: {min: -1}", FAIR, "policy.bound_idle", "at 0 or above"),
        ("slices: [region], roc_auc_worst_slice: {min: 1.5}", FAIR, "policy.bound", "no model meets"),
        ("slices: [region], roc_auc_worst_slice: {min: 0.7}", FAIR, None, ""),
        (FINE, "demographic_parity_ratio: {min: 1.8}", "policy.bound", "write demographic_parity_ratio: {min: 0.8}"),
        (FINE, "demographic_parity_ratio: {max: 0.8}", "policy.bound", "is 1 of the group"),
        (FINE, "demographic_parity_difference: {max: 1}", "policy.bound_idle", "{max: 0.1}"),
        (FINE, "demographic_parity_difference: {max: 0.1}", None, ""),
    ],
)
def test_bounds_that_no_model_or_every_model_meets(
    tmp_path: Path, bound: str, fair: str, code: str | None, said: str
) -> None:
    policy = examined(tmp_path, GOOD.format(bound=bound, fair=fair))
    assert list(policy.mistakes()) == []
    found = list(doubts_of(load_policy(tmp_path / "mlgov.yaml")))
    assert [one.error.code for one in found] == ([code] if code else [])
    assert all(said in one.text for one in found)


PEOPLE = """\
version: 1
groups: {risk: [olga], officers: {role: RiskOfficer, email: risk@bank.example}}
people: {marta: {email: marta@bank.example, slack: U01ABCDEF}}
accounts: {otto: "7"}
models:
  credit:
    targets:
      production:
        alias: champion
        requires: [performance]
        approvals: {count: 1, from: [risk, officers, olga, marta, otto]}
        waivers: {from: [risk]}
        break_glass: {from: [marta]}
"""


def test_people_are_known_by_a_group_as_a_person_or_by_their_account(tmp_path: Path) -> None:
    (tmp_path / "mlgov.yaml").write_text(PEOPLE)
    target = load_policy(tmp_path / "mlgov.yaml").model("credit").target("production")
    assert (target.approvers, target.roles) == ({"olga", "marta", "otto"}, {"RiskOfficer"})
    assert target.who_approves == ("marta", "olga", "otto", "whoever has the role RiskOfficer")
    reached = {contact.name: (contact.email, contact.slack) for contact in target.contacts}
    assert reached["marta"] == ("marta@bank.example", "U01ABCDEF")
    assert reached["officers"] == ("risk@bank.example", None)
    assert reached["olga"] == (None, None)


@pytest.mark.parametrize(
    ("before", "after", "line", "said"),
    [
        ("from: [risk, ", "from: [risky, ", 11, "approvals: nobody is called 'risky'.*did you mean 'risk'"),
        ("waivers: {from: [risk]}", "waivers: {from: [managers]}", 12, "waivers: nobody is called 'managers'"),
        ("break_glass: {from: [marta]}", "break_glass: {from: [martha]}", 13, "did you mean 'marta'"),
        ("waivers: {from: [risk]}", "waivers: {from: [officers]}", 12, "'officers' is a role in Airflow"),
        ("        waivers: {from: [risk]}", "        waivers: {}", 11, "name people in waivers: from"),
        ("break_glass: {from: [marta]}", "break_glass: {from: [officers]}", 13, "'officers' is a role in Airflow"),
    ],
)  # fmt: skip
def test_a_name_that_is_nobodys_is_refused_with_its_line(
    tmp_path: Path, before: str, after: str, line: int, said: str
) -> None:
    assert before in PEOPLE
    (tmp_path / "mlgov.yaml").write_text(PEOPLE.replace(before, after))
    with raises_code(ConfigurationError, "policy.person_unknown", match=rf"mlgov.yaml:{line}: .*{said}"):
        load_policy(tmp_path / "mlgov.yaml")
