"""What the reasons are called: said before each rule, and held against the official engine."""

import json
import re
import shutil
import subprocess
from importlib.resources import files

import pytest

from airflow_mlgov.governance.decision import SHIPPED, apply_rules
from airflow_mlgov.governance.reasons import reason_of, reasons, shipped_rules
from airflow_mlgov.rego.metadata import metadata_of

RULE = re.compile(r'^denied contains \{"code": "([a-z_.]+)"', re.MULTILINE)


def test_every_rule_says_what_its_reason_is_called_and_how_it_is_mended() -> None:
    said = list(metadata_of(shipped_rules(), "promotion.rego").values())
    assert [item["custom"]["code"] for item in said] == RULE.findall(shipped_rules())
    assert len(said) > 15
    lines = shipped_rules().splitlines()
    assert all(lines[line - 1].startswith("denied") for line in metadata_of(shipped_rules(), "promotion.rego"))
    titles = {(item["custom"]["code"], item["title"], item["custom"]["mend"]) for item in said}
    assert len(titles) == len({code for code, _, _ in titles})


def test_a_code_has_a_title_and_a_mend() -> None:
    assert reason_of("suite.differs").mend == "run the gate with the file that the policy names, as it is now"
    assert reason_of("custom.weekend").title == "A rule of the organisation's own refuses"
    assert all(reason.title and reason.mend for reason in reasons().values())


def test_what_a_break_glass_excuses_are_reasons_that_there_are() -> None:
    names = re.search(r"excusable := \{(.*?)\}", shipped_rules(), re.DOTALL)
    assert names is not None
    assert set(re.findall(r'"([a-z_.]+)"', names[1])) < set(RULE.findall(shipped_rules()))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("denied contains {", "denies contains {"),
        lambda text: "\n".join(line for line in text.splitlines() if not line.startswith("denied contains")),
        lambda text: re.sub(r"(?m)^denied contains", "# denied contains", text),
        lambda _: "package mlgov.promotion\nimport rego.v1\ndeny := []\nneeded := []\nwaived := []\nexcused := []\n",
        lambda _: 'package mlgov.promotion\nimport rego.v1\ndeny := []\ntext := "denied contains x if true"\n',
    ],
)
def test_a_module_without_a_rule_denies(spoil) -> None:
    answer = apply_rules({SHIPPED: spoil(shipped_rules())}, {})
    assert [code for code, _ in answer.reasons] == ["engine.error"]


@pytest.mark.skipif(not shutil.which("opa"), reason="OPA is not on the PATH")
def test_opa_reads_the_same_metadata() -> None:
    rules = files("airflow_mlgov.governance") / "rego" / "promotion.rego"
    done = subprocess.run(
        ["opa", "inspect", "-a", "-f", "json", str(rules)], capture_output=True, text=True, check=True, timeout=60
    )
    theirs = [item["annotations"] for item in json.loads(done.stdout)["annotations"]]
    ours = [{key: item[key] for key in ("title", "custom")} for item in metadata_of(shipped_rules(), "").values()]
    assert [{key: item[key] for key in ("title", "custom")} for item in theirs] == ours
    subprocess.run(["opa", "check", "--strict", str(rules)], capture_output=True, check=True, timeout=60)
