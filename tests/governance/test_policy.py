import json
from datetime import timedelta
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from airflow_mlgov import catalogue
from airflow_mlgov.durations import parse_duration
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.digests import hash_file
from airflow_mlgov.gates.protocol import CsvSettings, OpenMetrics
from airflow_mlgov.governance import schema
from airflow_mlgov.governance.policy import GovernancePolicy, load_policy
from airflow_mlgov.governance.schema import policy_schema, schema_of
from tests.codes import raises_code

CONTRACT = """\
version: 1
defaults:
  evidence_max_age: 7d
  on_unknown_model: deny
groups: {risk-officers: [olga, omar]}
models:
  credit_risk:
    tier: high
    owners: [data-science@bank.example, ml-engineering@bank.example]
    gates:
      data_validation: {suite: suites/credit.json}
      performance:
        roc_auc: {min: 0.75}
        roc_auc_vs_champion: {min_change: -0.01}
      fairness:
        sensitive_features: {sex: [female, male], age_group: [adult, youth]}
        min_group_size: 30
        demographic_parity_ratio: {min: 0.8, max: 1.25}
        equalized_odds_difference: {max: 0.1}
      policy: {packages: [mlgov.pii, mlgov.monitoring]}
    targets:
      production:
        stage: Production
        alias: champion
        requires: [data_validation, performance, fairness, policy]
        approvals: {count: 2, from: [risk-officers], not: [trainer, requester]}
        waivers: {max_days: 30, signers: 2, audit_within: 14d}
        rollback: required
"""


def test_the_documented_example_loads(tmp_path: Path) -> None:
    (tmp_path / "mlgov.yaml").write_text(CONTRACT)
    model = load_policy(tmp_path / "mlgov.yaml").model("credit_risk")
    target = model.target("production")
    assert (target.approvals, target.approvers, target.rollback_required) == (2, {"olga", "omar"}, True)
    assert model.bounds("fairness") == {
        "demographic_parity_ratio": {"min": 0.8, "max": 1.25},
        "equalized_odds_difference": {"max": 0.1},
    }
    assert model.settings("fairness")["min_group_size"] == 30


def test_groups_are_resolved_and_places_named(policy: GovernancePolicy) -> None:
    model = policy.model("credit_risk")
    assert model.target("production").approvers == {"olga", "omar"}
    assert model.max_age == timedelta(days=7)
    assert model.where("gates", "performance", "roc_auc").endswith("mlgov.yaml:15")
    assert policy.digest == hash_file(policy.path)
    assert policy.suite_digest("credit_risk") == hash_file(policy.path.parent / "suite.json")


def test_unknown_names_are_denied_with_the_known_ones(policy: GovernancePolicy) -> None:
    with raises_code(ConfigurationError, "policy.model_unknown", match=r"'churn'.* credit_risk"):
        policy.model("churn")
    with raises_code(ConfigurationError, "policy.target_unknown", match=r"'canary' .* production"):
        policy.model("credit_risk").target("canary")


@pytest.mark.parametrize(
    ("old", "new", "line", "code", "named"),
    [
        ("roc_auc: {min: 0.75}", "roc_acu: {min: 0.75}", 15, "policy.unknown_key", "did you mean 'roc_auc'?"),
        (
            "      fairness:\n",
            "      evaluation: {frobs: 1}\n      fairness:\n",
            17,
            "policy.unknown_key",
            "<column>_rate, <column>_rate[<category>]",
        ),
        ("roc_auc: {min: 0.75}", "roc_auc: {min: high}", 15, "policy.invalid", "'high'"),
        ("roc_auc: {min: 0.75}", "roc_auc: {}", 15, "policy.invalid", "roc_auc"),
        ("tier: high", "tier: huge", 9, "policy.invalid", "huge"),
        ("tier: high", "teir: high", 9, "policy.unknown_key", "did you mean 'tier'?"),
        ("alias: champion", "alias: champion\n        alias: other", 25, "file.key_twice", "'alias'"),
        ("count: 1", "count: 0", 26, "policy.invalid", "count"),
        ("evidence_max_age: 7d", "evidence_max_age: soon", 3, "policy.invalid", "soon"),
        ("version: 1", "version: 2", 1, "policy.invalid", "version"),
        ("version: 1", "version: 1\nrules: [gone.rego]", 2, "policy.rules_unreadable", "gone.rego"),
        ("version: 1", "version: 1\nrules: [/etc/x.rego]", 2, "policy.invalid", "/etc/x.rego"),
        ("roc_auc: {min: 0.75}", "max_tries: {}\n        roc_auc: {min: 0.75}", 15, "policy.invalid", "max_tries"),
        (
            "roc_auc: {min: 0.75}",
            "max_tries: {same: 1}\n        roc_auc: {min: 0.75}",
            15,
            "policy.unknown_key",
            "'same'",
        ),
        ("owners: [owners@bank.example]", "owners: [", 12, "file.not_yaml", ""),
    ],
)
def test_mistakes_are_named_with_their_line(
    policy_file: Path, old: str, new: str, line: int, code: str, named: str
) -> None:
    policy_file.write_text(policy_file.read_text().replace(old, new))
    with raises_code(ConfigurationError, code) as caught:
        load_policy(policy_file)
    assert named in str(caught.value)
    assert f"mlgov.yaml:{line}:" in str(caught.value)


