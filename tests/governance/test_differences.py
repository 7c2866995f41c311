"""What one version asks beyond the other, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_mlgov.governance.differences import compare_packs, compare_policies
from airflow_mlgov.governance.packs import Pack, open_pack
from airflow_mlgov.governance.policy import load_policy
from tests.worlds.packs import RULE

POLICY = """\
version: 1
defaults: {evidence_max_age: 7d}
people: {a: {}, b: {}, c: {}}
models:
  credit:
    owners: [a@bank.example]
    gates:
      performance: {label: y, score: s, roc_auc: {min: 0.75}}
      policy: {packages: [mlgov.pipeline], modes: {image.unpinned: warn}, mode: enforce}
    targets:
      production: {alias: champion, requires: [performance, policy], approvals: {count: 2, from: [a, b]}}
"""


def policies(tmp_path: Path, before: str, after: str) -> list[str]:
    assert before in POLICY
    tmp_path.chmod(0o755)
    (tmp_path / "old.yaml").write_text(POLICY)
    (tmp_path / "new.yaml").write_text(POLICY.replace(before, after))
    return [
        str(one) for one in compare_policies(load_policy(tmp_path / "old.yaml"), load_policy(tmp_path / "new.yaml"))
    ]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("min: 0.75", "min: 0.8", "models credit gates performance roc_auc min was 0.75 and is 0.8 (stricter)"),
        ("min: 0.75", "min: 0.7", "models credit gates performance roc_auc min was 0.75 and is 0.7 (milder)"),
        (", roc_auc: {min: 0.75}", "", "models credit gates performance roc_auc went: min 0.75 (milder)"),
        ("roc_auc: {min: 0.75}", "roc_auc: {min: 0.75, max: 0.99}",
         "models credit gates performance roc_auc max came: 0.99 (stricter)"),
        ("roc_auc: {min: 0.75}", "roc_auc: {min: 0.75, severity: warning}",
         "models credit gates performance roc_auc severity came: warning (milder)"),
        ("[performance, policy]", "[policy]", "models credit targets production requires: performance went (milder)"),
        ("count: 2", "count: 1", "models credit targets production approvals count was 2 and is 1 (milder)"),
        ("from: [a, b]", "from: [a, b, c]", "models credit targets production approvals from: c came (milder)"),
        ("7d", "1d", "defaults evidence_max_age was 7d and is 1d (stricter)"),
        ("7d", "30d", "defaults evidence_max_age was 7d and is 30d (milder)"),
        ("[mlgov.pipeline]", "[mlgov.pipeline, mlgov.pii]",
         "models credit gates policy packages: mlgov.pii came (stricter)"),
        ("image.unpinned: warn", "image.unpinned: enforce",
         "models credit gates policy modes image.unpinned was warn and is enforce (stricter)"),
        ("mode: enforce", "mode: observe", "models credit gates policy mode was enforce and is observe (milder)"),
        ("alias: champion", "alias: live", "models credit targets production alias was champion and is live"),
    ],
)  # fmt: skip
def test_a_policy_in_words(tmp_path: Path, before: str, after: str, said: str) -> None:
    assert policies(tmp_path, before, after) == [said]


def test_the_same_policy_says_nothing(tmp_path: Path) -> None:
    assert policies(tmp_path, "version: 1", "# a comment\nversion: 1") == []


def pack(tmp_path: Path, name: str, text: str) -> Pack:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "credit.rego").write_text(text)
    return open_pack(folder)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("severity: warning", "severity: critical", ["the rule owner.missing was warning and is critical (stricter)"]),
        ("severity: warning", "severity: info", ["the rule owner.missing was warning and is info (milder)"]),
        ("severity: warning", "severity: warning\n#   effective_on: 2027-01-01",
         ["the rule owner.missing was in force from ever on and is from 2027-01-01 on (milder)"]),
        ("owner.missing", "owner.absent",
         ["the rule owner.absent came: The pipeline has no owner [warning] (stricter)",
          "the rule owner.missing went: The pipeline has no owner (milder)",
          "the text of credit.rego has changed too"]),
        ("name an owner", "name one", ["the mend of the rule owner.missing is now: name one"]),
        ("not pipeline.owner", "pipeline.owner == null", ["what rules say has changed in credit.rego: read it"]),
        ("# title", "#\n# title", []),
    ],
)  # fmt: skip
def test_rules_in_words(tmp_path: Path, before: str, after: str, said: list[str]) -> None:
    tmp_path.chmod(0o755)
    assert before in RULE
    found = compare_packs(pack(tmp_path, "old", RULE), pack(tmp_path, "new", RULE.replace(before, after)))
    assert [str(one) for one in found] == said
