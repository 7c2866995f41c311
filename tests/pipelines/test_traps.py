"""Each trap of each platform as a pair: a pipeline whose gate guards, and the same with one change that does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_mlgov.gates.policy.spec import GATE, PolicySettings
from airflow_mlgov.gates.run import run_gate
from airflow_mlgov.results import GateResult, Outcome
from tests.worlds.pipelines import GUARDED
from tests.worlds.traps import EDGE, IGNORED, TRAPS


def judged(folder: Path, platform: str, text: str, **settings: object) -> GateResult:
    name = GUARDED[platform][0]
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return run_gate(GATE, None, PolicySettings.read({"manifest": str(path), **settings}))


def codes_of(result: GateResult) -> dict[str, str]:
    """Code -> where, of all findings and of the reasons why gates do not guard."""
    found = {}
    for check in result.failed:
        found[check.values["code"]] = check.values["where"]
        found |= {weak["code"]: weak["where"] for weak in check.values.get("weak", ())}
    return found


@pytest.mark.parametrize("platform", GUARDED)
def test_a_gate_that_guards(platform, tmp_path):
    result = judged(tmp_path, platform, GUARDED[platform][1])
    assert result.verdict is Outcome.PASS, result.summary()
    (step,) = [check for check in result.checks if "guards" in check.values]
    assert step.values["guards"] == ["verify" if platform == "kubernetes" else "fairness"]


@pytest.mark.parametrize(
    "trap", [trap for trap in TRAPS if trap.code], ids=lambda trap: f"{trap.platform}-{trap.new[:40]}"
)
def test_a_trap(trap, tmp_path):
    result = judged(tmp_path, trap.platform, trap.text)
    assert result.verdict is not Outcome.PASS
    codes = codes_of(result)
    assert trap.code in codes, result.summary()
    if trap.line:
        assert codes[trap.code].endswith(f":{trap.line}")


@pytest.mark.parametrize(
    "trap", [trap for trap in TRAPS if not trap.code], ids=lambda trap: f"{trap.platform}-{trap.new[:40]}"
)
def test_what_looks_like_a_trap_and_is_none(trap, tmp_path):
    """The gate still guards: the last command's status, a strict need of a gate under a condition."""
    text = trap.text
    if "catchError" in text:
        text = text.replace("--data p.csv'", "' }")
        assert IGNORED in codes_of(judged(tmp_path, trap.platform, text))
        return
    result = judged(tmp_path, trap.platform, text)
    assert result.verdict is Outcome.PASS, result.summary()


def test_the_object_of_an_admission_review_is_read(tmp_path):
    import json

    from airflow_mlgov.pipelines.documents import read_documents

    (document,) = read_documents(GUARDED["argo"][1].encode(), "f")
    review = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {"uid": "1", "object": document.value},
    }
    assert judged(tmp_path, "json", json.dumps(review, indent=1)).verdict is Outcome.PASS
    review["request"]["object"]["spec"]["onExit"] = "promote"
    assert EDGE in codes_of(judged(tmp_path, "json", json.dumps(review, indent=1)))