def test_unreadable_policies(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("")
    for name, code in (("gone.yaml", "file.missing"), ("empty.yaml", "policy.empty")):
        with raises_code(ConfigurationError, code, match=name):
            load_policy(tmp_path / name)


@pytest.mark.parametrize("text", ["", "7", "d7", "0d", "7 d", "-1d"])
def test_durations(text: str) -> None:
    assert parse_duration("90m") == timedelta(minutes=90)
    with raises_code(ConfigurationError, "duration.form"):
        parse_duration(text)


def test_the_schema_that_editors_have_is_the_one_that_the_gates_make() -> None:
    own = [gate for gate in catalogue.load_all() if type(gate).__module__.startswith("airflow_mlgov.")]
    committed = (Path(schema.__file__).parent / "policy.schema.json").read_text()
    assert json.loads(committed) == schema_of(own), "run python -m airflow_mlgov.governance.schema"


def test_a_policy_says_what_a_gate_is_and_nothing_of_the_machine_that_runs_it() -> None:
    sections = policy_schema()["$defs"]["model"]["properties"]["gates"]["properties"]
    assert set(sections) >= set(catalogue.names())
    assert "score_model" not in sections["performance"]["properties"]
    assert set(sections["data_validation"]["properties"]) == {"suite", "min_rows", "checks", *CsvSettings.model_fields}
    assert sections["fairness"]["properties"]["min_group_size"] == {
        "default": 30, "description": "rows below which nothing about a group is estimated", "minimum": 1,
        "type": "integer",
    }  # fmt: skip


def test_the_schema_knows_exactly_the_metrics_of_the_gates() -> None:
    Draft202012Validator.check_schema(policy_schema())
    model = policy_schema()["$defs"]["model"]["properties"]["gates"]["properties"]
    import re

    for gate, metrics in ((gate.name, list(gate.metrics)) for gate in catalogue.load_all() if gate.metrics):
        if isinstance(catalogue.load(gate).metrics, OpenMetrics):
            continue
        patterns = list(model[gate]["patternProperties"])
        for metric in metrics:
            assert any(re.search(pattern, metric) for pattern in patterns), metric
        assert not any(re.search(pattern, "made_up_metric") for pattern in patterns)


def test_caps_on_tries_are_neither_bounds_nor_settings(policy_file: Path) -> None:
    text = policy_file.read_text().replace("roc_auc: {min", "max_tries: {same_data: 5}\n        roc_auc: {min", 1)
    policy_file.write_text(text)
    model = load_policy(policy_file).model("credit_risk")
    assert model.max_tries("performance") == {"same_data": 5, "same_model": None}
    assert model.max_tries("fairness") == {"same_data": None, "same_model": None}
    assert "max_tries" not in model.bounds("performance")
    assert "max_tries" not in model.settings("performance")


def test_own_rules_are_read_with_the_policy(policy_file: Path) -> None:
    (policy_file.parent / "rules").mkdir()
    (policy_file.parent / "rules" / "own.rego").write_text("package mlgov.custom")
    policy_file.write_text(policy_file.read_text().replace("version: 1", "version: 1\nrules: [rules/own.rego]", 1))
    loaded = load_policy(policy_file)
    assert loaded.rules == {"rules/own.rego": "package mlgov.custom"}
    assert loaded.text == policy_file.read_text()
