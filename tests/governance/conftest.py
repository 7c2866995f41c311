from pathlib import Path

import pytest

from airflow_mlgov.governance.policy import GovernancePolicy, load_policy

POLICY = """\
version: 1
defaults:
  evidence_max_age: 7d
  on_unknown_model: deny
groups:
  risk-officers: [olga, omar]
models:
  credit_risk:
    tier: high
    owners: [owners@bank.example]
    gates:
      data_validation: {suite: suite.json}
      performance:
        label: approve
        roc_auc: {min: 0.75}
        roc_auc_vs_champion: {min_change: -0.01}
      fairness:
        sensitive_features: {sex: [female, male]}
        min_group_size: 30
        demographic_parity_ratio: {min: 0.8, max: 1.25}
    targets:
      production:
        stage: Production
        alias: champion
        requires: [data_validation, performance, fairness]
        approvals: {count: 1, from: [risk-officers], not: [trainer, requester]}
"""


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    (tmp_path / "suite.json").write_text('{"name": "s", "expectations": []}')
    path = tmp_path / "mlgov.yaml"
    path.write_text(POLICY)
    return path


@pytest.fixture
def policy(policy_file: Path) -> GovernancePolicy:
    return load_policy(policy_file)
