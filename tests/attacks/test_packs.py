"""Packs of rules: what an author, a caller or a waiver may not make of them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_mlgov.evidence.statements import GateStatement, Person, Terms, WaiverStatement
from airflow_mlgov.gates.policy.spec import GATE
from airflow_mlgov.gates.run import run_gate
from airflow_mlgov.gates.strictness import held_to
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.governance.rulebook import Packs
from airflow_mlgov.results import GateResult, Outcome
from tests.worlds.pipelines import GUARDED
from tests.worlds.story import DATA, MODEL, Story

POLICY = """\
version: 1
people: {olga: {}, omar: {}}
models:
  credit_risk:
    gates:
      policy:
        manifest: release.yml
        packages: [mlgov.pipeline]
        modes: {action.unpinned: observe, image.unpinned: enforce}
    targets:
      production:
        alias: champion
        requires: [policy]
        waivers: {from: [olga, omar], signers: 1}
"""
GOOD = GUARDED["github"][1]


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """A model whose promotion requires the policy gate with a pack of rules."""
    (tmp_path / "mlgov.yaml").write_text(POLICY)
    (tmp_path / "release.yml").write_text(GOOD)
    found = Story(tmp_path, load_policy(tmp_path / "mlgov.yaml"))
    found.provenance((DATA,))
    return found


def judged(story: Story, *, governed: bool = True, **given: Any) -> GateResult:
    """A run whose evidence is signed."""
    policy = story.policy.model("credit_risk") if governed else None
    settings, bounds = held_to(GATE, policy, given, {}, "the test")
    result = run_gate(GATE, None, settings, bounds, subject=MODEL, rulebook=Packs())
    story.sign(GateStatement.of(result, story.context()).as_json())
    return result


def with_image(tmp_path: Path, *images: str) -> None:
    jobs = "".join(
        f"  extra{at}: {{runs-on: x, container: '{image}', steps: [{{run: make}}]}}\n"
        for at, image in enumerate(images)
    )
    (tmp_path / "release.yml").write_text(GOOD + jobs)


def test_a_waiver_for_one_finding_covers_no_other(story: Story, tmp_path: Path) -> None:
    with_image(tmp_path, "python:3.11")
    assert judged(story).verdict is Outcome.FAIL
    assert story.codes() == {"gate.not_passed"}
    check = "mlgov.pipeline/image.unpinned python:3.11"
    end = (datetime.now(UTC) + timedelta(days=5)).replace(microsecond=0).isoformat()
    terms = Terms(
        "policy", check, "production", 1, None, 1, "until the mirror is up", "RISK-7", "head", (), end, MODEL.digest
    )
    story.sign(WaiverStatement(MODEL, story.context(), terms, "signed", Person("olga", "olga"), "yes").as_json())
    assert story.codes() == set()
    with_image(tmp_path, "python:3.12")
    judged(story)
    assert story.codes() == {"gate.not_passed"}
    with_image(tmp_path, "python:3.11", "python:3.12")
    judged(story)
    assert story.codes() == {"gate.not_passed"}


def test_an_annotation_excuses_nothing(story: Story, tmp_path: Path) -> None:
    with_image(tmp_path, "python:3.11")
    text = (tmp_path / "release.yml").read_text()
    words = (
        "mlgov: ignore\nwaivers: [image.unpinned]\nlabels: {mlgov.waived: 'true'}\nannotations: {mlgov/waive: all}\n"
    )
    (tmp_path / "release.yml").write_text(words + text)
    assert judged(story).verdict is Outcome.FAIL
    assert story.codes() == {"gate.not_passed"}


def test_evidence_of_other_packs_or_modes_counts_for_nothing(story: Story, tmp_path: Path) -> None:
    with_image(tmp_path, "python:3.11")
    manifest = str(tmp_path / "release.yml")
    assert judged(story, governed=False, manifest=manifest).verdict is Outcome.PASS
    assert "settings.other" in story.codes()
    milder = {"packages": ["mlgov.pipeline"], "modes": {"mlgov.pipeline": "observe"}}
    assert judged(story, governed=False, manifest=manifest, **milder).verdict is Outcome.PASS
    assert "settings.other" in story.codes()
