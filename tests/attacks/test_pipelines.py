"""The policy gate's evidence: of the pipeline that the policy names, as it is, about the model that is promoted."""

from pathlib import Path

import pytest

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.statements import GateStatement
from airflow_mlgov.gates.policy.spec import GATE
from airflow_mlgov.gates.run import run_gate
from airflow_mlgov.gates.strictness import held_to
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.results import Outcome
from tests.codes import raises_code
from tests.worlds.pipelines import GUARDED
from tests.worlds.story import DATA, MODEL, Story

POLICY = """\
version: 1
models:
  credit_risk:
    gates:
      policy: {manifest: release.yml, require: [fairness]}
    targets:
      production: {alias: champion, requires: [policy]}
"""
GOOD = GUARDED["github"][1]


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """A model whose promotion requires the policy gate."""
    (tmp_path / "mlgov.yaml").write_text(POLICY)
    (tmp_path / "release.yml").write_text(GOOD)
    found = Story(tmp_path, load_policy(tmp_path / "mlgov.yaml"))
    found.provenance((DATA,))
    return found


def judged(story: Story, folder: Path, *, governed: bool = True, **given: object) -> Outcome:
    """The verdict of a run whose evidence is signed."""
    policy = story.policy.model("credit_risk") if governed else None
    settings, bounds = held_to(GATE, policy, given, {}, "the test")
    result = run_gate(GATE, None, settings, bounds, subject=MODEL)
    story.sign(GateStatement.of(result, story.context()).as_json())
    return result.verdict


def test_the_pipeline_that_the_policy_names(story: Story, tmp_path: Path) -> None:
    assert story.codes() == {"evidence.missing"}
    assert judged(story, tmp_path) is Outcome.PASS
    assert story.codes() == set()


def test_a_pass_over_another_pipeline_counts_for_nothing(story: Story, tmp_path: Path) -> None:
    (tmp_path / "other.yml").write_text(GOOD + "# another\n")
    assert judged(story, tmp_path, governed=False, manifest=str(tmp_path / "other.yml")) is Outcome.PASS
    assert story.codes() == {"suite.differs"}


def test_a_pass_from_before_the_pipeline_was_changed_counts_for_nothing(story: Story, tmp_path: Path) -> None:
    assert judged(story, tmp_path) is Outcome.PASS
    (tmp_path / "release.yml").write_text(GOOD.replace("needs: [check]", "needs: [train]"))
    assert story.codes() == {"suite.differs"}
    assert judged(story, tmp_path) is Outcome.FAIL
    assert story.codes() == {"gate.not_passed"}


def test_a_mode_that_is_milder_than_the_policys(story: Story, tmp_path: Path) -> None:
    (tmp_path / "release.yml").write_text(GOOD.replace("needs: [check]", "needs: [train]"))
    assert judged(story, tmp_path, governed=False, manifest=str(tmp_path / "release.yml"), mode="warn") is Outcome.PASS
    assert story.codes() == {"settings.looser"}


def test_a_command_that_counts_as_a_gate_by_the_callers_own_word(story: Story, tmp_path: Path) -> None:
    path = tmp_path / "release.yml"
    path.write_text(GOOD.replace("mlgov gate fairness", "true"))
    given = {"manifest": str(path), "accept": {"fairness": ["true"]}}
    assert judged(story, tmp_path, governed=False, **given) is Outcome.PASS
    assert story.codes() == {"settings.other"}
    with raises_code(ConfigurationError, "setting.not_the_policys"):
        judged(story, tmp_path, accept=given["accept"])


ACTION = """\
runs:
  using: composite
  steps:
    - run: mlgov gate fairness --data test.parquet{lost}
      shell: bash
"""


def test_a_pass_over_the_same_pipeline_whose_own_action_differs_counts_for_nothing(
    story: Story, tmp_path: Path
) -> None:
    """The workflow is the policy's to the byte; the action that it calls lies beside it, and is bound as well."""
    calling = GOOD.replace("run: mlgov gate fairness", "uses: ./gate #")
    for place, lost in ((tmp_path, " || true"), (tmp_path / "elsewhere", "")):
        for folder in (place / ".github", place / "gate"):
            folder.mkdir(parents=True)
        (place / "release.yml").write_text(calling)
        (place / "gate" / "action.yml").write_text(ACTION.format(lost=lost))
    assert judged(story, tmp_path) is Outcome.FAIL
    assert story.codes() == {"gate.not_passed"}
    elsewhere = str(tmp_path / "elsewhere" / "release.yml")
    assert judged(story, tmp_path, governed=False, manifest=elsewhere) is Outcome.PASS
    assert story.codes() == {"suite.differs"}
    (tmp_path / "gate" / "action.yml").write_text(ACTION.format(lost=""))
    assert story.codes() == set()
