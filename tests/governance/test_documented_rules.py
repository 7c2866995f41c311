"""The rule of one's own that ``docs/rules.md`` shows."""

from dataclasses import replace
from pathlib import Path

from airflow_mlgov.governance.decision import decide, input_schema
from airflow_mlgov.governance.policy import GovernancePolicy, load_policy
from airflow_mlgov.reference.inputs import fields
from tests.worlds.pages import ROOT, blocks
from tests.worlds.story import REQUEST


def test_it_denies_what_nobody_has_asked_for(policy: GovernancePolicy, policy_file: Path) -> None:
    [rule] = [block.text for block in blocks(ROOT / "docs" / "rules.md") if block.language == "rego"]
    (policy_file.parent / "own.rego").write_text(rule)
    policy_file.write_text(policy_file.read_text().replace("version: 1\n", "version: 1\nrules: [own.rego]\n", 1))
    governed = load_policy(policy_file)
    for requesters, expected in ((), {"custom.release.unasked"}), (("alice",), set()):
        reasons = decide(replace(REQUEST, requesters=requesters), governed, []).reasons
        assert {code for code, _ in reasons if code.startswith(("custom.", "engine."))} == expected


def test_every_field_is_described() -> None:
    assert [path for path, _, said in fields(input_schema()) if not said] == []
